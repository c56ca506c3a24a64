//! What policies decide and change, and which expressions are refused.

use super::*;
use cel::{Attributes, Authorize, Authorizer};
use std::sync::Arc;

#[derive(Debug)]
struct Gets;

impl Authorize for Gets {
    fn authorize(&self, asked: &Attributes) -> cel::Decision {
        cel::Decision { allowed: asked.verb == "get", reason: String::new(), error: None }
    }
}

/// Evaluates with an object of two replicas and parameters that allow three.
fn with_inputs<T>(run: impl FnOnce(&Inputs<'_>) -> T) -> T {
    let asked = request(Operation::Create, "apps/v1/deployments", "ns");
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "x", "labels": {"a": "b"}}, "spec": {"replicas": 2}});
    let (params, namespace) = (json!({"data": {"max": "3"}}), json!({"metadata": {"name": "ns"}}));
    let asked = Value::Object(asked.to_map(&matched(&asked)));
    let user = Authorizer::new(Arc::new(Gets));
    let resource = user.for_resource(Attributes { resource: "deployments".into(), ..Attributes::default() });
    run(&Inputs {
        object: &object,
        old: &Value::Null,
        request: &asked,
        params: &params,
        namespace: &namespace,
        authorizer: Some((user, resource)),
    })
}

fn validated(spec: Value) -> Vec<String> {
    let policy = Policy::compile(&json!({"metadata": {"name": "p"}, "spec": spec}));
    let Validated { decisions, notes } = with_inputs(|inputs| policy.validate(inputs));
    let shown = |d: Decision| format!("{:?} {}", d.reason.map(|r| r.as_str()), d.message);
    let noted = |note| match note {
        Note::Publish { key, value } => format!("{key}={value}"),
        Note::Failed(text) => format!("failed: {text}"),
    };
    decisions.into_iter().map(shown).chain(notes.into_iter().map(noted)).collect()
}

#[test]
fn validations_decide() {
    let kind = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let long = "lists.range(2000).map(x, lists.range(2000).map(y, x)).size() > 0";
    for (spec, want) in [
        (json!({"validations": [{"expression": "object.spec.replicas < 3"}]}), vec![]),
        (
            json!({"validations": [{"expression": " object.spec.replicas < 2 "}]}),
            vec!["Some(\"Invalid\") failed expression: object.spec.replicas < 2"],
        ),
        (
            json!({"validations": [{"expression": "false", "message": "no", "reason": "Forbidden"}]}),
            vec!["Some(\"Forbidden\") no"],
        ),
        (
            json!({"validations": [{"expression": "false", "message": "no",
                "messageExpression": "'has ' + string(object.spec.replicas)"}]}),
            vec!["Some(\"Invalid\") has 2"],
        ),
        (
            json!({"validations": [{"expression": "false", "message": "no", "messageExpression": "'a\\nb'"}]}),
            vec!["Some(\"Invalid\") no"],
        ),
        (
            json!({"validations": [{"expression": "object.spec.missing == 1"}]}),
            vec!["None expression 'object.spec.missing == 1' resulted in error: no such key: missing"],
        ),
        (
            json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.spec.missing == 1"}]}),
            vec![],
        ),
        (
            json!({"paramKind": kind, "variables": [{"name": "max", "expression": "int(params.data.max)"}],
                "validations": [{"expression": "object.spec.replicas > variables.max"}]}),
            vec!["Some(\"Invalid\") failed expression: object.spec.replicas > variables.max"],
        ),
        (
            json!({"variables": [{"name": "bad", "expression": "object.spec.missing"}],
                "validations": [{"expression": "variables.bad == 1"}]}),
            vec![
                "None expression 'variables.bad == 1' resulted in error: composited variable \"bad\" fails to evaluate: no such key: missing",
            ],
        ),
        (
            json!({"matchConditions": [{"name": "n", "expression": "request.namespace == 'other'"}],
                "validations": [{"expression": "false"}]}),
            vec![],
        ),
        (
            json!({"matchConditions": [{"name": "n", "expression": "object.spec.missing == 1"}],
                "validations": [{"expression": "true"}]}),
            vec!["None expression 'object.spec.missing == 1' resulted in error: no such key: missing"],
        ),
        (
            json!({"validations": [{"expression":
                "authorizer.requestResource.check('get').allowed() && !authorizer.group('').resource('pods').check('list').allowed()"}]}),
            vec![],
        ),
        (
            json!({"validations": [{"expression": "namespaceObject.metadata.name == 'ns' && oldObject == null"}]}),
            vec![],
        ),
        (
            json!({"validations": [{"expression": "true"}],
                "auditAnnotations": [{"key": "k", "valueExpression": "'v ' + object.metadata.name"},
                    {"key": "none", "valueExpression": "null"}]}),
            vec!["k=v x"],
        ),
        (
            json!({"validations": [{"expression": "1"}]}),
            vec!["None compilation error: must evaluate to bool but got int"],
        ),
        (
            json!({"validations": [{"expression": long}]}),
            vec![
                "None expression 'lists.range(2000).map(x, lists.range(2000).map(y, x)).size() > 0' resulted in error: operation cancelled: actual cost limit exceeded",
            ],
        ),
    ] {
        assert_eq!(validated(spec.clone()), want, "{spec}");
    }
    let many: Vec<Value> = (0..12).map(|_| json!({"expression": long})).collect();
    assert_eq!(
        validated(json!({"validations": many})),
        ["None validation failed due to running out of cost budget, no further validation rules will be run"]
    );
}

