//! Tables: rules, objects before and after, and upstream's words for what is broken.

use super::*;
use serde_json::{Value, json};

fn judge(schema: &Value, new: Value, old: Option<Value>) -> (Vec<String>, Vec<String>) {
    let schema = Schema::read(&json!({"type": "object", "properties": {"spec": schema}}));
    let rules = Rules::of_resource(&schema).expect("there are rules");
    let old = old.map(|old| json!({"spec": old}));
    let judged = rules.check(&schema, &json!({"spec": new, "metadata": {"name": "n"}}), old.as_ref());
    (judged.errors.iter().map(ToString::to_string).collect(), judged.warnings)
}

fn errors(schema: &Value, new: Value, old: Option<Value>) -> Vec<String> {
    judge(schema, new, old).0
}

fn with(rules: Value) -> Value {
    json!({"type": "object", "x-kubernetes-validations": rules, "properties": {
        "replicas": {"type": "integer"}, "max": {"type": "integer"}, "name": {"type": "string"},
        "port": {"x-kubernetes-int-or-string": true}, "names": {"type": "array", "items": {"type": "string"}}}})
}

#[test]
fn broken_rules_say_so() {
    let table = [
        (
            json!([{"rule": "self.replicas <= self.max"}]),
            "spec: Invalid value: failed rule: self.replicas <= self.max",
        ),
        (
            json!([{"rule": "self.replicas <= self.max", "message": " too many "}]),
            "spec: Invalid value: too many",
        ),
        (
            json!([{"rule": "self.replicas <= self.max", "messageExpression": "'more than ' + string(self.max)"}]),
            "spec: Invalid value: more than 2",
        ),
        (
            json!([{"rule": "self.replicas <= self.max", "message": "m", "messageExpression": "'a\\nb'"}]),
            "spec: Invalid value: m",
        ),
        (
            json!([{"rule": "self.replicas <= self.max", "reason": "FieldValueForbidden", "fieldPath": ".replicas"}]),
            "spec.replicas: Forbidden: failed rule: self.replicas <= self.max",
        ),
        (
            json!([{"rule": "self.replicas <= self.max", "reason": "FieldValueRequired"}]),
            "spec: Required value: failed rule: self.replicas <= self.max",
        ),
        (
            json!([{"rule": "self.name == 'x'"}]),
            "spec: Invalid value: \"object\": no such key: name evaluating rule: self.name == 'x'",
        ),
        (
            json!([{"rule": "self.port < 5"}]),
            "spec: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self.port < 5",
        ),
        (
            json!([{"rule": "self.names.all(a, self.names.all(b, a + b != 'x'))"}]),
            "spec: Invalid value: \"object\": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: self.names.all(a, self.names.all(b, a + b != 'x'))",
        ),
    ];
    let names: Vec<Value> = (0..1000).map(|n| format!("n{n}").into()).collect();
    for (rules, want) in table {
        let found =
            errors(&with(rules), json!({"replicas": 3, "max": 2, "port": "http", "names": names}), None);
        assert_eq!(found, [want]);
    }
    let inner = json!({"type": "object", "properties": {"a": {"type": "string", "x-kubernetes-validations": [{"rule": "self.size() < 3"}]}},
        "additionalProperties": null});
    assert_eq!(
        errors(&inner, json!({"a": "long"}), None),
        [r#"spec.a: Invalid value: "long": failed rule: self.size() < 3"#]
    );
}

#[test]
fn transitions_see_what_was() {
    let schema = with(json!([{"rule": "self.replicas >= oldSelf.replicas"}]));
    assert!(errors(&schema, json!({"replicas": 1}), None).is_empty());
    assert!(errors(&schema, json!({"replicas": 2}), Some(json!({"replicas": 1}))).is_empty());
    assert_eq!(
        errors(&schema, json!({"replicas": 1}), Some(json!({"replicas": 2}))),
        ["spec: Invalid value: failed rule: self.replicas >= oldSelf.replicas"]
    );
    let schema = with(
        json!([{"rule": "oldSelf.hasValue() ? self.replicas == oldSelf.value().replicas : self.replicas == 1", "optionalOldSelf": true, "message": "m"}]),
    );
    assert_eq!(errors(&schema, json!({"replicas": 2}), None), ["spec: Invalid value: m"]);
    assert!(errors(&schema, json!({"replicas": 2}), Some(json!({"replicas": 2}))).is_empty());
    // Items of maps are found by their key, entries by name.
    let item = json!({"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v"}]});
    let list = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item});
    let found = errors(
        &list,
        json!([{"k": "b", "v": 1}, {"k": "a", "v": 1}]),
        Some(json!([{"k": "a", "v": 2}, {"k": "b", "v": 0}])),
    );
    assert_eq!(found, ["spec[1]: Invalid value: failed rule: self.v >= oldSelf.v"]);
    let map = json!({"type": "object", "additionalProperties": item});
    let found = errors(&map, json!({"x": {"v": 1}, "y": {"v": 0}}), Some(json!({"x": {"v": 2}})));
    assert_eq!(found, ["spec[x]: Invalid value: failed rule: self.v >= oldSelf.v"]);
}

