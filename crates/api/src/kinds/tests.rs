//! What users read: errors and warnings in upstream's words, and what updates may do.

mod batch;
mod cluster;
mod definitions;
mod devices;
mod networking;
mod policies;
mod storage;
mod workloads;

use super::strategy;
use crate::Strategy;
use apimachinery::{FieldError, meta};
use schema::table;
use serde_json::{Value, json};

/// An object as the server sees it: decoded, defaulted and, if new, prepared.
fn decoded(mut body: Value, api_version: &str, kind: &str) -> Value {
    body["apiVersion"] = api_version.into();
    body["kind"] = kind.into();
    if body.pointer("/metadata/namespace").is_none() {
        body["metadata"]["namespace"] = "default".into();
    }
    let gvk = meta::gvk(&body).expect("a kind");
    let definition = table().kind(&gvk.group, &gvk.version, &gvk.kind).expect("a known kind");
    schema::decode_value(definition, body).expect("decodes").object
}

fn made(strategy: &dyn Strategy, body: Value, api_version: &str, kind: &str) -> Value {
    let mut object = decoded(body, api_version, kind);
    strategy.default(&mut object);
    strategy.prepare_create(&mut object);
    object
}

/// A kind, and an object of it that is good.
struct Good {
    group: &'static str,
    resource: &'static str,
    api_version: &'static str,
    kind: &'static str,
    object: Value,
}

impl Good {
    fn strategy(&self) -> &'static dyn Strategy {
        strategy(self.group, self.resource)
    }

    /// The good object with a merge patch, as the server makes it.
    fn with(&self, patch: &Value) -> Value {
        let mut body = self.object.clone();
        apimachinery::patch::merge_patch(&mut body, patch);
        made(self.strategy(), body, self.api_version, self.kind)
    }

    /// The good object has no errors; with each patch it has exactly these. What the server fills in
    /// stays the same when it is filled in again.
    #[track_caller]
    fn creates(&self, cases: &[(Value, &[&str])]) {
        let good = self.with(&json!({}));
        assert_eq!(texts(&self.strategy().validate(&good)), [""; 0], "{} as it is", self.kind);
        let mut again = good.clone();
        self.strategy().default(&mut again);
        assert_eq!(again, good, "{}: defaulting again changes something", self.kind);
        for (patch, wanted) in cases {
            let object = self.with(patch);
            assert_eq!(texts(&self.strategy().validate(&object)), *wanted, "{} {patch}", self.kind);
        }
    }

    /// What an update of the good object (changed by the first patch) with the second patch says.
    #[track_caller]
    fn updates(&self, subresource: &str, cases: &[(Value, Value, &[&str])]) {
        for (before, change, wanted) in cases {
            let mut old = self.with(&json!({}));
            apimachinery::patch::merge_patch(&mut old, before);
            let new = self.changed(subresource, &old, change);
            let found = texts(&self.strategy().validate_update(subresource, &new, &old));
            assert_eq!(found, *wanted, "{} {before} {change}", self.kind);
        }
    }

    /// The object after an update.
    fn changed(&self, subresource: &str, old: &Value, change: &Value) -> Value {
        let mut new = old.clone();
        apimachinery::patch::merge_patch(&mut new, change);
        self.strategy().default(&mut new);
        self.strategy().prepare_update(subresource, &mut new, old);
        new
    }

    #[track_caller]
    fn warns(&self, patch: &Value, wanted: &[&str]) {
        assert_eq!(self.strategy().warnings(&self.with(patch), None), *wanted, "{} {patch}", self.kind);
    }
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn pods() -> &'static dyn Strategy {
    strategy("", "pods")
}

fn pod(spec: Value) -> Value {
    let mut spec = spec;
    if spec.get("containers").is_none() {
        spec["containers"] = json!([{"name": "app", "image": "nginx:1"}]);
    }
    made(pods(), json!({"metadata": {"name": "p"}, "spec": spec}), "v1", "Pod")
}

