//! A watch: a cursor over the ring of one prefix. It owns no queue, so a slow reader costs nothing and
//! is told `Compacted` when the ring has moved past it.

use crate::cache::Cache;
use crate::{Error, Event};
use std::sync::Arc;
use tokio::sync::watch;

/// Events in revision order, and the revision up to which nothing else happened below the prefix.
#[derive(Debug)]
pub struct Batch {
    pub events: Vec<Arc<Event>>,
    pub revision: u64,
}

/// See the module documentation. Dropping it ends the watch.
pub struct Watcher {
    cache: Arc<Cache>,
    prefix: Arc<str>,
    cursor: u64,
    wake: watch::Receiver<u64>,
}

impl Watcher {
    pub(crate) fn new(cache: Arc<Cache>, prefix: &str, after: u64) -> Result<Watcher, Error> {
        let wake = cache.subscribe(prefix, after)?;
        Ok(Watcher { cache, prefix: prefix.into(), cursor: after, wake })
    }

    /// Waits for events; never answers an empty batch. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::Compacted`] when the reader was too slow; the watch is over.
    pub async fn next(&mut self) -> Result<Batch, Error> {
        loop {
            self.wake.borrow_and_update();
            let batch = self.ready()?;
            if !batch.events.is_empty() {
                return Ok(batch);
            }
            if self.wake.changed().await.is_err() {
                return Err(Error::Stopped("the store was closed".into()));
            }
        }
    }

    /// What is there now, without waiting; the batch's revision serves as a bookmark when it is empty.
    ///
    /// # Errors
    /// As [`Watcher::next`].
    pub fn ready(&mut self) -> Result<Batch, Error> {
        let read = self.cache.since(&self.prefix, self.cursor)?;
        self.cursor = read.revision;
        Ok(Batch { events: read.events, revision: read.revision })
    }
}
