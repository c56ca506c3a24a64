//! The status of validating admission policies: what a type check of their expressions found, once for
//! each generation.

use admission::type_check;
use apimachinery::meta;
use serde_json::{Value, json};

/// The manager of the status.
pub const MANAGER: &str = "validatingadmissionpolicy-status";

/// The status to apply, if the policy has changed since it was looked at.
pub fn plan(policy: &Value) -> Option<Value> {
    let generation = meta::generation(policy);
    let observed = policy.pointer("/status/observedGeneration").and_then(Value::as_i64).unwrap_or(0);
    if generation <= observed {
        return None;
    }
    let warnings = type_check::warnings(policy);
    let mut checked = json!({});
    if !warnings.is_empty() {
        checked["expressionWarnings"] = warnings.into();
    }
    Some(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": meta::name(policy)},
        "status": {"observedGeneration": generation, "typeChecking": checked},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_is_checked_once() {
        let policy = |observed: i64, expression: &str| {
            json!({"metadata": {"name": "p", "generation": 2}, "status": {"observedGeneration": observed}, "spec": {
                "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]},
                "validations": [{"expression": expression}]}})
        };
        assert_eq!(plan(&policy(2, "object.nothing")), None);
        let good = plan(&policy(1, "has(object.spec.nodeName)")).expect("a status");
        assert_eq!(good["status"], json!({"observedGeneration": 2, "typeChecking": {}}));
        let bad = plan(&policy(1, "object.nothing")).expect("a status");
        let warning = &bad["status"]["typeChecking"]["expressionWarnings"][0];
        assert_eq!(warning["fieldRef"], "spec.validations[0].expression");
        assert_eq!(
            warning["warning"],
            "/v1, Kind=Pod: ERROR: <input>:1:7: undefined field 'nothing'\n | object.nothing\n | ......^\n"
        );
    }
}
