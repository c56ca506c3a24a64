//! What people type, with the kubectl that `MINKE_TEST_KUBECTL` names (Debian's 1.20 without it):
//! the worked lab of the nginx Pod, and every verb the foundation serves. Output that kubectl itself
//! words differently from release to release is not compared.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use testkit::{Cluster, kubectl_path, side_by_side, wait_for};

use crate::{IDLE, shell_pod};

const NGINX: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: nginx-pod\n  labels:\n    app: nginx\nspec:\n  containers:\n  - name: nginx\n    image: nginx:1.25\n    ports:\n    - containerPort: 80\n";
const MULTI: &str = r#"apiVersion: v1
kind: Pod
metadata:
  name: web-with-logs
  labels: {app: multi}
spec:
  terminationGracePeriodSeconds: 2
  volumes:
  - {name: shared-logs, emptyDir: {}}
  containers:
  - name: writer
    image: busybox:1.36
    command: ["sh", "-c"]
    args:
    - |
      trap "exit 0" TERM
      n=0
      while true; do
        echo "request $n" | tee -a /logs/access.log
        n=$((n+1)); sleep 0.1
      done
    volumeMounts: [{name: shared-logs, mountPath: /logs}]
    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}
  - name: shipper
    image: busybox:1.36
    command: ["sh", "-c", "trap 'exit 0' TERM; until [ -f /logs/access.log ]; do sleep 0.1; done; echo shipping; tail -n +1 -f /logs/access.log & wait"]
    env:
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db-secret, key: password}}}
    volumeMounts: [{name: shared-logs, mountPath: /logs, readOnly: true}]
"#;

#[test]
fn everything_people_type() {
    let cluster = Cluster::start_with_images("kubectl", &[], &["busybox", "nginx"]);
    println!("{}", cluster.kubectl(&["version", "--client"]).stdout);
    side_by_side(
        &cluster,
        &[worked_lab, several_containers, look_ups, discovery, edits, copies_and_terminals, streams_of_a_pod],
    );
}

/// R033, R201, R204, R205, R208: apply, get, describe, port-forward, the page, delete.
fn worked_lab(cluster: &Cluster) {
    let path = cluster.manifest(NGINX);
    let apply = |flags: &[&str]| cluster.kubectl_ok(&[&["apply", "-f", &path][..], flags].concat());
    assert_eq!(apply(&[]), "pod/nginx-pod created\n");
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "pod/nginx-pod", "--timeout=60s"]);
    assert_eq!(apply(&[]), "pod/nginx-pod unchanged\n");
    assert_eq!(apply(&["--dry-run=server"]), "pod/nginx-pod unchanged (server dry run)\n");
    let changed = cluster.manifest(&NGINX.replace("app: nginx\n", "app: nginx\n    tier: web\n"));
    assert_eq!(cluster.kubectl_ok(&["apply", "-f", &changed]), "pod/nginx-pod configured\n");
    let diff = cluster.kubectl(&["diff", "-f", &path]);
    assert!(diff.code == 1 && diff.stdout.contains("-    tier: web"), "{}{}", diff.stdout, diff.stderr);
    assert_eq!(apply(&[]), "pod/nginx-pod configured\n");
    assert_eq!(
        cluster.field("pod", "nginx-pod", ".metadata.labels"),
        "{\"app\":\"nginx\"}",
        "what is no longer applied goes"
    );
    let events = cluster.events("nginx-pod");
    for event in [
        "Normal Scheduled Successfully assigned default/nginx-pod to n1",
        "Normal Pulled Container image \"nginx:1.25\" already present on machine",
        "Normal Created Container created",
        "Normal Started Container started",
    ] {
        assert!(events.contains(event), "{event}:\n{events}");
    }
    let told = cluster.kubectl_ok(&["describe", "pod", "nginx-pod"]);
    let ip = cluster.field("pod", "nginx-pod", ".status.podIP");
    for want in [
        "Name:         ",
        "Namespace:    default",
        "Priority:     0",
        "Node:         n1/",
        "Labels:       app=nginx",
        "Status:       Running",
        &format!("IP:           {ip}"),
        "Image:          nginx:1.25",
        "Port:           80/TCP",
        "State:          Running",
        "Restart Count:  0",
        "/var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-",
        "BestEffort",
        "node.kubernetes.io/not-ready:NoExecute op=Exists for 300s",
        "Type     Reason",
    ] {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed(&told).contains(&squeezed(want)), "{want}:\n{told}");
    }
    let mut forward = cluster.kubectl_spawn(&["port-forward", "pod/nginx-pod", "18080:80"]);
    let mut lines = BufReader::new(forward.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("readable");
    assert_eq!(line(), "Forwarding from 127.0.0.1:18080 -> 80");
    for _ in 0..3 {
        let page = cluster.get("127.0.0.1:18080".parse().expect("an address"), "/").expect("it answers");
        assert!(page.contains("Welcome to nginx!"), "{page}");
    }
    forward.kill().expect("it runs");
    forward.wait().expect("it ended");
    wait_for("nginx logs its requests", || {
        cluster.kubectl_ok(&["logs", "nginx-pod"]).contains("GET / HTTP/1.1\" 200").then_some(())
    });
    closed_port(cluster);
    let gone = cluster.kubectl_ok(&["delete", "-f", &path]);
    assert!(gone.starts_with("pod \"nginx-pod\" deleted"), "{gone}");
    assert!(cluster.kubectl(&["get", "pod", "nginx-pod"]).stderr.contains("pods \"nginx-pod\" not found"));
    assert!(cluster.minke(&["image", "list"]).stdout.contains("nginx:1.25"), "the image stays");
}

