//! Defaults in a schema must be objects the schema itself lets through: no unknown fields, right types,
//! known values, within limits.

use super::super::pod::errors::Errors;
use crate::read::{at, flag, int, list, text};
use apimachinery::{FieldError, Path, go};
use serde_json::Value;

/// Checks the defaults of a schema and of all below it.
pub(super) fn check(schema: &Value, path: &Path, errors: &mut Errors) {
    if !schema.is_object() {
        return;
    }
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        let path = path.child("default");
        if has_unknown(default, schema) {
            errors.invalid(&path, default.clone(), "must not have unknown fields");
        }
        value(default, schema, &path, "", errors);
    }
    check(at(schema, "items"), &path.child("items"), errors);
    for (name, property) in at(schema, "properties").as_object().into_iter().flatten() {
        check(property, &path.child("properties").key(name.as_str()), errors);
    }
}

/// Whether pruning would drop something.
fn has_unknown(value: &Value, schema: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(name, value)| {
            let rest = at(schema, "additionalProperties");
            match at(schema, "properties").get(name) {
                Some(property) => has_unknown(value, property),
                None if rest.is_object() => has_unknown(value, rest),
                None if *rest == Value::Bool(true) => false,
                None => {
                    let meta = flag(schema, "x-kubernetes-embedded-resource")
                        && matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
                    !flag(schema, "x-kubernetes-preserve-unknown-fields") && !meta
                }
            }
        }),
        Value::Array(items) => items.iter().any(|item| has_unknown(item, at(schema, "items"))),
        _ => false,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// One value against one schema; `name` is its path below the default.
fn value(value: &Value, schema: &Value, path: &Path, name: &str, errors: &mut Errors) {
    if !schema.is_object() || value.is_null() && flag(schema, "nullable") {
        return;
    }
    let (wanted, is) = (text(schema, "type"), type_of(value));
    let mixed = flag(schema, "x-kubernetes-int-or-string") && matches!(is, "integer" | "string");
    let fits = wanted.is_empty() || wanted == is || wanted == "number" && is == "integer" || mixed;
    if !fits {
        let detail = format!("{name} in body must be of type {wanted}: {}", go::quote(is));
        return errors.push(FieldError::invalid(path, is, detail));
    }
    let known = list(schema, "enum");
    if !known.is_empty() && !known.contains(value) {
        let known: Vec<String> =
            known.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
        errors.push(FieldError::not_supported(path, value.clone(), &known));
    }
    limits(value, schema, path, name, errors);
    let child = |step: &str| format!("{name}.{step}").trim_start_matches('.').to_owned();
    match value {
        Value::Object(map) => {
            for required in list(schema, "required").iter().filter_map(Value::as_str) {
                if !map.contains_key(required) {
                    errors.required(&path.child(required.to_owned()), "");
                }
            }
            for (field, inner) in map {
                let rest = at(schema, "additionalProperties");
                let property = at(schema, "properties").get(field).unwrap_or(rest);
                self::value(inner, property, &path.child(field.clone()), &child(field), errors);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = format!("{name}[{index}]");
                self::value(item, at(schema, "items"), &path.index(index), &name, errors);
            }
        }
        _ => {}
    }
}

fn limits(value: &Value, schema: &Value, path: &Path, name: &str, errors: &mut Errors) {
    let mut too = |broken: bool, words: String| {
        if broken {
            errors.invalid(path, value.clone(), format!("{name} in body {words}"));
        }
    };
    if let Some(number) = value.as_f64() {
        for (field, open, below) in
            [("minimum", "exclusiveMinimum", true), ("maximum", "exclusiveMaximum", false)]
        {
            let Some(bound) = schema.get(field).and_then(Value::as_f64) else { continue };
            let open = flag(schema, open);
            let broken = match below {
                true => number < bound || open && number == bound,
                false => number > bound || open && number == bound,
            };
            let words = match (below, open) {
                (true, false) => "greater than or equal to",
                (true, true) => "greater than",
                (false, false) => "less than or equal to",
                (false, true) => "less than",
            };
            too(broken, format!("should be {words} {bound}"));
        }
    }
    let length = match value {
        Value::String(text) => Some((text.chars().count(), "Length", "chars long")),
        Value::Array(items) => Some((items.len(), "Items", "items")),
        Value::Object(map) => Some((map.len(), "Properties", "properties")),
        _ => None,
    };
    let Some((length, field, words)) = length else { return };
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let verb = if field == "Length" { "be" } else { "have" };
    if let Some(min) = int(schema, &format!("min{field}")) {
        too(length < min, format!("should {verb} at least {min} {words}"));
    }
    if let Some(max) = int(schema, &format!("max{field}")) {
        too(length > max, format!("should {verb} at most {max} {words}"));
    }
}
