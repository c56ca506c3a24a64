//! The images of a node: `<dir>/layers/<hex>` holds each unpacked layer, `<dir>/images/<hex>.json`
//! what an image is. Everything else is derived from these files at start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use serde_json::{Value, json};

use crate::config::ImageConfig;
use crate::error::{At, Error, Result};
use crate::layer::{Digest, unpack};
use crate::reference::Reference;

/// An image that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Digest of its config: `sha256:…`.
    pub id: String,
    /// Full names with tags.
    pub names: BTreeSet<String>,
    /// Full names with digests.
    pub digests: BTreeSet<String>,
    /// Bytes of its layers as transported (unpacked where it never was).
    pub size: u64,
    pub config: ImageConfig,
    /// Unpacked layers, topmost first: the lower directories of an overlay.
    pub layers: Vec<PathBuf>,
}

/// What a finished pull or import adds.
pub struct NewImage<'a> {
    /// The config's bytes.
    pub config: &'a [u8],
    pub name: Option<&'a Reference>,
    /// Digest of the manifest, for `name@digest`.
    pub manifest_digest: Option<&'a str>,
    pub size: u64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    images: RwLock<BTreeMap<String, Arc<Image>>>,
    /// One unpacking per layer at a time.
    unpacking: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

impl Store {
    pub fn open(dir: &Path) -> Result<Store> {
        for part in ["layers", "images"] {
            fs::create_dir_all(dir.join(part)).at(dir)?;
        }
        let mut images = BTreeMap::new();
        let list = dir.join("images");
        for entry in fs::read_dir(&list).at(&list)? {
            let path = entry.at(&list)?.path();
            if path.extension().is_some_and(|e| e == "json") {
                let image = read_image(dir, &path)?;
                images.insert(image.id.clone(), Arc::new(image));
            }
        }
        let inner =
            Inner { dir: dir.into(), images: RwLock::new(images), unpacking: Mutex::new(BTreeMap::new()) };
        Ok(Store { inner: Arc::new(inner) })
    }

    pub fn images(&self) -> Vec<Arc<Image>> {
        self.inner.images.read().expect("no writer panics").values().cloned().collect()
    }

    /// By id (or the start of one, 12 digits at least), by name, or by name and digest.
    pub fn resolve(&self, name: &str) -> Option<Arc<Image>> {
        let images = self.inner.images.read().expect("no writer panics");
        let id = name.strip_prefix("sha256:").unwrap_or(name);
        if id.len() >= 12
            && let Some(image) = images.values().find(|i| i.id["sha256:".len()..].starts_with(id))
        {
            return Some(image.clone());
        }
        let reference = Reference::parse(name).ok()?;
        if !reference.digest.is_empty() {
            let wanted = format!("{}@{}", reference.name(), reference.digest);
            return images.values().find(|i| i.digests.contains(&wanted)).cloned();
        }
        let wanted = reference.to_string();
        images.values().find(|i| i.names.contains(&wanted)).cloned()
    }

    pub fn has_layer(&self, diff_id: &str) -> Result<bool> {
        Ok(self.layer_dir(diff_id)?.is_dir())
    }

    fn layer_dir(&self, diff_id: &str) -> Result<PathBuf> {
        Ok(self.inner.dir.join("layers").join(Digest::hex(diff_id)?))
    }

    /// Unpacks a layer unless it is there. Blocks.
    pub fn add_layer(&self, diff_id: &str, compressed: impl Read + Send) -> Result<()> {
        let dir = self.layer_dir(diff_id)?;
        let turn = self.inner.unpacking.lock().expect("no holder panics").entry(diff_id.into()).or_default().clone();
        let _turn = turn.lock().expect("no holder panics");
        if !dir.is_dir() {
            unpack(compressed, diff_id, &dir)?;
        }
        self.inner.unpacking.lock().expect("no holder panics").remove(diff_id);
        Ok(())
    }

    /// A layer that is made on this node rather than unpacked; `build` fills its directory.
    pub fn build_layer(&self, diff_id: &str, build: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
        let dir = self.layer_dir(diff_id)?;
        if dir.is_dir() {
            return Ok(());
        }
        let fresh = dir.with_extension("partial");
        let _ = fs::remove_dir_all(&fresh);
        fs::create_dir_all(&fresh).at(&fresh)?;
        build(&fresh).at(&fresh)?;
        fs::rename(&fresh, &dir).at(&dir)
    }

