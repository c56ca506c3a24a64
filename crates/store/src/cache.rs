//! The cache: all keys in ordered maps, one per registered prefix, each with a bounded ring of events.
//! Fed only by the authority's stream; it decides nothing.

use crate::snapshot::{Map, Snapshot};
use crate::{Entry, Error, Event, Sink, limits};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch;

/// Keys outside every registered prefix live here until somebody registers one for them.
const REST: &str = "";

pub(crate) struct Cache {
    state: RwLock<State>,
    revision: watch::Sender<u64>,
    kept: Mutex<VecDeque<(Arc<str>, Snapshot)>>,
}

struct State {
    revision: u64,
    shards: HashMap<Arc<str>, Shard>,
}

struct Shard {
    map: Map,
    ring: VecDeque<Arc<Event>>,
    ring_bytes: usize,
    /// Events up to and including this revision are gone.
    compacted: u64,
    changed: watch::Sender<u64>,
}

impl Shard {
    fn new(revision: u64) -> Shard {
        Shard {
            map: Map::new(),
            ring: VecDeque::new(),
            ring_bytes: 0,
            compacted: revision,
            changed: watch::Sender::new(revision),
        }
    }

    fn apply(&mut self, event: &Arc<Event>) {
        if event.deleted {
            self.map.remove(&event.entry.key);
        } else {
            self.map.insert(event.entry.key.clone(), event.entry.clone());
        }
        self.ring_bytes += event.weight();
        self.ring.push_back(event.clone());
        self.trim(event.time_ms);
    }

    /// Forgets events beyond the limits; at most as much work as events were added.
    fn trim(&mut self, now_ms: i64) {
        let horizon = now_ms - limits::HISTORY.as_millis() as i64;
        while let Some(oldest) = self.ring.front() {
            let aged = self.ring.len() > limits::MIN_RING_EVENTS && oldest.time_ms < horizon;
            let full = self.ring.len() > limits::MAX_RING_EVENTS || self.ring_bytes > limits::MAX_RING_BYTES;
            if !(aged || full) || self.ring.len() == 1 {
                break;
            }
            self.compacted = oldest.revision;
            self.ring_bytes -= oldest.weight();
            self.ring.pop_front();
        }
    }

    /// Index of the first event after `revision`.
    fn after(&self, revision: u64) -> usize {
        self.ring.partition_point(|event| event.revision <= revision)
    }

    fn check(&self, revision: u64) -> Result<(), Error> {
        if revision < self.compacted {
            return Err(Error::Compacted { requested: revision, oldest: self.compacted });
        }
        Ok(())
    }
}

impl State {
    /// The registered prefix that a key or a longer prefix belongs to.
    fn owner(&self, key: &str) -> &str {
        let cuts = key.char_indices().rev().filter(|(_, c)| *c == '/').map(|(at, _)| &key[..=at]);
        for prefix in cuts {
            if let Some((name, _)) = self.shards.get_key_value(prefix) {
                return name;
            }
        }
        REST
    }

    fn shard(&self, key: &str) -> &Shard {
        &self.shards[self.owner(key)]
    }
}

/// What a watcher gets in one step.
pub(crate) struct Read {
    pub events: Vec<Arc<Event>>,
    /// Everything up to here was looked at.
    pub revision: u64,
}

