//! Tables of custom resources: the name, and what each column's path finds.

use crate::version::{Column, Version};
use apimachinery::{Time, jsonpath, meta, time::human_duration};
use serde_json::{Number, Value};

/// The cells of an object: its name and one for each column.
pub fn row(version: &Version, object: &Value, now: Time) -> Vec<Value> {
    let name = Value::from(meta::name(object));
    std::iter::once(name).chain(version.columns.iter().map(|column| cell(column, object, now))).collect()
}

fn cell(column: &Column, object: &Value, now: Time) -> Value {
    let found = jsonpath::select(&column.path, object).unwrap_or_default();
    let Some(value) = found.first() else { return Value::Null };
    match column.kind.as_str() {
        "string" => jsonpath::text(value).into(),
        "integer" => match value {
            Value::Number(number) if number.is_i64() => (*value).clone(),
            Value::Number(number) => number.as_f64().map_or(Value::Null, |float| (float as i64).into()),
            _ => Value::Null,
        },
        "number" => {
            let float = value.as_f64().and_then(Number::from_f64);
            match value {
                Value::Number(number) if number.is_i64() => (*value).clone(),
                _ => float.map_or(Value::Null, Value::Number),
            }
        }
        "boolean" => value.as_bool().map_or(Value::Null, Value::from),
        "date" => match value {
            Value::String(text) => match Time::parse(text) {
                Ok(time) => human_duration(now.since(time)).into(),
                Err(_) => "<invalid>".into(),
            },
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_are_what_paths_find() {
        let object = json!({"metadata": {"name": "x", "creationTimestamp": "2024-01-01T00:00:00Z"},
            "spec": {"n": 3, "f": 1.5, "s": "t", "b": true, "m": {"a": 1}, "list": [{"type": "Ready", "status": "True"}]}});
        let now = Time::parse("2024-01-01T00:05:00Z").unwrap();
        for (kind, path, want) in [
            ("string", ".spec.s", json!("t")),
            ("string", ".spec.n", json!("3")),
            ("string", ".spec.m", json!("{\"a\":1}")),
            ("string", ".spec.none", json!(null)),
            ("string", ".spec.list[?(@.type==\"Ready\")].status", json!("True")),
            ("integer", ".spec.n", json!(3)),
            ("integer", ".spec.f", json!(1)),
            ("integer", ".spec.s", json!(null)),
            ("number", ".spec.f", json!(1.5)),
            ("boolean", ".spec.b", json!(true)),
            ("boolean", ".spec.s", json!(null)),
            ("date", ".metadata.creationTimestamp", json!("5m")),
            ("date", ".spec.s", json!("<invalid>")),
        ] {
            let column = Column {
                name: String::new(),
                kind: kind.into(),
                format: String::new(),
                description: String::new(),
                priority: 0,
                path: path.into(),
            };
            assert_eq!(cell(&column, &object, now), want, "{kind} {path}");
        }
    }
}
