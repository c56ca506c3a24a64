//! The committer thread: gathers, decides, appends, syncs, publishes, answers. The only writer.

use super::format::BatchWriter;
use super::log::{Failure, Log, write_error};
use super::{Config, Shared, checkpoint};
use crate::ledger::Ledger;
use crate::{Clock, Error, Event, Write, limits};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

pub struct Request {
    pub write: Write,
    pub reply: oneshot::Sender<Result<Arc<Event>, Error>>,
}

pub struct Committer {
    dir: PathBuf,
    clock: Clock,
    on_fatal: super::FatalHook,
    checkpoint_log_bytes: u64,
    ledger: Ledger,
    log: Log,
    shared: Arc<Shared>,
    checkpoint: Option<JoinHandle<std::io::Result<()>>>,
    batch: BatchWriter,
}

impl Committer {
    pub fn new(dir: PathBuf, config: Config, ledger: Ledger, log: Log, shared: Arc<Shared>) -> Committer {
        Committer {
            dir,
            clock: config.clock,
            on_fatal: config.on_fatal,
            checkpoint_log_bytes: config.checkpoint_log_bytes,
            ledger,
            log,
            shared,
            checkpoint: None,
            batch: BatchWriter::new(),
        }
    }

    /// Works until every sender is gone.
    pub fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut gathered = Vec::new();
        while let Some(first) = requests.blocking_recv() {
            let mut bytes = size(&first.write);
            gathered.push(first);
            while bytes < limits::MAX_BATCH_BYTES {
                let Ok(request) = requests.try_recv() else { break };
                bytes += size(&request.write);
                gathered.push(request);
            }
            if let Err(error) = self.commit(&mut gathered) {
                self.stop(&error, gathered, requests);
                return;
            }
        }
        if let Some(thread) = self.checkpoint.take() {
            let _the_log_still_has_everything = thread.join();
        }
    }

    /// Commits one batch and answers it. An error is fatal; the requests are then still unanswered.
    fn commit(&mut self, gathered: &mut Vec<Request>) -> Result<(), Error> {
        if self.log.full()
            && let Err(error) = self.log.rotate(self.ledger.revision + 1)
        {
            let error = write_error(&error);
            gathered.drain(..).for_each(|request| answer(request, Err(error.clone())));
            return Ok(());
        }
        let now = (self.clock)();
        let mut working = self.ledger.clone();
        let decided: Vec<_> = gathered.iter().map(|request| working.decide(&request.write, now)).collect();
        let events: Vec<_> = decided.iter().filter_map(|result| result.as_ref().ok().cloned()).collect();
        if !events.is_empty() {
            self.batch.clear();
            events.iter().for_each(|event| self.batch.push(event));
            match self.log.append(self.batch.finish()) {
                Ok(()) => {}
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Undone(error)) => {
                    gathered.drain(..).for_each(|request| answer(request, Err(error.clone())));
                    return Ok(());
                }
            }
            self.ledger = working;
            self.publish(&events);
        }
        // Rejections too are only told now: they may rest on writes of this very batch.
        gathered.drain(..).zip(decided).for_each(|(request, result)| answer(request, result));
        self.checkpoint_if_due();
        Ok(())
    }

    fn publish(&self, events: &[Arc<Event>]) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ledger = self.ledger.clone();
        if let Some(sink) = &state.sink {
            sink.apply(events);
        }
    }

    #[allow(clippy::disallowed_methods, reason = "a checkpoint is blocking IO beside the committer")]
    fn checkpoint_if_due(&mut self) {
        let due = self.checkpoint_log_bytes.max(2 * self.ledger.bytes);
        if self.log.since_checkpoint < due {
            return;
        }
        if self.checkpoint.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        // Whether or not this one succeeds, the next is due after as much log again.
        self.log.since_checkpoint = 0;
        if self.log.rotate(self.ledger.revision + 1).is_err() {
            return;
        }
        let (dir, ledger) = (self.dir.clone(), self.ledger.clone());
        let thread = std::thread::Builder::new().name("store-checkpoint".into());
        self.checkpoint = thread.spawn(move || checkpoint::write(&dir, &ledger)).ok();
    }

    fn stop(&self, error: &Error, gathered: Vec<Request>, mut requests: mpsc::Receiver<Request>) {
        self.shared.stopped.store(true, Ordering::Release);
        (self.on_fatal)(error);
        gathered.into_iter().for_each(|request| answer(request, Err(error.clone())));
        while let Some(request) = requests.blocking_recv() {
            answer(request, Err(error.clone()));
        }
    }
}

fn size(write: &Write) -> usize {
    let value = match &write.op {
        crate::Op::Put { value, .. } => value.len(),
        crate::Op::Delete => 0,
    };
    64 + write.key.len() + value
}

fn answer(request: Request, result: Result<Arc<Event>, Error>) {
    let _the_writer_may_be_gone = request.reply.send(result);
}
