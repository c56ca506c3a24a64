//! What users read of webhook configurations, admission policies, certificates, and priority and fairness.

use super::Good;
use apimachinery::Time;
use serde_json::{Value, json};

/// A request for a certificate, signed by its own key.
const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlISE1HNENBUUF3RERFS01BZ0dBMVVFQXd3QllUQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCRzFBWHZ3T2J2ci91V1lZMVNVbzRYcTMvSVlLbmJTNSt0UGg3c3JXbEF4YmFTeTBxYUhEbnRSWEY3a3hBT1Q2Ckxna1FCNmpGZUxOdXg3QVQvek9QU0QrZ0FEQUtCZ2dxaGtqT1BRUURBZ05KQURCR0FpRUFpUHRoTU9jbDVaOE4KU2tsOXFLVDVWcVRidlNaZXd5K1QzYmdNd0ZjMmVqd0NJUURpbWVwN3RyTDlIZXJNbWFkRVVEamIxYmxiakhINwpqMWNPMXdSSHBEMnYydz09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
/// An authority that only this test trusts.
const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\nMIIBcTCCARegAwIBAgIUba/0sDt5Nsb64OGjiDwVt6zwx/QwCgYIKoZIzj0EAwIw\nDTELMAkGA1UEAwwCY2EwIBcNMjYxMTI4MDg0MzM0WhgPMjEyNjExMDQwODQzMzRa\nMA0xCzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEm7FyKipK\ngPOucOGROM/beu6EZjBk16sUwqmfx2kKm4FAkXQ4wlxRNTi30CISY9HaQoM3mW/P\nxJnKj03J976WN6NTMFEwHQYDVR0OBBYEFJAjveNWvFwoukxlNhnR3wPEw7QbMB8G\nA1UdIwQYMBaAFJAjveNWvFwoukxlNhnR3wPEw7QbMA8GA1UdEwEB/wQFMAMBAf8w\nCgYIKoZIzj0EAwIDSAAwRQIge51QKWQqbbCXx/v0H8zMTQiiZWkcGuq9V1zwwi0H\n968CIQCGW05izGL16lbCs8BtkVreOjxhoWsySx5XpS1ijgwHwg==\n-----END CERTIFICATE-----\n";

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

fn admission(resource: &'static str, kind: &'static str, object: Value) -> Good {
    Good {
        group: "admissionregistration.k8s.io",
        resource,
        api_version: "admissionregistration.k8s.io/v1",
        kind,
        object,
    }
}

fn rule() -> Value {
    json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]})
}

#[test]
fn webhooks() {
    let hook = json!({"name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://example.com/x"}, "rules": [rule()]});
    let hooks = admission(
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        json!({"metadata": {"name": "w"}, "webhooks": [hook]}),
    );
    let with = |patch: Value| {
        let mut hook = hook.clone();
        apimachinery::patch::merge_patch(&mut hook, &patch);
        json!({"webhooks": [hook]})
    };
    let made = hooks.with(&json!({}));
    assert_eq!(made["webhooks"][0]["failurePolicy"], "Fail");
    assert_eq!(made["webhooks"][0]["rules"][0]["scope"], "*");
    hooks.creates(&[
        (
            with(json!({"name": "a.b"})),
            &["webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots"],
        ),
        (
            with(json!({"sideEffects": "Some", "admissionReviewVersions": ["v3"], "timeoutSeconds": 31})),
            &[
                "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
                "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
                "webhooks[0].admissionReviewVersions: Invalid value: [\"v3\"]: must include at least one of v1, v1beta1",
            ],
        ),
        (
            with(json!({"clientConfig": {"url": "http://u@example.com/?q#f"}})),
            &[
                "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
                "webhooks[0].clientConfig.url: Invalid value: \"u\": user information is not permitted in the URL",
                "webhooks[0].clientConfig.url: Invalid value: \"f\": fragments are not permitted in the URL",
                "webhooks[0].clientConfig.url: Invalid value: \"q\": query parameters are not permitted in the URL",
            ],
        ),
        (
            with(json!({"clientConfig": {"url": null}})),
            &["webhooks[0].clientConfig: Required value: exactly one of url or service is required"],
        ),
        (
            with(json!({"rules": [{"operations": ["*", "CREATE"], "apiGroups": [], "apiVersions": ["v1"], "resources": ["*/*", "pods"]}]})),
            &[
                "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
                "webhooks[0].rules[0].apiGroups: Required value",
                "webhooks[0].rules[0].resources: Invalid value: [\"*/*\",\"pods\"]: if '*/*' is present, must not specify other resources",
            ],
        ),
        (
            with(json!({"matchConditions": [{"name": "a b", "expression": " "}]})),
            &[
                "webhooks[0].matchConditions[0].expression: Required value",
                "webhooks[0].matchConditions[0].name: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ],
        ),
        (json!({"webhooks": [hook, hook]}), &["webhooks[1].name: Duplicate value: \"a.example.com\""]),
    ]);
    let mutating = admission(
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        json!({"metadata": {"name": "w"}, "webhooks": [hook]}),
    );
    mutating.creates(&[(
        with(json!({"reinvocationPolicy": "Often"})),
        &["webhooks[0].reinvocationPolicy: Unsupported value: \"Often\": supported values: \"IfNeeded\", \"Never\""],
    )]);
}

