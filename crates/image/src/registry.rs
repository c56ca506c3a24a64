//! The pulling half of the OCI distribution specification: one session for one pull, with its own
//! connections and its own authorization, so that nothing of one credential set is ever used for
//! another. Mirrors are asked first, in order, and never see the registry's credentials.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, USER_AGENT, WWW_AUTHENTICATE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

use crate::auth::{Challenge, basic, percent_encode, token_url};
use crate::connect::{ConnectError, Connector, is_loopback};
use crate::error::{Error, Result};
use crate::layer::Digest;
use crate::pull::{Credentials, Registries};
use crate::reference::{DEFAULT_REGISTRY, Reference};

/// Docker Hub's API is not at the name its images have.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
const USER_AGENT_TEXT: &str = concat!("minke/", env!("CARGO_PKG_VERSION"));
const REDIRECTS_MAX: usize = 5;
/// Longest wait for the head of an answer.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Largest manifest or index (the distribution specification asks for 4 MiB at least).
const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// Largest config blob.
pub(crate) const CONFIG_BYTES_MAX: usize = 8 << 20;
/// Largest answer of a token server.
const TOKEN_BYTES_MAX: usize = 1 << 20;
/// Most of an error answer that is looked at.
const ERROR_BYTES_MAX: usize = 64 << 10;
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*";

/// Why a registry did not give what it was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// It could not be spoken to at all.
    Unreachable(String),
    NotFound,
    /// Credentials are missing, wrong or not enough.
    Denied(String),
    /// The connection broke, or the server is in trouble: the same may work a moment later.
    Passing(String),
    Failed(String),
}

impl Refusal {
    /// With what was being done; `subject` is what was not found.
    pub(crate) fn into_error(self, doing: &str, subject: &str) -> Error {
        match self {
            Refusal::Unreachable(why) => Error::Unreachable(format!("{doing}: {why}")),
            Refusal::NotFound => Error::Pull(format!("{doing}: {subject}: not found")),
            Refusal::Denied(why) => Error::Pull(format!(
                "{doing}: pull access denied, repository does not exist or may require authorization: {why}"
            )),
            Refusal::Passing(why) | Refusal::Failed(why) => Error::Pull(format!("{doing}: {why}")),
        }
    }
}

type Answer<T> = std::result::Result<T, Refusal>;

pub(crate) struct Manifest {
    pub(crate) digest: String,
    pub(crate) json: Value,
}

pub(crate) struct Registry {
    client: Client<Connector, Empty<Bytes>>,
    endpoints: Vec<Endpoint>,
    repository: String,
}

/// A host that may have the repository.
struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    /// What stands before `/v2` in its paths.
    prefix: String,
    /// The registry this one stands in for.
    mirror_of: Option<String>,
    credentials: Option<Credentials>,
    /// What convinced it last.
    authorization: Mutex<Option<HeaderValue>>,
    /// Why this mirror is not asked again during this pull.
    down: OnceLock<String>,
}

impl Registry {
    pub(crate) fn new(
        registries: &Registries,
        reference: &Reference,
        credentials: Option<&Credentials>,
    ) -> Result<Registry> {
        let mut endpoints = Vec::new();
        for mirror in registries.mirrors.get(&reference.registry).into_iter().flatten() {
            endpoints.push(Endpoint::new(mirror, registries, Some(&reference.registry), None)?);
        }
        endpoints.push(Endpoint::new(&reference.registry, registries, None, credentials)?);
        let client = Client::builder(TokioExecutor::new()).build(Connector::new());
        Ok(Registry { client, endpoints, repository: reference.repository.clone() })
    }

    /// The digest a tag (or digest) stands for, without fetching it; empty if the registry does
    /// not say.
    pub(crate) async fn resolve(&self, tag: &str) -> Answer<String> {
        let answer = self.ask(Method::HEAD, "manifests", tag).await?;
        let digest = answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
        Ok(digest.filter(|digest| Digest::hex(digest).is_ok()).unwrap_or_default().to_string())
    }

    /// A manifest or index by tag or digest.
    pub(crate) async fn manifest(&self, tag: &str) -> Answer<Manifest> {
        let answer = self.ask(Method::GET, "manifests", tag).await?;
        let bytes = read_all(answer, MANIFEST_BYTES_MAX).await?;
        let digest = Digest::of(&bytes);
        if tag.contains(':') && tag != digest {
            return Err(Refusal::Failed(format!(
                "manifest {tag} is damaged: its content has digest {digest}"
            )));
        }
        match serde_json::from_slice(&bytes) {
            Ok(json) => Ok(Manifest { digest, json }),
            Err(error) => Err(Refusal::Failed(format!("manifest {digest}: {error}"))),
        }
    }

