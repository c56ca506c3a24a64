//! Calls of the API server to programs of users (webhooks): HTTPS to a URL or a Service, connections
//! that are used again, bounds on time and size, and failures in the words of Go's HTTP client, which
//! clients see and people search for. What is said and what an answer means is the caller's.

mod dial;
mod service;
mod trust;

use crate::limits;
use crate::server::Server;
use apimachinery::{Status, go};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

const AGENT: &str = "kube-apiserver-admission";
type Sender = SendRequest<Full<Bytes>>;

/// Where a callee is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Host(String, u16),
    Service { namespace: String, name: String, port: u16 },
}

/// Somebody to call; holds its idle connections.
pub(crate) struct Callee {
    place: Place,
    /// Scheme, host and port as its configuration has them.
    origin: String,
    path: String,
    /// The name that its certificate must have.
    name: String,
    ca_bundle: Vec<u8>,
    tls: OnceCell<Result<TlsConnector, String>>,
    idle: Mutex<Vec<Sender>>,
}

impl Callee {
    /// A URL that the rules of configurations allow: https, a host, perhaps a port and a path.
    pub fn url(url: &str, ca_bundle: &[u8]) -> Callee {
        let rest = url.strip_prefix("https://").unwrap_or(url);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() && !port.ends_with(']') => {
                (host, port.parse().unwrap_or(0))
            }
            _ => (authority, 443),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        Callee::new(Place::Host(host.clone(), port), format!("https://{authority}"), path, host, ca_bundle)
    }

    pub fn service(namespace: &str, name: &str, port: u16, path: &str, ca_bundle: &[u8]) -> Callee {
        let host = format!("{name}.{namespace}.svc");
        let place = Place::Service { namespace: namespace.into(), name: name.into(), port };
        Callee::new(place, format!("https://{host}:{port}"), path, host, ca_bundle)
    }

    fn new(place: Place, origin: String, path: &str, name: String, ca_bundle: &[u8]) -> Callee {
        Callee {
            place,
            origin,
            path: if path.is_empty() { "/".into() } else { path.into() },
            name,
            ca_bundle: ca_bundle.into(),
            tls: OnceCell::new(),
            idle: Mutex::default(),
        }
    }

    /// Sends JSON and reads the answer of a success.
    ///
    /// # Errors
    /// What went wrong, in Go's words.
    pub async fn post(&self, server: &Server, body: Bytes, timeout: Duration) -> Result<Bytes, String> {
        let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        let target = format!("{}?timeout={seconds}s", self.path);
        let failed = |text: &str| format!("Post \"{}{target}\": {text}", self.origin);
        let exchange = async {
            let answer = self.exchange(server, &target, body).await.map_err(|text| failed(&text))?;
            read(answer).await
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok((sender, bytes))) => {
                self.keep(sender);
                Ok(bytes)
            }
            Ok(Err(text)) => Err(text),
            Err(_) => Err(failed("context deadline exceeded")),
        }
    }

    async fn exchange(
        &self,
        server: &Server,
        target: &str,
        body: Bytes,
    ) -> Result<(Sender, Response<Incoming>), String> {
        let host = self.origin.trim_start_matches("https://");
        let request = || {
            Request::post(target)
                .header(HOST, host)
                .header(ACCEPT, "application/json, */*")
                .header(CONTENT_TYPE, "application/json")
                .header(USER_AGENT, AGENT)
                .body(Full::new(body.clone()))
                .map_err(|error| error.to_string())
        };
        // A connection that was idle may have ended without our knowing; then a new one is asked.
        while let Some(mut sender) = self.take() {
            if sender.ready().await.is_ok()
                && let Ok(answer) = sender.send_request(request()?).await
            {
                return Ok((sender, answer));
            }
        }
        let mut sender = self.connect(server).await?;
        let answer = sender.send_request(request()?).await.map_err(|error| broken(&error))?;
        Ok((sender, answer))
    }

    async fn connect(&self, server: &Server) -> Result<Sender, String> {
        let tls = self.tls.get_or_init(|| trust::connector(&self.ca_bundle)).await.clone()?;
        let stream = self.dial(server).await?;
        let _best_effort = stream.set_nodelay(true);
        let name = ServerName::try_from(self.name.clone())
            .map_err(|_| format!("tls: {} is no name of a server", go::quote(&self.name)))?;
        let stream = tls.connect(name, stream).await.map_err(|error| trust::failure(&error, &self.name))?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        server.env.spawn(async move {
            let _ends_with_the_connection = driver.await;
        });
        Ok(sender)
    }

    async fn dial(&self, server: &Server) -> Result<TcpStream, String> {
        match &self.place {
            Place::Host(host, port) => dial::host(host, *port).await,
            Place::Service { namespace, name, port } => {
                match service::resolve(server, namespace, name, *port)? {
                    service::Found::Address(address) => dial::address(address).await,
                    service::Found::Name(host) => dial::host(&host, *port).await,
                }
            }
        }
    }

    fn take(&self) -> Option<Sender> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !sender.is_closed() && idle.len() < limits::MAX_IDLE_CALLEE_CONNECTIONS {
            idle.push(sender);
        }
    }
}