#[test]
fn admission_policies() {
    let policy = admission(
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        json!({"metadata": {"name": "p"}, "spec": {
            "matchConstraints": {"resourceRules": [rule()]}, "validations": [{"expression": "true"}]}}),
    );
    policy.creates(&[
        (
            spec(json!({"validations": null})),
            &[
                "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
                "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
            ],
        ),
        (spec(json!({"matchConstraints": null})), &["spec.matchConstraints: Required value"]),
        (
            spec(json!({"paramKind": {"apiVersion": "a/b/c", "kind": ""}, "variables": [{"name": "for", "expression": ""}]})),
            &[
                "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
                "spec.paramKind.kind: Required value",
                "spec.variables[0].name: Invalid value: \"for\": must be a valid CEL identifier",
                "spec.variables[0].expression: Required value: expression is not specified",
            ],
        ),
        (
            spec(json!({"validations": [{"expression": "", "reason": "Because", "message": " "}]})),
            &[
                "spec.validations[0].expression: Required value: expression is not specified",
                "spec.validations[0].message: Invalid value: \" \": must be non-empty if specified",
                "spec.validations[0].reason: Unsupported value: \"Because\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"",
            ],
        ),
    ]);
    let binding = admission(
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        json!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}}),
    );
    binding.creates(&[
        (
            spec(json!({"policyName": "", "validationActions": ["Deny", "Warn", "Warn"]})),
            &[
                "spec.policyName: Required value",
                "spec.validationActions[2]: Duplicate value: \"Warn\"",
                "spec.validationActions: Invalid value: [\"Deny\",\"Warn\",\"Warn\"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
            ],
        ),
        (
            spec(json!({"paramRef": {"name": "n", "selector": {}}})),
            &[
                "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.parameterNotFoundAction: Required value",
            ],
        ),
    ]);
    let mutating = admission(
        "mutatingadmissionpolicies",
        "MutatingAdmissionPolicy",
        json!({"metadata": {"name": "p"}, "spec": {
            "matchConstraints": {"resourceRules": [rule()]}, "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}]}}),
    );
    mutating.creates(&[
        (spec(json!({"mutations": [], "reinvocationPolicy": ""})), &[
            "spec.mutations: Required value: mutations must contain at least one item",
            "spec.reinvocationPolicy: Required value",
        ]),
        (
            spec(json!({"mutations": [{"patchType": "JSONPatch", "applyConfiguration": {"expression": "x"}}]})),
            &[
                "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
                "spec.mutations[0].applyConfiguration: Invalid value: \"{applyConfiguration}\": must not be specified when patchType is JSONPatch",
            ],
        ),
        (
            spec(json!({"matchConstraints": {"resourceRules": [{"operations": ["DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}})),
            &["spec.matchConstraints.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\""],
        ),
    ]);
}

#[test]
fn certificate_requests() {
    let csr = Good {
        group: "certificates.k8s.io",
        resource: "certificatesigningrequests",
        api_version: "certificates.k8s.io/v1",
        kind: "CertificateSigningRequest",
        object: json!({"metadata": {"name": "c"}, "spec": {
            "request": REQUEST, "signerName": "example.com/s", "usages": ["client auth"]}}),
    };
    csr.creates(&[
        (
            spec(json!({"request": "YWJj", "usages": []})),
            &[
                "spec.request: Invalid value: \"YWJj\": PEM block type must be CERTIFICATE REQUEST",
                "spec.usages: Required value",
            ],
        ),
        (
            spec(json!({"signerName": "local", "expirationSeconds": 60, "usages": ["client auth", "client auth"]})),
            &[
                "spec.usages[1]: Duplicate value: \"client auth\"",
                "spec.signerName: Invalid value: \"local\": must be a fully qualified domain and path of the form 'example.com/signer-name'",
                "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 600 seconds (10 minutes)",
            ],
        ),
    ]);
    let approved = json!({"status": {"conditions": [{"type": "Approved", "status": "True"}]}});
    let both = json!({"status": {"conditions": [{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "True"}]}});
    csr.updates(
        "approval",
        &[
            (json!({}), approved.clone(), &[]),
            (json!({}), both, &["status.conditions: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"]),
            (approved.clone(), json!({"status": {"conditions": []}}), &["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""]),
        ],
    );
    csr.updates(
        "status",
        &[
            (json!({}), approved.clone(), &["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""]),
            (
                json!({}),
                json!({"status": {"certificate": "YWJj"}}),
                &["status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block"],
            ),
        ],
    );
    let old = csr.with(&json!({}));
    let mut new = csr.changed("approval", &old, &approved);
    let now = Time::parse("2024-01-01T00:00:00Z").expect("a time");
    csr.strategy().stamp("approval", &mut new, Some(&old), now);
    assert_eq!(new["status"]["conditions"][0]["lastUpdateTime"], "2024-01-01T00:00:00Z");
    assert_eq!(csr.changed("", &old, &spec(json!({"usages": ["any"]})))["spec"], old["spec"]);
}

#[test]
fn trust_bundles() {
    let bundle = Good {
        group: "certificates.k8s.io",
        resource: "clustertrustbundles",
        api_version: "certificates.k8s.io/v1beta1",
        kind: "ClusterTrustBundle",
        object: json!({"metadata": {"name": "b"}, "spec": {"trustBundle": AUTHORITY}}),
    };
    bundle.creates(&[
        (json!({"metadata": {"name": "example.com:s:b"}, "spec": {"signerName": "example.com/s"}}), &[]),
        (
            spec(json!({"signerName": "example.com/s"})),
            &["metadata.name: Invalid value: \"b\": ClusterTrustBundle for signerName example.com/s must be named with prefix example.com:s:"],
        ),
        (
            spec(json!({"trustBundle": "x"})),
            &["spec.trustBundle: Invalid value: \"<value omitted>\": at least one trust anchor must be provided"],
        ),
        (
            spec(json!({"trustBundle": format!("{AUTHORITY}{AUTHORITY}")})),
            &["spec.trustBundle: Invalid value: \"<value omitted>\": duplicate trust anchor (indices [0 1])"],
        ),
    ]);
}

#[test]
fn priority_and_fairness() {
    let of = |resource: &'static str, kind: &'static str, spec: Value| Good {
        group: "flowcontrol.apiserver.k8s.io",
        resource,
        api_version: "flowcontrol.apiserver.k8s.io/v1",
        kind,
        object: json!({"metadata": {"name": "f"}, "spec": spec}),
    };
    let schema = of("flowschemas", "FlowSchema", json!({"priorityLevelConfiguration": {"name": "x"}}));
    schema.creates(&[
        (
            spec(json!({"matchingPrecedence": 1, "priorityLevelConfiguration": {"name": ""}})),
            &[
                "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
                "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
            ],
        ),
        (
            spec(json!({"rules": [{"subjects": [{"kind": "User", "group": {"name": "g"}}], "resourceRules": [{"verbs": ["eat"], "apiGroups": ["*"], "resources": ["*"]}]}]})),
            &[
                "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
                "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
                "spec.rules[0].resourceRules[0].verbs: Unsupported value: [\"eat\"]: supported values: \"create\", \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"",
                "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
            ],
        ),
    ]);
    let level = of(
        "prioritylevelconfigurations",
        "PriorityLevelConfiguration",
        json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {}}}}),
    );
    level.creates(&[
        (
            spec(json!({"type": "Exempt"})),
            &[
                "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'",
                "spec.limited: Forbidden: must be nil if the type is not Limited",
            ],
        ),
        (
            spec(json!({"limited": {"lendablePercent": 101, "limitResponse": {"queuing": {"queues": 4}}}})),
            &[
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: should not be greater than queues (4)",
                "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
            ],
        ),
        (
            spec(json!({"limited": {"limitResponse": {"queuing": {"queues": 1024}}}})),
            &["spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 1024 and handSize 8 should not be greater than 60"],
        ),
    ]);
}
