//! The daemon may die at any time: nothing acknowledged is lost, containers never notice.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use testkit::{Cluster, Traces, wait_for};

use crate::{IDLE, shell_pod, toolbox_pod};

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

fn restarts(cluster: &Cluster, pod: &str) -> String {
    cluster.field("pod", pod, ".status.containerStatuses[0].restartCount")
}

/// R003, R063: the supervisor dies and its containers with it: new sandboxes, counted restarts, and
/// nothing of the old ones is left. The same after `minke down` and `up`.
#[test]
fn sandboxes_that_were_lost_are_made_again() {
    let mut cluster = Cluster::start_with_images("lost", &[], &["busybox"]);
    let once = shell_pod("once", "sleep 1000", "restartPolicy: Never", "");
    cluster.apply(&(shell_pod("stays", &format!("echo run; {IDLE}"), "", "") + "---\n" + &once));
    cluster.wait_field("pod", "stays", ".status.phase", "Running");
    cluster.wait_field("pod", "once", ".status.phase", "Running");
    let uid = cluster.field("pod", "stays", ".metadata.uid");
    let ready = ".status.containerStatuses[0].ready";
    let last = ".status.containerStatuses[0].lastState.terminated";
    kill_supervisor(&cluster);
    cluster.wait_field("pod", "stays", ".status.containerStatuses[0].restartCount", "1");
    cluster.wait_field("pod", "stays", ready, "true");
    cluster
        .wait_event("stays", "Normal SandboxChanged Pod sandbox changed, it will be killed and re-created.");
    assert!(!cluster.events("stays").contains("FailedCreatePodSandBox"), "{}", cluster.events("stays"));
    let ended: Value = serde_json::from_str(&cluster.field("pod", "stays", last)).expect("JSON");
    assert_eq!(
        (ended["exitCode"].as_i64(), ended["reason"].as_str()),
        (Some(137), Some("ContainerStatusUnknown"))
    );
    assert_eq!(cluster.kubectl_ok(&["logs", "stays", "--previous"]), "run\n");
    cluster.wait_field("pod", "once", ".status.phase", "Failed");
    let addresses = |pod: &str| cluster.field("pod", pod, ".status.podIPs");
    let ip = cluster.field("pod", "stays", ".status.podIP");
    assert_eq!(addresses("stays"), format!("[{{\"ip\":\"{ip}\"}}]"), "the new address only");
    let routes = cluster.inside(|| Command::new("ip").args(["-o", "route"]).output()).expect("iproute2");
    let routes =
        String::from_utf8_lossy(&routes.stdout).lines().filter(|line| line.contains(" dev ")).count();
    assert_eq!(routes, 1, "one Pod, one route");

    // The machine goes down: nothing is left but the objects.
    for round in ["2", "3"] {
        assert_eq!(cluster.minke(&["down"]).code, 0);
        assert_eq!(cluster.up().code, 0);
        cluster.wait_field("pod", "stays", ".status.containerStatuses[0].restartCount", round);
        cluster.wait_field("pod", "stays", ready, "true");
        let ip = cluster.field("pod", "stays", ".status.podIP");
        assert_eq!(addresses("stays"), format!("[{{\"ip\":\"{ip}\"}}]"));
        assert_eq!(cluster.kubectl_ok(&["exec", "stays", "--", "echo", "inside"]), "inside\n");
    }
    assert_eq!(cluster.field("pod", "stays", ".metadata.uid"), uid);
    assert_eq!(
        (restarts(&cluster, "once"), cluster.field("pod", "once", ".status.phase")),
        ("0".into(), "Failed".into())
    );
    let (instance, dir) = (cluster.instance(), cluster.dir().to_path_buf());
    assert_eq!(cluster.down().code, 0);
    let after = cluster.inside(|| Traces::take(&instance, &dir));
    assert!(after.mounts.is_empty() && after.cgroups.is_empty() && after.processes.is_empty(), "{after:?}");
}

fn kill_supervisor(cluster: &Cluster) {
    let dir = cluster.dir().to_string_lossy().into_owned();
    let pid = fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let ours = command.contains(" supervisor ") && command.contains(&dir);
        ours.then(|| entry.file_name().to_string_lossy().into_owned())
    });
    let killed = Command::new("kill").args(["-KILL", &pid.expect("it runs")]).status();
    assert!(killed.expect("kill exists").success());
}

