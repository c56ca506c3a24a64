//! Admission policies as clients see them.

use super::custom_resources::{define, widget, widgets};
use super::*;
use client::{Request, Response, Verb};

const GROUP: &str = "admissionregistration.k8s.io";

async fn put(cluster: &Cluster, kind: &str, name: &str, spec: Value) -> Result<(), Box<Status>> {
    let resource = match kind.strip_suffix("Binding") {
        Some(policy) => format!("{}bindings", policy.to_lowercase()),
        None => format!("{}ies", kind.to_lowercase().trim_end_matches('y')),
    };
    let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    cluster.admin().resource(GROUP, "v1", &resource).create("", object).await.map(|_| ())
}

/// A policy about ConfigMaps with fields of its own.
fn about_config_maps(more: Value) -> Value {
    let mut spec = json!({"matchConstraints": {"resourceRules": [{"operations": ["CREATE", "UPDATE"],
        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]}});
    spec.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
    spec
}

async fn validating(cluster: &Cluster, name: &str, spec: Value, actions: &[&str], more: Value) {
    put(cluster, "ValidatingAdmissionPolicy", name, about_config_maps(spec)).await.expect("policy");
    let mut binding = json!({"policyName": name, "validationActions": actions});
    binding.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
    put(cluster, "ValidatingAdmissionPolicyBinding", &format!("{name}-binding"), binding)
        .await
        .expect("binding");
}

async fn create(cluster: &Cluster, name: &str, data: Value) -> Result<Response, Box<Status>> {
    let client = cluster.admin();
    let mut request: Request = client.resource("", "v1", "configmaps").request(Verb::Create, "default", "");
    request.body =
        Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}));
    client.transport().call(request).await
}

