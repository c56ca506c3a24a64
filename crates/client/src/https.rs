//! The seam over HTTPS: typed requests as REST calls, for clients outside the server's process. One
//! HTTP/2 connection, made when first needed and again when it breaks.

use std::sync::Arc;
use std::time::Duration;

use api::ResourceInfo;
use apimachinery::meta;
use apimachinery::status::{Reason, Status};
use bytes::{Bytes, BytesMut};
use env::Env;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::kubeconfig::Kubeconfig;
use crate::seam::{List, Options, Patch, Request, Response, Transport, Verb, WatchEvent, WatchStream};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is not a stream.
const BODY_MAX: usize = 1 << 30;
/// Longest event of a watch.
const EVENT_MAX: usize = 16 << 20;

const JSON: &str = "application/json";

type Sender = http2::SendRequest<Full<Bytes>>;
type Result<T> = std::result::Result<T, Box<Status>>;

/// Cheap to clone.
#[derive(Clone)]
pub struct Https {
    env: Env,
    server: Server,
    tls: TlsConnector,
    token: Option<Arc<str>>,
    connection: Arc<tokio::sync::Mutex<Option<Sender>>>,
}

#[derive(Clone, Debug)]
struct Server {
    host: String,
    port: u16,
}

fn unavailable(error: impl std::fmt::Display) -> Box<Status> {
    Box::new(Status::service_unavailable(error.to_string()))
}

impl Https {
    /// # Errors
    /// What is wrong with the kubeconfig, in one sentence.
    pub fn new(env: &Env, config: &Kubeconfig) -> std::result::Result<Https, String> {
        let rest = config.server.strip_prefix("https://").ok_or("only https:// servers are known")?;
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => {
                (host, port.parse().map_err(|_| format!("{port:?} is no port"))?)
            }
            _ => (authority, 443),
        };
        let server = Server { host: host.trim_matches(['[', ']']).to_string(), port };
        let tls = TlsConnector::from(Arc::new(config.tls(&[b"h2"])?));
        Ok(Https {
            env: env.clone(),
            server,
            tls,
            token: config.token.as_deref().map(Into::into),
            connection: Arc::default(),
        })
    }

    async fn sender(&self) -> Result<Sender> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let sender = tokio::time::timeout(CONNECT_TIMEOUT, self.connect()).await.map_err(|_| {
            unavailable(format!("{}:{} does not answer", self.server.host, self.server.port))
        })??;
        *connection = Some(sender.clone());
        Ok(sender)
    }

    async fn connect(&self) -> Result<Sender> {
        let Server { host, port } = &self.server;
        let failed = |error: std::io::Error| unavailable(format!("{host}:{port}: {error}"));
        let address: std::net::IpAddr = if host == "localhost" {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            host.parse().map_err(unavailable)?
        };
        let stream = TcpStream::connect((address, *port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let name = ServerName::try_from(host.clone()).map_err(unavailable)?;
        let stream = self.tls.connect(name, stream).await.map_err(failed)?;
        let (sender, driver) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(unavailable)?;
        self.env.spawn(async move {
            let _ = driver.await;
        });
        Ok(sender)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        (accept, kind): (&str, &str),
        body: Bytes,
        agent: &str,
    ) -> Result<http::Response<Incoming>> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("https://{}:{}{path}", self.server.host, self.server.port))
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, if agent.is_empty() { "minke" } else { agent });
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(unavailable)?;
        let mut sender = self.sender().await?;
        sender.ready().await.map_err(unavailable)?;
        sender.send_request(request).await.map_err(unavailable)
    }

    /// Any path of the server; body and headers of a good answer.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        (kind, body): (&str, Bytes),
    ) -> Result<(StatusCode, HeaderMap, Bytes)> {
        let answer = self.send(method, path, (accept, kind), body, "").await?;
        whole(answer).await
    }

    /// A path whose answer is read piece by piece (logs that are followed).
    pub async fn stream(&self, path: &str, accept: &str) -> Result<Incoming> {
        let answer = self.send(Method::GET, path, (accept, ""), Bytes::new(), "").await?;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        match whole(answer).await {
            Err(status) => Err(status),
            Ok((code, ..)) => Err(unavailable(format!("unexpected answer {code}"))),
        }
    }

    async fn rest(&self, request: &Request) -> Result<(StatusCode, HeaderMap, Bytes)> {
        let (method, kind) = method(request.verb);
        let body = match (&request.body, request.verb) {
            (Some(body), _) => Bytes::from(body.to_string()),
            (None, Verb::Delete | Verb::DeleteCollection) => delete_options(&request.options),
            (None, _) => Bytes::new(),
        };
        let answer = self.send(method, &route(request), (JSON, kind), body, &request.user_agent).await?;
        whole(answer).await
    }
}

