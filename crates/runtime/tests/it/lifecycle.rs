//! What happens when daemons and supervisors come and go.

use crate::harness::*;
use runtime::*;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use tokio::io::AsyncWriteExt;

#[test]
fn containers_outlive_a_killed_daemon() {
    on_node(|mut node| async move {
        // The test's own connection stands aside for a daemon that is a process of its own.
        let log = node.base.join("log");
        let script = "i=0; while :; do i=$((i+1)); echo tick-$i; sleep 0.01; done";
        node.supervisor.shutdown().await.unwrap();
        node.driver_ends().await;
        cleanup(&node.config.instance, &node.config.dir).unwrap();
        let mut daemon = Command::new(program())
            .arg("daemon")
            .args([node.config.instance.as_str()])
            .args([&node.config.dir, &node.rootfs(), &log])
            .arg(script)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        daemon.kill().unwrap();
        assert_eq!(daemon.wait().unwrap().signal(), Some(9));
        let ticks = || std::fs::read_to_string(&log).unwrap().lines().count();
        let before = ticks();
        until(|| ticks() > before + 3, "more log without a daemon").await;
        let mut node = Node::connect(node.config.clone(), node.base.clone()).await;
        let list = node.supervisor.list().await.unwrap();
        assert_eq!(list.sandboxes[0].id, "p");
        let c = &list.containers[0];
        assert_eq!(
            (c.state, c.labels.0.as_slice(), c.log_path.as_path()),
            (State::Running, &b"mine"[..], log.as_path())
        );
        assert!(alive(c.started.as_ref().unwrap().pid));
        let (exit, ..) = node.exec("c", &["true"]).await.unwrap();
        assert_eq!(exit.code, 0);
        assert!(node.supervisor.stats("c").unwrap().pids >= 1);
        node.supervisor.signal("c", 9, false).await.unwrap();
        assert_eq!(node.exit("c").await.code, 137);
        node
    });
}

#[test]
fn exits_are_told_until_acknowledged() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        node.start(node.shell("c", "p", "exit 3")).await.unwrap();
        assert_eq!(node.exit("c").await.code, 3);
        let mut node = node.restart_daemon().await;
        assert_eq!(node.exit("c").await.code, 3);
        node.supervisor.acknowledge("c").await.unwrap();
        let mut node = node.restart_daemon().await;
        node.start(node.shell("d", "p", "exit 4")).await.unwrap();
        assert!(matches!(node.events.recv().await, Some(Event::Exited { id, .. }) if id == "d"));
        node
    });
}

#[test]
fn the_supervisor_is_upgraded_in_place() {
    on_node(|mut node| async move {
        let mut spec = node.sandbox_spec("p");
        spec.share_process_namespace = true;
        spec.labels = Opaque(vec![1, 2, 255]);
        node.sandbox(spec).await;
        let mut spec = node.shell("c", "p", "printf begin-; read x; echo got-$x; exit 6");
        spec.stdin = true;
        spec.resources.memory_limit = Some(64 << 20);
        node.start(spec).await.unwrap();
        node.supervisor.create_container(node.shell("later", "p", "echo later")).await.unwrap();
        let mut client = node.supervisor.attach("c", true, true, false).await.unwrap();
        let spec = ExecSpec {
            container_id: "c".into(),
            args: vec!["sh".into(), "-c".into(), "read x; exit 8".into()],
            stdin: true,
            ..Default::default()
        };
        let mut exec = node.supervisor.exec(spec).await.unwrap();
        let before = (node.supervisor.version().await.unwrap(), node.supervisor.list().await.unwrap());
        let binary = std::fs::File::open(program()).unwrap();
        node.supervisor.upgrade(binary.into()).await.unwrap();
        assert_eq!(before, (node.supervisor.version().await.unwrap(), node.supervisor.list().await.unwrap()));
        exec.stdin.as_mut().unwrap().write_all(b"\n").await.unwrap();
        assert_eq!(exec.wait().await.unwrap().code, 8);
        client.stdin.as_mut().unwrap().write_all(b"it\n").await.unwrap();
        assert_eq!(node.exit("c").await.code, 6);
        assert_eq!(node.output("c"), "begin-got-it\n");
        node.supervisor.start_container("later").await.unwrap();
        assert_eq!(node.exit("later").await.code, 0);
        // Not a program: refused, and nothing has changed.
        let text = std::fs::File::open(node.rootfs().join("etc/passwd")).unwrap();
        assert!(
            node.supervisor
                .upgrade(text.into())
                .await
                .unwrap_err()
                .message
                .starts_with("execute the new binary")
        );
        assert_eq!(node.supervisor.list().await.unwrap().containers.len(), 2);
        node
    });
}

