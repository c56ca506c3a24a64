//! Which requests are concerned.

use super::*;
use apimachinery::Status;
use std::sync::Arc;

fn namespace(name: &str) -> Result<Arc<Value>, Box<Status>> {
    match name {
        "ns" => Ok(Arc::new(json!({"metadata": {"name": "ns", "labels": {"team": "a"}}}))),
        _ => Err(Box::new(Status::not_found(&apimachinery::GroupResource::new("", "namespaces"), name))),
    }
}

fn outcome(criteria: &Criteria, request: &Request, object: &Value, equivalents: &[Matched]) -> String {
    let asked = Asked { request, object: Some(object), old: None, equivalents, namespace: &namespace };
    match criteria.matches(&asked) {
        Ok(None) => "no".into(),
        Ok(Some(matched)) => format!("{}/{}", matched.resource.group, matched.resource.version),
        Err(status) => status.message.clone(),
    }
}

fn rule(operations: &str, groups: &str, versions: &str, resources: &str, scope: &str) -> Value {
    fn all(text: &str) -> Vec<&str> {
        text.split(' ').map(|part| part.trim_matches('_')).collect()
    }
    json!({"operations": all(operations), "apiGroups": all(groups), "apiVersions": all(versions),
        "resources": all(resources), "scope": scope})
}

#[test]
fn rules_decide_by_operation_group_version_resource_and_scope() {
    use Operation::{Connect, Create, Delete, Update};
    for (rule, operation, what, namespace, concerned) in [
        (rule("*", "*", "*", "*", "*"), Create, "g/v1/r", "ns", true),
        (rule("*", "*", "*", "*", "*"), Create, "g/v1/r/status", "ns", false),
        (rule("*", "*", "*", "*/*", "*"), Create, "g/v1/r/status", "ns", true),
        (rule("*", "*", "*", "*/*", "*"), Create, "g/v1/r", "ns", true),
        (rule("CREATE UPDATE", "*", "*", "*", "*"), Update, "g/v1/r", "ns", true),
        (rule("CREATE UPDATE", "*", "*", "*", "*"), Delete, "g/v1/r", "ns", false),
        (rule("CONNECT", "_", "v1", "pods/exec", "*"), Connect, "/v1/pods/exec", "ns", true),
        (rule("CONNECT", "_", "v1", "pods/exec", "*"), Connect, "/v1/pods/attach", "ns", false),
        (rule("*", "g1 g2", "*", "*", "*"), Create, "g2/v1/r", "ns", true),
        (rule("*", "g1 g2", "*", "*", "*"), Create, "g3/v1/r", "ns", false),
        (rule("*", "*", "v1 v2", "*", "*"), Create, "g/v3/r", "ns", false),
        (rule("*", "*", "*", "r/*", "*"), Create, "g/v1/r", "ns", true),
        (rule("*", "*", "*", "r/*", "*"), Create, "g/v1/r/scale", "ns", true),
        (rule("*", "*", "*", "*/scale", "*"), Create, "g/v1/r", "ns", false),
        (rule("*", "*", "*", "*/scale", "*"), Create, "g/v1/r/scale", "ns", true),
        (rule("*", "*", "*", "*", "Namespaced"), Create, "g/v1/r", "ns", true),
        (rule("*", "*", "*", "*", "Namespaced"), Create, "g/v1/r", "", false),
        (rule("*", "*", "*", "*", "Cluster"), Create, "g/v1/r", "ns", false),
        (rule("*", "*", "*", "*", "Cluster"), Create, "g/v1/r", "", true),
        (rule("*", "*", "*", "*", "Cluster"), Create, "/v1/namespaces", "ns", true),
        (rule("*", "*", "*", "*", "Namespaced"), Create, "/v1/namespaces", "ns", false),
    ] {
        let criteria = Criteria::of_webhook(&json!({"rules": [rule]}));
        let asked = request(operation, what, namespace);
        let found = outcome(&criteria, &asked, &json!({"metadata": {}}), &[]);
        assert_eq!(found != "no", concerned, "{rule} {operation:?} {what} in {namespace:?}");
    }
}

#[test]
fn selectors_and_versions_decide_too() {
    let all = rule("*", "*", "*", "*", "*");
    let object = json!({"metadata": {"labels": {"app": "a"}}});
    let here = request(Operation::Create, "g/v2/r", "ns");
    let gone = request(Operation::Create, "g/v2/r", "gone");
    let v1 = Matched {
        resource: GroupVersionResource::new("g", "v1", "r"),
        kind: GroupVersionKind::new("g", "v1", "Thing"),
    };
    let only_v1 = rule("*", "g", "v1", "r", "*");
    for (hook, asked, want) in [
        (json!({"rules": [all], "namespaceSelector": {"matchLabels": {"team": "a"}}}), &here, "g/v2"),
        (json!({"rules": [all], "namespaceSelector": {"matchLabels": {"team": "b"}}}), &here, "no"),
        (
            json!({"rules": [all], "namespaceSelector": {"matchLabels": {"team": "a"}}}),
            &gone,
            "namespaces \"gone\" not found",
        ),
        (json!({"rules": [], "namespaceSelector": {"matchLabels": {"team": "a"}}}), &gone, "no"),
        (json!({"rules": [all], "objectSelector": {"matchLabels": {"app": "a"}}}), &here, "g/v2"),
        (json!({"rules": [all], "objectSelector": {"matchLabels": {"app": "b"}}}), &here, "no"),
        (json!({"rules": [only_v1], "matchPolicy": "Equivalent"}), &here, "g/v1"),
        (json!({"rules": [only_v1], "matchPolicy": "Exact"}), &here, "no"),
    ] {
        let criteria = Criteria::of_webhook(&hook);
        assert_eq!(outcome(&criteria, asked, &object, std::slice::from_ref(&v1)), want, "{hook}");
    }
    let named = |names: &[&str]| {
        let mut rule = rule("*", "*", "*", "*", "*");
        rule["resourceNames"] = json!(names);
        rule
    };
    for (resources, want) in [
        (json!({}), "g/v2"),
        (json!({"resourceRules": [named(&["x"])]}), "g/v2"),
        (json!({"resourceRules": [named(&["y"])]}), "no"),
        (json!({"resourceRules": [named(&[])], "excludeResourceRules": [named(&["x"])]}), "no"),
        (json!({"resourceRules": [named(&[])], "excludeResourceRules": [named(&["y"])]}), "g/v2"),
    ] {
        assert_eq!(outcome(&Criteria::of_policy(&resources), &here, &object, &[]), want, "{resources}");
    }
}
