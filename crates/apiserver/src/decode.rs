//! From what a client sent to an object the registry takes. Temporary generic form.

use crate::context::Result;
use api::ResourceInfo;
use apimachinery::Status;
use apimachinery::gvk::GroupVersionKind;
use serde_json::Value;

/// The formats of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
    Protobuf,
}

/// Checks an object that a patch made: unknown fields are dropped and reported.
pub(crate) fn check(_info: &ResourceInfo, _object: &mut Value, _validation: &str) -> Result<Vec<String>> {
    Ok(Vec::new())
}

pub(crate) fn strategic_merge(_info: &ResourceInfo, old: &Value, patch: &Value) -> Result<Value> {
    let mut new = old.clone();
    apimachinery::patch::merge_patch(&mut new, patch);
    Ok(new)
}

/// Reads a body that should be of this kind. Gives the object and the warnings.
pub(crate) fn body(_kind: &GroupVersionKind, format: Format, bytes: &[u8], _validation: &str) -> Result<(Value, Vec<String>)> {
    let bad = |text: String| Box::new(Status::bad_request(text));
    let value: Value = match format {
        Format::Json => serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?,
        Format::Yaml => serde_yaml_ng::from_slice(bytes).map_err(|e| bad(e.to_string()))?,
        Format::Protobuf => return Err(bad("protobuf".into())),
    };
    Ok((value, Vec::new()))
}
