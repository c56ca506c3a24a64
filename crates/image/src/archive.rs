//! Importing images from archives: OCI layouts and `docker save` files, plain or gzipped tar.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::ImageConfig;
use crate::error::{At, Error, Result};
use crate::layer::Digest;
use crate::reference::Reference;
use crate::store::{Image, NewImage, Partial, Store};

impl Store {
    /// Imports all images of an archive. `name` replaces the names it has (for archives with one
    /// image). Blocks.
    pub fn import(&self, path: &Path, name: Option<&str>) -> Result<Vec<Arc<Image>>> {
        let name = name.map(Reference::parse).transpose().map_err(Error::Invalid)?;
        let _work = self.begin()?;
        let scratch = Scratch::unpack(path, self.partial())?;
        if scratch.has("index.json") {
            return self.import_oci(&scratch, name.as_ref());
        }
        if scratch.has("manifest.json") {
            return self.import_docker(&scratch, name.as_ref());
        }
        Err(scratch.error("is neither an OCI layout nor a docker archive (no index.json, no manifest.json)"))
    }

    fn import_docker(&self, scratch: &Scratch, name: Option<&Reference>) -> Result<Vec<Arc<Image>>> {
        let manifest = scratch.json("manifest.json")?;
        let mut images = Vec::new();
        let entries = manifest.as_array().map(Vec::as_slice).unwrap_or_default();
        scratch.one_if_named(entries.len(), name)?;
        for entry in entries {
            let config = scratch.read(entry["Config"].as_str().unwrap_or_default())?;
            let parsed = ImageConfig::parse(&config)?;
            let layers: Vec<&str> =
                entry["Layers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            scratch.same_count(layers.len(), &parsed)?;
            let mut size = 0;
            for (layer, diff_id) in layers.iter().zip(&parsed.diff_ids) {
                size += scratch.size(layer)?;
                self.add_layer(diff_id, scratch.open(layer)?)?;
            }
            let tags = entry["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let names: Vec<Reference> = match name {
                Some(name) => vec![name.clone()],
                None => tags
                    .map(Reference::parse)
                    .collect::<std::result::Result<_, _>>()
                    .map_err(Error::Invalid)?,
            };
            images.extend(self.named(&config, &names, None, size)?);
        }
        Ok(images)
    }

    fn import_oci(&self, scratch: &Scratch, name: Option<&Reference>) -> Result<Vec<Arc<Image>>> {
        let index = scratch.json("index.json")?;
        let mut images = Vec::new();
        let descriptors = index["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
        scratch.one_if_named(descriptors.len(), name)?;
        for descriptor in descriptors {
            let annotations = &descriptor["annotations"];
            // Some tools write only a tag into the standard annotation, which names nothing.
            let standard =
                annotations["org.opencontainers.image.ref.name"].as_str().filter(|n| n.contains(['/', ':']));
            let own = annotations["io.containerd.image.name"]
                .as_str()
                .or(standard)
                .map(Reference::parse)
                .transpose()
                .map_err(Error::Invalid)?;
            let Some(name) = name.cloned().or(own) else {
                return Err(scratch.error("names no image: say which name it is to have"));
            };
            let digest = descriptor["digest"].as_str().unwrap_or_default();
            let manifest = scratch.platform_manifest(digest)?;
            let config = scratch.blob(manifest["config"]["digest"].as_str().unwrap_or_default())?;
            let parsed = ImageConfig::parse(&config)?;
            let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
            scratch.same_count(layers.len(), &parsed)?;
            let mut size = 0;
            for (layer, diff_id) in layers.iter().zip(&parsed.diff_ids) {
                let path = blob_path(layer["digest"].as_str().unwrap_or_default())?;
                size += scratch.size(&path)?;
                self.add_layer(diff_id, scratch.open(&path)?)?;
            }
            images.extend(self.named(&config, &[name], Some(digest), size)?);
        }
        Ok(images)
    }

    fn named(
        &self,
        config: &[u8],
        names: &[Reference],
        manifest_digest: Option<&str>,
        size: u64,
    ) -> Result<Vec<Arc<Image>>> {
        let mut last = None;
        for name in names {
            last = Some(self.add_image(&NewImage { config, name: Some(name), manifest_digest, size })?);
        }
        match last {
            Some(image) => Ok(vec![image]),
            None => Ok(vec![self.add_image(&NewImage { config, name: None, manifest_digest, size })?]),
        }
    }
}

fn blob_path(digest: &str) -> Result<String> {
    Ok(format!("blobs/sha256/{}", Digest::hex(digest)?))
}

/// The members of an archive as files in a directory of the store, removed at the end.
struct Scratch {
    archive: PathBuf,
    dir: Partial,
    files: BTreeMap<String, PathBuf>,
    /// Members that only point at another one (docker's shared layers).
    links: BTreeMap<String, String>,
}

impl Scratch {
    fn unpack(archive: &Path, dir: Partial) -> Result<Scratch> {
        fs::create_dir(dir.path()).at(dir.path())?;
        let mut scratch =
            Scratch { archive: archive.into(), dir, files: BTreeMap::new(), links: BTreeMap::new() };
        let file = File::open(archive).at(archive)?;
        let mut reader = io::BufReader::new(file);
        let gzip = io::BufRead::fill_buf(&mut reader).at(archive)?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read> =
            if gzip { Box::new(flate2::bufread::MultiGzDecoder::new(reader)) } else { Box::new(reader) };
        scratch.read_members(reader).map_err(|error| scratch.error(&error.to_string()))?;
        Ok(scratch)
    }

    fn read_members(&mut self, reader: Box<dyn Read>) -> io::Result<()> {
        let mut tar = tar::Archive::new(reader);
        for entry in tar.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_string();
            if let Some(target) = entry.link_name()? {
                // A symbolic link starts at its own directory, a hard link at the archive's root.
                let own = Path::new(&name).parent().unwrap_or(Path::new(""));
                let base = if entry.header().entry_type().is_symlink() { own } else { Path::new("") };
                let target = normal(&base.join(target));
                self.links.insert(name, target);
                continue;
            }
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = self.dir.path().join(self.files.len().to_string());
            io::copy(&mut entry, &mut File::create(&path)?)?;
            self.files.insert(name, path);
        }
        Ok(())
    }

    fn error(&self, message: &str) -> Error {
        Error::Archive { path: self.archive.clone(), message: message.into() }
    }

    fn one_if_named(&self, images: usize, name: Option<&Reference>) -> Result<()> {
        match name {
            Some(name) if images != 1 => {
                Err(self.error(&format!("has {images} images: they cannot all be {name}")))
            }
            _ => Ok(()),
        }
    }

    fn same_count(&self, layers: usize, config: &ImageConfig) -> Result<()> {
        match config.diff_ids.len() {
            count if count == layers => Ok(()),
            count => Err(self.error(&format!("has an image of {layers} layers whose config names {count}"))),
        }
    }

    fn path(&self, name: &str) -> Option<&PathBuf> {
        let name = self.links.get(name).map_or(name, String::as_str);
        self.files.get(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).is_some()
    }

    fn member(&self, name: &str) -> Result<&PathBuf> {
        self.path(name).ok_or_else(|| self.error(&format!("has no member {name:?}")))
    }

    fn open(&self, name: &str) -> Result<File> {
        let path = self.member(name)?;
        File::open(path).at(path)
    }

    fn size(&self, name: &str) -> Result<u64> {
        let path = self.member(name)?;
        Ok(fs::metadata(path).at(path)?.len())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.member(name)?;
        fs::read(path).at(path)
    }

    fn json(&self, name: &str) -> Result<Value> {
        serde_json::from_slice(&self.read(name)?).map_err(|error| self.error(&format!("{name}: {error}")))
    }

    /// A blob, its digest checked.
    fn blob(&self, digest: &str) -> Result<Vec<u8>> {
        let bytes = self.read(&blob_path(digest)?)?;
        if Digest::of(&bytes) != digest {
            return Err(self.error(&format!("blob {digest} is damaged")));
        }
        Ok(bytes)
    }

    /// The manifest for this machine, behind an index or not.
    fn platform_manifest(&self, digest: &str) -> Result<Value> {
        let manifest: Value =
            serde_json::from_slice(&self.blob(digest)?).map_err(|error| self.error(&error.to_string()))?;
        let Some(choices) = manifest["manifests"].as_array() else { return Ok(manifest) };
        let chosen = choices.iter().find(|m| crate::config::is_this_platform(&m["platform"]));
        match chosen.and_then(|m| m["digest"].as_str()) {
            Some(digest) => self.platform_manifest(digest),
            None => Err(self.error(&format!("no match for platform in manifest {digest}"))),
        }
    }
}

fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                parts.pop();
            }
            std::path::Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    parts.join("/")
}