/// Reads an answer; anything but success becomes its Status.
async fn whole(answer: http::Response<Incoming>) -> Result<(StatusCode, HeaderMap, Bytes)> {
    let (parts, body) = answer.into_parts();
    let body = http_body_util::Limited::new(body, BODY_MAX).collect().await.map_err(unavailable)?.to_bytes();
    if parts.status.is_success() {
        return Ok((parts.status, parts.headers, body));
    }
    let status = serde_json::from_slice::<Value>(&body).ok().and_then(|value| Status::from_value(&value));
    Err(Box::new(status.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(&body).trim().to_string();
        let mut status = Status::new(Reason::Unknown, text);
        status.code = parts.status.as_u16();
        status
    })))
}

/// The REST path of a request. What is not built in is namespaced where a namespace is named.
fn route(request: &Request) -> String {
    let gvr = &request.resource;
    match api::find(&gvr.group, &gvr.version, &gvr.resource) {
        Some(info) => path(info, request),
        None => build(&gvr.group, &gvr.version, &gvr.resource, true, request),
    }
}

fn method(verb: Verb) -> (Method, &'static str) {
    match verb {
        Verb::Get | Verb::List | Verb::Watch => (Method::GET, ""),
        Verb::Create => (Method::POST, "application/json"),
        Verb::Update => (Method::PUT, "application/json"),
        Verb::Patch(Patch::Json) => (Method::PATCH, "application/json-patch+json"),
        Verb::Patch(Patch::Merge) => (Method::PATCH, "application/merge-patch+json"),
        Verb::Patch(Patch::Strategic) => (Method::PATCH, "application/strategic-merge-patch+json"),
        Verb::Patch(Patch::Apply) => (Method::PATCH, "application/apply-patch+yaml"),
        Verb::Delete | Verb::DeleteCollection => (Method::DELETE, "application/json"),
    }
}

/// The REST path with its query.
pub fn path(info: &ResourceInfo, request: &Request) -> String {
    build(info.group, info.version, info.resource, info.namespaced, request)
}

fn build(group: &str, version: &str, resource: &str, namespaced: bool, request: &Request) -> String {
    let mut path =
        if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    if namespaced && !request.namespace.is_empty() {
        path.push_str(&format!("/namespaces/{}", request.namespace));
    }
    path.push_str(&format!("/{resource}"));
    for part in [&request.name, &request.subresource] {
        if !part.is_empty() {
            path.push('/');
            path.push_str(&encode(part));
        }
    }
    let query = query(request);
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

fn query(request: &Request) -> String {
    let o = &request.options;
    let mut pairs: Vec<(&str, String)> = Vec::new();
    let mut add = |name: &'static str, value: String| {
        if !value.is_empty() {
            pairs.push((name, value));
        }
    };
    let reads = matches!(request.verb, Verb::Get | Verb::List | Verb::Watch);
    add("labelSelector", o.label_selector.clone());
    add("fieldSelector", o.field_selector.clone());
    add("resourceVersion", o.resource_version.clone());
    add("resourceVersionMatch", o.resource_version_match.clone());
    add("continue", o.continue_token.clone());
    add("limit", if o.limit > 0 { o.limit.to_string() } else { String::new() });
    if request.verb == Verb::Watch {
        add("watch", "true".into());
        add("allowWatchBookmarks", if o.allow_watch_bookmarks { "true".into() } else { String::new() });
        add("sendInitialEvents", o.send_initial_events.map(|b| b.to_string()).unwrap_or_default());
    }
    add("timeoutSeconds", o.timeout_seconds.map(|s| s.to_string()).unwrap_or_default());
    if !reads {
        for value in &o.dry_run {
            add("dryRun", value.clone());
        }
        add("fieldManager", o.field_manager.clone());
        add("fieldValidation", o.field_validation.clone());
        add("force", o.force.map(|b| b.to_string()).unwrap_or_default());
    }
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

/// Percent-encoding of everything that is not plain.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn delete_options(options: &Options) -> Bytes {
    let mut body = serde_json::json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    if let Some(seconds) = options.grace_period_seconds {
        body["gracePeriodSeconds"] = seconds.into();
    }
    if let Some(policy) = &options.propagation_policy {
        body["propagationPolicy"] = policy.as_str().into();
    }
    if let Some(orphan) = options.orphan_dependents {
        body["orphanDependents"] = orphan.into();
    }
    if let Some(uid) = &options.precondition_uid {
        body["preconditions"]["uid"] = uid.as_str().into();
    }
    if let Some(version) = &options.precondition_resource_version {
        body["preconditions"]["resourceVersion"] = version.as_str().into();
    }
    Bytes::from(body.to_string())
}

fn parse(body: &[u8]) -> Result<Value> {
    serde_json::from_slice(body).map_err(|error| unavailable(format!("the answer is not JSON: {error}")))
}