/// R204: an image stays when its Pods go; removed while a container runs, that container keeps its
/// files, also when the daemon starts again and sweeps.
#[test]
fn a_container_keeps_the_layers_of_a_removed_image() {
    let cluster = Cluster::start_with_images("removed", &[], &["busybox"]);
    cluster.apply(&shell_pod("keeps", IDLE, "", ""));
    cluster.wait_field("pod", "keeps", ".status.phase", "Running");
    let names = ["busybox:latest", "busybox:1.28", "busybox:1.34", "busybox:1.36"];
    assert_eq!(cluster.minke(&[&["image", "rm"][..], &names[..]].concat()).code, 0);
    cluster.kill_daemon();
    assert_eq!(cluster.up().code, 0);
    // A program that was never run before: it must still be there.
    assert_eq!(cluster.sh("keeps", "app", "echo abc | rev; ls /bin/busybox"), "cba\n/bin/busybox");
    let layers = || fs::read_dir(cluster.dir().join("images/layers")).expect("the store").count();
    assert_eq!(layers(), 2, "busybox's and the toolbox's");
    cluster.kubectl_ok(&["delete", "pod", "keeps"]);
    cluster.stop_daemon();
    assert_eq!(cluster.up().code, 0);
    assert_eq!(layers(), 1, "swept once nobody uses it");
}

/// A file system of its own for a data directory; goes with the test.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(dir: &std::path::Path, size: &str) -> Mounted {
        let options = format!("size={size}");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir).status();
        assert!(status.expect("mount exists").success());
        Mounted(dir.to_path_buf())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

/// In this order they go: nothing may be left to unmount when the cluster is taken down.
struct OnDisk {
    cluster: Cluster,
    _mounted: Mounted,
}

/// A data directory that is a mount point, and what happens when its disk is full: writes are
/// refused in words, nothing that was acknowledged is lost, and room makes it all go on.
#[test]
fn a_full_disk_is_told_and_survived() {
    let cluster = Cluster::prepare("full", &[]);
    let mut bed = OnDisk { _mounted: Mounted::tmpfs(cluster.dir(), "400m"), cluster };
    let cluster = &mut bed.cluster;
    let fill = cluster.dir().join("store/fill");
    assert_eq!(cluster.up().code, 0);
    cluster.apply(&toolbox_pod("web", "[web]", "terminationGracePeriodSeconds: 1"));
    cluster.wait_field("pod", "web", ".status.phase", "Running");
    fs::write(cluster.dir().join("store/big"), "x".repeat(700_000)).expect("room");
    let big = format!("--from-file={}", cluster.dir().join("store/big").display());
    let file = fs::File::create(&fill).expect("room");
    let full = std::io::copy(&mut std::io::repeat(0).take(1 << 30), &mut &file).expect_err("no room");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    drop(file);
    let mut made = Vec::new();
    let refused = (0..20).find_map(|number| {
        let name = format!("big-{number}");
        let output = cluster.kubectl(&["create", "configmap", &name, &big]);
        if output.code == 0 {
            made.push(name);
        }
        (output.code != 0).then_some(output.stderr)
    });
    let refused = refused.expect("the log does not grow for ever");
    assert!(refused.contains("no space left for the store"), "{refused}");
    let address =
        format!("{}:8080", cluster.field("pod", "web", ".status.podIP")).parse().expect("an address");
    assert!(cluster.get(address, "/").is_some(), "what runs goes on");
    cluster.kill_daemon();
    let up = cluster.up();
    assert!(up.code != 0 && up.stderr.contains("No space left on device"), "one sentence: {}", up.stderr);
    assert_eq!(cluster.minke(&["down"]).code, 0, "needs no room");
    fs::remove_file(&fill).expect("removed");
    let up = cluster.up();
    assert_eq!(up.code, 0, "{}", up.stderr);
    for name in &made {
        assert_eq!(cluster.kubectl(&["get", "configmap", name]).code, 0, "{name} was acknowledged");
    }
    cluster.kubectl_ok(&["create", "configmap", "later", &big]);
    cluster.wait_field("pod", "web", ".status.containerStatuses[0].restartCount", "1");
    assert_eq!(cluster.down().code, 0);
    assert_eq!(fs::read_dir(cluster.dir()).expect("the mount point stays").count(), 0);
}
