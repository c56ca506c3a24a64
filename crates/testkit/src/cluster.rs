//! A real cluster: the program itself, started in a network namespace without a route outside, and
//! kubectl beside it. Dropped, it is taken down with everything it had.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use netlink::{in_netns, new_netns};
use serde_json::Value;

use crate::wait_for;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub struct Cluster {
    netns: OwnedFd,
    dir: PathBuf,
    args: Vec<String>,
    program: PathBuf,
    purged: bool,
    /// Manifests written so far: checks that run at once must not share a file.
    manifests: AtomicU32,
}

/// Where the tests' tools are unpacked: `target/tools`.
pub fn tool_dir() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("crates/testkit lies two levels deep").join("target/tools")
}

/// Debian's kubectl, as `cargo xtask prepare` unpacks it, or the one `MINKE_TEST_KUBECTL` names.
pub fn kubectl_path() -> PathBuf {
    match std::env::var_os("MINKE_TEST_KUBECTL") {
        Some(path) => path.into(),
        None => tool_dir().join("kubernetes-client/usr/bin/kubectl"),
    }
}

/// An image of documented manifests, as `cargo xtask images` makes it from Debian packages.
pub fn image_archive(name: &str) -> PathBuf {
    let path = tool_dir().with_file_name("images").join(format!("{name}.tar"));
    assert!(path.exists(), "{} is missing: run `cargo xtask images` first", path.display());
    path
}

/// The program under test, beside the test binary.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let path = test.ancestors().nth(2).expect("target/<profile>/deps/test").join("minke");
    assert!(path.exists(), "{} is missing: run `cargo build -p minke` first", path.display());
    path
}

impl Cluster {
    /// Starts a cluster and waits until it is ready. Needs root.
    pub fn start(name: &str, args: &[&str]) -> Cluster {
        let cluster = Cluster::prepare(name, args);
        let output = cluster.up();
        assert_eq!(output.code, 0, "the cluster does not start: {}{}", output.stdout, output.stderr);
        cluster
    }

    /// A started cluster that had these images before its first start.
    pub fn start_with_images(name: &str, args: &[&str], images: &[&str]) -> Cluster {
        let cluster = Cluster::prepare(name, args);
        for image in images {
            let archive = image_archive(image);
            let output = cluster.minke(&["image", "import", archive.to_str().expect("UTF-8")]);
            assert_eq!(output.code, 0, "{}", output.stderr);
        }
        let output = cluster.up();
        assert_eq!(output.code, 0, "the cluster does not start: {}{}", output.stdout, output.stderr);
        cluster
    }

