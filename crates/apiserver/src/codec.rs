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
const UID: &[u8] = b"\"uid\":\"";

/// The stored bytes of an object; its resourceVersion is left out.
pub(crate) fn encode(object: &Value) -> Bytes {
    if meta::resource_version_str(object).is_empty() {
        return schema::encode_any(object).into();
    }
    let mut object = object.clone();
    meta::set_resource_version(&mut object, None);
    schema::encode_any(&object).into()
}

/// An object as an answer: canonical order, with whatever resourceVersion it carries.
pub(crate) fn to_json(object: &Value) -> Vec<u8> {
    schema::encode_any(object)
}

/// Where the resourceVersion goes in stored bytes: behind the uid, as the API prints it. What comes
/// before the uid are plain strings, so nothing can be mistaken for it.
fn splice_at(stored: &[u8]) -> Option<(usize, bool)> {
    let find = |from: usize, what: &[u8]| {
        stored[from..].windows(what.len()).position(|window| window == what).map(|at| from + at + what.len())
    };
    let metadata = find(0, METADATA)?;
    let behind_uid = find(metadata, UID)
        .filter(|at| !stored[metadata..*at].contains(&b'{'))
        .and_then(|at| find(at, b"\""));
    Some(behind_uid.map_or((metadata, false), |at| (at, true)))
}

/// Appends stored bytes with a resourceVersion.
pub(crate) fn splice(stored: &[u8], revision: u64, out: &mut Vec<u8>) {
    let Some((at, behind)) = splice_at(stored) else {
        out.extend_from_slice(stored);
        return;
    };
    out.reserve(stored.len() + 44);
    out.extend_from_slice(&stored[..at]);
    if behind {
        out.push(b',');
    }
    out.extend_from_slice(b"\"resourceVersion\":\"");
    out.extend_from_slice(revision.to_string().as_bytes());
    out.push(b'"');
    if !behind && stored.get(at) != Some(&b'}') {
        out.push(b',');
    }
    out.extend_from_slice(&stored[at..]);
}

/// The parsed form of an entry, resourceVersion included; shared while somebody holds it.
pub(crate) fn tree(entry: &Entry) -> Arc<Value> {
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
            "metadata": {"name": "x", "uid": "u", "labels": {"uid": "7"}, "resourceVersion": "7"}});
        let stored = encode(&object);
        let want = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","uid":"u","labels":{"uid":"7"}},"data":{"a":"\"metadata\":{"}}"#;
        assert_eq!(stored, want);
        let mut out = Vec::new();
        splice(&stored, 9, &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            want.replace(r#""uid":"u""#, r#""uid":"u","resourceVersion":"9""#)
        );
        let back: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(to_json(&back), out);
    }
}
