//! When keys with a time to live fall due. It only remembers; the deletion is an ordinary write.

use crate::{Clock, Entry, limits};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// A deletion that failed is tried again after this long.
const RETRY: Duration = Duration::from_secs(5);

type Due = (i64, Arc<str>, u64);

pub(crate) struct Expiry {
    heap: Mutex<BinaryHeap<Reverse<Due>>>,
    earlier: Notify,
}

impl Expiry {
    pub fn new() -> Expiry {
        Expiry { heap: Mutex::new(BinaryHeap::new()), earlier: Notify::new() }
    }

    pub fn note(&self, entry: &Entry) {
        if let Some(at) = entry.expires_ms {
            self.push((at, entry.key.clone(), entry.mod_revision));
        }
    }

    pub fn retry(&self, key: Arc<str>, revision: u64, now_ms: i64) {
        self.push((now_ms + RETRY.as_millis() as i64, key, revision));
    }

    fn push(&self, due: Due) {
        let mut heap = self.heap.lock().unwrap_or_else(PoisonError::into_inner);
        let first = heap.peek().is_none_or(|Reverse(head)| due.0 < head.0);
        heap.push(Reverse(due));
        drop(heap);
        if first {
            self.earlier.notify_one();
        }
    }

    fn next_at(&self) -> Option<i64> {
        let heap = self.heap.lock().unwrap_or_else(PoisonError::into_inner);
        heap.peek().map(|Reverse(due)| due.0)
    }

    /// Returns when at least one key is due.
    pub async fn wait_due(&self, clock: &Clock) {
        loop {
            let now = clock();
            match self.next_at() {
                Some(at) if at <= now => return,
                Some(at) => {
                    let pause = Duration::from_millis((at - now) as u64);
                    let _woken = tokio::time::timeout(pause, self.earlier.notified()).await;
                }
                None => self.earlier.notified().await,
            }
        }
    }

    /// Takes the keys that are due, with the revision they must still have.
    pub fn take_due(&self, now_ms: i64) -> Vec<(Arc<str>, u64)> {
        let mut heap = self.heap.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        while due.len() < limits::MAX_EXPIRIES_PER_ROUND {
            match heap.peek() {
                Some(Reverse((at, _, _))) if *at <= now_ms => {}
                _ => break,
            }
            if let Some(Reverse((_, key, revision))) = heap.pop() {
                due.push((key, revision));
            }
        }
        due
    }
}