fn container(extra: Value) -> Value {
    let mut container = json!({"name": "app", "image": "nginx:1"});
    container.as_object_mut().expect("an object").extend(extra.as_object().cloned().unwrap_or_default());
    json!({"containers": [container]})
}

#[test]
fn good_pods_have_no_errors() {
    let spec = json!({
        "serviceAccountName": "default",
        "initContainers": [
            {"name": "init", "image": "busybox", "command": ["true"]},
            {"name": "side", "image": "busybox", "restartPolicy": "Always", "startupProbe": {"exec": {"command": ["true"]}}},
        ],
        "containers": [{
            "name": "app", "image": "nginx:1.21", "ports": [{"name": "http", "containerPort": 80}],
            "env": [{"name": "A", "value": "b"}, {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
            "envFrom": [{"configMapRef": {"name": "c"}}],
            "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "1Gi", "example.com/gpu": "1"}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "token", "mountPath": "/t", "readOnly": true}],
            "livenessProbe": {"httpGet": {"path": "/", "port": "http"}},
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
            "securityContext": {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
        }],
        "volumes": [
            {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "token", "projected": {"sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            ]}},
        ],
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"a": "b"}}}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]}}},
        "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["svc.local"]},
        "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["foo.local"]}],
    });
    assert_eq!(texts(&pods().validate(&pod(spec))), [""; 0]);
}

#[test]
fn pod_errors_in_upstreams_words() {
    let cases: Vec<(Value, &[&str])> = vec![
        (json!({"containers": []}), &["spec.containers: Required value"]),
        (
            json!({"containers": [{"name": "app", "image": "a"}, {"name": "app"}]}),
            &[
                "spec.containers[1].image: Required value",
                "spec.containers[1].name: Duplicate value: \"app\"",
            ],
        ),
        (
            container(json!({"volumeMounts": [{"name": "config", "mountPath": "/c"}]})),
            &["spec.containers[0].volumeMounts[0].name: Not found: \"config\""],
        ),
        (
            container(json!({"ports": [{"containerPort": 70000}]})),
            &[
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            container(json!({"imagePullPolicy": "x"})),
            &[
                "spec.containers[0].imagePullPolicy: Unsupported value: \"x\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ],
        ),
        (
            json!({"restartPolicy": "x"}),
            &[
                "spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            ],
        ),
        (
            container(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
            &[
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ],
        ),
        (
            container(json!({"resources": {"limits": {"cpus": "1"}}})),
            &[
                "spec.containers[0].resources.limits[cpus]: Invalid value: \"cpus\": must be a standard resource type or fully qualified",
                "spec.containers[0].resources.limits[cpus]: Invalid value: \"cpus\": must be a standard resource for containers",
                "spec.containers[0].resources.requests[cpus]: Invalid value: \"cpus\": must be a standard resource type or fully qualified",
                "spec.containers[0].resources.requests[cpus]: Invalid value: \"cpus\": must be a standard resource for containers",
            ],
        ),
        (
            container(json!({"livenessProbe": {"successThreshold": 2, "exec": {"command": ["a"]}}})),
            &["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
        ),
        (
            container(json!({"readinessProbe": {}})),
            &["spec.containers[0].readinessProbe: Required value: must specify a handler type"],
        ),
        (
            container(json!({"securityContext": {"seccompProfile": {"type": "Localhost"}}})),
            &[
                "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
            ],
        ),
        (
            json!({"securityContext": {"appArmorProfile": {"type": ""}}}),
            &[
                "spec.securityContext.appArmorProfile.type: Required value: type is required when appArmorProfile is set",
            ],
        ),
        (
            json!({"shareProcessNamespace": true, "hostPID": true}),
            &[
                "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
            ],
        ),
        (
            json!({"os": {"name": "windows"}, "hostPID": true}),
            &["spec.hostPID: Forbidden: cannot be set for a windows pod"],
        ),
        (
            json!({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {"runAsUserName": "a"}}}),
            &[
                "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod",
            ],
        ),
        (
            json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}),
            &[
                "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
            ],
        ),
        (
            json!({"ephemeralContainers": [{"name": "debug", "image": "b"}]}),
            &["spec.ephemeralContainers: Forbidden: cannot be set on create"],
        ),
        (
            json!({"initContainers": [{"name": "i", "image": "a", "livenessProbe": {"exec": {"command": ["a"]}}}]}),
            &[
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            ],
        ),
        (
            json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}),
            &[
                "spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
            ],
        ),
        (
            json!({"dnsPolicy": "None"}),
            &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
        ),
        (
            json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]}),
            &["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]}),
            &["spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"],
        ),
        (
            json!({"activeDeadlineSeconds": 0}),
            &["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
        ),
        (
            container(
                json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]}),
            ),
            &[
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            ],
        ),
    ];
    for (spec, wanted) in cases {
        assert_eq!(texts(&pods().validate(&pod(spec.clone()))), wanted, "{spec}");
    }
}

