//! Health, version, metrics, and what others need to verify our service account tokens.

use crate::context::Result;
use crate::http::Form;
use crate::http::respond::{self, ResponseBody};
use crate::http::service::Asked;
use crate::server::Server;
use apimachinery::Status;
use http::{Response, StatusCode};
use serde_json::json;

/// The version of Kubernetes whose API this is.
pub(crate) const KUBERNETES: (&str, &str, &str) = ("1", "36", "v1.36.2");
const TEXT: &str = "text/plain; charset=utf-8";

/// `None` for paths that are not ours.
pub(crate) fn respond(server: &Server, incoming: &Asked) -> Option<Result<Response<ResponseBody>>> {
    let (path, verbose) = (incoming.path.trim_end_matches('/'), incoming.query.get("verbose").is_some());
    let answer = match path {
        "/readyz" | "/livez" | "/healthz" => health(server, path, verbose),
        "/version" => version(),
        "/metrics" => {
            let text = server.metrics.text(server.store.revision());
            respond::plain(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
        }
        "/.well-known/openid-configuration" => respond::value(200, openid(server), &Form::json()),
        "/openid/v1/jwks" => {
            let keys = server.authn.signer.jwks().to_string();
            respond::plain(StatusCode::OK, "application/jwk-set+json", keys)
        }
        _ => return one_check(server, path).map(Ok),
    };
    if !matches!(incoming.method, http::Method::GET | http::Method::HEAD) {
        return Some(Err(Box::new(Status::method_not_allowed())));
    }
    Some(Ok(answer))
}

/// The checks, by name. The store answers or the whole server is of no use.
fn checks(server: &Server) -> [(&'static str, bool); 3] {
    let _store_answers = server.store.revision();
    [("ping", true), ("log", true), ("etcd", server.store.revision() > 0)]
}

fn health(server: &Server, path: &str, verbose: bool) -> Response<ResponseBody> {
    let checks = checks(server);
    let healthy = checks.iter().all(|(_, good)| *good);
    let name = path.trim_start_matches('/');
    if healthy && !verbose {
        return respond::plain(StatusCode::OK, TEXT, "ok");
    }
    let mut text = String::new();
    for (check, good) in checks {
        text.push_str(&if good {
            format!("[+]{check} ok\n")
        } else {
            format!("[-]{check} failed: reason withheld\n")
        });
    }
    text.push_str(&if healthy { format!("{name} check passed\n") } else { format!("{name} check failed\n") });
    let code = if healthy { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    respond::plain(code, TEXT, text)
}

/// `/readyz/etcd` and the like.
fn one_check(server: &Server, path: &str) -> Option<Response<ResponseBody>> {
    let (endpoint, name) = path.trim_start_matches('/').split_once('/')?;
    if !matches!(endpoint, "readyz" | "livez" | "healthz") {
        return None;
    }
    let (_, good) = checks(server).into_iter().find(|(check, _)| *check == name)?;
    let code = if good { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    Some(respond::plain(code, TEXT, if good { "ok" } else { "internal server error" }))
}

fn version() -> Response<ResponseBody> {
    let (major, minor, version) = KUBERNETES;
    let platform = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    let body = json!({
        "major": major, "minor": minor, "gitVersion": format!("{version}+minke"),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": platform,
    });
    respond::plain(StatusCode::OK, "application/json", format!("{body:#}"))
}

fn openid(server: &Server) -> serde_json::Value {
    let issuer = &server.config.issuer;
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/openid/v1/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}