/// A port nobody listens on: the client is told which Pod and why.
fn closed_port(cluster: &Cluster) {
    let uid = cluster.field("pod", "nginx-pod", ".metadata.uid");
    let mut forward = cluster.kubectl_spawn(&["port-forward", "pod/nginx-pod", "18082:81"]);
    let mut lines = BufReader::new(forward.stdout.take().expect("piped")).lines();
    lines.next().expect("a line").expect("readable");
    let _ = cluster.get("127.0.0.1:18082".parse().expect("an address"), "/");
    let errors = BufReader::new(forward.stderr.take().expect("piped"));
    let told =
        errors.lines().map_while(Result::ok).find(|line| line.contains("an error occurred forwarding"));
    let want = format!(
        "error forwarding port 81 to pod nginx-pod, uid {uid}: failed to connect to localhost:81 inside pod: dial tcp4 127.0.0.1:81: connect: connection refused"
    );
    assert!(told.as_ref().is_some_and(|line| line.contains(&want)), "{told:?}");
    let _ = forward.kill();
    forward.wait().expect("it ended");
}

/// R002, R014, R034, R202: a Pod with two containers, its logs in every way, its waiting and coming.
fn several_containers(cluster: &Cluster) {
    cluster.apply(MULTI);
    cluster.wait_event("web-with-logs", "Error: secret \"db-secret\" not found");
    cluster.kubectl_ok(&["create", "secret", "generic", "db-secret", "--from-literal=password=secret123"]);
    cluster.wait_field("pod", "web-with-logs", ".status.containerStatuses[*].ready", "true true");
    assert_eq!(cluster.field("pod", "web-with-logs", ".status.qosClass"), "Burstable");
    let logs = |args: &[&str]| cluster.kubectl_ok(&[&["logs", "web-with-logs"][..], args].concat());
    let first = logs(&["-c", "writer"]);
    assert!(first.starts_with("request 0\nrequest 1\n") || first == "request 0\n", "{first}");
    wait_for("both have written", || logs(&["-c", "shipper"]).contains("request 5").then_some(()));
    assert_eq!(logs(&["-c", "writer", "--tail=2"]).lines().count(), 2);
    assert_eq!(logs(&["-c", "writer", "--limit-bytes=9"]), "request 0");
    assert!(!logs(&["-c", "writer", "--since=1s"]).contains("request 0\n"));
    let stamped = logs(&["-c", "writer", "--timestamps", "--tail=1"]);
    assert!(stamped.as_bytes()[4] == b'-' && stamped.contains("Z request "), "{stamped}");
    let both = logs(&["--all-containers", "--prefix", "--tail=3"]);
    for name in ["[pod/web-with-logs/writer] ", "[pod/web-with-logs/shipper] "] {
        assert!(both.contains(name), "{both}");
    }
    let selected = cluster.kubectl_ok(&["logs", "-l", "app=multi", "-c", "writer", "--tail=1"]);
    assert!(selected.starts_with("request "), "{selected}");
    let mut follow = cluster.kubectl_spawn(&["logs", "-f", "web-with-logs", "-c", "writer", "--tail=1"]);
    let mut lines = BufReader::new(follow.stdout.take().expect("piped")).lines();
    let mut number = || -> u32 {
        let line = lines.next().expect("a line").expect("readable");
        line.strip_prefix("request ").and_then(|n| n.parse().ok()).expect("a number")
    };
    let (a, b) = (number(), number());
    assert_eq!(b, a + 1);
    cluster.sh("web-with-logs", "writer", "kill 1");
    follow.wait().expect("follow ends with its container");
    cluster.wait_field("pod", "web-with-logs", ".status.containerStatuses[1].restartCount", "1");
    wait_for("the run before is kept", || {
        let previous = cluster.kubectl(&["logs", "web-with-logs", "-c", "writer", "--previous"]);
        previous.stdout.starts_with("request 0\n").then_some(())
    });
    let none = cluster.kubectl(&["logs", "web-with-logs", "-c", "shipper", "--previous"]);
    assert!(
        none.stderr.contains("previous terminated container \"shipper\" in pod \"web-with-logs\" not found"),
        "{}",
        none.stderr
    );
    let told = cluster.kubectl_ok(&["describe", "pod", "web-with-logs"]);
    for want in [
        "<set to the key 'password' in secret 'db-secret'>",
        "/logs from shared-logs (ro)",
        "/logs from shared-logs (rw)",
        "Last State",
        "cpu:     200m",
        "Burstable",
    ] {
        assert!(told.contains(want), "{want}:\n{told}");
    }
}

