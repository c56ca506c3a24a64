//! `minke store` on a data directory whose daemon runs, whose daemon does not, and on etcd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use testkit::etcd::{Etcd, free_port};
use testkit::wait_for;

fn minke(args: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_minke")).args(args).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A directory and the daemon on it; both end with their owner.
struct Daemon {
    child: Option<Child>,
    dir: PathBuf,
}

impl Daemon {
    fn new(name: &str) -> Daemon {
        let dir = std::env::temp_dir().join(format!("minke-store-{name}-{}", std::process::id()));
        Daemon { child: None, dir }
    }

    fn start(&mut self) {
        let _none = fs::remove_file(self.dir.join("ready"));
        let child = Command::new(env!("CARGO_BIN_EXE_minke"))
            .args(["up", "--api-only", "--node-ip=127.0.0.1", "--data-dir"])
            .arg(&self.dir)
            .arg(format!("--api-port={}", free_port()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("the program starts"));
        wait_for("it is ready", || self.dir.join("ready").exists().then_some(()));
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("reaped");
        }
    }

    fn flag(&self) -> String {
        format!("--data-dir={}", self.dir.display())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        let _best_effort = fs::remove_dir_all(&self.dir);
    }
}

fn keys(source: &[&str]) -> Vec<String> {
    let list = minke(&[&["store", "list", "/registry/namespaces/"], source].concat()).expect("listed");
    list.lines().map(str::to_string).collect()
}

#[test]
fn a_store_is_saved_while_it_runs_and_restored_elsewhere() {
    let (mut old, mut new) = (Daemon::new("old"), Daemon::new("new"));
    let nothing = minke(&["store", "list", &old.flag()]);
    assert!(nothing.expect_err("nothing is there").contains("no cluster was started"));
    old.start();
    let online = keys(&[&old.flag()]);
    assert!(online.contains(&"/registry/namespaces/default".to_string()), "{online:?}");
    let namespace = minke(&["store", "get", "/registry/namespaces/default", &old.flag()]).expect("read");
    assert!(namespace.contains(r#""kind":"Namespace""#), "{namespace}");
    let missing = minke(&["store", "get", "/registry/namespaces/none", &old.flag()]);
    assert!(missing.expect_err("none").contains("there is no key"));
    let file = old.dir.join("snapshot");
    let file_name = file.display().to_string();
    let saved = minke(&["store", "snapshot", "save", &file_name, &old.flag()]).expect("saved");
    assert!(saved.contains("keys at revision"), "{saved}");
    old.kill();
    assert_eq!(keys(&[&old.flag()]), online, "the files say the same");

    let full = minke(&["store", "snapshot", "restore", &file_name, &old.flag()]);
    assert!(full.expect_err("it is not empty").contains("already holds a store"));
    minke(&["store", "snapshot", "restore", &file_name, &new.flag()]).expect("restored");
    assert_eq!(keys(&[&new.flag()]), online);
    copy_pki(&old.dir, &new.dir);
    new.start();
    assert_eq!(keys(&[&new.flag()]), online, "a daemon runs on it");
    fs::write(&file, "{}").expect("writable");
    let broken = minke(&["store", "snapshot", "restore", &file_name, &new.flag()]);
    assert!(broken.expect_err("broken").contains("no whole snapshot"));
}

fn copy_pki(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("pki")).expect("writable");
    for name in ["ca.crt", "ca.key", "sa.key"] {
        fs::copy(from.join("pki").join(name), to.join("pki").join(name)).expect("it is there");
    }
}

#[test]
fn the_same_on_etcd() {
    let (first, second) = (Etcd::start(1, false), Etcd::start(1, false));
    let mut daemon = Daemon::new("for-etcd");
    daemon.start();
    let file = daemon.dir.join("snapshot").display().to_string();
    minke(&["store", "snapshot", "save", &file, &daemon.flag()]).expect("saved");
    let there = keys(&[&daemon.flag()]);
    let flag = |etcd: &Etcd| format!("--datastore-endpoints={}", etcd.endpoints()[0]);
    minke(&["store", "snapshot", "restore", &file, &flag(&first)]).expect("restored");
    assert_eq!(keys(&[&flag(&first)]), there);
    let full = minke(&["store", "snapshot", "restore", &file, &flag(&first)]);
    assert!(full.expect_err("it is not empty").contains("etcd is not empty"));
    minke(&["store", "snapshot", "save", &file, &flag(&first)]).expect("saved");
    minke(&["store", "snapshot", "restore", &file, &flag(&second)]).expect("restored");
    assert_eq!(keys(&[&flag(&second)]), there);
}
