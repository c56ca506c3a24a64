//! What a container can see and do.

use crate::harness::*;
use runtime::*;
use std::path::Path;

fn bind(source: impl AsRef<Path>, destination: &str) -> Mount {
    Mount {
        destination: destination.into(),
        kind: MountKind::Bind {
            source: source.as_ref().into(),
            recursive: true,
            propagation: Propagation::Private,
        },
        read_only: false,
        recursive_read_only: false,
    }
}

#[test]
fn namespaces_are_the_pods_and_its_own() {
    on_node(|node| async move {
        let mut spec = node.sandbox_spec("p");
        spec.domainname = "pods.example".into();
        spec.sysctls = vec![
            ("net.ipv4.ip_unprivileged_port_start".into(), "7".into()),
            ("kernel.shm_rmid_forced".into(), "1".into()),
        ];
        node.sandbox(spec).await;
        let show = "for n in net ipc uts pid mnt cgroup; do echo $n $(readlink /proc/self/ns/$n); done";
        let script = format!(
            "{show}; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_unprivileged_port_start \
             /proc/sys/kernel/shm_rmid_forced; grep -c lo: /proc/net/dev; cat /proc/1/comm; true"
        );
        // Both live: the number of a namespace that is gone may be used again.
        for id in ["a", "b"] {
            node.start(node.shell(id, "p", "sleep 1000; true")).await.unwrap();
        }
        let (_, a, _) = node.exec("a", &["sh", "-c", &script]).await.unwrap();
        let (_, b, _) = node.exec("b", &["sh", "-c", &script]).await.unwrap();
        let parts = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (a, b) = (parts(&a), parts(&b));
        assert_eq!(a[..3], b[..3], "net, ipc and uts are the Pod's");
        for (i, kind) in ["net", "ipc", "uts", "pid", "mnt"].iter().enumerate() {
            let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            assert_ne!(a[i], format!("{kind} {}", host.display()));
        }
        assert_ne!(a[3], b[3], "pid is its own");
        assert_ne!(a[4], b[4], "mnt is its own");
        assert_eq!(a[6..], ["pods.example", "7", "1", "1", "sh"]);
        node
    });
}

#[test]
fn host_namespaces_when_asked() {
    on_node(|mut node| async move {
        let mut spec = node.sandbox_spec("p");
        (spec.host_network, spec.host_ipc, spec.host_pid) = (true, true, true);
        let info = node.sandbox(spec).await;
        assert!(info.netns.is_none());
        let script = "for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; exit 4";
        let mut container = node.shell("c", "p", script);
        container.capabilities = Capabilities::same(caps::ALL);
        let (exit, output) = node.run(container).await;
        assert_eq!(exit.code, 4);
        let host =
            ["net", "ipc", "uts", "pid"].map(|n| std::fs::read_link(format!("/proc/self/ns/{n}")).unwrap());
        assert_eq!(output.lines().collect::<Vec<_>>(), host.each_ref().map(|l| l.to_str().unwrap()));
        // What it leaves behind outside a PID namespace of its own dies with it.
        node.start(node.shell("d", "p", "sleep 1000 & echo $!; true")).await.unwrap();
        node.exit("d").await;
        node.supervisor.remove_container("d").await.unwrap();
        let left: i32 = node.output("d").trim().parse().unwrap();
        until(|| !alive(left), "end of the left process").await;
        node
    });
}

#[test]
fn a_shared_process_namespace_has_an_init_that_reaps() {
    on_node(|mut node| async move {
        let mut spec = node.sandbox_spec("p");
        spec.share_process_namespace = true;
        node.sandbox(spec).await;
        let quick = "(sh -c 'sleep 0.05' &) ; exec sleep 1000";
        node.start(node.shell("a", "p", quick)).await.unwrap();
        let script = "cat /proc/1/comm; cat /proc/[0-9]*/comm; readlink /proc/1/exe || echo hidden";
        let (_, output) = node.run(node.shell("b", "p", script)).await;
        assert!(output.starts_with("pause\n"), "{output}");
        assert!(output.contains("sleep\n"), "{output}");
        assert!(output.ends_with("hidden\n"), "{output}");
        // Orphans do not stay as zombies.
        let gone = "while grep -qs 'State:.*Z' /proc/[0-9]*/status || [ $(cat /proc/[0-9]*/comm | grep -c sleep) != 1 ]; \
                    do :; done 2>/dev/null; echo clean";
        let (_, output) = node.run(node.shell("c", "p", gone)).await;
        assert_eq!(output, "clean\n");
        let (exit, ..) = node.exec("a", &["true"]).await.unwrap();
        assert_eq!(exit.code, 0);
        node
    });
}

