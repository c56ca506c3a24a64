//! The Pod as a unit on a real node: what its containers share, its names, its identity. Each
//! check names the requirement it walks.

use std::fs;

use serde_json::{Value, json};
use testkit::{Cluster, side_by_side, wait_for};

use crate::{IDLE, shell_pod};

#[test]
fn one_unit_shared_by_its_containers() {
    let cluster = Cluster::start_with_images("pods", &[], &["busybox", "nginx"]);
    side_by_side(
        &cluster,
        &[
            smallest_object,
            containers_share_what_a_pod_has,
            names,
            new_each_time,
            restarts_in_place,
            labels_and_annotations,
            namespaces,
            object_and_revision,
            scheduler_of_another_name,
            what_the_runtime_leaves,
            commands_and_environment,
            usage_of_memory_volumes,
            changes_of_a_running_pod,
            who_a_container_is,
        ],
    );
}

/// R001, R011, R052, R058: the nginx manifest of the Kubernetes documentation.
fn smallest_object(cluster: &Cluster) {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: nginx\nspec:\n  containers:\n  - name: nginx\n    image: nginx:1.14.2\n    ports:\n    - containerPort: 80\n";
    assert_eq!(cluster.apply(text), "pod/nginx created\n");
    cluster.wait_field("pod", "nginx", ".status.phase", "Running");
    let row = cluster.kubectl_ok(&["get", "pod", "nginx"]);
    let cells: Vec<&str> = row.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(cells[..4], ["nginx", "1/1", "Running", "0"], "{row}");
    let wide = cluster.kubectl_ok(&["get", "po", "nginx", "-o", "wide"]);
    let ip = cluster.field("pod", "nginx", ".status.podIP");
    let (head, row) = wide.split_once('\n').expect("a header and a row");
    for column in ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"] {
        assert!(head.contains(column), "{wide}");
    }
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[5..], [&ip, "n1", "<none>", "<none>"], "{wide}");
    assert!(cluster.kubectl_ok(&["get", "all"]).contains("pod/nginx"), "Pods are in the category all");
    let again = cluster.kubectl(&["create", "-f", &cluster.manifest(text)]);
    assert!(again.stderr.contains("pods \"nginx\" already exists"), "{}", again.stderr);
    let address = format!("{ip}:80").parse().expect("an address");
    let page = wait_for("nginx answers", || cluster.get(address, "/"));
    assert!(page.contains("Welcome to nginx!"), "{page}");
    let moved = cluster.kubectl(&["patch", "pod", "nginx", "-p", r#"{"spec":{"nodeName":"x"}}"#]);
    assert!(moved.stderr.contains("pod updates may not change fields other than"), "{}", moved.stderr);
    assert_eq!(cluster.field("pod", "nginx", ".metadata.generation"), "1", "the node never edits the spec");
}

/// R002, R003, R004, R005, R007, R014, R154: one node, one address, one hostname, one IPC
/// namespace; each container its own processes and files.
fn containers_share_what_a_pod_has(cluster: &Cluster) {
    let container = |name: &str, script: &str| {
        format!(
            "  - name: {name}\n    image: busybox:1.36\n    command: [sh, -c, '{script}']\n    volumeMounts: [{{name: both, mountPath: /both}}]\n"
        )
    };
    let page = "mkdir /www; echo page-of-a > /www/index.html; httpd -p 8080 -h /www; ";
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: trio}}\nspec:\n  terminationGracePeriodSeconds: 1\n  volumes: [{{name: both, emptyDir: {{}}}}]\n  containers:\n{}{}{}",
        container("a", &format!("{page}{IDLE}")),
        container("b", IDLE),
        container("c", "until wget -qO- localhost:8080; do sleep 0.05; done; httpd -f -p 8080"),
    );
    cluster.apply(&text);
    let state = ".status.containerStatuses[2].state.waiting.reason";
    cluster.wait_field("pod", "trio", state, "CrashLoopBackOff");
    let log = cluster.kubectl_ok(&["logs", "trio", "-c", "c", "--previous"]);
    assert!(log.contains("Address already in use"), "one port space: {log}");
    let row = cluster.kubectl_ok(&["get", "pod", "trio"]);
    assert!(row.contains("2/3"), "{row}");
    assert_eq!(cluster.sh("trio", "b", "wget -qO- localhost:8080"), "page-of-a");
    let ip = cluster.field("pod", "trio", ".status.podIP");
    let about = "hostname; readlink /proc/self/ns/ipc; readlink /proc/self/ns/net; readlink /proc/self/ns/uts; ip -4 -o addr show eth0 | cut -d/ -f1 | grep -o [0-9.]*$";
    let (a, b) = (cluster.sh("trio", "a", about), cluster.sh("trio", "b", about));
    assert_eq!(a, b);
    assert!(a.starts_with("trio\n") && a.ends_with(&ip), "{a}");
    cluster.sh("trio", "a", "echo shm > /dev/shm/x; echo disk > /both/x; echo mine > /root-of-a");
    assert_eq!(cluster.sh("trio", "b", "cat /dev/shm/x /both/x"), "shm\ndisk");
    assert_eq!(
        cluster.sh("trio", "b", "ls /root-of-a 2>&1 || true"),
        "ls: /root-of-a: No such file or directory"
    );
    assert_eq!(
        cluster.sh("trio", "b", "stat -c %a /both; df -m /dev/shm | tail -1 | awk \"{print \\$2}\""),
        "777\n64"
    );
    let processes = cluster.sh("trio", "b", "ps -o pid,args");
    assert!(!processes.contains("httpd") && processes.contains("1 sh -c trap"), "{processes}");
    cluster.apply(&shell_pod("stranger", IDLE, "", ""));
    cluster.wait_field("pod", "stranger", ".status.phase", "Running");
    assert_eq!(cluster.sh("stranger", "app", "ls /dev/shm"), "");
    let (other, ours) = (cluster.sh("stranger", "app", about), a);
    assert_ne!(other.lines().nth(1), ours.lines().nth(1), "IPC is the Pod's");
}

