//! One HTTP request: who asks, what for, and the answer on the wire.

use super::connect::{self, Kubelets};
use super::negotiate::{self, Encoding, Form, Shape};
use super::query::Query;
use super::respond::{self, ResponseBody};
use super::route::{self, ResourcePath};
use super::websocket;
use crate::authn::Certificate;
use crate::authz::Attributes;
use crate::connection_tls::ClientCertificates;
use crate::context::{Call, Result};
use crate::resources::Target;
use crate::server::{Reply, Server, body_kind};
use crate::{authn, decode, discovery, health, limits, openapi};
use apimachinery::Status;
use bytes::Bytes;
use client::{Options, Patch, Request as Typed, UserInfo, Verb};
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use schema::Format;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

/// What all connections share.
pub(crate) struct Shared {
    pub server: Arc<Server>,
    pub kubelets: Kubelets,
    pub clients: Arc<ClientCertificates>,
}

/// What is known about a connection.
pub(crate) struct Connection {
    pub shared: Arc<Shared>,
    pub certificate: Certificate,
    pub peer: SocketAddr,
}

type HttpResponse = Response<ResponseBody>;

/// A request taken apart.
pub(crate) struct Asked {
    pub method: Method,
    pub path: String,
    pub query: Query,
    pub query_text: String,
    pub headers: HeaderMap,
    pub user: UserInfo,
    pub request: Request<Incoming>,
}

/// Answers a request; failures are answers too.
pub(crate) async fn handle(connection: Arc<Connection>, request: Request<Incoming>) -> HttpResponse {
    let server = connection.shared.server.clone();
    let audit_id = audit_id(&server, request.headers());
    let gzip = wants_gzip(request.headers()) && !connection.peer.ip().is_loopback();
    let query_text = request.uri().query().unwrap_or_default().to_owned();
    let query = Query::parse(&query_text);
    let form = negotiate::negotiate(request.headers(), &query, |encoding, shape| {
        *shape == Shape::Plain && encoding != Encoding::Protobuf
    })
    .unwrap_or_else(|_| Form::json());
    let mut response = match respond(&connection, request, query, query_text).await {
        Ok(response) => response,
        Err(status) => respond::failure(&status, &form),
    };
    let streams = response.extensions().get::<respond::Streams>().is_some();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&audit_id) {
        headers.insert("audit-id", value);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    if gzip && !streams && response.status() == StatusCode::OK {
        return respond::compress(response).await;
    }
    response
}

fn audit_id(server: &Server, headers: &HeaderMap) -> String {
    let given = headers.get("audit-id").and_then(|value| value.to_str().ok()).filter(|id| id.len() <= 64);
    given.map_or_else(|| server.env.uuid(), str::to_owned)
}

fn wants_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|part| part.trim().starts_with("gzip"))
}

async fn respond(
    connection: &Connection,
    request: Request<Incoming>,
    query: Query,
    query_text: String,
) -> Result<HttpResponse> {
    let server = &connection.shared.server;
    let user = authn::authenticate(server, request.headers(), &connection.certificate)?;
    let incoming = Asked {
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        query,
        query_text,
        headers: request.headers().clone(),
        user,
        request,
    };
    if let Some(path) = route::resource_path(&incoming.path)
        && has_group_version(server, &path)
    {
        return resource(connection, incoming, path).await;
    }
    let attributes = Attributes::of_path(&incoming.user, route::path_verb(&incoming.method), &incoming.path);
    server.authz.authorize(server, &attributes)?;
    let found = health::respond(server, &incoming)
        .or_else(|| discovery::respond(server, &incoming))
        .or_else(|| openapi::respond(server, &incoming));
    found.unwrap_or_else(|| Ok(page_not_found()))
}

