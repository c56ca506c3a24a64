//! Images from a registry, end to end: pull policies, credentials, and that what one Pod's secret
//! opened stays closed to others.

use testkit::{Cluster, Registry, image_archive, wait_for};

const STATE: &str = ".status.containerStatuses[0].state";

/// A Pod that sleeps in an image with busybox; `more` are lines of its spec.
fn pod(name: &str, namespace: &str, image: &str, policy: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  {more}\n  containers:\n  - {{name: app, image: '{image}', imagePullPolicy: {policy}, command: [sleep, '1000']}}\n"
    )
}

/// R029, R032, R043, R062: by tag, by digest, always, if not present, and not at all.
#[test]
fn pulls_follow_their_policy() {
    let cluster = Cluster::start("pulls", &[]);
    let registry = Registry::start(&cluster, 5000, false);
    registry.add(&image_archive("my-app"), "team/app", "1");
    let image = format!("{}/team/app:1", registry.host);
    let image_id = |pod: &str| cluster.field("pod", pod, ".status.containerStatuses[0].imageID");
    cluster.apply(&pod("first", "default", &image, "Always", ""));
    cluster.wait_field("pod", "first", ".status.phase", "Running");
    let events = cluster.events("first");
    let pulled = events.lines().find(|line| line.contains(" Pulled ")).expect("an event");
    let parts = [
        format!("Successfully pulled image \"{image}\" in "),
        " including waiting). Image size: ".into(),
        " bytes.".into(),
    ];
    assert!(parts.iter().all(|part| pulled.contains(part)), "{pulled}");
    for event in ["Scheduled", "Pulling", "Created", "Started"] {
        assert!(events.contains(&format!("Normal {event} ")), "{events}");
    }
    let id = image_id("first");
    assert!(id.starts_with(&format!("{}/team/app@sha256:", registry.host)), "{id}");
    cluster.apply(&pod("by-digest", "default", &id, "IfNotPresent", ""));
    cluster.wait_field("pod", "by-digest", ".status.phase", "Running");
    assert_eq!(image_id("by-digest"), id);
    // The tag moves: only who always asks sees it.
    registry.add(&image_archive("old-app"), "team/app", "1");
    cluster.apply(&pod("cached", "default", &image, "IfNotPresent", ""));
    cluster.wait_event(
        "cached",
        &format!("Normal Pulled Container image \"{image}\" already present on machine"),
    );
    cluster.wait_field("pod", "cached", ".status.phase", "Running");
    assert_eq!(image_id("cached"), id);
    cluster.apply(&pod("moved", "default", &image, "Always", ""));
    cluster.wait_field("pod", "moved", ".status.phase", "Running");
    assert_ne!(image_id("moved"), id);
    // What the node itself provides needs no registry, whatever the policy says.
    cluster.kubectl_ok(&["run", "own", "--image=minke.local/toolbox", "--", "sleep", "1000"]);
    cluster.wait_field("pod", "own", ".status.phase", "Running");
    cluster.apply(&pod("own-typo", "default", "minke.local/toolbux", "Always", ""));
    cluster.wait_event("own-typo", "this node provides no image minke.local/toolbux:latest");
    let typo = format!("{}/team/app:2", registry.host);
    cluster.apply(&pod("typo", "default", &typo, "IfNotPresent", ""));
    cluster.wait_field("pod", "typo", &format!("{STATE}.waiting.reason"), "ImagePullBackOff");
    cluster.wait_event("typo", &format!("Warning Failed Failed to pull image \"{typo}\": "));
    // Corrected in place, it goes on.
    cluster.kubectl_ok(&["set", "image", "pod/typo", &format!("app={image}")]);
    cluster.wait_field("pod", "typo", ".status.phase", "Running");
}

