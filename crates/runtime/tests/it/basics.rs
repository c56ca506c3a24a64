//! Start, exit, logs, exec, errors.

use crate::harness::*;
use runtime::*;

#[test]
fn a_container_runs_logs_and_exits() {
    on_node(|mut node| async move {
        let info = node.sandbox(node.sandbox_spec("p")).await;
        assert!(info.netns.is_some());
        let script = "echo out; echo err >&2; hostname; echo $HOME $PATH; printf tail; exit 7";
        let (exit, output) = node.run(node.shell("c", "p", script)).await;
        assert_eq!((exit.code, exit.signal, exit.oom_killed), (7, None, false));
        assert_eq!(output, "out\npod-host\n/root /bin\ntailerr\n");
        let log = node.log("c");
        assert!(log.contains(" stderr F err\n"), "{log}");
        assert!(log.contains(" stdout P tail\n"), "{log}");
        let status = node.supervisor.list().await.unwrap().containers.remove(0);
        assert_eq!(status.state, State::Exited);
        assert!(status.exit.unwrap().finished_at >= status.started.unwrap().started_at);
        node.supervisor.remove_container("c").await.unwrap();
        node.supervisor.remove_sandbox("p").await.unwrap();
        assert_eq!(node.supervisor.list().await.unwrap(), Inventory::default());
        node
    });
}

#[test]
fn start_errors_are_worded_as_runc_words_them() {
    on_node(|node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        std::fs::write(node.rootfs().join("tmp/text"), "no program").unwrap();
        let with = |id: &str, args: &[&str], change: &dyn Fn(&mut ContainerSpec)| {
            let mut spec = node.shell(id, "p", "");
            spec.args = args.iter().map(|a| (*a).to_owned()).collect();
            change(&mut spec);
            spec
        };
        let same = |_: &mut ContainerSpec| {};
        let table: [(ContainerSpec, &str); 6] = [
            (with("a", &["foo"], &same), "exec: \"foo\": executable file not found in $PATH"),
            (with("b", &["/bin/foo"], &same), "exec: \"/bin/foo\": stat /bin/foo: no such file or directory"),
            (with("c", &["/tmp"], &same), "exec: \"/tmp\": is a directory"),
            (with("d", &["/etc/passwd"], &same), "exec: \"/etc/passwd\": permission denied"),
            (
                with("e", &["/bin/sh"], &|s| s.user.spec = UserSpec::Name("ghost".into())),
                "unable to find user ghost: no matching entries in passwd file",
            ),
            (
                with("f", &["/bin/sh"], &|s| s.cwd = "/etc/passwd".into()),
                "chdir to cwd (\"/etc/passwd\") set in config.json failed: not a directory",
            ),
        ];
        for (spec, words) in table {
            let id = spec.id.clone();
            let error = node.start(spec).await.unwrap_err();
            assert_eq!(error.message, format!("unable to start container process: {words}"));
            assert_eq!(error.kind, ErrorKind::Start);
            let list = node.supervisor.list().await.unwrap();
            let status = list.containers.iter().find(|c| c.id == id).unwrap();
            assert_eq!((status.state, status.exit.unwrap().code), (State::Exited, 128));
            node.supervisor.remove_container(&id).await.unwrap();
        }
        // A bad mount is the node's fault, not the program's.
        let mut spec = node.shell("g", "p", "");
        spec.mounts.push(Mount {
            destination: "/data".into(),
            kind: MountKind::Bind {
                source: "/no/such/source".into(),
                recursive: true,
                propagation: Propagation::Private,
            },
            read_only: false,
            recursive_read_only: false,
        });
        let error = node.start(spec).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Setup);
        assert_eq!(error.message, "mount /no/such/source at /data: no such file or directory");
        node
    });
}

