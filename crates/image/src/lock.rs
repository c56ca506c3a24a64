//! How processes share one store (`minke image pull` beside a running daemon). Two files:
//! `changes` is locked while records are written and holds a counter that tells others to read
//! them again; `work` is held shared by whoever is adding layers, so that nobody sweeps them away
//! before the image that refers to them is recorded.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{At, Result};

/// Records of the store, as other processes see them. The caller lets one thread at a time lock.
pub(crate) struct Changes {
    path: PathBuf,
    file: File,
}

impl Changes {
    pub(crate) fn open(dir: &Path) -> Result<Changes> {
        let path = dir.join("changes");
        let file = open(&path)?;
        Ok(Changes { path, file })
    }

    /// How often records were changed; cheap enough for every look-up.
    pub(crate) fn count(&self) -> u64 {
        let mut bytes = [0; 8];
        match self.file.read_at(&mut bytes, 0) {
            Ok(8) => u64::from_le_bytes(bytes),
            _ => 0,
        }
    }

    /// Waits until no other process changes records; with `exclusive`, also until none reads them.
    pub(crate) fn lock(&self, exclusive: bool) -> Result<Locked<'_>> {
        let how = if exclusive { FlockOperation::LockExclusive } else { FlockOperation::LockShared };
        rustix::io::retry_on_intr(|| flock(&self.file, how)).map_err(io::Error::from).at(&self.path)?;
        Ok(Locked { changes: self })
    }
}

pub(crate) struct Locked<'a> {
    changes: &'a Changes,
}

impl Locked<'_> {
    /// Announces a change, before it is made: who reads the new count waits for this lock.
    pub(crate) fn announce(&self) -> Result<u64> {
        let count = self.changes.count().wrapping_add(1);
        self.changes.file.write_all_at(&count.to_le_bytes(), 0).at(&self.changes.path)?;
        Ok(count)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _ = flock(&self.changes.file, FlockOperation::Unlock);
    }
}

/// While it lives, no process removes layers or partial files of the store.
pub struct Work {
    _file: File,
}

impl Work {
    pub(crate) fn begin(dir: &Path) -> Result<Work> {
        let path = dir.join("work");
        let file = open(&path)?;
        rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockShared))
            .map_err(io::Error::from)
            .at(path)?;
        Ok(Work { _file: file })
    }

    /// Keeps others from beginning work; `None` if some is under way.
    pub(crate) fn alone(dir: &Path) -> Result<Option<Work>> {
        let path = dir.join("work");
        let file = open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Work { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(io::Error::from(error)).at(path),
        }
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).at(path)
}