/// Texts of `Warning: 299 - "text"` headers.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let texts = headers.get_all(header::WARNING).iter().filter_map(|value| value.to_str().ok());
    texts
        .filter_map(|text| {
            text.split_once('"').map(|(_, rest)| rest.trim_end_matches('"').replace("\\\"", "\""))
        })
        .collect()
}

impl Transport for Https {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        Box::pin(async move {
            let (code, headers, body) = self.rest(&request).await?;
            Ok(Response {
                code: code.as_u16(),
                object: Arc::new(parse(&body)?),
                warnings: warnings(&headers),
            })
        })
    }

    fn list(&self, request: Request) -> BoxFuture<'_, Result<List>> {
        Box::pin(async move {
            let (_, _, body) = self.rest(&request).await?;
            let mut list = parse(&body)?;
            let kind = list["kind"].as_str().unwrap_or_default().trim_end_matches("List").to_string();
            let version = list["apiVersion"].clone();
            let items = match list["items"].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            };
            // Items of a list do not say what they are; alone they must.
            let items = items.into_iter().map(|mut item| {
                item["kind"] = kind.as_str().into();
                item["apiVersion"] = version.clone();
                Arc::new(item)
            });
            let text = |field: &str| list["metadata"][field].as_str().unwrap_or_default();
            Ok(List {
                items: items.collect(),
                resource_version: text("resourceVersion").parse().unwrap_or(0),
                continue_token: text("continue").into(),
                remaining: list["metadata"]["remainingItemCount"].as_u64(),
            })
        })
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<WatchStream>> {
        Box::pin(async move {
            let body = {
                let answer = self
                    .send(Method::GET, &route(&request), (JSON, ""), Bytes::new(), &request.user_agent)
                    .await?;
                if !answer.status().is_success() {
                    return Err(match whole(answer).await {
                        Err(status) => status,
                        Ok(_) => unavailable("the watch was not accepted"),
                    });
                }
                answer.into_body()
            };
            let events = stream::unfold((body, BytesMut::new()), |(mut body, mut buffer)| async move {
                let line = next_line(&mut body, &mut buffer).await?;
                Some((event(&line), (body, buffer)))
            });
            Ok(Box::pin(events) as WatchStream)
        })
    }
}

/// The next line of a stream; `None` at its end or when a line is too long.
pub async fn next_line(body: &mut Incoming, buffer: &mut BytesMut) -> Option<Bytes> {
    loop {
        if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(end + 1).freeze();
            return Some(line);
        }
        if buffer.len() > EVENT_MAX {
            return None;
        }
        let frame = body.frame().await?.ok()?;
        if let Some(data) = frame.data_ref() {
            buffer.extend_from_slice(data);
        }
    }
}

fn event(line: &[u8]) -> WatchEvent {
    let bad = || WatchEvent::Error(unavailable("an event of the watch is not readable"));
    let Ok(mut event) = serde_json::from_slice::<Value>(line) else { return bad() };
    let object = event["object"].take();
    match event["type"].as_str() {
        Some("ADDED") => WatchEvent::Added(Arc::new(object)),
        Some("MODIFIED") => WatchEvent::Modified(Arc::new(object)),
        Some("DELETED") => WatchEvent::Deleted(Arc::new(object)),
        Some("BOOKMARK") => WatchEvent::Bookmark {
            resource_version: meta::resource_version(&object).unwrap_or(0),
            initial_end: meta::annotation(&object, "k8s.io/initial-events-end") == Some("true"),
        },
        Some("ERROR") => match Status::from_value(&object) {
            Some(status) => WatchEvent::Error(Box::new(status)),
            None => bad(),
        },
        _ => bad(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::gvk::GroupVersionResource;

    #[test]
    fn paths_say_everything() {
        let mut request = Request {
            verb: Verb::List,
            resource: GroupVersionResource::new("", "v1", "pods"),
            namespace: "default".into(),
            name: String::new(),
            subresource: String::new(),
            body: None,
            options: Options { label_selector: "a in (b,c)".into(), limit: 5, ..Options::default() },
            user_agent: String::new(),
        };
        assert_eq!(
            route(&request),
            "/api/v1/namespaces/default/pods?labelSelector=a%20in%20%28b%2Cc%29&limit=5"
        );
        request.verb = Verb::Update;
        (request.name, request.subresource, request.options) =
            ("p".into(), "status".into(), Options::default());
        assert_eq!(route(&request), "/api/v1/namespaces/default/pods/p/status");
        request.resource = apimachinery::GroupVersionResource::new("example.com", "v1", "widgets");
        assert_eq!(route(&request), "/apis/example.com/v1/namespaces/default/widgets/p/status");
    }
}
