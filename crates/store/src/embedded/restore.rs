//! Fills an empty data directory with the state of a snapshot.

use super::{checkpoint, format, lock, log};
use crate::ledger::Ledger;
use crate::{Entry, Error};
use std::path::Path;
use std::sync::Arc;

/// Writes a checkpoint with these entries at `revision`, which must be at least that of each entry.
///
/// # Errors
/// [`Error::Open`] with one sentence: in use, not empty, not writable.
pub fn restore(dir: &Path, revision: u64, entries: Vec<Arc<Entry>>) -> Result<(), Error> {
    let dir = dir.join("store");
    let _lock = lock::Lock::take(&dir)?;
    format::check_version(&dir)?;
    let unusable = |error: std::io::Error| Error::Open(format!("cannot use {}: {error}", dir.display()));
    let names = checkpoint::list(&dir).map_err(unusable)?;
    let used =
        |name: &String| checkpoint::revision_of(name).is_some() || log::segment_revision(name).is_some();
    if names.iter().any(used) {
        return Err(Error::Open(format!(
            "{} already holds a store: name an empty data directory",
            dir.display()
        )));
    }
    let mut ledger = Ledger::new();
    for entry in entries {
        if entry.mod_revision > revision || entry.create_revision > entry.mod_revision {
            return Err(Error::Open(format!("the revisions of {} cannot be right", entry.key)));
        }
        ledger.bytes += (entry.key.len() + entry.value.len()) as u64;
        ledger.entries.insert(entry.key.clone(), entry);
    }
    ledger.revision = revision.max(1);
    checkpoint::write(&dir, &ledger).map_err(unusable)
}
