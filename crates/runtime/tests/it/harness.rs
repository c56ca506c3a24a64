//! One instance per test, a busybox root, and the check that nothing is left.

use runtime::*;
use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// Every wait on a condition ends by then.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A duration, longer where the machine is known to be slow (`MINKE_TEST_PATIENCE`, a factor).
pub fn patient(duration: Duration) -> Duration {
    let factor = std::env::var("MINKE_TEST_PATIENCE").ok().and_then(|factor| factor.parse().ok());
    duration * factor.unwrap_or(1)
}

pub struct Node {
    pub config: Config,
    pub base: PathBuf,
    pub supervisor: Supervisor,
    pub events: mpsc::Receiver<Event>,
    driver: tokio::task::JoinHandle<Error>,
}

/// Path of the example program, beside the test's own directory.
pub fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/supervisor")
}

fn mounts() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Runs a test on a fresh instance and checks what is left of it.
pub fn on_node<F: Future<Output = Node>>(test: impl FnOnce(Node) -> F) {
    assert!(Path::new("/bin/busybox").exists(), "these tests need a static /bin/busybox");
    let before = mounts();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("minke-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let base = std::env::temp_dir().join(&name);
    std::fs::create_dir_all(&base).unwrap();
    let config = Config { instance: name, dir: base.join("run"), program: program(), place_daemon: false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pid = runtime.block_on(async {
        // A failing test must not leave its containers behind either.
        let guard = Guard(config.clone(), base.clone());
        let node = Node::connect(config.clone(), base.clone()).await;
        let node = tokio::time::timeout(patient(2 * DEADLINE), test(node)).await.expect("the test hangs");
        let pid = node.supervisor.version().await.unwrap().1;
        node.driver.abort();
        drop(guard);
        pid
    });
    // The kernel has it in /proc a moment longer than in its cgroup.
    runtime.block_on(until(|| !alive(pid), "end of the supervisor"));
    let left: Vec<_> =
        mounts().difference(&before).filter(|l| l.contains(&config.instance)).cloned().collect();
    assert_eq!(left, Vec::<String>::new(), "mounts are left");
    for root in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        assert!(!root.path().join(&config.instance).exists(), "{:?} is left", root.path());
    }
    let named =
        || std::fs::read_to_string("/proc/self/cgroup").unwrap().contains(&format!("={}:", config.instance));
    runtime.block_on(until(|| !named(), "end of the named hierarchy"));
    assert!(!base.exists());
}

struct Guard(Config, PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(text) = std::fs::read_to_string(self.0.dir.join("supervisor.log"))
        {
            eprintln!("supervisor.log: {text}");
        }
        cleanup(&self.0.instance, &self.0.dir).unwrap();
        std::fs::remove_dir_all(&self.1).unwrap();
    }
}

impl Node {
    pub async fn connect(config: Config, base: PathBuf) -> Node {
        let (supervisor, driver, events) = Supervisor::connect_or_start(&config).await.unwrap();
        let driver = tokio::spawn(driver.run());
        Node { config, base, supervisor, events, driver }
    }

    /// The daemon dies and a new one comes.
    pub async fn restart_daemon(self) -> Node {
        self.driver.abort();
        let _ = self.driver.await;
        drop(self.supervisor);
        Node::connect(self.config, self.base).await
    }

    /// Waits for the driver to notice that the supervisor is gone.
    pub async fn driver_ends(&mut self) -> Error {
        tokio::time::timeout(patient(DEADLINE), &mut self.driver).await.expect("the driver goes on").unwrap()
    }

    /// A root directory with busybox and the usual files.
    pub fn rootfs(&self) -> PathBuf {
        let root = self.base.join("image");
        if !root.exists() {
            for dir in ["bin", "etc", "tmp", "root", "home/web"] {
                std::fs::create_dir_all(root.join(dir)).unwrap();
            }
            std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
            for tool in TOOLS {
                std::os::unix::fs::symlink("busybox", root.join("bin").join(tool)).unwrap();
            }
            let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
            write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/home/web:/bin/sh\n");
            write("etc/group", "root:x:0:\nwww:x:34:\nlogs:x:4:web\n");
        }
        root
    }