#[test]
fn exec_gives_streams_and_exit() {
    on_node(|node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let mut spec = node.shell("c", "p", "echo up; sleep 1000; true");
        spec.oom_score_adj = Some(500);
        node.start(spec).await.unwrap();
        let script = "echo out; echo err >&2; cat /proc/self/oom_score_adj; exit 3";
        let (exit, out, err) = node.exec("c", &["sh", "-c", script]).await.unwrap();
        assert_eq!((exit.code, out.as_str(), err.as_str()), (3, "out\n500\n", "err\n"));
        let error = node.exec("c", &["nope"]).await.unwrap_err();
        assert_eq!(error.message, "exec: \"nope\": executable file not found in $PATH");
        assert_eq!(error.kind, ErrorKind::Start);
        assert_eq!(node.exec("ghost", &["true"]).await.unwrap_err().kind, ErrorKind::NotFound);
        // Namespaces, root, cgroup and environment are the container's.
        let (_, out, _) =
            node.exec("c", &["sh", "-c", "hostname; cat /proc/1/cmdline | tr '\\0' ' '"]).await.unwrap();
        assert_eq!(out, "pod-host\n/bin/sh -c echo up; sleep 1000; true ");
        let mut spec = ExecSpec {
            container_id: "c".into(),
            args: vec!["sh".into(), "-c".into(), "id -u; pwd; echo $A".into()],
            env: vec!["A=b".into()],
            cwd: Some("/tmp".into()),
            user: Some(User { spec: UserSpec::Name("web".into()), ..Default::default() }),
            ..Default::default()
        };
        let (_, out, _) = node.exec_spec(spec.clone()).await.unwrap();
        assert_eq!(out, "33\n/tmp\nb\n");
        // A probe that is too slow is killed with what it started.
        spec.args = vec!["sh".into(), "-c".into(), "sleep 1000 & wait".into()];
        let mut handle = node.supervisor.exec(spec).await.unwrap();
        handle.signal(9).await.unwrap();
        assert_eq!(handle.wait().await.unwrap().code, 137);
        node
    });
}

#[test]
fn signals_reach_one_or_all() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let script = "trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.01; done";
        node.start(node.shell("a", "p", script)).await.unwrap();
        node.wait_output("a", "up").await;
        node.supervisor.signal("a", 15, false).await.unwrap();
        assert_eq!(node.exit("a").await.code, 5);
        node.start(node.shell("b", "p", "sleep 1000 & wait")).await.unwrap();
        node.supervisor.signal("b", 9, true).await.unwrap();
        let exit = node.exit("b").await;
        assert_eq!((exit.code, exit.signal), (137, Some(9)));
        let error = node.supervisor.signal("b", 15, false).await.unwrap_err();
        assert_eq!(error.message, "container \"b\" is not running");
        node
    });
}

#[test]
fn bad_specifications_are_refused_with_the_reason() {
    on_node(|node| async move {
        let s = &node.supervisor;
        let mut spec = node.sandbox_spec("../p");
        assert_eq!(s.create_sandbox(spec.clone()).await.unwrap_err().message, "invalid id \"../p\"");
        spec.id = "p".into();
        spec.sysctls = vec![("kernel.panic".into(), "1".into())];
        let words = "sysctl \"kernel.panic\" is not in a separate kernel namespace of the sandbox";
        assert_eq!(s.create_sandbox(spec.clone()).await.unwrap_err().message, words);
        spec.sysctls.clear();
        s.create_sandbox(spec.clone()).await.unwrap();
        assert_eq!(s.create_sandbox(spec).await.unwrap_err().kind, ErrorKind::AlreadyExists);
        let mut container = node.shell("c", "q", "");
        assert_eq!(s.create_container(container.clone()).await.unwrap_err().kind, ErrorKind::NotFound);
        container.sandbox_id = "p".into();
        container.args.clear();
        assert_eq!(s.create_container(container.clone()).await.unwrap_err().message, "no command specified");
        container.args.push("x".into());
        container.seccomp = Seccomp::Profile("{".into());
        let error = s.create_container(container.clone()).await.unwrap_err();
        assert!(error.message.starts_with("cannot load seccomp profile"), "{error}");
        container.seccomp = Seccomp::Unconfined;
        container.apparmor_profile = Some("x".into());
        let error = node.start(container.clone()).await.unwrap_err();
        if std::path::Path::new("/sys/kernel/security/apparmor").exists() {
            assert!(error.message.contains("apparmor"), "{error}");
        } else {
            assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        }
        let error = s.remove_sandbox("p").await.unwrap_err();
        assert_eq!(error.message, "sandbox \"p\" still has container \"c\"");
        node
    });
}