#[test]
fn a_dead_supervisor_takes_its_containers_along() {
    on_node(|mut node| async move {
        let mut spec = node.sandbox_spec("p");
        spec.share_process_namespace = true;
        node.sandbox(spec).await;
        let mut user = node.shell("a", "p", "sleep 1000 & sleep 1000");
        user.user.spec = UserSpec::Ids { uid: 1000, gid: None };
        let a = node.start(user).await.unwrap().pid;
        let b = node.start(node.shell("b", "p", "sleep 1000")).await.unwrap().pid;
        let pid = node.supervisor.version().await.unwrap().1;
        assert_eq!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().code(), Some(0));
        assert_eq!(node.driver_ends().await.kind, ErrorKind::Disconnected);
        assert_eq!(node.supervisor.list().await.unwrap_err().kind, ErrorKind::Disconnected);
        until(|| !alive(a) && !alive(b), "end of the containers").await;
        // The next daemon starts a supervisor, and the cgroups of the old one are gone.
        let node = Node::connect(node.config.clone(), node.base.clone()).await;
        assert_eq!(node.supervisor.list().await.unwrap(), Inventory::default());
        assert!(!node.supervisor.cgroups().exists(PODS));
        node.sandbox(node.sandbox_spec("p")).await;
        node
    });
}

#[test]
fn cleanup_needs_no_supervisor() {
    on_node(|node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let a = node.start(node.shell("a", "p", "sleep 1000")).await.unwrap().pid;
        let pid = node.supervisor.version().await.unwrap().1;
        cleanup(&node.config.instance, &node.config.dir).unwrap();
        until(|| !alive(a) && !alive(pid), "end of everything").await;
        // Finding nothing is success too.
        cleanup(&node.config.instance, &node.config.dir).unwrap();
        Node::connect(node.config.clone(), node.base.clone()).await
    });
}

#[test]
fn shutdown_ends_everything() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let a = node.start(node.shell("a", "p", "sleep 1000")).await.unwrap().pid;
        node.supervisor.shutdown().await.unwrap();
        node.driver_ends().await;
        until(|| !alive(a), "end of the container").await;
        Node::connect(node.config.clone(), node.base.clone()).await
    });
}

#[test]
fn a_single_attach_does_not_wait_for_the_kernel_on_version_1() {
    on_node(|node| async move {
        let hierarchies = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let named = format!("name={}:", node.config.instance);
        let v2 = node.supervisor.cgroups().is_v2();
        assert!(v2 || hierarchies.contains(&named), "no hierarchy with favordynmods: {hierarchies}");
        node
    });
}

#[test]
fn one_client_at_a_time() {
    on_node(|node| async move {
        let error = Supervisor::connect_or_start(&node.config).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Disconnected);
        node.supervisor.list().await.unwrap();
        node
    });
}

#[test]
fn many_pods_at_once_are_quick_and_small() {
    on_node(|mut node| async move {
        const PODS: usize = 30;
        let started = std::time::Instant::now();
        let steps = std::cell::RefCell::new([std::time::Duration::ZERO; 3]);
        let mut ids = Vec::new();
        for i in 0..PODS {
            let id = format!("p{i}");
            let step = |at: usize, since: std::time::Instant| steps.borrow_mut()[at] += since.elapsed();
            let begun = std::time::Instant::now();
            node.sandbox(node.sandbox_spec(&id)).await;
            step(0, begun);
            let mut spec = node.shell(&format!("c{i}"), &id, "");
            spec.args = vec!["/bin/sleep".into(), "1000".into()];
            let begun = std::time::Instant::now();
            node.supervisor.create_container(spec).await.unwrap();
            step(1, begun);
            let begun = std::time::Instant::now();
            node.supervisor.start_container(&format!("c{i}")).await.unwrap();
            step(2, begun);
            ids.push(id);
        }
        let each = started.elapsed() / PODS as u32;
        let pid = node.supervisor.version().await.unwrap().1;
        let private = private_kib(pid);
        let [sandbox, create, start] = steps.into_inner().map(|s| s / PODS as u32);
        eprintln!("one Pod: {each:?} (sandbox {sandbox:?}, create {create:?}, start {start:?})");
        eprintln!("supervisor with {PODS} Pods: {private} KiB private and written");
        // Far above what is expected, to hold on a busy machine in a debug build.
        assert!(each < patient(std::time::Duration::from_millis(100)), "{each:?}");
        assert!(private < 2048, "{private} KiB");
        let started = std::time::Instant::now();
        for (i, id) in ids.iter().enumerate() {
            node.supervisor.remove_container(&format!("c{i}")).await.unwrap();
            node.supervisor.remove_sandbox(id).await.unwrap();
        }
        eprintln!("teardown of one Pod: {:?}", started.elapsed() / PODS as u32);
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        assert!(fds < 20, "{fds} descriptors are left open");
        while node.events.try_recv().is_ok() {}
        node
    });
}

fn private_kib(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let field = |name: &str| {
        let line = text.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    // The program file's pages are shared with the daemon in the product.
    field("Anonymous")
}
