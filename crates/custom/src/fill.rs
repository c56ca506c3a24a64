//! From what a client sent, or what was stored, to what a schema says the object is: typed metadata, nothing
//! that is not declared, no null where none may be, and defaults filled in. Doing it twice changes nothing.

use crate::schema::{Rest, Schema};
use apimachinery::{FieldError, Path};
use schema::StrictProblem;
use serde_json::{Map, Value};

const TYPE_AND_META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops what is not declared; gives the paths, sorted.
pub fn prune(object: &mut Value, schema: &Schema) -> Vec<String> {
    let mut pruner = Pruner { path: String::new(), dropped: Vec::new() };
    if schema.preserves_unknown {
        pruner.keep(object, schema, true);
    } else {
        pruner.prune(object, Some(schema), true);
    }
    pruner.dropped.sort();
    pruner.dropped
}

struct Pruner {
    path: String,
    dropped: Vec<String>,
}

impl Pruner {
    fn within(&mut self, step: &str, go: impl FnOnce(&mut Pruner)) {
        let length = self.path.len();
        self.path.push_str(step);
        go(self);
        self.path.truncate(length);
    }

    fn step(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!(".{name}") }
    }

    fn prune(&mut self, value: &mut Value, schema: Option<&Schema>, root: bool) {
        if let Some(schema) = schema.filter(|schema| schema.preserves_unknown) {
            return self.keep(value, schema, root);
        }
        match value {
            Value::Object(map) => {
                let names: Vec<String> = map.keys().cloned().collect();
                let meta = root || schema.is_some_and(|schema| schema.embedded);
                for name in names {
                    if meta && TYPE_AND_META.contains(&name.as_str()) {
                        continue;
                    }
                    let declared = schema.and_then(|schema| inner(schema, &name));
                    let step = self.step(&name);
                    match (declared, map.get_mut(&name)) {
                        (Some(below), Some(value)) => {
                            self.within(&step, |this| this.prune(value, below, false));
                        }
                        _ => {
                            map.remove(&name);
                            self.dropped.push(format!("{}{step}", self.path));
                        }
                    }
                }
            }
            Value::Array(items) => {
                let below = schema.and_then(|schema| schema.items.as_deref());
                for (index, item) in items.iter_mut().enumerate() {
                    self.within(&format!("[{index}]"), |this| this.prune(item, below, false));
                }
            }
            _ => {}
        }
    }

    /// What keeps unknown fields is still pruned where it declares something.
    fn keep(&mut self, value: &mut Value, schema: &Schema, root: bool) {
        match value {
            Value::Object(map) => {
                let meta = root || schema.embedded;
                for (name, value) in map.iter_mut() {
                    if meta && TYPE_AND_META.contains(&name.as_str()) {
                        continue;
                    }
                    if let Some(below) = inner(schema, name) {
                        let step = self.step(name);
                        self.within(&step, |this| this.prune(value, below, false));
                    }
                }
            }
            Value::Array(items) => {
                let Some(below) = &schema.items else { return };
                for (index, item) in items.iter_mut().enumerate() {
                    self.within(&format!("[{index}]"), |this| this.keep(item, below, false));
                }
            }
            _ => {}
        }
    }
}

/// The schema of a declared field; `Some(None)` where anything is declared without a schema.
fn inner<'s>(schema: &'s Schema, name: &str) -> Option<Option<&'s Schema>> {
    if let Some(property) = schema.properties.get(name) {
        return Some(Some(property));
    }
    match &schema.rest {
        Some(Rest::Of(rest)) => Some(Some(rest)),
        // Anything may be here, but nothing below it is known.
        Some(Rest::Allowed(_)) => Some(None),
        None => None,
    }
}

/// Removes nulls where none may be, and fills defaults.
pub fn fill(object: &mut Value, schema: &Schema) {
    drop_nulls(object, Some(schema));
    defaults(object, schema);
}

