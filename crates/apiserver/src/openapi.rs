//! `/openapi/v2` and `/openapi/v3`: the schema table and the schemas of custom resources as OpenAPI documents.
//! Made on first use. The built-in resources do not change while the program runs; documents with custom
//! resources are made again when one of theirs has changed.

use crate::context::Result;
use crate::custom::Served;
use crate::http::gzip;
use crate::http::query::Query;
use crate::http::respond::{self, ResponseBody};
use crate::http::service::Asked;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::Status;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, Method, Response, StatusCode};
use schema::openapi::{self, OpenApiResource};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

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

fn custom_resource(target: &Target) -> OpenApiResource {
    let schema = target.custom.as_ref().map(|custom| custom.version.json.clone());
    OpenApiResource { schema, ..resource(&target.info) }
}

fn resources() -> impl Iterator<Item = &'static api::ResourceInfo> {
    api::resources().iter().filter(|info| info.served_by_default)
}

fn path_of(info: &api::ResourceInfo) -> String {
    let root = if info.group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", info.api_version())
}

/// The v3 documents of what is built in, by path (`api/v1`, `apis/apps/v1`).
fn built_in() -> &'static BTreeMap<String, Arc<Document>> {
    static DOCUMENTS: OnceLock<BTreeMap<String, Arc<Document>>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let mut by_path: BTreeMap<String, Vec<OpenApiResource>> = BTreeMap::new();
        for info in resources() {
            by_path.entry(path_of(info)).or_default().push(resource(info));
        }
        let document = |list: &Vec<_>| Arc::new(Document::new(openapi::v3_document(list)));
        by_path.iter().map(|(path, list)| (path.clone(), document(list))).collect()
    })
}

/// The documents of one state of the custom resources, as far as somebody asked for them.
#[derive(Default)]
pub(crate) struct Documents(Mutex<Made>);

#[derive(Default)]
struct Made {
    /// Which state; see [`Served::number`].
    number: u64,
    v2: Option<Arc<Document>>,
    v2_protobuf: Option<Arc<Document>>,
    v3: Option<Arc<BTreeMap<String, Arc<Document>>>>,
    /// The documents with custom resources, with what they were made of.
    custom: BTreeMap<String, (Vec<OpenApiResource>, Arc<Document>)>,
}

impl Documents {
    fn made(&self, served: &Served) -> MutexGuard<'_, Made> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made.number != served.number {
            *made =
                Made { number: served.number, custom: std::mem::take(&mut made.custom), ..Made::default() };
        }
        made
    }

    fn v2(&self, served: &Served, protobuf: bool) -> Arc<Document> {
        let mut made = self.made(served);
        let all = || -> Vec<OpenApiResource> {
            resources().map(resource).chain(served.established().map(custom_resource)).collect()
        };
        let document = |content| Arc::new(Document::new(content));
        if protobuf {
            return made.v2_protobuf.get_or_insert_with(|| document(openapi::v2_protobuf(&all()))).clone();
        }
        made.v2.get_or_insert_with(|| document(openapi::v2_json(&all()))).clone()
    }

    fn v3(&self, served: &Served) -> Arc<BTreeMap<String, Arc<Document>>> {
        let mut made = self.made(served);
        if let Some(documents) = &made.v3 {
            return documents.clone();
        }
        let mut by_path: BTreeMap<String, Vec<OpenApiResource>> = BTreeMap::new();
        for target in served.established() {
            by_path.entry(path_of(&target.info)).or_default().push(custom_resource(target));
        }
        let mut documents = built_in().clone();
        let mut before = std::mem::take(&mut made.custom);
        for (path, mut list) in by_path {
            list.extend(resources().filter(|info| path_of(info) == path).map(resource));
            let known = before.remove(&path).filter(|(of, _)| *of == list);
            let (list, document) = known.unwrap_or_else(|| {
                let document = Arc::new(Document::new(openapi::v3_document(&list)));
                (list, document)
            });
            documents.insert(path.clone(), document.clone());
            made.custom.insert(path, (list, document));
        }
        made.v3.insert(Arc::new(documents)).clone()
    }
}

/// `None` for paths that are not ours.
pub(crate) fn respond(server: &Server, incoming: &Asked) -> Option<Result<Response<ResponseBody>>> {
    let path = incoming.path.trim_matches('/').strip_prefix("openapi/")?;
    if !matches!(incoming.method, Method::GET | Method::HEAD) {
        return Some(Err(Box::new(Status::method_not_allowed())));
    }
    let accept = incoming.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let served = server.custom.served();
    let documents = &server.openapi;
    let answer = match path {
        "v2" if accepts(accept, PROTOBUF) || accepts(accept, PROTOBUF_OLD) => {
            document_response(&documents.v2(&served, true), PROTOBUF, incoming)
        }
        "v2" => document_response(&documents.v2(&served, false), "application/json", incoming),
        "v3" => {
            let all = documents.v3(&served);
            let entries = all.iter().map(|(path, document)| (path.as_str(), document.hash.as_str()));
            document_response(&Document::new(openapi::v3_index(entries)), "application/json", incoming)
        }
        _ => {
            let all = documents.v3(&served);
            let document = all.get(path.strip_prefix("v3/")?)?;
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
