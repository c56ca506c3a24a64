//! What makes an item of a list itself: its value in a set, its keys in a keyed list.

use super::element;
use super::types::{List, ListKind};
use serde_json::Value;
use std::borrow::Cow;

/// The step to an item.
///
/// # Errors
/// The item cannot be told from others.
pub(super) fn step(list: List<'_>, item: &Value) -> Result<String, String> {
    match list.kind {
        ListKind::Atomic => Err("invalid indexing of non-associative list".into()),
        ListKind::Set => set_step(item),
        ListKind::Keyed(_) | ListKind::KeyedBy(_) => keyed_step(list, item),
    }
}

fn set_step(item: &Value) -> Result<String, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
        scalar => Ok(element::value(scalar)),
    }
}

fn keyed_step(list: List<'_>, item: &Value) -> Result<String, String> {
    let fields = match item {
        Value::Object(fields) => fields,
        Value::Null => return Err("associative list with keys may not have a null element".into()),
        _ => return Err("associative list with keys may not have non-map elements".into()),
    };
    let names = list.keys().unwrap_or_default();
    let mut pairs: Vec<(&str, Cow<'_, Value>)> = Vec::with_capacity(names.len());
    for name in &names {
        // A key that is left out and has no default makes another item than any value of it.
        if let Some(value) = fields.get(*name).map(Cow::Borrowed).or_else(|| list.key_default(name)) {
            pairs.push((name, value));
        }
    }
    if pairs.is_empty() && !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| apimachinery::go::quote(name)).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            names.join(" ")
        ));
    }
    Ok(element::keys(&mut pairs))
}
