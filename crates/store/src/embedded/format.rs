//! The bytes on disk: the version file, batches of the log, records. No IO besides the version file.
//!
//! A batch is `magic u32, payload length u32, CRC32C u32, record count u32, payload`, padded to eight
//! bytes; the checksum covers length, count and payload. All numbers are little-endian. A record is
//! `op u8, revision u64, create revision u64, expiry i64, time i64, key length u32, value length u32,
//! key, value`.

use crate::{Entry, Error, Event};
use bytes::Bytes;
use imbl::OrdMap;
use std::path::Path;
use std::sync::Arc;

/// Version of everything below `<dir>/store/`. Raise it when older programs could not read the files.
const VERSION: u32 = 1;
const VERSION_FILE: &str = "FORMAT";

pub const SEGMENT_MAGIC: &[u8; 8] = b"mnk-log\n";
pub const SEGMENT_HEADER: usize = 24;
pub const CHECKPOINT_MAGIC: &[u8; 8] = b"mnk-ckp\n";
const BATCH_MAGIC: u32 = 0x6b6e_6d42;
const BATCH_HEADER: usize = 16;
const RECORD_HEADER: usize = 41;
const NEVER: i64 = i64::MAX;

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// Refuses a directory of a newer version, marks a new one.
pub fn check_version(dir: &Path) -> Result<(), Error> {
    let path = dir.join(VERSION_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let found = text.trim().strip_prefix("minke-store ").and_then(|v| v.parse::<u32>().ok());
            match found {
                Some(version) if version <= VERSION => Ok(()),
                Some(version) => Err(Error::Open(format!(
                    "{} was written by a newer version of Minke (store format {version}, this one reads up to {VERSION})",
                    dir.display()
                ))),
                None => Err(Error::Open(format!("{} is not a store format file", path.display()))),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            super::checkpoint::write_durably(dir, VERSION_FILE, |file| {
                use std::io::Write;
                writeln!(file, "minke-store {VERSION}")
            })
            .map_err(|error| Error::Open(format!("cannot write {}: {error}", path.display())))
        }
        Err(error) => Err(Error::Open(format!("cannot read {}: {error}", path.display()))),
    }
}