#[test]
fn privileges_are_those_asked_for() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let script =
            "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid|Umask)' /proc/self/status | tr -s '\\t ' ' '";
        let mut spec = node.shell("a", "p", script);
        spec.no_new_privs = true;
        spec.user.umask = Some(0o077);
        spec.rlimits = vec![Rlimit { name: "RLIMIT_NOFILE".into(), soft: 100, hard: u64::MAX >> 1 }];
        let started = node.start(spec).await.unwrap();
        node.exit("a").await;
        let output = node.output("a");
        let default = format!("{:016x}", caps::DEFAULT);
        for line in [
            "Umask: 0077",
            "Uid: 0 0 0 0",
            "CapInh: 0000000000000000",
            &format!("CapPrm: {default}"),
            &format!("CapEff: {default}"),
            &format!("CapBnd: {default}"),
            "CapAmb: 0000000000000000",
            "NoNewPrivs: 1",
            "Seccomp: 2",
        ] {
            assert!(output.contains(line), "{line} in {output}");
        }
        assert!(started.clamped_rlimits.is_empty() || started.clamped_rlimits == ["RLIMIT_NOFILE"]);
        assert_eq!(started.missing_capabilities, 0);

        let mut spec = node.shell("b", "p", script);
        spec.user = User {
            spec: UserSpec::Name("web".into()),
            additional_gids: vec![2000],
            merge_image_groups: true,
            umask: None,
        };
        spec.seccomp = Seccomp::Unconfined;
        spec.capabilities = Capabilities::same(caps::ALL);
        let started = node.start(spec).await.unwrap();
        assert_eq!((started.uid, started.gid, started.gids.as_slice()), (33, 34, &[4, 34, 2000][..]));
        node.exit("b").await;
        let output = node.output("b");
        for line in [
            "Uid: 33 33 33 33",
            "Gid: 34 34 34 34",
            "Groups: 4 34 2000",
            "CapEff: 0000000000000000",
            "NoNewPrivs: 0",
            "Seccomp: 0",
            "Umask: 0022",
        ] {
            assert!(output.contains(line), "{line} in {output}");
        }
        // Capabilities that this host's root lacks are reported, not fatal.
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        let own = own.lines().find_map(|l| l.strip_prefix("CapPrm:\t")).unwrap().to_owned();
        let own = u64::from_str_radix(&own, 16).unwrap();
        assert_eq!(started.missing_capabilities, caps::ALL & !own);
        node
    });
}

#[test]
fn the_filter_is_in_force() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let script = "mount -t tmpfs x /tmp 2>&1; mkdir /tmp/a 2>&1; echo $?";
        let mut spec = node.shell("a", "p", script);
        spec.capabilities = Capabilities::same(caps::DEFAULT | 1 << 21); // SYS_ADMIN opens mount
        let (_, output) = node.run(spec).await;
        assert_eq!(output, "0\n");
        let (_, output) = node.run(node.shell("b", "p", script)).await;
        assert!(output.contains("not permitted") || output.contains("ermission denied"), "{output}");
        let mut spec = node.shell("c", "p", script);
        spec.seccomp = Seccomp::Profile(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
                "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}"#
                .into(),
        );
        spec.no_new_privs = true;
        let (_, output) = node.run(spec).await;
        assert!(output.contains("No space left on device"), "{output}");
        node
    });
}

