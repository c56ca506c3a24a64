//! Tables: what `kubectl get` prints. Columns and cells come from the kinds; what has none of its own
//! shows its name and age.

use super::negotiate::{Form, Include};
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Time, meta};
use serde_json::{Value, json};
use std::sync::Arc;

/// A table of objects. Watches send the column definitions only with their first event.
pub(crate) fn of(
    server: &Server,
    target: Target,
    objects: &[Arc<Value>],
    version: &str,
    form: &Form,
    columns: bool,
) -> Value {
    let now = server.now();
    let definitions = if columns { columns_of(target) } else { Value::Null };
    let rows: Vec<Value> = objects.iter().map(|object| row(target, object, version, form, now)).collect();
    json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": {},
        "columnDefinitions": definitions, "rows": rows,
    })
}

fn row(target: Target, object: &Arc<Value>, version: &str, form: &Form, now: Time) -> Value {
    let mut row = json!({"cells": cells_of(target, object, now)});
    match form.include {
        Include::None => {}
        Include::Metadata => row["object"] = super::respond::partial(object, version),
        Include::Object => row["object"] = (**object).clone(),
    }
    row
}

/// Upstream's field order.
pub(crate) fn to_json(table: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(map) = table.as_object() else { return out };
    for (index, field) in ["kind", "apiVersion", "metadata", "columnDefinitions", "rows"].iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        out.extend_from_slice(format!("\"{field}\":{}", map.get(*field).unwrap_or(&Value::Null)).as_bytes());
    }
    out.push(b'}');
    out
}

fn column(name: &str, kind: &str, format: &str, priority: i32) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": "", "priority": priority})
}

fn columns_of(_target: Target) -> Value {
    json!([column("Name", "string", "name", 0), column("Age", "string", "", 0)])
}

fn cells_of(_target: Target, object: &Value, now: Time) -> Value {
    let age = match meta::creation_timestamp(object) {
        Some(created) => apimachinery::time::human_duration(now.since(created)),
        None => "<unknown>".into(),
    };
    json!([meta::name(object), age])
}
