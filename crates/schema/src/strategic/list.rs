//! Lists under strategic merge: matching items, and their order.

use super::{DIRECTIVE, ListRule, Object, merge_object, plain, unknown_directive};
use apimachinery::patch::PatchError;
use serde_json::Value;

/// Merges the items; the order is settled by [`order_list`].
pub fn merge_list(rule: ListRule, original: Vec<Value>, patch: &[Value]) -> Result<Vec<Value>, PatchError> {
    let Some(first) = original.first().or(patch.first()) else { return Ok(original) };
    if first.is_object() {
        let key = rule
            .key
            .ok_or_else(|| PatchError::Unprocessable("cannot merge lists without merge key".into()))?;
        return merge_objects(rule, key, original, patch);
    }
    let mut merged: Vec<Value> = Vec::with_capacity(original.len() + patch.len());
    for item in original.into_iter().chain(patch.iter().cloned()) {
        match item {
            Value::Array(_) => {
                return Err(PatchError::Unprocessable("lists of lists are not supported".into()));
            }
            Value::Object(_) => {
                return Err(PatchError::Unprocessable("list element types are not identical".into()));
            }
            item if merged.contains(&item) => {}
            item => merged.push(item),
        }
    }
    Ok(merged)
}

fn merge_objects(
    rule: ListRule,
    key: &str,
    mut original: Vec<Value>,
    patch: &[Value],
) -> Result<Vec<Value>, PatchError> {
    let mut replace = false;
    let mut changes: Vec<&Object> = Vec::new();
    for item in patch {
        let item = item
            .as_object()
            .ok_or_else(|| PatchError::Unprocessable("list element types are not identical".into()))?;
        match item.get(DIRECTIVE) {
            None => changes.push(item),
            Some(directive) => match directive.as_str() {
                Some("delete") => {
                    let value = item.get(key).ok_or_else(|| no_key(item, key))?;
                    original.retain(|old| old.get(key) != Some(value));
                }
                Some("replace") => replace = true,
                Some("merge") => {
                    return Err(PatchError::Unprocessable(
                        "merging lists cannot yet be specified in the patch".into(),
                    ));
                }
                _ => return Err(unknown_directive(directive, item)),
            },
        }
    }
    if replace {
        return Ok(changes.into_iter().filter_map(|c| plain(&Value::Object(c.clone()))).collect());
    }
    for change in changes {
        let value = change.get(key).ok_or_else(|| no_key(change, key))?;
        match original.iter_mut().find(|old| old.get(key) == Some(value)) {
            Some(slot) => {
                let Value::Object(old) = slot.take() else { continue };
                *slot = Value::Object(merge_object(rule.item, old, change)?);
            }
            None => original.extend(plain(&Value::Object(change.clone()))),
        }
    }
    Ok(original)
}

fn no_key(item: &Object, key: &str) -> PatchError {
    PatchError::Unprocessable(format!(
        "map: {} does not contain declared merge key: {key}",
        Value::Object(item.clone())
    ))
}

/// What makes an item itself: its merge key, or the whole value.
fn identity<'a>(key: Option<&str>, item: &'a Value) -> &'a Value {
    match (key, item) {
        (Some(key), Value::Object(map)) => map.get(key).unwrap_or(&Value::Null),
        _ => item,
    }
}

fn place(key: Option<&str>, list: &[Value], item: &Value) -> Option<usize> {
    let wanted = identity(key, item);
    list.iter().position(|other| identity(key, other) == wanted)
}

/// Items named by `order` follow it; the others keep their order in `before` and come before the
/// first named item that they preceded there.
pub fn order_list(key: Option<&str>, merged: Vec<Value>, order: &[Value], before: &[Value]) -> Vec<Value> {
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(key, order, item).is_some());
    named.sort_by_key(|item| place(key, order, item));
    others.sort_by_key(|item| place(key, before, item).unwrap_or(usize::MAX));
    let mut result = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (Some(other), Some(named)) => match (place(key, before, other), place(key, before, named)) {
                (Some(other), Some(named)) => other < named,
                _ => false,
            },
            (Some(_), None) => true,
            (None, _) => false,
        };
        match if other_first { others.next() } else { named.next() } {
            Some(item) => result.push(item),
            None => return result,
        }
    }
}

/// The patch's items must stand in the order that `$setElementOrder` gives.
pub fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in patch.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        let wanted = identity(key, item);
        if key.is_some() && wanted.is_null() {
            return Err(no_key(&item.as_object().cloned().unwrap_or_default(), key.unwrap_or_default()));
        }
        if !rest.any(|other| identity(key, other) == wanted) {
            let print = |list: &[Value]| Value::Array(list.to_vec());
            return Err(PatchError::Unprocessable(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                print(patch),
                print(order)
            )));
        }
    }
    Ok(())
}