/// R007, R008: what a Pod may be called, and what its containers are called.
fn names(cluster: &Cluster) {
    let bad = cluster.kubectl(&["create", "-f", &cluster.manifest(&shell_pod("My_App", IDLE, "", ""))]);
    let want = "The Pod \"My_App\" is invalid: metadata.name: Invalid value: \"My_App\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',";
    assert!(bad.stderr.starts_with(want), "{}", bad.stderr);
    let dotted = cluster.kubectl(&["create", "-f", &cluster.manifest(&shell_pod("a.b", IDLE, "", ""))]);
    let want = "Warning: metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]";
    assert!(dotted.code == 0 && dotted.stderr.contains(want), "{}", dotted.stderr);
    let long = format!("{}-{}", "a".repeat(62), "b".repeat(7));
    cluster.apply(&shell_pod(&long, IDLE, "", ""));
    cluster.wait_field("pod", &long, ".status.phase", "Running");
    assert_eq!(cluster.sh(&long, "app", "hostname"), "a".repeat(62), "cut, without the dash at its end");
    let generated = cluster.kubectl_ok(&[
        "create",
        "-o",
        "name",
        "-f",
        &cluster.manifest(&shell_pod("x", IDLE, "", "").replace("name: x}", "generateName: made-}")),
    ]);
    let suffix = generated.trim().strip_prefix("pod/made-").expect("the prefix");
    assert!(
        suffix.len() == 5 && suffix.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)),
        "{suffix}"
    );
}

