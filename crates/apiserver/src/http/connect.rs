//! Logs, exec, attach, port-forward and proxies: the request goes on to the Pod's kubelet (or to the
//! Pod itself), and after an upgrade the bytes are only passed through, whatever protocol they are.

use super::connect_options;
use super::query::{Query, percent_encode};
use super::respond::{self, ResponseBody};
use super::route::ResourcePath;
use super::service::{Asked, Connection};
use crate::admission;
use crate::authz::Attributes;
use crate::codec;
use crate::context::Result;
use crate::limits;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Status, meta};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header::{AUTHORIZATION, CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The way to kubelets: TLS with the server's own client certificate.
pub(crate) struct Kubelets {
    tls: TlsConnector,
}

impl Kubelets {
    pub fn new(config: rustls::ClientConfig) -> Kubelets {
        Kubelets { tls: TlsConnector::from(Arc::new(config)) }
    }
}

/// Where a request goes on to.
struct Destination {
    host: String,
    port: u16,
    tls: bool,
    path_and_query: String,
    /// For messages.
    what: String,
}

pub(crate) fn is_connect(path: &ResourcePath) -> bool {
    matches!(path.subresource.as_str(), "exec" | "attach" | "portforward" | "log" | "proxy")
        && matches!(path.gvr.resource.as_str(), "pods" | "services" | "nodes")
        && path.gvr.group.is_empty()
}

pub(crate) async fn serve(
    connection: &Connection,
    incoming: Asked,
    path: &ResourcePath,
    target: &Target,
) -> Result<Response<ResponseBody>> {
    let server = &connection.shared.server;
    if target.info.subresource(&path.subresource).is_none() {
        return Err(Box::new(Status::resource_not_found()));
    }
    let verb = match (path.subresource.as_str(), &incoming.method) {
        ("log", &Method::GET) | ("proxy", &Method::GET | &Method::HEAD) => "get",
        ("log", _) => return Err(Box::new(Status::method_not_allowed())),
        ("proxy", &Method::PUT) => "update",
        ("proxy", &Method::PATCH) => "patch",
        ("proxy", &Method::DELETE) => "delete",
        // Running something is a write, also when a WebSocket must begin with GET (KEP-5290).
        _ => "create",
    };
    let attributes = Attributes {
        resource: &path.gvr.resource,
        subresource: &path.subresource,
        namespace: &path.namespace,
        name: &path.name,
        ..Attributes::of_path(&incoming.user, verb, "")
    };
    server.authz.authorize(server, &attributes)?;
    let mut incoming = incoming;
    let warnings = admit(server, &mut incoming, path, target).await?;
    let mut response = serve_admitted(connection, incoming, path).await?;
    respond::add_warnings(&mut response, &warnings);
    Ok(response)
}

async fn serve_admitted(
    connection: &Connection,
    incoming: Asked,
    path: &ResourcePath,
) -> Result<Response<ResponseBody>> {
    let server = &connection.shared.server;
    if path.subresource == "log" && text(&*pod(server, path)?, "/spec/nodeName").is_empty() {
        // Nothing has run yet: an empty log, after the container's name was checked.
        container(&*pod(server, path)?, incoming.query.get("container").unwrap_or_default())?;
        return Ok(respond::plain(StatusCode::OK, "text/plain", ""));
    }
    let destination = match path.gvr.resource.as_str() {
        "pods" if path.subresource == "proxy" => pod_proxy(server, path, &incoming)?,
        "pods" => pod_stream(server, path, &incoming.query)?,
        "services" => service_proxy(server, path, &incoming)?,
        _ => node_proxy(server, path, &incoming)?,
    };
    forward(connection, incoming, destination).await
}

/// Lets webhooks and policies judge a connection, and change its options. Gives their warnings. Logs are
/// only read.
async fn admit(
    server: &Server,
    incoming: &mut Asked,
    path: &ResourcePath,
    target: &Target,
) -> Result<Vec<String>> {
    if path.subresource == "log" {
        return Ok(Vec::new());
    }
    let mut call = server.call(
        incoming.user.clone(),
        client::Request {
            verb: client::Verb::Create,
            resource: path.gvr.clone(),
            namespace: path.namespace.clone(),
            name: path.name.clone(),
            subresource: path.subresource.clone(),
            body: None,
            options: client::Options::default(),
            user_agent: String::new(),
        },
    );
    let query = incoming.query.clone();
    let changed = admission::admit_connect(server, &mut call, target, || {
        connect_options::of_query(target, path, &query)
    })
    .await?;
    if let Some(options) = changed {
        if path.subresource == "proxy" {
            let text = "webhooks and policies may not change the path of a proxied request";
            return Err(Box::new(Status::forbidden(&target.group_resource(), &path.name, text)));
        }
        incoming.query = connect_options::to_query(&options);
    }
    Ok(call.warnings)
}

fn pod(server: &Server, path: &ResourcePath) -> Result<Arc<Value>> {
    let target = Target::core("pods");
    let entry = server.store.get(&target.key(&path.namespace, &path.name));
    let entry = entry.ok_or_else(|| Box::new(Status::not_found(&target.group_resource(), &path.name)))?;
    Ok(codec::tree(&entry))
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn bad(text: String) -> Box<Status> {
    Box::new(Status::bad_request(text))
}

/// Names of the Pod's containers of every sort.
fn containers(pod: &Value) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
    let names = |list: &str| {
        let items = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|container| container["name"].as_str()).collect()
    };
    (names("containers"), names("initContainers"), names("ephemeralContainers"))
}