/// R012, R058, R200, R203: get in its forms, watch, events.
fn look_ups(cluster: &Cluster) {
    for (name, version) in [("list-a", "1"), ("list-b", "2")] {
        let text = shell_pod(name, IDLE, "", "");
        cluster.apply(&text.replace(
            &format!("name: {name}}}"),
            &format!("name: {name}, labels: {{set: look, version: \"{version}\"}}}}"),
        ));
    }
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "pod", "-l", "set=look", "--timeout=60s"]);
    let get = |args: &[&str]| cluster.kubectl_ok(&[&["get", "pods", "-l", "set=look"][..], args].concat());
    assert_eq!(get(&["-o", "name"]), "pod/list-a\npod/list-b\n");
    assert_eq!(get(&["-o", "jsonpath={.items[*].metadata.name}"]), "list-a list-b");
    assert_eq!(get(&["-o", "go-template={{range .items}}{{.status.phase}} {{end}}"]), "Running Running ");
    assert_eq!(
        get(&["-o", "custom-columns=N:.metadata.name,V:.metadata.labels.version", "--no-headers"])
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["list-a", "1", "list-b", "2"]
    );
    assert_eq!(
        get(&["--sort-by=.metadata.labels.version", "-o", "name", "--chunk-size=1"]),
        "pod/list-a\npod/list-b\n"
    );
    assert!(get(&["--show-labels"]).contains("set=look,version=1"));
    assert!(get(&["-L", "version"]).lines().next().is_some_and(|head| head.ends_with("VERSION")));
    assert!(get(&["-o", "yaml"]).contains("kind: List") || get(&["-o", "yaml"]).contains("kind: PodList"));
    assert!(get(&["-o", "json"]).contains("\"phase\": \"Running\""));
    assert!(get(&["-A"]).starts_with("NAMESPACE"));
    let nothing = cluster.kubectl(&["get", "pods", "-l", "set=none"]);
    assert_eq!(
        (nothing.stdout.as_str(), nothing.stderr.as_str()),
        ("", "No resources found in default namespace.\n")
    );
    let mut watch = cluster.kubectl_spawn(&["get", "pods", "-w", "-l", "set=look", "--no-headers"]);
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    for name in ["list-a", "list-b"] {
        assert!(lines.next().expect("a line").expect("readable").starts_with(name));
    }
    cluster.kubectl_ok(&["label", "pod", "list-b", "seen=1"]);
    assert!(lines.next().expect("a line").expect("readable").starts_with("list-b"));
    watch.kill().expect("it runs");
    watch.wait().expect("it ended");
    let events = cluster.kubectl_ok(&[
        "get",
        "events",
        "--sort-by=.lastTimestamp",
        "--field-selector",
        "involvedObject.name=list-a",
    ]);
    let head: Vec<&str> = events.lines().next().expect("a header").split_whitespace().collect();
    assert_eq!(head, ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    assert!(events.contains("Scheduled") && events.contains("pod/list-a"), "{events}");
    let other = cluster.kubectl_ok(&[
        "get",
        "events.events.k8s.io",
        "--field-selector",
        "regarding.name=list-a",
        "-o",
        "name",
    ]);
    assert!(!other.is_empty(), "the same events in the other group");
    cluster.kubectl_ok(&["delete", "pods", "-l", "set=look", "--now"]);
}

