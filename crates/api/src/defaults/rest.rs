//! Defaults of the kinds outside the core group.

use super::Rule;
use crate::read::{fill, fill_empty, is_empty};
use apimachinery::meta::object_at;
use serde_json::{Map, Value, json};

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) const RULES: &[(&str, Rule)] = &[
    ("apps.v1.DeploymentSpec", deployment),
    ("apps.v1.ReplicaSetSpec", |spec| fill(spec, "replicas", 1)),
    ("apps.v1.StatefulSetSpec", stateful_set),
    ("apps.v1.DaemonSetSpec", daemon_set),
    ("batch.v1.Job", job),
    ("batch.v1.CronJobSpec", cron_job),
    ("batch.v1.PodFailurePolicyOnPodConditionsPattern", |p| fill_empty(p, "status", "True")),
    ("autoscaling.v1.HorizontalPodAutoscalerSpec", |spec| fill(spec, "minReplicas", 1)),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", autoscaler),
    ("networking.v1.NetworkPolicyPort", |port| fill(port, "protocol", "TCP")),
    ("networking.v1.NetworkPolicySpec", network_policy),
    ("networking.v1.IngressClassParametersReference", |p| fill(p, "scope", "Cluster")),
    ("rbac.v1.RoleRef", |role| fill_empty(role, "apiGroup", RBAC)),
    ("rbac.v1.Subject", subject),
    ("storage.v1.StorageClass", storage_class),
    ("storage.v1.CSIDriverSpec", csi_driver),
    ("discovery.v1.EndpointPort", endpoint_port),
    ("admissionregistration.v1.ValidatingWebhook", webhook),
    ("admissionregistration.v1.MutatingWebhook", mutating_webhook),
    ("admissionregistration.v1.RuleWithOperations", scope),
    ("admissionregistration.v1.NamedRuleWithOperations", scope),
    ("admissionregistration.v1.ServiceReference", |s| fill(s, "port", 443)),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", |s| fill(s, "failurePolicy", "Fail")),
    ("admissionregistration.v1.MutatingAdmissionPolicySpec", |s| fill(s, "failurePolicy", "Fail")),
    ("admissionregistration.v1.MatchResources", match_resources),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition", definition),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference", |s| fill(s, "port", 443)),
    ("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference", |s| fill(s, "port", 443)),
    ("scheduling.v1.PriorityClass", |class| fill(class, "preemptionPolicy", "PreemptLowerPriority")),
    ("flowcontrol.v1.FlowSchemaSpec", |spec| fill_empty(spec, "matchingPrecedence", 1000)),
    ("flowcontrol.v1.ExemptPriorityLevelConfiguration", |level| shares(level, 0)),
    ("flowcontrol.v1.LimitedPriorityLevelConfiguration", |level| shares(level, 30)),
    ("flowcontrol.v1.QueuingConfiguration", queuing),
    ("resource.v1.ExactDeviceRequest", device_request),
    ("resource.v1.DeviceSubRequest", device_request),
    ("resource.v1beta2.ExactDeviceRequest", device_request),
    ("resource.v1beta2.DeviceSubRequest", device_request),
    ("resource.v1beta1.DeviceSubRequest", device_request),
    ("resource.v1beta1.DeviceRequest", device_request_or_alternatives),
    ("resource.v1.DeviceToleration", |t| fill_empty(t, "operator", "Equal")),
    ("resource.v1beta2.DeviceToleration", |t| fill_empty(t, "operator", "Equal")),
    ("resource.v1beta1.DeviceToleration", |t| fill_empty(t, "operator", "Equal")),
    ("resource.v1alpha3.ResourcePoolStatusRequestSpec", |spec| fill(spec, "limit", 100)),
    ("certificates.v1beta1.PodCertificateRequestSpec", |spec| fill(spec, "maxExpirationSeconds", 86400)),
    ("resource.v1.NodeAllocatableResourceMapping", |m| fill(m, "allocationMultiplier", "1")),
];

fn typed<'a>(map: &'a mut Map<String, Value>, field: &str, kind: &str) -> &'a mut Map<String, Value> {
    let strategy = object_at(map, field);
    fill_empty(strategy, "type", kind);
    strategy
}

fn deployment(spec: &mut Map<String, Value>) {
    fill(spec, "replicas", 1);
    let strategy = typed(spec, "strategy", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = object_at(strategy, "rollingUpdate");
        fill(rolling, "maxUnavailable", "25%");
        fill(rolling, "maxSurge", "25%");
    }
    fill(spec, "revisionHistoryLimit", 10);
    fill(spec, "progressDeadlineSeconds", 600);
}

fn daemon_set(spec: &mut Map<String, Value>) {
    let strategy = typed(spec, "updateStrategy", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = object_at(strategy, "rollingUpdate");
        fill(rolling, "maxUnavailable", 1);
        fill(rolling, "maxSurge", 0);
    }
    fill(spec, "revisionHistoryLimit", 10);
}

fn stateful_set(spec: &mut Map<String, Value>) {
    fill_empty(spec, "podManagementPolicy", "OrderedReady");
    let strategy = object_at(spec, "updateStrategy");
    if strategy.get("type").is_none_or(is_empty) {
        strategy.insert("type".into(), "RollingUpdate".into());
        fill(strategy, "rollingUpdate", json!({}));
    }
    if strategy["type"] == "RollingUpdate"
        && let Some(Value::Object(rolling)) = strategy.get_mut("rollingUpdate")
    {
        fill(rolling, "partition", 0);
    }
    let retention = object_at(spec, "persistentVolumeClaimRetentionPolicy");
    fill_empty(retention, "whenDeleted", "Retain");
    fill_empty(retention, "whenScaled", "Retain");
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
}