/// R009, R154: deleted and made again, it is another Pod.
fn new_each_time(cluster: &Cluster) {
    let volume = ("volumes: [{name: d, emptyDir: {}}]", "volumeMounts: [{name: d, mountPath: /d}]");
    let text = shell_pod("again", IDLE, volume.0, volume.1);
    cluster.apply(&text);
    cluster.wait_field("pod", "again", ".status.phase", "Running");
    let uid = cluster.field("pod", "again", ".metadata.uid");
    cluster.sh("again", "app", "echo old > /d/file");
    cluster.kubectl_ok(&["delete", "pod", "again"]);
    cluster.apply(&text);
    cluster.wait_field("pod", "again", ".status.phase", "Running");
    assert_ne!(cluster.field("pod", "again", ".metadata.uid"), uid);
    assert_eq!(cluster.field("pod", "again", ".status.containerStatuses[0].restartCount"), "0");
    assert_eq!(cluster.sh("again", "app", "ls /d"), "");
}

/// R010, R154: a container restarts, its Pod stays.
fn restarts_in_place(cluster: &Cluster) {
    let ends = "trap 'exit 1' TERM; while :; do sleep 0.1; done";
    let volume = ("volumes: [{name: d, emptyDir: {}}]", "volumeMounts: [{name: d, mountPath: /d}]");
    cluster.apply(&shell_pod("stays", ends, volume.0, volume.1));
    cluster.wait_field("pod", "stays", ".status.phase", "Running");
    let who = "{.metadata.uid} {.status.podIP} {.spec.nodeName}";
    let facts = || cluster.kubectl_ok(&["get", "pod", "stays", "-o", &format!("jsonpath={who}")]);
    let before = facts();
    cluster.sh("stays", "app", "echo kept > /d/file; kill 1");
    cluster.wait_field("pod", "stays", ".status.containerStatuses[0].restartCount", "1");
    cluster.wait_field("pod", "stays", ".status.containerStatuses[0].ready", "true");
    assert_eq!(facts(), before);
    assert_eq!(cluster.sh("stays", "app", "cat /d/file"), "kept");
    let last = cluster.field("pod", "stays", ".status.containerStatuses[0].lastState.terminated");
    assert!(last.contains("\"exitCode\":1") && last.contains("\"reason\":\"Error\""), "{last}");
}

/// R012: labels, annotations, selectors of both kinds.
fn labels_and_annotations(cluster: &Cluster) {
    let text = shell_pod("labelled", IDLE, "", "")
        .replace("name: labelled}", "name: labelled, labels: {app: my-app, version: \"1\"}}");
    cluster.apply(&text);
    assert_eq!(cluster.kubectl_ok(&["label", "pod", "labelled", "tier=backend"]), "pod/labelled labeled\n");
    cluster.kubectl_ok(&["annotate", "pod", "labelled", "description=My application pod"]);
    cluster.wait_field("pod", "labelled", ".status.phase", "Running");
    let select = |flag: &str, what: &str| cluster.kubectl_ok(&["get", "pods", flag, what, "-o", "name"]);
    for selector in ["app=my-app,tier in (backend),version!=2", "app in (my-app),!nope,tier", "app==my-app"] {
        assert_eq!(select("-l", selector), "pod/labelled\n", "{selector}");
    }
    for field in [
        "metadata.name=labelled,status.phase=Running",
        "spec.nodeName=n1,metadata.name=labelled",
        "metadata.name=labelled,spec.restartPolicy=Always,spec.serviceAccountName=default,spec.schedulerName=default-scheduler",
    ] {
        assert_eq!(select("--field-selector", field), "pod/labelled\n", "{field}");
    }
    assert_eq!(select("--field-selector", "metadata.name=labelled,status.phase!=Running"), "");
    let told = cluster.kubectl_ok(&["describe", "pod", "labelled"]);
    let told: Vec<&str> = told.split_whitespace().collect();
    let want = "Labels: app=my-app tier=backend version=1 Annotations: description: My application pod Status: Running";
    assert!(told.join(" ").contains(want), "{told:?}");
}

