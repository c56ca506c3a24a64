//! The authority without durability: for tests, simulation and throw-away clusters.

use crate::ledger::Ledger;
use crate::{Authority, Clock, Error, Event, Ranged, Sink, Write};
use futures_util::future::{BoxFuture, ready};
use std::sync::{Arc, Mutex, PoisonError};

/// Decides in place; a write is done when it returns.
pub struct Memory {
    clock: Clock,
    state: Mutex<(Ledger, Option<Arc<dyn Sink>>)>,
}

impl Memory {
    pub fn new(clock: Clock) -> Arc<Memory> {
        Arc::new(Memory { clock, state: Mutex::new((Ledger::new(), None)) })
    }

    fn commit(&self, write: Write) -> Result<Arc<Event>, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let event = state.0.decide(&write, (self.clock)())?;
        // Under the lock: events must reach the sink in revision order.
        if let Some(sink) = &state.1 {
            sink.apply(std::slice::from_ref(&event));
        }
        Ok(event)
    }
}

impl Authority for Memory {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Arc<Event>, Error>> {
        Box::pin(ready(self.commit(write)))
    }

    fn revision(&self) -> BoxFuture<'_, Result<u64, Error>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(ready(Ok(state.0.revision)))
    }

    fn range(&self, prefix: &str) -> BoxFuture<'_, Result<Ranged, Error>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(ready(Ok((state.0.revision, state.0.range(prefix)))))
    }

    fn connect(&self, sink: Arc<dyn Sink>) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        sink.reset(state.0.revision, state.0.range(""));
        state.1 = Some(sink);
        Ok(())
    }
}
