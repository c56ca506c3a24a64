//! The log: segments that are appended to, zero-filled ahead and synced.

use super::format;
use crate::{Error, limits};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the log needs of a file; a trait so that tests can let a disk fill up or fail.
pub trait LogFile: Send {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn set_len(&self, length: u64) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
}

impl LogFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}

/// Opens or makes a segment without truncating it.
pub type OpenLog = Arc<dyn Fn(&Path) -> io::Result<Box<dyn LogFile>> + Send + Sync>;

pub fn open_file(path: &Path) -> io::Result<Box<dyn LogFile>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    Ok(Box::new(options.open(path)?))
}

/// What became of an append that did not succeed.
pub enum Failure {
    /// Nothing is left of it.
    Undone(Error),
    /// What the disk holds is unknown.
    Fatal(Error),
}

/// The segment being written.
pub struct Log {
    dir: PathBuf,
    open: OpenLog,
    file: Box<dyn LogFile>,
    /// Where the next batch goes.
    offset: u64,
    /// The file has zeros from `offset` up to here.
    zeroed: u64,
    /// Log bytes since the last checkpoint, over all segments.
    pub since_checkpoint: u64,
}

pub fn segment_name(first_revision: u64) -> String {
    format!("log-{first_revision:020}")
}

/// The first revision in a segment's name.
pub fn segment_revision(name: &str) -> Option<u64> {
    name.strip_prefix("log-")?.parse().ok()
}

impl Log {
    /// A new, empty segment.
    pub fn create(dir: &Path, open: &OpenLog, first_revision: u64) -> io::Result<Log> {
        let file = open(&dir.join(segment_name(first_revision)))?;
        file.set_len(0)?;
        file.write_all_at(&format::segment_header(first_revision), 0)?;
        file.sync_data()?;
        File::open(dir)?.sync_all()?;
        let offset = format::SEGMENT_HEADER as u64;
        Ok(Log { dir: dir.into(), open: open.clone(), file, offset, zeroed: offset, since_checkpoint: 0 })
    }

    /// Goes on with a segment whose good part ends at `offset`; what is behind it is cut off.
    pub fn resume(
        dir: &Path,
        open: &OpenLog,
        first_revision: u64,
        offset: u64,
        since_checkpoint: u64,
    ) -> io::Result<Log> {
        let file = open(&dir.join(segment_name(first_revision)))?;
        file.set_len(offset)?;
        file.sync_data()?;
        Ok(Log { dir: dir.into(), open: open.clone(), file, offset, zeroed: offset, since_checkpoint })
    }

    /// Whether the segment has its full size.
    pub fn full(&self) -> bool {
        self.offset >= limits::SEGMENT_BYTES
    }

    /// Closes the segment and starts the next one.
    pub fn rotate(&mut self, first_revision: u64) -> io::Result<()> {
        let next = Log::create(&self.dir, &self.open, first_revision)?;
        *self = Log { since_checkpoint: self.since_checkpoint, ..next };
        Ok(())
    }

    /// Appends a batch and syncs it.
    pub fn append(&mut self, batch: &[u8]) -> Result<(), Failure> {
        let end = self.offset + batch.len() as u64;
        if end > self.zeroed {
            self.zero_fill(end.next_multiple_of(limits::PREALLOCATE_BYTES))?;
        }
        if let Err(error) = self.file.write_all_at(batch, self.offset) {
            return Err(self.undo(self.offset, error));
        }
        if let Err(error) = self.file.sync_data() {
            return Err(Failure::Fatal(Error::Stopped(format!("a sync of the log failed: {error}"))));
        }
        self.offset = end;
        self.since_checkpoint += batch.len() as u64;
        Ok(())
    }

    fn zero_fill(&mut self, up_to: u64) -> Result<(), Failure> {
        static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];
        let mut at = self.zeroed;
        while at < up_to {
            let step = (up_to - at).min(ZEROS.len() as u64);
            if let Err(error) = self.file.write_all_at(&ZEROS[..step as usize], at) {
                return Err(self.undo(self.zeroed, error));
            }
            at += step;
        }
        self.zeroed = up_to;
        Ok(())
    }

    /// Cuts off what a failed write may have left.
    fn undo(&mut self, length: u64, error: io::Error) -> Failure {
        if let Err(second) = self.file.set_len(length) {
            return Failure::Fatal(Error::Stopped(format!("the log could not be cut back: {second}")));
        }
        self.zeroed = length;
        Failure::Undone(write_error(&error))
    }
}

/// The error a writer sees.
pub fn write_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace(error.to_string()),
        _ => Error::Io(error.to_string()),
    }
}