/// R020: what the server says of itself; explain, api-resources, raw paths.
fn discovery(cluster: &Cluster) {
    let explained = cluster.kubectl_ok(&["explain", "pod.spec.containers.livenessProbe"]);
    assert!(explained.contains("failureThreshold") && explained.contains("<integer>"), "{explained}");
    assert!(cluster.kubectl_ok(&["explain", "pods", "--recursive"]).contains("restartPolicy"));
    let resources = cluster.kubectl_ok(&["api-resources", "--namespaced=true"]);
    let pods = resources.lines().find(|line| line.starts_with("pods ")).expect("a row");
    assert_eq!(pods.split_whitespace().collect::<Vec<_>>(), ["pods", "po", "v1", "true", "Pod"]);
    assert!(
        cluster
            .kubectl_ok(&["api-resources", "--verbs=list", "--api-group=apps", "-o", "name"])
            .contains("deployments.apps")
    );
    assert!(cluster.kubectl_ok(&["api-versions"]).contains("apps/v1\n"));
    let raw = |path: &str| cluster.kubectl_ok(&["get", "--raw", path]);
    assert_eq!(raw("/readyz"), "ok");
    assert!(raw("/livez?verbose").ends_with("livez check passed\n"), "{}", raw("/livez?verbose"));
    assert!(raw("/version").contains("\"minor\": \"36\""), "{}", raw("/version"));
    for path in ["/api", "/apis", "/openapi/v2", "/openapi/v3", "/metrics"] {
        assert!(raw(path).len() > 100, "{path}");
    }
    let version = cluster.kubectl_ok(&["version"]);
    assert!(version.contains("1.36"), "{version}");
    let nodes = cluster.kubectl_ok(&["describe", "node", "n1"]);
    for want in
        ["Ready", "Capacity:", "Allocatable:", "Non-terminated Pods:", "kubelet is posting ready status"]
    {
        assert!(nodes.contains(want), "{want}:\n{nodes}");
    }
    assert_eq!(cluster.kubectl_ok(&["auth", "can-i", "create", "pods"]), "yes\n");
    let no =
        cluster.kubectl(&["auth", "can-i", "create", "pods", "--as=system:serviceaccount:default:nobody"]);
    assert!(no.code == 1 && no.stdout.starts_with("no"), "{}", no.stdout);
    assert!(cluster.kubectl_ok(&["cluster-info"]).contains("is running at"));
}

