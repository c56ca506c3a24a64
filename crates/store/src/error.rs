//! The one error type of the store.

use crate::entry::Entry;
use std::sync::Arc;

/// What can go wrong with a read, a write or an open.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Create found the key; the entry that is there.
    #[error("key {} already exists", .0.key)]
    Exists(Arc<Entry>),
    /// Update or delete found no such key.
    #[error("key {0} not found")]
    NotFound(Arc<str>),
    /// The key has another revision than the write expected; the entry that is there.
    #[error("key {} has revision {}, not the expected one", .0.key, .0.mod_revision)]
    Conflict(Arc<Entry>),
    /// The revision is older than the kept history. `oldest` is the oldest one that can be asked.
    #[error("revision {requested} is older than the history, which starts at {oldest}")]
    Compacted { requested: u64, oldest: u64 },
    /// The revision has not happened yet.
    #[error("revision {requested} is in the future, the current one is {current}")]
    Future { requested: u64, current: u64 },
    /// The value or key exceeds its limit (bytes).
    #[error("{what} of {size} bytes exceeds the limit of {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    /// The disk is full; nothing was written, and later writes work once there is space.
    #[error("no space left for the store: {0}")]
    NoSpace(String),
    /// The write failed and left no trace.
    #[error("the store could not write: {0}")]
    Io(String),
    /// The authority did not say what became of the write: it may or may not have happened.
    #[error("the store did not answer, the write may have happened: {0}")]
    Unknown(String),
    /// The store lost its durability and has stopped; the process must restart.
    #[error("the store has stopped: {0}")]
    Stopped(String),
    /// The data directory cannot be used; one sentence for the operator.
    #[error("{0}")]
    Open(String),
}
