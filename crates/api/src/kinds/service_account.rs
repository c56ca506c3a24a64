//! ServiceAccounts: of the secrets they list only the names are kept.

use crate::read::text;
use crate::{Strategy, defaults};
use apimachinery::meta;
use serde_json::{Value, json};

const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";

pub(super) struct ServiceAccount;

impl Strategy for ServiceAccount {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        names_only(object);
    }

    fn prepare_update(&self, _: &str, new: &mut Value, _: &Value) {
        names_only(new);
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let set = |object: &Value| meta::annotation(object, ENFORCE).is_some();
        if !set(new) || old.is_some_and(set) {
            return Vec::new();
        }
        vec![format!(
            "metadata.annotations[{ENFORCE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        )]
    }

    fn has_status(&self) -> bool {
        false
    }

    fn delete_returns_object(&self) -> bool {
        true
    }
}

fn names_only(account: &mut Value) {
    for secret in account.get_mut("secrets").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = text(secret, "name").to_owned();
        *secret = if name.is_empty() { json!({}) } else { json!({"name": name}) };
    }
}
