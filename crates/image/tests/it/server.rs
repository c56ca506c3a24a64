//! Registries for tests: Debian's, on files written here, and a scripted one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use image::Digest;
use serde_json::Value;

use crate::support::{Dir, TestImage};

/// bcrypt of alice's `secret` and bob's `hidden`.
const HTPASSWD: &str = "alice:$2y$05$lYq3bfwptf/ZtDGf1aFdO.TFtnzF//8rMn9ksx2e/I/l4o/MHBjOu\nbob:$2y$05$jVAkCDXxp6PYQBf/a3zONOTvLESqFiR14opX6Y0yA1./k5BbHzc9e\n";

/// Debian's `docker-registry` on a port of its own; ends with the test.
pub struct Registry {
    process: Child,
    pub host: String,
    dir: Dir,
}

impl Registry {
    pub fn start(with_passwords: bool) -> Registry {
        let dir = Dir::new();
        let root = dir.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n"
        );
        if with_passwords {
            fs::write(dir.path().join("htpasswd"), HTPASSWD).expect("a file");
            config.push_str(&format!("auth: {{htpasswd: {{realm: test, path: {root}/htpasswd}}}}\n"));
        }
        fs::write(dir.path().join("config.yml"), config).expect("a file");
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry runs (Debian package docker-registry)");
        let mut log = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut seen = String::new();
        let host = loop {
            let mut line = String::new();
            if log.read_line(&mut line).expect("its log") == 0 {
                panic!("docker-registry ended before it listened:\n{seen}");
            }
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end =
                    rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
                break rest[..end].to_string();
            }
            seen.push_str(&line);
        };
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Registry { process, host, dir }
    }

    /// Writes an image, behind an index, as the registry keeps it.
    pub fn add(&self, repository: &str, tag: &str, image: &TestImage) {
        let at = self.dir.path().join("data/docker/registry/v2");
        let repository = at.join("repositories").join(repository);
        for blob in image.blobs.iter().chain([&image.config]) {
            self.blob(blob);
            link(&repository.join("_layers"), blob);
        }
        let index = image.index();
        for manifest in [&image.manifest, &index] {
            self.blob(manifest);
            link(&repository.join("_manifests/revisions"), manifest);
        }
        let current = repository.join("_manifests/tags").join(tag).join("current");
        fs::create_dir_all(&current).expect("a directory");
        fs::write(current.join("link"), Digest::of(&index)).expect("a file");
    }

    /// Where it keeps a blob, which is written if it is not there.
    pub fn blob(&self, bytes: &[u8]) -> std::path::PathBuf {
        let digest = Digest::of(bytes);
        let hex = Digest::hex(&digest).expect("a digest");
        let dir = self.dir.path().join("data/docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex);
        fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("data");
        if !path.exists() {
            fs::write(&path, bytes).expect("a file");
        }
        path
    }
}

fn link(base: &Path, bytes: &[u8]) {
    let digest = Digest::of(bytes);
    let dir = base.join("sha256").join(Digest::hex(&digest).expect("a digest"));
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("link"), digest).expect("a file");
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A request as the scripted server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub authorization: Option<String>,
}

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, headers: Vec::new(), body: body.into() }
    }

    pub fn json(status: u16, body: &Value) -> Reply {
        Reply::new(status, body.to_string())
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A plain HTTP server that answers as the test says and remembers what it was asked.
pub struct Scripted {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Scripted {
    /// The script gets the server's own address.
    pub fn start(script: impl Fn(SocketAddr, &Seen) -> Reply + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let script: Arc<Script> = Arc::new(move |request: &Seen| script(address, request));
        let record = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, record) = (script.clone(), record.clone());
                std::thread::spawn(move || answer(stream, &*script, &record));
            }
        });
        Scripted { address, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no holder panics").clone()
    }
}

/// One request per connection.
fn answer(mut stream: TcpStream, script: &Script, record: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.trim().is_empty() => break,
            Ok(_) => lines.push(line.trim().to_string()),
        }
    }
    let headers: BTreeMap<String, String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_string()))
        .collect();
    let mut first = lines[0].split(' ').map(str::to_string);
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let seen = Seen { method, target, authorization: headers.get("authorization").cloned() };
    record.lock().expect("no holder panics").push(seen.clone());
    let reply = script(&seen);
    let mut head = format!("HTTP/1.1 {} Scripted\r\nconnection: close\r\n", reply.status);
    if !reply.headers.iter().any(|(name, _)| name == "content-length") {
        head.push_str(&format!("content-length: {}\r\n", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    if seen.method != "HEAD" {
        let _ = stream.write_all(&reply.body);
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = reader.read(&mut [0; 64]);
}
