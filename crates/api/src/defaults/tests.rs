//! What is filled in, and that filling in twice changes nothing.

use super::*;
use serde_json::json;

fn defaulted(body: Value) -> Value {
    let gvk = meta::gvk(&body).expect("a kind");
    let definition = table().kind(&gvk.group, &gvk.version, &gvk.kind).expect("a known kind");
    let mut object = schema::decode_value(definition, body).expect("decodes").object;
    apply(&mut object);
    let mut again = object.clone();
    apply(&mut again);
    assert_eq!(again, object, "defaulting is idempotent");
    object
}

#[test]
fn a_small_pod_gets_what_users_expect() {
    let pod = defaulted(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {
            "containers": [
                {"name": "a", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1"}},
                 "livenessProbe": {"httpGet": {"port": 80}},
                 "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
                {"name": "b", "image": "nginx:1.21"},
            ],
            "volumes": [{"name": "v"}, {"name": "c", "configMap": {"name": "c"}}, {"name": "h", "hostPath": {"path": "/x"}}],
        },
    }));
    let spec = &pod["spec"];
    assert_eq!(spec["restartPolicy"], "Always");
    assert_eq!(spec["dnsPolicy"], "ClusterFirst");
    assert_eq!(spec["schedulerName"], "default-scheduler");
    assert_eq!(spec["terminationGracePeriodSeconds"], 30);
    assert_eq!(spec["enableServiceLinks"], true);
    assert_eq!(spec["securityContext"], json!({}));
    let a = &spec["containers"][0];
    assert_eq!(a["imagePullPolicy"], "Always");
    assert_eq!(a["terminationMessagePath"], "/dev/termination-log");
    assert_eq!(a["terminationMessagePolicy"], "File");
    assert_eq!(a["ports"][0]["protocol"], "TCP");
    assert_eq!(a["resources"]["requests"]["cpu"], "1");
    assert_eq!(a["livenessProbe"]["httpGet"], json!({"path": "/", "port": 80, "scheme": "HTTP"}));
    assert_eq!(a["livenessProbe"]["failureThreshold"], 3);
    assert_eq!(a["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
    assert_eq!(spec["containers"][1]["imagePullPolicy"], "IfNotPresent");
    assert_eq!(spec["volumes"][0]["emptyDir"], json!({}));
    assert_eq!(spec["volumes"][1]["configMap"]["defaultMode"], 420);
    assert_eq!(spec["volumes"][2]["hostPath"]["type"], "");
}

#[test]
fn host_network_ports_are_host_ports_of_pods_only() {
    let spec = json!({"hostNetwork": true, "containers": [{"name": "a", "image": "i", "ports": [{"containerPort": 80}]}]});
    let pod = defaulted(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec.clone()}),
    );
    assert_eq!(pod["spec"]["containers"][0]["ports"][0]["hostPort"], 80);
    let deployment = defaulted(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": spec}},
    }));
    let template = &deployment["spec"]["template"]["spec"];
    assert!(template["containers"][0]["ports"][0].get("hostPort").is_none());
    assert!(template.get("enableServiceLinks").is_none());
}

#[test]
fn workloads_and_their_templates() {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "busybox:1"}]}});
    let cases = [
        (
            "apps/v1",
            "Deployment",
            json!({"template": template}),
            "/spec/strategy/rollingUpdate/maxSurge",
            json!("25%"),
        ),
        ("apps/v1", "Deployment", json!({"template": template}), "/spec/progressDeadlineSeconds", json!(600)),
        ("apps/v1", "ReplicaSet", json!({"template": template}), "/spec/replicas", json!(1)),
        (
            "apps/v1",
            "StatefulSet",
            json!({"template": template}),
            "/spec/podManagementPolicy",
            json!("OrderedReady"),
        ),
        (
            "apps/v1",
            "DaemonSet",
            json!({"template": template}),
            "/spec/updateStrategy/type",
            json!("RollingUpdate"),
        ),
        ("batch/v1", "Job", json!({"template": template}), "/spec/backoffLimit", json!(6)),
        ("batch/v1", "Job", json!({"template": template}), "/metadata/labels/a", json!("b")),
        (
            "batch/v1",
            "CronJob",
            json!({"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}),
            "/spec/jobTemplate/spec/template/spec/containers/0/imagePullPolicy",
            json!("IfNotPresent"),
        ),
    ];
    for (version, kind, spec, pointer, value) in cases {
        let object =
            defaulted(json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}));
        assert_eq!(object.pointer(pointer), Some(&value), "{kind} {pointer}");
    }
}

#[test]
fn services_by_type() {
    let service = |spec: Value| {
        defaulted(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}))
    };
    let plain = service(json!({"ports": [{"port": 80}]}));
    assert_eq!(plain["spec"]["type"], "ClusterIP");
    assert_eq!(plain["spec"]["ports"][0]["targetPort"], 80);
    assert_eq!(plain["spec"]["internalTrafficPolicy"], "Cluster");
    assert!(plain["spec"].get("externalTrafficPolicy").is_none());
    let balanced =
        service(json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": [{"port": 80}]}));
    assert_eq!(balanced["spec"]["allocateLoadBalancerNodePorts"], true);
    assert_eq!(balanced["spec"]["externalTrafficPolicy"], "Cluster");
    assert_eq!(balanced["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"], 10800);
}

#[test]
fn amounts_are_rounded_up_to_a_thousandth() {
    let pod = defaulted(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
            {"name": "a", "image": "i", "resources": {"requests": {"cpu": "100.5m", "memory": "64Mi"}}},
        ]}}),
    );
    assert_eq!(
        pod["spec"]["containers"][0]["resources"]["requests"],
        json!({"cpu": "101m", "memory": "64Mi"})
    );
}

#[test]
fn the_zero_of_every_kind_can_be_defaulted() {
    for (group, version, kind, definition) in table().kinds() {
        let mut object = definition.zero();
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        apply(&mut object);
        let mut again = object.clone();
        apply(&mut again);
        assert_eq!(again, object, "{group}/{version} {kind}");
    }
}