    /// A cluster that is not started yet.
    pub fn prepare(name: &str, args: &[&str]) -> Cluster {
        let dir = std::env::temp_dir().join(format!("minke-e2e-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("the temporary directory is writable");
        let netns = new_netns().expect("these tests need root");
        // A fresh namespace has its loopback down.
        in_netns(netns.as_fd(), || netlink::Socket::open()?.configure(&[1], &[], &[], &[]))
            .and_then(|done| done)
            .expect("loopback comes up");
        Cluster {
            netns,
            dir,
            args: args.iter().map(|arg| (*arg).to_string()).collect(),
            program: program(),
            purged: false,
            manifests: AtomicU32::new(0),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn netns(&self) -> &OwnedFd {
        &self.netns
    }

    /// The program under test.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The instance's name, as its cgroup has it.
    pub fn instance(&self) -> String {
        let run = fs::read_to_string(self.dir.join("run.json")).expect("a node was started");
        let run: Value = serde_json::from_str(&run).expect("JSON");
        run["instance"].as_str().expect("a name").to_string()
    }

    /// `minke up --detach`.
    pub fn up(&self) -> Output {
        let mut args = vec!["up", "--detach", "--node-name", "n1", "--log", "info"];
        args.extend(self.args.iter().map(String::as_str));
        self.minke(&args)
    }

    /// The program with the cluster's data directory.
    pub fn minke(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--data-dir").arg(&self.dir);
        self.run(command)
    }

    fn run(&self, mut command: Command) -> Output {
        command.env("KUBECONFIG", self.dir.join("admin.kubeconfig")).stdin(Stdio::null());
        command.env("HOME", &self.dir);
        let output = self.inside(|| command.output()).expect("the program can be run");
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs on a thread inside the cluster's network.
    pub fn inside<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        in_netns(self.netns.as_fd(), work).expect("root may enter network namespaces")
    }

    pub fn kubectl(&self, args: &[&str]) -> Output {
        let mut command = Command::new(kubectl_path());
        command.args(args);
        self.run(command)
    }

    /// kubectl that must succeed; what it printed.
    #[track_caller]
    pub fn kubectl_ok(&self, args: &[&str]) -> String {
        let output = self.kubectl(args);
        assert_eq!(output.code, 0, "kubectl {args:?}: {}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// kubectl that goes on in the background; the caller ends it.
    pub fn kubectl_spawn(&self, args: &[&str]) -> Child {
        let mut command = Command::new(kubectl_path());
        command.args(args).env("KUBECONFIG", self.dir.join("admin.kubeconfig")).env("HOME", &self.dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.inside(|| command.spawn()).expect("kubectl can be run")
    }

    /// One of the program's own client commands.
    pub fn client(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(args);
        self.run(command)
    }

    /// One of the program's own client commands, its output going to `stdout`.
    pub fn minke_into(&self, stdout: impl Into<Stdio>, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(args).stdout(stdout.into());
        self.run(command)
    }

    /// A manifest as a file below the data directory.
    pub fn manifest(&self, text: &str) -> String {
        let number = self.manifests.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("manifest-{number}.yaml"));
        fs::write(&path, text).expect("writable");
        path.to_str().expect("UTF-8").to_string()
    }

    /// Applies manifests given as text.
    #[track_caller]
    pub fn apply(&self, manifest: &str) -> String {
        self.kubectl_ok(&["apply", "-f", &self.manifest(manifest)])
    }

    /// What a shell command in a container prints, without blanks around it.
    #[track_caller]
    pub fn sh(&self, pod: &str, container: &str, script: &str) -> String {
        self.kubectl_ok(&["exec", pod, "-c", container, "--", "sh", "-c", script]).trim().to_string()
    }

    /// Events of one object, oldest first: `TYPE REASON MESSAGE` a line.
    pub fn events(&self, name: &str) -> String {
        let selector = format!("involvedObject.name={name}");
        let format = "jsonpath={range .items[*]}{.metadata.creationTimestamp} {.type} {.reason} {.message}{\"\\n\"}{end}";
        let all = self.kubectl_ok(&["get", "events", "--field-selector", &selector, "-o", format]);
        let mut lines: Vec<&str> = all.lines().collect();
        lines.sort_by_key(|line| line.split(' ').next());
        let told = lines.iter().filter_map(|line| line.split_once(' ')).map(|(_, event)| event);
        told.collect::<Vec<_>>().join("\n")
    }

    /// Waits until an event of the object contains a text.
    #[track_caller]
    pub fn wait_event(&self, name: &str, text: &str) {
        wait_for(&format!("an event of {name}: {text}"), || self.events(name).contains(text).then_some(()));
    }

    /// One field of one object by JSONPath.
    #[track_caller]
    pub fn field(&self, kind: &str, name: &str, path: &str) -> String {
        self.kubectl(&["get", kind, name, "-o", &format!("jsonpath={{{path}}}")]).stdout
    }

    /// Waits until a field has a value.
    #[track_caller]
    pub fn wait_field(&self, kind: &str, name: &str, path: &str, want: &str) {
        let mut last = String::new();
        let what = format!("{kind}/{name} {path} = {want}");
        wait_for(&what, || {
            last = self.field(kind, name, path);
            (last == want).then_some(())
        });
    }

    /// Fetches a page over plain HTTP; `None` if nobody answers.
    pub fn get(&self, address: SocketAddr, path: &str) -> Option<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        self.inside(|| {
            let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).ok()?;
            stream.set_read_timeout(Some(CONNECT_TIMEOUT)).ok()?;
            stream.write_all(request.as_bytes()).ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            answer.split_once("\r\n\r\n").map(|(_, body)| body.to_string())
        })
    }

    /// The process that runs the cluster.
    pub fn daemon_pid(&self) -> i32 {
        let text = fs::read_to_string(self.dir.join("minke.lock")).expect("it was started");
        text.trim().parse().expect("a number")
    }

    /// `kill -9` of the daemon; returns once it is gone.
    pub fn kill_daemon(&self) {
        self.end_daemon("-KILL");
    }

    fn end_daemon(&self, signal: &str) {
        let pid = self.daemon_pid();
        let killed = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill exists");
        assert!(killed.success(), "the daemon was not running");
        wait_for("the daemon is gone", || {
            let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // A zombie has let go of everything; its parent is this test or init.
            (status.is_empty() || status.contains(") Z")).then_some(())
        });
        // Unless another of its threads is still on its way out.
        let lock = fs::File::open(self.dir.join("minke.lock")).expect("it was started");
        wait_for("the data directory is free", || lock.try_lock_shared().is_ok().then_some(()));
    }

    /// From now on another file is the program: a copy, as an upgrade would bring it.
    pub fn upgrade_program(&mut self) {
        let copy = self.dir.with_extension("program");
        fs::copy(&self.program, &copy).expect("the temporary directory is writable");
        self.program = copy;
    }

    /// Asks the daemon to end, as a service manager does; returns once it is gone.
    pub fn stop_daemon(&self) {
        self.end_daemon("-TERM");
    }

    /// `minke down --purge`.
    pub fn down(&mut self) -> Output {
        self.purged = true;
        self.minke(&["down", "--purge"])
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(log) = fs::read_to_string(self.dir.join("minke.log"))
        {
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- end of the daemon's log:");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
        if !self.purged && self.dir.exists() {
            let _ = self.minke(&["down", "--purge"]);
        }
        let _ = fs::remove_dir_all(&self.dir);
        let _ = fs::remove_file(self.dir.with_extension("program"));
    }
}
