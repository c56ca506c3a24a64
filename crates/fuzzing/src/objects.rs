//! Bodies: objects and patches.

use schema::TypeRef;
use serde_json::Value;

fn pod() -> TypeRef {
    schema::table().kind("", "v1", "Pod").expect("Pods are built in")
}

/// What was decoded is written, and reads as the same again.
fn settle(ty: TypeRef, decoded: Value) {
    let written = schema::encode(ty, &decoded);
    let again = schema::decode_json(ty, &written).expect("what we write can be read").object;
    assert_eq!(schema::encode(ty, &again), written);
}

pub fn json(bytes: &[u8]) {
    if let Ok(decoded) = schema::decode_json(pod(), bytes) {
        settle(pod(), decoded.object);
    }
    let _ = schema::sniff(schema::Format::detect(bytes), bytes);
}

pub fn yaml(bytes: &[u8]) {
    if let Ok(decoded) = schema::decode_yaml(pod(), bytes) {
        settle(pod(), decoded.object);
    }
}

pub fn protobuf(bytes: &[u8]) {
    if let Ok((kind, value)) = schema::decode_protobuf(bytes)
        && let Some(ty) = schema::table().kind(&kind.group, &kind.version, &kind.kind)
    {
        let again = schema::encode_protobuf(ty, &value);
        let (same, _) = schema::decode_protobuf(&again).expect("what we write can be read");
        assert_eq!(same, kind);
    }
    let _ = schema::protobuf::decode_message(pod(), bytes);
}

/// Two documents, split by a zero byte: an object and a patch of it.
pub fn patches(bytes: &[u8]) {
    let middle = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (object, patch) = (&bytes[..middle], bytes.get(middle + 1..).unwrap_or_default());
    let Ok(object) = schema::decode_json(pod(), object).map(|decoded| decoded.object) else { return };
    let _ = apimachinery::patch::json_patch(&object, patch);
    let Ok(patch) = schema::json_value(patch) else { return };
    let mut merged = object.clone();
    apimachinery::patch::merge_patch(&mut merged, &patch);
    let _ = schema::strategic_merge(pod(), object, &patch);
}

pub fn managed_fields(bytes: &[u8]) {
    let Ok(value) = schema::json_value(bytes) else { return };
    if let Ok(managed) = schema::apply::Managed::decode(&value) {
        let written = managed.encode();
        schema::apply::Managed::decode(&written).expect("what we write can be read");
    }
    if let Ok(set) = schema::apply::Set::decode(&value) {
        let paths = set.paths().len();
        let again = schema::apply::Set::decode(&set.into_value()).expect("what we write can be read");
        assert_eq!(again.paths().len(), paths);
    }
}
