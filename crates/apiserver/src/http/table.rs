//! Tables: what `kubectl get` prints. Columns and cells come from the kinds.

use super::negotiate::{Form, Include};
use crate::resources::Target;
use crate::server::Server;
use apimachinery::Time;
use serde_json::{Value, json};
use std::sync::Arc;

/// A table of objects. Watches send the column definitions only with their first event.
pub(crate) fn of(
    server: &Server,
    target: &Target,
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

fn row(target: &Target, object: &Arc<Value>, version: &str, form: &Form, now: Time) -> Value {
    let cells = match &target.custom {
        Some(custom) => custom::columns::row(&custom.version, object, now),
        None => api::row(&target.info, object, now),
    };
    let mut row = json!({ "cells": cells });
    if let Some(conditions) = api::row_conditions(&target.info, object) {
        row["conditions"] = conditions;
    }
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

fn columns_of(target: &Target) -> Value {
    let column = |column: &api::Column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    };
    let Some(custom) = &target.custom else { return api::columns(&target.info).iter().map(column).collect() };
    let own = custom.version.columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    });
    std::iter::once(column(&api::columns::NAME)).chain(own).collect()
}