#[test]
fn escalation_and_privilege_exclude_each_other() {
    let bad =
        pod(container(json!({"securityContext": {"privileged": true, "allowPrivilegeEscalation": false}})));
    let errors = texts(&pods().validate(&bad));
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].ends_with("cannot set `allowPrivilegeEscalation` to false and `privileged` to true"),
        "{errors:?}"
    );
}

#[test]
fn new_pods_are_pending_and_know_their_class() {
    let gated = pod(json!({"schedulingGates": [{"name": "a.b/c"}]}));
    assert_eq!(gated["status"]["phase"], "Pending");
    assert_eq!(gated["status"]["qosClass"], "BestEffort");
    assert_eq!(gated["status"]["conditions"][0]["reason"], "SchedulingGated");
}

#[test]
fn warnings_of_pods() {
    let spec = json!({
        "containers": [{"name": "a", "image": "i", "ports": [{"containerPort": 80, "name": "web"}],
            "env": [{"name": "X", "value": "1"}, {"name": "X", "value": "2"}]},
            {"name": "b", "image": "i", "ports": [{"containerPort": 80, "name": "web"}]}],
        "nodeSelector": {"beta.kubernetes.io/os": "linux"},
        "terminationGracePeriodSeconds": -1,
    });
    let dotted = made(pods(), json!({"metadata": {"name": "a.b"}, "spec": spec}), "v1", "Pod");
    assert_eq!(
        pods().warnings(&dotted, None),
        [
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.containers[0].env[1]: hides previous definition of \"X\", which may be dropped when using apply",
            "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
            "spec.containers[1].ports[0]: duplicate port name \"web\" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ]
    );
}

fn update_errors(subresource: &str, old: &Value, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut new = old.clone();
    change(&mut new);
    pods().default(&mut new);
    pods().prepare_update(subresource, &mut new, old);
    texts(&pods().validate_update(subresource, &new, old))
}

#[test]
fn what_may_change_of_a_pod() {
    let old = pod(json!({"activeDeadlineSeconds": 10, "tolerations": [{"key": "a", "operator": "Exists"}]}));
    let ok = |change: fn(&mut Value)| assert_eq!(update_errors("", &old, change), [""; 0]);
    ok(|pod| pod["spec"]["containers"][0]["image"] = "nginx:2".into());
    ok(|pod| pod["spec"]["activeDeadlineSeconds"] = 5.into());
    ok(|pod| {
        pod["spec"]["tolerations"] =
            json!([{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}])
    });
    ok(|pod| pod["metadata"]["labels"] = json!({"a": "b"}));
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 5] = [
        (
            |pod| pod["spec"]["activeDeadlineSeconds"] = 20.into(),
            "spec.activeDeadlineSeconds: Invalid value: 20: must be less than or equal to previous value",
        ),
        (
            |pod| pod["spec"]["activeDeadlineSeconds"] = Value::Null,
            "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
        ),
        (
            |pod| pod["spec"]["tolerations"] = json!([]),
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ),
        (
            |pod| pod["spec"]["schedulingGates"] = json!([{"name": "a.b/c"}]),
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a.b/c'",
        ),
        (
            |pod| {
                pod["spec"]["containers"] =
                    json!([{"name": "app", "image": "a"}, {"name": "b", "image": "a"}])
            },
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ),
    ];
    for (change, wanted) in cases {
        assert_eq!(update_errors("", &old, change), [wanted]);
    }
    let errors = update_errors("", &old, |pod| pod["spec"]["nodeName"] = "x".into());
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n@@ "), "{}", errors[0]);
    assert!(errors[0].contains("\"nodeName\": \"x\""), "{}", errors[0]);
}

