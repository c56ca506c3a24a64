//! Tables: the columns of every built-in resource (`facts/columns.txt`) and the cells of an object,
//! as `kubectl get` prints them. All columns are always given; clients hide those of priority 1.

mod core;
mod pod;
mod rest;
mod workloads;

use crate::ResourceInfo;
use apimachinery::{Time, meta};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    pub kind: &'static str,
    /// `name` for the primary identifier, else empty.
    pub format: &'static str,
    pub description: &'static str,
    /// 1: shown in wide output only.
    pub priority: i32,
}

/// The column that every table begins with.
pub const NAME: Column = column("Name", "string", "name", 0);

/// What a table shows where nothing is known about the kind.
static FALLBACK: [Column; 2] = [column("Name", "string", "name", 0), column("Created At", "date", "", 0)];

static COLUMNS: LazyLock<HashMap<&'static str, Vec<Column>>> = LazyLock::new(|| {
    include_str!("../facts/columns.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .filter_map(|line| {
            let (resource, columns) = line.split_once('|')?;
            Some((resource, columns.split('|').map(parse).collect()))
        })
        .collect()
});

const fn column(name: &'static str, kind: &'static str, format: &'static str, priority: i32) -> Column {
    Column { name, kind, format, description: describe(name), priority }
}

/// How the column of ages is described.
pub const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// The descriptions that most columns share; clients print them nowhere but in raw tables.
const fn describe(name: &str) -> &'static str {
    match name.as_bytes() {
        b"Name" => {
            "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
        }
        b"Age" | b"Created At" => AGE,
        _ => "",
    }
}

fn parse(text: &'static str) -> Column {
    let mut parts = text.split(',');
    let name = parts.next().unwrap_or_default();
    let kind = parts.next().unwrap_or("string");
    let format = parts.next().unwrap_or("");
    match name.strip_suffix('*') {
        Some(name) => column(name, kind, format, 1),
        None => column(name, kind, format, 0),
    }
}

/// The columns of a resource, in order.
pub fn columns(info: &ResourceInfo) -> &'static [Column] {
    let key = format!("{}/{}", info.api_version(), info.resource);
    COLUMNS.get(key.as_str()).map_or(&FALLBACK, Vec::as_slice)
}

/// Fills a row: the object, and the time that ages count from.
type Cells = fn(&Value, Time) -> Vec<Value>;

fn cells_of(info: &ResourceInfo) -> Option<Cells> {
    let find = |table: &[(&str, &str, Cells)]| {
        table
            .iter()
            .find(|(group, resource, _)| *group == info.group && *resource == info.resource)
            .map(|row| row.2)
    };
    find(core::CELLS).or_else(|| find(workloads::CELLS)).or_else(|| find(rest::CELLS))
}

/// The cells of an object, one for each of [`columns`].
pub fn row(info: &ResourceInfo, object: &Value, now: Time) -> Vec<Value> {
    let columns = columns(info);
    let mut cells = match cells_of(info) {
        Some(cells) if columns != FALLBACK => cells(object, now),
        _ => vec![meta::name(object).into(), created(object)],
    };
    cells.resize(columns.len(), Value::Null);
    cells
}

/// What a table says about a whole row: that a Pod has finished.
pub fn row_conditions(info: &ResourceInfo, object: &Value) -> Option<Value> {
    if !(info.group.is_empty() && info.resource == "pods") {
        return None;
    }
    let message = match object["status"]["phase"].as_str() {
        Some("Succeeded") => "The pod has completed successfully.",
        Some("Failed") => "The pod failed.",
        _ => return None,
    };
    let reason = &object["status"]["phase"];
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

fn created(object: &Value) -> Value {
    meta::creation_timestamp(object).map_or(Value::Null, |time| time.to_string().into())
}

/// How long ago something was, or `<unknown>`.
fn since(time: Option<Time>, now: Time) -> String {
    time.map_or_else(|| "<unknown>".into(), |time| apimachinery::time::human_duration(now.since(time)))
}

fn age(object: &Value, now: Time) -> Value {
    since(meta::creation_timestamp(object), now).into()
}

/// A text, or another where it is empty.
fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

fn count(object: &Value, field: &str) -> Value {
    crate::read::int(object, field).unwrap_or(0).into()
}

/// `a=b,c=d`, `<none>` if empty.
fn labels(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or(&pairs.join(","), "<none>").to_owned()
}

/// A LabelSelector as text; `None` if it is not valid.
fn selector(selector: &Value) -> Option<String> {
    let selector = Some(selector).filter(|selector| !selector.is_null());
    apimachinery::labels::Selector::from_label_selector(selector).ok().map(|selector| selector.to_string())
}

fn selector_or_none(value: &Value) -> String {
    match selector(value) {
        Some(text) => or(&text, "<none>").to_owned(),
        None => "<error>".to_owned(),
    }
}

/// The first few items; `<unset>` if there are none.
fn with_more(items: Vec<String>, shown: usize) -> String {
    let more = items.len().saturating_sub(shown);
    let text = items.into_iter().take(shown).collect::<Vec<_>>().join(",");
    match more {
        0 => or(&text, "<unset>").to_owned(),
        more => format!("{text} + {more} more..."),
    }
}

#[cfg(test)]
mod tests;