/// R178: credentials open a private registry for the Pods that have them, and for no others.
#[test]
fn secrets_open_a_private_registry_for_their_pods_only() {
    let cluster = Cluster::start("private", &[]);
    let registry = Registry::start(&cluster, 5000, true);
    registry.add(&image_archive("my-app"), "app", "1");
    let image = format!("{}/app:1", registry.host);
    let secret = |namespace: &str, name: &str, password: &str| {
        cluster.kubectl_ok(&[
            "create",
            "secret",
            "docker-registry",
            name,
            "-n",
            namespace,
            &format!("--docker-server={}", registry.host),
            "--docker-username=alice",
            &format!("--docker-password={password}"),
        ]);
    };
    cluster.kubectl_ok(&["create", "ns", "other"]);
    secret("default", "regcred", "secret");
    secret("other", "wrong", "guess");
    cluster.apply(&pod("without", "default", &image, "IfNotPresent", ""));
    let missing = "imagePullSecrets: [{name: not-there}]";
    cluster.apply(&pod("missing", "default", &image, "IfNotPresent", missing));
    cluster.wait_event("missing", "Warning FailedToRetrieveImagePullSecret Unable to retrieve some image pull secrets (not-there); attempting to pull the image may not succeed.");
    for name in ["without", "missing"] {
        cluster.wait_event(name, "Warning Failed Error: ErrImagePull");
        cluster
            .wait_event(name, "pull access denied, repository does not exist or may require authorization");
    }
    let with = "imagePullSecrets: [{name: regcred}]";
    cluster.apply(&pod("with", "default", &image, "IfNotPresent", with));
    cluster.wait_field("pod", "with", ".status.phase", "Running");
    let present = format!(
        "Normal Pulled Container image \"{image}\" already present on machine and can be accessed by the pod"
    );
    let restarted = |cluster: &Cluster| {
        cluster.kill_daemon();
        assert_eq!(cluster.up().code, 0);
    };
    // From now on the image is on the node; still nobody else may have it, also after a restart.
    for round in ["before", "after"] {
        if round == "after" {
            restarted(&cluster);
        }
        let name = |kind: &str| format!("{kind}-{round}");
        cluster.apply(&pod(&name("same"), "default", &image, "IfNotPresent", with));
        cluster.wait_event(&name("same"), &present);
        cluster.apply(&pod(&name("thief"), "other", &image, "IfNotPresent", ""));
        cluster.apply(&pod(
            &name("guess"),
            "other",
            &image,
            "IfNotPresent",
            "imagePullSecrets: [{name: wrong}]",
        ));
        cluster.apply(&pod(&name("never"), "other", &image, "Never", ""));
        for (kind, reasons) in [
            ("thief", ["ErrImagePull", "ImagePullBackOff"]),
            ("guess", ["ErrImagePull", "ImagePullBackOff"]),
            ("never", ["ErrImageNeverPull", ""]),
        ] {
            let path = format!("jsonpath={{{STATE}.waiting.reason}}");
            wait_for(&format!("{} is refused", name(kind)), || {
                let reason = cluster.kubectl(&["get", "pod", &name(kind), "-n", "other", "-o", &path]).stdout;
                reasons.contains(&reason.as_str()).then_some(()).filter(|()| !reason.is_empty())
            });
        }
    }
    // A secret of its own with the same password is as good.
    secret("other", "right", "secret");
    cluster.apply(&pod("partner", "other", &image, "IfNotPresent", "imagePullSecrets: [{name: right}]"));
    wait_for("the partner runs", || {
        let phase = cluster
            .kubectl(&["get", "pod", "partner", "-n", "other", "-o", "jsonpath={.status.phase}"])
            .stdout;
        (phase == "Running").then_some(())
    });
    // The service account's secrets count for its Pods.
    let account = r#"{"imagePullSecrets":[{"name":"regcred"}]}"#;
    cluster.kubectl_ok(&["patch", "serviceaccount", "default", "-p", account]);
    cluster.apply(&pod("by-account", "default", &image, "Always", ""));
    cluster.wait_field("pod", "by-account", ".status.phase", "Running");
}