impl Cache {
    pub fn new() -> Arc<Cache> {
        let shards = HashMap::from([(Arc::from(REST), Shard::new(1))]);
        Arc::new(Cache {
            state: RwLock::new(State { revision: 1, shards }),
            revision: watch::Sender::new(1),
            kept: Mutex::new(VecDeque::new()),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn revision(&self) -> u64 {
        self.read().revision
    }

    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Gives `prefix` (ending in `/`) its own map and ring. Events of its keys that are already in the
    /// ring of the shorter prefix move along.
    pub fn register(&self, prefix: &str) {
        let mut state = self.write();
        if state.shards.contains_key(prefix) {
            return;
        }
        let owner: Arc<str> = state.owner(prefix).into();
        let revision = state.revision;
        let mut shard = Shard::new(revision);
        if let Some(parent) = state.shards.get_mut(&owner) {
            shard.compacted = parent.compacted;
            let moved: Vec<_> = parent
                .map
                .range::<_, Arc<str>>(Arc::from(prefix)..)
                .take_while(|(key, _)| key.starts_with(prefix))
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect();
            for (key, entry) in moved {
                parent.map.remove(&key);
                shard.map.insert(key, entry);
            }
            let (moved, stay): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(&mut parent.ring).into_iter().partition(|e| e.entry.key.starts_with(prefix));
            parent.ring = stay;
            parent.ring_bytes = parent.ring.iter().map(|event| event.weight()).sum();
            shard.ring_bytes = moved.iter().map(|event| event.weight()).sum();
            shard.ring = moved;
        }
        state.shards.insert(prefix.into(), shard);
    }

    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.read().shard(key).map.get(key).cloned()
    }

    /// The keys below `prefix` now.
    pub fn snapshot(&self, prefix: &str) -> Snapshot {
        let state = self.read();
        Snapshot::new(state.revision, prefix.into(), state.shard(prefix).map.clone())
    }

    /// The keys below `prefix` as they were at `revision`: the events since are undone on a copy.
    pub fn snapshot_at(&self, prefix: &str, revision: u64) -> Result<Snapshot, Error> {
        let (owner, mut map, undo) = {
            let state = self.read();
            if revision > state.revision {
                return Err(Error::Future { requested: revision, current: state.revision });
            }
            let shard = state.shard(prefix);
            shard.check(revision)?;
            if shard.after(revision) == shard.ring.len() {
                return Ok(Snapshot::new(revision, prefix.into(), shard.map.clone()));
            }
            let owner: Arc<str> = state.owner(prefix).into();
            if let Some(kept) = self.kept_snapshot(&owner, revision) {
                return Ok(Snapshot::new(revision, prefix.into(), kept.map().clone()));
            }
            let undo: Vec<_> = shard.ring.range(shard.after(revision)..).cloned().collect();
            (owner, shard.map.clone(), undo)
        };
        for event in undo.iter().rev() {
            match &event.prev {
                Some(prev) => map.insert(prev.key.clone(), prev.clone()),
                None => map.remove(&event.entry.key),
            };
        }
        let snapshot = Snapshot::new(revision, prefix.into(), map);
        self.keep(owner, snapshot.clone());
        Ok(snapshot)
    }

    fn kept_snapshot(&self, owner: &str, revision: u64) -> Option<Snapshot> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(name, snapshot)| &**name == owner && snapshot.revision == revision);
        found.map(|(_, snapshot)| snapshot.clone())
    }

