//! The smallest program around this crate, for the tests: the supervisor, as the product starts
//! itself, and a daemon that starts one container and then waits to be killed.

use runtime::{Config, ContainerSpec, Rootfs, SandboxSpec, Supervisor};

fn main() {
    let mut args = std::env::args_os().skip(1);
    match args.next().and_then(|a| a.into_string().ok()).as_deref() {
        Some("supervisor") => runtime::supervisor::main(args),
        Some("daemon") => daemon(args.map(|a| a.to_string_lossy().into_owned()).collect()),
        _ => {
            eprintln!("usage: supervisor supervisor --instance NAME --dir DIR < LISTENING-SOCKET");
            eprintln!("       supervisor daemon NAME DIR ROOTFS LOG SCRIPT");
            std::process::exit(2);
        }
    }
}

fn daemon(args: Vec<String>) {
    let [instance, dir, root, log, script] = args.try_into().expect("five arguments");
    let config = Config { instance, dir: dir.into(), program: "/proc/self/exe".into(), place_daemon: true };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let (supervisor, driver, _events) = Supervisor::connect_or_start(&config).await.expect("supervisor");
        // The connection is carried beside the calls, without a task of its own.
        let pod = async move {
            let sandbox =
                SandboxSpec { id: "p".into(), cgroup_path: "kubepods/p".into(), ..Default::default() };
            supervisor.create_sandbox(sandbox).await.expect("sandbox");
            let spec = ContainerSpec {
                id: "c".into(),
                sandbox_id: "p".into(),
                rootfs: Rootfs::Dir(root.into()),
                args: vec!["/bin/sh".into(), "-c".into(), script],
                log: Some(runtime::LogSpec { path: log.into(), ..Default::default() }),
                labels: runtime::Opaque(b"mine".to_vec()),
                ..Default::default()
            };
            supervisor.create_container(spec).await.expect("container");
            supervisor.start_container("c").await.expect("start");
            println!("ready");
            std::future::pending::<()>().await
        };
        tokio::join!(driver.run(), pod);
    });
}
