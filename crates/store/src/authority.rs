//! The seam below the store: who decides writes, makes them durable and orders them.

use crate::{Entry, Error, Event};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// What must hold for a write to happen; decided by the authority, atomically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The key must not exist.
    Absent,
    /// The key must exist with exactly this modification revision.
    Revision(u64),
    /// The key must exist.
    Exists,
}

#[derive(Debug, Clone)]
pub enum Op {
    /// Sets the value; with `ttl` the key is deleted that long after the commit.
    Put {
        value: Bytes,
        ttl: Option<Duration>,
    },
    Delete,
}

/// One conditional write of one key.
#[derive(Debug, Clone)]
pub struct Write {
    pub key: Arc<str>,
    pub condition: Condition,
    pub op: Op,
}

/// Where an authority delivers what happened, in revision order, each event once.
pub trait Sink: Send + Sync {
    /// Starts over from this state: entries as of `revision`.
    fn reset(&self, revision: u64, entries: Vec<Arc<Entry>>);
    /// Applies durable events.
    fn apply(&self, events: &[Arc<Event>]);
}

/// Entries in key order, and the revision they are of.
pub type Ranged = (u64, Vec<Arc<Entry>>);

/// Decides writes. Implementations: [`crate::Memory`], [`crate::Embedded`]; one suite tests them all.
pub trait Authority: Send + Sync + 'static {
    /// Decides and commits one write. When it answers `Ok`, the write is durable; local authorities
    /// have also delivered its event to the sink.
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Arc<Event>, Error>>;

    /// The revision of the last committed write, linearizable.
    fn revision(&self) -> BoxFuture<'_, Result<u64, Error>>;

    /// Entries whose key starts with `prefix`, in key order, read past any cache, with their revision.
    fn range(&self, prefix: &str) -> BoxFuture<'_, Result<Ranged, Error>>;

    /// Connects the one sink: it is reset first, then gets every event.
    fn connect(&self, sink: Arc<dyn Sink>) -> Result<(), Error>;
}