#[test]
fn the_file_system_is_as_specified() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let (data, file) = (node.base.join("data"), node.base.join("hosts"));
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(&file, "hosts-content\n").unwrap();
        // An image may be hostile: nothing may be made outside the root.
        let outside = node.base.join("outside");
        std::fs::create_dir_all(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, node.rootfs().join("escape")).unwrap();
        let script = "
            cat /etc/hosts; echo data > /data/f; echo no 2>/dev/null > /ro/f || echo ro; touch /x 2>&1
            touch /proc/sys/kernel/x 2>&1; echo 1 2>/dev/null > /proc/sys/vm/swappiness || echo sysctl-ro
            ls -a /proc/acpi | wc -l; cat /proc/keys | wc -c; stat -f -c %T /scratch; stat -c %a /scratch
            dd if=/dev/zero of=/scratch/big bs=1k count=100 2>&1 | grep -o 'No space'
            ls /dev | grep -v core | tr '\\n' ' '; echo; ls -l /dev/null | head -c 10; echo
            ls /sys/fs/cgroup | grep -c -E 'cpu|memory|cgroup.procs'; cd /sys/fs/cgroup/memory 2>/dev/null || cd /sys/fs/cgroup; mkdir x 2>&1; cd /new/dir
            cat /tmp/passed; ls /proc/self/fd | wc -l; ls /made/deep; pwd; ls -d /escape/in";
        let mut spec = node.shell("c", "p", script);
        let mut read_only = bind(&data, "/ro");
        read_only.read_only = true;
        spec.mounts = vec![
            bind(&file, "/etc/hosts"),
            bind(&data, "/data"),
            read_only,
            bind(&file, "/made/deep/file"),
            bind(&data, "/escape/in"),
            Mount {
                destination: "/scratch".into(),
                kind: MountKind::Tmpfs { size: Some(65536), mode: 0o1777 },
                read_only: false,
                recursive_read_only: false,
            },
        ];
        std::fs::write(node.rootfs().join("tmp/passed"), "lower\n").unwrap();
        spec.readonly_rootfs = true;
        spec.cwd = "/new/dir".into();
        spec.masked_paths = ["/proc/acpi", "/proc/keys", "/proc/nonexistent"].map(Into::into).to_vec();
        spec.readonly_paths = ["/proc/sys", "/proc/irq"].map(Into::into).to_vec();
        let (_, output) = node.run(spec).await;
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[0], "hosts-content", "{output}");
        assert_eq!(lines[1], "ro", "{output}");
        assert!(lines[2].contains("Read-only file system"), "{output}");
        assert_eq!(lines[4], "sysctl-ro", "{output}");
        assert_eq!(lines[5], "2", "a masked directory is empty: {output}");
        assert_eq!(lines[6], "0", "a masked file is empty: {output}");
        assert_eq!(lines[7..10], ["tmpfs", "1777", "No space"], "{output}");
        assert_eq!(
            lines[10],
            "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
        );
        assert_eq!(lines[11], "crw-rw-rw-");
        assert!(lines[12].parse::<u32>().unwrap() >= 2, "{output}");
        assert!(lines[13].contains("ead-only file system"), "{output}");
        assert_eq!(lines[14], "lower");
        assert_eq!(lines[15], "4", "stdio and the directory itself: {output}");
        assert_eq!(lines[16..19], ["file", "/new/dir", "/escape/in"], "{output}");
        assert_eq!(std::fs::read_to_string(data.join("f")).unwrap(), "data\n");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        node
    });
}

#[test]
fn shared_memory_is_the_pods() {
    on_node(|mut node| async move {
        let mut spec = node.sandbox_spec("p");
        spec.shm_size = 1 << 20;
        node.sandbox(spec).await;
        node.run(node.shell("a", "p", "echo hello > /dev/shm/x")).await;
        let (_, output) = node
            .run(node.shell("b", "p", "cat /dev/shm/x; stat -f -c %b /dev/shm; stat -c %a /dev/shm"))
            .await;
        assert_eq!(output, "hello\n256\n1777\n");
        node.sandbox(node.sandbox_spec("q")).await;
        let (_, output) = node.run(node.shell("c", "q", "ls /dev/shm | wc -l")).await;
        assert_eq!(output, "0\n");
        node
    });
}

