//! Watching a collection: initial events, changes seen through selectors, bookmarks, the end.

use super::get::parse_revision;
use super::list::check_options;
use crate::context::{Call, Result};
use crate::limits;
use crate::registry::{Place, store_status};
use crate::resources::Target;
use crate::selectors::Selectors;
use crate::server::Server;
use apimachinery::Status;
use bytes::Bytes;
use client::WatchEvent;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use store::{Entry, Event, Watcher};
use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    pub fn as_str(self) -> &'static str {
        match self {
            Change::Added => "ADDED",
            Change::Modified => "MODIFIED",
            Change::Deleted => "DELETED",
        }
    }
}

/// One thing a watch tells.
pub(crate) enum Item {
    /// An object that was there when the watch began.
    Initial(Arc<Entry>),
    /// A change; `entry` at `revision` is what the client gets to see.
    Change {
        change: Change,
        entry: Arc<Entry>,
        event: Arc<Event>,
    },
    Bookmark {
        revision: u64,
        initial_end: bool,
    },
    /// The last item.
    Error(Box<Status>),
}

/// A running watch; `next` gives `None` when its time is over.
pub(crate) struct Watch {
    pub target: Target,
    /// Ends with the definition of a custom resource.
    life: Option<watch::Receiver<()>>,
    server: Arc<Server>,
    watcher: Option<Watcher>,
    selectors: Selectors,
    queue: VecDeque<Item>,
    /// Events that were not looked at yet, and the revision up to which they go.
    pending: VecDeque<Arc<Event>>,
    seen: u64,
    bookmarks: bool,
    next_bookmark: Instant,
    last_bookmark_sent: bool,
    ends: Instant,
}

pub(crate) async fn watch(server: &Arc<Server>, call: &Call, target: &Target) -> Result<Watch> {
    check_options(call, true)?;
    let selectors = Selectors::of(call, target)?;
    let options = call.options();
    let place = Place::new(target, &call.request.namespace, &call.request.name);
    let prefix = target.prefix(&call.request.namespace);
    let now = server.env.instant();
    let random = Duration::from_millis(server.env.random_below(limits::MIN_WATCH.as_millis() as u64));
    let lasts =
        options.timeout_seconds.filter(|s| *s > 0).map_or(limits::MIN_WATCH + random, Duration::from_secs);
    let mut watch = Watch {
        target: target.clone(),
        life: target.custom.as_ref().map(|custom| custom.life.clone()),
        server: server.clone(),
        watcher: None,
        selectors,
        queue: VecDeque::new(),
        pending: VecDeque::new(),
        seen: 0,
        bookmarks: options.allow_watch_bookmarks,
        next_bookmark: now + limits::BOOKMARK_EVERY,
        last_bookmark_sent: false,
        ends: now + lasts,
    };
    let revision =
        parse_revision(&options.resource_version).map_err(|_| junk_revision(&options.resource_version))?;
    let initial = options.send_initial_events.unwrap_or(revision.unwrap_or(0) == 0);
    let from = if initial {
        match revision {
            None => server.store.consistent().await.map_err(|error| store_status(&place, &error))?,
            Some(revision) => {
                server.store.wait_for(revision).await.map_err(|error| store_status(&place, &error))?
            }
        };
        let snapshot = server.store.list(&prefix);
        let shown = server.present(target, snapshot.iter().cloned().collect()).await?;
        let there = shown.into_iter().filter(|entry| watch.selectors.matches(target, entry));
        watch.queue.extend(there.map(Item::Initial));
        if options.send_initial_events == Some(true) && options.allow_watch_bookmarks {
            watch.queue.push_back(Item::Bookmark { revision: snapshot.revision, initial_end: true });
        }
        snapshot.revision
    } else {
        revision.unwrap_or_else(|| server.store.revision())
    };
    match server.store.watch(&prefix, from) {
        Ok(watcher) => watch.watcher = Some(watcher),
        Err(error) => watch.queue.push_back(Item::Error(store_status(&place, &error))),
    }
    Ok(watch)
}

/// Upstream answers 500 without a reason here, unlike everywhere else.
fn junk_revision(text: &str) -> Box<Status> {
    let quoted = apimachinery::go::quote(text);
    Box::new(Status::new(
        apimachinery::Reason::Unknown,
        format!(
            "resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: invalid syntax"
        ),
    ))
}

/// Built-in resources never end.
async fn ended(life: Option<&mut watch::Receiver<()>>) {
    match life {
        Some(life) => while life.changed().await.is_ok() {},
        None => std::future::pending().await,
    }
}