fn drop_nulls(value: &mut Value, schema: Option<&Schema>) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let below = schema.and_then(|schema| schema.field(name));
            if value.is_null() && below.is_some_and(|below| !below.nullable && below.default.is_none()) {
                return false;
            }
            drop_nulls(value, below);
            true
        }),
        Value::Array(items) => {
            let below = schema.and_then(|schema| schema.items.as_deref());
            items.iter_mut().for_each(|item| drop_nulls(item, below));
        }
        _ => {}
    }
}

fn replaces_null(value: &mut Value, schema: &Schema) {
    if value.is_null() && !schema.nullable {
        *value = schema.default.clone().unwrap_or(Value::Null);
    }
}

fn defaults(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(map) => {
            for (name, property) in &schema.properties {
                let Some(default) = &property.default else { continue };
                if map.get(name).is_none_or(|value| value.is_null() && !property.nullable) {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in map.iter_mut() {
                if let Some(property) = schema.properties.get(name) {
                    defaults(value, property);
                } else if let Some(rest) = schema.rest_schema() {
                    replaces_null(value, rest);
                    defaults(value, rest);
                }
            }
        }
        Value::Array(items) => {
            let Some(below) = &schema.items else { return };
            for item in items {
                replaces_null(item, below);
                defaults(item, below);
            }
        }
        _ => {}
    }
}

/// Gives kind, apiVersion and metadata, of the object and of objects in it, their types; gives the paths of
/// unknown fields in metadata.
///
/// # Errors
/// The first of another type.
pub fn coerce(object: &mut Value, schema: &Schema) -> Result<Vec<String>, FieldError> {
    let mut unknown = Vec::new();
    coerce_at(object, schema, true, &Path::root(), &mut unknown)?;
    unknown.sort();
    Ok(unknown)
}

fn coerce_at(
    value: &mut Value,
    schema: &Schema,
    root: bool,
    path: &Path,
    unknown: &mut Vec<String>,
) -> Result<(), FieldError> {
    match value {
        Value::Object(map) => {
            if root || schema.embedded {
                coerce_meta(map, path, unknown)?;
            }
            for (name, value) in map.iter_mut() {
                if let Some(property) = schema.properties.get(name) {
                    coerce_at(value, property, false, &path.child(name.clone()), unknown)?;
                } else if let Some(rest) = schema.rest_schema() {
                    coerce_at(value, rest, false, &path.key(name.as_str()), unknown)?;
                }
            }
            Ok(())
        }
        Value::Array(items) => {
            let Some(below) = &schema.items else { return Ok(()) };
            let mut each = items.iter_mut().enumerate();
            each.try_for_each(|(index, item)| coerce_at(item, below, false, &path.index(index), unknown))
        }
        _ => Ok(()),
    }
}

fn coerce_meta(
    map: &mut Map<String, Value>,
    path: &Path,
    unknown: &mut Vec<String>,
) -> Result<(), FieldError> {
    for field in ["apiVersion", "kind"] {
        if let Some(value) = map.get(field).filter(|value| !value.is_string()) {
            return Err(FieldError::invalid(&path.child(field), value.clone(), "must be a string"));
        }
    }
    let Some(metadata) = map.get_mut("metadata") else { return Ok(()) };
    let path = path.child("metadata");
    match typed_meta(metadata.clone()) {
        Err(error) => Err(FieldError::invalid(&path, metadata.clone(), error)),
        Ok((typed, problems)) => {
            *metadata = typed;
            unknown.extend(problems.into_iter().map(|problem| format!("{path}.{problem}")));
            Ok(())
        }
    }
}

/// Metadata as the API has it, and the paths of fields it does not know.
pub(crate) fn typed_meta(metadata: Value) -> Result<(Value, Vec<String>), String> {
    let Some(ty) = schema::table().definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta") else {
        return Ok((metadata, Vec::new()));
    };
    let metadata = if metadata.is_null() { Value::Object(Map::new()) } else { metadata };
    let decoded = schema::decode_value(ty, metadata).map_err(|error| error.to_string())?;
    let mut typed = decoded.object;
    if let Some(map) = typed.as_object_mut()
        && map.get("creationTimestamp").is_some_and(Value::is_null)
    {
        map.remove("creationTimestamp");
    }
    let unknown = decoded.problems.into_iter().filter_map(|problem| match problem {
        StrictProblem::Unknown(path) => Some(path),
        StrictProblem::Duplicate(_) => None,
    });
    Ok((typed, unknown.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn sample() -> Schema {
        Schema::read(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "default": {}, "properties": {
                "replicas": {"type": "integer", "default": 1},
                "name": {"type": "string"},
                "none": {"type": "string", "nullable": true, "default": "x"},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"closed": {"type": "object", "properties": {"a": {"type": "string"}}}}},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"b": {"type": "integer", "default": 2}}}},
                "list": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "string", "default": "d"}}}},
                "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
                "port": {"x-kubernetes-int-or-string": true},
            }},
        }}))
    }

    fn settled(mut object: Value) -> (Value, Vec<String>) {
        let schema = sample();
        let mut unknown = coerce(&mut object, &schema).expect("metadata is good");
        unknown.extend(prune(&mut object, &schema));
        fill(&mut object, &schema);
        (object, unknown)
    }

    #[test]
    fn objects_become_what_their_schema_says() {
        let (object, unknown) = settled(json!({
            "apiVersion": "a/v1", "kind": "A", "metadata": {"name": "x", "labels": {"a": "b"}, "bogus": 1, "creationTimestamp": null},
            "extra": 1,
            "spec": {"name": null, "none": null, "bogus": {"a": 1}, "replicas": null,
                "open": {"any": {"thing": 1}, "closed": {"a": "b", "z": 1}},
                "map": {"one": {"z": 1}, "two": null}, "list": [{"z": 1}, {"c": "e"}],
                "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "what": 1}, "spec": {"z": 1}, "z": 1}, "port": "http"}
        }));
        assert_eq!(
            object,
            json!({"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "x", "labels": {"a": "b"}},
                "spec": {"none": null, "replicas": 1, "open": {"any": {"thing": 1}, "closed": {"a": "b"}},
                    "map": {"one": {"b": 2}}, "list": [{"c": "d"}, {"c": "e"}],
                    "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}, "port": "http"}})
        );
        assert_eq!(
            unknown,
            [
                "metadata.bogus",
                "spec.pod.metadata.what",
                "extra",
                "spec.bogus",
                "spec.list[0].z",
                "spec.map.one.z",
                "spec.open.closed.z",
                "spec.pod.spec.z",
                "spec.pod.z"
            ]
        );
        let error = coerce(&mut json!({"kind": 1}), &sample()).unwrap_err();
        assert_eq!(error.to_string(), "kind: Invalid value: 1: must be a string");
        let error = coerce(&mut json!({"metadata": {"labels": 1}}), &sample()).unwrap_err();
        assert!(
            error.to_string().starts_with("metadata: Invalid value: {\"labels\":1}: json: cannot unmarshal"),
            "{error}"
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9i64..9).prop_map(Value::from),
            "[a-d]".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let name = prop_oneof![
                Just("spec"),
                Just("replicas"),
                Just("none"),
                Just("open"),
                Just("closed"),
                Just("map"),
                Just("list"),
                Just("a"),
                Just("b"),
                Just("c"),
                Just("z")
            ];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map(name.prop_map(str::to_owned), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_second_time_changes_nothing(spec in values()) {
            let (once, _) = settled(json!({"spec": spec, "metadata": {}}));
            let (twice, unknown) = settled(once.clone());
            prop_assert_eq!(once, twice);
            prop_assert!(unknown.is_empty());
        }
    }
}
