//! Directories, layers and images made for a test.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use image::{Digest, architecture};
use serde_json::{Value, json};

/// A directory that goes with the test.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("image-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory for the test");
        Dir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A tar archive of regular files.
pub fn files(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        add_file(&mut tar, path, content.as_bytes());
    }
    tar.into_inner().expect("tar into memory")
}

/// Unlike `tar::Builder`, takes any path, hostile ones too.
pub fn add_file(tar: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = header(path, tar::EntryType::Regular);
    header.set_size(content.len() as u64);
    header.set_cksum();
    tar.append(&header, content).expect("tar into memory");
}

pub fn add_link(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, path: &str, target: &str) {
    let mut header = header(path, kind);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    tar.append(&header, &[][..]).expect("tar into memory");
}

pub fn header(path: &str, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(0);
    header.set_cksum();
    header
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("gzip into memory");
    encoder.finish().expect("gzip into memory")
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("zstd into memory")
}

/// An image with one gzipped and one zstd layer; `mark` makes it differ from others.
pub struct TestImage {
    pub config: Vec<u8>,
    /// Uncompressed.
    pub layers: Vec<Vec<u8>>,
    /// As transported.
    pub blobs: Vec<Vec<u8>>,
    pub manifest: Vec<u8>,
}

impl TestImage {
    pub fn new(mark: &str) -> TestImage {
        let layers = vec![files(&[("etc/base", "base")]), files(&[("etc/mark", mark)])];
        let blobs = vec![gzip(&layers[0]), zstd(&layers[1])];
        let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Cmd": ["/bin/true"], "Env": [format!("MARK={mark}")]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let describe = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": describe("application/vnd.oci.image.config.v1+json", &config),
            "layers": [
                describe("application/vnd.oci.image.layer.v1.tar+gzip", &blobs[0]),
                describe("application/vnd.oci.image.layer.v1.tar+zstd", &blobs[1]),
            ],
        });
        TestImage { config, layers, blobs, manifest: manifest.to_string().into_bytes() }
    }

    pub fn id(&self) -> String {
        Digest::of(&self.config)
    }

    pub fn digest(&self) -> String {
        Digest::of(&self.manifest)
    }

    /// An index that also has an image for a machine nobody has, and says nothing of others.
    pub fn index(&self) -> Vec<u8> {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let entry = |digest: &str, size: usize, platform: Value| json!({"mediaType": kind, "digest": digest, "size": size, "platform": platform});
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [
                entry(&Digest::of(b"other"), 5, json!({"os": "linux", "architecture": "vax"})),
                entry(&self.digest(), self.manifest.len(), json!({"os": "linux", "architecture": architecture()})),
            ],
        });
        index.to_string().into_bytes()
    }
}

/// What a file of an image's layers says.
pub fn read(image: &image::Image, path: &str) -> Option<String> {
    image.layers.iter().find_map(|layer| fs::read_to_string(layer.join(path)).ok())
}

/// Names in a directory, sorted.
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
