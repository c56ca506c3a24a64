//! Objects to protobuf messages, by the table. Absent values are not written (Go reads them as
//! zero), values of a wrong type neither: objects are checked when they are decoded.

use super::wire::{put_bytes, put_double, put_integer};
use crate::table::{FieldRef, Item, Scalar, Shape, TypeRef};
use apimachinery::Time;
use base64::Engine;
use serde_json::{Map, Value};

pub fn message(ty: TypeRef, object: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(map) = object.as_object() {
        fill(ty, map, &[], &mut out);
    }
    out
}

/// Writes the fields below `path` in the order of their numbers.
fn fill(ty: TypeRef, map: &Map<String, Value>, path: &[u8], out: &mut Vec<u8>) {
    let below = |f: &FieldRef| f.numbers().len() > path.len() && f.numbers().starts_with(path);
    let mut fields: Vec<FieldRef> = ty.fields().filter(below).collect();
    fields.sort_by_key(|f| f.numbers());
    let mut embedded = 0;
    for field in fields {
        let number = field.numbers()[path.len()];
        if field.numbers().len() == path.len() + 1 {
            if let Some(value) = map.get(field.name()).filter(|v| !v.is_null()) {
                write_field(field, number, value, out);
            }
        } else if embedded != number {
            embedded = number;
            let mut inner = Vec::new();
            fill(ty, map, &field.numbers()[..=path.len()], &mut inner);
            put_bytes(out, number, &inner);
        }
    }
}

fn write_field(field: FieldRef, number: u8, value: &Value, out: &mut Vec<u8>) {
    match (field.shape(), value) {
        (Shape::One, value) => write_item(field, number, value, out),
        (Shape::List, Value::Array(list)) => {
            list.iter().for_each(|value| write_item(field, number, value, out))
        }
        (Shape::WrappedList, value) => put_bytes(out, number, &wrapped(field, value)),
        (Shape::Map | Shape::MapOfWrappedLists, Value::Object(map)) => {
            for (key, value) in map {
                let mut entry = Vec::new();
                put_bytes(&mut entry, 1, key.as_bytes());
                if field.shape() == Shape::MapOfWrappedLists {
                    put_bytes(&mut entry, 2, &wrapped(field, value));
                } else {
                    write_item(field, 2, value, &mut entry);
                }
                put_bytes(out, number, &entry);
            }
        }
        _ => {}
    }
}

fn wrapped(field: FieldRef, value: &Value) -> Vec<u8> {
    let mut items = Vec::new();
    for value in value.as_array().into_iter().flatten() {
        write_item(field, 1, value, &mut items);
    }
    items
}

fn write_item(field: FieldRef, number: u8, value: &Value, out: &mut Vec<u8>) {
    let scalar = match field.item() {
        Item::Object(target) => return put_bytes(out, number, &message(target, value)),
        Item::Scalar(scalar) => scalar,
    };
    match (scalar, value) {
        (Scalar::String, Value::String(text)) => put_bytes(out, number, text.as_bytes()),
        (Scalar::Int32 | Scalar::Int64, Value::Number(n)) => {
            put_integer(out, number, n.as_i64().unwrap_or_default())
        }
        (Scalar::Bool, Value::Bool(on)) => put_integer(out, number, i64::from(*on)),
        (Scalar::Double, Value::Number(n)) => put_double(out, number, n.as_f64().unwrap_or_default()),
        (Scalar::Bytes, Value::String(text)) => {
            put_bytes(
                out,
                number,
                &base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default(),
            );
        }
        (Scalar::IntOrString, value) => put_bytes(out, number, &int_or_string(value)),
        (Scalar::PropsOrBool | Scalar::PropsOrArray | Scalar::PropsOrStrings, value) => {
            put_bytes(out, number, &schema_or(field, scalar, value))
        }
        (Scalar::Raw | Scalar::Json | Scalar::Fields | Scalar::Any, value) => {
            put_bytes(out, number, &one(1, value.to_string().as_bytes()))
        }
        (_, Value::String(text)) => put_bytes(out, number, &text_message(scalar, text)),
        _ => {}
    }
}

/// A message with one field of bytes.
fn one(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, number, bytes);
    out
}

/// Scalars that are text in JSON and a message in protobuf.
fn text_message(scalar: Scalar, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    match scalar {
        Scalar::Time | Scalar::MicroTime => {
            if let Ok(time) = Time::parse(text) {
                let (seconds, nanos) = time.unix();
                put_integer(&mut out, 1, seconds);
                put_integer(&mut out, 2, nanos.into());
            }
        }
        Scalar::Duration => {
            put_integer(&mut out, 1, apimachinery::time::parse_go_duration(text).unwrap_or_default())
        }
        _ => put_bytes(&mut out, 1, text.as_bytes()),
    }
    out
}

fn int_or_string(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put_integer(&mut out, 1, i64::from(value.is_string()));
    put_integer(&mut out, 2, value.as_i64().unwrap_or_default());
    put_bytes(&mut out, 3, value.as_str().unwrap_or_default().as_bytes());
    out
}

fn schema_or(field: FieldRef, scalar: Scalar, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(ty) = field.target() else { return out };
    match (scalar, value) {
        (Scalar::PropsOrBool, Value::Bool(allows)) => put_integer(&mut out, 1, i64::from(*allows)),
        (Scalar::PropsOrBool, schema) => {
            put_integer(&mut out, 1, 1);
            put_bytes(&mut out, 2, &message(ty, schema));
        }
        (Scalar::PropsOrStrings, Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).for_each(|text| put_bytes(&mut out, 2, text.as_bytes()))
        }
        (_, Value::Array(list)) => {
            list.iter().for_each(|schema| put_bytes(&mut out, 2, &message(ty, schema)))
        }
        (_, schema) => put_bytes(&mut out, 1, &message(ty, schema)),
    }
    out
}
