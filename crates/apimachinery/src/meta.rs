//! ObjectMeta on untyped objects: readers that treat absent as empty, and setters that remove what
//! is empty. Nothing here validates; see `validation` and the kinds' own rules.

use crate::gvk::{GroupVersionKind, parse_api_version};
use crate::time::Time;
use serde_json::{Map, Value};

/// Longest name the generator makes (`generateName` prefix plus suffix).
pub const MAX_GENERATED_NAME: usize = 63;
/// Random characters after a `generateName` prefix.
pub const GENERATED_SUFFIX: usize = 5;
/// No vowels and no easily confused digits, as upstream.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// `metadata`, if it is an object.
pub fn metadata(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata")?.as_object()
}

/// `metadata`, made if absent. A non-object is replaced.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    object_at(as_object_mut(object), "metadata")
}

/// The object behind `value`; anything else is replaced by an empty object.
pub fn as_object_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// The object under `key`, made if absent; a non-object is replaced.
pub fn object_at<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    as_object_mut(map.entry(key).or_insert(Value::Null))
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    metadata(object).and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default()
}

fn set_text(object: &mut Value, key: &str, value: &str) {
    let meta = metadata_mut(object);
    if value.is_empty() {
        meta.remove(key);
    } else {
        meta.insert(key.to_owned(), value.into());
    }
}

macro_rules! text_fields {
    ($($get:ident, $set:ident => $key:literal;)+) => {
        $(
            #[doc = concat!("`metadata.", $key, "`; empty if absent.")]
            pub fn $get(object: &Value) -> &str {
                text(object, $key)
            }
            #[doc = concat!("Sets `metadata.", $key, "`; empty removes it.")]
            pub fn $set(object: &mut Value, value: &str) {
                set_text(object, $key, value);
            }
        )+
    };
}

text_fields! {
    name, set_name => "name";
    generate_name, set_generate_name => "generateName";
    namespace, set_namespace => "namespace";
    uid, set_uid => "uid";
}

pub fn api_version(object: &Value) -> &str {
    object.get("apiVersion").and_then(Value::as_str).unwrap_or_default()
}

pub fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

pub fn gvk(object: &Value) -> Option<GroupVersionKind> {
    let (group, version) = parse_api_version(api_version(object))?;
    Some(GroupVersionKind::new(group, version, kind(object)))
}

pub fn set_gvk(object: &mut Value, gvk: &GroupVersionKind) {
    let map = as_object_mut(object);
    map.insert("apiVersion".into(), gvk.api_version().into());
    map.insert("kind".into(), gvk.kind.as_str().into());
}

/// `namespace/name`, or just the name for cluster-scoped objects.
pub fn key(object: &Value) -> String {
    match namespace(object) {
        "" => name(object).to_owned(),
        namespace => format!("{namespace}/{}", name(object)),
    }
}

/// `metadata.resourceVersion` as a number; `None` if absent or no number.
pub fn resource_version(object: &Value) -> Option<u64> {
    resource_version_str(object).parse().ok()
}

/// `metadata.resourceVersion` as written; empty if absent.
pub fn resource_version_str(object: &Value) -> &str {
    text(object, "resourceVersion")
}

/// `None` removes it.
pub fn set_resource_version(object: &mut Value, revision: Option<u64>) {
    set_text(object, "resourceVersion", &revision.map(|r| r.to_string()).unwrap_or_default());
}

/// `metadata.generation`; 0 if absent.
pub fn generation(object: &Value) -> i64 {
    metadata(object).and_then(|m| m.get("generation")).and_then(Value::as_i64).unwrap_or(0)
}

pub fn set_generation(object: &mut Value, generation: i64) {
    metadata_mut(object).insert("generation".into(), generation.into());
}

pub fn labels(object: &Value) -> Option<&Map<String, Value>> {
    metadata(object)?.get("labels")?.as_object()
}

pub fn annotations(object: &Value) -> Option<&Map<String, Value>> {
    metadata(object)?.get("annotations")?.as_object()
}

pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    labels(object)?.get(key)?.as_str()
}

pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    annotations(object)?.get(key)?.as_str()
}

pub fn set_label(object: &mut Value, key: &str, value: &str) {
    object_at(metadata_mut(object), "labels").insert(key.to_owned(), value.into());
}

pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    object_at(metadata_mut(object), "annotations").insert(key.to_owned(), value.into());
}

/// Removes the annotation, and the map with its last entry. True if it was there.
pub fn remove_annotation(object: &mut Value, key: &str) -> bool {
    remove_entry(object, "annotations", key)
}

/// Removes the label, and the map with its last entry. True if it was there.
pub fn remove_label(object: &mut Value, key: &str) -> bool {
    remove_entry(object, "labels", key)
}

fn remove_entry(object: &mut Value, map: &str, key: &str) -> bool {
    let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return false };
    let Some(entries) = meta.get_mut(map).and_then(Value::as_object_mut) else { return false };
    let found = entries.remove(key).is_some();
    if entries.is_empty() {
        meta.remove(map);
    }
    found
}

fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    metadata(object).and_then(|m| m.get(key)).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list(object, "finalizers").iter().filter_map(Value::as_str)
}

pub fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    finalizers(object).any(|f| f == finalizer)
}

/// Replaces the finalizers; an empty list removes the field.
pub fn set_finalizers<S: Into<String>>(object: &mut Value, finalizers: impl IntoIterator<Item = S>) {
    let list: Vec<Value> = finalizers.into_iter().map(|f| Value::String(f.into())).collect();
    set_list(object, "finalizers", list);
}

/// Adds one finalizer at the end; true if it was not there.
pub fn add_finalizer(object: &mut Value, finalizer: &str) -> bool {
    if has_finalizer(object, finalizer) {
        return false;
    }
    let all: Vec<String> = finalizers(object).map(str::to_owned).chain([finalizer.to_owned()]).collect();
    set_finalizers(object, all);
    true
}

/// Removes one finalizer; true if it was there.
pub fn remove_finalizer(object: &mut Value, finalizer: &str) -> bool {
    if !has_finalizer(object, finalizer) {
        return false;
    }
    let rest: Vec<String> = finalizers(object).filter(|f| *f != finalizer).map(str::to_owned).collect();
    set_finalizers(object, rest);
    true
}

fn set_list(object: &mut Value, key: &str, items: Vec<Value>) {
    let meta = metadata_mut(object);
    if items.is_empty() {
        meta.remove(key);
    } else {
        meta.insert(key.to_owned(), items.into());
    }
}

/// One entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, Copy)]
pub struct OwnerReference<'a>(pub &'a Value);

impl<'a> OwnerReference<'a> {
    fn text(self, key: &str) -> &'a str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }
    pub fn api_version(self) -> &'a str {
        self.text("apiVersion")
    }
    pub fn kind(self) -> &'a str {
        self.text("kind")
    }
    pub fn name(self) -> &'a str {
        self.text("name")
    }
    pub fn uid(self) -> &'a str {
        self.text("uid")
    }
    pub fn is_controller(self) -> bool {
        self.0.get("controller").and_then(Value::as_bool).unwrap_or(false)
    }
    pub fn blocks_deletion(self) -> bool {
        self.0.get("blockOwnerDeletion").and_then(Value::as_bool).unwrap_or(false)
    }
    pub fn group(self) -> &'a str {
        parse_api_version(self.api_version()).map_or("", |(group, _)| group)
    }
}

pub fn owner_references(object: &Value) -> impl Iterator<Item = OwnerReference<'_>> {
    list(object, "ownerReferences").iter().map(OwnerReference)
}

/// The owner with `controller: true`.
pub fn controller(object: &Value) -> Option<OwnerReference<'_>> {
    owner_references(object).find(|o| o.is_controller())
}

/// Replaces the owner references; an empty list removes the field.
pub fn set_owner_references(object: &mut Value, owners: Vec<Value>) {
    set_list(object, "ownerReferences", owners);
}

