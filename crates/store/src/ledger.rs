//! The decision itself: conditions, revisions, and what a write turns into. Pure; shared by the local
//! authorities, which differ only in what they do before the result may be seen.

use crate::{Condition, Entry, Error, Event, Op, Write};
use imbl::OrdMap;
use std::sync::Arc;

/// The keys and the revision of the last write. Cloning is cheap (shared structure).
#[derive(Clone)]
pub(crate) struct Ledger {
    pub entries: OrdMap<Arc<str>, Arc<Entry>>,
    pub revision: u64,
    /// Bytes of all keys and values.
    pub bytes: u64,
}

impl Ledger {
    /// An empty database has revision 1, so that no list ever answers revision 0.
    pub fn new() -> Ledger {
        Ledger { entries: OrdMap::new(), revision: 1, bytes: 0 }
    }

    /// Decides a write at the next revision and applies it.
    pub fn decide(&mut self, write: &Write, now_ms: i64) -> Result<Arc<Event>, Error> {
        write.check_size()?;
        let current = self.entries.get(&write.key).cloned();
        match (write.condition, &current) {
            (Condition::Absent, Some(entry)) => return Err(Error::Exists(entry.clone())),
            (Condition::Revision(_) | Condition::Exists, None) => {
                return Err(Error::NotFound(write.key.clone()));
            }
            (Condition::Revision(wanted), Some(entry)) if entry.mod_revision != wanted => {
                return Err(Error::Conflict(entry.clone()));
            }
            _ => {}
        }
        let revision = self.revision + 1;
        let event = match (&write.op, current) {
            (Op::Put { value, ttl }, prev) => {
                let expires = ttl.map(|ttl| now_ms.saturating_add(ttl.as_millis() as i64));
                let key = prev.as_ref().map_or_else(|| write.key.clone(), |prev| prev.key.clone());
                let create = prev.as_ref().map_or(revision, |prev| prev.create_revision);
                let entry = Arc::new(Entry::new(key, create, revision, expires, value.clone()));
                Event::put(entry, prev, now_ms)
            }
            (Op::Delete, Some(last)) => Event::delete(revision, last, now_ms),
            (Op::Delete, None) => return Err(Error::NotFound(write.key.clone())),
        };
        let event = Arc::new(event);
        self.apply(&event);
        Ok(event)
    }

    /// Applies an event that was decided before (also when a log is read back).
    pub fn apply(&mut self, event: &Event) {
        let size = |entry: &Entry| (entry.key.len() + entry.value.len()) as u64;
        if let Some(prev) = &event.prev {
            self.bytes = self.bytes.saturating_sub(size(prev));
        }
        if event.deleted {
            self.entries.remove(&event.entry.key);
        } else {
            self.bytes += size(&event.entry);
            self.entries.insert(event.entry.key.clone(), event.entry.clone());
        }
        self.revision = event.revision;
    }

    pub fn range(&self, prefix: &str) -> Vec<Arc<Entry>> {
        let from: Arc<str> = prefix.into();
        let tail = self.entries.range(from..);
        tail.take_while(|(key, _)| key.starts_with(prefix)).map(|(_, entry)| entry.clone()).collect()
    }
}
