//! Strategic merge patch: a merge patch that knows from the schema which lists merge, and by
//! which key. Rules are upstream's (`k8s.io/apimachinery/pkg/util/strategicpatch`):
//!
//! - `$patch: replace|delete` on an object or a list item, `$retainKeys`,
//!   `$setElementOrder/<field>`, `$deleteFromPrimitiveList/<field>`;
//! - null deletes; a value of another type replaces; what is new is taken without directives;
//! - lists whose strategy is `merge` match items by the merge key (one key: ports by
//!   `containerPort` alone), lists of plain values unite, all others are replaced;
//! - items of the patch follow the order of the patch, the others keep their place.

mod list;

use crate::table::{FieldRef, Item, Scalar, Shape, TypeRef};
use apimachinery::patch::PatchError;
use list::{merge_list, order_list};
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

type Object = Map<String, Value>;

/// Merges `patch` into an object of the definition.
///
/// # Errors
/// [`PatchError::Malformed`] (400) for directives of the wrong form, [`PatchError::Unprocessable`]
/// (422) for items without merge key and other patches that do not fit.
pub fn strategic_merge(ty: TypeRef, original: Value, patch: &Value) -> Result<Value, PatchError> {
    let (Value::Object(original), Value::Object(patch)) = (original, patch) else {
        return Err(PatchError::Malformed("invalid JSON document".into()));
    };
    merge_object(Scope::Type(ty), original, patch).map(Value::Object)
}

/// What the schema says about the members of an object.
#[derive(Clone, Copy)]
enum Scope {
    Type(TypeRef),
    /// The entries of a map.
    Entries(FieldRef),
    /// Nothing is known.
    Free,
}

impl Scope {
    fn field(self, name: &str) -> Option<FieldRef> {
        match self {
            Self::Type(ty) => ty.field(name),
            Self::Entries(_) | Self::Free => None,
        }
    }

    /// The scope of the object under `name`.
    fn below(self, name: &str) -> Self {
        match self {
            Self::Type(_) => self.field(name).map_or(Self::Free, |field| match field.shape() {
                Shape::Map | Shape::MapOfWrappedLists => Self::Entries(field),
                Shape::One | Shape::List | Shape::WrappedList => Self::item(field),
            }),
            Self::Entries(field) => Self::item(field),
            Self::Free => Self::Free,
        }
    }

    fn item(field: FieldRef) -> Self {
        match field.item() {
            Item::Object(target) => Self::Type(target),
            Item::Scalar(Scalar::PropsOrBool | Scalar::PropsOrArray | Scalar::PropsOrStrings) => {
                field.target().map_or(Self::Free, Self::Type)
            }
            Item::Scalar(_) => Self::Free,
        }
    }

    fn list(self, name: &str) -> ListRule {
        let field = self.field(name);
        ListRule {
            merges: field.is_some_and(FieldRef::patch_merges),
            key: field.and_then(FieldRef::merge_key),
            item: field.map_or(Self::Free, Self::item),
        }
    }
}

/// How one list is merged.
#[derive(Clone, Copy)]
struct ListRule {
    merges: bool,
    key: Option<&'static str>,
    item: Scope,
}

fn merge_object(scope: Scope, mut original: Object, patch: &Object) -> Result<Object, PatchError> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(patch
                .iter()
                .filter(|(k, _)| *k != DIRECTIVE && !is_directive(k))
                .filter_map(|(k, v)| Some((k.clone(), plain(v)?)))
                .collect()),
            Some("delete") => Ok(Object::new()),
            _ => Err(unknown_directive(directive, patch)),
        };
    }
    retain_keys(&mut original, patch)?;
    let ordered = merge_ordered_lists(scope, &mut original, patch)?;
    for (key, change) in patch {
        if key == RETAIN_KEYS || key.starts_with(SET_ORDER) || ordered.contains(&key.as_str()) {
            continue;
        }
        match key.strip_prefix(DELETE_FROM) {
            Some(list) => delete_from(&mut original, list, change)?,
            None => merge_member(scope, &mut original, key, change)?,
        }
    }
    Ok(original)
}

