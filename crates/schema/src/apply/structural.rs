//! Types made at run time from an OpenAPI schema: what a custom resource's schema says about lists and
//! maps. Published schemas are read; whether they are structural is somebody else's check.

use super::types::{Atom, List, ListKind, Map, Scalar, Type};
use crate::table::{TypeRef, table};
use serde_json::Value;
use std::collections::BTreeMap;

/// Deepest schema that is read; what lies below is free-form.
pub const MAX_DEPTH: usize = 64;

/// A type. Share it behind an `Arc`; [`Type::Structural`] borrows it.
#[derive(Debug, Default)]
pub struct Structural {
    scalar: Option<Scalar>,
    list: Option<ListSchema>,
    map: Option<MapSchema>,
}

#[derive(Debug)]
struct ListSchema {
    kind: Relation,
    item: Part,
}

#[derive(Debug)]
enum Relation {
    Atomic,
    Set,
    Keyed(Vec<String>),
}

#[derive(Debug, Default)]
struct MapSchema {
    atomic: bool,
    fields: BTreeMap<String, Field>,
    rest: Option<Part>,
}

#[derive(Debug)]
struct Field {
    part: Part,
    default: Option<Value>,
}

/// The type of a part.
#[derive(Debug)]
enum Part {
    Own(Box<Structural>),
    /// The metadata of objects.
    BuiltIn(TypeRef),
    Untyped,
    Deduced,
}

impl Part {
    fn as_type(&self) -> Type<'_> {
        match self {
            Part::Own(structural) => Type::Structural(structural),
            Part::BuiltIn(definition) => Type::Definition(*definition),
            Part::Untyped => Type::Untyped,
            Part::Deduced => Type::Deduced,
        }
    }
}

impl Structural {
    /// The type of a custom resource: its schema with kind, apiVersion and typed metadata added.
    pub fn of_resource(schema: &Value, preserve_unknown: bool) -> Structural {
        let mut read = read(schema, preserve_unknown, 0);
        // An object is always a map, whatever its schema forgot to say.
        let map = read.map.get_or_insert_with(MapSchema::default);
        add_object_fields(map);
        read.scalar = None;
        read.list = None;
        read
    }

    /// The type that a schema describes.
    pub fn of_schema(schema: &Value) -> Structural {
        read(schema, false, 0)
    }

    pub(super) fn atom(&self) -> Atom<'_> {
        Atom {
            scalar: self.scalar,
            list: self.list.as_ref().map(|list| List {
                kind: match &list.kind {
                    Relation::Atomic => ListKind::Atomic,
                    Relation::Set => ListKind::Set,
                    Relation::Keyed(keys) => ListKind::KeyedBy(keys),
                },
                item: list.item.as_type(),
            }),
            map: self
                .map
                .as_ref()
                .map(|map| Map::structural(self, map.atomic, map.rest.as_ref().map(Part::as_type))),
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<Type<'_>> {
        Some(self.map.as_ref()?.fields.get(name)?.part.as_type())
    }

    pub(super) fn has_fields(&self) -> bool {
        self.map.as_ref().is_some_and(|map| !map.fields.is_empty())
    }

    pub(super) fn default_of(&self, name: &str) -> Option<&Value> {
        self.map.as_ref()?.fields.get(name)?.default.as_ref()
    }
}

fn add_object_fields(map: &mut MapSchema) {
    let text = || Structural { scalar: Some(Scalar::String), ..Structural::default() };
    for name in ["apiVersion", "kind"] {
        map.fields.insert(name.into(), Field { part: Part::Own(Box::new(text())), default: None });
    }
    if let Some(metadata) = table().definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta") {
        map.fields.insert("metadata".into(), Field { part: Part::BuiltIn(metadata), default: None });
    }
}

fn part(schema: &Value, preserve: bool, depth: usize) -> Part {
    if depth >= MAX_DEPTH {
        return Part::Deduced;
    }
    Part::Own(Box::new(read(schema, preserve, depth + 1)))
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn read(schema: &Value, preserve: bool, depth: usize) -> Structural {
    // What keeps unknown fields keeps them in everything below, too.
    let preserve = preserve || flag(schema, "x-kubernetes-preserve-unknown-fields");
    let own = |scalar| Structural { scalar: Some(scalar), ..Structural::default() };
    let ty = if flag(schema, "x-kubernetes-int-or-string") {
        ""
    } else {
        schema.get("type").and_then(Value::as_str).unwrap_or_default()
    };
    match ty {
        "object" => Structural { map: Some(read_map(schema, preserve, depth)), ..Structural::default() },
        "array" => Structural { list: Some(read_list(schema, preserve, depth)), ..Structural::default() },
        "integer" | "number" => own(Scalar::Numeric),
        "boolean" => own(Scalar::Boolean),
        "string" => match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
            "" | "byte" => own(Scalar::String),
            _ => own(Scalar::Any),
        },
        _ => Structural {
            scalar: Some(Scalar::Any),
            list: Some(read_list(schema, preserve, depth)),
            map: Some(read_map(schema, preserve, depth)),
        },
    }
}

fn read_map(schema: &Value, preserve: bool, depth: usize) -> MapSchema {
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields: BTreeMap<String, Field> = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let default = schema.get("default").filter(|default| !default.is_null()).cloned();
            (name.clone(), Field { part: part(schema, preserve, depth), default })
        })
        .collect();
    let rest = match schema.get("additionalProperties") {
        Some(inner @ Value::Object(_)) => Some(part(inner, preserve, depth)),
        Some(Value::Bool(true)) => Some(Part::Deduced),
        Some(Value::Bool(false)) => None,
        _ => (preserve || fields.is_empty()).then_some(Part::Deduced),
    };
    let atomic = schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic");
    let mut map = MapSchema { atomic, fields, rest };
    if flag(schema, "x-kubernetes-embedded-resource") {
        add_object_fields(&mut map);
    }
    map
}

fn read_list(schema: &Value, preserve: bool, depth: usize) -> ListSchema {
    let kind = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Relation::Set,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            Relation::Keyed(keys.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect())
        }
        _ => Relation::Atomic,
    };
    let item = match schema.get("items") {
        Some(items @ Value::Object(_)) => part(items, preserve, depth),
        _ => Part::Untyped,
    };
    ListSchema { kind, item }
}