    pub async fn sandbox(&self, spec: SandboxSpec) -> SandboxInfo {
        self.supervisor.create_sandbox(spec).await.unwrap()
    }

    pub fn sandbox_spec(&self, id: &str) -> SandboxSpec {
        SandboxSpec {
            id: id.into(),
            hostname: "pod-host".into(),
            cgroup_path: format!("kubepods/pod-{id}"),
            ..Default::default()
        }
    }

    /// A container with an overlay root that runs a shell script.
    pub fn shell(&self, id: &str, sandbox: &str, script: &str) -> ContainerSpec {
        let logs = self.base.join("logs");
        std::fs::create_dir_all(&logs).unwrap();
        ContainerSpec {
            id: id.into(),
            sandbox_id: sandbox.into(),
            rootfs: Rootfs::Overlay {
                lower: vec![self.rootfs()],
                upper: self.base.join(id).join("upper"),
                work: self.base.join(id).join("work"),
            },
            args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec!["PATH=/bin".into()],
            capabilities: Capabilities::same(caps::DEFAULT),
            seccomp: Seccomp::RuntimeDefault,
            log: Some(LogSpec { path: logs.join(id), ..Default::default() }),
            ..Default::default()
        }
    }

    pub async fn start(&self, spec: ContainerSpec) -> Result<Started> {
        let id = spec.id.clone();
        self.supervisor.create_container(spec).await?;
        self.supervisor.start_container(&id).await
    }

    /// Waits for the exit of one container.
    pub async fn exit(&mut self, id: &str) -> Exit {
        let wait = async {
            loop {
                match self.events.recv().await.expect("events end") {
                    Event::Exited { id: other, exit } if other == id => return exit,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(patient(DEADLINE), wait).await.unwrap_or_else(|_| panic!("{id} does not end"))
    }

    /// Runs to the end: (exit, output without log decoration).
    pub async fn run(&mut self, spec: ContainerSpec) -> (Exit, String) {
        let id = spec.id.clone();
        self.start(spec).await.unwrap();
        let exit = self.exit(&id).await;
        (exit, self.output(&id))
    }

    pub fn log(&self, id: &str) -> String {
        std::fs::read_to_string(self.base.join("logs").join(id)).unwrap_or_default()
    }

    /// The log's text without time, stream and tag: stdout, then stderr.
    pub fn output(&self, id: &str) -> String {
        let mut out = [String::new(), String::new()];
        for line in self.log(id).lines() {
            let mut parts = line.splitn(4, ' ').skip(1);
            let mut next = || parts.next().unwrap();
            let (stream, tag, text) = (next(), next(), next());
            let out = &mut out[usize::from(stream == "stderr")];
            out.push_str(text);
            if tag == "F" {
                out.push('\n');
            }
        }
        out.concat()
    }

    /// Waits until the container has written `text`.
    pub async fn wait_output(&self, id: &str, text: &str) {
        until(|| self.output(id).contains(text), &format!("{text:?} in the log of {id}")).await;
    }

    /// Runs a command in a container to its end: (exit, stdout, stderr).
    pub async fn exec(&self, id: &str, args: &[&str]) -> Result<(Exit, String, String)> {
        let spec = ExecSpec {
            container_id: id.into(),
            args: args.iter().map(|a| (*a).to_owned()).collect(),
            ..Default::default()
        };
        self.exec_spec(spec).await
    }

    pub async fn exec_spec(&self, spec: ExecSpec) -> Result<(Exit, String, String)> {
        let mut handle = self.supervisor.exec(spec).await?;
        let (mut out, mut err) = (String::new(), String::new());
        handle.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
        handle.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
        Ok((handle.wait().await?, out, err))
    }
}

/// True while the process exists and is no zombie.
pub fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

/// Waits for a condition of the outside world.
pub async fn until(mut condition: impl FnMut() -> bool, what: &str) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(patient(DEADLINE), wait).await.unwrap_or_else(|_| panic!("no {what}"))
}

const TOOLS: [&str; 30] = [
    "sh", "cat", "ls", "echo", "sleep", "id", "hostname", "mount", "grep", "readlink", "stat", "touch",
    "mkdir", "rm", "head", "tail", "dd", "yes", "kill", "ps", "true", "false", "wc", "tr", "stty", "env",
    "sort", "mknod", "umount", "tty",
];
