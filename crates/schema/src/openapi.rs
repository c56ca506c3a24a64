//! OpenAPI documents made from the table and a list of resources: v2 (JSON and the gnostic
//! protobuf that kubectl up to 1.28 insists on) and v3 (index and one document per version).
//!
//! Definitions carry the `x-kubernetes-*` extensions clients read: kinds, list types and keys,
//! patch strategies. Paths carry the parameters from which kubectl learns what the server can do
//! (`dryRun`, `fieldValidation`). Descriptions of fields are there if the crate was built with the
//! feature `descriptions`.

mod gnostic;
mod paths;
mod schemas;

use apimachinery::gvk::join_api_version;
use schemas::{Dialect, Schemas};
use serde_json::{Map, Value, json};

/// One resource as the documents need it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OpenApiResource {
    pub group: String,
    pub version: String,
    pub kind: String,
    /// The plural name in paths.
    pub resource: String,
    pub namespaced: bool,
    /// `get`, `list`, `create`, `update`, `patch`, `delete`, `deletecollection`, `watch`.
    pub verbs: Vec<String>,
    pub subresources: Vec<OpenApiSubresource>,
    /// The `openAPIV3Schema` of a custom resource; built-in kinds have theirs in the table.
    pub schema: Option<Value>,
}

/// A subresource, with the kind it speaks (`Scale`, `Eviction`, or that of its resource).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OpenApiSubresource {
    pub name: String,
    pub group: String,
    pub version: String,
    pub kind: String,
    pub verbs: Vec<String>,
}

impl OpenApiResource {
    /// `/api/v1` or `/apis/<group>/<version>`.
    fn base(&self) -> String {
        let prefix = if self.group.is_empty() { "/api" } else { "/apis" };
        format!("{prefix}/{}", join_api_version(&self.group, &self.version))
    }
}

fn info() -> Value {
    json!({"title": "Kubernetes", "version": "v1.36.2"})
}

/// The v2 document of all resources, as a tree.
pub fn v2(resources: &[OpenApiResource]) -> Value {
    let mut schemas = Schemas::new(Dialect::V2);
    let paths = paths::all(resources, &mut schemas);
    json!({
        "swagger": "2.0", "info": info(), "paths": paths, "definitions": schemas.finish(),
        "securityDefinitions": {"BearerToken": {"in": "header", "name": "authorization", "type": "apiKey", "description": "Bearer Token authentication"}},
        "security": [{"BearerToken": []}],
    })
}

/// `/openapi/v2` as JSON.
pub fn v2_json(resources: &[OpenApiResource]) -> Vec<u8> {
    v2(resources).to_string().into_bytes()
}

/// `/openapi/v2` as `application/com.github.proto-openapi.spec.v2.v1.0+protobuf`.
pub fn v2_protobuf(resources: &[OpenApiResource]) -> Vec<u8> {
    gnostic::document(&v2(resources))
}

/// The index `/openapi/v3`. Each entry is a path such as `api/v1` or `apis/apps/v1` and the hash
/// of its document; clients cache a document as long as its hash stays.
pub fn v3_index<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let paths: Map<String, Value> = entries
        .into_iter()
        .map(|(path, hash)| {
            (path.to_owned(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}))
        })
        .collect();
    json!({ "paths": paths }).to_string().into_bytes()
}

/// `/openapi/v3/<path>`: the document of one version. `resources` are those of this version.
pub fn v3_document(resources: &[OpenApiResource]) -> Vec<u8> {
    let mut schemas = Schemas::new(Dialect::V3);
    let paths = paths::all(resources, &mut schemas);
    let document = json!({
        "openapi": "3.0.0", "info": info(), "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": {"BearerToken": {"in": "header", "name": "authorization", "type": "apiKey", "description": "Bearer Token authentication"}},
        },
    });
    document.to_string().into_bytes()
}

#[cfg(test)]
mod tests;