#[tokio::test]
async fn policies_deny_warn_and_depend_on_parameters() {
    let cluster = Cluster::new().await;
    let params = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [{"name": "size", "expression": "size(object.data)"},
            {"name": "max", "expression": "int(params.data.max)"}],
        "matchConditions": [{"name": "not-limits", "expression": "object.metadata.name != 'limits'"}],
        "validations": [{"expression": "variables.size <= variables.max", "reason": "Forbidden",
            "messageExpression": "'at most ' + string(variables.max) + ' entries in ' + namespaceObject.metadata.name"}]});
    let reference =
        json!({"paramRef": {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}});
    validating(&cluster, "sizes", params, &["Deny"], reference).await;
    let text = "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'sizes' with binding 'sizes-binding' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    assert_eq!(failure(create(&cluster, "a", json!({})).await), (422, text.into()));

    // The parameters are made while the policy is not bound to anything it could judge them by.
    let bindings = cluster.admin().resource(GROUP, "v1", "validatingadmissionpolicybindings");
    let remove = bindings.request(Verb::Delete, "", "sizes-binding");
    cluster.admin().transport().call(remove).await.expect("unbind");
    create(&cluster, "limits", json!({"max": "1"})).await.expect("limits");
    let binding = json!({"policyName": "sizes", "validationActions": ["Deny"],
        "paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}});
    put(&cluster, "ValidatingAdmissionPolicyBinding", "sizes-binding", binding).await.expect("binding");
    create(&cluster, "a", json!({"x": "1"})).await.expect("small enough");
    let denied = create(&cluster, "b", json!({"x": "1", "y": "2"})).await.unwrap_err();
    let text = "ValidatingAdmissionPolicy 'sizes' with binding 'sizes-binding' denied request: at most 1 entries in default";
    assert_eq!((denied.code, denied.message), (403, format!("configmaps \"b\" is forbidden: {text}")));
    let details = denied.details.expect("details");
    assert_eq!((details.name.as_str(), details.kind.as_str()), ("b", "configmaps"));
    assert_eq!(details.causes[0].message, text);

    let warned = json!({"validations": [{"expression": "!has(object.data.odd)"}]});
    validating(&cluster, "odd", warned, &["Warn", "Audit"], json!({})).await;
    let made = create(&cluster, "c", json!({"odd": "1"})).await.expect("only a warning");
    assert_eq!(
        made.warnings,
        [
            "Validation failed for ValidatingAdmissionPolicy 'odd' with binding 'odd-binding': failed expression: !has(object.data.odd)"
        ]
    );
}

#[tokio::test]
async fn refusals_have_the_reason_and_the_message_of_the_policy() {
    for (validation, code, reason, message) in [
        (json!({"expression": "false"}), 422, "Invalid", "failed expression: false"),
        (json!({"expression": "false", "message": "no"}), 422, "Invalid", "no"),
        (json!({"expression": "false", "reason": "Forbidden", "message": "no"}), 403, "Forbidden", "no"),
        (
            json!({"expression": "false", "message": "no",
                "messageExpression": "'not by ' + request.userInfo.username"}),
            422,
            "Invalid",
            "not by admin",
        ),
        (
            json!({"expression": "authorizer.group('').resource('configmaps').check('get').allowed() && object.spec.x == 1"}),
            422,
            "Invalid",
            "expression 'authorizer.group('').resource('configmaps').check('get').allowed() && object.spec.x == 1' resulted in error: no such key: spec",
        ),
    ] {
        let cluster = Cluster::new().await;
        validating(&cluster, "p", json!({"validations": [validation]}), &["Deny"], json!({})).await;
        let status = create(&cluster, "a", json!({})).await.unwrap_err();
        let text = format!(
            "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p-binding' denied request: {message}"
        );
        assert_eq!(
            (status.code, status.reason.as_str(), status.message.as_str()),
            (code, reason, text.as_str())
        );
    }
    // Ignored where the policy says so, and policies do not judge policies.
    let cluster = Cluster::new().await;
    let spec = json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.spec.x == 1"}]});
    validating(&cluster, "p", spec, &["Deny"], json!({})).await;
    create(&cluster, "a", json!({})).await.expect("ignored");
    let mut all = json!({"validations": [{"expression": "false"}]});
    all["matchConstraints"] = json!({"resourceRules": [{"operations": ["*"], "apiGroups": ["*"],
        "apiVersions": ["*"], "resources": ["*"]}]});
    put(&cluster, "ValidatingAdmissionPolicy", "all", all).await.expect("policy");
    let binding = json!({"policyName": "all", "validationActions": ["Deny"]});
    put(&cluster, "ValidatingAdmissionPolicyBinding", "all", binding).await.expect("binding");
    assert!(create(&cluster, "b", json!({})).await.is_err());
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let reviews = cluster.admin().resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews");
    reviews.create("", review).await.expect("reviews are exempt");
    let policies = cluster.admin().resource(GROUP, "v1", "validatingadmissionpolicies");
    let remove = policies.request(Verb::Delete, "", "all");
    cluster.admin().transport().call(remove).await.expect("policies are exempt");
    create(&cluster, "b", json!({})).await.expect("no longer denied");
}

#[tokio::test]
async fn mutating_policies_apply_configurations_and_patches() {
    let cluster = Cluster::new().await;
    let mutation = |kind: &str, expression: &str| match kind {
        "apply" => {
            json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
        }
        _ => json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}),
    };
    let policy = |mutations: Vec<Value>| {
        about_config_maps(json!({"reinvocationPolicy": "IfNeeded", "failurePolicy": "Fail",
            "variables": [{"name": "name", "expression": "object.metadata.name"}], "mutations": mutations}))
    };
    let label = "Object{metadata: Object.metadata{labels: {'app.example.com/name': variables.name}}}";
    let counted = "[JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('a/size'), value: string(size(object.data))}]";
    put(
        &cluster,
        "MutatingAdmissionPolicy",
        "a",
        policy(vec![mutation("apply", label), mutation("patch", counted)]),
    )
    .await
    .expect("policy");
    put(&cluster, "MutatingAdmissionPolicyBinding", "a", json!({"policyName": "a"})).await.expect("binding");
    // Applied after the first one, which is then applied again.
    let more = "has(object.data.more) ? [] : [JSONPatch{op: 'add', path: '/data/more', value: 'x'}]";
    put(&cluster, "MutatingAdmissionPolicy", "b", policy(vec![mutation("patch", more)]))
        .await
        .expect("policy");
    put(&cluster, "MutatingAdmissionPolicyBinding", "b", json!({"policyName": "b"})).await.expect("binding");
    let made = create(&cluster, "m", json!({"x": "1"})).await;
    // A key with a slash is not valid in a ConfigMap: the result of mutations is validated as anything is.
    let (code, text) = failure(made);
    assert_eq!(code, 422);
    assert!(text.contains("data[a/size]"), "{text}");

    let cluster = Cluster::new().await;
    let counted = counted.replace("jsonpatch.escapeKey('a/size')", "'size'");
    put(
        &cluster,
        "MutatingAdmissionPolicy",
        "a",
        policy(vec![mutation("apply", label), mutation("patch", &counted)]),
    )
    .await
    .expect("policy");
    put(&cluster, "MutatingAdmissionPolicyBinding", "a", json!({"policyName": "a"})).await.expect("binding");
    put(&cluster, "MutatingAdmissionPolicy", "b", policy(vec![mutation("patch", more)]))
        .await
        .expect("policy");
    put(&cluster, "MutatingAdmissionPolicyBinding", "b", json!({"policyName": "b"})).await.expect("binding");
    let made = create(&cluster, "m", json!({"x": "1"})).await.expect("create").object;
    assert_eq!(made["metadata"]["labels"], json!({"app.example.com/name": "m"}));
    assert_eq!(made["data"], json!({"x": "1", "size": "3", "more": "x"}));

    let cluster = Cluster::new().await;
    put(
        &cluster,
        "MutatingAdmissionPolicy",
        "bad",
        policy(vec![mutation("apply", "Object{spec: Object.wrong{}}")]),
    )
    .await
    .expect("policy");
    put(&cluster, "MutatingAdmissionPolicyBinding", "bad", json!({"policyName": "bad"}))
        .await
        .expect("binding");
    let status = create(&cluster, "m", json!({})).await.unwrap_err();
    let text = "policy 'bad' with binding 'bad' denied request: type mismatch: unexpected type name \"Object.wrong\", expected \"Object.spec\", which matches field name path from root Object type";
    assert_eq!((status.code, status.reason.as_str(), status.message.as_str()), (403, "Invalid", text));
}

