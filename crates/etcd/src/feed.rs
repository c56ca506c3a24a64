//! The one watch: every event below the root, in order and each once, to the sink. After a break it
//! goes on behind the last revision; if etcd no longer has that, everything is read anew and the sink
//! starts over (its watchers are told that their revision is gone).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use store::{Entry, Event, Ranged, Sink};

use crate::authority::{Inner, entry};
use crate::grpc::{Failure, OUT_OF_RANGE};
use crate::messages::{WATCH, WatchAnswer, WatchEvent, prefix_end, watch};
use crate::{grpc, limits};

/// Why a watch ended.
enum End {
    Broken(Failure),
    /// The history behind our revision is gone.
    Compacted,
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Broken(failure)
    }
}

struct Feed {
    inner: Arc<Inner>,
    sink: Arc<dyn Sink>,
    /// What the sink has: deletions carry the last entry, and etcd may have forgotten it.
    mirror: HashMap<Arc<str>, Arc<Entry>>,
    revision: u64,
    /// Failures since the last event, which choose the member to go on with.
    failures: usize,
}

pub async fn run(inner: Arc<Inner>, sink: Arc<dyn Sink>, initial: Ranged) {
    let mut feed = Feed { inner, sink, mirror: HashMap::new(), revision: 0, failures: 0 };
    feed.reset(initial);
    loop {
        match feed.follow().await {
            End::Broken(failure) => feed.failed(&failure).await,
            End::Compacted => {
                let root = feed.inner.config.root.clone();
                match feed.inner.read_all(&root).await {
                    Ok(everything) => feed.reset(everything),
                    Err(failure) => feed.failed(&failure).await,
                }
            }
        }
    }
}

impl Feed {
    fn reset(&mut self, (revision, entries): Ranged) {
        // Entries that stayed are kept: others may hold their parsed form.
        let old = std::mem::take(&mut self.mirror);
        let keep = |new: Arc<Entry>| match old.get(&new.key) {
            Some(old) if old.mod_revision == new.mod_revision => old.clone(),
            _ => new,
        };
        let entries: Vec<_> = entries.into_iter().map(keep).collect();
        self.mirror = entries.iter().map(|entry| (entry.key.clone(), entry.clone())).collect();
        self.revision = revision;
        self.sink.reset(revision, entries);
        self.inner.reached.store(revision, Ordering::SeqCst);
    }

    async fn failed(&mut self, failure: &Failure) {
        self.inner.channel.note(failure).await;
        let doubled = limits::WATCH_PAUSE * 2u32.pow(self.failures.min(10) as u32);
        self.failures += 1;
        if self.failures > 5 {
            tracing::warn!("the watch on etcd does not come back: {failure}");
        }
        self.inner.env.sleep(doubled.min(limits::WATCH_PAUSE_MAX)).await;
    }

    /// One watch, until it ends.
    async fn follow(&mut self) -> End {
        let Err(end) = self.watch().await;
        end
    }

    async fn watch(&mut self) -> Result<std::convert::Infallible, End> {
        let inner = self.inner.clone();
        let (connection, token) = inner.channel.own_connection(self.failures).await?;
        // A cluster that was restored from an older copy would never say so: it just stays silent.
        if inner.current_revision().await? < self.revision {
            tracing::warn!("etcd's revision went back: everything is read anew");
            return Err(End::Compacted);
        }
        let root = &inner.config.root;
        let request = grpc::bytes(watch(root.as_bytes(), &prefix_end(root), self.revision + 1));
        let mut answers = connection.stream(WATCH, &request, token.as_deref()).await?;
        let mut events = Vec::new();
        loop {
            let Some(answer) = answers.next().await? else {
                return Err(Failure::unreachable("etcd ended the watch").into());
            };
            let answer = WatchAnswer::read(answer).map_err(Failure::from)?;
            if answer.compact_revision > 0 {
                return Err(End::Compacted);
            }
            if answer.canceled {
                let message = format!("etcd refused the watch: {}", answer.cancel_reason);
                return Err(Failure { code: OUT_OF_RANGE, message, undone: true, broken: false }.into());
            }
            self.failures = 0;
            events.extend(answer.events);
            // Only the whole answer has whole revisions.
            if !answer.fragment && !events.is_empty() {
                self.apply(std::mem::take(&mut events));
            }
        }
    }

    fn apply(&mut self, events: Vec<WatchEvent>) {
        let now = self.inner.env.now().as_millisecond();
        let after = self.revision;
        let events: Vec<Arc<Event>> = events
            .into_iter()
            .filter(|event| event.kv.mod_revision > after)
            .filter_map(|event| self.event(&event, now).map(Arc::new))
            .collect();
        let Some(last) = events.last() else { return };
        self.revision = last.revision;
        self.sink.apply(&events);
        self.inner.reached.store(self.revision, Ordering::SeqCst);
    }

    fn event(&mut self, event: &WatchEvent, now: i64) -> Option<Event> {
        if event.deleted {
            let key = std::str::from_utf8(&event.kv.key).ok()?;
            let last = self.mirror.remove(key)?;
            return Some(Event::delete(event.kv.mod_revision, last, now));
        }
        let entry = entry(&event.kv)?;
        let prev = self.mirror.insert(entry.key.clone(), entry.clone());
        Some(Event::put(entry, prev, now))
    }
}
