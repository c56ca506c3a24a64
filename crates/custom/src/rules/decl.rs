//! What expressions see of a schema, and how large it can get.

use crate::schema::{Schema, Type};
use cel::{Decl, Field, MAX_REQUEST_BYTES, ObjectDecl, Shape};
use std::collections::BTreeMap;
use std::sync::Arc;

const LARGEST_TEXT: u64 = MAX_REQUEST_BYTES - 2;
/// Characters of a duration, a date, and a time.
const LARGEST_DURATION: u64 = 32;
const DATE: u64 = 12;
const LARGEST_TIME: u64 = 32;

/// The shape of a schema; `None` for what cannot be seen. `root` is the root of an object.
pub(crate) fn of(schema: &Schema, root: bool) -> Option<Decl> {
    let limits = &schema.limits;
    let characters = |max: i64| u64::try_from(max).unwrap_or(0).saturating_mul(4);
    let bound = |decl: Decl, max: Option<i64>| match max {
        Some(max) => decl.max(u64::try_from(max).unwrap_or(0)),
        None => decl,
    };
    if schema.int_or_string {
        return Some(Decl::dynamic().max(limits.max_length.map_or(LARGEST_TEXT, characters)));
    }
    Some(match schema.ty {
        Type::Array => {
            let items = schema.items.as_deref()?;
            let shape = Shape::List(Arc::new(of(items, items.embedded)?), super::list_kind(&schema.lists));
            bound(Decl::new(shape), limits.max_items)
        }
        Type::Object => match schema.rest_schema() {
            Some(rest) => bound(Decl::map(of(rest, rest.embedded)?), limits.max_properties),
            None => object(schema, root),
        },
        Type::String => match limits.format.as_str() {
            "byte" => bound(Decl::new(Shape::Bytes), limits.max_length),
            "duration" => Decl::new(Shape::Duration).max(LARGEST_DURATION),
            "date" => Decl { shape: Shape::Timestamp, max_elements: DATE, min_serialized: DATE },
            "date-time" => Decl::new(Shape::Timestamp).max(LARGEST_TIME),
            _ => {
                let longest = || {
                    let texts = limits.allowed.iter().filter_map(serde_json::Value::as_str);
                    texts.map(|text| text.len() as u64).max().unwrap_or(0)
                };
                let max = match limits.max_length {
                    Some(max) => characters(max),
                    None if limits.allowed.is_empty() => LARGEST_TEXT,
                    None => longest(),
                };
                Decl::new(Shape::String).max(max)
            }
        },
        Type::Boolean => Decl::new(Shape::Bool),
        Type::Number => Decl::new(Shape::Double),
        Type::Integer => Decl::new(Shape::Int),
        Type::Any => return None,
    })
}

fn object(schema: &Schema, root: bool) -> Decl {
    let mut fields = BTreeMap::new();
    let mut smallest = 2;
    let mut add = |name: &str, decl: Decl, required: bool| {
        if required {
            smallest += name.len() as u64 + decl.min_serialized + 4;
        }
        if let Some(escaped) = cel::escape(name) {
            fields.insert(escaped, Field { json: name.to_owned(), decl: Arc::new(decl) });
        }
    };
    let own = root.then(|| has_meta(schema)) == Some(false);
    for (name, property) in &schema.properties {
        if own && matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
            continue;
        }
        if let Some(decl) = of(property, property.embedded) {
            let required = schema.limits.required.contains(name) && property.default.is_none();
            add(name, decl, required);
        }
    }
    if own {
        let text = || Decl::new(Shape::String);
        let metadata = Decl::object("object", [("name", text()), ("generateName", text())]);
        let required = |name: &str| schema.limits.required.iter().any(|required| required == name);
        for (name, decl) in [("kind", text()), ("apiVersion", text()), ("metadata", metadata)] {
            let needed = required(name);
            add(name, decl, needed);
        }
    }
    let decl = Decl::new(Shape::Object(Arc::new(ObjectDecl { name: "object".into(), fields })));
    Decl { min_serialized: smallest, ..decl }
}

/// Whether a schema types what every object has.
fn has_meta(schema: &Schema) -> bool {
    let text = |schema: Option<&Schema>| schema.is_some_and(|schema| schema.ty == Type::String);
    let metadata = schema.properties.get("metadata");
    text(schema.properties.get("kind"))
        && text(schema.properties.get("apiVersion"))
        && metadata.is_some_and(|metadata| {
            metadata.ty == Type::Object
                && text(metadata.properties.get("name"))
                && text(metadata.properties.get("generateName"))
        })
}
