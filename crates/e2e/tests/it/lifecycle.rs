//! Phases, restart policies, and what is missing coming later.

use testkit::{Cluster, wait_for};

use crate::toolbox_pod;

#[test]
fn pods_end_fail_loop_and_wait_as_they_should() {
    let cluster = Cluster::start("lifecycle", &[]);
    cluster.apply(&toolbox_pod("done", "[echo, hello]", "restartPolicy: Never"));
    cluster.apply(&toolbox_pod("failed", "[exit, '3']", "restartPolicy: Never"));
    cluster.apply(&toolbox_pod("loop", "[exit, '1']", "restartPolicy: Always"));
    cluster.apply(&toolbox_pod("huge", "[sleep, infinity]", "nodeSelector: {disktype: ssd}"));
    let waits = toolbox_pod("waits", "[sleep, infinity]", "restartPolicy: Always")
        + "    envFrom: [{configMapRef: {name: later}}]\n";
    cluster.apply(&waits);
    let refused = toolbox_pod("refused", "[web]", "restartPolicy: Always")
        + "    livenessProbe: {httpGet: {port: 8080}}\n";
    cluster.apply(&refused);

    cluster.wait_field("pod", "done", ".status.phase", "Succeeded");
    assert_eq!(cluster.kubectl_ok(&["logs", "done"]), "hello\n");
    cluster.wait_field("pod", "failed", ".status.phase", "Failed");
    assert_eq!(cluster.field("pod", "failed", ".status.containerStatuses[0].state.terminated.exitCode"), "3");

    let waiting = ".status.containerStatuses[0].state.waiting.reason";
    cluster.wait_field("pod", "loop", waiting, "CrashLoopBackOff");
    let message = cluster.field("pod", "loop", ".status.containerStatuses[0].state.waiting.message");
    assert!(
        message.starts_with("back-off 10s restarting failed container=app pod=loop_default("),
        "{message}"
    );
    assert!(cluster.kubectl(&["logs", "loop", "--previous"]).code == 0, "the last run's log is kept");

    cluster.wait_field("pod", "waits", waiting, "CreateContainerConfigError");
    cluster.kubectl_ok(&["create", "configmap", "later", "--from-literal=COLOR=blue"]);
    cluster.wait_field("pod", "waits", ".status.phase", "Running");
    assert!(cluster.kubectl_ok(&["exec", "waits", "--", "/toolbox", "env"]).contains("COLOR=blue"));

    cluster.wait_field("pod", "refused", ".status.phase", "Failed");
    let message = cluster.field("pod", "refused", ".status.message");
    assert!(message.contains("spec.containers[0].livenessProbe"), "{message}");

    let why = ".status.conditions[?(@.type==\"PodScheduled\")].message";
    wait_for("the scheduler says why", || {
        cluster.field("pod", "huge", why).contains("didn't match Pod's node affinity/selector").then_some(())
    });
    cluster.kubectl_ok(&["label", "node", "n1", "disktype=ssd"]);
    cluster.wait_field("pod", "huge", ".status.phase", "Running");
}
