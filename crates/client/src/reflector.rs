//! A local copy of one collection, kept fresh by list and watch, and told on as changes.
//! After a lost watch it resumes from the last revision; after `Expired` it lists again and
//! tells the difference, so a consumer never misses a deletion.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use apimachinery::meta;
use apimachinery::status::Reason;
use env::Env;
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};

use crate::api::Resource;
use crate::seam::{Object, Options, WatchEvent};

/// How many changes may wait for a consumer before the reflector waits for it.
const CHANGES_MAX: usize = 1024;
/// First wait after a failed list or watch; doubles up to [`BACKOFF_MAX`] (client-go's reflector).
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// `namespace/name`, or `name` at cluster scope.
pub type Key = String;

#[derive(Clone, Debug)]
pub enum Change {
    Set {
        old: Option<Object>,
        new: Object,
    },
    Gone(Object),
    /// The first list is complete.
    Synced,
}

/// The copy; cheap to clone.
#[derive(Clone, Default)]
pub struct Cache {
    objects: Arc<RwLock<HashMap<Key, Object>>>,
}

impl Cache {
    pub fn get(&self, namespace: &str, name: &str) -> Option<Object> {
        self.objects.read().expect("no writer panics").get(&key(namespace, name)).cloned()
    }

    /// All objects, in no order.
    pub fn all(&self) -> Vec<Object> {
        self.objects.read().expect("no writer panics").values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.objects.read().expect("no writer panics").len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn set(&self, object: Object) -> Option<Object> {
        self.objects.write().expect("no writer panics").insert(key_of(&object), object)
    }

    fn remove(&self, key: &str) -> Option<Object> {
        self.objects.write().expect("no writer panics").remove(key)
    }

    fn keys(&self) -> Vec<Key> {
        self.objects.read().expect("no writer panics").keys().cloned().collect()
    }
}

pub fn key(namespace: &str, name: &str) -> Key {
    if namespace.is_empty() { name.to_string() } else { format!("{namespace}/{name}") }
}

pub fn key_of(object: &serde_json::Value) -> Key {
    key(meta::namespace(object), meta::name(object))
}

/// A running reflector; dropping it stops the watch.
pub struct Reflector {
    pub cache: Cache,
    pub changes: mpsc::Receiver<Change>,
    synced: watch::Receiver<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Reflector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reflector {
    /// Starts watching; `options` may carry selectors.
    pub fn start(env: &Env, resource: Resource, namespace: &str, options: Options) -> Reflector {
        let cache = Cache::default();
        let (changes_in, changes) = mpsc::channel(CHANGES_MAX);
        let (synced_in, synced) = watch::channel(false);
        let run = Run {
            env: env.clone(),
            resource,
            namespace: namespace.into(),
            options,
            cache: cache.clone(),
            changes: changes_in,
            synced: synced_in,
            revision: 0,
        };
        Reflector { cache, changes, synced, task: env.spawn(run.forever()) }
    }

    /// Waits for the first complete list.
    pub async fn wait_synced(&self) {
        let mut synced = self.synced.clone();
        let _ = synced.wait_for(|done| *done).await;
    }
}

struct Run {
    env: Env,
    resource: Resource,
    namespace: String,
    options: Options,
    cache: Cache,
    changes: mpsc::Sender<Change>,
    synced: watch::Sender<bool>,
    /// 0 means: list first.
    revision: u64,
}

/// The consumer is gone.
struct Closed;

impl Run {
    async fn forever(mut self) {
        let mut backoff = BACKOFF_FIRST;
        loop {
            match self.once().await {
                Err(Closed) => return,
                Ok(true) => backoff = BACKOFF_FIRST,
                Ok(false) => {
                    self.env.sleep(self.env.jitter(backoff, 1.0)).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// One list if needed and one watch to its end; true if the watch did some good.
    async fn once(&mut self) -> Result<bool, Closed> {
        if self.revision == 0 && !self.relist().await? {
            return Ok(false);
        }
        let options = Options {
            resource_version: self.revision.to_string(),
            allow_watch_bookmarks: true,
            ..self.options.clone()
        };
        let mut stream = match self.resource.watch(&self.namespace, options).await {
            Ok(stream) => stream,
            Err(status) => {
                tracing::debug!(resource = %self.resource.gvr().resource, %status, "watch failed");
                if status.is(Reason::Expired) || status.is(Reason::Gone) {
                    self.revision = 0;
                }
                return Ok(false);
            }
        };
        let mut good = false;
        while let Some(event) = stream.next().await {
            good |= self.event(event).await?;
        }
        Ok(good)
    }

    async fn event(&mut self, event: WatchEvent) -> Result<bool, Closed> {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                self.revision = meta::resource_version(&object).unwrap_or(self.revision);
                let old = self.cache.set(object.clone());
                self.send(Change::Set { old, new: object }).await?;
            }
            WatchEvent::Deleted(object) => {
                self.revision = meta::resource_version(&object).unwrap_or(self.revision);
                self.cache.remove(&key_of(&object));
                self.send(Change::Gone(object)).await?;
            }
            WatchEvent::Bookmark { resource_version, .. } => self.revision = resource_version,
            WatchEvent::Error(status) => {
                tracing::debug!(resource = %self.resource.gvr().resource, %status, "watch ended");
                self.revision = 0;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn relist(&mut self) -> Result<bool, Closed> {
        let list = match self.resource.list(&self.namespace, self.options.clone()).await {
            Ok(list) => list,
            Err(status) => {
                tracing::debug!(resource = %self.resource.gvr().resource, %status, "list failed");
                return Ok(false);
            }
        };
        let mut left: std::collections::HashSet<Key> = self.cache.keys().into_iter().collect();
        for object in list.items {
            left.remove(&key_of(&object));
            let old = self.cache.set(object.clone());
            let same = old
                .as_ref()
                .is_some_and(|old| meta::resource_version(old) == meta::resource_version(&object));
            if !same {
                self.send(Change::Set { old, new: object }).await?;
            }
        }
        for key in left {
            if let Some(object) = self.cache.remove(&key) {
                self.send(Change::Gone(object)).await?;
            }
        }
        self.revision = list.resource_version;
        if !self.synced.send_replace(true) {
            self.send(Change::Synced).await?;
        }
        Ok(true)
    }

    async fn send(&self, change: Change) -> Result<(), Closed> {
        self.changes.send(change).await.map_err(|_| Closed)
    }
}
