//! The fields that a configuration speaks of: what its owner will own.

use super::element;
use super::items;
use super::set::{Node, Set, node};
use super::types::{Form, List, Map, Type};
use serde_json::Value;
use std::collections::BTreeMap;

/// The set of all leaves and items of a value that fits its type.
pub fn to_set(ty: Type<'_>, value: &Value) -> Set {
    match below(ty, value) {
        Owned::Leaf => Set::default(),
        Owned::Parts(parts) => Set(parts),
    }
}

/// What is owned at a value.
enum Owned {
    /// The value itself, as one.
    Leaf,
    /// What is below it.
    Parts(Node),
}

fn below(ty: Type<'_>, value: &Value) -> Owned {
    match ty.form(value) {
        Some(Form::Map(map)) if map.atomic => Owned::Leaf,
        Some(Form::Map(map)) => Owned::Parts(map_parts(map, value)),
        Some(Form::List(list)) if list.is_atomic() => Owned::Leaf,
        Some(Form::List(list)) => Owned::Parts(list_parts(list, value)),
        Some(Form::Scalar(_)) | None => Owned::Leaf,
    }
}

fn insert(parts: &mut Node, step: String, ty: Type<'_>, value: &Value, itself: bool) {
    let owned = match below(ty, value) {
        Owned::Leaf => node(true, Node::new()),
        Owned::Parts(inner) => node(itself, inner),
    };
    if let Some(owned) = owned {
        parts.insert(step, owned);
    }
}

fn map_parts(map: Map<'_>, value: &Value) -> Node {
    let mut parts = Node::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let (declared, ty) = match map.declared(name) {
            Some(ty) => (true, ty),
            None => (false, map.rest.unwrap_or(Type::Deduced)),
        };
        // A declared field that only holds others is not owned itself: it goes when they go.
        let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        insert(&mut parts, element::field(name), ty, value, empty || !declared);
    }
    parts
}

fn list_parts(list: List<'_>, value: &Value) -> Node {
    let mut found: BTreeMap<String, Option<&Value>> = BTreeMap::new();
    for item in value.as_array().into_iter().flatten() {
        let Ok(step) = items::step(list, item) else { continue };
        // Items of one key are owned together, without looking into them.
        found.entry(step).and_modify(|seen| *seen = None).or_insert(Some(item));
    }
    let mut parts = Node::new();
    for (step, item) in found {
        match item {
            Some(item) => insert(&mut parts, step, list.item, item, true),
            None => {
                parts.insert(step, Value::Object(Node::new()));
            }
        }
    }
    parts
}