/// The container that was asked for, or the only one.
fn container<'a>(pod: &'a Value, asked: &'a str) -> Result<&'a str> {
    let (main, init, ephemeral) = containers(pod);
    let name = meta::name(pod);
    if !asked.is_empty() {
        let known = main.iter().chain(&init).chain(&ephemeral).any(|container| *container == asked);
        return if known {
            Ok(asked)
        } else {
            Err(bad(format!("container {asked} is not valid for pod {name}")))
        };
    }
    if let Some(default) = meta::annotation(pod, "kubectl.kubernetes.io/default-container")
        && main.contains(&default)
    {
        return Ok(default);
    }
    match main.as_slice() {
        [only] if init.is_empty() && ephemeral.is_empty() => Ok(only),
        [only] if init.is_empty() => Ok(only),
        _ => {
            let mut text = format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                main.join(" ")
            );
            if !init.is_empty() {
                text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            if !ephemeral.is_empty() {
                text.push_str(&format!(" or one of the ephemeral containers: [{}]", ephemeral.join(" ")));
            }
            Err(bad(text))
        }
    }
}

fn pod_stream(server: &Server, path: &ResourcePath, query: &Query) -> Result<Destination> {
    let pod = pod(server, path)?;
    let (namespace, name) = (percent_encode(&path.namespace), percent_encode(&path.name));
    let asked = query.get("container").unwrap_or_default();
    let path_and_query = match path.subresource.as_str() {
        "portforward" => {
            let ports: Vec<String> =
                query.all("ports").map(|port| format!("port={}", percent_encode(port))).collect();
            with_query(format!("/portForward/{namespace}/{name}"), &ports)
        }
        "log" => {
            let container = percent_encode(container(&pod, asked)?);
            let options = [
                "follow",
                "previous",
                "timestamps",
                "sinceSeconds",
                "sinceTime",
                "tailLines",
                "limitBytes",
                "stream",
            ];
            let pairs: Vec<String> = options
                .iter()
                .filter_map(|option| Some(format!("{option}={}", percent_encode(query.get(option)?))))
                .collect();
            with_query(format!("/containerLogs/{namespace}/{name}/{container}"), &pairs)
        }
        action => {
            let container = percent_encode(container(&pod, asked)?);
            let streams = [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")];
            let mut pairs: Vec<String> = streams
                .iter()
                .filter(|(option, _)| query.flag(option).unwrap_or(false))
                .map(|(_, kubelet)| format!("{kubelet}=1"))
                .collect();
            pairs.extend(query.all("command").map(|word| format!("command={}", percent_encode(word))));
            with_query(format!("/{action}/{namespace}/{name}/{container}"), &pairs)
        }
    };
    let node = text(&pod, "/spec/nodeName");
    if node.is_empty() {
        return Err(bad(format!("pod {} does not have a host assigned", path.name)));
    }
    let (host, port) = kubelet(server, node)?;
    Ok(Destination { host, port, tls: true, path_and_query, what: format!("the kubelet of node {node}") })
}

fn with_query(path: String, pairs: &[String]) -> String {
    if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) }
}

/// Address and port of a node's kubelet, in upstream's order of preference.
fn kubelet(server: &Server, node: &str) -> Result<(String, u16)> {
    let target = Target::core("nodes");
    let entry = server.store.get(&target.key("", node));
    let entry = entry.ok_or_else(|| Box::new(Status::not_found(&target.group_resource(), node)))?;
    let node_object = codec::tree(&entry);
    let addresses = node_object.pointer("/status/addresses").and_then(Value::as_array);
    let of_type = |kind: &str| {
        addresses.into_iter().flatten().find(|a| a["type"] == kind).and_then(|a| a["address"].as_str())
    };
    let preferred = ["InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS"];
    let host = preferred.into_iter().find_map(of_type);
    let host =
        host.ok_or_else(|| Box::new(Status::internal("no preferred addresses found; known addresses: []")))?;
    let port = node_object.pointer("/status/daemonEndpoints/kubeletEndpoint/Port").and_then(Value::as_u64);
    Ok((host.to_owned(), port.and_then(|port| u16::try_from(port).ok()).unwrap_or(10250)))
}