fn mutated(kind: &str, expression: &str) -> String {
    let mutation = match kind {
        "apply" => {
            json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
        }
        _ => json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}),
    };
    let policy = Policy::compile(&json!({"metadata": {"name": "p"}, "spec": {"mutations": [mutation]}}));
    let ty = schema::table().kind("apps", "v1", "Deployment").map(schema::apply::Type::Definition).unwrap();
    let outcome = with_inputs(|inputs| mutate::mutate(&policy, &policy.mutations[0], inputs, ty));
    outcome
        .map_or_else(|error| error, |object| format!("{} {}", object["metadata"]["labels"], object["spec"]))
}

#[test]
fn mutations_change() {
    for (kind, expression, want) in [
        (
            "apply",
            "Object{spec: Object.spec{paused: true}, metadata: Object.metadata{labels: {'c': 'd'}}}",
            r#"{"a":"b","c":"d"} {"paused":true,"replicas":2}"#,
        ),
        (
            "apply",
            "Object{spec: Object.wrong{}}",
            "type mismatch: unexpected type name \"Object.wrong\", expected \"Object.spec\", which matches field name path from root Object type",
        ),
        (
            "apply",
            "Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'a': 'b'}}}}",
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector",
        ),
        (
            "apply",
            "Object{nothing: 1}",
            "error applying patch: failed to convert patch object to typed object: .nothing: field not declared in schema",
        ),
        ("apply", "{'a': 1}", "must evaluate to Object but got map(string, int)"),
        (
            "patch",
            "[JSONPatch{op: 'test', path: '/spec/replicas', value: 2}, JSONPatch{op: 'replace', path: '/spec/replicas', value: object.spec.replicas + 1}]",
            r#"{"a":"b"} {"replicas":3}"#,
        ),
        (
            "patch",
            "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('k8s.io/x'), value: 'y'}]",
            r#"{"a":"b","k8s.io/x":"y"} {"replicas":2}"#,
        ),
        (
            "patch",
            "[JSONPatch{op: 'test', path: '/spec/replicas', value: 5}, JSONPatch{op: 'remove', path: '/spec'}]",
            r#"{"a":"b"} {"replicas":2}"#,
        ),
        ("patch", "[1]", "must evaluate to list(JSONPatch) but got list(int)"),
    ] {
        assert_eq!(mutated(kind, expression), want, "{kind} {expression}");
    }
}