/// R013: namespaces, what each one gets, and that nothing is born in a dying one.
fn namespaces(cluster: &Cluster) {
    let text =
        shell_pod("placed", IDLE, "", "").replace("name: placed}", "name: placed, namespace: production}");
    let path = cluster.manifest(&text);
    let early = cluster.kubectl(&["apply", "-f", &path]);
    let want = format!(
        "Error from server (NotFound): error when creating \"{path}\": namespaces \"production\" not found\n"
    );
    assert_eq!(early.stderr, want);
    cluster.kubectl_ok(&["create", "ns", "production"]);
    for (kind, name) in [("serviceaccount", "default"), ("configmap", "kube-root-ca.crt")] {
        wait_for("what each namespace gets", || {
            (cluster.kubectl(&["get", kind, name, "-n", "production"]).code == 0).then_some(())
        });
    }
    cluster.kubectl_ok(&["apply", "-f", &path]);
    let all = cluster.kubectl_ok(&["get", "pods", "-A"]);
    assert!(all.starts_with("NAMESPACE ") && all.contains("production"), "{all}");
    let hold = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
    cluster.kubectl_ok(&["patch", "pod", "placed", "-n", "production", "-p", hold]);
    cluster.kubectl_ok(&["delete", "ns", "production", "--wait=false"]);
    let late = cluster.kubectl(&["create", "configmap", "late", "-n", "production"]);
    let want = "unable to create new content in namespace production because it is being terminated";
    assert!(late.stderr.contains(want), "{}", late.stderr);
    // R066: the last finalizer lets it go, and no new one may come.
    let more = r#"{"metadata":{"finalizers":["example.com/hold","x.io/y"]}}"#;
    let more = cluster.kubectl(&["patch", "pod", "placed", "-n", "production", "-p", more]);
    let want = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x.io/y\"}";
    assert!(more.stderr.contains(want), "{}", more.stderr);
    cluster.kubectl_ok(&[
        "patch",
        "pod",
        "placed",
        "-n",
        "production",
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":null}}"#,
    ]);
    wait_for("the namespace is gone", || {
        (cluster.kubectl(&["get", "ns", "production"]).code != 0).then_some(())
    });
}

