//! `cargo xtask demo`: builds the program, starts a cluster, runs a Pod and fetches its page, by its
//! Pod address and through port-forward; then leaves the cluster running and says how to use it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::run::{capture, run};

const PROGRAM: &str = "target/minke";
const DATA_DIR: &str = "/var/lib/minke";
const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: hello
spec:
  containers:
  - name: web
    image: minke.local/toolbox
    imagePullPolicy: IfNotPresent
    ports:
    - containerPort: 8080
";

pub fn demo() -> Result<(), String> {
    run("cargo", &["build", "--release", "--package", "minke", "--features", "descriptions"])?;
    let built =
        capture("sh", &["-c", "ls -t target/*/release/minke target/release/minke 2>/dev/null | head -1"])?;
    // A running daemon keeps its own file: the new one replaces it by rename.
    std::fs::copy(built.trim(), format!("{PROGRAM}.new"))
        .map_err(|error| format!("{}: {error}", built.trim()))?;
    std::fs::rename(format!("{PROGRAM}.new"), PROGRAM).map_err(|error| format!("{PROGRAM}: {error}"))?;
    let running =
        capture(PROGRAM, &["get", "nodes", "--kubeconfig", &format!("{DATA_DIR}/admin.kubeconfig")]).is_ok();
    if !running {
        run(PROGRAM, &["up", "--detach"])?;
    }
    let manifest = "target/hello.yaml";
    std::fs::write(manifest, POD).map_err(|error| format!("{manifest}: {error}"))?;
    let kubeconfig = format!("--kubeconfig={DATA_DIR}/admin.kubeconfig");
    run(PROGRAM, &["apply", "-f", manifest, &kubeconfig])?;
    run(PROGRAM, &["wait", "pod/hello", "--for=condition=Ready", "--timeout=60s", &kubeconfig])?;
    run(PROGRAM, &["get", "pods", "-o", "wide", &kubeconfig])?;
    let ip = capture(PROGRAM, &["get", "pod", "hello", "-o", "jsonpath={.status.podIP}", &kubeconfig])?;
    println!("\n$ curl http://{ip}:8080/\n{}", get(&format!("{ip}:8080"))?);
    let mut forward = Command::new(PROGRAM)
        .args(["port-forward", "pod/hello", "18080:8080", &kubeconfig])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("port-forward: {error}"))?;
    let stdout = forward.stdout.take().ok_or("port-forward has no output")?;
    // Kept open until the end: it prints a line for every connection.
    let mut lines = BufReader::new(stdout).lines();
    let first = lines.next().transpose().map_err(|error| error.to_string())?;
    let page = get("127.0.0.1:18080");
    let _ = forward.kill();
    let _ = forward.wait();
    println!(
        "$ minke port-forward pod/hello 18080:8080\n{}\n$ curl http://127.0.0.1:18080/\n{}",
        first.unwrap_or_default(),
        page?
    );
    println!(
        "The cluster keeps running. Use it:  export KUBECONFIG={DATA_DIR}/admin.kubeconfig\nRemove it:  {PROGRAM} down --purge"
    );
    Ok(())
}

fn get(address: &str) -> Result<String, String> {
    let fail = |error: std::io::Error| format!("http://{address}/: {error}");
    let mut stream = TcpStream::connect(address).map_err(fail)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n").map_err(fail)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(fail)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_string()),
        _ => Err(format!("http://{address}/ answered {answer:?}")),
    }
}
