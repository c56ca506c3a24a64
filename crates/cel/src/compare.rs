//! Equality and order of values of any types: numbers compare by value, lists and maps by content.

use crate::decl::ListKind;
use crate::value::{List, Value};
use std::cmp::Ordering;

/// Whether two values are equal; values of different types are not, numbers excepted.
pub fn equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => **a == **b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::List(a), Value::List(b)) => lists_equal(a, b),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.keys().iter().all(|key| match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => equal(&a, &b),
                    _ => false,
                })
        }
        (Value::Object(a), Value::Object(b)) => {
            let (mine, other) = (a.fields(), b.fields());
            mine.len() == other.len()
                && mine.iter().all(|(name, value)| b.get(name).is_some_and(|other| equal(value, &other)))
        }
        // An object and a map of the same content: data of which one side has a schema.
        (Value::Object(object), Value::Map(map)) | (Value::Map(map), Value::Object(object)) => {
            let fields = object.fields();
            fields.len() == map.len()
                && fields
                    .iter()
                    .all(|(name, value)| map.get_text(name).is_some_and(|other| equal(value, &other)))
        }
        (Value::Optional(a), Value::Optional(b)) => match (a, b) {
            (Some(a), Some(b)) => equal(a, b),
            (a, b) => a.is_none() && b.is_none(),
        },
        (Value::Opaque(a), Value::Opaque(b)) => a.equals(&**b),
        _ => numbers(a, b) == Some(Ordering::Equal),
    }
}

fn lists_equal(a: &List<'_>, b: &List<'_>) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.kind() {
        ListKind::Atomic => a.iter().zip(b.iter()).all(|(a, b)| equal(&a, &b)),
        ListKind::Set => a.iter().all(|item| contains(b, &item)),
        ListKind::Map(keys) => {
            let mut others = b.to_vec();
            a.iter().all(|item| {
                let found = others.iter().position(|other| same_item(&item, other, keys));
                found.is_some_and(|index| equal(&item, &others.swap_remove(index)))
            })
        }
    }
}

pub(crate) fn contains(list: &List<'_>, item: &Value<'_>) -> bool {
    list.iter().any(|other| equal(&other, item))
}

/// Whether two items of a list of type `map` have the same keys.
pub(crate) fn same_item(a: &Value<'_>, b: &Value<'_>, keys: &[String]) -> bool {
    let part = |value: &Value<'_>, key: &String| match value {
        Value::Object(object) => {
            crate::escape::escape(key).and_then(|key| object.get(&key)).map(|v| v.to_json())
        }
        Value::Map(map) => map.get_text(key).map(|v| v.to_json()),
        _ => None,
    };
    keys.iter().all(|key| part(a, key) == part(b, key))
}

/// The order of two values, where they have one.
pub fn order(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some((**a).cmp(b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.partial_cmp(b),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        _ => numbers(a, b),
    }
}

fn numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    let whole = |value: &Value<'_>| match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        _ => None,
    };
    match (whole(a), whole(b), a, b) {
        (Some(a), Some(b), ..) => Some(a.cmp(&b)),
        (None, None, Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Some(a), None, _, Value::Double(b)) => with_double(a, *b),
        (None, Some(b), Value::Double(a), _) => with_double(b, *a).map(Ordering::reverse),
        _ => None,
    }
}

/// Exact, where converting the integer would round.
fn with_double(a: i128, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    if b.abs() >= 1e30 {
        return Some(if b > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = b.floor();
    let order = a.cmp(&(whole as i128));
    Some(if order == Ordering::Equal && b > whole { Ordering::Less } else { order })
}
