//! A v2 document as gnostic protobuf. The message and field numbers are those of gnostic's
//! `OpenAPIv2.proto`; what kubectl does not read (examples, headers, limits) is not in our
//! documents and so not here.

use crate::protobuf::wire::{put_bytes, put_integer};
use serde_json::Value;

type Bytes = Vec<u8>;

pub fn document(swagger: &Value) -> Bytes {
    let mut out = Bytes::new();
    text(&mut out, 1, swagger, "swagger");
    let mut info = Bytes::new();
    text(&mut info, 1, &swagger["info"], "title");
    text(&mut info, 2, &swagger["info"], "version");
    put_bytes(&mut out, 2, &info);
    put_bytes(&mut out, 8, &named(&swagger["paths"], 2, path_item));
    put_bytes(&mut out, 9, &named(&swagger["definitions"], 1, schema));
    out
}

fn text(out: &mut Bytes, number: u8, object: &Value, key: &str) {
    if let Some(text) = object.get(key).and_then(Value::as_str) {
        put_bytes(out, number, text.as_bytes());
    }
}

fn texts(out: &mut Bytes, number: u8, list: &Value) {
    for text in list.as_array().into_iter().flatten().filter_map(Value::as_str) {
        put_bytes(out, number, text.as_bytes());
    }
}

fn flag(out: &mut Bytes, number: u8, object: &Value, key: &str) {
    if object.get(key).and_then(Value::as_bool) == Some(true) {
        put_integer(out, number, 1);
    }
}

/// A message with one bytes field.
fn one(number: u8, bytes: &[u8]) -> Bytes {
    let mut out = Bytes::new();
    put_bytes(&mut out, number, bytes);
    out
}

/// A map as repeated `{name=1, value=2}` under `number`.
fn named(map: &Value, number: u8, value: fn(&Value) -> Bytes) -> Bytes {
    let mut out = Bytes::new();
    for (name, member) in map.as_object().into_iter().flatten() {
        let mut entry = one(1, name.as_bytes());
        put_bytes(&mut entry, 2, &value(member));
        put_bytes(&mut out, number, &entry);
    }
    out
}

/// `x-` members as NamedAny: the value is JSON, which is YAML.
fn extensions(out: &mut Bytes, number: u8, object: &Value) {
    for (name, value) in object.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
        let mut entry = one(1, name.as_bytes());
        put_bytes(&mut entry, 2, &any(value));
        put_bytes(out, number, &entry);
    }
}

fn any(value: &Value) -> Bytes {
    one(2, value.to_string().as_bytes())
}

fn path_item(item: &Value) -> Bytes {
    let mut out = Bytes::new();
    for (number, method) in [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")] {
        if let Some(found) = item.get(method) {
            put_bytes(&mut out, number, &operation(found));
        }
    }
    for found in item["parameters"].as_array().into_iter().flatten() {
        put_bytes(&mut out, 9, &parameter(found));
    }
    out
}

fn operation(operation: &Value) -> Bytes {
    let mut out = Bytes::new();
    texts(&mut out, 1, &operation["tags"]);
    text(&mut out, 3, operation, "description");
    text(&mut out, 5, operation, "operationId");
    texts(&mut out, 6, &operation["produces"]);
    texts(&mut out, 7, &operation["consumes"]);
    for found in operation["parameters"].as_array().into_iter().flatten() {
        put_bytes(&mut out, 8, &parameter(found));
    }
    put_bytes(&mut out, 9, &named(&operation["responses"], 1, response));
    texts(&mut out, 10, &operation["schemes"]);
    extensions(&mut out, 13, operation);
    out
}

/// ParametersItem -> Parameter -> body or non-body -> query or path.
fn parameter(parameter: &Value) -> Bytes {
    let mut inner = Bytes::new();
    let place = parameter["in"].as_str().unwrap_or_default();
    if place == "body" {
        text(&mut inner, 1, parameter, "description");
        text(&mut inner, 2, parameter, "name");
        text(&mut inner, 3, parameter, "in");
        flag(&mut inner, 4, parameter, "required");
        put_bytes(&mut inner, 5, &schema(&parameter["schema"]));
        return one(1, &one(1, &inner));
    }
    flag(&mut inner, 1, parameter, "required");
    text(&mut inner, 2, parameter, "in");
    text(&mut inner, 3, parameter, "description");
    text(&mut inner, 4, parameter, "name");
    let (kind, number) = if place == "query" { (6, 3) } else { (5, 4) };
    text(&mut inner, kind, parameter, "type");
    one(1, &one(2, &one(number, &inner)))
}

/// ResponseValue -> Response.
fn response(response: &Value) -> Bytes {
    let mut inner = Bytes::new();
    text(&mut inner, 1, response, "description");
    if let Some(found) = response.get("schema") {
        put_bytes(&mut inner, 2, &one(1, &schema(found)));
    }
    one(1, &inner)
}

fn schema(schema: &Value) -> Bytes {
    let mut out = Bytes::new();
    text(&mut out, 1, schema, "$ref");
    text(&mut out, 2, schema, "format");
    text(&mut out, 3, schema, "title");
    text(&mut out, 4, schema, "description");
    if let Some(default) = schema.get("default") {
        put_bytes(&mut out, 5, &any(default));
    }
    texts(&mut out, 19, &schema["required"]);
    for value in schema["enum"].as_array().into_iter().flatten() {
        put_bytes(&mut out, 20, &any(value));
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(allowed)) => {
            let mut inner = Bytes::new();
            put_integer(&mut inner, 2, i64::from(*allowed));
            put_bytes(&mut out, 21, &inner);
        }
        Some(found) => put_bytes(&mut out, 21, &one(1, &self::schema(found))),
        None => {}
    }
    if let Some(kind) = schema.get("type").and_then(Value::as_str) {
        put_bytes(&mut out, 22, &one(1, kind.as_bytes()));
    }
    if let Some(items) = schema.get("items") {
        put_bytes(&mut out, 23, &one(1, &self::schema(items)));
    }
    for found in schema["allOf"].as_array().into_iter().flatten() {
        put_bytes(&mut out, 24, &self::schema(found));
    }
    if let Some(properties) = schema.get("properties") {
        put_bytes(&mut out, 25, &named(properties, 1, self::schema));
    }
    extensions(&mut out, 31, schema);
    out
}
