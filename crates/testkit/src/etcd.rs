//! Clusters of etcd on loopback ports of their own, with data under the temporary directory; ended by
//! process id and removed with their owner.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// Below the ports that the kernel gives to connections.
const PORTS: std::ops::Range<u16> = 20_000..31_000;

/// A port on loopback that nobody listens on, and that no other caller here gets.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let size = PORTS.end - PORTS.start;
    // Tests run in several processes: each begins elsewhere.
    let start = (std::process::id() as u16).wrapping_mul(193);
    for _ in 0..size {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::SeqCst)) % size;
        let port = PORTS.start + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// Whether the program is there; `cargo xtask prepare` installs it.
pub fn available() -> bool {
    Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

struct Member {
    args: Vec<String>,
    endpoint: String,
    child: Option<Child>,
}

/// A running cluster.
pub struct Etcd {
    dir: PathBuf,
    members: Vec<Member>,
    pub tls: bool,
}

impl Etcd {
    /// Starts `count` members; with `tls` they want client certificates (see [`Etcd::file`]).
    pub fn start(count: usize, tls: bool) -> Etcd {
        let port = free_port();
        let dir = std::env::temp_dir().join(format!("minke-etcd-{}-{port}", std::process::id()));
        fs::create_dir_all(&dir).expect("a temporary directory");
        if tls {
            certificates(&dir);
        }
        let scheme = if tls { "https" } else { "http" };
        let peers: Vec<String> = (0..count).map(|_| format!("http://127.0.0.1:{}", free_port())).collect();
        let named: Vec<String> = peers.iter().enumerate().map(|(n, url)| format!("m{n}={url}")).collect();
        let member = |(n, peer): (usize, &String)| {
            let endpoint = format!("{scheme}://127.0.0.1:{}", if n == 0 { port } else { free_port() });
            let data = dir.join(format!("m{n}"));
            let mut args = vec![
                format!("--name=m{n}"),
                format!("--data-dir={}", data.display()),
                format!("--listen-client-urls={endpoint}"),
                format!("--advertise-client-urls={endpoint}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={}", named.join(",")),
                "--initial-cluster-state=new".into(),
                format!("--initial-cluster-token=minke-{port}"),
                "--heartbeat-interval=50".into(),
                "--election-timeout=500".into(),
                // Room for a whole value of the store's limit beside the rest of a request.
                "--max-request-bytes=2097152".into(),
                "--log-level=error".into(),
                // What kill -9 leaves in the page cache is there afterwards; power is never lost here.
                "--unsafe-no-fsync".into(),
            ];
            if tls {
                let file = |name: &str| dir.join(name).display().to_string();
                args.push(format!("--cert-file={}", file("server.crt")));
                args.push(format!("--key-file={}", file("server.key")));
                args.push("--client-cert-auth".into());
                args.push(format!("--trusted-ca-file={}", file("ca.crt")));
            }
            Member { args, endpoint, child: None }
        };
        let members = peers.iter().enumerate().map(member).collect();
        let mut cluster = Etcd { dir, members, tls };
        (0..count).for_each(|n| cluster.restart(n));
        cluster
    }

    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.endpoint.clone()).collect()
    }

    /// `ca.crt`, `client.crt`, `client.key` of a cluster with TLS.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// `kill -9`.
    pub fn kill(&mut self, member: usize) {
        if let Some(mut child) = self.members[member].child.take() {
            child.kill().expect("it runs");
            child.wait().expect("reaped");
        }
    }

    /// Starts a member that was killed, with the data it had.
    pub fn restart(&mut self, member: usize) {
        self.kill(member);
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.dir.join(format!("m{member}.log")));
        let log = log.expect("a log file");
        let child = Command::new("etcd")
            .args(&self.members[member].args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("etcd is installed (cargo xtask prepare)");
        self.members[member].child = Some(child);
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|n| self.kill(n));
        let _best_effort = fs::remove_dir_all(&self.dir);
    }
}

/// An authority, a certificate for the members and one for their clients.
fn certificates(dir: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca = params.self_signed(&key).expect("a certificate");
    fs::write(dir.join("ca.crt"), ca.pem()).expect("writable");
    let issuer = Issuer::new(params, key);
    let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    for name in ["server", "client"] {
        let names = vec!["localhost".to_string(), "127.0.0.1".to_string()];
        let mut params = CertificateParams::new(names).expect("good names");
        params.extended_key_usages = usages.to_vec();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        fs::write(dir.join(format!("{name}.crt")), certificate.pem()).expect("writable");
        fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).expect("writable");
    }
}
