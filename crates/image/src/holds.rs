//! Layers that stay on the disk for whoever uses them, even if their image is removed: containers
//! outlive the daemon that made them. `<dir>/holds/<name>` lists the layers, one a line.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result};
use crate::store::{Image, Store};

impl Store {
    /// Keeps the layers of an image until [`Store::release`], across restarts.
    ///
    /// # Errors
    /// If the image was removed meanwhile, or the disk is full.
    pub fn hold(&self, image: &Image, name: &str) -> Result<()> {
        let path = self.dir().join("holds").join(name);
        // Whoever removes layers has the lock for writing.
        self.while_nothing_is_removed(|| {
            if let Some(gone) = image.layers.iter().find(|layer| !layer.is_dir()) {
                let digest = file_name(gone).to_string();
                return Err(Error::Layer { digest, message: "is not on this node".into() });
            }
            let lines: Vec<&str> = image.layers.iter().map(|layer| file_name(layer)).collect();
            fs::write(&path, lines.join("\n")).at(&path)
        })
    }

    /// The layers go when nothing else needs them and somebody sweeps.
    pub fn release(&self, name: &str) -> Result<()> {
        let path = self.dir().join("holds").join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at(path),
            _ => Ok(()),
        }
    }

    /// Names of all holds.
    pub fn holders(&self) -> Result<Vec<String>> {
        Ok(files(self.dir())?.iter().map(|path| file_name(path).to_string()).collect())
    }
}

/// Layers that somebody holds.
pub(crate) fn held(dir: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut held = BTreeSet::new();
    for path in files(dir)? {
        match fs::read_to_string(&path) {
            Ok(text) => held.extend(text.lines().map(|layer| dir.join("layers").join(layer))),
            // Just released.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).at(path),
        }
    }
    Ok(held)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let holds = dir.join("holds");
    fs::read_dir(&holds).at(&holds)?.map(|entry| Ok(entry.at(&holds)?.path())).collect()
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
