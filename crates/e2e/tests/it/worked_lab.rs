//! From `kubectl apply` to the page answering, and everything going away without a trace.

use std::io::{BufRead, BufReader};
use std::process::Command;

use testkit::{Cluster, Traces, wait_for};

use crate::toolbox_pod;

#[test]
fn a_pod_from_apply_to_its_page_and_away() {
    let mut cluster = Cluster::start("lab", &[]);
    let instance = cluster.instance();
    let (dir, before) = (cluster.dir().to_path_buf(), fresh_ip_forward());
    assert!(cluster.kubectl_ok(&["get", "nodes"]).contains("n1"), "the node is registered");
    assert_eq!(
        cluster.apply(&toolbox_pod("web", "[web]", "terminationGracePeriodSeconds: 5")),
        "pod/web created\n"
    );
    cluster.wait_field("pod", "web", ".status.phase", "Running");
    assert_eq!(
        cluster.apply(&toolbox_pod("web", "[web]", "terminationGracePeriodSeconds: 5")),
        "pod/web unchanged\n"
    );

    let ip = cluster.field("pod", "web", ".status.podIP");
    let address = format!("{ip}:8080").parse().expect("a Pod address");
    let page = wait_for("the page answers", || cluster.get(address, "/hello"));
    assert!(page.contains("This is web."), "{page}");
    wait_for("the request is in the log", || {
        cluster.kubectl_ok(&["logs", "web"]).contains("GET /hello HTTP/1.1").then_some(())
    });
    assert_eq!(cluster.kubectl_ok(&["exec", "web", "--", "/toolbox", "echo", "inside"]), "inside\n");
    assert_eq!(cluster.kubectl(&["exec", "web", "--", "/toolbox", "exit", "7"]).code, 7);
    port_forward(&cluster);
    events_are_in_order(&cluster);

    assert!(cluster.kubectl_ok(&["delete", "pod", "web"]).starts_with("pod \"web\" deleted"));
    assert!(cluster.kubectl(&["get", "pod", "web"]).stderr.contains("NotFound"));
    assert_eq!(cluster.get(address, "/"), None, "nobody answers at the old address");

    let output = cluster.down();
    assert_eq!(output.code, 0, "{}", output.stderr);
    let after = cluster.inside(|| Traces::take(&instance, &dir));
    assert!(after.mounts.is_empty() && after.cgroups.is_empty() && after.processes.is_empty(), "{after:?}");
    assert_eq!(after.ip_forward, before, "the sysctl is what a fresh network namespace has");
    assert!(!dir.exists(), "--purge removes the files");
    let links = cluster.inside(|| netlink::Socket::open().and_then(|s| s.links())).expect("listed");
    assert!(links.iter().all(|(name, _)| name == "lo"), "{links:?}");
}

/// What a new network namespace starts with: the host decides, it need not be 0.
fn fresh_ip_forward() -> String {
    let output = Command::new("unshare").args(["--net", "cat", "/proc/sys/net/ipv4/ip_forward"]).output();
    String::from_utf8(output.expect("util-linux is installed").stdout).expect("a number")
}

fn port_forward(cluster: &Cluster) {
    let mut forward = cluster.kubectl_spawn(&["port-forward", "pod/web", "18080:8080"]);
    let mut lines = BufReader::new(forward.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("it says where").expect("readable");
    assert_eq!(first, "Forwarding from 127.0.0.1:18080 -> 8080");
    for _ in 0..3 {
        let page = cluster.get("127.0.0.1:18080".parse().expect("an address"), "/").expect("it answers");
        assert!(page.contains("This is web."), "{page}");
    }
    forward.kill().expect("it runs");
    forward.wait().expect("it ended");
}

fn events_are_in_order(cluster: &Cluster) {
    let reasons = cluster.kubectl_ok(&[
        "get",
        "events",
        "--field-selector",
        "involvedObject.name=web",
        "--sort-by=.metadata.creationTimestamp",
        "-o",
        "jsonpath={range .items[*]}{.reason} {end}",
    ]);
    let mut reasons: Vec<&str> = reasons.split_whitespace().collect();
    reasons.retain(|reason| *reason != "MissingClusterDNS");
    assert_eq!(reasons, ["Scheduled", "Pulled", "Created", "Started"]);
}
