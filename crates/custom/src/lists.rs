//! Items that may be there only once: of sets by value, of maps by their keys.

use crate::schema::{Lists, Schema};
use apimachinery::{FieldError, Path};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Items that are there twice, each reported once.
pub fn duplicates(schema: &Schema, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(schema, object, &Path::root(), &mut errors);
    errors
}

fn visit(schema: &Schema, value: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(property) = schema.properties.get(name) {
                    visit(property, value, &path.child(name.clone()), errors);
                } else if let Some(rest) = schema.rest_schema() {
                    visit(rest, value, &path.key(name.as_str()), errors);
                }
            }
        }
        Value::Array(items) => {
            match &schema.lists {
                Lists::Atomic => {}
                Lists::Set => repeated(items.iter().cloned(), path, errors),
                Lists::Map(keys) => {
                    let other = |item: &&Value| !item.is_object() && !item.is_null();
                    if let Some((index, item)) = items.iter().enumerate().find(|(_, item)| other(item)) {
                        let detail = "must be an object for an array of list-type map";
                        errors.push(FieldError::invalid(&path.index(index), item.clone(), detail));
                    } else {
                        repeated(items.iter().map(|item| key(item, keys)), path, errors);
                    }
                }
            }
            let Some(below) = &schema.items else { return };
            for (index, item) in items.iter().enumerate() {
                visit(below, item, &path.index(index), errors);
            }
        }
        _ => {}
    }
}

fn key(item: &Value, keys: &[String]) -> Value {
    let value = |key: &String| Some((key.clone(), item.get(key)?.clone()));
    Value::Object(keys.iter().filter_map(value).collect::<Map<_, _>>())
}

fn repeated(items: impl Iterator<Item = Value>, path: &Path, errors: &mut Vec<FieldError>) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, item) in items.enumerate() {
        let times = seen.entry(item.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            errors.push(FieldError::duplicate(&path.index(index), item));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sets_and_maps_have_every_item_once() {
        let item = json!({"type": "object", "properties": {"k": {"type": "string"}}});
        let schema = Schema::read(&json!({"type": "object", "properties": {
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item},
            "list": {"type": "array", "items": {"type": "string"}},
        }}));
        let object = json!({"set": ["a", "b", "a", "a"], "map": [{"k": "x"}, {"k": "x", "v": 1}, {}, {}], "list": ["a", "a"]});
        let errors: Vec<String> = duplicates(&schema, &object).iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                r#"map[1]: Duplicate value: {"k":"x"}"#,
                "map[3]: Duplicate value: {}",
                r#"set[2]: Duplicate value: "a""#
            ]
        );
        let errors = duplicates(&schema, &json!({"map": [1, {}]}));
        assert_eq!(
            errors[0].to_string(),
            "map[0]: Invalid value: 1: must be an object for an array of list-type map"
        );
    }
}
