//! The default authority: decides locally and is durable through its own segmented log.
//!
//! One committer thread takes what writers queued, decides it in order, appends it as one batch with a
//! checksum, syncs once, and only then shows it to the cache and answers the writers (group commit).
//! A failed batch leaves no trace: it was decided on a copy that is dropped. A failed sync is fatal,
//! because nobody can know what reached the disk.

mod checkpoint;
mod committer;
mod format;
mod lock;
mod log;
mod recover;
mod restore;
#[cfg(test)]
mod tests;

use crate::ledger::Ledger;
use crate::{Authority, Clock, Error, Event, Ranged, Sink, Write, limits};
use committer::{Committer, Request};
use futures_util::future::{BoxFuture, ready};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

pub use log::{LogFile, OpenLog};
pub use restore::restore;

/// What the owner decides to do when durability is lost; usually it aborts the process.
pub type FatalHook = Arc<dyn Fn(&Error) + Send + Sync>;

/// How to open the embedded authority.
pub struct Config {
    /// The data directory; files live in `<dir>/store/`.
    pub dir: PathBuf,
    pub clock: Clock,
    pub on_fatal: FatalHook,
    /// A checkpoint is due after this many log bytes (and twice the size of the data).
    pub checkpoint_log_bytes: u64,
    /// How log segments are opened; other than [`log::open_file`] only in tests of failing disks.
    pub open_log: OpenLog,
}

impl Config {
    pub fn new(dir: impl Into<PathBuf>, clock: Clock, on_fatal: FatalHook) -> Config {
        let checkpoint_log_bytes = limits::CHECKPOINT_LOG_BYTES;
        Config { dir: dir.into(), clock, on_fatal, checkpoint_log_bytes, open_log: Arc::new(log::open_file) }
    }
}

/// What is durable, and who is told about it.
pub(crate) struct Shared {
    pub state: Mutex<Published>,
    pub stopped: AtomicBool,
}

pub(crate) struct Published {
    pub ledger: Ledger,
    pub sink: Option<Arc<dyn Sink>>,
    /// State of the last checkpoint and the events since, until the sink takes them as its history.
    pub recovered: Option<(Ledger, Vec<Arc<Event>>)>,
}

/// See the module documentation. Dropping it stops the committer after the writes it already has.
pub struct Embedded {
    queue: Option<mpsc::Sender<Request>>,
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
    _lock: lock::Lock,
}

impl Embedded {
    /// Opens (or makes) the store in a data directory and recovers its state.
    ///
    /// # Errors
    /// [`Error::Open`] with one sentence: in use by another process, written by a newer version,
    /// damaged, or not accessible.
    #[allow(
        clippy::disallowed_methods,
        reason = "the committer is a thread of its own: it blocks in fdatasync"
    )]
    pub fn open(config: Config) -> Result<Arc<Embedded>, Error> {
        let dir = config.dir.join("store");
        let lock = lock::Lock::take(&dir)?;
        format::check_version(&dir)?;
        let recovered = recover::recover(&dir, &config.open_log)?;
        let ledger = recovered.ledger.clone();
        let state = Published {
            ledger: ledger.clone(),
            sink: None,
            recovered: Some((recovered.base, recovered.events)),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), stopped: AtomicBool::new(false) });
        let (queue, requests) = mpsc::channel(limits::MAX_QUEUED_WRITES);
        let committer = Committer::new(dir, config, ledger, recovered.log, shared.clone());
        let committer = std::thread::Builder::new()
            .name("store-commit".into())
            .spawn(move || committer.run(requests))
            .map_err(|error| Error::Open(format!("the store's committer thread did not start: {error}")))?;
        Ok(Arc::new(Embedded { queue: Some(queue), shared, committer: Some(committer), _lock: lock }))
    }

    fn published(&self) -> std::sync::MutexGuard<'_, Published> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopped() -> Error {
    Error::Stopped("the committer is gone".into())
}

impl Authority for Embedded {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Arc<Event>, Error>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let queue = self.queue.as_ref().ok_or_else(stopped)?;
            queue.send(Request { write, reply }).await.map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())?
        })
    }

    fn revision(&self) -> BoxFuture<'_, Result<u64, Error>> {
        let revision = self.published().ledger.revision;
        Box::pin(ready(Ok(revision)))
    }

    fn range(&self, prefix: &str) -> BoxFuture<'_, Result<Ranged, Error>> {
        let ledger = self.published().ledger.clone();
        Box::pin(ready(Ok((ledger.revision, ledger.range(prefix)))))
    }

    fn connect(&self, sink: Arc<dyn Sink>) -> Result<(), Error> {
        let mut state = self.published();
        match state.recovered.take() {
            Some((base, events))
                if events.last().map_or(base.revision, |e| e.revision) == state.ledger.revision =>
            {
                sink.reset(base.revision, base.range(""));
                sink.apply(&events);
            }
            _ => sink.reset(state.ledger.revision, state.ledger.range("")),
        }
        state.sink = Some(sink);
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(committer) = self.committer.take() {
            let _panicked_already_reported = committer.join();
        }
    }
}