#[test]
fn expressions_are_checked_when_they_are_written() {
    let errors = |resource: &str, object: Value| {
        let errors = check::errors("admissionregistration.k8s.io", resource, &object, None);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let policy = json!({"spec": {
        "matchConditions": [{"name": "a", "expression": "variables.x == 1"}],
        "variables": [{"name": "x", "expression": "1 +"}],
        "validations": [{"expression": "variables.x == 'a'", "messageExpression": "1"}, {"expression": "object.a"}],
        "auditAnnotations": [{"key": "k", "valueExpression": "1"}],
    }});
    assert_eq!(
        errors("validatingadmissionpolicies", policy),
        [
            "spec.matchConditions[0].expression: Invalid value: \"variables.x == 1\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'variables' (in container '')\n | variables.x == 1\n | ^",
            "spec.variables[0].expression: Invalid value: \"1 +\": compilation failed: ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting an expression\n | 1 +\n | ...^",
            "spec.validations[0].messageExpression: Invalid value: \"1\": must evaluate to string but got int",
            "spec.validations[1].expression: Invalid value: \"object.a\": must evaluate to bool but got dyn",
            "spec.auditAnnotations[0].valueExpression: Invalid value: \"1\": must evaluate to one of [string null_type] but got int",
        ]
    );
    let hooks = json!({"webhooks": [{"matchConditions": [{"name": "a", "expression": "params == null"}]}]});
    assert_eq!(
        errors("validatingwebhookconfigurations", hooks.clone()),
        [
            "webhooks[0].matchConditions[0].expression: Invalid value: \"params == null\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params == null\n | ^",
        ]
    );
    let group = "admissionregistration.k8s.io";
    assert!(check::errors(group, "validatingwebhookconfigurations", &hooks, Some(&hooks)).is_empty());
    let mutating = json!({"spec": {"mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{a: Object.a{}}"}},
        {"patchType": "JSONPatch", "jsonPatch": {"expression": "[Object{}]"}},
    ]}});
    assert_eq!(
        errors("mutatingadmissionpolicies", mutating),
        [
            "spec.mutations[1].jsonPatch.expression: Invalid value: \"[Object{}]\": must evaluate to list(JSONPatch) but got list(Object)",
        ]
    );
}

#[test]
fn types_are_checked_where_they_are_known() {
    let policy = |expression: &str| {
        json!({"spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                "resources": ["deployments", "replicasets", "deployments/scale"]}]},
            "validations": [{"expression": expression}],
        }})
    };
    for good in [
        "object.spec.replicas > 1",
        "object.spec.template.spec.containers.all(c, c.image.startsWith('a'))",
        "object.metadata.labels['a'] == 'b' && object.apiVersion != ''",
        "object.spec.template.spec.containers[0].resources.limits['cpu'] == '1'",
    ] {
        assert_eq!(type_check::warnings(&policy(good)), Vec::<Value>::new(), "{good}");
    }
    let found = type_check::warnings(&policy("object.spec.strategy.type == 1"));
    assert_eq!(
        found,
        [json!({"fieldRef": "spec.validations[0].expression", "warning":
            "apps/v1, Kind=Deployment: ERROR: <input>:1:27: found no matching overload for '_==_' applied to '(string, int)'\n | object.spec.strategy.type == 1\n | ..........................^\n\napps/v1, Kind=ReplicaSet: ERROR: <input>:1:12: undefined field 'strategy'\n | object.spec.strategy.type == 1\n | ...........^\n"})]
    );
    let mut wide = policy("object.nothing");
    wide["spec"]["matchConstraints"]["resourceRules"][0]["apiVersions"] = json!(["*"]);
    assert_eq!(type_check::warnings(&wide), Vec::<Value>::new());
}