#[test]
fn a_status_may_not_bring_containers_back() {
    let mut old = pod(json!({"restartPolicy": "Never"}));
    old["status"]["containerStatuses"] = json!([{"name": "app", "state": {"terminated": {"exitCode": 0}}}]);
    let errors = update_errors("status", &old, |pod| {
        pod["status"]["containerStatuses"] = json!([{"name": "app", "state": {"running": {}}}]);
        pod["spec"]["nodeName"] = "ignored".into();
        pod["status"]["qosClass"] = "".into();
    });
    assert_eq!(
        errors,
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    );
    let class = update_errors("status", &old, |pod| pod["status"]["qosClass"] = "Burstable".into());
    assert_eq!(class, ["status.qosClass: Invalid value: \"Burstable\": field is immutable"]);
}

#[test]
fn debug_containers_come_and_stay() {
    let old = pod(json!({}));
    let debug = json!([{"name": "debug", "image": "busybox", "targetContainerName": "app"}]);
    let mut with = old.clone();
    with["spec"]["ephemeralContainers"] = debug.clone();
    pods().default(&mut with);
    pods().prepare_update("ephemeralcontainers", &mut with, &old);
    assert_eq!(texts(&pods().validate_update("ephemeralcontainers", &with, &old)), [""; 0]);
    let gone =
        update_errors("ephemeralcontainers", &with, |pod| pod["spec"]["ephemeralContainers"] = json!([]));
    assert_eq!(
        gone,
        ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"debug\" may not be removed\n"]
    );
    let bad = update_errors("ephemeralcontainers", &old, |pod| {
        pod["spec"]["ephemeralContainers"] =
            json!([{"name": "app", "image": "b", "ports": [{"containerPort": 1}]}]);
    });
    assert_eq!(
        bad,
        [
            "spec.ephemeralContainers[0].name: Duplicate value: \"app\"",
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
        ]
    );
}

