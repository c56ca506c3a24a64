//! Checkpoints: the whole state at one revision in one file, so that older log segments can go.
//!
//! The file is written beside its place, synced, renamed, and the directory synced; so a checkpoint
//! that has its name is whole. Layout: magic, revision u64, entry count u64, CRC32C of these, then
//! batches of entries as in the log.

use super::format::{self, BatchWriter};
use super::log;
use crate::ledger::Ledger;
use crate::{Entry, Error};
use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

const HEADER: usize = 32;
const BATCH_BYTES: usize = 256 * 1024;
const TEMPORARY: &str = ".tmp";

pub fn name(revision: u64) -> String {
    format!("checkpoint-{revision:020}")
}

pub fn revision_of(name: &str) -> Option<u64> {
    name.strip_prefix("checkpoint-")?.parse().ok()
}

/// Writes a file so that it is there either whole or not at all.
pub fn write_durably(
    dir: &Path,
    name: &str,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = dir.join(format!("{name}{TEMPORARY}"));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let written = (|| {
        let mut writer = BufWriter::with_capacity(BATCH_BYTES, file);
        fill(&mut writer)?;
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(&temporary, dir.join(name))?;
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _nothing_more_to_do = std::fs::remove_file(&temporary);
    }
    written
}

/// Writes the state and removes what it replaces.
pub fn write(dir: &Path, ledger: &Ledger) -> io::Result<()> {
    write_durably(dir, &name(ledger.revision), |file| {
        file.write_all(&header(ledger.revision, ledger.entries.len() as u64))?;
        let mut batch = BatchWriter::new();
        for entry in ledger.entries.values() {
            batch.push_entry(entry);
            if batch.len() >= BATCH_BYTES {
                file.write_all(batch.finish())?;
                batch.clear();
            }
        }
        if !batch.is_empty() {
            file.write_all(batch.finish())?;
        }
        Ok(())
    })?;
    remove_replaced(dir, ledger.revision)
}

/// Removes older checkpoints, segments that end before `revision`, and leftovers of interrupted writes.
pub fn remove_replaced(dir: &Path, revision: u64) -> io::Result<()> {
    let names = list(dir)?;
    let mut segments: Vec<u64> = names.iter().filter_map(|name| log::segment_revision(name)).collect();
    segments.sort_unstable();
    for pair in segments.windows(2) {
        if pair[1] <= revision + 1 {
            std::fs::remove_file(dir.join(log::segment_name(pair[0])))?;
        }
    }
    for name in names {
        let old = revision_of(&name).is_some_and(|found| found < revision);
        if old || name.ends_with(TEMPORARY) {
            std::fs::remove_file(dir.join(name))?;
        }
    }
    Ok(())
}

pub fn list(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for item in std::fs::read_dir(dir)? {
        if let Ok(name) = item?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

fn header(revision: u64, count: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(format::CHECKPOINT_MAGIC);
    header[8..16].copy_from_slice(&revision.to_le_bytes());
    header[16..24].copy_from_slice(&count.to_le_bytes());
    let crc = crc32c::crc32c(&header[..24]);
    header[24..28].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Reads a checkpoint back.
pub fn read(path: &Path, revision: u64) -> Result<Ledger, Error> {
    let damaged = || Error::Open(format!("the checkpoint {} is damaged", path.display()));
    let bytes = std::fs::read(path)
        .map_err(|error| Error::Open(format!("cannot read {}: {error}", path.display())))?;
    let bytes = Bytes::from(bytes);
    let count = format::u64_at(&bytes, 16).ok_or_else(damaged)?;
    if bytes.get(..HEADER) != Some(&header(revision, count)[..]) {
        return Err(damaged());
    }
    let mut ledger = Ledger::new();
    let mut at = HEADER;
    while at < bytes.len() {
        let (records, next) = format::read_batch(&bytes, at).ok_or_else(damaged)?;
        for record in records {
            let entry: Arc<Entry> = Arc::new(record.into_entry());
            ledger.bytes += (entry.key.len() + entry.value.len()) as u64;
            ledger.entries.insert(entry.key.clone(), entry);
        }
        at = next;
    }
    if ledger.entries.len() as u64 != count {
        return Err(damaged());
    }
    ledger.revision = revision;
    Ok(ledger)
}
