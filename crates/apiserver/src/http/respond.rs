//! Answers as HTTP: objects, lists, watches and failures in the form the client asked for.

use super::negotiate::{Encoding, Form, Shape};
use super::{gzip, pretty, table};
use crate::context::{Answer, Body};
use crate::handlers::list::Listed;
use crate::handlers::watch::{Item, Watch};
use crate::limits;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Status, meta};
use bytes::Bytes;
use futures_util::stream;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY, WARNING,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

pub(crate) type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// Marks an answer that has no end yet: it is sent as it comes, never collected.
#[derive(Clone)]
pub(crate) struct Streams;

pub(crate) fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    Full::new(bytes.into()).boxed_unsync()
}

pub(crate) fn plain(
    code: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<ResponseBody> {
    let mut response = Response::new(full(text));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A failure in the client's encoding.
pub(crate) fn failure(status: &Status, form: &Form) -> Response<ResponseBody> {
    let mut response = bytes(status.code, form, status.to_json());
    if let Some(seconds) = status.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// JSON bytes in the client's encoding.
pub(crate) fn bytes(code: u16, form: &Form, json: Vec<u8>) -> Response<ResponseBody> {
    let content = match form.encoding {
        Encoding::Yaml => to_yaml(&json),
        Encoding::Protobuf => to_protobuf(&json).unwrap_or(json),
        Encoding::Json if form.pretty => pretty::indent(&json),
        Encoding::Json => json,
    };
    let mut content = content;
    if form.encoding == Encoding::Json && content.last() != Some(&b'\n') {
        content.push(b'\n');
    }
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    plain(code, form.content_type(), content)
}

fn to_yaml(json: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    super::yaml::write(&value).into_bytes()
}

/// `None` for kinds that have no protobuf form.
fn to_protobuf(json: &[u8]) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let gvk = meta::gvk(&value)?;
    let ty = schema::table().kind(&gvk.group, &gvk.version, &gvk.kind)?;
    Some(schema::encode_protobuf(ty, &value))
}

pub(crate) fn add_warnings(response: &mut Response<ResponseBody>, warnings: &[String]) {
    for warning in warnings {
        let text: String = warning.chars().filter(|c| !c.is_control()).collect();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// Compresses a finished answer if it is worth it.
pub(crate) async fn compress(response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    let Ok(collected) = body.collect().await;
    let content = collected.to_bytes();
    parts.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if content.len() < limits::GZIP_FROM {
        return Response::from_parts(parts, full(content));
    }
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, full(gzip::compress(&content)))
}

pub(crate) fn answer(
    server: &Server,
    target: &Target,
    answer: &Answer,
    form: &Form,
) -> Response<ResponseBody> {
    match &form.shape {
        Shape::Table(version) => {
            let object = answer.body.tree();
            let rows = table::of(server, target, &[object], version, form, true);
            bytes(answer.code, form, table::to_json(&rows))
        }
        Shape::Partial(version) => {
            let object = answer.body.tree();
            bytes(answer.code, form, schema::encode_any(&partial(&object, version)))
        }
        _ => bytes(answer.code, form, answer.body.json()),
    }
}

/// Only the metadata of an object.
pub(crate) fn partial(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"],
    })
}

fn list_metadata(listed: &Listed) -> Value {
    let mut metadata = json!({"resourceVersion": listed.revision.to_string()});
    if !listed.continue_token.is_empty() {
        metadata["continue"] = listed.continue_token.clone().into();
    }
    if let Some(remaining) = listed.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    metadata
}

/// The head of a list, up to and without its first item.
fn list_head(kind: &str, api_version: &str, listed: &Listed) -> Vec<u8> {
    let mut metadata = format!(r#"{{"resourceVersion":"{}""#, listed.revision);
    if !listed.continue_token.is_empty() {
        metadata.push_str(&format!(r#","continue":"{}""#, listed.continue_token));
    }
    if let Some(remaining) = listed.remaining {
        metadata.push_str(&format!(r#","remainingItemCount":{remaining}"#));
    }
    format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata}}},"items":["#)
        .into_bytes()
}

pub(crate) fn list(server: &Server, listed: &Listed, form: &Form) -> Response<ResponseBody> {
    let target = &listed.target;
    match &form.shape {
        Shape::Table(version) => {
            let objects: Vec<Arc<Value>> = listed.entries.iter().map(|entry| target.tree(entry)).collect();
            let mut rows = table::of(server, target, &objects, version, form, true);
            rows["metadata"] = list_metadata(listed);
            bytes(200, form, table::to_json(&rows))
        }
        Shape::PartialList(version) | Shape::Partial(version) => {
            let mut out = list_head("PartialObjectMetadataList", &format!("meta.k8s.io/{version}"), listed);
            for (index, entry) in listed.entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                schema_into(&partial(&target.tree(entry), version), &mut out);
            }
            out.extend_from_slice(b"]}");
            bytes(200, form, out)
        }
        _ => {
            let mut out = list_head(&format!("{}List", target.info.kind), &target.info.api_version(), listed);
            out.reserve(listed.entries.iter().map(|entry| entry.value.len() + 48).sum());
            for (index, entry) in listed.entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                target.write_json(entry, entry.mod_revision, &mut out);
            }
            out.extend_from_slice(b"]}");
            bytes(200, form, out)
        }
    }
}

fn schema_into(object: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(&schema::encode_any(object));
}

/// One line of a watch in the form the client asked for. `first` is true for the first table.
pub(crate) fn watch_line(
    server: &Server,
    target: &Target,
    item: &Item,
    form: &Form,
    first: &mut bool,
) -> Bytes {
    match &form.shape {
        Shape::Plain | Shape::Discovery(_) => item.json(target),
        Shape::Table(version) => reshaped(target, item, |object, bookmark| {
            let objects = [Arc::new(object)];
            let mut rows = table::of(server, target, &objects, version, form, std::mem::take(first));
            rows["metadata"] = json!({"resourceVersion": meta::resource_version_str(&objects[0])});
            if bookmark {
                // A bookmark's row shows nothing, but its object carries the annotations.
                rows["rows"][0]["cells"] = json!([]);
            }
            table::to_json(&rows)
        }),
        Shape::Partial(version) | Shape::PartialList(version) => {
            reshaped(target, item, |object, _| schema::encode_any(&partial(&object, version)))
        }
    }
}

/// Rewrites the object of an event; errors stay as they are.
fn reshaped(target: &Target, item: &Item, reshape: impl FnOnce(Value, bool) -> Vec<u8>) -> Bytes {
    let line = item.json(target);
    let bookmark = matches!(item, Item::Bookmark { .. });
    if matches!(item, Item::Error(_)) {
        return line;
    }
    let Ok(mut event) = serde_json::from_slice::<Value>(&line) else { return line };
    let object = reshape(event["object"].take(), bookmark);
    let kind = event["type"].as_str().unwrap_or_default();
    let mut out = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
    out.extend_from_slice(&object);
    out.extend_from_slice(b"}\n");
    out.into()
}

/// A watch as a chunked body, one line per event.
pub(crate) fn watch(server: Arc<Server>, watch: Box<Watch>, form: Form) -> Response<ResponseBody> {
    let content_type = if form.encoding == Encoding::Yaml { "application/yaml" } else { "application/json" };
    let lines = stream::unfold((watch, true), move |(mut watch, mut first)| {
        let (server, form) = (server.clone(), form.clone());
        async move {
            let item = watch.next().await?;
            let line = watch_line(&server, &watch.target, &item, &form, &mut first);
            Some((Ok::<_, Infallible>(Frame::data(line)), (watch, first)))
        }
    });
    let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// An answer that is not about a stored object.
pub(crate) fn value(code: u16, value: Value, form: &Form) -> Response<ResponseBody> {
    bytes(code, form, Body::object(value).json())
}
