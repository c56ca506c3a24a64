//! What users read of RBAC, budgets, classes, quotas, limits and autoscalers.

use super::Good;
use serde_json::{Value, json};

const RBAC: &str = "rbac.authorization.k8s.io";

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

fn rbac(resource: &'static str, kind: &'static str, object: Value) -> Good {
    Good { group: RBAC, resource, api_version: "rbac.authorization.k8s.io/v1", kind, object }
}

#[test]
fn roles() {
    let rule = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
    let role = rbac("roles", "Role", json!({"metadata": {"name": "system:r"}, "rules": [rule]}));
    role.creates(&[
        (
            json!({"rules": [{}]}),
            &[
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ],
        ),
        (
            json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["pods"]}]}),
            &[
                "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
                "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: rules cannot apply to both regular resources and non-resource URLs",
            ],
        ),
    ]);
    assert_eq!(role.strategy().validate_name("a/b"), ["may not contain '/'"]);
    rbac("clusterroles", "ClusterRole", json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}))
        .creates(&[(
            json!({"aggregationRule": {}}),
            &["aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"],
        )]);
}

#[test]
fn bindings() {
    let binding = rbac(
        "rolebindings",
        "RoleBinding",
        json!({"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [
            {"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]}),
    );
    assert_eq!(binding.with(&json!({}))["subjects"][0]["apiGroup"], RBAC);
    binding.creates(&[
        (
            json!({"roleRef": {"kind": "Pod", "name": ""}}),
            &[
                "roleRef.kind: Unsupported value: \"Pod\": supported values: \"Role\", \"ClusterRole\"",
                "roleRef.name: Required value",
            ],
        ),
        (
            json!({"subjects": [{"kind": "Robot", "name": "u"}, {"kind": "ServiceAccount", "name": "S", "apiGroup": "x"}]}),
            &[
                "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
                "subjects[1].name: Invalid value: \"S\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                "subjects[1].apiGroup: Unsupported value: \"x\": supported values: \"\"",
            ],
        ),
    ]);
    binding.updates(
        "",
        &[(
            json!({}),
            json!({"roleRef": {"name": "other"}}),
            &["roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"other\"}: cannot change roleRef"],
        )],
    );
    rbac(
        "clusterrolebindings",
        "ClusterRoleBinding",
        json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": []}),
    )
    .creates(&[(
        json!({"subjects": [{"kind": "ServiceAccount", "name": "s"}]}),
        &["subjects[0].namespace: Required value"],
    )]);
}

#[test]
fn budgets_and_classes() {
    let budget = Good {
        group: "policy",
        resource: "poddisruptionbudgets",
        api_version: "policy/v1",
        kind: "PodDisruptionBudget",
        object: json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {}}}),
    };
    budget.creates(&[
        (
            spec(json!({"maxUnavailable": "1%"})),
            &["spec: Invalid value: {\"maxUnavailable\":\"1%\",\"minAvailable\":1,\"selector\":{}}: minAvailable and maxUnavailable cannot be both set"],
        ),
        (
            spec(json!({"minAvailable": "200%", "unhealthyPodEvictionPolicy": "Never"})),
            &[
                "spec.minAvailable: Invalid value: \"200%\": must not be greater than 100%",
                "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
            ],
        ),
    ]);
    let condition = json!({"type": "DisruptionAllowed", "status": "Yes", "reason": ""});
    budget.updates(
        "status",
        &[(
            json!({}),
            json!({"status": {"disruptionsAllowed": -1, "conditions": [condition]}}),
            &[
                "status.conditions[0].status: Unsupported value: \"Yes\": supported values: \"False\", \"True\", \"Unknown\"",
                "status.conditions[0].lastTransitionTime: Required value",
                "status.conditions[0].reason: Required value",
                "status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0",
            ],
        )],
    );
    assert!(!budget.strategy().allow_unconditional_update());
    let priority = Good {
        group: "scheduling.k8s.io",
        resource: "priorityclasses",
        api_version: "scheduling.k8s.io/v1",
        kind: "PriorityClass",
        object: json!({"metadata": {"name": "p"}, "value": 10}),
    };
    priority.creates(&[
        (
            json!({"value": 1_000_000_001}),
            &["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
        ),
        (
            json!({"metadata": {"name": "system-x"}}),
            &["metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class"],
        ),
        (
            json!({"preemptionPolicy": "Maybe"}),
            &["preemptionPolicy: Unsupported value: \"Maybe\": supported values: \"PreemptLowerPriority\", \"Never\""],
        ),
    ]);
    priority.updates(
        "",
        &[(
            json!({}),
            json!({"value": 11, "preemptionPolicy": "Never"}),
            &[
                "value: Forbidden: may not be changed in an update.",
                "preemptionPolicy: Invalid value: \"Never\": field is immutable",
            ],
        )],
    );
    let runtime = Good {
        group: "node.k8s.io",
        resource: "runtimeclasses",
        api_version: "node.k8s.io/v1",
        kind: "RuntimeClass",
        object: json!({"metadata": {"name": "r"}, "handler": "runc"}),
    };
    runtime.creates(&[
        (json!({"handler": ""}), &["handler: Required value"]),
        (
            json!({"overhead": {"podFixed": {"cpu": "-1"}}}),
            &["overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"],
        ),
        (
            json!({"scheduling": {"tolerations": [{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]}}),
            &["scheduling.tolerations[1]: Duplicate value: {\"key\":\"a\",\"operator\":\"Exists\"}"],
        ),
    ]);
    runtime.updates(
        "",
        &[(json!({}), json!({"handler": "kata"}), &["handler: Invalid value: \"kata\": field is immutable"])],
    );
}

#[test]
fn quotas() {
    let quota = Good {
        group: "",
        resource: "resourcequotas",
        api_version: "v1",
        kind: "ResourceQuota",
        object: json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "10", "requests.cpu": "1", "count/jobs.batch": "3"}}}),
    };
    quota.creates(&[
        (
            spec(json!({"hard": {"pods": "1.5", "cpus": "1"}})),
            &[
                "spec.hard[cpus]: Invalid value: \"cpus\": must be a standard resource type or fully qualified",
                "spec.hard[cpus]: Invalid value: \"cpus\": must be a standard resource for quota",
                "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
            ],
        ),
        (
            spec(json!({"scopes": ["BestEffort", "NotBestEffort"]})),
            &[
                "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: unsupported scope applied to resource",
                "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes",
            ],
        ),
        (
            spec(json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}})),
            &["spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"],
        ),
    ]);
    quota.updates(
        "",
        &[(
            json!({}),
            spec(json!({"scopes": ["NotTerminating"]})),
            &["spec.scopes: Invalid value: [\"NotTerminating\"]: field is immutable"],
        )],
    );
    quota.warns(
        &spec(json!({"hard": {"requests.cpu": "2", "limits.cpu": "1"}})),
        &["ResourceQuota requests.cpu (2) should be less than limits.cpu (1)"],
    );
}