/// `name`, `name:port`, `scheme:name:port`.
fn split_name(name: &str) -> (&str, &str, &str) {
    let parts: Vec<&str> = name.split(':').collect();
    match parts.as_slice() {
        [scheme, name, port] => (scheme, name, port),
        [name, port] => ("", name, port),
        _ => ("", name, ""),
    }
}

fn rest(path: &ResourcePath, incoming: &Asked) -> String {
    let query =
        if incoming.query_text.is_empty() { String::new() } else { format!("?{}", incoming.query_text) };
    format!("/{}{query}", path.rest)
}

fn pod_proxy(server: &Server, path: &ResourcePath, incoming: &Asked) -> Result<Destination> {
    let (scheme, name, port) = split_name(&path.name);
    let pod = pod(server, &ResourcePath { name: name.to_owned(), ..path.clone() })?;
    let first = || pod.pointer("/spec/containers/0/ports/0/containerPort").and_then(Value::as_u64);
    let named = || {
        let (lists, mut found) = (["containers", "initContainers"], None);
        for container in lists.iter().filter_map(|list| pod["spec"][*list].as_array()).flatten() {
            let ports = container["ports"].as_array().into_iter().flatten();
            found = found.or(ports.filter(|p| p["name"] == port).find_map(|p| p["containerPort"].as_u64()));
        }
        found
    };
    let number = if port.is_empty() { first().or(Some(80)) } else { port.parse().ok().or_else(named) };
    let number =
        number.and_then(|n| u16::try_from(n).ok()).ok_or_else(|| bad(format!("invalid port {port}")))?;
    let address = text(&pod, "/status/podIP");
    if address.is_empty() {
        return Err(bad("address not allowed".into()));
    }
    Ok(Destination {
        host: address.to_owned(),
        port: number,
        tls: scheme == "https",
        path_and_query: rest(path, incoming),
        what: format!("pod {name}"),
    })
}

fn service_proxy(server: &Server, path: &ResourcePath, incoming: &Asked) -> Result<Destination> {
    let (scheme, name, port) = split_name(&path.name);
    let target = Target::core("services");
    let entry = server.store.get(&target.key(&path.namespace, name));
    let entry = entry.ok_or_else(|| Box::new(Status::not_found(&target.group_resource(), name)))?;
    let service = codec::tree(&entry);
    let ports =
        service.pointer("/spec/ports").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let wanted = ports.iter().find(|p| {
        port.is_empty() && ports.len() == 1
            || p["name"] == port && !port.is_empty()
            || p["port"].as_u64().is_some_and(|number| port.parse() == Ok(number))
    });
    let unavailable = || {
        Box::new(Status::service_unavailable(format!(
            "no endpoints available for service {}",
            apimachinery::go::quote(name)
        )))
    };
    let port_name = wanted.ok_or_else(unavailable)?["name"].as_str().unwrap_or_default().to_owned();
    let (host, number) = endpoint(server, &path.namespace, name, &port_name).ok_or_else(unavailable)?;
    Ok(Destination {
        host,
        port: number,
        tls: scheme == "https",
        path_and_query: rest(path, incoming),
        what: format!("service {name}"),
    })
}

/// A ready endpoint of a Service, any one.
fn endpoint(server: &Server, namespace: &str, service: &str, port: &str) -> Option<(String, u16)> {
    let target = Target::of(api::find("discovery.k8s.io", "v1", "endpointslices")?);
    let slices = server.store.list(&target.prefix(namespace));
    let mut found = Vec::new();
    for slice in slices.iter().map(|entry| codec::tree(entry)) {
        if meta::label(&slice, "kubernetes.io/service-name") != Some(service) {
            continue;
        }
        let number = slice["ports"].as_array().into_iter().flatten();
        let number = number
            .filter(|p| p["name"].as_str().unwrap_or_default() == port)
            .find_map(|p| p["port"].as_u64());
        let Some(number) = number.and_then(|n| u16::try_from(n).ok()) else { continue };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            if endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false))
                && let Some(address) = endpoint["addresses"][0].as_str()
            {
                found.push((address.to_owned(), number));
            }
        }
    }
    let count = found.len() as u64;
    (count > 0).then(|| found.swap_remove(server.env.random_below(count) as usize))
}

fn node_proxy(server: &Server, path: &ResourcePath, incoming: &Asked) -> Result<Destination> {
    let (scheme, name, port) = split_name(&path.name);
    let (host, default) = kubelet(server, name)?;
    let number = if port.is_empty() {
        default
    } else {
        port.parse().map_err(|_| bad(format!("invalid port {port}")))?
    };
    Ok(Destination {
        host,
        port: number,
        tls: scheme != "http" && number == default || scheme == "https",
        path_and_query: rest(path, incoming),
        what: format!("node {name}"),
    })
}

