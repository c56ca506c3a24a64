//! Bad input gets one clear sentence and an exit code that is not 0, and nothing is half done.
//! The full disk is in `restarts.rs`, missing objects and wrong images in `states.rs`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::{Cluster, Output, wait_for};

use crate::{IDLE, shell_pod, toolbox_pod};

#[test]
fn directories_that_are_taken_newer_or_none() {
    let cluster = Cluster::start("taken", &["--api-only"]);
    let second = cluster.up();
    assert_ne!(second.code, 0);
    assert!(second.stderr.contains("a cluster is already running on"), "{}", second.stderr);
    assert_eq!(cluster.minke(&["down"]).code, 0);
    fs::write(cluster.dir().join("format"), "99\n").expect("writable");
    for newer in [cluster.up(), cluster.minke(&["image", "list"])] {
        assert_ne!(newer.code, 0);
        assert!(newer.stderr.contains("was written by a newer minke"), "{}", newer.stderr);
    }
    fs::write(cluster.dir().join("format"), "1\n").expect("writable");
}

/// A port that is taken, whichever: told with the option that helps, and nothing is left of the try.
#[test]
fn used_ports_leave_nothing_behind() {
    let cluster = Cluster::prepare("ports", &["--api-port", "7001", "--kubelet-port", "7002"]);
    let left = || {
        let output = cluster.inside(|| {
            Command::new("sh").args(["-c", "ip -o addr show lo; ip -o route show table all type unreachable; cat /proc/sys/net/ipv4/ip_forward; ip -o link | grep -c mk"]).output()
        });
        String::from_utf8(output.expect("iproute2").stdout).expect("text")
    };
    let before = left();
    for (port, option) in [(7001, "--api-port"), (7002, "--kubelet-port")] {
        let taken = cluster.inside(|| TcpListener::bind(("0.0.0.0", port))).expect("free");
        let output = cluster.up();
        assert_ne!(output.code, 0);
        let told = &output.stderr;
        assert_eq!(told.lines().count(), 1, "one sentence: {told}");
        assert!(told.contains(&port.to_string()) || option == "--api-port", "{told}");
        assert!(told.ends_with(&format!("choose another port with {option}\n")), "{told}");
        assert_eq!(left(), before, "{option}");
        assert_eq!(processes(&cluster), Vec::<String>::new());
        drop(taken);
    }
    assert_eq!(cluster.up().code, 0, "both are free again");
}

/// Processes whose command line names the data directory.
fn processes(cluster: &Cluster) -> Vec<String> {
    let dir = cluster.dir().to_string_lossy().into_owned();
    let all = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    });
    all.filter(|command| command.contains(&dir)).collect()
}

/// Without root there is no node; with `--api-only` there is a control plane.
#[test]
fn a_node_needs_root() {
    let cluster = Cluster::prepare("no-root", &[]);
    let dir = cluster.dir().join("own");
    let run = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(cluster.program()).args(args);
        command.arg("--data-dir").arg(&dir).stdin(Stdio::null());
        let output = cluster.inside(|| command.output()).expect("util-linux");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = run(&["up", "--detach"]);
    assert_eq!(
        told,
        "error: a node needs root: run it with sudo, or use --api-only for a control plane without a node\n"
    );
    assert!(!dir.exists());
    let told = run(&["up", "--detach", "--api-only"]);
    assert!(
        told.starts_with("error: cannot make the data directory ") && told.contains("Permission denied"),
        "{told}"
    );
    fs::set_permissions(cluster.dir(), fs::Permissions::from_mode(0o777)).expect("ours");
    assert_eq!(run(&["up", "--detach", "--api-only"]), "");
    assert_eq!(run(&["down"]), "");
}

fn create(cluster: &Cluster, text: &str) -> Output {
    cluster.kubectl(&["create", "--validate=false", "-f", &cluster.manifest(text)])
}

#[test]
fn broken_manifests_are_refused_whole() {
    let cluster = Cluster::start("manifests", &["--api-only"]);
    let missing = create(&cluster, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: nope}\n");
    assert!(missing.stderr.contains("namespaces \"nope\" not found"), "{}", missing.stderr);
    let name = create(&cluster, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_b}\n");
    assert!(name.stderr.contains("a lowercase RFC 1123 subdomain must consist of"), "{}", name.stderr);
    let kind = create(&cluster, "apiVersion: v1\nkind: Nope\nmetadata: {name: a}\n");
    assert_ne!(kind.code, 0);
    // Every error of one object is told, and nothing of it is stored.
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec:\n  restartPolicy: Sometimes\n  containers:\n  - {name: Up, image: ''}\n";
    let all = create(&cluster, text);
    for want in [
        "spec.containers[0].name: Invalid value: \"Up\"",
        "spec.containers[0].image: Required value",
        "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
    ] {
        assert!(all.stderr.contains(want), "{want}: {}", all.stderr);
    }
    assert!(cluster.kubectl(&["get", "pod", "bad"]).stderr.contains("NotFound"));
    // An unknown field: kubectl asks the server to be strict (1.27 on), or knows it itself.
    let unknown = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec:\n  containers: [{name: a, image: b, imagee: c}]\n  foo: 1\n";
    let client = cluster.kubectl(&["create", "-f", &cluster.manifest(unknown)]);
    assert!(
        client.code != 0 && client.stderr.contains("imagee") && client.stderr.contains("foo"),
        "{}",
        client.stderr
    );
    let pod: Value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": {"foo": 1, "containers": [{"name": "a", "image": "b"}]}});
    let raw =
        |path: &str, body: &str| cluster.kubectl(&["create", "--raw", path, "-f", &cluster.manifest(body)]);
    let strict = raw("/api/v1/namespaces/default/pods?fieldValidation=Strict", &pod.to_string());
    assert!(strict.stderr.contains("strict decoding error: unknown field \"spec.foo\""), "{}", strict.stderr);
    for broken in ["{", "[]", "{\"kind\": 1}", "not: [json"] {
        let told = raw("/api/v1/namespaces/default/pods", broken);
        assert!(
            told.code != 0 && told.stderr.starts_with("Error from server (BadRequest): "),
            "{broken}: {}",
            told.stderr
        );
    }
    let big = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"a": "x".repeat(3 << 20)}});
    let told = raw("/api/v1/namespaces/default/configmaps", &big.to_string());
    assert!(
        told.code != 0
            && told.stderr.contains("RequestEntityTooLarge")
            && told.stderr.contains("limit is 3145728"),
        "{}",
        told.stderr
    );
    let large = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"a": "x".repeat(2 << 20)}});
    let told = raw("/api/v1/namespaces/default/configmaps", &large.to_string());
    assert!(told.stderr.contains("Too long: may not be more than 1048576 bytes"), "{}", told.stderr);
    assert!(cluster.kubectl(&["get", "configmap", "big"]).stderr.contains("NotFound"));
    the_programs_own_client(&cluster);
}

