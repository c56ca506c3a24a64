//! Objects within objects (`x-kubernetes-embedded-resource`) must say what they are and have good metadata.

use crate::fill::typed_meta;
use crate::schema::Schema;
use apimachinery::gvk::parse_api_version;
use apimachinery::{FieldError, Path, validation};
use serde_json::{Map, Value};

/// Errors in embedded objects.
pub fn check(schema: &Schema, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(schema, object, &Path::root(), &mut errors);
    errors
}

fn visit(schema: &Schema, value: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            if schema.embedded {
                embedded(map, path, errors);
            }
            for (name, value) in map {
                if let Some(property) = schema.properties.get(name) {
                    visit(property, value, &path.child(name.clone()), errors);
                } else if let Some(rest) = schema.rest_schema() {
                    visit(rest, value, &path.key(name.as_str()), errors);
                }
            }
        }
        Value::Array(items) => {
            let Some(below) = &schema.items else { return };
            for (index, item) in items.iter().enumerate() {
                visit(below, item, &path.index(index), errors);
            }
        }
        _ => {}
    }
}

fn embedded(map: &Map<String, Value>, path: &Path, errors: &mut Vec<FieldError>) {
    for field in ["apiVersion", "kind"] {
        let path = path.child(field);
        match map.get(field) {
            None => errors.push(FieldError::required(&path, "")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::invalid(&path, "", "must not be empty"));
            }
            Some(Value::String(text)) if field == "apiVersion" => {
                if parse_api_version(text).is_none() {
                    let detail = format!("unexpected GroupVersion string: {text}");
                    errors.push(FieldError::invalid(&path, text.as_str(), detail));
                }
            }
            Some(Value::String(text)) => {
                let problems = validation::dns1035_label(&text.to_lowercase());
                if !problems.is_empty() {
                    let detail =
                        format!("may have mixed case, but should otherwise match: {}", problems.join(","));
                    errors.push(FieldError::invalid(&path, text.as_str(), detail));
                }
            }
            Some(other) => errors.push(FieldError::invalid(&path, other.clone(), "must be a string")),
        }
    }
    let Some(metadata) = map.get("metadata") else { return };
    let path = path.child("metadata");
    match typed_meta(metadata.clone()) {
        Err(error) => errors.push(FieldError::invalid(&path, metadata.clone(), error)),
        Ok((metadata, _)) => meta(&metadata, &path, errors),
    }
}

fn meta(metadata: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    for field in ["generateName", "name"] {
        let name = metadata.get(field).and_then(Value::as_str).unwrap_or_default();
        for problem in validation::path_segment_name(name) {
            errors.push(FieldError::invalid(&path.child(field), name, problem));
        }
    }
    let namespace = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    if !namespace.is_empty() {
        for problem in validation::dns1123_label(namespace) {
            errors.push(FieldError::invalid(&path.child("namespace"), namespace, problem));
        }
    }
    if let Some(labels) = metadata.get("labels").and_then(Value::as_object) {
        errors.extend(validation::labels(labels, &path.child("labels")));
    }
    if let Some(annotations) = metadata.get("annotations").and_then(Value::as_object) {
        errors.extend(validation::annotations(annotations, &path.child("annotations")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn embedded_objects_say_what_they_are() {
        let schema = Schema::read(&json!({"type": "object", "properties": {"pod": {"type": "object",
            "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}}}));
        let errors = |pod: Value| -> Vec<String> {
            check(&schema, &json!({"pod": pod})).iter().map(ToString::to_string).collect()
        };
        assert!(errors(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})).is_empty());
        assert_eq!(errors(json!({})), ["pod.apiVersion: Required value", "pod.kind: Required value"]);
        let found = errors(
            json!({"apiVersion": "a/b/c", "kind": "", "metadata": {"name": "a/b", "namespace": "A", "labels": {"a b": ""}}}),
        );
        assert_eq!(
            found[0],
            r#"pod.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c"#
        );
        assert_eq!(found[1], r#"pod.kind: Invalid value: "": must not be empty"#);
        assert_eq!(found[2], r#"pod.metadata.name: Invalid value: "a/b": may not contain '/'"#);
        assert!(
            found[3].starts_with("pod.metadata.namespace: ") && found[4].starts_with("pod.metadata.labels: ")
        );
    }
}
