//! `minke server` processes on one etcd cluster, each with a data directory of its own and the same
//! certificates; ended by process id.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use client::{Client, Https, Kubeconfig};
use env::Env;
use std::sync::Arc;
use testkit::etcd::{Etcd, free_port};
use testkit::wait_for;

pub struct Servers {
    pub etcd: Etcd,
    dir: PathBuf,
    ports: Vec<u16>,
    children: Vec<Option<Child>>,
}

impl Servers {
    /// `members` of etcd, with TLS, and `servers` on them.
    pub fn start(members: usize, servers: usize) -> Servers {
        let etcd = Etcd::start(members, true);
        let ports: Vec<u16> = (0..servers).map(|_| free_port()).collect();
        let dir = std::env::temp_dir().join(format!("minke-servers-{}-{}", std::process::id(), ports[0]));
        fs::create_dir_all(&dir).expect("a temporary directory");
        let mut all = Servers { etcd, dir, ports, children: (0..servers).map(|_| None).collect() };
        for n in 0..servers {
            if n > 0 {
                let pki = all.dir.join(format!("pki{n}"));
                fs::create_dir(&pki).expect("writable");
                for file in ["ca.crt", "ca.key", "sa.key"] {
                    fs::copy(all.dir.join("pki0").join(file), pki.join(file)).expect("made by the first");
                }
            }
            all.restart(n);
        }
        all
    }

    fn data(&self, n: usize) -> PathBuf {
        self.dir.join(format!("s{n}"))
    }

    /// Starts a server, again after it was killed, and waits until it is ready.
    pub fn restart(&mut self, n: usize) {
        self.kill(n);
        let ready = self.data(n).join("ready");
        let _not_there = fs::remove_file(&ready);
        let log = self.dir.join(format!("s{n}.log"));
        let log = fs::OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        let flag = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
        let child = Command::new(env!("CARGO_BIN_EXE_minke"))
            .arg("server")
            .arg(flag("data-dir", &self.data(n).display()))
            .arg(flag("pki-dir", &self.dir.join(format!("pki{n}")).display()))
            .arg(flag("api-port", &self.ports[n]))
            .arg("--advertise-address=127.0.0.1")
            .arg(flag("datastore-endpoints", &self.etcd.endpoints().join(",")))
            .arg(flag("datastore-cafile", &self.etcd.file("ca.crt").display()))
            .arg(flag("datastore-certfile", &self.etcd.file("client.crt").display()))
            .arg(flag("datastore-keyfile", &self.etcd.file("client.key").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        self.children[n] = Some(child);
        let child = &mut self.children[n];
        wait_for("the server is ready", || {
            let ended = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "server {n} ended: {}", self.dir.display());
            ready.exists().then_some(())
        });
    }

    /// `kill -9`.
    pub fn kill(&mut self, n: usize) {
        if let Some(mut child) = self.children[n].take() {
            child.kill().expect("it runs");
            child.wait().expect("reaped");
        }
    }

    /// SIGTERM, and waits for its end.
    pub fn end(&mut self, n: usize) {
        if let Some(mut child) = self.children[n].take() {
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
            child.wait().expect("reaped");
        }
    }

    /// An administrator's client of one server.
    pub fn client(&self, env: &Env, n: usize) -> Client {
        let config = Kubeconfig::read(&self.data(n).join("admin.kubeconfig"), None).expect("a kubeconfig");
        Client::new(Arc::new(Https::new(env, &config).expect("a server")), "test")
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..self.children.len()).for_each(|n| self.kill(n));
        if std::thread::panicking() {
            eprintln!("logs: {}", self.dir.display());
        } else {
            let _best_effort = fs::remove_dir_all(&self.dir);
        }
    }
}