/// `minke apply` and its like say which file, and end with a code.
fn the_programs_own_client(cluster: &Cluster) {
    // As in `minke get … | true`: the end of SIGPIPE, without a word.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let unread = cluster.minke_into(writer, &["get", "namespaces"]);
    assert_eq!((unread.code, unread.stderr.as_str()), (141, ""));
    let cases = [
        ("apiVersion: v1\nkind: Pod\n  metadata: x\n", "line "),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: b}], foo: 1}\n",
            "unknown field \"spec.foo\"",
        ),
        ("apiVersion: v1\nkind: Nope\nmetadata: {name: a}\n", "Nope"),
        ("metadata: {name: a}\n", "kind"),
    ];
    for (text, want) in cases {
        let path = cluster.manifest(text);
        let told = cluster.client(&["apply", "-f", &path]);
        assert!(told.code != 0 && told.stderr.contains(want), "{text}: {}", told.stderr);
        assert!(told.stderr.lines().count() <= 2, "{}", told.stderr);
    }
    let absent = cluster.client(&["apply", "-f", "/nonexistent.yaml"]);
    assert!(absent.code != 0 && absent.stderr.contains("/nonexistent.yaml"), "{}", absent.stderr);
    assert!(cluster.kubectl_ok(&["get", "pods", "-o", "name"]).is_empty(), "nothing was stored");
}

/// What this node cannot do yet is refused with the path of the field; nothing is ignored.
#[test]
fn unsupported_fields_are_named() {
    let cluster = Cluster::start_with_images("unsupported", &[], &["busybox"]);
    let pod = |name: &str, spec: &str, container: &str| shell_pod(name, IDLE, spec, container);
    let volume = |source: &str| format!("volumes: [{{name: v, {source}}}]");
    let init = "initContainers: [{name: i, image: b}]";
    let cases = [
        ("init", init.to_string(), "", "spec.initContainers"),
        (
            "liveness",
            String::new(),
            "livenessProbe: {tcpSocket: {port: 80}}",
            "spec.containers[0].livenessProbe",
        ),
        ("startup", String::new(), "startupProbe: {exec: {command: [a]}}", "spec.containers[0].startupProbe"),
        (
            "hook",
            String::new(),
            "lifecycle: {preStop: {sleep: {seconds: 1}}}",
            "spec.containers[0].lifecycle",
        ),
        ("deadline", "activeDeadlineSeconds: 100".into(), "", "spec.activeDeadlineSeconds"),
        ("gates", "readinessGates: [{conditionType: x.io/y}]".into(), "", "spec.readinessGates"),
        ("nfs", volume("nfs: {server: a, path: /}"), "", "spec.volumes[0].nfs"),
        (
            "claim",
            volume("persistentVolumeClaim: {claimName: a}"),
            "",
            "spec.volumes[0].persistentVolumeClaim",
        ),
        ("pages", volume("emptyDir: {medium: HugePages}"), "", "spec.volumes[0].emptyDir.medium"),
        ("users", "hostUsers: false".into(), "", "spec.hostUsers"),
        (
            "port",
            String::new(),
            "ports: [{containerPort: 80, hostPort: 80}]",
            "spec.containers[0].ports[0].hostPort",
        ),
    ];
    let all: Vec<String> =
        cases.iter().map(|(name, spec, container, _)| pod(name, spec, container)).collect();
    cluster.apply(&all.join("---\n"));
    for (name, .., field) in &cases {
        cluster.wait_field("pod", name, ".status.phase", "Failed");
        let (reason, message) =
            (cluster.field("pod", name, ".status.reason"), cluster.field("pod", name, ".status.message"));
        assert_eq!(reason, "UnexpectedAdmissionError", "{name}");
        assert_eq!(message, format!("Pod was rejected: this node does not support: {field}"), "{name}");
        cluster.wait_event(
            name,
            &format!("Warning UnexpectedAdmissionError this node does not support: {field}"),
        );
    }
    // Refused Pods hold nothing and go at once.
    cluster.kubectl_ok(&["delete", "pods", "--all"]);
    wait_for("no Pod is left", || {
        cluster.kubectl_ok(&["get", "pods", "-o", "name"]).is_empty().then_some(())
    });
    cluster.apply(&toolbox_pod("fine", "[web]", "terminationGracePeriodSeconds: 1"));
    cluster.wait_field("pod", "fine", ".status.phase", "Running");
}