/// Plain text, not a Status, as upstream answers for paths outside the API.
fn page_not_found() -> HttpResponse {
    respond::plain(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n")
}

fn has_group_version(server: &Server, path: &ResourcePath) -> bool {
    let (group, version) = (path.gvr.group.as_str(), path.gvr.version.as_str());
    let here = |info: &api::ResourceInfo| info.group == group && info.version == version;
    api::resources().iter().any(|info| info.served_by_default && here(info))
        || group.contains('.') && server.custom.served().has_group_version(group, version)
}

/// The verb that a method is for a resource path.
fn verb(incoming: &Asked, path: &ResourcePath) -> Result<Verb> {
    let watch = path.watch || incoming.query.flag("watch").unwrap_or(false);
    let named = !path.name.is_empty();
    Ok(match incoming.method {
        Method::GET | Method::HEAD if watch && path.subresource.is_empty() => Verb::Watch,
        Method::GET | Method::HEAD if named => Verb::Get,
        Method::GET | Method::HEAD => Verb::List,
        Method::POST if !named || !path.subresource.is_empty() => Verb::Create,
        Method::PUT if named => Verb::Update,
        Method::PATCH if named => Verb::Patch(patch_kind(&incoming.headers)?),
        Method::DELETE if named => Verb::Delete,
        Method::DELETE => Verb::DeleteCollection,
        _ => return Err(Box::new(Status::method_not_allowed())),
    })
}

fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

const PATCH_TYPES: [(&str, Patch); 4] = [
    ("application/json-patch+json", Patch::Json),
    ("application/merge-patch+json", Patch::Merge),
    ("application/strategic-merge-patch+json", Patch::Strategic),
    ("application/apply-patch+yaml", Patch::Apply),
];

fn patch_kind(headers: &HeaderMap) -> Result<Patch> {
    let found = PATCH_TYPES.iter().find(|(name, _)| *name == media_type(headers));
    found.map(|(_, kind)| *kind).ok_or_else(|| Box::new(Status::unsupported_patch_type()))
}

async fn resource(connection: &Connection, incoming: Asked, path: ResourcePath) -> Result<HttpResponse> {
    let server = &connection.shared.server;
    let connects = connect::is_connect(&path);
    let verb = verb(&incoming, &path)?;
    let mut options = incoming.query.options()?;
    let mut name = path.name.clone();
    if verb == Verb::Watch && !name.is_empty() {
        // Watching one object is watching its collection with a selector.
        options.field_selector = join_selectors(&options.field_selector, &format!("metadata.name={name}"));
        name.clear();
    }
    let user_agent =
        incoming.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let typed = Typed {
        verb,
        resource: path.gvr.clone(),
        namespace: path.namespace.clone(),
        name,
        subresource: path.subresource.clone(),
        body: None,
        options,
        user_agent: user_agent.to_owned(),
    };
    let mut call = server.call(incoming.user.clone(), typed);
    let Some(target) = Target::find(server, &path.gvr) else {
        server.authz.authorize(server, &Attributes::of(&call))?;
        return Err(Box::new(Status::resource_not_found()));
    };
    if connects {
        return connect::serve(connection, incoming, &path, &target).await;
    }
    let form = form_of(&incoming, verb, &target)?;
    let (headers, mut request) = (incoming.headers, incoming.request);
    let upgrade =
        (verb == Verb::Watch && websocket::is_upgrade(&headers)).then(|| hyper::upgrade::on(&mut request));
    // Rights come before the body: a stranger's megabytes are not read.
    server.authz.authorize(server, &Attributes::of(&call))?;
    read_body(&mut call, &target, &headers, request.into_body()).await?;
    let reply = match server.serve(&mut call).await {
        Ok(reply) => reply,
        Err(status) if call.warnings.is_empty() => return Err(status),
        Err(status) => {
            let mut response = respond::failure(&status, &Form::json());
            respond::add_warnings(&mut response, &call.warnings);
            return Ok(response);
        }
    };
    let mut response = match reply {
        Reply::Answer(answer) => respond::answer(server, &target, &answer, &form),
        Reply::List(listed) => respond::list(server, &listed, &form),
        Reply::Watch(watch) => {
            let mut response = match upgrade {
                Some(upgrade) => websocket::watch(server.clone(), watch, form, &headers, upgrade),
                None => respond::watch(server.clone(), watch, form),
            };
            response.extensions_mut().insert(respond::Streams);
            response
        }
    };
    respond::add_warnings(&mut response, &call.warnings);
    Ok(response)
}

fn join_selectors(one: &str, other: &str) -> String {
    if one.is_empty() { other.to_owned() } else { format!("{one},{other}") }
}

/// Which forms a verb can answer in.
fn form_of(incoming: &Asked, verb: Verb, target: &Target) -> Result<Form> {
    negotiate::negotiate(&incoming.headers, &incoming.query, |encoding, shape| match shape {
        Shape::Plain => {
            encoding != Encoding::Protobuf
                || target.custom.is_none() && matches!(verb, Verb::Get | Verb::Create | Verb::Update)
        }
        Shape::Table(version) => encoding == Encoding::Json && matches!(version.as_str(), "v1" | "v1beta1"),
        Shape::Partial(version) => {
            encoding == Encoding::Json && verb != Verb::List && matches!(version.as_str(), "v1" | "v1beta1")
        }
        Shape::PartialList(version) => {
            encoding == Encoding::Json && verb == Verb::List && matches!(version.as_str(), "v1" | "v1beta1")
        }
        Shape::Discovery(_) => false,
    })
    // An answer in protobuf is never needed where JSON is accepted too.
    .map(|form| prefer_json(form, &incoming.headers))
}

fn prefer_json(form: Form, headers: &HeaderMap) -> Form {
    let accept = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let json = accept.split(',').any(|range| {
        matches!(range.split(';').next().unwrap_or_default().trim(), "application/json" | "*/*")
    });
    if form.encoding == Encoding::Protobuf && json { Form { encoding: Encoding::Json, ..form } } else { form }
}

async fn collect(body: Incoming) -> Result<Bytes> {
    let too_large = || Box::new(Status::request_entity_too_large(limits::MAX_BODY));
    let collected = Limited::new(body, limits::MAX_BODY).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            too_large()
        } else {
            Box::new(Status::bad_request(format!("the body could not be read: {error}")))
        }
    })?;
    Ok(collected.to_bytes())
}

