//! The same configuration under runc and under this runtime must look the same from inside.

use crate::harness::*;
use runtime::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Printed by both containers; of the devices, runc 1.1 allows tun (10:200), later versions do
/// not, and the console (5:1) only with a terminal; sections are separated by a line of dashes.
const LOOK: &str = "
    grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups|Umask|Sig(Blk|Ign|Cgt))' /proc/self/status; echo ---
    cat /proc/self/mountinfo; echo ---
    ls /proc/self/fd | wc -l; grep 'open files' /proc/self/limits; echo ---
    env | grep -v SHLVL | sort; pwd; hostname; echo ---
    for d in /dev/*; do stat -c '%n %F %a %t:%T' $d; done; echo ---
    cat /proc/self/oom_score_adj; stat -c '%a %u:%g' / /proc /sys /dev/shm /dev/mqueue; echo ---
    for p in /proc/kcore /proc/keys /proc/timer_list /proc/sysrq-trigger; do head -c1 $p 2>/dev/null | wc -c; done
    echo x 2>/dev/null > /proc/sys/vm/swappiness || echo ro; ls /sys/firmware | wc -l; touch /x 2>&1
    cd /sys/fs/cgroup; cat pids/pids.max cpu/cpu.shares cpu/cpu.cfs_quota_us memory/memory.limit_in_bytes 2>/dev/null
    cat pids.max cpu.weight cpu.max memory.max 2>/dev/null
    cat devices/devices.list 2>/dev/null | grep -v -E 'c (10:200|5:1) ' | sort";

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// (mount point, file system, the attributes that matter) of each mount.
fn mounts(text: &str, masked: &[std::path::PathBuf]) -> BTreeSet<String> {
    let view = |line: &str| {
        let (left, right) = line.split_once(" - ").unwrap();
        let fields: Vec<&str> = left.split(' ').collect();
        let mut attributes: Vec<&str> =
            fields[5].split(',').filter(|o| ["ro", "rw", "nosuid", "nodev", "noexec"].contains(o)).collect();
        attributes.sort_unstable();
        // runc 1.1 leaves the directory of the hierarchies writable, contrary to its configuration.
        if fields[4] == "/sys/fs/cgroup" {
            attributes.retain(|a| !["ro", "rw"].contains(a));
        }
        // What covers masked directories is stricter here.
        if masked.iter().any(|m| m == Path::new(fields[4])) {
            attributes.retain(|a| *a == "ro");
        }
        let shared = fields[6..].join(" ");
        format!("{} {} {} {shared}", fields[4], right.split(' ').next().unwrap(), attributes.join(","))
    };
    text.lines().map(view).collect()
}

#[test]
fn runc_shows_the_same() {
    on_node(|mut node| async move {
        let bundle = node.base.join("bundle");
        std::fs::create_dir_all(&bundle).unwrap();
        let runc = |args: &[&str]| {
            let root = format!("--root={}", node.base.join("runc").display());
            Command::new("runc")
                .arg(root)
                .args(args)
                .current_dir(&bundle)
                .output()
                .expect("runc is installed")
        };
        assert!(runc(&["spec"]).status.success());
        let path = bundle.join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config["root"]["path"] = node.rootfs().to_str().unwrap().into();
        config["process"]["terminal"] = false.into();
        // As containerd configures it.
        config["mounts"][0]["options"] = serde_json::json!(["nosuid", "noexec", "nodev"]);
        config["process"]["args"] = serde_json::json!(["/bin/sh", "-c", LOOK]);
        config["process"]["oomScoreAdj"] = 400.into();
        config["process"]["user"] = serde_json::json!({"uid": 0, "gid": 0, "additionalGids": [0, 7, 8]});
        config["linux"]["cgroupsPath"] = format!("/{}/oracle", node.config.instance).into();
        config["linux"]["resources"] = serde_json::json!({
            "pids": {"limit": 50}, "memory": {"limit": 67108864},
            "cpu": {"shares": 300, "quota": 60000, "period": 100000},
            "devices": [{"allow": false, "access": "rwm"}]
        });
        std::fs::write(&path, config.to_string()).unwrap();
        let theirs = runc(&["run", "oracle"]);
        assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
        let theirs = String::from_utf8(theirs.stdout).unwrap();

        let mut sandbox = node.sandbox_spec("p");
        sandbox.hostname = config["hostname"].as_str().unwrap().into();
        node.sandbox(sandbox).await;
        let process = &config["process"];
        let set = |name: &str| caps::mask(strings(&process["capabilities"][name])).unwrap();
        let limit = &process["rlimits"][0];
        let mut spec = node.shell("c", "p", LOOK);
        spec.rootfs = Rootfs::Dir(node.rootfs());
        spec.readonly_rootfs = config["root"]["readonly"].as_bool().unwrap();
        spec.env = strings(&process["env"]);
        spec.cwd = process["cwd"].as_str().unwrap().into();
        spec.user = User {
            spec: UserSpec::Ids { uid: 0, gid: Some(0) },
            additional_gids: vec![7, 8],
            merge_image_groups: false,
            umask: None,
        };
        spec.capabilities = Capabilities {
            bounding: set("bounding"),
            effective: set("effective"),
            permitted: set("permitted"),
            inheritable: set("inheritable"),
            ambient: set("ambient"),
        };
        spec.no_new_privs = process["noNewPrivileges"].as_bool().unwrap();
        spec.seccomp = Seccomp::Unconfined;
        spec.rlimits = vec![Rlimit {
            name: limit["type"].as_str().unwrap().into(),
            soft: limit["soft"].as_u64().unwrap(),
            hard: limit["hard"].as_u64().unwrap(),
        }];
        let paths = |name: &str| strings(&config["linux"][name]).into_iter().map(Into::into).collect();
        (spec.masked_paths, spec.readonly_paths) = (paths("maskedPaths"), paths("readonlyPaths"));
        spec.oom_score_adj = Some(400);
        spec.resources = Resources {
            pids_limit: Some(50),
            memory_limit: Some(64 << 20),
            cpu_shares: Some(300),
            cpu_quota: Some(60_000),
            cpu_period: Some(100_000),
            ..Default::default()
        };
        let masked = spec.masked_paths.clone();
        let (exit, ours) = node.run(spec).await;
        assert_eq!(exit.code, 0, "{ours}");

        let (theirs, ours): (Vec<&str>, Vec<&str>) =
            (theirs.split("---\n").collect(), ours.split("---\n").collect());
        assert_eq!((theirs.len(), ours.len()), (7, 7));
        for (i, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
            if i == 1 {
                let (theirs, ours) = (mounts(theirs, &masked), mounts(ours, &masked));
                let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> {
                    a.difference(b).cloned().collect()
                };
                assert_eq!((only(&theirs, &ours), only(&ours, &theirs)), Default::default());
            } else {
                // runc hands on signals that were ignored where it was started.
                let view = |text: &str| -> Vec<String> {
                    text.lines().filter(|l| !l.starts_with("SigIgn")).map(str::to_owned).collect()
                };
                assert_eq!(view(theirs), view(ours), "section {i}");
            }
        }
        assert!(ours[6].contains("60000") && ours[6].contains("67108864"), "{}", ours[6]);
        assert!(ours[0].contains("SigIgn:\t0000000000000000\n"), "{}", ours[0]);
        assert!(!Path::new("/run/runc/oracle").exists());
        node
    });
}
