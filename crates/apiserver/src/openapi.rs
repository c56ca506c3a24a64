//! `/openapi/v2` and `/openapi/v3`: the schema table as OpenAPI documents. Made on first use; the
//! built-in resources do not change while the program runs.

use crate::context::Result;
use crate::http::gzip;
use crate::http::query::Query;
use crate::http::respond::{self, ResponseBody};
use crate::http::service::Asked;
use apimachinery::Status;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, Method, Response, StatusCode};
use schema::openapi::{self, OpenApiResource};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// gnostic's form of v2. Clients also write it with an `@`, which must not come back: Go's parser of
/// media types refuses it.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// A document, compressed because it is large and rarely asked for, and the hash that changes with it.
struct Document {
    compressed: Vec<u8>,
    hash: String,
}

impl Document {
    fn new(content: Vec<u8>) -> Document {
        let hash = Sha256::digest(&content).iter().map(|byte| format!("{byte:02X}")).collect();
        Document { compressed: gzip::compress(&content), hash }
    }

    fn content(&self) -> Bytes {
        gzip::decompress(&self.compressed).into()
    }
}

fn resource(info: &api::ResourceInfo) -> OpenApiResource {
    let owned = |verbs: &[&str]| verbs.iter().map(ToString::to_string).collect();
    OpenApiResource {
        group: info.group.into(),
        version: info.version.into(),
        kind: info.kind.into(),
        resource: info.resource.into(),
        namespaced: info.namespaced,
        verbs: owned(&info.verbs),
        subresources: info
            .subresources
            .iter()
            .map(|sub| openapi::OpenApiSubresource {
                name: sub.name.into(),
                group: sub.kind.group.clone(),
                version: sub.kind.version.clone(),
                kind: sub.kind.kind.clone(),
                verbs: owned(&sub.verbs),
            })
            .collect(),
        schema: None,
    }
}

fn resources() -> impl Iterator<Item = &'static api::ResourceInfo> {
    api::resources().iter().filter(|info| info.served_by_default)
}

fn v2() -> Vec<OpenApiResource> {
    resources().map(resource).collect()
}

/// The v3 documents by path (`api/v1`, `apis/apps/v1`).
fn v3() -> &'static BTreeMap<String, Document> {
    static DOCUMENTS: OnceLock<BTreeMap<String, Document>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let mut by_path: BTreeMap<String, Vec<OpenApiResource>> = BTreeMap::new();
        for info in resources() {
            let root = if info.group.is_empty() { "api" } else { "apis" };
            by_path.entry(format!("{root}/{}", info.api_version())).or_default().push(resource(info));
        }
        by_path.into_iter().map(|(path, list)| (path, Document::new(openapi::v3_document(&list)))).collect()
    })
}

/// `None` for paths that are not ours.
pub(crate) fn respond(incoming: &Asked) -> Option<Result<Response<ResponseBody>>> {
    static V2: OnceLock<Document> = OnceLock::new();
    static V2_PROTOBUF: OnceLock<Document> = OnceLock::new();
    let path = incoming.path.trim_matches('/').strip_prefix("openapi/")?;
    if !matches!(incoming.method, Method::GET | Method::HEAD) {
        return Some(Err(Box::new(Status::method_not_allowed())));
    }
    let accept = incoming.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let answer = match path {
        "v2" if accepts(accept, PROTOBUF) || accepts(accept, PROTOBUF_OLD) => {
            let document = V2_PROTOBUF.get_or_init(|| Document::new(openapi::v2_protobuf(&v2())));
            document_response(document, PROTOBUF, incoming)
        }
        "v2" => {
            let document = V2.get_or_init(|| Document::new(openapi::v2_json(&v2())));
            document_response(document, "application/json", incoming)
        }
        "v3" => {
            let entries = v3().iter().map(|(path, document)| (path.as_str(), document.hash.as_str()));
            document_response(&Document::new(openapi::v3_index(entries)), "application/json", incoming)
        }
        _ => {
            let document = v3().get(path.strip_prefix("v3/")?)?;
            let response = document_response(document, "application/json", incoming);
            cached(response, &incoming.query, &document.hash)
        }
    };
    Some(Ok(answer))
}

fn accepts(accept: &str, media: &str) -> bool {
    accept.split(',').any(|range| range.split(';').next().unwrap_or_default().trim() == media)
}

fn document_response(
    document: &Document,
    content_type: &'static str,
    incoming: &Asked,
) -> Response<ResponseBody> {
    let tag = format!("\"{}\"", document.hash);
    let known = incoming.headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let content = if known { Bytes::new() } else { document.content() };
    let mut response = respond::plain(StatusCode::OK, content_type, content);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

/// A document that was asked for by its hash never changes.
fn cached(mut response: Response<ResponseBody>, query: &Query, hash: &str) -> Response<ResponseBody> {
    if query.get("hash") == Some(hash) {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        response.headers_mut().insert("expires", HeaderValue::from_static("Fri, 31 Dec 2100 23:59:59 GMT"));
    }
    response
}
