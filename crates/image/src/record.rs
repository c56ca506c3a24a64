//! One file per image, `<dir>/images/<hex of its id>.json`: its names, its size and its config's
//! bytes. Written whole and renamed into place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use serde_json::{Value, json};

use crate::config::ImageConfig;
use crate::error::{At, Error, Result};
use crate::layer::Digest;
use crate::store::Image;

pub(crate) fn path(dir: &Path, id: &str) -> Result<PathBuf> {
    Ok(dir.join("images").join(format!("{}.json", Digest::hex(id)?)))
}

pub(crate) fn read_all(dir: &Path) -> Result<BTreeMap<String, Arc<Image>>> {
    let mut images = BTreeMap::new();
    let list = dir.join("images");
    for entry in fs::read_dir(&list).at(&list)? {
        let path = entry.at(&list)?.path();
        if path.extension().is_some_and(|e| e == "json") {
            let image = read_image(dir, &path)?;
            images.insert(image.id.clone(), Arc::new(image));
        }
    }
    Ok(images)
}

pub(crate) fn write(dir: &Path, image: &Image, config: &[u8]) -> Result<()> {
    let config = str::from_utf8(config).map_err(|error| Error::Config(error.to_string()))?;
    write_text(dir, image, config)
}

/// Writes the names again.
pub(crate) fn rewrite(dir: &Path, image: &Image) -> Result<()> {
    let record = read(&path(dir, &image.id)?)?;
    write_text(dir, image, record["config"].as_str().unwrap_or_default())
}

fn write_text(dir: &Path, image: &Image, config: &str) -> Result<()> {
    let record =
        json!({"names": image.names, "digests": image.digests, "size": image.size, "config": config});
    let path = path(dir, &image.id)?;
    let fresh = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).at(&fresh)?;
    file.write_all(record.to_string().as_bytes()).at(&fresh)?;
    file.sync_all().at(&fresh)?;
    fs::rename(&fresh, &path).at(&path)?;
    sync_dir(dir)
}

pub(crate) fn remove(dir: &Path, id: &str) -> Result<()> {
    let path = path(dir, id)?;
    fs::remove_file(&path).at(&path)?;
    // Its layers are removed next: the record must not come back without them.
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> Result<()> {
    let list = dir.join("images");
    File::open(&list).and_then(|list| list.sync_all()).at(&list)
}

/// Sets the time of last use, which is the file's.
pub(crate) fn touch(dir: &Path, id: &str) -> Result<()> {
    let path = path(dir, id)?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(CWD, &path, &times, flags).map_err(io::Error::from).at(path)
}

fn read(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).at(path)?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, &error.to_string()))
}

fn damaged(path: &Path, why: &str) -> Error {
    let message = format!("damaged image record: {why}; remove the file and pull the image again");
    Error::Archive { path: path.into(), message }
}

fn read_image(dir: &Path, path: &Path) -> Result<Image> {
    let record = read(path)?;
    let Some(config) = record["config"].as_str() else { return Err(damaged(path, "it has no config")) };
    let id = Digest::of(config.as_bytes());
    if path.file_stem().and_then(|name| name.to_str()) != Digest::hex(&id).ok() {
        return Err(damaged(path, "its config is not the one its name stands for"));
    }
    let parsed = ImageConfig::parse(config.as_bytes()).map_err(|error| damaged(path, &error.to_string()))?;
    let set = |value: &Value| -> BTreeSet<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
    };
    Ok(Image {
        id,
        names: set(&record["names"]),
        digests: set(&record["digests"]),
        size: record["size"].as_u64().unwrap_or(0),
        layers: layers(dir, &parsed).map_err(|error| damaged(path, &error.to_string()))?,
        config: parsed,
    })
}

/// The unpacked layers of a config, topmost first.
pub(crate) fn layers(dir: &Path, config: &ImageConfig) -> Result<Vec<PathBuf>> {
    let mut layers = Vec::new();
    for diff_id in config.diff_ids.iter().rev() {
        let layer = dir.join("layers").join(Digest::hex(diff_id)?);
        if !layer.is_dir() {
            return Err(Error::Layer { digest: diff_id.clone(), message: "is not on this node".into() });
        }
        // overlayfs refuses a directory that is listed twice; the upper one decides.
        if !layers.contains(&layer) {
            layers.push(layer);
        }
    }
    Ok(layers)
}
