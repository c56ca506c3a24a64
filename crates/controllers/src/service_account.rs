//! Every active namespace has a ServiceAccount `default`.

use apimachinery::meta;
use serde_json::{Value, json};

pub const NAME: &str = "default";

/// The account to create, if it is missing.
pub fn plan(namespace: &Value, existing: Option<&Value>) -> Option<Value> {
    if meta::is_deleting(namespace) || existing.is_some() {
        return None;
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": NAME, "namespace": meta::name(namespace)},
    }))
}