#[tokio::test]
async fn expressions_that_do_not_compile_are_refused() {
    let cluster = Cluster::new().await;
    let spec = about_config_maps(json!({"validations": [{"expression": "object.data.size() >"}]}));
    let (code, text) = failure(put(&cluster, "ValidatingAdmissionPolicy", "p", spec).await);
    assert_eq!(code, 422);
    assert_eq!(
        text,
        "ValidatingAdmissionPolicy.admissionregistration.k8s.io \"p\" is invalid: spec.validations[0].expression: Invalid value: \"object.data.size() >\": compilation failed: ERROR: <input>:1:21: Syntax error: mismatched input '<EOF>' expecting an expression\n | object.data.size() >\n | ....................^"
    );
}

#[tokio::test]
async fn custom_resources_are_judged_changed_and_parameters_like_any() {
    let cluster = Cluster::new().await;
    let mut definition = widgets();
    let mut second = definition["spec"]["versions"][0].clone();
    (second["name"], second["storage"]) = ("v2".into(), false.into());
    definition["spec"]["versions"].as_array_mut().expect("versions").push(second);
    define(&cluster, definition).await;
    let rules = |version: &str| {
        json!({"matchConstraints": {"resourceRules": [{"operations": ["CREATE"], "apiGroups": ["example.com"],
            "apiVersions": [version], "resources": ["widgets"]}]}})
    };
    let with = |mut spec: Value, more: Value| {
        spec.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
        spec
    };
    // The policy names version v1 and sees it, whatever was asked.
    let port =
        "Object{spec: Object.spec{ports: [Object.spec.ports{name: 'b', port: 2}], color: object.apiVersion}}";
    let mutating = with(
        rules("v1"),
        json!({"reinvocationPolicy": "Never", "mutations":
            [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": port}}]}),
    );
    put(&cluster, "MutatingAdmissionPolicy", "m", mutating).await.expect("policy");
    put(&cluster, "MutatingAdmissionPolicyBinding", "m", json!({"policyName": "m"})).await.expect("binding");
    let widgets = cluster.admin().resource("example.com", "v2", "widgets");
    let mut asked = widget("a", json!({"ports": [{"name": "a", "port": 1}]}));
    asked["apiVersion"] = "example.com/v2".into();
    let made = widgets.create("default", asked).await.expect("create");
    assert_eq!(made["apiVersion"], "example.com/v2");
    assert_eq!(made["spec"]["color"], "example.com/v1");
    assert_eq!(made["spec"]["ports"], json!([{"name": "a", "port": 1}, {"name": "b", "port": 2}]));

    // It is a parameter of a policy about something else.
    let spec = json!({"paramKind": {"apiVersion": "example.com/v2", "kind": "Widget"},
        "validations": [{"expression": "size(object.data) <= params.spec.replicas"}]});
    let reference = json!({"paramRef": {"name": "a", "parameterNotFoundAction": "Deny"}});
    validating(&cluster, "p", spec, &["Deny"], reference).await;
    create(&cluster, "small", json!({"x": "1"})).await.expect("one entry");
    assert_eq!(failure(create(&cluster, "large", json!({"x": "1", "y": "2"})).await).0, 422);
}