    /// Makes an image whose layers are all there known under its name.
    pub fn add_image(&self, new: &NewImage<'_>) -> Result<Arc<Image>> {
        let config = ImageConfig::parse(new.config)?;
        let id = Digest::of(new.config);
        let mut images = self.inner.images.write().expect("no writer panics");
        let mut image = match images.get(&id) {
            Some(image) => (**image).clone(),
            None => Image {
                id: id.clone(),
                names: BTreeSet::new(),
                digests: BTreeSet::new(),
                size: new.size,
                layers: layers(&self.inner.dir, &config)?,
                config,
            },
        };
        if let Some(name) = new.name {
            if !name.tag.is_empty() {
                let tagged = Reference { digest: String::new(), ..name.clone() }.to_string();
                self.take_name(&mut images, &tagged, &id)?;
                image.names.insert(tagged);
            }
            if let Some(digest) = new.manifest_digest {
                image.digests.insert(format!("{}@{digest}", name.name()));
            }
        }
        write_image(&self.inner.dir, &image, new.config)?;
        let image = Arc::new(image);
        images.insert(id, image.clone());
        Ok(image)
    }

    /// A tag names one image: the one that had it loses it.
    fn take_name(&self, images: &mut BTreeMap<String, Arc<Image>>, name: &str, except: &str) -> Result<()> {
        for image in images.values_mut().filter(|i| i.id != except && i.names.contains(name)) {
            let mut old = (**image).clone();
            old.names.remove(name);
            rewrite_names(&self.inner.dir, &old)?;
            *image = Arc::new(old);
        }
        Ok(())
    }

    /// Removes a name; with its last name (or by id) the image and the layers no other one has.
    pub fn remove(&self, name: &str) -> Result<()> {
        let found = self.resolve(name).ok_or_else(|| Error::NotFound(name.into()))?;
        let mut images = self.inner.images.write().expect("no writer panics");
        let mut image = (*found).clone();
        if let Ok(reference) = Reference::parse(name) {
            image.names.remove(&reference.to_string());
        }
        let by_name = image.names.len() < found.names.len();
        if by_name && !image.names.is_empty() {
            rewrite_names(&self.inner.dir, &image)?;
            images.insert(image.id.clone(), Arc::new(image));
            return Ok(());
        }
        let path = image_path(&self.inner.dir, &image.id)?;
        fs::remove_file(&path).at(&path)?;
        images.remove(&image.id);
        let used: BTreeSet<&PathBuf> = images.values().flat_map(|i| &i.layers).collect();
        for layer in image.layers.iter().filter(|layer| !used.contains(layer)) {
            fs::remove_dir_all(layer).at(layer)?;
        }
        Ok(())
    }
}

fn layers(dir: &Path, config: &ImageConfig) -> Result<Vec<PathBuf>> {
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

fn image_path(dir: &Path, id: &str) -> Result<PathBuf> {
    Ok(dir.join("images").join(format!("{}.json", Digest::hex(id)?)))
}

fn write_image(dir: &Path, image: &Image, config: &[u8]) -> Result<()> {
    let config = String::from_utf8(config.to_vec()).map_err(|error| Error::Config(error.to_string()))?;
    write_record(dir, image, &config)
}

fn write_record(dir: &Path, image: &Image, config: &str) -> Result<()> {
    let record =
        json!({"names": image.names, "digests": image.digests, "size": image.size, "config": config});
    let path = image_path(dir, &image.id)?;
    let fresh = path.with_extension("new");
    let mut file = fs::File::create(&fresh).at(&fresh)?;
    io::Write::write_all(&mut file, record.to_string().as_bytes()).at(&fresh)?;
    file.sync_all().at(&fresh)?;
    fs::rename(&fresh, &path).at(&path)
}

fn rewrite_names(dir: &Path, image: &Image) -> Result<()> {
    let path = image_path(dir, &image.id)?;
    let record = read_record(&path)?;
    write_record(dir, image, record["config"].as_str().unwrap_or_default())
}

fn read_record(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).at(path)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Archive { path: path.into(), message: format!("not an image record: {error}") })
}

fn read_image(dir: &Path, path: &Path) -> Result<Image> {
    let record = read_record(path)?;
    let config = record["config"].as_str().unwrap_or_default();
    let parsed = ImageConfig::parse(config.as_bytes())?;
    let set = |value: &Value| -> BTreeSet<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
    };
    Ok(Image {
        id: Digest::of(config.as_bytes()),
        names: set(&record["names"]),
        digests: set(&record["digests"]),
        size: record["size"].as_u64().unwrap_or(0),
        layers: layers(dir, &parsed)?,
        config: parsed,
    })
}
