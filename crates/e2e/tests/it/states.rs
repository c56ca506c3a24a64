//! How containers and Pods begin and end, as a user sees it: phases, reasons, messages, restarts,
//! back-off, deletion. Each check names the requirement it walks.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Cluster, side_by_side, wait_for};

use crate::{IDLE, shell_pod};

/// How long something really takes.
#[allow(clippy::disallowed_methods, reason = "tests wait in real time")]
fn timed<R>(work: impl FnOnce() -> R) -> (Duration, R) {
    let began = Instant::now();
    let done = work();
    (began.elapsed(), done)
}

const STATE: &str = ".status.containerStatuses[0].state";

#[test]
fn containers_begin_and_end_as_told() {
    let cluster = Cluster::start_with_images("states", &[], &["busybox"]);
    side_by_side(
        &cluster,
        &[
            restart_policies,
            crash_loop,
            ends_of_containers,
            last_words,
            waits_with_a_reason,
            creation_in_order,
            deletion_with_grace,
            deletion_at_once,
            exec_where_nothing_runs,
        ],
    );
}

fn cells(cluster: &Cluster, pod: &str) -> Vec<String> {
    let row = cluster.kubectl_ok(&["get", "pod", pod, "--no-headers"]);
    row.split_whitespace().map(str::to_string).collect()
}

/// R052, R053, R054, R057, R060: what each policy makes of exit codes 0 and 1.
fn restart_policies(cluster: &Cluster) {
    // Policy, exit code, and the row once it has settled: phase and STATUS.
    let cases = [
        ("Always", 0, "Running", "CrashLoopBackOff"),
        ("Always", 1, "Running", "CrashLoopBackOff"),
        ("OnFailure", 0, "Succeeded", "Completed"),
        ("OnFailure", 1, "Running", "CrashLoopBackOff"),
        ("Never", 0, "Succeeded", "Completed"),
        ("Never", 1, "Failed", "Error"),
    ];
    let name = |policy: &str, code: i32| format!("{}-{code}", policy.to_lowercase());
    let pods: Vec<String> = cases
        .iter()
        .map(|(policy, code, ..)| {
            shell_pod(&name(policy, *code), &format!("exit {code}"), &format!("restartPolicy: {policy}"), "")
        })
        .collect();
    cluster.apply(&pods.join("---\n"));
    for (policy, code, phase, status) in cases {
        let name = name(policy, code);
        wait_for(&format!("{name} is {status}"), || (cells(cluster, &name)[2] == status).then_some(()));
        assert_eq!(cluster.field("pod", &name, ".status.phase"), phase, "{name}");
        let restarts = if status == "CrashLoopBackOff" { "1" } else { "0" };
        let row = cells(cluster, &name);
        assert_eq!(
            (row[1].as_str(), row[3].as_str()),
            ("0/1", restarts),
            "{name}: the first restart is at once"
        );
    }
    for (name, reason) in [("never-0", "PodCompleted"), ("never-1", "PodFailed")] {
        let ready = ".status.conditions[?(@.type==\"Ready\")].reason";
        assert_eq!(cluster.field("pod", name, ready), reason);
    }
}

/// R061: the words of a crash loop, its event, and the log of the run before.
fn crash_loop(cluster: &Cluster) {
    cluster.kubectl_ok(&[
        "run",
        "crash",
        "--image=busybox:1.36",
        "--restart=Always",
        "--",
        "sh",
        "-c",
        "echo last run; exit 1",
    ]);
    let waiting = format!("{STATE}.waiting.reason");
    cluster.wait_field("pod", "crash", &waiting, "CrashLoopBackOff");
    let uid = cluster.field("pod", "crash", ".metadata.uid");
    let message = cluster.field("pod", "crash", &format!("{STATE}.waiting.message"));
    assert_eq!(message, format!("back-off 10s restarting failed container=crash pod=crash_default({uid})"));
    let text =
        format!("Warning BackOff Back-off restarting failed container crash in pod crash_default({uid})");
    cluster.wait_event("crash", &text);
    assert_eq!(cluster.kubectl_ok(&["logs", "crash", "--previous"]), "last run\n");
    assert_eq!(cluster.kubectl_ok(&["logs", "crash"]), "last run\n", "of the run that just ended");
    // The second restart comes after ten seconds, not before.
    let finished =
        cluster.field("pod", "crash", ".status.containerStatuses[0].lastState.terminated.finishedAt");
    cluster.wait_field("pod", "crash", ".status.containerStatuses[0].restartCount", "2");
    let started =
        cluster.field("pod", "crash", ".status.containerStatuses[0].lastState.terminated.startedAt");
    let seconds = |text: &str| -> i64 {
        let clock: Vec<i64> = text[11..19].split(':').map(|n| n.parse().expect("digits")).collect();
        clock[0] * 3600 + clock[1] * 60 + clock[2]
    };
    let waited = (seconds(&started) - seconds(&finished)).rem_euclid(86400);
    assert!((9..=13).contains(&waited), "{finished} to {started}");
}

