//! Rows as `kubectl get` prints them.

use super::*;
use crate::facts::{find, resources};

fn now() -> Time {
    Time::parse("2026-01-01T00:10:00Z").expect("a time")
}

fn cells(group: &str, version: &str, resource: &str, object: Value) -> Vec<Value> {
    row(find(group, version, resource).expect("a resource"), &object, now())
}

fn pod(spec: Value, status: Value) -> Vec<Value> {
    let metadata = json!({"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"});
    cells("", "v1", "pods", json!({"metadata": metadata, "spec": spec, "status": status}))
}

#[test]
fn every_resource_has_a_cell_for_each_column() {
    for info in resources() {
        let object = json!({"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}});
        let row = row(info, &object, now());
        assert_eq!(row.len(), columns(info).len(), "{}", info.resource);
        let names_itself = row.iter().any(|cell| cell.as_str().is_some_and(|cell| cell.starts_with('x')));
        assert!(names_itself, "{} {row:?}", info.resource);
        assert!(row.iter().all(|cell| !cell.is_null()), "{} {row:?}", info.resource);
    }
}

fn status_of(init: Value, app: Value, extra: Value) -> String {
    let mut status = json!({"phase": "Running", "initContainerStatuses": init, "containerStatuses": app});
    let map = status.as_object_mut().expect("an object");
    map.extend(extra.as_object().cloned().unwrap_or_default());
    let spec = json!({
        "containers": [{"name": "a"}, {"name": "b"}],
        "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
    });
    let row = pod(spec, status);
    format!("{} {}", row[1].as_str().unwrap_or_default(), row[2].as_str().unwrap_or_default())
}

#[test]
fn the_status_of_pods() {
    let run = || json!({"name": "a", "ready": true, "state": {"running": {}}});
    let done = || json!({"name": "i", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let side = || json!({"name": "s", "ready": true, "started": true, "state": {"running": {}}});
    let ended = |code: i64, reason: &str| json!({"name": "b", "state": {"terminated": {"exitCode": code, "reason": reason}}});
    let waits = |reason: &str| json!({"name": "b", "state": {"waiting": {"reason": reason}}});
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let none = || json!({});
    let cases = [
        (json!([]), json!([]), json!({"phase": "Pending"}), "0/3 Pending"),
        (json!([done(), side()]), json!([run(), run()]), none(), "3/3 Running"),
        (json!([waits("PodInitializing")]), json!([]), none(), "0/3 Init:0/2"),
        (json!([waits("ImagePullBackOff")]), json!([]), none(), "0/3 Init:ImagePullBackOff"),
        (json!([ended(1, "Error")]), json!([]), none(), "0/3 Init:Error"),
        (json!([ended(3, "")]), json!([]), none(), "0/3 Init:ExitCode:3"),
        (json!([done(), waits("PodInitializing")]), json!([]), none(), "0/3 Init:1/2"),
        (json!([done(), side()]), json!([run(), waits("CrashLoopBackOff")]), none(), "2/3 CrashLoopBackOff"),
        (json!([]), json!([run(), ended(0, "Completed")]), ready, "1/3 Running"),
        (json!([]), json!([run(), ended(0, "Completed")]), none(), "1/3 NotReady"),
        (json!([]), json!([ended(0, "Completed"), run()]), none(), "1/3 NotReady"),
        (json!([]), json!([ended(0, "Completed"), ended(137, "OOMKilled")]), none(), "0/3 OOMKilled"),
        (json!([]), json!([]), json!({"phase": "Failed", "reason": "Evicted"}), "0/3 Evicted"),
        (
            json!([]),
            json!([]),
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            "0/3 SchedulingGated",
        ),
    ];
    for (init, app, extra, wanted) in cases {
        let got = status_of(init.clone(), app.clone(), extra.clone());
        assert_eq!(got, wanted, "{init} {app} {extra}");
    }
}

#[test]
fn restarts_say_how_long_ago() {
    let status = json!({"containerStatuses": [{"name": "a", "restartCount": 2, "state": {"running": {}},
        "lastState": {"terminated": {"finishedAt": "2026-01-01T00:05:00Z"}}}]});
    let row = pod(json!({"containers": [{"name": "a"}]}), status);
    assert_eq!((row[3].as_str(), row[4].as_str()), (Some("2 (5m ago)"), Some("10m")));
    assert_eq!(row[5..], [json!("<none>"), json!("<none>"), json!("<none>"), json!("<none>")]);
}

#[test]
fn rows_of_core_kinds() {
    let metadata = json!({"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"node-role.kubernetes.io/control-plane": ""}});
    let with = |mut object: Value| {
        object["metadata"] = metadata.clone();
        object
    };
    let node = with(json!({"spec": {"unschedulable": true}, "status": {
        "conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1.36.2", "kernelVersion": "6.1", "architecture": "amd64", "osImage": "Debian", "containerRuntimeVersion": "minke://1"}}}));
    assert_eq!(
        cells("", "v1", "nodes", node),
        [
            "x",
            "Ready,SchedulingDisabled",
            "control-plane",
            "10m",
            "v1.36.2",
            "10.0.0.1",
            "<none>",
            "Debian",
            "6.1 (amd64)",
            "minke://1"
        ]
    );
    let service =
        with(json!({"spec": {"type": "NodePort", "clusterIPs": ["10.96.0.9"], "selector": {"app": "web"},
        "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}));
    assert_eq!(
        cells("", "v1", "services", service),
        ["x", "NodePort", "10.96.0.9", "<none>", "80:30080/TCP,53/UDP", "10m", "app=web"]
    );
    let event = with(
        json!({"involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"}, "type": "Normal",
        "reason": "Started", "message": "Container started\n", "source": {"component": "kubelet", "host": "n"},
        "firstTimestamp": "2026-01-01T00:08:00Z", "lastTimestamp": "2026-01-01T00:09:00Z", "count": 3}),
    );
    assert_eq!(
        cells("", "v1", "events", event),
        [
            json!("60s"),
            json!("Normal"),
            json!("Started"),
            json!("pod/p"),
            json!("spec.containers{a}"),
            json!("kubelet, n"),
            json!("Container started"),
            json!("2m"),
            json!(3),
            json!("x")
        ]
    );
    let claim =
        with(json!({"spec": {"volumeName": "pv", "storageClassName": "fast", "volumeMode": "Filesystem"},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}));
    assert_eq!(
        cells("", "v1", "persistentvolumeclaims", claim),
        ["x", "Bound", "pv", "1Gi", "RWO", "fast", "<unset>", "10m", "Filesystem"]
    );
    let deployment = with(json!({"spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}, "status": {"readyReplicas": 2, "updatedReplicas": 3}}));
    assert_eq!(
        cells("apps", "v1", "deployments", deployment),
        [json!("x"), json!("2/3"), json!(3), json!(0), json!("10m"), json!("c"), json!("i"), json!("a=b")]
    );
    let slice = with(
        json!({"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["a"]}, {"addresses": ["b", "c", "d"]}]}),
    );
    assert_eq!(
        cells("discovery.k8s.io", "v1", "endpointslices", slice),
        ["x", "IPv4", "80", "a,b,c + 1 more...", "10m"]
    );
}
