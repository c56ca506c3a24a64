//! Reading the state back: the newest checkpoint, then every batch of the log behind it.
//!
//! A batch that is not whole at the very end was torn by a crash; it was never acknowledged and is cut
//! off. Anything else that is not whole means damage, and the store refuses to guess.

use super::log::{Log, OpenLog};
use super::{checkpoint, format, log};
use crate::ledger::Ledger;
use crate::{Error, Event};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

pub struct Recovered {
    /// State of the checkpoint.
    pub base: Ledger,
    /// What the log added to it.
    pub events: Vec<Arc<Event>>,
    pub ledger: Ledger,
    pub log: Log,
}

pub fn recover(dir: &Path, open: &OpenLog) -> Result<Recovered, Error> {
    let unreadable = |error: std::io::Error| Error::Open(format!("cannot use {}: {error}", dir.display()));
    let names = checkpoint::list(dir).map_err(unreadable)?;
    let base = match names.iter().filter_map(|name| checkpoint::revision_of(name)).max() {
        Some(revision) => checkpoint::read(&dir.join(checkpoint::name(revision)), revision)?,
        None => Ledger::new(),
    };
    checkpoint::remove_replaced(dir, base.revision).map_err(unreadable)?;
    let mut segments: Vec<u64> = names
        .iter()
        .filter_map(|name| log::segment_revision(name))
        .filter(|first| dir.join(log::segment_name(*first)).exists())
        .collect();
    segments.sort_unstable();

    let mut replay = Replay { ledger: base.clone(), events: Vec::new(), end: None, bytes: 0 };
    for (index, first) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        replay.segment(&dir.join(log::segment_name(*first)), *first, last)?;
    }
    let next = replay.ledger.revision + 1;
    let log = match replay.end {
        Some((first, offset)) => Log::resume(dir, open, first, offset, replay.bytes),
        None => Log::create(dir, open, next),
    };
    let log = log.map_err(unreadable)?;
    Ok(Recovered { base, events: replay.events, ledger: replay.ledger, log })
}

struct Replay {
    ledger: Ledger,
    events: Vec<Arc<Event>>,
    /// Segment to go on with, and the end of its good part.
    end: Option<(u64, u64)>,
    bytes: u64,
}

impl Replay {
    fn segment(&mut self, path: &Path, first: u64, last: bool) -> Result<(), Error> {
        let damaged = |what: &str, at: usize| {
            Error::Open(format!("the log {} is damaged at byte {at}: {what}", path.display()))
        };
        let bytes = std::fs::read(path)
            .map_err(|error| Error::Open(format!("cannot read {}: {error}", path.display())))?;
        let bytes = Bytes::from(bytes);
        if format::read_segment_header(&bytes) != Some(first) {
            // A crash while the segment was made; it has no batch yet.
            if last && !format::batch_behind(&bytes, 0) {
                self.end = None;
                return Ok(());
            }
            return Err(damaged("its header is not valid", 0));
        }
        let mut at = format::SEGMENT_HEADER;
        while let Some((records, next)) = format::read_batch(&bytes, at) {
            for record in records {
                self.record(record).map_err(|what| damaged(&what, at))?;
            }
            at = next;
        }
        if !last && bytes[at.min(bytes.len())..].iter().any(|byte| *byte != 0) {
            return Err(damaged("a batch is not whole, but later segments exist", at));
        }
        if format::batch_behind(&bytes, at + 1) {
            return Err(damaged("a batch is not whole, but later ones are", at));
        }
        self.bytes += (at - format::SEGMENT_HEADER) as u64;
        self.end = Some((first, at as u64));
        Ok(())
    }

    fn record(&mut self, record: format::Record) -> Result<(), String> {
        let (revision, reached) = (record.revision, self.ledger.revision);
        if revision <= reached && self.events.is_empty() {
            return Ok(()); // Already part of the checkpoint.
        }
        if revision != reached + 1 {
            return Err(format!("revision {revision} follows {reached}"));
        }
        let event = record.into_event(&self.ledger.entries);
        let event = event.ok_or_else(|| format!("revision {revision} deletes a key that is not there"))?;
        self.ledger.apply(&event);
        self.events.push(Arc::new(event));
        Ok(())
    }
}
