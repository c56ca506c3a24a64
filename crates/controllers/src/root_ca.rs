//! Every active namespace has a ConfigMap `kube-root-ca.crt` with the cluster's certificate
//! authority, put back if it is changed.

use apimachinery::meta;
use serde_json::{Value, json};

pub const NAME: &str = "kube-root-ca.crt";
const ANNOTATION: &str = "kubernetes.io/description";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Create(Value),
    Update(Value),
}

pub fn plan(namespace: &Value, existing: Option<&Value>, ca_pem: &str) -> Option<Action> {
    if meta::is_deleting(namespace) {
        return None;
    }
    let data = json!({"ca.crt": ca_pem});
    match existing {
        None => Some(Action::Create(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": meta::name(namespace), "annotations": {ANNOTATION: DESCRIPTION}},
            "data": data,
        }))),
        Some(existing) if existing["data"] == data => None,
        Some(existing) => {
            let mut fixed = existing.clone();
            fixed["data"] = data;
            Some(Action::Update(fixed))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_is_made_and_put_back() {
        let namespace = json!({"metadata": {"name": "n"}});
        let Some(Action::Create(made)) = plan(&namespace, None, "pem") else { panic!("it is missing") };
        assert_eq!(plan(&namespace, Some(&made), "pem"), None);
        let Some(Action::Update(fixed)) = plan(&namespace, Some(&made), "new") else { panic!("it differs") };
        assert_eq!(fixed["data"]["ca.crt"], "new");
    }
}