/// Label, annotate, edit, replace, patch, and each one's way back.
fn edits(cluster: &Cluster) {
    let text = shell_pod("edited", IDLE, "", "");
    cluster.kubectl_ok(&["create", "-f", &cluster.manifest(&text)]);
    let ok = |args: &[&str]| cluster.kubectl_ok(args);
    assert_eq!(ok(&["label", "pod", "edited", "a=1"]), "pod/edited labeled\n");
    let twice = cluster.kubectl(&["label", "pod", "edited", "a=2"]);
    assert!(twice.code != 0 && twice.stderr.contains("--overwrite"), "{}", twice.stderr);
    ok(&["label", "pod", "edited", "a=2", "--overwrite"]);
    assert_eq!(cluster.field("pod", "edited", ".metadata.labels.a"), "2");
    ok(&["label", "pod", "edited", "a-"]);
    assert!(ok(&["annotate", "pod", "edited", "note=x"]).starts_with("pod/edited annotate"));
    ok(&["annotate", "pod", "edited", "note-"]);
    let edit = |script: &str| {
        let mut command = Command::new(kubectl_path());
        command.args(["edit", "pod", "edited"]).env("KUBECONFIG", cluster.dir().join("admin.kubeconfig"));
        command
            .env("HOME", cluster.dir())
            .env("KUBE_EDITOR", format!("sed -i {script}"))
            .env("TMPDIR", cluster.dir())
            .stdin(Stdio::null());
        let output = cluster.inside(|| command.output()).expect("kubectl");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, told) = edit("s/busybox:1.36/busybox:1.34/");
    assert!(code == Some(0) && told.contains("pod/edited edited"), "{told}");
    cluster.wait_field("pod", "edited", ".status.containerStatuses[0].restartCount", "1");
    let (code, told) = edit("s/dnsPolicy:.*/dnsPolicy:\\ Default/");
    assert!(code != Some(0) && told.contains("pods \"edited\" is invalid"), "{told}");
    let mut live = ok(&["get", "pod", "edited", "-o", "yaml"]);
    live = live.replacen("  name: edited\n", "  labels: {by: replace}\n  name: edited\n", 1);
    assert_eq!(ok(&["replace", "-f", &cluster.manifest(&live)]), "pod/edited replaced\n");
    assert_eq!(cluster.field("pod", "edited", ".metadata.labels.by"), "replace");
    let uid = cluster.field("pod", "edited", ".metadata.uid");
    let forced = ok(&["replace", "--force", "-f", &cluster.manifest(&text)]);
    assert!(forced.contains("pod/edited replaced"), "{forced}");
    assert_ne!(cluster.field("pod", "edited", ".metadata.uid"), uid);
    cluster.kubectl_ok(&["delete", "pod/edited", "--now"]);
    let absent = cluster.kubectl(&["delete", "pod", "edited"]);
    assert!(absent.code == 1 && absent.stderr.contains("pods \"edited\" not found"), "{}", absent.stderr);
    ok(&["delete", "pod", "edited", "--ignore-not-found"]);
}

