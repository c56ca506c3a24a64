//! Prints how long decoding and encoding a Pod of about 5 KB takes. Run with `--release`; not a
//! test, since times on a shared machine prove nothing.

#![allow(clippy::disallowed_methods)] // A measuring program reads the clock.

use std::hint::black_box;
use std::time::Instant;

fn main() {
    let container = |i: usize| {
        serde_json::json!({
            "name": format!("container-{i}"), "image": "registry.example.com/team/application:v1.2.3", "imagePullPolicy": "IfNotPresent",
            "args": ["--listen=0.0.0.0:8080", "--log-level=info", "--config=/etc/app/config.yaml"],
            "env": (0..6).map(|n| serde_json::json!({"name": format!("VARIABLE_{n}"), "value": "some value of usual length"})).collect::<Vec<_>>(),
            "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3, "successThreshold": 1},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http", "scheme": "HTTP"}, "periodSeconds": 5, "timeoutSeconds": 1, "failureThreshold": 3, "successThreshold": 1},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}, {"name": "kube-api-access-abcde", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        })
    };
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "application-5d4f8c7b9-x2x4v", "namespace": "default", "uid": "49297b75-8f5e-49c8-a84d-97d779cff05c", "resourceVersion": "123456",
            "creationTimestamp": "2026-11-20T09:39:00Z", "labels": {"app": "application", "pod-template-hash": "5d4f8c7b9"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "application-5d4f8c7b9", "uid": "5ad69d32-c9d7-484d-b80a-67e9024aeb82", "controller": true, "blockOwnerDeletion": true}]},
        "spec": {"containers": (0..3).map(container).collect::<Vec<_>>(), "nodeName": "node-1", "serviceAccountName": "default", "restartPolicy": "Always",
            "volumes": [{"name": "config", "configMap": {"name": "config", "defaultMode": 420}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-20T09:39:05Z"}], "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
    });
    let ty = schema::table().kind("", "v1", "Pod").expect("Pods are in the table");
    let body = schema::encode(ty, &pod);
    let protobuf = schema::encode_protobuf(ty, &pod);
    println!("{} bytes of JSON, {} of protobuf", body.len(), protobuf.len());
    time("serde_json to Value", || serde_json::from_slice::<serde_json::Value>(&body).map(black_box).is_ok());
    time("decode_json", || schema::decode_json(ty, &body).map(black_box).is_ok());
    time("decode_protobuf", || schema::decode_protobuf(&protobuf).map(black_box).is_ok());
    time("sniff", || schema::sniff(schema::Format::Json, &body).map(black_box).is_ok());
    time("encode", || !black_box(schema::encode(ty, &pod)).is_empty());
    time("encode_protobuf", || !black_box(schema::encode_protobuf(ty, &pod)).is_empty());
    managed_fields(ty, &pod);
    time("serde_json to bytes", || serde_json::to_vec(&pod).map(black_box).is_ok());
}

/// What keeping managed fields adds to a create, and to a status update of an object with two managers.
fn managed_fields(ty: schema::TypeRef, pod: &serde_json::Value) {
    use schema::apply::{Reset, Target, Type, Versions, Writer};
    struct One;
    impl Versions for One {
        fn type_at(&self, _: &str) -> Option<Type<'_>> {
            None
        }
        fn convert(&self, _: &serde_json::Value, _: &str) -> Option<serde_json::Value> {
            None
        }
    }
    let ty = Type::Definition(ty);
    let target = |reset| Target { api_version: "v1", ty, reset: Reset::Fields(reset), versions: &One };
    let writer = |manager, subresource| Writer { manager, subresource, now: "2026-11-20T09:39:00Z" };
    let zero = ty.zero();
    time("clone", || black_box(pod.clone()).is_object());
    time("clone, track create", || {
        let mut new = pod.clone();
        target(&["status"]).track(&zero, &mut new, writer("kubectl", "")).is_none()
            && black_box(new).is_object()
    });
    let small = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"run": "p"}},
        "spec": {"containers": [{"name": "p", "image": "nginx", "imagePullPolicy": "Always", "resources": {},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
            "enableServiceLinks": true, "securityContext": {}, "terminationGracePeriodSeconds": 30}, "status": {}});
    time("small: clone", || black_box(small.clone()).is_object());
    time("small: track create", || {
        let mut new = small.clone();
        target(&["status"]).track(&zero, &mut new, writer("kubectl", "")).is_none()
            && black_box(new).is_object()
    });
    let mut live = pod.clone();
    target(&["status"]).track(&zero, &mut live, writer("kubectl", ""));
    let mut changed = live.clone();
    changed["status"]["podIP"] = "10.0.0.2".into();
    target(&["spec"]).track(&live, &mut changed, writer("kubelet", "status"));
    let mut next = changed.clone();
    next["status"]["phase"] = "Succeeded".into();
    time("clone managed", || black_box(next.clone()).is_object());
    time("clone, track update", || {
        let mut new = next.clone();
        target(&["spec"]).track(&changed, &mut new, writer("kubelet", "status")).is_none()
            && black_box(new).is_object()
    });
    println!("{} bytes with managed fields", schema::encode_any(&changed).len());
}

fn time(what: &str, work: impl Fn() -> bool) {
    let mut best = f64::MAX;
    for _ in 0..200 {
        let start = Instant::now();
        for _ in 0..20 {
            assert!(work(), "{what} works");
        }
        best = best.min(start.elapsed().as_secs_f64() / 20.0);
    }
    println!("{what:22} {:8.2} us", best * 1e6);
}