/// R063: reasons and exit codes of containers that ended; R054 for a Pod with several.
fn ends_of_containers(cluster: &Cluster) {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: ends}\nspec:\n  restartPolicy: Never\n  containers:\n\
        \x20 - {name: a-good, image: 'busybox:1.36', command: ['true']}\n\
        \x20 - {name: b-three, image: 'busybox:1.36', command: [sh, -c, exit 3]}\n\
        \x20 - {name: c-absent, image: 'busybox:1.36', command: [no-such-program]}\n\
        \x20 - {name: d-signal, image: 'busybox:1.36', command: [sh, -c, 'sh -c \"kill -TERM \\$PPID\"; sleep 5']}\n\
        \x20 - {name: e-memory, image: 'minke.local/toolbox', imagePullPolicy: IfNotPresent, args: [memory, '200'], resources: {limits: {memory: 48Mi}}}\n";
    cluster.apply(text);
    cluster.wait_field("pod", "ends", ".status.phase", "Failed");
    let statuses: Value =
        serde_json::from_str(&cluster.field("pod", "ends", ".status.containerStatuses")).expect("JSON");
    let cases = [("Completed", 0), ("Error", 3), ("StartError", 128), ("", 0), ("OOMKilled", 137)];
    for (index, (reason, code)) in cases.into_iter().enumerate().filter(|(_, (reason, _))| !reason.is_empty())
    {
        let ended = &statuses[index]["state"]["terminated"];
        assert_eq!(
            (ended["reason"].as_str(), ended["exitCode"].as_i64()),
            (Some(reason), Some(code)),
            "{ended}"
        );
        for time in ["startedAt", "finishedAt"] {
            assert!(ended[time].is_string(), "{ended}");
        }
    }
    let absent = statuses[2]["state"]["terminated"]["message"].as_str().unwrap_or_default();
    assert!(absent.contains("exec: \"no-such-program\": executable file not found in $PATH"), "{absent}");
    assert!(cluster.events("ends").contains("Warning Failed Error: "), "{}", cluster.events("ends"));
    assert_eq!(
        cells(cluster, "ends")[..3],
        ["ends", "0/5", "Error"].map(str::to_string),
        "of the first that failed"
    );
}

/// Last words from the file, from a file of one's own, from the log where asked for (R063).
fn last_words(cluster: &Cluster) {
    let container = |name: &str, script: &str, more: &str| {
        format!("  - {{name: {name}, image: 'busybox:1.36', command: [sh, -c, '{script}']{more}}}\n")
    };
    let from_log = ", terminationMessagePolicy: FallbackToLogsOnError";
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: words}\nspec:\n  restartPolicy: Never\n  securityContext: {runAsUser: 1000}\n  containers:\n".to_string()
        + &container("a", "printf bye > /dev/termination-log; exit 3", "")
        + &container("b", "echo in the log; exit 4", from_log)
        + &container("c", "echo in the log; echo but this > /dev/termination-log; exit 4", from_log)
        + &container("d", "echo in the log", from_log)
        + &container("e", "echo own > /tmp/words; exit 1", ", terminationMessagePath: /tmp/words")
        + &container("f", "echo in the log; exit 1", "")
        + &container("g", "i=0; while [ $i -lt 700 ]; do echo 12345678; i=$((i+1)); done > /dev/termination-log; exit 1", "");
    cluster.apply(&text);
    cluster.wait_field("pod", "words", ".status.phase", "Failed");
    let message = |index: usize| {
        cluster.field("pod", "words", &format!(".status.containerStatuses[{index}].state.terminated.message"))
    };
    let cases = ["bye", "in the log\n", "but this\n", "", "own\n", ""];
    for (index, want) in cases.into_iter().enumerate() {
        assert_eq!(message(index), want, "container {index}");
    }
    assert_eq!(message(6).len(), 4096, "cut at upstream's length");
}