fn unknown_directive(directive: &Value, patch: &Object) -> PatchError {
    let name = directive.as_str().map_or_else(|| directive.to_string(), str::to_owned);
    PatchError::Unprocessable(format!("unknown patch type: {name} in map: {}", Value::Object(patch.clone())))
}

fn is_directive(key: &str) -> bool {
    key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_FROM)
}

/// `$retainKeys` lists every key that may stay; the patch may set no other.
fn retain_keys(original: &mut Object, patch: &Object) -> Result<(), PatchError> {
    let Some(keep) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let bad = || PatchError::Malformed("invalid patch format of retainKeys".into());
    let keep: Vec<&str> = keep.as_array().ok_or_else(bad)?.iter().filter_map(Value::as_str).collect();
    let listed = |key: &str| keep.contains(&key);
    if patch.iter().any(|(key, value)| !value.is_null() && !is_directive(key) && !listed(key)) {
        return Err(bad());
    }
    original.retain(|key, _| listed(key));
    Ok(())
}

/// Merges the lists that have a `$setElementOrder`; gives their names.
fn merge_ordered_lists<'p>(
    scope: Scope,
    original: &mut Object,
    patch: &'p Object,
) -> Result<Vec<&'p str>, PatchError> {
    let mut done = Vec::new();
    for (key, order) in patch {
        let Some(name) = key.strip_prefix(SET_ORDER) else { continue };
        let bad = || PatchError::Malformed("invalid patch format of setElementOrder list".into());
        let order = order.as_array().ok_or_else(bad)?;
        let as_list = |value: &Value| value.as_array().cloned().ok_or_else(bad);
        let (before, change) =
            (original.get(name).map(as_list).transpose()?, patch.get(name).map(as_list).transpose()?);
        let rule = scope.list(name);
        let (merged, before) = match (before, change) {
            (None, None) => continue,
            (Some(before), None) => (before.clone(), before),
            (None, Some(change)) => {
                list::check_order(&change, order, rule.key)?;
                (change.iter().filter_map(plain).collect(), Vec::new())
            }
            (Some(before), Some(change)) => {
                list::check_order(&change, order, rule.key)?;
                let merged = if rule.merges {
                    merge_list(rule, before.clone(), &change)?
                } else {
                    change.iter().filter_map(plain).collect()
                };
                (merged, before)
            }
        };
        original.insert(name.to_owned(), Value::Array(order_list(rule.key, merged, order, &before)));
        done.push(name);
    }
    Ok(done)
}

fn delete_from(original: &mut Object, name: &str, values: &Value) -> Result<(), PatchError> {
    let values = values
        .as_array()
        .ok_or_else(|| PatchError::Malformed("invalid patch format of primitive list".into()))?;
    if let Some(Value::Array(list)) = original.get_mut(name) {
        list.retain(|item| !values.contains(item));
    }
    Ok(())
}

fn merge_member(scope: Scope, original: &mut Object, key: &str, change: &Value) -> Result<(), PatchError> {
    if change.is_null() {
        original.remove(key);
        return Ok(());
    }
    let merged = match (original.remove(key), change) {
        (Some(Value::Object(before)), Value::Object(change))
            if !scope.field(key).is_some_and(FieldRef::patch_replaces) =>
        {
            Some(Value::Object(merge_object(scope.below(key), before, change)?))
        }
        (Some(Value::Array(before)), Value::Array(change)) if scope.list(key).merges => {
            let rule = scope.list(key);
            let merged = merge_list(rule, before.clone(), change)?;
            Some(Value::Array(order_list(rule.key, merged, change, &before)))
        }
        (_, change) => plain(change),
    };
    if let Some(merged) = merged {
        original.insert(key.to_owned(), merged);
    }
    Ok(())
}

/// A value of the patch without nulls and directives; `None` if a directive was all it was.
fn plain(value: &Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let members = map.iter().filter(|(key, value)| !value.is_null() && !is_directive(key));
            Some(Value::Object(
                members.filter_map(|(key, value)| Some((key.clone(), plain(value)?))).collect(),
            ))
        }
        Value::Array(list) => Some(Value::Array(list.iter().filter_map(plain).collect())),
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests;
