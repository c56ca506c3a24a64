//! Unpacking: compression, whiteouts, and archives that want out.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use image::{Digest, Store};
use tar::EntryType;

use crate::support::{Dir, add_file, add_link, files, gzip, header, names, zstd};

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

    fn unpack(&self, layer: &[u8]) -> Result<PathBuf, String> {
        let diff_id = Digest::of(layer);
        self.store.add_layer(&diff_id, layer).map_err(|error| error.to_string())?;
        let hex = Digest::hex(&diff_id).expect("a digest");
        Ok(self.dir.path().join("store/layers").join(hex))
    }
}

#[test]
fn any_compression_unpacks_to_the_same() {
    let layer = files(&[("a/b", "content")]);
    for compressed in [layer.clone(), gzip(&layer), zstd(&layer)] {
        let case = Case::new();
        case.store.add_layer(&Digest::of(&layer), &compressed[..]).expect("unpacked");
        let hex = Digest::of(&layer);
        let path = case.dir.path().join("store/layers").join(Digest::hex(&hex).expect("a digest"));
        assert_eq!(fs::read_to_string(path.join("a/b")).expect("a file"), "content");
    }
}

#[test]
fn wrong_content_is_refused_and_leaves_nothing() {
    let case = Case::new();
    let error =
        case.store.add_layer(&Digest::of(b"other"), &files(&[("a", "b")])[..]).expect_err("another digest");
    assert!(error.to_string().contains("the image is damaged"), "{error}");
    let whole = gzip(&files(&[("a", "b")]));
    assert!(case.store.add_layer(&Digest::of(b"cut"), &whole[..whole.len() / 2]).is_err());
    assert!(names(&case.dir.path().join("store/layers")).is_empty());
    assert!(names(&case.dir.path().join("store/partial")).is_empty());
}

#[test]
fn whiteouts_become_overlayfs_ones() {
    let case = Case::new();
    let layer =
        files(&[("dir/.wh.gone", ""), ("new/.wh..wh..opq", ""), ("new/file", "x"), ("x/.wh..wh.plnk", "")]);
    let path = case.unpack(&layer).expect("unpacked");
    let gone = fs::symlink_metadata(path.join("dir/gone")).expect("a whiteout");
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let mut value = [0; 8];
    let size = rustix::fs::getxattr(path.join("new"), c"trusted.overlay.opaque", &mut value).expect("opaque");
    assert_eq!(&value[..size], b"y");
    assert_eq!(names(&path.join("new")), ["file"]);
    assert!(!path.join("x").exists());
}

#[test]
fn hostile_archives_do_not_get_out() {
    let archive = |build: &dyn Fn(&mut tar::Builder<Vec<u8>>)| {
        let mut tar = tar::Builder::new(Vec::new());
        build(&mut tar);
        tar.into_inner().expect("tar into memory")
    };
    let outside = Dir::new();
    let target = outside.path().to_str().expect("a path").to_string();
    fs::write(outside.path().join("file"), "mine").expect("a file");
    let cases = [
        files(&[("../../escaped", "x")]),
        files(&[("a/../../../escaped", "x")]),
        files(&[("../.wh.file", "")]),
        files(&[("a/.wh...", "")]),
        archive(&|tar| {
            add_link(tar, EntryType::Symlink, "out", &target);
            add_file(tar, "out/escaped", b"x");
        }),
        archive(&|tar| {
            add_link(tar, EntryType::Symlink, "out", &target);
            add_file(tar, "out/.wh.file", b"");
        }),
        archive(&|tar| {
            add_link(tar, EntryType::Symlink, "out", &target);
            add_file(tar, "out/.wh..wh..opq", b"");
        }),
        archive(&|tar| {
            add_link(tar, EntryType::Symlink, "out", &target);
            tar.append(&header("out/fifo", EntryType::Fifo), &[][..]).expect("tar into memory");
        }),
        archive(&|tar| {
            add_link(tar, EntryType::Symlink, "up", "../../../..");
            add_file(tar, "up/escaped", b"x");
        }),
        archive(&|tar| add_link(tar, EntryType::Link, "stolen", "../../../../../../etc/shadow")),
        archive(&|tar| {
            add_link(tar, EntryType::Symlink, "out", &target);
            add_link(tar, EntryType::Link, "stolen", "out/file");
        }),
    ];
    for (number, layer) in cases.iter().enumerate() {
        let case = Case::new();
        let result = case.unpack(layer);
        assert!(result.is_err(), "case {number}");
        assert_eq!(names(outside.path()), ["file"], "case {number}");
        assert_eq!(fs::read_to_string(outside.path().join("file")).expect("still there"), "mine");
        let inside = names(case.dir.path());
        assert_eq!(inside, ["store"], "case {number}");
        assert!(names(&case.dir.path().join("store/partial")).is_empty(), "case {number}");
    }
}

#[test]
fn a_link_is_replaced_not_followed() {
    let case = Case::new();
    let outside = Dir::new();
    let victim = outside.path().join("file");
    fs::write(&victim, "mine").expect("a file");
    let mut tar = tar::Builder::new(Vec::new());
    add_link(&mut tar, EntryType::Symlink, "file", victim.to_str().expect("a path"));
    add_file(&mut tar, "file", b"theirs");
    let path = case.unpack(&tar.into_inner().expect("tar into memory")).expect("unpacked");
    assert_eq!(fs::read_to_string(path.join("file")).expect("a file"), "theirs");
    assert_eq!(fs::read_to_string(&victim).expect("a file"), "mine");
}

#[test]
fn owners_modes_and_attributes_are_kept_but_the_kernels_are_not() {
    let case = Case::new();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_pax_extensions([
        ("SCHILY.xattr.user.kept", &b"v"[..]),
        ("SCHILY.xattr.trusted.overlay.redirect", &b"/etc"[..]),
    ])
    .expect("tar into memory");
    let mut header = header("bin/su", EntryType::Regular);
    header.set_mode(0o4755);
    header.set_uid(0);
    header.set_gid(42);
    header.set_size(1);
    header.set_cksum();
    tar.append(&header, &b"x"[..]).expect("tar into memory");
    let path = case.unpack(&tar.into_inner().expect("tar into memory")).expect("unpacked").join("bin/su");
    let metadata = fs::metadata(&path).expect("a file");
    assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (0o4755, 42));
    let mut value = [0; 8];
    assert!(rustix::fs::getxattr(&path, c"trusted.overlay.redirect", &mut value).is_err());
    match rustix::fs::getxattr(&path, c"user.kept", &mut value) {
        Ok(size) => assert_eq!(&value[..size], b"v"),
        Err(error) => assert_eq!(error, rustix::io::Errno::NODATA, "a file system without user attributes"),
    }
}