fn broken(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "EOF".into()
    } else {
        error.to_string()
    }
}

/// The body of an answer, or what its failure says.
async fn read((sender, answer): (Sender, Response<Incoming>)) -> Result<(Sender, Bytes), String> {
    let (parts, body) = answer.into_parts();
    let limit = limits::MAX_CALLEE_ANSWER;
    let body = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            format!("the response is larger than {limit} bytes")
        } else {
            "unexpected EOF".to_owned()
        }
    })?;
    let body = body.to_bytes();
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !(200..=206).contains(&parts.status.as_u16()) {
        return Err(failure(parts.status.as_u16(), kind, &body));
    }
    if body.is_empty() {
        let code = parts.status.as_u16();
        return Err(format!("0-length response with status code: {code} and content type: {kind}"));
    }
    Ok((sender, body))
}

/// Characters of a plain text that a failure quotes.
const SHOWN: usize = 2048;

/// What a failure says: the Status in it, else the code's usual text.
fn failure(code: u16, kind: &str, body: &[u8]) -> String {
    let status = serde_json::from_slice(body).ok().and_then(|value| Status::from_value(&value));
    if let Some(status) = status {
        return status.message;
    }
    let text = if kind.is_empty() || kind.starts_with("text/") {
        String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).trim().to_owned()
    } else {
        String::new()
    };
    let said = if text.is_empty() { "unknown" } else { &text };
    match code {
        400 => "the server rejected our request for an unknown reason".into(),
        401 => "the server has asked for the client to provide credentials".into(),
        403 | 415 => said.to_owned(),
        404 => "the server could not find the requested resource".into(),
        405 => "the server does not allow this method on the requested resource".into(),
        406 if text.is_empty() => {
            "the server was unable to respond with a content type that the client supports".into()
        }
        406 => text,
        409 => "the server reported a conflict".into(),
        422 => "the server rejected our request due to an error in our request".into(),
        429 => "the server has received too many requests and has asked us to try again later".into(),
        503 => "the server is currently unable to handle the request".into(),
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request".into()
        }
        500.. => {
            format!("an error on the server ({}) has prevented the request from succeeding", go::quote(said))
        }
        _ => format!("the server responded with the status code {code} but did not return more information"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_from_urls() {
        for (url, host, port, origin, path) in [
            ("https://a.b", "a.b", 443, "https://a.b", "/"),
            ("https://a.b:8443/c/d", "a.b", 8443, "https://a.b:8443", "/c/d"),
            ("https://[::1]:9/", "::1", 9, "https://[::1]:9", "/"),
            ("https://[::1]/x", "::1", 443, "https://[::1]", "/x"),
        ] {
            let callee = Callee::url(url, b"");
            assert_eq!(callee.place, Place::Host(host.into(), port), "{url}");
            assert_eq!((callee.origin.as_str(), callee.path.as_str()), (origin, path), "{url}");
        }
        let service = Callee::service("n", "s", 443, "", b"");
        assert_eq!((service.origin.as_str(), service.path.as_str()), ("https://s.n.svc:443", "/"));
    }

    #[test]
    fn failures_say_what_go_says() {
        for (code, kind, body, want) in [
            (404, "text/plain", "nope", "the server could not find the requested resource"),
            (
                500,
                "",
                "boom\n",
                "an error on the server (\"boom\") has prevented the request from succeeding",
            ),
            (
                502,
                "text/html",
                "",
                "an error on the server (\"unknown\") has prevented the request from succeeding",
            ),
            (500, "application/json", r#"{"kind":"Status","status":"Failure","message":"m"}"#, "m"),
            (
                301,
                "",
                "",
                "the server responded with the status code 301 but did not return more information",
            ),
        ] {
            assert_eq!(failure(code, kind, body.as_bytes()), want);
        }
    }
}