#[test]
fn what_did_not_change_is_warned_about() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string", "x-kubernetes-validations": [{"rule": "self == 'good'"}]}, "b": {"type": "string"}}});
    let (errors, warnings) = judge(&schema, json!({"a": "bad", "b": "new"}), Some(json!({"a": "bad"})));
    assert!(errors.is_empty());
    assert_eq!(warnings, [r#"spec.a: Invalid value: "bad": failed rule: self == 'good'"#]);
    let (errors, warnings) = judge(&schema, json!({"a": "worse"}), Some(json!({"a": "bad"})));
    assert_eq!((errors.len(), warnings.len()), (1, 0));
}

#[test]
fn metadata_and_branches_are_seen() {
    let root = Schema::read(
        &json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.metadata.name.startsWith('a')"}],
        "properties": {"spec": {"type": "string", "x-kubernetes-validations": [{"rule": "true"}],
            "allOf": [{"x-kubernetes-validations": [{"rule": "self != 'x'", "message": "no x"}]}]}}}),
    );
    let rules = Rules::of_resource(&root).expect("there are rules");
    let judged = rules.check(&root, &json!({"metadata": {"name": "b"}, "spec": "x"}), None);
    let errors: Vec<String> = judged.errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "<nil>: Invalid value: failed rule: self.metadata.name.startsWith('a')",
            r#"spec: Invalid value: "x": no x"#
        ]
    );
}

fn definition_errors(schema: Value) -> Vec<String> {
    let schema = json!({"type": "object", "properties": {"spec": schema}});
    let definition = json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}});
    super::definition(&definition, None).iter().map(ToString::to_string).collect()
}

#[test]
fn definitions_are_judged_by_type_and_cost() {
    const PATH: &str = "spec.validation.openAPIV3Schema.properties[spec]";
    let text = json!({"type": "string"});
    let list = |rule: &str, max: Option<i64>| {
        let mut list = json!({"type": "array", "items": text, "x-kubernetes-validations": [{"rule": rule}]});
        if let Some(max) = max {
            list["maxItems"] = max.into();
        }
        list
    };
    assert!(definition_errors(list("self.all(a, a != 'x')", Some(10))).is_empty());
    assert!(definition_errors(with(json!([{"rule": "self.replicas <= self.max"}]))).is_empty());
    let found = definition_errors(list("self.all(a, self.all(b, a != b))", None));
    assert_eq!(
        found[0],
        format!(
            "{PATH}.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
        )
    );
    assert_eq!(
        found[1..],
        [
            format!("{PATH}.x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"),
            "spec.validation.openAPIV3Schema: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)".to_owned(),
        ]
    );
    for (rule, want) in [
        (
            json!({"rule": "self.replicas == 'x'"}),
            "compilation failed: ERROR: <input>:1:15: found no matching overload for '_==_' applied to '(int, string)'",
        ),
        (json!({"rule": "self.replicas"}), "cel expression must evaluate to a bool"),
        (json!({"rule": "true", "messageExpression": "1"}), "messageExpression must evaluate to a string"),
    ] {
        let found = definition_errors(with(json!([rule])));
        assert!(found.len() == 1 && found[0].contains(want), "{found:?}");
    }
    let found = definition_errors(with(json!([{"rule": "true", "optionalOldSelf": true}])));
    assert_eq!(
        found,
        [format!(
            "{PATH}.x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"
        )]
    );
    let item =
        json!({"type": "string", "maxLength": 3, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]});
    let found = definition_errors(json!({"type": "array", "maxItems": 3, "items": item}));
    assert_eq!(
        found,
        [format!(
            "{PATH}.items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within {PATH}"
        )]
    );
}
