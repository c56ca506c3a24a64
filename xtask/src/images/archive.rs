//! Writing a directory as an archive in the format of `docker save`: the same tree gives the same
//! bytes, whenever it was made.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::at;
use super::catalog::Recipe;

/// 1 January 2024: every file's time.
const TIME: u64 = 1_704_067_200;

/// Writes one layer and, for each name, a config and an entry in `manifest.json`.
pub fn write(recipe: &Recipe, root: &Path, target: &Path) -> Result<(), String> {
    let layer_path = target.with_extension("layer");
    write_layer(root, &layer_path).map_err(at(&layer_path))?;
    let mut layer = File::open(&layer_path).map_err(at(&layer_path))?;
    let hex = digest(&mut layer).map_err(at(&layer_path))?;
    let result = write_archive(recipe, &mut layer, &hex, target).map_err(at(target));
    fs::remove_file(&layer_path).map_err(at(&layer_path))?;
    result
}

fn write_archive(recipe: &Recipe, layer: &mut File, hex: &str, target: &Path) -> io::Result<()> {
    let mut tar = tar::Builder::new(BufWriter::new(File::create(target)?));
    let layer_name = format!("{hex}.tar");
    layer.rewind()?;
    tar.append_data(&mut header(layer.metadata()?.len(), 0o644), &layer_name, layer)?;
    let mut manifest = Vec::new();
    for name in recipe.names {
        let config = config(recipe, name, hex).to_string();
        let file = format!("{}.json", hex_of(&Sha256::digest(config.as_bytes())));
        tar.append_data(&mut header(config.len() as u64, 0o644), &file, config.as_bytes())?;
        manifest.push(json!({"Config": file, "RepoTags": [name], "Layers": [layer_name]}));
    }
    let manifest = Value::from(manifest).to_string();
    tar.append_data(&mut header(manifest.len() as u64, 0o644), "manifest.json", manifest.as_bytes())?;
    tar.into_inner()?.flush()
}

/// An image's config. The label makes images of different names different ones, as they are in a
/// registry.
fn config(recipe: &Recipe, name: &str, hex: &str) -> Value {
    let ports: BTreeMap<&str, Value> = recipe.ports.iter().map(|port| (*port, json!({}))).collect();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": recipe.entrypoint,
            "Cmd": recipe.cmd,
            "Env": recipe.env,
            "ExposedPorts": ports,
            "StopSignal": recipe.stop_signal,
            "Labels": {"org.opencontainers.image.ref.name": name},
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{hex}")]},
    })
}

fn write_layer(root: &Path, target: &Path) -> io::Result<()> {
    let mut tar = tar::Builder::new(BufWriter::new(File::create(target)?));
    let mut links = BTreeMap::new();
    append(&mut tar, root, Path::new(""), &mut links)?;
    tar.into_inner()?.flush()
}

/// A directory's entries in the order of their names. `links` knows the files with several names.
fn append(
    tar: &mut tar::Builder<BufWriter<File>>,
    root: &Path,
    dir: &Path,
    links: &mut BTreeMap<u64, PathBuf>,
) -> io::Result<()> {
    let mut names: Vec<_> =
        fs::read_dir(root.join(dir))?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    for name in names {
        let path = dir.join(name);
        let full = root.join(&path);
        let metadata = fs::symlink_metadata(&full)?;
        let mut header = header(0, metadata.mode() & 0o7777);
        header.set_uid(metadata.uid().into());
        header.set_gid(metadata.gid().into());
        if metadata.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, &path, fs::read_link(&full)?)?;
        } else if metadata.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, &path, io::empty())?;
            append(tar, root, &path, links)?;
        } else if let Some(first) = links.get(&metadata.ino()) {
            header.set_entry_type(tar::EntryType::Link);
            tar.append_link(&mut header, &path, first)?;
        } else if metadata.is_file() {
            header.set_size(metadata.len());
            tar.append_data(&mut header, &path, File::open(&full)?)?;
            if metadata.nlink() > 1 {
                links.insert(metadata.ino(), path);
            }
        }
    }
    Ok(())
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(TIME);
    header
}

fn digest(file: &mut File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex_of(&hash.finalize())),
            got => hash.update(&buffer[..got]),
        }
    }
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