    /// A small blob, checked.
    pub(crate) async fn small_blob(&self, digest: &str, bytes_max: usize) -> Answer<Bytes> {
        let bytes = read_all(self.blob(digest).await?, bytes_max).await?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(Refusal::Failed(format!("blob {digest} is damaged: its content has digest {found}")));
        }
        Ok(bytes)
    }

    /// A blob as it comes; the caller checks it.
    pub(crate) async fn blob(&self, digest: &str) -> Answer<Response<Incoming>> {
        self.ask(Method::GET, "blobs", digest).await
    }

    /// Asks the mirrors, then the registry, whose refusal is the one that counts.
    async fn ask(&self, method: Method, kind: &str, name: &str) -> Answer<Response<Incoming>> {
        let mut last = Refusal::NotFound;
        for endpoint in &self.endpoints {
            if let Some(why) = endpoint.down.get() {
                last = Refusal::Unreachable(why.clone());
                continue;
            }
            match self.ask_one(endpoint, &method, kind, name).await {
                Ok(answer) => return Ok(answer),
                Err(refusal) => last = refusal,
            }
            if let (Refusal::Unreachable(why), Some(_)) = (&last, &endpoint.mirror_of) {
                let _ = endpoint.down.set(why.clone());
            }
        }
        Err(last)
    }

    async fn ask_one(
        &self,
        endpoint: &Endpoint,
        method: &Method,
        kind: &str,
        name: &str,
    ) -> Answer<Response<Incoming>> {
        let uri = endpoint.uri(&self.repository, kind, name)?;
        let mut convinced = false;
        loop {
            let authorization = endpoint.authorization.lock().expect("no holder panics").clone();
            let answer = self.send(method, uri.clone(), authorization).await?;
            match answer.status() {
                status if status.is_success() => return Ok(answer),
                StatusCode::UNAUTHORIZED if !convinced => {
                    let fresh = self.authorize(endpoint, &answer).await?;
                    *endpoint.authorization.lock().expect("no holder panics") = Some(fresh);
                    convinced = true;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    let message = server_message(answer).await;
                    let said = if message.is_empty() {
                        String::new()
                    } else {
                        format!("server message: {message}: ")
                    };
                    return Err(Refusal::Denied(format!("{said}authorization failed")));
                }
                StatusCode::NOT_FOUND => return Err(Refusal::NotFound),
                status => return Err(unexpected(method, &uri, status, answer).await),
            }
        }
    }

    /// The header that answers a challenge.
    async fn authorize(&self, endpoint: &Endpoint, answer: &Response<Incoming>) -> Answer<HeaderValue> {
        let values =
            answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let header = match Challenge::choose(values) {
            Some(Challenge::Basic) => match &endpoint.credentials {
                Some(c) => basic(&c.username, &c.password),
                None => {
                    return Err(Refusal::Denied("authorization failed: no basic auth credentials".into()));
                }
            },
            Some(Challenge::Bearer { realm, service, scope }) => {
                let url = token_url(&realm, &service, &scope, &self.repository);
                format!("Bearer {}", self.token(endpoint, &url).await?)
            }
            None => {
                return Err(Refusal::Denied(
                    "authorization failed: the registry names no known scheme".into(),
                ));
            }
        };
        let mut header = HeaderValue::try_from(header).map_err(|_| {
            Refusal::Denied("authorization failed: credentials with control characters".into())
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    async fn token(&self, endpoint: &Endpoint, url: &str) -> Answer<String> {
        let denied = |why: String| Refusal::Denied(format!("failed to authorize: {why}"));
        let uri: Uri = url.parse().map_err(|_| denied("the registry names no usable token server".into()))?;
        if endpoint.scheme == Scheme::HTTPS && uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(denied(format!("token server {} is not secure", plain(&uri))));
        }
        let (kind, authorization) = match &endpoint.credentials {
            Some(c) => ("oauth", HeaderValue::try_from(basic(&c.username, &c.password)).ok()),
            None => ("anonymous", None),
        };
        let answer = self.send(&Method::GET, uri.clone(), authorization).await?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(denied(format!("failed to fetch {kind} token: unexpected status: {status}")));
        }
        if !status.is_success() {
            return Err(unexpected(&Method::GET, &uri, status, answer).await);
        }
        let bytes = read_all(answer, TOKEN_BYTES_MAX).await?;
        let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        // Docker's name first, then OAuth 2's.
        match json["token"].as_str().or(json["access_token"].as_str()) {
            Some(token) => Ok(token.to_string()),
            None => Err(denied(format!("{} gave no token", plain(&uri)))),
        }
    }

    /// One request and the redirects it leads to. Another host never sees the authorization.
    async fn send(
        &self,
        method: &Method,
        mut uri: Uri,
        mut authorization: Option<HeaderValue>,
    ) -> Answer<Response<Incoming>> {
        for _ in 0..=REDIRECTS_MAX {
            let mut request = Request::builder().method(method).uri(uri.clone());
            request = request.header(USER_AGENT, USER_AGENT_TEXT).header(ACCEPT, MANIFEST_TYPES);
            if let Some(authorization) = &authorization {
                request = request.header(AUTHORIZATION, authorization.clone());
            }
            let request = request.body(Empty::new()).map_err(|error| Refusal::Failed(error.to_string()))?;
            let answer = match timeout(ANSWER_TIME, self.client.request(request)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => return Err(broken(method, &uri, &error)),
                Err(_) => return Err(Refusal::Passing(doing(method, &uri, "no answer in time"))),
            };
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let target = location.and_then(|location| redirected(&uri, location));
            let Some(target) = target else {
                return Err(Refusal::Failed(doing(method, &uri, "a redirect to nowhere")));
            };
            if uri.scheme() == Some(&Scheme::HTTPS) && target.scheme() != Some(&Scheme::HTTPS) {
                return Err(Refusal::Failed(doing(method, &uri, "a redirect to plain HTTP is refused")));
            }
            if target.authority() != uri.authority() {
                authorization = None;
            }
            uri = target;
        }
        Err(Refusal::Failed(doing(method, &uri, "too many redirects")))
    }
}