#[test]
fn resizing_is_for_cpu_and_memory() {
    let old = pod(container(
        json!({"resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}}),
    ));
    let good = update_errors("resize", &old, |pod| {
        pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "1500m".into()
    });
    assert_eq!(good, [""; 0]);
    let removed = update_errors("resize", &old, |pod| {
        pod["spec"]["containers"][0]["resources"]["limits"] = json!({"cpu": "2"});
    });
    assert_eq!(
        removed,
        ["spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"]
    );
    let other = update_errors("resize", &old, |pod| {
        pod["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"] = "1Gi".into();
    });
    assert_eq!(other, ["spec: Forbidden: only cpu and memory resources are mutable"]);
    let class = update_errors("resize", &old, |pod| {
        pod["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": "2", "memory": "2Gi"});
    });
    assert_eq!(
        class,
        ["spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing"]
    );
}

#[test]
fn how_long_pods_may_take_to_stop() {
    let mut p = pod(json!({"nodeName": "n"}));
    assert_eq!(pods().delete_grace(&p, None), Some(30));
    assert_eq!(pods().delete_grace(&p, Some(5)), Some(5));
    p["spec"]["terminationGracePeriodSeconds"] = (-3).into();
    assert_eq!(pods().delete_grace(&p, None), Some(1));
    p["status"]["phase"] = "Failed".into();
    assert_eq!(pods().delete_grace(&p, None), Some(0));
    assert_eq!(pods().delete_grace(&pod(json!({})), Some(10)), Some(0));
}

fn errors_of(group: &str, resource: &str, api_version: &str, kind: &str, body: Value) -> Vec<String> {
    let strategy = strategy(group, resource);
    texts(&strategy.validate(&made(strategy, body, api_version, kind)))
}

#[test]
fn config_maps_and_secrets() {
    let map = |body: Value| errors_of("", "configmaps", "v1", "ConfigMap", body);
    assert_eq!(map(json!({"data": {"a.b": "c"}, "binaryData": {"x": "AAAA"}})), [""; 0]);
    assert_eq!(
        map(json!({"data": {"a": "c"}, "binaryData": {"a": "AAAA"}})),
        ["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"]
    );
    let big = "x".repeat((1 << 20) + 1);
    assert_eq!(map(json!({"data": {"a": big}})), ["[]: Too long: may not be more than 1048576 bytes"]);
    let secret = |body: Value| errors_of("", "secrets", "v1", "Secret", body);
    assert_eq!(secret(json!({"stringData": {"a": "b"}})), [""; 0]);
    assert_eq!(
        secret(json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}})),
        ["data[tls.key]: Required value"]
    );
    assert_eq!(
        secret(
            json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "s3cret"}})
        ),
        ["data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": invalid character in JSON"]
    );
    let secrets = strategy("", "secrets");
    let old = made(
        secrets,
        json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}, "immutable": true}),
        "v1",
        "Secret",
    );
    assert_eq!(old["data"]["a"], "Yg==");
    assert!(old.get("stringData").is_none());
    let mut new = old.clone();
    new["type"] = "x".into();
    new["data"]["a"] = "Yw==".into();
    new["immutable"] = false.into();
    assert_eq!(
        texts(&secrets.validate_update("", &new, &old)),
        [
            "type: Invalid value: \"x\": field is immutable",
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ]
    );
}

#[test]
fn namespaces_live_and_end() {
    let namespaces = strategy("", "namespaces");
    let body = json!({"metadata": {"name": "team"}});
    let namespace = made(namespaces, body, "v1", "Namespace");
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["status"]["phase"], "Active");
    assert_eq!(namespace["metadata"]["labels"]["kubernetes.io/metadata.name"], "team");
    let mut new = namespace.clone();
    new["spec"]["finalizers"] = json!([]);
    namespaces.prepare_update("", &mut new, &namespace);
    assert_eq!(new["spec"]["finalizers"], json!(["kubernetes"]));
    new["spec"]["finalizers"] = json!([]);
    namespaces.prepare_update("finalize", &mut new, &namespace);
    assert_eq!(new["spec"]["finalizers"], json!([]));
    assert!(!namespaces.validate_name("a.b").is_empty());
}

#[test]
fn service_errors() {
    let service = |spec: Value| {
        errors_of("", "services", "v1", "Service", json!({"metadata": {"name": "s"}, "spec": spec}))
    };
    assert_eq!(service(json!({"ports": [{"port": 80}]})), [""; 0]);
    assert_eq!(service(json!({})), ["spec.ports: Required value"]);
    assert_eq!(service(json!({"clusterIP": "None"})), [""; 0]);
    assert_eq!(
        service(json!({"ports": [{"port": 80}, {"port": 81, "name": "b"}]})),
        ["spec.ports[0].name: Required value"]
    );
    assert_eq!(
        service(json!({"type": "x", "ports": [{"port": 80}]})),
        [
            "spec.type: Unsupported value: \"x\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""
        ]
    );
    assert_eq!(
        service(json!({"ports": [{"port": 80, "nodePort": 30000}]})),
        ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]
    );
    assert_eq!(service(json!({"type": "ExternalName", "externalName": "a.example"})), [""; 0]);
    let services = strategy("", "services");
    let old = made(
        services,
        json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}}),
        "v1",
        "Service",
    );
    assert_eq!(old["spec"]["clusterIPs"], json!(["10.0.0.1"]));
    let mut new = old.clone();
    new["spec"]["clusterIP"] = "10.0.0.2".into();
    services.prepare_update("", &mut new, &old);
    assert_eq!(
        texts(&services.validate_update("", &new, &old)),
        ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"]
    );
}