async fn forward(
    connection: &Connection,
    incoming: Asked,
    to: Destination,
) -> Result<Response<ResponseBody>> {
    let Destination { host, port, tls, .. } = &to;
    let unreachable = |error: &dyn std::fmt::Display| {
        Box::new(Status::internal(format!("error trying to reach {} at {host}:{port}: {error}", to.what)))
    };
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    // Names are not looked up: nodes and endpoints have addresses, and the static program has no NSS.
    let ip: std::net::IpAddr = host.parse().map_err(|_| unreachable(&"not an IP address"))?;
    let connecting = TcpStream::connect(std::net::SocketAddr::new(ip, *port));
    let stream = tokio::time::timeout(limits::KUBELET_CONNECT, connecting).await;
    let stream = stream.map_err(|_| unreachable(&"dial timeout"))?.map_err(|error| unreachable(&error))?;
    let _best_effort = stream.set_nodelay(true);
    if *tls {
        let name = ServerName::try_from(host.clone()).map_err(|error| unreachable(&error))?;
        let handshake = connection.shared.kubelets.tls.connect(name, stream);
        let stream = tokio::time::timeout(limits::KUBELET_CONNECT, handshake).await;
        let stream = stream
            .map_err(|_| unreachable(&"TLS handshake timeout"))?
            .map_err(|error| unreachable(&error))?;
        exchange(connection, incoming, &to, &address, stream).await
    } else {
        exchange(connection, incoming, &to, &address, stream).await
    }
}

/// Sends the request on and answers with what comes back; an upgrade joins both connections.
async fn exchange<S>(
    connection: &Connection,
    incoming: Asked,
    to: &Destination,
    address: &str,
    stream: S,
) -> Result<Response<ResponseBody>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: &dyn std::fmt::Display| {
        Box::new(Status::internal(format!("error trying to reach {}: {error}", to.what)))
    };
    let env = &connection.shared.server.env;
    let (mut sender, driver) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    env.spawn(async move {
        let _ends_with_the_exchange = driver.with_upgrades().await;
    });
    let upgrading = incoming.headers.contains_key(UPGRADE);
    let mut request = incoming.request;
    let ours = upgrading.then(|| hyper::upgrade::on(&mut request));
    let mut outgoing = Request::new(request.into_body());
    *outgoing.method_mut() = incoming.method;
    *outgoing.uri_mut() = to.path_and_query.parse::<Uri>().map_err(|error| failed(&error))?;
    *outgoing.headers_mut() = onward_headers(&incoming.headers, upgrading);
    if let Ok(host) = HeaderValue::from_str(address) {
        outgoing.headers_mut().insert(HOST, host);
    }
    let mut answer = sender.send_request(outgoing).await.map_err(|error| failed(&error))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(pass_on(answer, sender));
    }
    let theirs = hyper::upgrade::on(&mut answer);
    if let Some(ours) = ours {
        env.spawn(async move {
            let (Ok(ours), Ok(theirs)) = (ours.await, theirs.await) else { return };
            let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
            let _either_side_may_hang_up = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
        });
    }
    let mut response = Response::new(respond::full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = answer.headers().clone();
    response.extensions_mut().insert(respond::Streams);
    Ok(response)
}

/// Headers of the client that matter to the other side; its credentials do not go on.
fn onward_headers(headers: &HeaderMap, upgrading: bool) -> HeaderMap {
    let mut out = headers.clone();
    let names: Vec<HeaderName> =
        out.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    names.into_iter().chain([AUTHORIZATION, HOST]).for_each(|name| {
        out.remove(name);
    });
    if !upgrading {
        for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
            out.remove(name);
        }
    }
    out
}

/// An ordinary answer, streamed as it comes (logs are followed).
fn pass_on(answer: Response<Incoming>, sender: http1::SendRequest<Incoming>) -> Response<ResponseBody> {
    let (mut parts, body) = answer.into_parts();
    for name in [CONNECTION, TRANSFER_ENCODING, HeaderName::from_static("keep-alive")] {
        parts.headers.remove(name);
    }
    parts.extensions.insert(respond::Streams);
    let frames = BodyStream::new(body).map_ok(move |frame| {
        // The connection lives as long as its answer is read.
        let _sender = &sender;
        frame
    });
    // A connection that breaks ends the answer; its length tells the client that something is missing.
    let frames = futures_util::StreamExt::scan(
        frames,
        (),
        |(), frame: std::result::Result<Frame<Bytes>, hyper::Error>| {
            std::future::ready(frame.ok().map(Ok::<_, Infallible>))
        },
    );
    let body: UnsyncBoxBody<Bytes, Infallible> = StreamBody::new(frames).boxed_unsync();
    Response::from_parts(parts, body)
}
