//! A store over time: crashes, several processes, removal and garbage collection. A second `Store`
//! on the same directory is what another process has.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use image::{Digest, Image, NewImage, Reference, Store};

use crate::support::{Dir, TestImage, names};

fn path(dir: &Dir) -> PathBuf {
    dir.path().join("store")
}

fn open(dir: &Dir) -> Store {
    Store::open(&path(dir)).expect("a store")
}

fn add(store: &Store, mark: &str) -> Arc<Image> {
    let image = TestImage::new(mark);
    let _work = store.begin().expect("begun");
    for layer in &image.layers {
        store.add_layer(&Digest::of(layer), &layer[..]).expect("unpacked");
    }
    let name = Reference::parse(mark).expect("a good name");
    let new = NewImage { config: &image.config, name: Some(&name), manifest_digest: None, size: 10 };
    store.add_image(&new).expect("recorded")
}

#[test]
fn leftovers_of_a_crash_are_cleared_at_open() {
    let dir = Dir::new();
    let image = add(&open(&dir), "kept");
    fs::create_dir_all(path(&dir).join("partial/1-1/etc")).expect("a directory");
    fs::write(path(&dir).join("partial/1-2"), "half a download").expect("a file");
    fs::create_dir_all(path(&dir).join("layers").join("0".repeat(64)).join("etc")).expect("a directory");
    let store = open(&dir);
    assert!(names(&path(&dir).join("partial")).is_empty());
    assert_eq!(names(&path(&dir).join("layers")).len(), image.layers.len());
    assert_eq!(store.images().len(), 1);
}

#[test]
fn work_of_another_process_is_left_alone() {
    let dir = Dir::new();
    let ours = open(&dir);
    let image = TestImage::new("slow");
    let work = ours.begin().expect("begun");
    ours.add_layer(&Digest::of(&image.layers[0]), &image.layers[0][..]).expect("unpacked");
    let theirs = open(&dir);
    assert!(theirs.has_layer(&Digest::of(&image.layers[0])).expect("asked"));
    drop(work);
    open(&dir);
    assert!(!ours.has_layer(&Digest::of(&image.layers[0])).expect("asked"));
}

#[test]
fn processes_see_each_others_changes() {
    let dir = Dir::new();
    let (ours, theirs) = (open(&dir), open(&dir));
    add(&theirs, "first");
    assert!(ours.resolve("first").is_some());
    add(&ours, "second");
    assert_eq!(theirs.images().len(), 2);
    theirs.remove("first").expect("removed");
    assert!(ours.resolve("first").is_none());
    assert_eq!(ours.images().len(), 1);
}

#[test]
fn records_written_at_once_are_all_kept() {
    let dir = Dir::new();
    let stores: Vec<Store> = (0..4).map(|_| open(&dir)).collect();
    std::thread::scope(|scope| {
        for (number, store) in stores.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..5 {
                    add(store, &format!("image-{number}-{round}"));
                }
            });
        }
    });
    for store in &stores {
        assert_eq!(store.images().len(), 20);
    }
    assert_eq!(open(&dir).images().len(), 20);
}

#[test]
fn a_damaged_record_is_named() {
    let dir = Dir::new();
    let image = add(&open(&dir), "fine");
    let hex = Digest::hex(&image.id).expect("a digest").to_string();
    let file = path(&dir).join("images").join(format!("{hex}.json"));
    let whole = fs::read_to_string(&file).expect("a record");
    for bad in [whole[..whole.len() / 2].to_string(), "{}".into(), whole.replace("MARK=fine", "MARK=evil")] {
        fs::write(&file, bad).expect("a file");
        let error = Store::open(&path(&dir)).err().expect("damaged").to_string();
        assert!(error.starts_with(&format!("{}: damaged image record: ", file.display())), "{error}");
    }
    fs::write(&file, whole).expect("a file");
    assert_eq!(open(&dir).images(), [image], "nothing was lost meanwhile");
}

#[test]
fn the_last_name_takes_the_layers_unless_they_are_held() {
    let dir = Dir::new();
    let store = open(&dir);
    let (one, two) = (add(&store, "one"), add(&store, "two"));
    assert_eq!(one.layers[1], two.layers[1], "a shared base");
    store.hold(&one, "container").expect("held");
    store.remove("one").expect("removed");
    assert!(store.resolve(&one.id).is_none());
    assert!(one.layers[0].is_dir(), "a container still uses it");
    drop(store);
    let store = open(&dir);
    assert!(one.layers[0].is_dir(), "also after a restart");
    assert_eq!(store.holders().expect("listed"), ["container"]);
    store.release("container").expect("released");
    store.release("container").expect("once is enough");
    store.remove("two").expect("removed");
    assert!(store.hold(&one, "late").is_err(), "nothing is left to hold");
    assert!(names(&path(&dir).join("layers")).is_empty());
    assert_eq!(store.remove("two").expect_err("gone").to_string(), "no image named \"two\" on this node");
}

#[test]
fn collection_spares_what_is_used() {
    let dir = Dir::new();
    let store = open(&dir);
    let (old, new, used) = (add(&store, "old"), add(&store, "new"), add(&store, "used"));
    store.mark_used(&old).expect("marked");
    let orphan = crate::support::files(&[("a", "b")]);
    store.add_layer(&Digest::of(&orphan), &orphan[..]).expect("unpacked");
    // Thresholds of 0 want everything; a disk that is never this full wants nothing.
    let nothing = store.collect(101, 100, &|_| false).expect("collected");
    assert_eq!((nothing.removed.len(), nothing.wanted_bytes), (0, 0));
    assert!(!store.has_layer(&Digest::of(&orphan)).expect("asked"), "of a pull that failed");
    let collected = store.collect(0, 0, &|image| image.id == used.id).expect("collected");
    assert_eq!(collected.removed, [new.id.clone(), old.id.clone()]);
    assert_eq!(collected.freed_bytes, 20);
    assert!(collected.shortfall().is_some());
    assert_eq!(store.images(), [used]);
}

#[test]
fn names_and_ids_resolve() {
    let dir = Dir::new();
    let store = open(&dir);
    let image = add(&store, "app");
    let hex = Digest::hex(&image.id).expect("a digest");
    for name in ["app", "app:latest", "docker.io/library/app", &image.id, hex, &hex[..12]] {
        assert!(store.resolve(name).is_some(), "{name}");
    }
    for name in ["app:1", "other", "", "sha256:", &hex[..11]] {
        assert!(store.resolve(name).is_none(), "{name}");
    }
}