fn format_of(headers: &HeaderMap) -> Result<Format> {
    match media_type(headers) {
        "" | "application/json" | "*/*" => Ok(Format::Json),
        "application/yaml" => Ok(Format::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(Format::Protobuf),
        _ => Err(Box::new(Status::unsupported_media_type(&[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
        ]))),
    }
}

/// Reads the body that the verb has, into the call.
async fn read_body(call: &mut Call, target: &Target, headers: &HeaderMap, body: Incoming) -> Result<()> {
    match call.verb() {
        Verb::Get | Verb::List | Verb::Watch => Ok(()),
        Verb::Create | Verb::Update => {
            let format = format_of(headers)?;
            let bytes = collect(body).await?;
            let Some(kind) = body_kind(target, &call.request.subresource) else { return Ok(()) };
            let validation = call.options().field_validation.clone();
            let (object, warnings) = decode::body(target, &kind, format, &bytes, &validation)?;
            warnings.into_iter().for_each(|warning| call.warn(warning));
            call.request.body = Some(object);
            Ok(())
        }
        Verb::Patch(kind) => {
            let bytes = collect(body).await?;
            let patch = match kind {
                Patch::Apply => {
                    let (patch, warnings) = decode::apply_patch(&bytes, &call.options().field_validation)?;
                    warnings.into_iter().for_each(|warning| call.warn(warning));
                    patch
                }
                _ => schema::json_value(&bytes).map_err(|error| {
                    Box::new(Status::bad_request(format!("error decoding patch: {error}")))
                })?,
            };
            call.request.body = Some(patch);
            Ok(())
        }
        Verb::Delete | Verb::DeleteCollection => {
            let bytes = collect(body).await?;
            if bytes.is_empty() {
                return Ok(());
            }
            let sent = decode::delete_options(format_of(headers)?, &bytes)?;
            merge_delete_options(&mut call.request.options, &sent);
            Ok(())
        }
    }
}

/// Options in the body win over those in the query.
fn merge_delete_options(options: &mut Options, sent: &Value) {
    let text = |pointer: &str| sent.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    options.precondition_uid = text("/preconditions/uid");
    options.precondition_resource_version = text("/preconditions/resourceVersion");
    if let Some(policy) = text("/propagationPolicy") {
        options.propagation_policy = Some(policy);
    }
    if let Some(seconds) = sent["gracePeriodSeconds"].as_i64() {
        options.grace_period_seconds = Some(seconds);
    }
    if let Some(orphan) = sent["orphanDependents"].as_bool() {
        options.orphan_dependents = Some(orphan);
    }
    if let Some(dry_run) = sent["dryRun"].as_array().filter(|list| !list.is_empty()) {
        options.dry_run = dry_run.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
    }
}