#[test]
fn mounts_propagate_as_asked() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        // A shared mount of our own, in a place of its own.
        let shared = node.base.join("run").join("shared");
        std::fs::create_dir_all(shared.join("sub")).unwrap();
        let sh = |command: String| {
            let status = std::process::Command::new("sh").args(["-c", &command]).status().unwrap();
            assert!(status.success(), "{command}");
        };
        let at = shared.display().to_string();
        sh(format!("mount -t tmpfs t {at} && mount --make-shared {at} && mkdir {at}/sub {at}/up"));
        let with = |node: &Node, id: &str, script: &str, propagation| {
            let mut spec = node.shell(id, "p", script);
            let mut mount = bind(&shared, "/vol");
            mount.kind = MountKind::Bind { source: shared.clone(), recursive: true, propagation };
            spec.mounts.push(mount);
            spec.capabilities = Capabilities::same(caps::ALL);
            spec.seccomp = Seccomp::Unconfined;
            spec
        };
        let wait = "echo up; until [ -e /vol/go ]; do :; done; ls /vol/sub";
        node.start(with(&node, "private", wait, Propagation::Private)).await.unwrap();
        node.start(with(&node, "slave", wait, Propagation::HostToContainer)).await.unwrap();
        let up = "mount -t tmpfs up /vol/up && echo x > /vol/up/inside";
        let (exit, output) = {
            let spec = with(&node, "both", up, Propagation::Bidirectional);
            node.run(spec).await
        };
        assert_eq!(exit.code, 0, "{output}");
        assert!(shared.join("up/inside").exists(), "a container's mount reaches the host");
        sh(format!("mount -t tmpfs s {at}/sub && touch {at}/sub/new && touch {at}/go"));
        node.wait_output("slave", "new").await;
        node.supervisor.remove_container("slave").await.unwrap();
        until(|| node.log("private").lines().count() >= 1, "a start").await;
        let error = {
            let mut spec = with(&node, "bad", "true", Propagation::Bidirectional);
            let MountKind::Bind { source, .. } = &mut spec.mounts[0].kind else { unreachable!() };
            *source = node.rootfs();
            node.start(spec).await.unwrap_err()
        };
        assert!(error.message.ends_with("but it is not a shared mount"), "{error}");
        for id in ["private", "both"] {
            node.supervisor.remove_container(id).await.unwrap();
        }
        assert_eq!(node.output("private"), "up\n", "nothing reaches a private mount");
        sh(format!("umount {at}/sub {at}/up {at}"));
        node
    });
}

#[test]
fn memory_limits_kill_and_say_so() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let eat = "head -c 200000000 /dev/zero | tail -c 100000000 | wc -c; sleep 1000; true";
        let mut spec = node.shell("c", "p", eat);
        spec.resources.memory_limit = Some(20 << 20);
        node.start(spec).await.unwrap();
        // The victim is not the first process; the whole container goes all the same.
        let exit = node.exit("c").await;
        assert_eq!((exit.code, exit.signal, exit.oom_killed), (137, Some(9), true));
        let mut spec = node.shell("d", "p", "tail -c 100000000 /dev/zero; exit 3");
        spec.resources.memory_limit = Some(20 << 20);
        spec.resources.oom_group = Some(false);
        node.start(spec).await.unwrap();
        let wait = async {
            let mut oom = false;
            loop {
                match node.events.recv().await.unwrap() {
                    Event::Oom { id } if id == "d" => oom = true,
                    Event::Exited { id, exit } if id == "d" => return (oom, exit),
                    _ => {}
                }
            }
        };
        let (oom, exit) = tokio::time::timeout(patient(DEADLINE), wait).await.unwrap();
        assert_eq!((oom, exit.code, exit.oom_killed), (true, 3, true));
        node
    });
}

type LimitFile<'a> = (&'a str, &'a str, &'a str, &'a str);

/// (controller, cgroup, file, content) of what the test below asks for.
fn limit_files<'a>(v2: bool, pod: &'a str, own: &'a str) -> Vec<LimitFile<'a>> {
    if v2 {
        return vec![
            ("cpu", pod, "cpu.weight", "20"),
            ("cpu", pod, "cpu.max", "50000 100000"),
            ("memory", pod, "memory.max", "67108864"),
            ("cpu", own, "cpu.weight", "10"),
            ("cpu", own, "cpu.max", "20000 100000"),
            ("memory", own, "memory.max", "33554432"),
            ("memory", own, "memory.swap.max", "0"),
            ("pids", own, "pids.max", "10"),
        ];
    }
    vec![
        ("cpu", pod, "cpu.shares", "512"),
        ("cpu", pod, "cpu.cfs_quota_us", "50000"),
        ("cpu", own, "cpu.shares", "256"),
        ("cpu", own, "cpu.cfs_quota_us", "20000"),
        ("memory", own, "memory.limit_in_bytes", "33554432"),
        ("pids", own, "pids.max", "10"),
        (
            "devices",
            own,
            "devices.list",
            "b *:* m\nc *:* m\nc 1:3 rwm\nc 1:5 rwm\nc 1:7 rwm\nc 1:8 rwm\nc 1:9 rwm\nc 5:0 rwm\nc 5:1 rwm\nc 5:2 rwm\nc 136:* rwm",
        ),
    ]
}