    fn keep(&self, owner: Arc<str>, snapshot: Snapshot) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= limits::MAX_KEPT_SNAPSHOTS {
            kept.pop_front();
        }
        kept.push_back((owner, snapshot));
    }

    /// All entries below `prefix`, whatever is registered; for inspection.
    pub fn dump(&self, prefix: &str) -> (u64, Vec<Arc<Entry>>) {
        let state = self.read();
        let mut found: Vec<Arc<Entry>> = state
            .shards
            .values()
            .flat_map(|shard| {
                let tail = shard.map.range::<_, Arc<str>>(Arc::from(prefix)..);
                tail.take_while(|(key, _)| key.starts_with(prefix)).map(|(_, entry)| entry.clone())
            })
            .collect();
        found.sort_by(|a, b| a.key.cmp(&b.key));
        (state.revision, found)
    }

    /// Checks that a watch may start after `revision` and gives its wake-up.
    pub fn subscribe(&self, prefix: &str, revision: u64) -> Result<watch::Receiver<u64>, Error> {
        let state = self.read();
        let shard = state.shard(prefix);
        shard.check(revision)?;
        Ok(shard.changed.subscribe())
    }

    /// The wake-up of a prefix.
    pub fn changes(&self, prefix: &str) -> watch::Receiver<u64> {
        self.read().shard(prefix).changed.subscribe()
    }

    /// Events below `prefix` after `revision`, at most one batch.
    pub fn since(&self, prefix: &str, revision: u64) -> Result<Read, Error> {
        let state = self.read();
        let shard = state.shard(prefix);
        if revision >= state.revision {
            return Ok(Read { events: Vec::new(), revision });
        }
        shard.check(revision)?;
        let mut events: Vec<Arc<Event>> = Vec::new();
        for event in shard.ring.range(shard.after(revision)..) {
            if event.entry.key.starts_with(prefix) {
                // A revision is never cut: who goes on after it would miss the rest.
                let last = events.last().map(|last| last.revision);
                if let (true, Some(last)) = (events.len() >= limits::MAX_WATCH_BATCH, last)
                    && last != event.revision
                {
                    return Ok(Read { events, revision: last });
                }
                events.push(event.clone());
            }
        }
        Ok(Read { events, revision: state.revision })
    }
}

impl Sink for Cache {
    fn reset(&self, revision: u64, entries: Vec<Arc<Entry>>) {
        let mut state = self.write();
        state.revision = revision;
        for shard in state.shards.values_mut() {
            let changed = shard.changed.clone();
            *shard = Shard { changed, ..Shard::new(revision) };
        }
        for entry in entries {
            let owner: Arc<str> = state.owner(&entry.key).into();
            if let Some(shard) = state.shards.get_mut(&owner) {
                shard.map.insert(entry.key.clone(), entry);
            }
        }
        let changed: Vec<_> = state.shards.values().map(|shard| shard.changed.clone()).collect();
        drop(state);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.revision.send_replace(revision);
        // Watchers wake to learn that their revision is gone.
        for sender in changed {
            sender.send_replace(revision);
        }
    }

    fn apply(&self, events: &[Arc<Event>]) {
        let Some(last) = events.last() else { return };
        let mut touched: Vec<watch::Sender<u64>> = Vec::new();
        let mut state = self.write();
        for event in events {
            let owner: Arc<str> = state.owner(&event.entry.key).into();
            if let Some(shard) = state.shards.get_mut(&owner) {
                shard.apply(event);
                if !touched.iter().any(|sender| sender.same_channel(&shard.changed)) {
                    touched.push(shard.changed.clone());
                }
            }
        }
        state.revision = last.revision;
        drop(state);
        self.revision.send_replace(last.revision);
        for sender in touched {
            sender.send_replace(last.revision);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_never_cuts_a_revision() {
        let cache = Cache::new();
        let entry = |n: usize| {
            let key: Arc<str> = format!("/x/{n:04}").into();
            Arc::new(Entry::new(key, 2, 2, None, bytes::Bytes::new()))
        };
        let count = limits::MAX_WATCH_BATCH + 40;
        let entries: Vec<_> = (0..count).map(entry).collect();
        cache.reset(2, entries.clone());
        // What a lease takes along goes at one revision.
        let events: Vec<_> = entries.into_iter().map(|last| Arc::new(Event::delete(3, last, 0))).collect();
        cache.apply(&events);
        let read = cache.since("/x/", 2).expect("history");
        assert_eq!((read.events.len(), read.revision), (count, 3));
        assert!(cache.since("/x/", 3).expect("history").events.is_empty());
    }

    #[test]
    fn a_watcher_wakes_when_the_history_is_gone() {
        let cache = Cache::new();
        let wake = cache.subscribe("/x/", 1).expect("history");
        cache.reset(9, Vec::new());
        assert!(wake.has_changed().expect("open"));
        assert!(matches!(cache.since("/x/", 1), Err(Error::Compacted { .. })));
    }
}