#[test]
fn limit_ranges() {
    let limits = Good {
        group: "",
        resource: "limitranges",
        api_version: "v1",
        kind: "LimitRange",
        object: json!({"metadata": {"name": "l"}, "spec": {"limits": [
            {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "100m"}, "default": {"cpu": "1"}}]}}),
    };
    let one = |item: Value| spec(json!({"limits": [item]}));
    limits.creates(&[
        (
            one(json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}})),
            &[
                "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
                "spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1",
            ],
        ),
        (
            one(json!({"type": "Pod", "default": {"cpu": "1"}})),
            &["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
        ),
        (
            one(json!({"type": "PersistentVolumeClaim"})),
            &["spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided"],
        ),
        (
            one(json!({"type": "Pod", "max": {"cpu": "2"}, "min": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "4"}})),
            &["spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"4\": ratio 4 is greater than max/min = 2.000000"],
        ),
        (
            spec(json!({"limits": [{"type": "Box"}, {"type": "Box"}]})),
            &[
                "spec.limits[0].type: Invalid value: \"Box\": must be a standard limit type or fully qualified",
                "spec.limits[1].type: Invalid value: \"Box\": must be a standard limit type or fully qualified",
                "spec.limits[1].type: Duplicate value: \"Box\"",
            ],
        ),
    ]);
}

#[test]
fn autoscalers() {
    let scaler = Good {
        group: "autoscaling",
        resource: "horizontalpodautoscalers",
        api_version: "autoscaling/v2",
        kind: "HorizontalPodAutoscaler",
        object: json!({"metadata": {"name": "h"}, "spec": {
            "maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}),
    };
    let metrics = |metric: Value| spec(json!({"metrics": [metric]}));
    scaler.creates(&[
        (
            spec(json!({"maxReplicas": 0, "minReplicas": 0})),
            &[
                "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
                "spec.maxReplicas: Required value: must be set and greater than 0",
                "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
            ],
        ),
        (
            spec(json!({"minReplicas": 6, "scaleTargetRef": {"kind": "", "apiVersion": "v1"}})),
            &[
                "spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`",
                "spec.scaleTargetRef.kind: Required value",
                "spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group",
            ],
        ),
        (
            metrics(json!({"type": "Resource"})),
            &["spec.metrics[0].resource: Required value: must populate information for the given metric source"],
        ),
        (
            metrics(json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 0}}})),
            &["spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0"],
        ),
        (
            metrics(json!({"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}}})),
            &["spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue"],
        ),
        (
            spec(json!({"behavior": {"scaleUp": {"selectPolicy": "Some", "stabilizationWindowSeconds": 4000, "policies": [{"type": "Pods", "value": 0, "periodSeconds": 2000}]}}})),
            &[
                "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 4000: must be less than or equal to 3600",
                "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"Some\": supported values: \"Disabled\", \"Max\", \"Min\"",
                "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
                "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 2000: must be less than or equal to 1800",
            ],
        ),
    ]);
    scaler.updates(
        "status",
        &[(
            json!({}),
            json!({"status": {"desiredReplicas": -1}}),
            &["status.desiredReplicas: Invalid value: -1: must be greater than or equal to 0"],
        )],
    );
}