#[test]
fn events_of_both_groups() {
    let core = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "other"}});
    assert_eq!(
        errors_of("", "events", "v1", "Event", core),
        ["involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"]
    );
    let new = json!({"metadata": {"name": "e"}, "regarding": {"kind": "Pod", "namespace": "default"}, "type": "Normal",
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "k8s.io/x", "reportingInstance": "x", "action": "a", "reason": "r"});
    assert_eq!(errors_of("events.k8s.io", "events", "events.k8s.io/v1", "Event", new), [""; 0]);
    let lazy = json!({"metadata": {"name": "e"}, "regarding": {"kind": "Pod", "namespace": "default"}});
    assert_eq!(
        errors_of("events.k8s.io", "events", "events.k8s.io/v1", "Event", lazy),
        ["eventTime: Required value", "type: Invalid value: \"\": has invalid value: "]
    );
}

#[test]
fn leases_and_nodes() {
    let lease = json!({"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 0}});
    assert_eq!(
        errors_of("coordination.k8s.io", "leases", "coordination.k8s.io/v1", "Lease", lease),
        ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]
    );
    let node = json!({"metadata": {"name": "n"}, "spec": {"taints": [{"key": "a", "effect": "x"}]}});
    assert_eq!(
        errors_of("", "nodes", "v1", "Node", node),
        [
            "metadata.taints[0].effect: Unsupported value: \"x\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""
        ]
    );
}

#[test]
fn a_new_object_has_a_status_with_nothing_set() {
    let cases = [
        ("apps", "deployments", "apps/v1", "Deployment", json!({})),
        ("apps", "replicasets", "apps/v1", "ReplicaSet", json!({"replicas": 0})),
        ("", "persistentvolumeclaims", "v1", "PersistentVolumeClaim", json!({"phase": "Pending"})),
    ];
    for (group, resource, version, kind, wanted) in cases {
        let body =
            json!({"metadata": {"name": "x"}, "status": {"conditions": [{"type": "Lie", "status": "True"}]}});
        assert_eq!(made(strategy(group, resource), body, version, kind)["status"], wanted, "{kind}");
    }
}

#[test]
fn jobs_select_what_they_make() {
    let jobs = strategy("batch", "jobs");
    let spec = json!({"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}});
    let mut job =
        made(jobs, json!({"metadata": {"generateName": "j-", "uid": "u"}, "spec": spec}), "batch/v1", "Job");
    assert_eq!(job["spec"]["selector"]["matchLabels"], json!({"batch.kubernetes.io/controller-uid": "u"}));
    meta::set_name(&mut job, "j-1");
    jobs.name_settled(&mut job);
    assert_eq!(job["spec"]["template"]["metadata"]["labels"]["job-name"], "j-1");
    assert_eq!(texts(&jobs.validate(&job)), [""; 0]);
    let mut always = job.clone();
    always["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
    assert_eq!(
        texts(&jobs.validate(&always)),
        ["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""]
    );
}

#[test]
fn every_stored_resource_has_its_rules() {
    for info in crate::resources().iter().filter(|info| info.storage_prefix.is_some()) {
        let strategy = strategy(info.group, info.resource);
        let has_status = info.subresource("status").is_some();
        let known = ["componentstatuses", "controllerrevisions"].contains(&info.resource);
        assert!(known || strategy.has_status() == has_status, "{}", info.resource);
    }
}
