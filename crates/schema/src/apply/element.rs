//! One step of a path, as the text that is its key in a stored set: `f:name`, `k:{"name":"c"}`,
//! `v:"x"`, `i:0`. Equal steps have equal texts, so sets compare texts and never parse them. What
//! people read (`.name`, `[name="c"]`) and the order in which steps are listed are made from the text.

use apimachinery::go;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// The key that says of a step with steps below that it is a member itself.
pub(super) const SELF: &str = ".";

/// The step to a field.
pub(super) fn field(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + 2);
    key.push_str("f:");
    key.push_str(name);
    key
}

/// The step to the item of a set.
pub(super) fn value(item: &Value) -> String {
    let mut key = b"v:".to_vec();
    write_scalar(item, &mut key);
    String::from_utf8(key).unwrap_or_default()
}

/// The step to the item of a keyed list. Keys are sorted by name.
pub(super) fn keys(pairs: &mut [(&str, Cow<'_, Value>)]) -> String {
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    let mut key = Vec::with_capacity(40);
    key.extend_from_slice(b"k:{");
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            key.push(b',');
        }
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut key, name);
        key.push(b':');
        write_scalar(value, &mut key);
    }
    key.push(b'}');
    String::from_utf8(key).unwrap_or_default()
}

/// JSON; a float without a fraction is written like the integer it equals.
fn write_scalar(value: &Value, out: &mut Vec<u8>) {
    let _ = match whole(value) {
        Some(number) => serde_json::to_writer(out, &number),
        None => serde_json::to_writer(out, value),
    };
}

fn whole(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|_| value.is_f64())?;
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}

/// The canonical text of a key that somebody else wrote; `None` for a kind of step that this version
/// does not know and therefore drops.
///
/// # Errors
/// The key is no step.
pub(super) fn canonical(key: &str) -> Result<Option<String>, String> {
    if key.len() < 2 {
        return Err("key must be 2 characters long:".into());
    }
    let malformed = |error: serde_json::Error| error.to_string();
    if key.as_bytes()[1] != b':' {
        return Err(format!("missing colon: {key}"));
    }
    let rest = &key[2..];
    Ok(match key.as_bytes()[0] {
        b'f' => Some(key.to_owned()),
        b'v' => Some(value(&serde_json::from_str(rest).map_err(malformed)?)),
        b'k' => {
            let map: Map<String, Value> = serde_json::from_str(rest).map_err(malformed)?;
            let mut pairs: Vec<_> = map.iter().map(|(k, v)| (k.as_str(), Cow::Borrowed(v))).collect();
            Some(keys(&mut pairs))
        }
        b'i' => Some(format!("i:{}", rest.parse::<i64>().map_err(|_| format!("bad index {rest}"))?)),
        _ => None,
    })
}

/// The step as messages show it.
pub(super) fn shown(key: &str) -> String {
    let (kind, rest) = key.split_at(2.min(key.len()));
    let parsed = || serde_json::from_str::<Value>(rest).unwrap_or_default();
    match kind {
        "f:" => format!(".{rest}"),
        "v:" => format!("[={}]", shown_value(&parsed())),
        "k:" => {
            let pairs = parsed();
            let pairs = pairs.as_object().into_iter().flatten();
            let pairs: Vec<String> = pairs.map(|(k, v)| format!("{k}={}", shown_value(v))).collect();
            format!("[{}]", pairs.join(","))
        }
        _ => format!("[{rest}]"),
    }
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::String(text) => go::quote(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(shown_value).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(map) => map.iter().map(|(k, v)| format!("{k}={}", shown_value(v))).collect(),
        other => other.to_string(),
    }
}

/// The order in which steps are listed: fields, keys, values, indexes; each by what it holds.
pub(crate) fn order(a: &str, b: &str) -> Ordering {
    let rank = |key: &str| ["f:", "k:", "v:", "i:"].iter().position(|kind| key.starts_with(kind));
    let (kind, other) = (rank(a), rank(b));
    if kind != other {
        return kind.cmp(&other);
    }
    let parsed = |key: &str| serde_json::from_str::<Value>(&key[2..]).unwrap_or_default();
    match kind {
        Some(1) => order_keys(&parsed(a), &parsed(b)),
        Some(2 | 3) => order_values(&parsed(a), &parsed(b)),
        _ => a.cmp(b),
    }
}

fn order_keys(a: &Value, b: &Value) -> Ordering {
    let pairs = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (a, b) = (pairs(a), pairs(b));
    for ((name, value), (other, against)) in a.iter().zip(&b) {
        let found = name.cmp(other).then_with(|| order_values(value, against));
        if found != Ordering::Equal {
            return found;
        }
    }
    a.len().cmp(&b.len())
}

/// Numbers by size, then texts, then the rest by kind.
fn order_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0))
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
            a.to_string().cmp(&b.to_string())
        }
        _ => rank_value(a).cmp(&rank_value(b)),
    }
}

fn rank_value(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_have_one_text_and_one_look() {
        let mut pairs = [("protocol", Cow::Owned(json!("TCP"))), ("containerPort", Cow::Owned(json!(80.0)))];
        let key = keys(&mut pairs);
        assert_eq!(key, r#"k:{"containerPort":80,"protocol":"TCP"}"#);
        assert_eq!(shown(&key), r#"[containerPort=80,protocol="TCP"]"#);
        for (written, canonical_text, look) in [
            ("f:a.b", "f:a.b", ".a.b"),
            (r#"k:{ "b":1, "a":"x" }"#, r#"k:{"a":"x","b":1}"#, r#"[a="x",b=1]"#),
            (r#"v: "x" "#, r#"v:"x""#, r#"[="x"]"#),
            ("v:3.0", "v:3", "[=3]"),
            ("v:true", "v:true", "[=true]"),
            ("i:07", "i:7", "[7]"),
        ] {
            assert_eq!(canonical(written).unwrap().as_deref(), Some(canonical_text));
            assert_eq!(shown(canonical_text), look);
        }
        assert_eq!(canonical("x:new"), Ok(None));
        for bad in ["", "f", "abc", "k:[]", "k:{", "v:", "v:1 2", "i:x"] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn steps_are_listed_by_kind_and_content() {
        let want = [
            "f:a",
            "f:b",
            r#"k:{"port":80}"#,
            r#"k:{"port":80,"protocol":"TCP"}"#,
            r#"k:{"port":443}"#,
            "v:2",
            "v:10",
            r#"v:"a""#,
            r#"v:"b""#,
            "v:false",
            "i:2",
            "i:10",
        ];
        let mut sorted = want;
        sorted.reverse();
        sorted.sort_by(|a, b| order(a, b));
        assert_eq!(sorted, want);
    }
}