pub fn segment_header(first_revision: u64) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..16].copy_from_slice(&first_revision.to_le_bytes());
    let crc = crc32c::crc32c(&header[..16]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The first revision of a segment, if its header is whole.
pub fn read_segment_header(bytes: &[u8]) -> Option<u64> {
    let header = bytes.get(..SEGMENT_HEADER)?;
    let first = u64_at(header, 8)?;
    (header == segment_header(first)).then_some(first)
}

/// Collects records into one batch.
pub struct BatchWriter {
    bytes: Vec<u8>,
    count: u32,
}

impl BatchWriter {
    pub fn new() -> BatchWriter {
        BatchWriter { bytes: vec![0; BATCH_HEADER], count: 0 }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn clear(&mut self) {
        self.bytes.truncate(BATCH_HEADER);
        self.count = 0;
    }

    pub fn push(&mut self, event: &Event) {
        let entry = &event.entry;
        let (op, value): (u8, &[u8]) =
            if event.deleted { (DELETE, &[]) } else { (PUT, entry.value.as_ref()) };
        self.push_record(op, event.revision, entry, event.time_ms, value);
    }

    /// An entry of a checkpoint.
    pub fn push_entry(&mut self, entry: &Entry) {
        self.push_record(PUT, entry.mod_revision, entry, 0, &entry.value);
    }

    fn push_record(&mut self, op: u8, revision: u64, entry: &Entry, time_ms: i64, value: &[u8]) {
        let out = &mut self.bytes;
        out.reserve(RECORD_HEADER + entry.key.len() + value.len());
        out.push(op);
        out.extend_from_slice(&revision.to_le_bytes());
        out.extend_from_slice(&entry.create_revision.to_le_bytes());
        out.extend_from_slice(&entry.expires_ms.unwrap_or(NEVER).to_le_bytes());
        out.extend_from_slice(&time_ms.to_le_bytes());
        out.extend_from_slice(&(entry.key.len() as u32).to_le_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(entry.key.as_bytes());
        out.extend_from_slice(value);
        self.count += 1;
    }

    /// The whole batch, ready to be written.
    pub fn finish(&mut self) -> &[u8] {
        let payload = self.bytes.len() - BATCH_HEADER;
        self.bytes[..4].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
        self.bytes[4..8].copy_from_slice(&(payload as u32).to_le_bytes());
        self.bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        let crc = batch_crc(&self.bytes);
        self.bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        let padded = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(padded, 0);
        &self.bytes
    }
}

fn batch_crc(batch: &[u8]) -> u32 {
    let head = crc32c::crc32c(&batch[4..8]);
    crc32c::crc32c_append(head, &batch[12..])
}

/// One record as read back.
pub struct Record {
    pub deleted: bool,
    pub revision: u64,
    pub create_revision: u64,
    pub expires_ms: Option<i64>,
    pub time_ms: i64,
    pub key: Arc<str>,
    pub value: Bytes,
}

impl Record {
    pub fn into_entry(self) -> Entry {
        Entry::new(self.key, self.create_revision, self.revision, self.expires_ms, self.value)
    }

    /// The event this record stood for, given what was there before.
    pub fn into_event(self, before: &OrdMap<Arc<str>, Arc<Entry>>) -> Option<Event> {
        let (time, revision, deleted) = (self.time_ms, self.revision, self.deleted);
        let prev = before.get(&self.key).cloned();
        if deleted {
            return prev.map(|last| Event::delete(revision, last, time));
        }
        Some(Event::put(Arc::new(self.into_entry()), prev, time))
    }
}

/// Reads the batch at `at`: its records and where the next one starts. `None` if it is not whole.
pub fn read_batch(file: &Bytes, at: usize) -> Option<(Vec<Record>, usize)> {
    let header = file.get(at..at + BATCH_HEADER)?;
    if u32_at(header, 0)? != BATCH_MAGIC {
        return None;
    }
    let length = u32_at(header, 4)? as usize;
    let end = at.checked_add(BATCH_HEADER)?.checked_add(length)?;
    let batch = file.get(at..end)?;
    if batch_crc(batch) != u32_at(header, 8)? {
        return None;
    }
    let count = u32_at(header, 12)?;
    let mut position = at + BATCH_HEADER;
    let mut records = Vec::with_capacity(count.min(65_536) as usize);
    for _ in 0..count {
        let (record, next) = read_record(file, position, end)?;
        records.push(record);
        position = next;
    }
    (position == end).then_some((records, end.next_multiple_of(8)))
}

/// Whether a whole batch starts anywhere at or behind `from`; then what precedes it was not torn by a
/// crash but damaged, since a batch is only written when all before it are durable.
pub fn batch_behind(file: &Bytes, from: usize) -> bool {
    let magic = BATCH_MAGIC.to_le_bytes();
    (from.next_multiple_of(8)..file.len())
        .step_by(8)
        .any(|at| file[at..].starts_with(&magic) && read_batch(file, at).is_some())
}

fn read_record(file: &Bytes, at: usize, end: usize) -> Option<(Record, usize)> {
    let head = file.get(at..(at + RECORD_HEADER).min(end))?;
    let key_length = u32_at(head, 33)? as usize;
    let value_length = u32_at(head, 37)? as usize;
    let key_at = at + RECORD_HEADER;
    let value_at = key_at.checked_add(key_length)?;
    let next = value_at.checked_add(value_length)?;
    if next > end {
        return None;
    }
    let expires = u64_at(head, 17)? as i64;
    let record = Record {
        deleted: match head[0] {
            PUT => false,
            DELETE => true,
            _ => return None,
        },
        revision: u64_at(head, 1)?,
        create_revision: u64_at(head, 9)?,
        expires_ms: (expires != NEVER).then_some(expires),
        time_ms: u64_at(head, 25)? as i64,
        key: std::str::from_utf8(file.get(key_at..value_at)?).ok()?.into(),
        // A copy: a slice would keep the whole segment in memory as long as one value lives.
        value: Bytes::copy_from_slice(file.get(value_at..next)?),
    };
    Some((record, next))
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
