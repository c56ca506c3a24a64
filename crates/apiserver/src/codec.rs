//! Objects and bytes: the stored form, reading it back, and the resourceVersion that is never stored
//! but spliced in on the way out.
//!
//! The stored form is canonical JSON that starts with `kind`, `apiVersion` and `metadata`, so that the
//! place of the resourceVersion is found without parsing.

use apimachinery::meta;
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use store::Entry;

const METADATA: &[u8] = b"\"metadata\":{";

/// The stored bytes of an object; its resourceVersion is left out.
pub(crate) fn encode(object: &Value) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    write(object, None, &mut out);
    Bytes::from(out)
}

/// Writes an object in canonical order, with this resourceVersion or none.
fn write(object: &Value, revision: Option<u64>, out: &mut Vec<u8>) {
    let Some(map) = object.as_object() else {
        out.extend_from_slice(object.to_string().as_bytes());
        return;
    };
    out.push(b'{');
    for field in ["kind", "apiVersion"] {
        if let Some(value) = map.get(field) {
            write_field(field, value, out);
        }
    }
    if let Some(metadata) = map.get("metadata").and_then(Value::as_object) {
        write_name("metadata", out);
        out.push(b'{');
        if let Some(revision) = revision {
            out.extend_from_slice(format!("\"resourceVersion\":\"{revision}\"").as_bytes());
        }
        for (name, value) in metadata.iter().filter(|(name, _)| *name != "resourceVersion") {
            write_field(name, value, out);
        }
        out.push(b'}');
    }
    for (name, value) in map {
        if !matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
            write_field(name, value, out);
        }
    }
    out.push(b'}');
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    write_value(&Value::String(name.into()), out);
    out.push(b':');
}

fn write_field(name: &str, value: &Value, out: &mut Vec<u8>) {
    write_name(name, out);
    write_value(value, out);
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    // Writing JSON to memory cannot fail.
    serde_json::to_writer(&mut *out, value).expect("a JSON value is written to memory");
}

/// An object as an answer: canonical order, with whatever resourceVersion it carries.
pub(crate) fn to_json(object: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write(object, meta::resource_version(object), &mut out);
    out
}

/// Where the resourceVersion goes in stored bytes.
fn splice_at(stored: &[u8]) -> usize {
    let at = stored.windows(METADATA.len()).position(|window| window == METADATA);
    at.map_or(0, |at| at + METADATA.len())
}

/// Appends stored bytes with a resourceVersion.
pub(crate) fn splice(stored: &[u8], revision: u64, out: &mut Vec<u8>) {
    let at = splice_at(stored);
    out.reserve(stored.len() + 44);
    out.extend_from_slice(&stored[..at]);
    if at > 0 {
        out.extend_from_slice(b"\"resourceVersion\":\"");
        out.extend_from_slice(revision.to_string().as_bytes());
        out.push(b'"');
        if stored.get(at) != Some(&b'}') {
            out.push(b',');
        }
    }
    out.extend_from_slice(&stored[at..]);
}

/// The parsed form of an entry, resourceVersion included; parsed once.
pub(crate) fn tree(entry: &Entry) -> &Arc<Value> {
    entry.tree(|entry| {
        let mut value: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
        meta::set_resource_version(&mut value, Some(entry.mod_revision));
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn revisions_are_spliced_not_stored() {
        let object = json!({"data": {"a": "\"metadata\":{"}, "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"name": "x", "resourceVersion": "7"}});
        let stored = encode(&object);
        assert_eq!(
            stored,
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"data":{"a":"\"metadata\":{"}}"#
        );
        let mut out = Vec::new();
        splice(&stored, 9, &mut out);
        let back: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(meta::resource_version(&back), Some(9));
        assert_eq!(to_json(&back), out);
    }
}
