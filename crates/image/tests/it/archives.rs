//! Importing what `docker save` and OCI tools write.

use std::fs;
use std::path::PathBuf;

use image::{Digest, Store};
use serde_json::json;
use tar::EntryType;

use crate::support::{Dir, TestImage, add_file, add_link, gzip, names, read};

struct Case {
    dir: Dir,
    store: Store,
}

impl Case {
    fn new() -> Case {
        let dir = Dir::new();
        let store = Store::open(&dir.path().join("store")).expect("a store");
        Case { dir, store }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join("archive.tar");
        fs::write(&path, bytes).expect("a file");
        path
    }
}

fn oci(image: &TestImage, annotations: serde_json::Value) -> Vec<u8> {
    let index = image.index();
    let top = json!({"schemaVersion": 2, "manifests": [{"digest": Digest::of(&index), "size": index.len(), "annotations": annotations}]});
    let mut tar = tar::Builder::new(Vec::new());
    for blob in image.blobs.iter().chain([&image.config, &image.manifest, &index]) {
        let digest = Digest::of(blob);
        let path = format!("blobs/sha256/{}", Digest::hex(&digest).expect("a digest"));
        tar.append_data(&mut plain(blob.len()), path, &blob[..]).expect("tar into memory");
    }
    add_file(&mut tar, "index.json", top.to_string().as_bytes());
    tar.into_inner().expect("tar into memory")
}

fn plain(size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(0o644);
    header
}

#[test]
fn docker_archives_with_links_between_layers() {
    let case = Case::new();
    let image = TestImage::new("docker");
    let manifest = json!([{"Config": "c.json", "RepoTags": ["app:1", "r.test/app:2"], "Layers": ["1/layer.tar", "2/layer.tar"]}]);
    let mut tar = tar::Builder::new(Vec::new());
    add_file(&mut tar, "c.json", &image.config);
    add_file(&mut tar, "shared.tar", &image.layers[0]);
    add_link(&mut tar, EntryType::Symlink, "1/layer.tar", "../shared.tar");
    add_file(&mut tar, "2/layer.tar", &image.layers[1]);
    add_file(&mut tar, "manifest.json", manifest.to_string().as_bytes());
    let archive = tar.into_inner().expect("tar into memory");
    let imported = case.store.import(&case.file(&gzip(&archive)), None).expect("imported");
    assert_eq!(imported.len(), 1);
    assert_eq!(imported[0].names.iter().collect::<Vec<_>>(), ["docker.io/library/app:1", "r.test/app:2"]);
    assert_eq!(read(&imported[0], "etc/mark").as_deref(), Some("docker"));
    let renamed = case.store.import(&case.file(&archive), Some("other")).expect("imported");
    assert!(renamed[0].names.contains("docker.io/library/other:latest"));
    assert!(names(&case.dir.path().join("store/partial")).is_empty());
}

#[test]
fn oci_layouts_behind_an_index() {
    let case = Case::new();
    let image = TestImage::new("oci");
    let archive = oci(
        &image,
        json!({"io.containerd.image.name": "r.test/app:1", "org.opencontainers.image.ref.name": "1"}),
    );
    let imported = case.store.import(&case.file(&archive), None).expect("imported");
    assert_eq!(imported[0].names.iter().collect::<Vec<_>>(), ["r.test/app:1"]);
    let digest = Digest::of(&image.index());
    assert!(case.store.resolve(&format!("r.test/app@{digest}")).is_some());

    let nameless = case.file(&oci(&image, json!({"org.opencontainers.image.ref.name": "1"})));
    let error = case.store.import(&nameless, None).expect_err("only a tag").to_string();
    assert!(error.ends_with("names no image: say which name it is to have"), "{error}");
    case.store.import(&nameless, Some("app:3")).expect("named");
}

#[test]
fn bad_archives_say_what_is_wrong() {
    let case = Case::new();
    let image = TestImage::new("bad");
    let mut damaged = TestImage::new("bad");
    damaged.blobs[1] = b"nonsense".to_vec();
    damaged.manifest = image.manifest.clone();
    let docker = |manifest: serde_json::Value| {
        let mut tar = tar::Builder::new(Vec::new());
        add_file(&mut tar, "c.json", &image.config);
        add_file(&mut tar, "manifest.json", manifest.to_string().as_bytes());
        tar.into_inner().expect("tar into memory")
    };
    let cases: [(Vec<u8>, &str); 6] = [
        (
            crate::support::files(&[("a", "b")]),
            "is neither an OCI layout nor a docker archive (no index.json, no manifest.json)",
        ),
        (b"nonsense".to_vec(), "archive.tar: "),
        (
            docker(json!([{"Config": "c.json", "RepoTags": ["a"], "Layers": ["x"]}])),
            "has an image of 1 layers whose config names 2",
        ),
        (
            docker(json!([{"Config": "c.json", "RepoTags": ["a"], "Layers": ["x", "y"]}])),
            "has no member \"x\"",
        ),
        (
            docker(json!([{"Config": "c.json", "RepoTags": ["A"], "Layers": ["x", "y"]}])),
            "has no member \"x\"",
        ),
        (oci(&damaged, json!({"io.containerd.image.name": "a"})), "has no member"),
    ];
    for (bytes, want) in cases {
        let error = case.store.import(&case.file(&bytes), None).expect_err("bad").to_string();
        assert!(error.contains(want), "{error}");
    }
    assert!(case.store.images().is_empty());
}