impl Endpoint {
    /// `text` is `host[:port]` or, for mirrors, also a URL with or without a path.
    fn new(
        text: &str,
        registries: &Registries,
        mirror_of: Option<&str>,
        credentials: Option<&Credentials>,
    ) -> Result<Endpoint> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Scheme::HTTP), rest),
            Some(("https", rest)) => (Some(Scheme::HTTPS), rest),
            Some(_) => return Err(Error::Invalid(format!("registry {text:?}: is neither http nor https"))),
            None => (None, text),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let api_host = if host == DEFAULT_REGISTRY { DOCKER_HUB_HOST } else { host };
        let authority: Authority = match api_host.parse::<Authority>() {
            // User information in a URL would be sent to nobody: better to say so.
            Ok(authority) if !authority.host().is_empty() && !api_host.contains('@') => authority,
            _ => return Err(Error::Invalid(format!("registry {text:?}: is no host"))),
        };
        let insecure = registries.insecure.iter().any(|entry| {
            let entry = entry.split_once("://").map_or(entry.as_str(), |(_, rest)| rest);
            entry.trim_end_matches('/') == host
        });
        let plain = insecure || (is_loopback(authority.host()) && authority.port_u16() != Some(443));
        Ok(Endpoint {
            scheme: scheme.unwrap_or(if plain { Scheme::HTTP } else { Scheme::HTTPS }),
            authority,
            prefix: path.trim_matches('/').trim_end_matches("v2").trim_end_matches('/').to_string(),
            mirror_of: mirror_of.map(str::to_string),
            credentials: credentials.cloned(),
            authorization: Mutex::new(None),
            down: OnceLock::new(),
        })
    }

    fn uri(&self, repository: &str, kind: &str, name: &str) -> Answer<Uri> {
        let prefix = if self.prefix.is_empty() { String::new() } else { format!("/{}", self.prefix) };
        // Mirrors of several registries tell them apart by `ns` (containerd's convention).
        let query = self.mirror_of.as_ref().map_or(String::new(), |of| format!("?ns={}", percent_encode(of)));
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{prefix}/v2/{repository}/{kind}/{name}{query}"))
            .build()
            .map_err(|error| Refusal::Failed(format!("{repository}/{kind}/{name}: {error}")))
    }
}