/// A reference to `owner` as its controller.
pub fn controller_reference(owner: &Value, gvk: &GroupVersionKind) -> Value {
    serde_json::json!({
        "apiVersion": gvk.api_version(), "kind": gvk.kind, "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

fn time(object: &Value, key: &str) -> Option<Time> {
    Time::parse(text(object, key)).ok()
}

pub fn creation_timestamp(object: &Value) -> Option<Time> {
    time(object, "creationTimestamp")
}

pub fn set_creation_timestamp(object: &mut Value, time: Time) {
    set_text(object, "creationTimestamp", &time.to_string());
}

pub fn deletion_timestamp(object: &Value) -> Option<Time> {
    time(object, "deletionTimestamp")
}

/// True once a delete was asked for, whatever its time says.
pub fn is_deleting(object: &Value) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// `None` removes it.
pub fn set_deletion_timestamp(object: &mut Value, time: Option<Time>) {
    set_text(object, "deletionTimestamp", &time.map(|t| t.to_string()).unwrap_or_default());
}

/// Seconds.
pub fn deletion_grace_period(object: &Value) -> Option<i64> {
    metadata(object)?.get("deletionGracePeriodSeconds")?.as_i64()
}

/// Seconds; `None` removes it.
pub fn set_deletion_grace_period(object: &mut Value, seconds: Option<i64>) {
    let meta = metadata_mut(object);
    match seconds {
        Some(seconds) => meta.insert("deletionGracePeriodSeconds".into(), seconds.into()),
        None => meta.remove("deletionGracePeriodSeconds"),
    };
}

/// A name from a `generateName` prefix: cut to 58 characters, plus 5 random ones.
/// `random(n)` gives a number below `n`.
pub fn generated_name(prefix: &str, random: impl FnMut(usize) -> usize) -> String {
    let mut cut = prefix.len().min(MAX_GENERATED_NAME - GENERATED_SUFFIX);
    while !prefix.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{}", &prefix[..cut], random_suffix(GENERATED_SUFFIX, random))
}

/// Random characters of the generator's alphabet.
pub fn random_suffix(length: usize, mut random: impl FnMut(usize) -> usize) -> String {
    (0..length).map(|_| ALPHABET[random(ALPHABET.len()) % ALPHABET.len()] as char).collect()
}

/// Writes `hash` with the generator's alphabet, as upstream names ReplicaSets (`SafeEncodeString`).
pub fn safe_encode(text: &str) -> String {
    text.bytes().map(|b| ALPHABET[b as usize % ALPHABET.len()] as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn readers_treat_absent_as_empty() {
        let empty = json!({});
        assert_eq!(
            (name(&empty), uid(&empty), generation(&empty), resource_version(&empty)),
            ("", "", 0, None)
        );
        assert!(labels(&empty).is_none() && finalizers(&empty).next().is_none() && !is_deleting(&empty));
        let pod = json!({"metadata": {"name": "a", "namespace": "n", "resourceVersion": "12", "labels": {"x": "y"},
            "deletionTimestamp": "2026-11-20T09:39:00Z", "ownerReferences": [{"uid": "1"}, {"uid": "2", "controller": true}]}});
        assert_eq!(
            (key(&pod).as_str(), resource_version(&pod), label(&pod, "x")),
            ("n/a", Some(12), Some("y"))
        );
        assert_eq!(controller(&pod).map(|o| o.uid()), Some("2"));
        assert_eq!(deletion_timestamp(&pod).map(|t| t.to_string()).as_deref(), Some("2026-11-20T09:39:00Z"));
    }

    #[test]
    fn setters_remove_what_is_empty() {
        let mut object = json!({});
        set_name(&mut object, "a");
        set_resource_version(&mut object, Some(5));
        assert!(add_finalizer(&mut object, "f") && !add_finalizer(&mut object, "f"));
        set_annotation(&mut object, "k", "v");
        assert_eq!(
            object,
            json!({"metadata": {"name": "a", "resourceVersion": "5", "finalizers": ["f"], "annotations": {"k": "v"}}})
        );
        set_resource_version(&mut object, None);
        assert!(
            remove_finalizer(&mut object, "f")
                && remove_annotation(&mut object, "k")
                && !remove_label(&mut object, "k")
        );
        assert_eq!(object, json!({"metadata": {"name": "a"}}));
    }

    #[test]
    fn generated_names_are_cut() {
        let mut next = 0;
        let mut random = |n: usize| {
            next += 1;
            next % n
        };
        assert_eq!(generated_name("web-", &mut random), "web-cdfgh");
        assert_eq!(generated_name(&"a".repeat(70), &mut random).len(), MAX_GENERATED_NAME);
    }
}