/// A command with a terminal of its own, as `script` gives one.
fn with_terminal(cluster: &Cluster, args: &str, input: &str) -> (Option<i32>, String) {
    let line = format!("{} {args}", kubectl_path().display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("KUBECONFIG", cluster.dir().join("admin.kubeconfig"));
    command.env("HOME", cluster.dir()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = cluster.inside(|| command.spawn()).expect("util-linux's script");
    let mut stdin = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("it reads");
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    drop(stdin);
    (child.wait().expect("it ended").code(), text)
}

/// R010: exec with and without a terminal, its exit codes, and cp both ways.
fn copies_and_terminals(cluster: &Cluster) {
    cluster.apply(&shell_pod("shell", IDLE, "", ""));
    cluster.wait_field("pod", "shell", ".status.phase", "Running");
    let (code, text) =
        with_terminal(cluster, "exec -it shell -- sh -c 'tty; echo TERM=$TERM; stty size; exit 7'", "");
    assert_eq!(code, Some(7), "{text}");
    assert!(text.contains("/dev/pts/0") && text.contains("TERM=xterm"), "{text}");
    let (code, text) = with_terminal(cluster, "exec -it shell -- sh", "echo typed $((6*7))\nexit 3\n");
    assert!(code == Some(3) && text.contains("typed 42"), "{code:?} {text}");
    let code = cluster.kubectl(&["exec", "shell", "--", "sh", "-c", "echo out; echo err >&2; exit 5"]);
    assert_eq!((code.code, code.stdout.as_str()), (5, "out\n"));
    assert!(
        code.stderr.starts_with("err\n") && code.stderr.contains("command terminated with exit code 5"),
        "{}",
        code.stderr
    );
    let mut piped = cluster.kubectl_spawn(&["exec", "-i", "shell", "--", "sh", "-c", "wc -c; echo end"]);
    let mut stdin = piped.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, &vec![b'x'; 300_000]).expect("it reads");
    drop(stdin);
    let output = piped.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "300000\nend\n");
    let local = cluster.dir().join("copy");
    std::fs::create_dir_all(local.join("deep")).expect("writable");
    let bytes: Vec<u8> = (0..200_000u32).map(|i| (i * 7 % 251) as u8).collect();
    std::fs::write(local.join("deep/file"), &bytes).expect("writable");
    let back = cluster.dir().join("back");
    cluster.kubectl_ok(&["cp", local.to_str().expect("UTF-8"), "default/shell:/tmp/copied"]);
    assert_eq!(cluster.sh("shell", "app", "wc -c < /tmp/copied/deep/file"), "200000");
    cluster.kubectl_ok(&["cp", "shell:/tmp/copied", back.to_str().expect("UTF-8")]);
    assert_eq!(std::fs::read(back.join("deep/file")).expect("copied"), bytes);
    // Some releases of kubectl sometimes end before they have printed it.
    let never = back.join("never").to_str().expect("UTF-8").to_string();
    wait_for("cp tells that there is nothing", || {
        let absent = cluster.kubectl(&["cp", "shell:/nope", &never]);
        (absent.stdout + &absent.stderr).contains("nope: No such file").then_some(())
    });
}

/// Attach: what a container writes from now on, what it reads, and its terminal.
fn streams_of_a_pod(cluster: &Cluster) {
    cluster.apply(&shell_pod(
        "ticks",
        "trap 'exit 0' TERM; n=0; while :; do echo tick $n; n=$((n+1)); sleep 0.1; done",
        "",
        "",
    ));
    cluster.apply(&shell_pod(
        "reads",
        "echo ready; while read line; do echo got $line; [ $line = end ] && exit 4; done",
        "restartPolicy: Never",
        "stdin: true",
    ));
    cluster.wait_field("pod", "ticks", ".status.phase", "Running");
    cluster.wait_field("pod", "reads", ".status.phase", "Running");
    let mut attach = cluster.kubectl_spawn(&["attach", "ticks"]);
    let lines = BufReader::new(attach.stdout.take().expect("piped")).lines();
    assert_eq!(lines.map_while(Result::ok).filter(|line| line.starts_with("tick ")).take(3).count(), 3);
    attach.kill().expect("it runs");
    attach.wait().expect("it ended");
    let mut attach = cluster.kubectl_spawn(&["attach", "-i", "reads"]);
    let mut stdin = attach.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, b"one\nend\n").expect("it reads");
    let mut text = String::new();
    attach.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    attach.wait().expect("it ended");
    assert!(text.contains("got one\n") && text.contains("got end\n"), "{text}");
    cluster.wait_field("pod", "reads", ".status.phase", "Failed");
    assert_eq!(cluster.field("pod", "reads", ".status.containerStatuses[0].state.terminated.exitCode"), "4");
    let (_, text) = with_terminal(
        cluster,
        "run -it once --image=busybox:1.36 --restart=Never --rm -- sh -c 'read x; echo saw $x'",
        "word\n",
    );
    assert!(text.contains("saw word"), "{text}");
    assert!(cluster.kubectl(&["get", "pod", "once"]).stderr.contains("not found"));
}