/// A file of a cgroup, found without the help of what is tested.
fn read_limit(node: &Node, cgroups: &Cgroups, controller: &str, path: &str, file: &str) -> String {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let wanted = |line: &&str| match cgroups.is_v2() {
        true => line.contains(" - cgroup2 "),
        false => {
            let options = line.rsplit(' ').next().unwrap();
            line.contains(" - cgroup ") && options.split(',').any(|option| option == controller)
        }
    };
    let mount = text.lines().find(wanted).and_then(|line| line.split(' ').nth(4)).unwrap();
    let file = Path::new(mount).join(&node.config.instance).join(path).join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).trim().to_owned()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn limits_are_written_and_usage_is_read() {
    on_node(|node| async move {
        let mut spec = node.sandbox_spec("p");
        spec.resources = Resources {
            cpu_shares: Some(512),
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            memory_limit: Some(64 << 20),
            pids_limit: Some(100),
            ..Default::default()
        };
        let info = node.sandbox(spec).await;
        let mut spec = node.shell("c", "p", "echo up; while :; do :; done");
        spec.resources = Resources {
            cpu_shares: Some(256),
            cpu_quota: Some(20_000),
            cpu_period: Some(100_000),
            memory_limit: Some(32 << 20),
            pids_limit: Some(10),
            ..Default::default()
        };
        node.start(spec).await.unwrap();
        let cgroups = node.supervisor.cgroups().clone();
        let pod = info.cgroup_path.clone();
        let own = format!("{pod}/c");
        for (controller, path, file, value) in limit_files(cgroups.is_v2(), &pod, &own) {
            let found = read_limit(&node, &cgroups, controller, path, file);
            assert_eq!(sorted(&found), sorted(value), "{path}/{file}");
        }
        let change =
            Resources { cpu_quota: Some(30_000), memory_limit: Some(16 << 20), ..Default::default() };
        node.supervisor.update_resources("c", &change).unwrap();
        let after = if cgroups.is_v2() {
            [("cpu", "cpu.max", "30000 100000"), ("cpu", "cpu.weight", "10")]
        } else {
            [("cpu", "cpu.cfs_quota_us", "30000"), ("cpu", "cpu.shares", "256")]
        };
        for (controller, file, value) in after {
            assert_eq!(read_limit(&node, &cgroups, controller, &own, file), value, "{file}");
        }
        until(|| node.supervisor.stats("c").unwrap().cpu_usage_ns > 20_000_000, "CPU usage").await;
        let (stats, pod) = (node.supervisor.stats("c").unwrap(), node.supervisor.stats("p").unwrap());
        assert_eq!((stats.pids, stats.memory_limit), (1, Some(16 << 20)));
        assert!(stats.memory_working_set > 0 && stats.memory_working_set <= stats.memory_usage);
        assert!(pod.cpu_usage_ns >= stats.cpu_usage_ns);
        node
    });
}

#[test]
fn devices_are_the_allowed_ones() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let script = "mknod /tmp/mem c 1 1; head -c1 /tmp/mem 2>&1; ls -l /dev/extra | head -c 10; echo; head -c1 /dev/extra | wc -c";
        let mut spec = node.shell("a", "p", script);
        let zero = Device {
            path: "/dev/extra".into(),
            kind: 'c',
            major: 1,
            minor: 5,
            mode: 0o640,
            uid: 0,
            gid: 0,
            access: "rw".into(),
        };
        spec.devices.push(zero);
        let (_, output) = node.run(spec).await;
        assert!(output.contains("not permitted"), "{output}");
        assert!(output.ends_with("crw-r-----\n1\n"), "{output}");
        let mut spec = node.shell("b", "p", "ls /dev/kmsg && { cd /sys/fs/cgroup/memory 2>/dev/null || cd /sys/fs/cgroup; } && mkdir x && rm -r /nothing; mount -t tmpfs x /tmp && echo ok");
        spec.privileged = true;
        spec.seccomp = Seccomp::Unconfined;
        spec.capabilities = Capabilities::same(caps::ALL);
        spec.devices = host_devices().unwrap();
        let (_, output) = node.run(spec).await;
        assert!(output.contains("/dev/kmsg") && output.contains("ok\n"), "{output}");
        node
    });
}