impl Watch {
    pub async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                if matches!(item, Item::Error(_)) {
                    self.watcher = None;
                }
                return Some(item);
            }
            if let Some(event) = self.pending.front().cloned() {
                // Taken off only once it is settled: whoever waits for this may stop waiting.
                let shown = self.server.present_event(&self.target, event).await;
                self.pending.pop_front();
                match shown {
                    Ok(event) => self.queue.extend(self.see(event)),
                    Err(status) => {
                        self.pending.clear();
                        self.queue.push_back(Item::Error(status));
                    }
                }
                // Where others' events never pause, a bookmark must not wait for a pause.
                let settled = self.pending.is_empty() && self.queue.is_empty();
                if self.bookmarks && settled && Instant::now() >= self.next_bookmark {
                    self.next_bookmark = Instant::now() + limits::BOOKMARK_EVERY;
                    self.queue.push_back(Item::Bookmark { revision: self.seen, initial_end: false });
                }
                continue;
            }
            let watcher = self.watcher.as_mut()?;
            if Instant::now() >= self.ends {
                return None;
            }
            let pause = if self.bookmarks && !self.last_bookmark_sent {
                self.next_bookmark
                    .min(self.ends - limits::BOOKMARK_BEFORE_END.min(self.ends - Instant::now()))
            } else {
                self.ends
            };
            let batch = tokio::select! {
                biased;
                batch = watcher.next() => batch,
                () = ended(self.life.as_mut()) => return None,
                () = tokio::time::sleep_until(pause) => {
                    let now = Instant::now();
                    if now >= self.ends {
                        return None;
                    }
                    let batch = watcher.ready();
                    if self.bookmarks && let Ok(batch) = &batch && batch.events.is_empty() {
                        self.last_bookmark_sent = now + limits::BOOKMARK_BEFORE_END >= self.ends;
                        self.next_bookmark = now + limits::BOOKMARK_EVERY;
                        return Some(Item::Bookmark { revision: batch.revision, initial_end: false });
                    }
                    batch
                }
            };
            match batch {
                Ok(batch) => {
                    self.seen = batch.revision;
                    self.pending.extend(batch.events);
                }
                Err(error) => {
                    let place = Place::new(&self.target, "", "");
                    self.queue.push_back(Item::Error(store_status(&place, &error)));
                }
            }
        }
    }

    /// What an event is to a watcher with these selectors. An object that leaves the selection is
    /// DELETED with its previous state and the new revision.
    fn see(&self, event: Arc<Event>) -> Option<Item> {
        let sees = |entry: &Arc<Entry>| self.selectors.matches(&self.target, entry);
        let before = event.prev.as_ref().is_some_and(sees);
        let after = !event.deleted && sees(&event.entry);
        let (change, entry) = match (before, after) {
            (false, true) => (Change::Added, event.entry.clone()),
            (true, true) => (Change::Modified, event.entry.clone()),
            (true, false) => (Change::Deleted, event.prev.clone()?),
            (false, false) => return None,
        };
        Some(Item::Change { change, entry, event })
    }
}

impl Item {
    /// The event as JSON, with a newline; the usual ones are encoded once for all watchers.
    pub fn json(&self, target: &Target) -> Bytes {
        match self {
            Item::Initial(entry) => event_json(target, Change::Added, entry, entry.mod_revision),
            Item::Change { change, entry, event } => {
                let usual = match change {
                    Change::Added => event.created(),
                    Change::Modified => !event.created() && !event.deleted,
                    Change::Deleted => event.deleted,
                };
                if usual && target.shows(entry) {
                    event.encoded(|event| event_json(target, *change, entry, event.revision))
                } else {
                    event_json(target, *change, entry, event.revision)
                }
            }
            Item::Bookmark { revision, initial_end } => bookmark_json(target, *revision, *initial_end),
            Item::Error(status) => {
                let mut out = b"{\"type\":\"ERROR\",\"object\":".to_vec();
                out.extend_from_slice(&status.to_json());
                out.extend_from_slice(b"}\n");
                out.into()
            }
        }
    }

    /// The event for a client in this process.
    pub fn typed(self, target: &Target) -> WatchEvent {
        match self {
            Item::Initial(entry) => WatchEvent::Added(target.tree(&entry)),
            Item::Change { change, entry, event } => {
                let mut object = target.tree(&entry);
                if entry.mod_revision != event.revision {
                    let mut copy = (*object).clone();
                    apimachinery::meta::set_resource_version(&mut copy, Some(event.revision));
                    object = Arc::new(copy);
                }
                match change {
                    Change::Added => WatchEvent::Added(object),
                    Change::Modified => WatchEvent::Modified(object),
                    Change::Deleted => WatchEvent::Deleted(object),
                }
            }
            Item::Bookmark { revision, initial_end } => {
                WatchEvent::Bookmark { resource_version: revision, initial_end }
            }
            Item::Error(status) => WatchEvent::Error(status),
        }
    }
}

fn event_json(target: &Target, change: Change, entry: &Entry, revision: u64) -> Bytes {
    let mut out = Vec::with_capacity(entry.value.len() + 96);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(change.as_str().as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    target.write_json(entry, revision, &mut out);
    out.extend_from_slice(b"}\n");
    out.into()
}

pub(crate) fn bookmark_object(kind: &str, api_version: &str, revision: u64, initial_end: bool) -> String {
    let end = if initial_end { r#","annotations":{"k8s.io/initial-events-end":"true"}"# } else { "" };
    format!(
        r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{{"resourceVersion":"{revision}"{end}}}}}"#
    )
}

fn bookmark_json(target: &Target, revision: u64, initial_end: bool) -> Bytes {
    let object = bookmark_object(target.info.kind, &target.info.api_version(), revision, initial_end);
    format!("{{\"type\":\"BOOKMARK\",\"object\":{object}}}\n").into()
}
