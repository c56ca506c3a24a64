//! A registry on the cluster's loopback: Debian's `docker-registry`, its images written to disk as it
//! keeps them. Ends with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::{Cluster, wait_for};

/// bcrypt of alice's `secret`.
const HTPASSWD: &str = "alice:$2y$05$lYq3bfwptf/ZtDGf1aFdO.TFtnzF//8rMn9ksx2e/I/l4o/MHBjOu\n";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub struct Registry {
    process: Child,
    pub host: String,
    dir: PathBuf,
}

impl Registry {
    /// On a port of the cluster's own network; with a password only for alice (`secret`).
    pub fn start(cluster: &Cluster, port: u16, with_password: bool) -> Registry {
        let (host, dir) = (format!("127.0.0.1:{port}"), cluster.dir().join(format!("registry-{port}")));
        fs::create_dir_all(&dir).expect("writable");
        let root = dir.display();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\nhttp: {{addr: '{host}'}}\n"
        );
        if with_password {
            fs::write(dir.join("htpasswd"), HTPASSWD).expect("writable");
            config.push_str(&format!("auth: {{htpasswd: {{realm: test, path: {root}/htpasswd}}}}\n"));
        }
        fs::write(dir.join("config.yml"), config).expect("writable");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(dir.join("config.yml")).env("OTEL_TRACES_EXPORTER", "none");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = cluster.inside(|| command.spawn()).expect("docker-registry (Debian package) runs");
        let address = host.parse().expect("an address");
        wait_for("the registry answers", || cluster.get(address, "/v2/"));
        Registry { process, host, dir }
    }

    /// Adds the first image of a `docker save` archive under a name of its own.
    pub fn add(&self, archive: &Path, repository: &str, tag: &str) {
        let unpacked = self.dir.join(format!("unpacked-{}-{tag}", repository.replace('/', "-")));
        fs::create_dir_all(&unpacked).expect("writable");
        let tar = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&unpacked).status();
        assert!(tar.expect("tar exists").success());
        let text = fs::read_to_string(unpacked.join("manifest.json")).expect("a docker archive");
        let list: Value = serde_json::from_str(&text).expect("JSON");
        let file = |name: &Value| unpacked.join(name.as_str().expect("a path"));
        let root = self.dir.join("data/docker/registry/v2");
        let repository = root.join("repositories").join(repository);
        let blob = |path: &Path, kind: &str| {
            let digest = store(&root, path);
            link(&repository.join("_layers"), &digest);
            let size = fs::metadata(path).expect("there").len();
            json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size})
        };
        let layers: Vec<Value> = list[0]["Layers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|layer| blob(&file(layer), LAYER))
            .collect();
        let config = blob(&file(&list[0]["Config"]), CONFIG);
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let path = unpacked.join("oci-manifest.json");
        fs::write(&path, manifest.to_string()).expect("writable");
        let digest = store(&root, &path);
        link(&repository.join("_manifests/revisions"), &digest);
        let current = repository.join("_manifests/tags").join(tag).join("current");
        fs::create_dir_all(&current).expect("writable");
        fs::write(current.join("link"), format!("sha256:{digest}")).expect("writable");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Copies a file to where the registry keeps blobs; the digits of its digest.
fn store(root: &Path, path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("coreutils");
    let hex: String = String::from_utf8_lossy(&output.stdout).chars().take(64).collect();
    let dir = root.join("blobs/sha256").join(&hex[..2]).join(&hex);
    fs::create_dir_all(&dir).expect("writable");
    fs::copy(path, dir.join("data")).expect("writable");
    hex
}

fn link(base: &Path, hex: &str) {
    let dir = base.join("sha256").join(hex);
    fs::create_dir_all(&dir).expect("writable");
    fs::write(dir.join("link"), format!("sha256:{hex}")).expect("writable");
}