/// R043, R050, R062, R206: a reason to wait is told in the status and in an event.
fn waits_with_a_reason(cluster: &Cluster) {
    let image = |name: &str, image: &str, policy: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - {{name: app, image: '{image}', imagePullPolicy: {policy}}}\n---\n"
        )
    };
    let pods = image("bad-name", "Nginx:1", "IfNotPresent")
        + &image("never", "nope:1", "Never")
        + &image("unreachable", "127.0.0.1:1/nope:1", "IfNotPresent")
        + &shell_pod(
            "no-volume",
            IDLE,
            "volumes: [{name: v, configMap: {name: none}}]",
            "volumeMounts: [{name: v, mountPath: /v}]",
        )
        + "---\n"
        + &shell_pod(
            "no-secret",
            IDLE,
            "",
            "env: [{name: P, valueFrom: {secretKeyRef: {name: db-secret, key: password}}}]",
        )
        + "---\n"
        + &shell_pod("not-root", IDLE, "securityContext: {runAsNonRoot: true}", "")
        + "---\n"
        + &shell_pod("nowhere", IDLE, "nodeSelector: {disk: none}", "");
    cluster.apply(&pods);
    let cases = [
        (
            "bad-name",
            "InvalidImageName",
            "Warning InspectFailed Failed to apply default image tag \"Nginx:1\": couldn't parse image name \"Nginx:1\": invalid reference format: repository name (library/Nginx) must be lowercase",
        ),
        (
            "never",
            "ErrImageNeverPull",
            "Warning ErrImageNeverPull Container image \"nope:1\" is not present with pull policy of Never",
        ),
        ("unreachable", "ImagePullBackOff", "Normal BackOff Back-off pulling image \"127.0.0.1:1/nope:1\""),
        (
            "no-volume",
            "ContainerCreating",
            "Warning FailedMount MountVolume.SetUp failed for volume \"v\" : configmap \"none\" not found",
        ),
        ("no-secret", "CreateContainerConfigError", "Warning Failed Error: secret \"db-secret\" not found"),
        (
            "not-root",
            "CreateContainerConfigError",
            "Warning Failed Error: container has runAsNonRoot and image will run as root (pod: ",
        ),
        (
            "nowhere",
            "Pending",
            "Warning FailedScheduling 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
    ];
    for (pod, status, event) in cases {
        wait_for(&format!("{pod} is {status}"), || (cells(cluster, pod)[2] == status).then_some(()));
        assert_eq!(cluster.field("pod", pod, ".status.phase"), "Pending", "{pod}");
        cluster.wait_event(pod, event);
    }
    for event in [
        "Normal Pulling Pulling image \"127.0.0.1:1/nope:1\"",
        "Warning Failed Failed to pull image \"127.0.0.1:1/nope:1\": ",
        "Warning Failed Error: ErrImagePull",
        "Warning Failed Error: ImagePullBackOff",
    ] {
        cluster.wait_event("unreachable", event);
    }
    // It tries again every now and then: both wordings come and go.
    let path = format!("{STATE}.waiting.message");
    wait_for("the message carries the cause", || {
        let why = cluster.field("pod", "unreachable", &path);
        why.starts_with("Back-off pulling image \"127.0.0.1:1/nope:1\": ErrImagePull: ").then_some(())
    });
    let want = "Error from server (BadRequest): container \"app\" in pod \"unreachable\" is waiting to start: trying and failing to pull image\n";
    wait_for("logs say why there are none", || {
        (cluster.kubectl(&["logs", "unreachable"]).stderr == want).then_some(())
    });
    // R152: what was missing comes, and the Pod goes on by itself; first the key, then all of it.
    cluster.kubectl_ok(&["create", "secret", "generic", "db-secret", "--from-literal=user=x"]);
    cluster.wait_event("no-secret", "Error: couldn't find key password in Secret default/db-secret");
    cluster.kubectl_ok(&["patch", "secret", "db-secret", "-p", r#"{"stringData":{"password":"x"}}"#]);
    cluster.kubectl_ok(&["create", "configmap", "none", "--from-literal=a=b"]);
    for pod in ["no-secret", "no-volume"] {
        cluster.wait_field("pod", pod, ".status.phase", "Running");
    }
}

/// R032, R034: from nothing to Running, each step seen by a watcher, conditions in order.
fn creation_in_order(cluster: &Cluster) {
    cluster.apply(&shell_pod("steps", IDLE, "nodeSelector: {steps: go}", ""));
    let watching = ["get", "pod", "-w", "--field-selector", "metadata.name=steps", "--no-headers"];
    let mut watch = cluster.kubectl_spawn(&watching);
    let lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let mut seen: Vec<String> = Vec::new();
    for line in lines.map_while(Result::ok) {
        let status = line.split_whitespace().nth(2).unwrap_or_default().to_string();
        seen.push(status.clone());
        if seen.len() == 1 {
            cluster.kubectl_ok(&["label", "node", "n1", "steps=go"]);
        }
        if status == "Running" {
            break;
        }
    }
    watch.kill().expect("it runs");
    watch.wait().expect("it ended");
    seen.dedup();
    assert_eq!(seen, ["Pending", "ContainerCreating", "Running"]);
    let conditions: Value =
        serde_json::from_str(&cluster.field("pod", "steps", ".status.conditions")).expect("JSON");
    let since = |kind: &str| {
        let found =
            conditions.as_array().into_iter().flatten().find(|c| c["type"] == kind).expect("the condition");
        assert_eq!(found["status"], "True", "{kind}");
        found["lastTransitionTime"].as_str().expect("a time").to_string()
    };
    assert!(since("PodScheduled") <= since("PodReadyToStartContainers"));
    assert!(since("PodReadyToStartContainers") <= since("ContainersReady"));
    assert_eq!(since("ContainersReady"), since("Ready"));
}

/// R065: TERM first, then the grace period, then KILL; shorter wins, longer is ignored.
fn deletion_with_grace(cluster: &Cluster) {
    let stubborn = shell_pod("stubborn", "trap '' TERM; while :; do sleep 0.1; done", "", "");
    cluster.apply(&stubborn.replace("PeriodSeconds: 1", "PeriodSeconds: 60"));
    cluster.apply(
        &shell_pod("polite", "trap 'exit 0' TERM; while :; do sleep 0.1; done", "", "")
            .replace("PeriodSeconds: 1", "PeriodSeconds: 60"),
    );
    for pod in ["stubborn", "polite"] {
        cluster.wait_field("pod", pod, ".status.phase", "Running");
    }
    let (took, told) = timed(|| cluster.kubectl_ok(&["delete", "pod", "polite"]));
    assert!(told.starts_with("pod \"polite\" deleted"), "{told}");
    assert!(took < Duration::from_secs(20), "it ended by itself");
    cluster.wait_event("polite", "Normal Killing Stopping container app");
    cluster.kubectl_ok(&["delete", "pod", "stubborn", "--wait=false"]);
    wait_for("STATUS says so", || (cells(cluster, "stubborn")[2] == "Terminating").then_some(()));
    let field = |path: &str| cluster.field("pod", "stubborn", path);
    assert_eq!(
        (field(".metadata.deletionGracePeriodSeconds"), field(".metadata.generation")),
        ("60".into(), "2".into())
    );
    let shown = cluster.kubectl_ok(&["describe", "pod", "stubborn"]);
    assert!(
        shown.contains("Terminating (lasts ") && shown.contains("Termination Grace Period:  60s"),
        "{shown}"
    );
    let before = field(".metadata.deletionTimestamp");
    cluster.kubectl_ok(&["delete", "pod", "stubborn", "--grace-period=300", "--wait=false"]);
    assert_eq!(field(".metadata.deletionTimestamp"), before, "longer is ignored");
    let (took, _) = timed(|| cluster.kubectl_ok(&["delete", "pod", "stubborn", "--grace-period=3"]));
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(20), "{took:?}");
}

/// R065: `--now`, and the object gone at once by force while the container still ends.
fn deletion_at_once(cluster: &Cluster) {
    for pod in ["forced", "now"] {
        cluster.apply(
            &shell_pod(pod, "trap '' TERM; while :; do sleep 0.1; done", "", "")
                .replace("PeriodSeconds: 1", "PeriodSeconds: 60"),
        );
        cluster.wait_field("pod", pod, ".status.phase", "Running");
    }
    let forced = cluster.kubectl(&["delete", "pod", "forced", "--grace-period=0", "--force"]);
    let all = format!("{}{}", forced.stdout, forced.stderr).to_lowercase();
    assert!(all.contains("warning: immediate deletion does not wait for confirmation"), "{all}");
    assert!(cluster.kubectl(&["get", "pod", "forced"]).stderr.contains("NotFound"));
    let (took, _) = timed(|| cluster.kubectl_ok(&["delete", "pod", "now", "--now"]));
    assert!(took < Duration::from_secs(20));
}

/// The words of exec and attach where there is nothing to run in.
fn exec_where_nothing_runs(cluster: &Cluster) {
    cluster.apply(&shell_pod("waits", IDLE, "", "envFrom: [{configMapRef: {name: never-made}}]"));
    cluster.apply(&shell_pod("ended", "true", "restartPolicy: Never", ""));
    cluster.apply(&shell_pod("runs", IDLE, "", ""));
    cluster.wait_field("pod", "waits", &format!("{STATE}.waiting.reason"), "CreateContainerConfigError");
    cluster.wait_field("pod", "ended", ".status.phase", "Succeeded");
    cluster.wait_field("pod", "runs", ".status.phase", "Running");
    let cases: [(&[&str], &str); 6] = [
        (
            &["exec", "waits", "-c", "app", "--", "true"],
            "error: unable to upgrade connection: container not found (\"app\")",
        ),
        (
            &["attach", "waits", "-c", "app"],
            "error: unable to upgrade connection: container app not found in pod waits_default",
        ),
        (
            &["exec", "ended", "--", "true"],
            "cannot exec into a container in a completed pod; current phase is Succeeded",
        ),
        (&["exec", "runs", "-c", "nope", "--", "true"], "container nope is not valid for pod runs"),
        (
            &["exec", "runs", "--", "nope"],
            "error: Internal error occurred: error executing command in container: ",
        ),
        (
            &["port-forward", "ended", "18081:80"],
            "unable to forward port because pod is not running. Current status=Succeeded",
        ),
    ];
    for (args, want) in cases {
        let output = cluster.kubectl(args);
        assert!(output.code != 0 && output.stderr.contains(want), "{args:?}: {}", output.stderr);
    }
    assert_eq!(cluster.kubectl(&["exec", "runs", "--", "sh", "-c", "exit 9"]).code, 9);
    // `kubectl debug` fails at once instead of waiting for a container that never runs.
    let debug = r#"{"spec":{"ephemeralContainers":[{"name":"debugger","image":"busybox:1.36"}]}}"#;
    let path = "/api/v1/namespaces/default/pods/runs/ephemeralcontainers";
    let mut pod: Value =
        serde_json::from_str(&cluster.kubectl_ok(&["get", "pod", "runs", "-o", "json"])).expect("JSON");
    pod["spec"]["ephemeralContainers"] =
        serde_json::from_str::<Value>(debug).expect("JSON")["spec"]["ephemeralContainers"].clone();
    let refused = cluster.kubectl(&["replace", "--raw", path, "-f", &cluster.manifest(&pod.to_string())]);
    assert!(
        refused.stderr.contains(
            "pods \"runs\" is forbidden: ephemeral containers are not run by this version of the node"
        ),
        "{}",
        refused.stderr
    );
}