fn job(job: &mut Map<String, Value>) {
    let labels = job.get("spec").and_then(|spec| spec.pointer("/template/metadata/labels")).cloned();
    if let Some(labels) = labels.filter(|labels| !is_empty(labels)) {
        fill_empty(object_at(job, "metadata"), "labels", labels);
    }
    let Some(Value::Object(spec)) = job.get_mut("spec") else { return };
    let absent = |spec: &Map<String, Value>, field: &str| spec.get(field).is_none_or(Value::is_null);
    if absent(spec, "completions") && absent(spec, "parallelism") {
        fill(spec, "completions", 1);
    }
    fill(spec, "parallelism", 1);
    let limit = if absent(spec, "backoffLimitPerIndex") { 6 } else { i32::MAX };
    fill(spec, "backoffLimit", limit);
    fill(spec, "completionMode", "NonIndexed");
    fill(spec, "suspend", false);
    let replace = if absent(spec, "podFailurePolicy") { "TerminatingOrFailed" } else { "Failed" };
    fill(spec, "podReplacementPolicy", replace);
    fill(spec, "manualSelector", false);
}

fn cron_job(spec: &mut Map<String, Value>) {
    fill_empty(spec, "concurrencyPolicy", "Allow");
    fill(spec, "suspend", false);
    fill(spec, "successfulJobsHistoryLimit", 3);
    fill(spec, "failedJobsHistoryLimit", 1);
}

fn autoscaler(spec: &mut Map<String, Value>) {
    fill(spec, "minReplicas", 1);
    let cpu = json!([{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    fill_empty(spec, "metrics", cpu);
    let Some(Value::Object(behavior)) = spec.get_mut("behavior") else { return };
    let up = object_at(behavior, "scaleUp");
    fill(up, "stabilizationWindowSeconds", 0);
    fill(up, "selectPolicy", "Max");
    let policies = json!([
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ]);
    fill(up, "policies", policies);
    let down = object_at(behavior, "scaleDown");
    fill(down, "selectPolicy", "Max");
    fill(down, "policies", json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
}

fn network_policy(spec: &mut Map<String, Value>) {
    let egress = spec.get("egress").is_some_and(|egress| !is_empty(egress));
    let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    fill_empty(spec, "policyTypes", types);
}

fn subject(subject: &mut Map<String, Value>) {
    if subject.get("kind").is_some_and(|kind| kind == "User" || kind == "Group") {
        fill_empty(subject, "apiGroup", RBAC);
    }
}

fn storage_class(class: &mut Map<String, Value>) {
    fill(class, "reclaimPolicy", "Delete");
    fill(class, "volumeBindingMode", "Immediate");
}

fn csi_driver(spec: &mut Map<String, Value>) {
    fill(spec, "attachRequired", true);
    for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        fill(spec, field, false);
    }
    fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    fill_empty(spec, "volumeLifecycleModes", json!(["Persistent"]));
}

fn endpoint_port(port: &mut Map<String, Value>) {
    fill(port, "name", "");
    fill(port, "protocol", "TCP");
}

fn match_resources(rule: &mut Map<String, Value>) {
    fill(rule, "matchPolicy", "Equivalent");
    fill(rule, "namespaceSelector", json!({}));
    fill(rule, "objectSelector", json!({}));
}

fn webhook(hook: &mut Map<String, Value>) {
    fill(hook, "failurePolicy", "Fail");
    match_resources(hook);
    fill(hook, "timeoutSeconds", 10);
}

fn mutating_webhook(hook: &mut Map<String, Value>) {
    webhook(hook);
    fill(hook, "reinvocationPolicy", "Never");
}

fn scope(rule: &mut Map<String, Value>) {
    fill(rule, "scope", "*");
}

/// Names that follow from the kind, conversion by nothing, and where objects are stored.
fn definition(definition: &mut Map<String, Value>) {
    let Some(Value::Object(spec)) = definition.get_mut("spec") else { return };
    let names = object_at(spec, "names");
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    fill_empty(names, "singular", kind.to_lowercase());
    if !kind.is_empty() {
        fill_empty(names, "listKind", format!("{kind}List"));
    }
    fill(spec, "conversion", json!({"strategy": "None"}));
    let versions = spec.get("versions").and_then(Value::as_array);
    let stored = versions.into_iter().flatten().find(|version| version["storage"] == true);
    let stored = stored.map(|version| version["name"].clone());
    if let Some(name) = stored {
        fill_empty(object_at(definition, "status"), "storedVersions", json!([name]));
    }
}

fn shares(level: &mut Map<String, Value>, count: u64) {
    fill(level, "nominalConcurrencyShares", count);
    fill(level, "lendablePercent", 0);
}

fn queuing(queues: &mut Map<String, Value>) {
    for (field, value) in [("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)] {
        fill_empty(queues, field, value);
    }
}

fn device_request(request: &mut Map<String, Value>) {
    fill_empty(request, "allocationMode", "ExactCount");
    if request.get("allocationMode").is_some_and(|mode| mode == "ExactCount") {
        fill_empty(request, "count", 1);
    }
}

/// In `v1beta1` a request has these fields itself, unless it has alternatives.
fn device_request_or_alternatives(request: &mut Map<String, Value>) {
    if request.get("deviceClassName").is_some_and(|class| !is_empty(class)) {
        device_request(request);
    }
}
