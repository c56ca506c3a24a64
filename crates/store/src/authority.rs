//! The seam below the store: who decides writes, makes them durable and orders them.

use crate::{Entry, Error, Event, limits};
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
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

impl Write {
    /// Whether key and value have a size that every authority takes.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn check_size(&self) -> Result<(), Error> {
        if self.key.len() > limits::MAX_KEY {
            return Err(Error::TooLarge { what: "key", size: self.key.len(), limit: limits::MAX_KEY });
        }
        match &self.op {
            Op::Put { value, .. } if value.len() > limits::MAX_VALUE => {
                Err(Error::TooLarge { what: "value", size: value.len(), limit: limits::MAX_VALUE })
            }
            _ => Ok(()),
        }
    }
}

/// Where an authority delivers what happened, in revision order, each event once. Events of one
/// revision (a lease that takes several keys along) come in one call.
pub trait Sink: Send + Sync {
    /// Starts over from this state: entries as of `revision`.
    fn reset(&self, revision: u64, entries: Vec<Arc<Entry>>);
    /// Applies durable events.
    fn apply(&self, events: &[Arc<Event>]);
}

/// Entries in key order, and the revision they are of.
pub type Ranged = (u64, Vec<Arc<Entry>>);

/// Decides writes. Implementations: [`crate::Memory`], [`crate::Embedded`], and `etcd` in a crate of
/// its own; one suite tests them all.
pub trait Authority: Send + Sync + 'static {
    /// Decides and commits one write. When it answers `Ok`, the write is durable; local authorities
    /// have also delivered its event to the sink.
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Arc<Event>, Error>>;

    /// The revision of the last committed write, linearizable.
    fn revision(&self) -> BoxFuture<'_, Result<u64, Error>>;

    /// Entries whose key starts with `prefix`, in key order, read past any cache, with their revision.
    fn range(&self, prefix: &str) -> BoxFuture<'_, Result<Ranged, Error>>;

    /// Asked when the sink has not reached `revision` for a moment. An authority whose revisions may pass
    /// without an event (others write beside our keys) makes one happen; for local ones there is nothing
    /// to do.
    fn nudge(&self, _revision: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(ready(Ok(())))
    }

    /// Whether other processes write as well, so that this one's cache may be behind.
    fn shared(&self) -> bool {
        false
    }

    /// Connects the one sink: it is reset first, then gets every event.
    fn connect(&self, sink: Arc<dyn Sink>) -> Result<(), Error>;
}
