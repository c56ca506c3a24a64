//! The daemon may die at any time: nothing acknowledged is lost, containers never notice.

use testkit::{Cluster, wait_for};

use crate::toolbox_pod;

#[test]
fn a_killed_daemon_finds_its_pods_again() {
    let cluster = Cluster::start("killed", &[]);
    cluster.apply(&toolbox_pod("web", "[web]", "restartPolicy: Always"));
    cluster.wait_field("pod", "web", ".status.phase", "Running");
    let id = cluster.field("pod", "web", ".status.containerStatuses[0].containerID");
    let address =
        format!("{}:8080", cluster.field("pod", "web", ".status.podIP")).parse().expect("an address");
    for round in 0..3 {
        let name = format!("written-{round}");
        cluster.kubectl_ok(&["create", "configmap", &name]);
        let version: u64 =
            cluster.field("configmap", &name, ".metadata.resourceVersion").parse().expect("a number");
        cluster.kill_daemon();
        let page = wait_for("the Pod answers without the daemon", || {
            cluster.get(address, &format!("/round-{round}"))
        });
        assert!(page.contains("This is web."));
        let output = cluster.up();
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert_eq!(cluster.kubectl(&["get", "configmap", &name]).code, 0, "what was acknowledged is there");
        cluster.kubectl_ok(&["create", "configmap", &format!("after-{round}")]);
        let later: u64 = cluster
            .field("configmap", &format!("after-{round}"), ".metadata.resourceVersion")
            .parse()
            .expect("a number");
        assert!(later > version, "revisions go on: {version} then {later}");
    }
    assert_eq!(cluster.field("pod", "web", ".status.containerStatuses[0].containerID"), id);
    assert_eq!(cluster.field("pod", "web", ".status.containerStatuses[0].restartCount"), "0");
    let log = cluster.kubectl_ok(&["logs", "web"]);
    for round in 0..3 {
        assert!(log.contains(&format!("GET /round-{round} ")), "logs flow without the daemon: {log}");
    }
}
