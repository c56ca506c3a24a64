//! An object without, or with nothing but, the fields of a set.

use super::items;
use super::set::{Node, Set, children, is_member, node};
use super::types::{Form, List, Map, Type};
use serde_json::Value;

/// The object without the members of the set. A container whose last part goes becomes null; what is
/// owned as one value goes with any part of it.
pub fn remove_items(ty: Type<'_>, object: Value, set: &Set) -> Value {
    if set.is_empty() { object } else { without(ty, object, &set.0) }
}

/// The object with nothing but the members of the set.
pub fn extract_items(ty: Type<'_>, object: Value, set: &Set) -> Value {
    only(ty, object, &set.0)
}

fn without(ty: Type<'_>, value: Value, set: &Node) -> Value {
    match ty.form(&value) {
        Some(Form::Map(map)) if map.atomic => Value::Null,
        Some(Form::List(list)) if list.is_atomic() => Value::Null,
        Some(Form::Map(map)) => map_without(map, value, set),
        Some(Form::List(list)) => list_without(list, value, set),
        Some(Form::Scalar(_)) | None => value,
    }
}

fn below<'n>(set: &'n Node, step: &str) -> Option<&'n Node> {
    set.get(step).and_then(Value::as_object)
}

/// Whether something is in the set below a node, apart from the node itself.
fn leads_on(node: &Node) -> bool {
    children(node).next().is_some()
}

fn map_without(map: Map<'_>, value: Value, set: &Node) -> Value {
    let Value::Object(entries) = value else { return Value::Null };
    let mut kept = Node::new();
    for (name, value) in entries {
        let value = match below(set, &super::element::field(&name)) {
            Some(node) if is_member(node) => continue,
            Some(node) if leads_on(node) => without(map.entry(&name).unwrap_or(Type::Deduced), value, node),
            _ => value,
        };
        kept.insert(name, value);
    }
    if kept.is_empty() { Value::Null } else { Value::Object(kept) }
}

fn list_without(list: List<'_>, value: Value, set: &Node) -> Value {
    let Value::Array(found) = value else { return Value::Null };
    let mut kept = Vec::with_capacity(found.len());
    for item in found {
        let step = items::step(list, &item).unwrap_or_default();
        match below(set, &step) {
            Some(node) if is_member(node) => {}
            Some(node) if leads_on(node) => kept.push(without(list.item, item, node)),
            _ => kept.push(item),
        }
    }
    if kept.is_empty() { Value::Null } else { Value::Array(kept) }
}

fn only(ty: Type<'_>, value: Value, set: &Node) -> Value {
    match (ty.form(&value), value) {
        (Some(Form::Map(map)), Value::Object(entries)) if !map.atomic && !entries.is_empty() => {
            let mut kept = Node::new();
            for (name, value) in entries {
                let Some(node) = below(set, &super::element::field(&name)) else { continue };
                let ty = map.entry(&name).unwrap_or(Type::Deduced);
                kept.insert(name, only(ty, value, node));
            }
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (Some(Form::List(list)), Value::Array(found)) if !list.is_atomic() && !found.is_empty() => {
            let mut kept = Vec::new();
            for item in found {
                let step = items::step(list, &item).unwrap_or_default();
                match below(set, &step) {
                    Some(node) if leads_on(node) => kept.push(only(list.item, item, node)),
                    Some(_) => kept.push(item),
                    None => {}
                }
            }
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        // Scalars, what is owned as one value, and what is empty anyway.
        (_, value) => value,
    }
}

/// The set with every declared field that leads to a member as a member, so that differences of sets
/// leave no empty parents behind.
pub(super) fn with_named_fields(ty: Type<'_>, set: &Set) -> Set {
    Set(named(Some(ty), &set.0))
}

fn named(ty: Option<Type<'_>>, set: &Node) -> Node {
    let atom = ty.map(Type::atom).unwrap_or_default();
    let mut out = Node::new();
    for (step, inner) in children(set) {
        let (mut declared, mut ty) = (false, None);
        if let (Some(name), Some(map)) = (step.strip_prefix("f:"), atom.map) {
            declared = map.declared(name).is_some();
            ty = map.entry(name);
        } else if let (true, Some(list)) = (step.starts_with("k:"), atom.list) {
            ty = Some(list.item);
        }
        let leads_on = leads_on(inner);
        if let Some(node) = node(is_member(inner) || declared && leads_on, named(ty, inner)) {
            out.insert(step.clone(), node);
        }
    }
    out
}
