//! The Python client creates, watches, execs into and deletes a Pod.

use std::process::Command;

use testkit::{Cluster, tool_dir};

#[test]
fn the_python_client_creates_watches_execs_and_deletes() {
    let python = tool_dir().join("venv/bin/python");
    assert!(python.exists(), "{} is missing: run `cargo xtask prepare` first", python.display());
    let cluster = Cluster::start("python", &[]);
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python_client.py"));
    command.arg(cluster.dir().join("admin.kubeconfig"));
    let output = cluster.inside(|| command.output()).expect("python can be run");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let want = "phase Running\nexec over websocket\ncode 7\nlog serving on port 8080\npatched python\ngone 404 Not Found\n";
    assert_eq!(text, want, "{errors}");
}