/// R025, R080: what is stored, and the rules of its revision.
fn object_and_revision(cluster: &Cluster) {
    cluster.apply(&shell_pod("stored", IDLE, "", ""));
    cluster.wait_field("pod", "stored", ".status.containerStatuses[0].ready", "true");
    let read = || -> Value {
        serde_json::from_str(&cluster.kubectl_ok(&["get", "pod", "stored", "-o", "json"])).expect("JSON")
    };
    let stale = read();
    let uid = stale["metadata"]["uid"].as_str().expect("a uid");
    assert!(uid.len() == 36 && uid.as_bytes()[14] == b'4', "RFC 4122, random: {uid}");
    assert!(
        stale["metadata"]["creationTimestamp"].as_str().is_some_and(|t| t.len() == 20 && t.ends_with('Z'))
    );
    let version = |pod: &Value| {
        pod["metadata"]["resourceVersion"].as_str().unwrap_or_default().parse::<u64>().expect("a number")
    };
    let patch = |patch: &str| cluster.kubectl_ok(&["patch", "pod", "stored", "--type=merge", "-p", patch]);
    patch(r#"{"metadata":{"labels":{"a":"b"}}}"#);
    let fresh = read();
    assert!(version(&fresh) > version(&stale));
    assert_eq!(patch(r#"{"metadata":{"labels":{"a":"b"}}}"#), "pod/stored patched (no change)\n");
    assert_eq!(version(&read()), version(&fresh));
    let put = |change: &dyn Fn(&mut Value)| {
        let mut pod = read();
        change(&mut pod);
        let path = cluster.manifest(&pod.to_string());
        cluster.kubectl(&["replace", "--raw", "/api/v1/namespaces/default/pods/stored", "-f", &path]).stderr
    };
    let conflict =
        "the object has been modified; please apply your changes to the latest version and try again";
    assert!(
        put(&|pod| pod["metadata"]["resourceVersion"] = stale["metadata"]["resourceVersion"].clone())
            .contains(conflict)
    );
    let cases: [(&str, Value, &str); 3] = [
        ("name", json!("b"), "the name of the object (b) does not match the name on the URL (stored)"),
        (
            "namespace",
            json!("kube-system"),
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "uid",
            json!("00000000-0000-4000-8000-000000000000"),
            "Precondition failed: UID in precondition: 00000000-0000-4000-8000-000000000000, UID in object meta: ",
        ),
    ];
    for (field, value, want) in cases {
        let told = put(&|pod| pod["metadata"][field] = value.clone());
        assert!(told.contains(want), "{field}: {told}");
    }
    let told = put(&|pod| pod["metadata"]["resourceVersion"] = json!(""));
    assert_eq!(told, "", "without a revision a Pod may be replaced");
}

/// R026, R050: a Pod of another scheduler is left to it.
fn scheduler_of_another_name(cluster: &Cluster) {
    cluster.apply(&shell_pod("elsewhere", IDLE, "schedulerName: other", ""));
    cluster.apply(&shell_pod("here", IDLE, "", ""));
    cluster.wait_field("pod", "here", ".spec.nodeName", "n1");
    cluster.wait_event("here", "Normal Scheduled Successfully assigned default/here to n1");
    let scheduled = ".status.conditions[?(@.type==\"PodScheduled\")].status";
    cluster.wait_field("pod", "here", scheduled, "True");
    let row = cluster.kubectl_ok(&["get", "pod", "elsewhere"]);
    let cells: Vec<&str> = row.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(cells[1..4], ["0/1", "Pending", "0"], "{row}");
    assert_eq!(cluster.events("elsewhere"), "");
    let exec = cluster.kubectl(&["exec", "elsewhere", "--", "true"]);
    assert_eq!(exec.stderr, "Error from server (BadRequest): pod elsewhere does not have a host assigned\n");
}

/// R029: ids, log files and their links are where log collectors look for them.
fn what_the_runtime_leaves(cluster: &Cluster) {
    let runtime = cluster.kubectl_ok(&["get", "node", "-o", "wide"]);
    assert!(runtime.contains("minke://"), "{runtime}");
    cluster.apply(&shell_pod("logged", &format!("echo to-stdout; echo to-stderr >&2; {IDLE}"), "", ""));
    cluster.wait_field("pod", "logged", ".status.phase", "Running");
    let id = cluster.field("pod", "logged", ".status.containerStatuses[0].containerID");
    let hex = id.strip_prefix("minke://").expect("the runtime's scheme");
    assert!(hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    assert!(cluster.field("pod", "logged", ".status.containerStatuses[0].imageID").contains("sha256:"));
    let uid = cluster.field("pod", "logged", ".metadata.uid");
    let log = cluster.dir().join(format!("log/pods/default_logged_{uid}/app/0.log"));
    let text =
        wait_for("both lines", || fs::read_to_string(&log).ok().filter(|text| text.lines().count() == 2));
    for (stream, words) in [("stdout", "to-stdout"), ("stderr", "to-stderr")] {
        let line = text.lines().find(|line| line.ends_with(words)).expect("the line");
        let (time, rest) = line.split_once(' ').expect("a time");
        assert_eq!(rest, format!("{stream} F {words}"));
        assert!(time.len() == "2016-10-06T00:17:09.669794202Z".len() && time.ends_with('Z'), "{line}");
    }
    let link = cluster.dir().join(format!("log/containers/logged_default_app-{hex}.log"));
    assert_eq!(fs::read_link(&link).expect("a link"), log);
}

/// R044, R045, R151, R152, R153: commands, arguments and environment.
fn commands_and_environment(cluster: &Cluster) {
    cluster.kubectl_ok(&[
        "create",
        "configmap",
        "settings",
        "--from-literal=COLOR=blue",
        "--from-literal=dashed-key=x",
        "--from-literal=OVER=first",
    ]);
    cluster.kubectl_ok(&[
        "create",
        "secret",
        "generic",
        "hidden",
        "--from-literal=OVER=second",
        "--from-literal=password=s3cret",
    ]);
    let text = r#"apiVersion: v1
kind: Pod
metadata: {name: words, labels: {app: words}}
spec:
  restartPolicy: Never
  containers:
  - name: env
    image: busybox:1.36
    env:
    - {name: ENV_VAR, value: production}
    - {name: JOINED, value: "$(ENV_VAR)-$$(ENV_VAR)-$(NOPE)-$(LATER)"}
    - {name: LATER, value: later}
    - {name: COLOR2, value: "$(P_COLOR)"}
    - {name: SECRET, valueFrom: {secretKeyRef: {name: hidden, key: password}}}
    - {name: MAYBE, valueFrom: {configMapKeyRef: {name: none, key: x, optional: true}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: LABEL, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    envFrom:
    - {prefix: P_, configMapRef: {name: settings}}
    - {secretRef: {name: hidden}}
    resources: {limits: {cpu: 250m, memory: 48Mi}}
    command: [env]
  - {name: args, image: busybox:1.36, args: [echo, only-args]}
  - {name: entry, image: minke.local/toolbox, imagePullPolicy: IfNotPresent, args: [echo, entrypoint-kept]}
  - {name: both, image: minke.local/toolbox, imagePullPolicy: IfNotPresent, command: [/toolbox, echo], args: ["$(POD)", "$$(POD)", last], env: [{name: POD, value: expanded}]}
  - name: block
    image: busybox:1.36
    command: ["sh", "-c"]
    args:
    - |
      for i in 1 2; do
        echo "line $i"
      done
      # comment with 'quotes'
      echo "$(date +%Y | wc -c)"
"#;
    cluster.apply(text);
    cluster.wait_field("pod", "words", ".status.phase", "Succeeded");
    let log = |container: &str| cluster.kubectl_ok(&["logs", "words", "-c", container]);
    let env = log("env");
    let ip = cluster.field("pod", "words", ".status.podIP");
    for want in [
        "ENV_VAR=production",
        "JOINED=production-$(ENV_VAR)-$(NOPE)-$(LATER)",
        "COLOR2=blue",
        "P_COLOR=blue",
        "P_OVER=first",
        "P_dashed-key=x",
        "OVER=second",
        "SECRET=s3cret",
        "POD=words",
        "LABEL=words",
        &format!("IP={ip}"),
        "NODE=n1",
        "CPU=1",
        "MEMORY=48",
        "HOSTNAME=words",
        "KUBERNETES_SERVICE_PORT=443",
    ] {
        assert!(env.lines().any(|line| line == want), "{want} is not in:\n{env}");
    }
    assert!(!env.contains("MAYBE"), "{env}");
    assert_eq!(log("args"), "only-args\n");
    assert_eq!(log("entry"), "entrypoint-kept\n");
    assert_eq!(log("both"), "expanded $(POD) last\n");
    assert_eq!(log("block"), "line 1\nline 2\n5\n");
}

/// R154: an emptyDir in memory has the size it asks for; limits are seen from inside.
fn usage_of_memory_volumes(cluster: &Cluster) {
    let volume = (
        "volumes: [{name: m, emptyDir: {medium: Memory, sizeLimit: 2Mi}}]",
        "volumeMounts: [{name: m, mountPath: /m}]\n    resources: {limits: {cpu: 300m, memory: 64Mi}}",
    );
    cluster.apply(&shell_pod("limits", IDLE, volume.0, volume.1));
    cluster.wait_field("pod", "limits", ".status.phase", "Running");
    let mount = cluster.sh(
        "limits",
        "app",
        "mount | grep ' /m '; dd if=/dev/zero of=/m/x bs=1M count=4 2>&1 | head -1",
    );
    assert!(
        mount.contains("tmpfs") && mount.contains("size=2048k") && mount.contains("No space left"),
        "{mount}"
    );
    let read = "if [ -f /sys/fs/cgroup/memory.max ]; then cat /sys/fs/cgroup/memory.max; cut -d' ' -f1 /sys/fs/cgroup/cpu.max; else cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us; fi";
    assert_eq!(cluster.sh("limits", "app", read), "67108864\n30000");
    assert_eq!(cluster.field("pod", "limits", ".status.qosClass"), "Guaranteed");
}

/// R081, R082, R083: a new image restarts just that container; nothing else may change.
fn changes_of_a_running_pod(cluster: &Cluster) {
    let text = shell_pod("changes", IDLE, "", "")
        + "  - name: other\n    image: busybox:1.36\n    command: [sh, -c, 'trap \"exit 0\" TERM; while :; do sleep 0.1; done']\n";
    cluster.apply(&text);
    cluster.wait_field("pod", "changes", ".status.containerStatuses[1].ready", "true");
    let statuses = || -> Value {
        serde_json::from_str(&cluster.field("pod", "changes", ".status.containerStatuses")).expect("JSON")
    };
    let (before, ip) = (statuses(), cluster.field("pod", "changes", ".status.podIP"));
    cluster.kubectl_ok(&["set", "image", "pod/changes", "app=busybox:1.28"]);
    cluster.wait_field("pod", "changes", ".status.containerStatuses[0].restartCount", "1");
    cluster.wait_field("pod", "changes", ".status.containerStatuses[0].ready", "true");
    cluster.wait_event("changes", "Normal Killing Container app definition changed, will be restarted");
    let after = statuses();
    assert_eq!(after[1]["containerID"], before[1]["containerID"], "the other one never noticed");
    assert!(after[0]["image"].as_str().is_some_and(|image| image.ends_with("busybox:1.28")), "{after}");
    assert_eq!(cluster.field("pod", "changes", ".status.podIP"), ip);
    assert_eq!(cluster.field("pod", "changes", ".metadata.generation"), "2");
    cluster.wait_field("pod", "changes", ".status.observedGeneration", "2");
    let policy = cluster.kubectl(&["patch", "pod", "changes", "-p", r#"{"spec":{"restartPolicy":"Never"}}"#]);
    let want = "The Pod \"changes\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";
    assert!(policy.stderr.starts_with(want), "{}", policy.stderr);
    let removed = cluster.kubectl(&[
        "patch",
        "pod",
        "changes",
        "--type=json",
        "-p",
        r#"[{"op":"remove","path":"/spec/containers/1"}]"#,
    ]);
    assert!(
        removed.stderr.contains("spec.containers: Forbidden: pod updates may not add or remove containers"),
        "{}",
        removed.stderr
    );
    let scaled = cluster.kubectl(&["scale", "pod", "changes", "--replicas=2"]);
    assert!(scaled.stderr.contains("the server could not find the requested resource"), "{}", scaled.stderr);
}

/// The security context as a user meets it: identity, groups, file systems, privileges.
fn who_a_container_is(cluster: &Cluster) {
    cluster.kubectl_ok(&["create", "secret", "generic", "for-group", "--from-literal=x=word"]);
    let spec = "securityContext: {runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, supplementalGroups: [4000], runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}\n  volumes: [{name: d, emptyDir: {}}, {name: s, secret: {secretName: for-group, defaultMode: 0400}}]";
    let container = "volumeMounts: [{name: d, mountPath: /d}, {name: s, mountPath: /s}]\n    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}";
    cluster.apply(&shell_pod("secure", IDLE, spec, container));
    cluster.wait_field("pod", "secure", ".status.phase", "Running");
    let sh = |script: &str| cluster.sh("secure", "app", script);
    assert_eq!(sh("id"), "uid=1000 gid=3000 groups=2000,3000,4000");
    assert_eq!(
        sh("stat -c '%a %g' /d; cat /s/x; echo; touch /d/f; stat -c '%u %g' /d/f"),
        "2777 2000\nword\n1000 2000"
    );
    assert_eq!(sh("touch /x 2>&1 || true"), "touch: /x: Read-only file system");
    let status = sh("grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'");
    assert_eq!(status, "CapEff:0000000000000000\nNoNewPrivs:1\nSeccomp:2");
    let user = cluster.field("pod", "secure", ".status.containerStatuses[0].user.linux");
    let user: Value = serde_json::from_str(&user).expect("JSON");
    assert_eq!(user, json!({"uid": 1000, "gid": 3000, "supplementalGroups": [2000, 3000, 4000]}));
}
