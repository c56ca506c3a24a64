//! Short reads and writes of objects as trees: a missing value, a null and a value of another type
//! all read as absent, as decoding has checked types before. No rules live here.

use apimachinery::quantity::Quantity;
use apimachinery::{Time, meta};
use serde_json::{Map, Value};

/// The text of a field; empty if absent.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub fn opt_text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str)
}

pub fn int(object: &Value, field: &str) -> Option<i64> {
    object.get(field).and_then(Value::as_i64)
}

/// False if absent.
pub fn flag(object: &Value, field: &str) -> bool {
    object.get(field).and_then(Value::as_bool).unwrap_or(false)
}

pub fn opt_flag(object: &Value, field: &str) -> Option<bool> {
    object.get(field).and_then(Value::as_bool)
}

/// The items of a list; none if absent.
pub fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub fn texts<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    list(object, field).iter().filter_map(Value::as_str)
}

/// The entries of a map; none if absent.
pub fn map<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.get(field).and_then(Value::as_object).into_iter().flatten()
}

/// A field that is there and not null.
pub fn some<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get(field).filter(|value| !value.is_null())
}

pub fn has(object: &Value, field: &str) -> bool {
    some(object, field).is_some()
}

/// A field, or null.
pub fn at<'a>(object: &'a Value, field: &str) -> &'a Value {
    object.get(field).unwrap_or(&Value::Null)
}

pub fn time(object: &Value, field: &str) -> Option<Time> {
    Time::parse(object.get(field)?.as_str()?).ok()
}

/// A quantity as it stands; `None` if absent or not one.
pub fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// Absent, null, `""`, `0`, `false`, an empty list or map: what Go calls zero or empty.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Sets a field that is absent or null.
pub fn fill(object: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    if object.get(field).is_none_or(Value::is_null) {
        object.insert(field.into(), value.into());
    }
}

/// Sets a field that is absent, null or empty.
pub fn fill_empty(object: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    if object.get(field).is_none_or(is_empty) {
        object.insert(field.into(), value.into());
    }
}

/// The object in a field, made if need be.
pub fn object_at<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    meta::object_at(meta::as_object_mut(object), field)
}

/// Copies a field from one object to another, its absence too.
pub fn copy(to: &mut Value, from: &Value, field: &str) {
    let to = meta::as_object_mut(to);
    match some(from, field) {
        Some(value) => to.insert(field.into(), value.clone()),
        None => to.remove(field),
    };
}
