//! Which old value a new one goes with: entries of maps by key, items of lists by their map keys, nothing else.
//! What did not change since is not judged anew.

use crate::schema::{Lists, Schema};
use serde_json::Value;
use std::borrow::Cow;

/// The value of the key fields of an item; what an item leaves out is its default, or null.
fn key_of<'v>(item: &'v Value, keys: &[String], items: Option<&'v Schema>) -> Option<Vec<Cow<'v, Value>>> {
    let map = item.as_object()?;
    let value = |key: &String| {
        let default = || items.and_then(|items| items.properties.get(key)?.default.as_ref());
        map.get(key).or_else(default).map_or(Cow::Owned(Value::Null), Cow::Borrowed)
    };
    Some(keys.iter().map(value).collect())
}

/// The old item that a new one goes with; only for lists that are maps.
pub(crate) fn old_item<'o>(schema: &Schema, old: Option<&'o Value>, item: &Value) -> Option<&'o Value> {
    let Lists::Map(keys) = &schema.lists else { return None };
    let items = schema.items.as_deref();
    let wanted = key_of(item, keys, items)?;
    let old = old?.as_array()?;
    old.iter().find(|old| key_of(old, keys, items).is_some_and(|key| key == wanted))
}

/// The old value of an entry of a map.
pub(crate) fn old_entry<'o>(old: Option<&'o Value>, name: &str) -> Option<&'o Value> {
    old?.as_object()?.get(name)
}

/// Whether nothing changed. Lists that are maps may have another order.
pub(crate) fn same(schema: Option<&Schema>, new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            new.len() == old.len()
                && new.iter().all(|(name, new)| {
                    let below = schema.and_then(|schema| schema.field(name));
                    old.get(name).is_some_and(|old| same(below, new, old))
                })
        }
        (Value::Array(items), Value::Array(before)) => match schema {
            Some(schema) if matches!(schema.lists, Lists::Map(_)) => {
                items.len() == before.len()
                    && items.iter().all(|item| {
                        let found = old_item(schema, Some(old), item);
                        found.is_some_and(|old| same(schema.items.as_deref(), item, old))
                    })
            }
            _ => new == old,
        },
        _ => new == old,
    }
}