fn redirected(from: &Uri, location: &str) -> Option<Uri> {
    let target: Uri = location.parse().ok()?;
    if target.authority().is_some() && target.scheme().is_some() {
        return Some(target);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = Some(location.parse::<PathAndQuery>().ok().filter(|_| location.starts_with('/'))?);
    Uri::from_parts(parts).ok()
}

async fn read_all(answer: Response<Incoming>, bytes_max: usize) -> Answer<Bytes> {
    match timeout(ANSWER_TIME, Limited::new(answer.into_body(), bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refusal::Failed(format!("an answer of more than {bytes_max} bytes")))
        }
        Ok(Err(error)) => Err(Refusal::Passing(format!("the connection broke: {error}"))),
        Err(_) => Err(Refusal::Passing("the answer did not come to its end in time".into())),
    }
}

/// What the registry says about an error, in one line.
async fn server_message(answer: Response<Incoming>) -> String {
    let Ok(bytes) = read_all(answer, ERROR_BYTES_MAX).await else { return String::new() };
    let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let first = &json["errors"][0];
    let code = first["code"].as_str().unwrap_or_default().to_lowercase();
    match first["message"].as_str() {
        Some(message) if !code.is_empty() => format!("{code}: {message}"),
        Some(message) => message.to_string(),
        None => code,
    }
}

async fn unexpected(method: &Method, uri: &Uri, status: StatusCode, answer: Response<Incoming>) -> Refusal {
    let mut text = format!("unexpected status from {method} request to {}: {status}", plain(uri));
    let message = server_message(answer).await;
    if !message.is_empty() {
        text.push_str(&format!(" - Server message: {message}"));
    }
    if status.is_server_error() { Refusal::Passing(text) } else { Refusal::Failed(text) }
}

fn broken(method: &Method, uri: &Uri, error: &hyper_util::client::legacy::Error) -> Refusal {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            let text = doing(method, uri, &connect.to_string());
            return match connect {
                ConnectError::Tls(_) => Refusal::Failed(text),
                _ => Refusal::Unreachable(text),
            };
        }
    }
    Refusal::Passing(doing(method, uri, &cause.to_string()))
}

fn doing(method: &Method, uri: &Uri, what: &str) -> String {
    let method = if *method == Method::HEAD { "Head" } else { "Get" };
    format!("failed to do request: {method} {:?}: {what}", plain(uri))
}

/// Without the query, where redirects to object stores carry signatures.
fn plain(uri: &Uri) -> String {
    uri.to_string().split('?').next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str, registries: &Registries) -> String {
        let endpoint = Endpoint::new(text, registries, None, None).expect("a good endpoint");
        endpoint.uri("a/b", "manifests", "1").expect("a good URI").to_string()
    }

    #[test]
    fn endpoints_are_where_they_say() {
        let registries = Registries { insecure: vec!["plain.test:5000".into()], ..Registries::default() };
        let cases = [
            ("docker.io", "https://registry-1.docker.io/v2/a/b/manifests/1"),
            ("ghcr.io", "https://ghcr.io/v2/a/b/manifests/1"),
            ("localhost:5000", "http://localhost:5000/v2/a/b/manifests/1"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/v2/a/b/manifests/1"),
            ("[::1]:5000", "http://[::1]:5000/v2/a/b/manifests/1"),
            ("localhost:443", "https://localhost:443/v2/a/b/manifests/1"),
            ("plain.test:5000", "http://plain.test:5000/v2/a/b/manifests/1"),
            ("plain.test:5001", "https://plain.test:5001/v2/a/b/manifests/1"),
            ("http://cache.test/hub/", "http://cache.test/hub/v2/a/b/manifests/1"),
            ("https://localhost:5000/v2", "https://localhost:5000/v2/a/b/manifests/1"),
        ];
        for (text, want) in cases {
            assert_eq!(base(text, &registries), want);
        }
        for bad in ["ftp://x", "", "user:secret@host", "a b"] {
            assert!(Endpoint::new(bad, &registries, None, None).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn redirects_are_absolute_or_rooted() {
        let from: Uri = "https://a:1/v2/x?y".parse().expect("a URI");
        let cases = [
            ("https://b/c?d", Some("https://b/c?d")),
            ("/c?d", Some("https://a:1/c?d")),
            ("c", None),
            ("", None),
        ];
        for (location, want) in cases {
            assert_eq!(redirected(&from, location).map(|uri| uri.to_string()).as_deref(), want, "{location}");
        }
    }
}
