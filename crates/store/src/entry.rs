//! Entries and events: immutable, shared by the authority, the cache and every reader.

use bytes::Bytes;
use serde_json::Value;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// One key at one revision.
#[derive(Debug)]
pub struct Entry {
    pub key: Arc<str>,
    /// Revision at which the key was created.
    pub create_revision: u64,
    /// Revision of this value.
    pub mod_revision: u64,
    /// When the key goes by itself (Unix milliseconds), if ever.
    pub expires_ms: Option<i64>,
    pub value: Bytes,
    /// Alive as long as some reader holds it: a parsed object is many times the size of its bytes,
    /// and the history keeps entries that nobody will read again.
    tree: Mutex<Weak<Value>>,
}

impl Entry {
    pub fn new(key: Arc<str>, create: u64, modified: u64, expires_ms: Option<i64>, value: Bytes) -> Entry {
        Entry {
            key,
            create_revision: create,
            mod_revision: modified,
            expires_ms,
            value,
            tree: Mutex::default(),
        }
    }

    /// The parsed form, made by `parse` unless somebody still holds one.
    pub fn tree(&self, parse: impl FnOnce(&Entry) -> Value) -> Arc<Value> {
        let mut held = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = held.upgrade() {
            return tree;
        }
        let tree = Arc::new(parse(self));
        *held = Arc::downgrade(&tree);
        tree
    }
}

/// One change of one key.
#[derive(Debug)]
pub struct Event {
    pub revision: u64,
    /// The new entry; for a deletion, the last one.
    pub entry: Arc<Entry>,
    /// What was there before; `None` exactly for a creation.
    pub prev: Option<Arc<Entry>>,
    pub deleted: bool,
    /// When it was committed (Unix milliseconds).
    pub time_ms: i64,
    encoded: OnceLock<Bytes>,
}

impl Event {
    pub fn put(entry: Arc<Entry>, prev: Option<Arc<Entry>>, time_ms: i64) -> Event {
        Event { revision: entry.mod_revision, entry, prev, deleted: false, time_ms, encoded: OnceLock::new() }
    }

    pub fn delete(revision: u64, last: Arc<Entry>, time_ms: i64) -> Event {
        Event {
            revision,
            entry: last.clone(),
            prev: Some(last),
            deleted: true,
            time_ms,
            encoded: OnceLock::new(),
        }
    }

    pub fn created(&self) -> bool {
        self.prev.is_none()
    }

    /// The wire form that most watchers share, made once by `encode`.
    pub fn encoded(&self, encode: impl FnOnce(&Event) -> Bytes) -> Bytes {
        self.encoded.get_or_init(|| encode(self)).clone()
    }

    /// Value bytes that this event keeps alive.
    pub(crate) fn weight(&self) -> usize {
        self.entry.value.len() + self.entry.key.len()
    }
}
