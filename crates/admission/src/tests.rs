//! Tables: what is concerned, what reviews and answers are, what policies decide, and what is refused in
//! which words.

mod matching;
mod policies;
mod reviews;

use crate::*;
use apimachinery::gvk::{GroupVersionKind, GroupVersionResource};
use serde_json::{Value, json};

/// A request by `group/version/resource[/subresource]`.
fn request(operation: Operation, what: &str, namespace: &str) -> Request {
    let parts: Vec<&str> = what.split('/').collect();
    Request {
        operation,
        kind: GroupVersionKind::new(parts[0], parts[1], "Thing"),
        resource: GroupVersionResource::new(parts[0], parts[1], parts[2]),
        subresource: parts.get(3).copied().unwrap_or_default().into(),
        name: "x".into(),
        namespace: namespace.into(),
        user: json!({"username": "u", "groups": ["g"]}),
        dry_run: false,
        options: Value::Null,
    }
}

fn matched(request: &Request) -> Matched {
    Matched { resource: request.resource.clone(), kind: request.kind.clone() }
}
