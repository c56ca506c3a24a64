//! The store as the API server sees it: writes go to the authority, reads and watches to the cache.

use crate::cache::Cache;
use crate::expiry::Expiry;
use crate::{Authority, Clock, Condition, Entry, Error, Event, Op, Snapshot, Watcher, Write, limits};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// See the crate documentation. Shared by `Arc`.
pub struct Store {
    authority: Arc<dyn Authority>,
    cache: Arc<Cache>,
    expiry: Expiry,
    clock: Clock,
}

impl Store {
    /// Connects the cache to an authority.
    ///
    /// # Errors
    /// When the authority cannot deliver its state.
    pub fn new(authority: Arc<dyn Authority>, clock: Clock) -> Result<Arc<Store>, Error> {
        let cache = Cache::new();
        authority.connect(cache.clone())?;
        let expiry = Expiry::new();
        let (_, entries) = cache.dump("");
        entries.iter().for_each(|entry| expiry.note(entry));
        Ok(Arc::new(Store { authority, cache, expiry, clock }))
    }

    /// Gives a prefix its own map and event ring; `prefix` ends in `/`. Idempotent.
    pub fn register(&self, prefix: &str) {
        self.cache.register(prefix);
    }

    /// Creates a key.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::TooLarge`], or a failed write.
    pub async fn create(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<Arc<Entry>, Error> {
        let write = Write { key: key.into(), condition: Condition::Absent, op: Op::Put { value, ttl } };
        Ok(self.commit(write).await?.entry.clone())
    }

    /// Replaces the value of a key that has modification revision `expected`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`], [`Error::TooLarge`], or a failed write.
    pub async fn update(
        &self,
        key: &str,
        value: Bytes,
        expected: u64,
        ttl: Option<Duration>,
    ) -> Result<Arc<Entry>, Error> {
        let condition = Condition::Revision(expected);
        let write = Write { key: key.into(), condition, op: Op::Put { value, ttl } };
        Ok(self.commit(write).await?.entry.clone())
    }

    /// Deletes a key; with `expected`, only at that modification revision. The event carries the last
    /// entry and the revision of the deletion.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`], or a failed write.
    pub async fn delete(&self, key: &str, expected: Option<u64>) -> Result<Arc<Event>, Error> {
        let condition = expected.map_or(Condition::Exists, Condition::Revision);
        self.commit(Write { key: key.into(), condition, op: Op::Delete }).await
    }

    async fn commit(&self, write: Write) -> Result<Arc<Event>, Error> {
        let written = self.authority.write(write).await;
        match &written {
            Ok(event) => {
                self.show(event.revision).await;
                if !event.deleted {
                    self.expiry.note(&event.entry);
                }
            }
            // Whoever reads again to try again shall find what was in the way.
            Err(Error::Exists(entry) | Error::Conflict(entry)) => self.show(entry.mod_revision).await,
            Err(_) => {}
        }
        written
    }

    /// Who wrote (or was refused) finds it in the cache afterwards; with a local authority it is there
    /// already. The write stands whether or not the cache can catch up.
    async fn show(&self, revision: u64) {
        if self.cache.revision() < revision {
            let _late = self.wait_for(revision).await;
        }
    }

    /// Whether other processes write to the same authority.
    pub fn shared(&self) -> bool {
        self.authority.shared()
    }

    /// The revision this cache has reached.
    pub fn revision(&self) -> u64 {
        self.cache.revision()
    }

    /// Makes sure that the cache shows every write acknowledged before the call, by anyone.
    ///
    /// # Errors
    /// [`Error::Future`] when the cache does not catch up within [`limits::MAX_WAIT`].
    pub async fn consistent(&self) -> Result<u64, Error> {
        let revision = self.authority.revision().await?;
        self.wait_for(revision).await
    }

    /// Waits until the cache has reached `revision`, at most [`limits::MAX_WAIT`].
    ///
    /// # Errors
    /// [`Error::Future`].
    pub async fn wait_for(&self, revision: u64) -> Result<u64, Error> {
        let mut revisions = self.cache.revisions();
        let mut reached = std::pin::pin!(revisions.wait_for(|current| *current >= revision));
        let nudge = async {
            tokio::time::sleep(limits::NUDGE_AFTER).await;
            let _waiting_goes_on = self.authority.nudge(revision).await;
            std::future::pending::<()>().await;
        };
        let wait = async {
            tokio::select! {
                biased;
                reached = &mut reached => reached.map(|current| *current).ok(),
                () = nudge => None,
            }
        };
        match tokio::time::timeout(limits::MAX_WAIT, wait).await {
            Ok(Some(current)) => Ok(current),
            _ => Err(Error::Future { requested: revision, current: self.cache.revision() }),
        }
    }

    /// The entries below a prefix as the authority has them, past the cache.
    ///
    /// # Errors
    /// When the authority cannot be read.
    pub async fn range(&self, prefix: &str) -> Result<crate::Ranged, Error> {
        self.authority.range(prefix).await
    }

    /// The entry of a key, from the cache.
    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.cache.get(key)
    }

    /// The keys below a prefix (ending in `/`, at or below a registered one), from the cache.
    pub fn list(&self, prefix: &str) -> Snapshot {
        self.cache.snapshot(prefix)
    }

    /// The keys below a prefix as they were at `revision`.
    ///
    /// # Errors
    /// [`Error::Compacted`] when the history does not reach back, [`Error::Future`].
    pub fn list_at(&self, prefix: &str, revision: u64) -> Result<Snapshot, Error> {
        self.cache.snapshot_at(prefix, revision)
    }

    /// Events below a prefix after `revision`; a revision in the future just waits.
    ///
    /// # Errors
    /// [`Error::Compacted`] when the history does not reach back.
    pub fn watch(&self, prefix: &str, revision: u64) -> Result<Watcher, Error> {
        Watcher::new(self.cache.clone(), prefix, revision)
    }

    /// The revision of the last change below a registered prefix, as it changes.
    pub fn changes(&self, prefix: &str) -> tokio::sync::watch::Receiver<u64> {
        self.cache.changes(prefix)
    }

    /// Everything below any prefix, in key order; for inspection.
    pub fn dump(&self, prefix: &str) -> (u64, Vec<Arc<Entry>>) {
        self.cache.dump(prefix)
    }

    /// Deletes expired keys as they fall due, forever. The owner of the store spawns it once.
    pub async fn run_expiry(self: Arc<Self>) {
        loop {
            self.expiry.wait_due(&self.clock).await;
            for (key, revision) in self.expiry.take_due((self.clock)()) {
                // A conflict means the key was written since; that write noted its own expiry.
                match self.delete(&key, Some(revision)).await {
                    Ok(_) | Err(Error::NotFound(_) | Error::Conflict(_)) => {}
                    Err(_) => self.expiry.retry(key, revision, (self.clock)()),
                }
            }
        }
    }
}
