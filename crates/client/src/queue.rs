//! A keyed work queue with the promises of client-go's: fair (first come, first served), stingy
//! (a key added many times before it is taken is worked on once), one worker per key at a time,
//! and delayed or rate-limited additions. Bounded by the number of keys, not of additions.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// First delay of a failing key (client-go's ItemExponentialFailureRateLimiter).
const RETRY_BASE: Duration = Duration::from_millis(5);
/// Longest delay of a failing key.
const RETRY_MAX: Duration = Duration::from_secs(1000);

/// Cheap to clone; all clones are one queue.
pub struct Queue<K> {
    inner: Arc<Inner<K>>,
}

struct Inner<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K> {
    /// Keys to hand out, in order. Every key here is in `dirty` and not in `processing`.
    ready: VecDeque<K>,
    /// Keys that need work, also while they are being worked on.
    dirty: HashSet<K>,
    /// Keys handed out and not yet done.
    processing: HashSet<K>,
    /// Keys to add later; the earliest time of a key counts.
    delayed: BinaryHeap<Reverse<(Instant, u64)>>,
    delayed_keys: HashMap<u64, K>,
    delayed_sequence: u64,
    failures: HashMap<K, u32>,
    shut_down: bool,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Queue { inner: self.inner.clone() }
    }
}

impl<K: Clone + Eq + Hash> Default for Queue<K> {
    fn default() -> Self {
        Queue::new()
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    pub fn new() -> Queue<K> {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            processing: HashSet::new(),
            delayed: BinaryHeap::new(),
            delayed_keys: HashMap::new(),
            delayed_sequence: 0,
            failures: HashMap::new(),
            shut_down: false,
        };
        Queue { inner: Arc::new(Inner { state: Mutex::new(state), changed: Notify::new() }) }
    }

    fn with<R>(&self, work: impl FnOnce(&mut State<K>) -> R) -> R {
        work(&mut self.inner.state.lock().expect("no holder of the queue state panics"))
    }

    pub fn add(&self, key: K) {
        if self.with(|state| state.add(key)) {
            self.inner.changed.notify_one();
        }
    }

    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.with(|state| {
            let sequence = state.delayed_sequence;
            state.delayed_sequence += 1;
            state.delayed.push(Reverse((Instant::now() + delay, sequence)));
            state.delayed_keys.insert(sequence, key);
        });
        self.inner.changed.notify_one();
    }

    /// Adds the key after a delay that doubles with every failure since [`Queue::forget`].
    pub fn add_rate_limited(&self, key: K) {
        let failures = self.with(|state| {
            let count = state.failures.entry(key.clone()).or_insert(0);
            *count += 1;
            *count - 1
        });
        let delay =
            RETRY_BASE.saturating_mul(1u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX)).min(RETRY_MAX);
        self.add_after(key, delay);
    }

    /// The key is good again: the next failure starts from the first delay.
    pub fn forget(&self, key: &K) {
        self.with(|state| state.failures.remove(key));
    }

    /// The next key; the caller must say [`Queue::done`]. `None` once shut down and drained.
    pub async fn next(&self) -> Option<K> {
        loop {
            let changed = self.inner.changed.notified();
            let wait = match self.with(State::take) {
                Take::Key(key) => {
                    // Another worker may have something to take as well.
                    self.inner.changed.notify_one();
                    return Some(key);
                }
                Take::ShutDown => {
                    self.inner.changed.notify_one();
                    return None;
                }
                Take::Wait(until) => until,
            };
            match wait {
                None => changed.await,
                Some(at) => {
                    tokio::select! { biased; () = changed => {}, () = tokio::time::sleep_until(at) => {} }
                }
            }
        }
    }

    /// Ends the work on a key; if it was added meanwhile it is handed out again.
    pub fn done(&self, key: &K) {
        let again = self.with(|state| {
            state.processing.remove(key);
            let again = state.dirty.contains(key);
            if again {
                state.ready.push_back(key.clone());
            }
            again
        });
        if again {
            self.inner.changed.notify_one();
        }
    }

    pub fn shut_down(&self) {
        self.with(|state| state.shut_down = true);
        self.inner.changed.notify_waiters();
        self.inner.changed.notify_one();
    }

    pub fn len(&self) -> usize {
        self.with(|state| state.ready.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

enum Take<K> {
    Key(K),
    Wait(Option<Instant>),
    ShutDown,
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K) -> bool {
        if self.shut_down || !self.dirty.insert(key.clone()) {
            return false;
        }
        if self.processing.contains(&key) {
            return false;
        }
        self.ready.push_back(key);
        true
    }

    fn take(&mut self) -> Take<K> {
        let now = Instant::now();
        while let Some(Reverse((at, sequence))) = self.delayed.peek().copied() {
            if at > now {
                break;
            }
            self.delayed.pop();
            if let Some(key) = self.delayed_keys.remove(&sequence) {
                self.add(key);
            }
        }
        if let Some(key) = self.ready.pop_front() {
            self.dirty.remove(&key);
            self.processing.insert(key.clone());
            return Take::Key(key);
        }
        if self.shut_down {
            return Take::ShutDown;
        }
        Take::Wait(self.delayed.peek().map(|Reverse((at, _))| *at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_worked_on_comes_again_once() {
        let queue = Queue::new();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, Some("a"));
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.len(), 0, "one worker per key");
        queue.done(&"a");
        assert_eq!(queue.next().await, Some("a"));
        queue.done(&"a");
        queue.shut_down();
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_each_time_until_forgotten() {
        let queue = Queue::new();
        let mut delays = Vec::new();
        for _ in 0..4 {
            let start = Instant::now();
            queue.add_rate_limited("a");
            queue.next().await;
            queue.done(&"a");
            delays.push(start.elapsed().as_millis());
        }
        assert_eq!(delays, [5, 10, 20, 40]);
        queue.forget(&"a");
        let start = Instant::now();
        queue.add_rate_limited("a");
        queue.next().await;
        assert_eq!(start.elapsed().as_millis(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn delayed_keys_come_in_time_order() {
        let queue = Queue::new();
        queue.add_after("late", Duration::from_secs(2));
        queue.add_after("early", Duration::from_secs(1));
        assert_eq!(queue.next().await, Some("early"));
        assert_eq!(queue.next().await, Some("late"));
    }
}
