//! ConfigMaps and Secrets that Pods of this node refer to, each watched by name while some Pod
//! needs it: a change wakes the Pods that use it, and nothing is polled. What no Pod refers to
//! is not watched (and the node may not read it).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use client::{Cache, Change, Client, Object, Options, Reflector};
use env::Env;
use pod_lifecycle::environment::Kind;
use tokio::sync::{mpsc, watch};

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

impl Reference {
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Reference {
        Reference { kind, namespace: namespace.into(), name: name.into() }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    client: Client,
    watched: Mutex<HashMap<Reference, Watched>>,
    /// Uids of Pods whose objects changed.
    wake: mpsc::UnboundedSender<String>,
}

struct Watched {
    cache: Cache,
    synced: watch::Receiver<bool>,
    pods: Arc<Mutex<BTreeSet<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Objects {
    pub fn new(env: &Env, client: &Client, wake: mpsc::UnboundedSender<String>) -> Objects {
        let inner =
            Inner { env: env.clone(), client: client.clone(), watched: Mutex::new(HashMap::new()), wake };
        Objects { inner: Arc::new(inner) }
    }

    fn with<R>(&self, work: impl FnOnce(&mut HashMap<Reference, Watched>) -> R) -> R {
        work(&mut self.inner.watched.lock().expect("no holder of the map panics"))
    }

    /// Says what a Pod needs; what it no longer names is let go.
    pub fn register(&self, uid: &str, wanted: &BTreeSet<Reference>) {
        self.with(|watched| {
            watched.retain(|reference, entry| {
                let mut pods = entry.pods.lock().expect("no holder of the set panics");
                if !wanted.contains(reference) {
                    pods.remove(uid);
                }
                !pods.is_empty()
            });
            for reference in wanted {
                let entry = watched.entry(reference.clone()).or_insert_with(|| self.watch(reference));
                entry.pods.lock().expect("no holder of the set panics").insert(uid.to_string());
            }
        });
    }

    /// The object, `None` if it does not exist. It must be registered.
    pub async fn get(&self, reference: &Reference) -> Option<Object> {
        let found = self.with(|watched| watched.get(reference).map(|w| (w.cache.clone(), w.synced.clone())));
        let (cache, mut synced) = found?;
        synced.wait_for(|done| *done).await.ok()?;
        cache.get(&reference.namespace, &reference.name)
    }

    fn watch(&self, reference: &Reference) -> Watched {
        let options =
            Options { field_selector: format!("metadata.name={}", reference.name), ..Options::default() };
        let resource = self.inner.client.resource("", "v1", reference.kind.resource());
        let mut reflector = Reflector::start(&self.inner.env, resource, &reference.namespace, options);
        let cache = reflector.cache.clone();
        let (synced_in, synced) = watch::channel(false);
        let pods: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let (wake, users) = (self.inner.wake.clone(), pods.clone());
        let task = self.inner.env.spawn(async move {
            while let Some(change) = reflector.changes.recv().await {
                if matches!(change, Change::Synced) {
                    synced_in.send_replace(true);
                    continue;
                }
                if !*synced_in.borrow() {
                    continue;
                }
                for uid in users.lock().expect("no holder of the set panics").iter() {
                    let _ = wake.send(uid.clone());
                }
            }
        });
        Watched { cache, synced, pods, task }
    }
}
