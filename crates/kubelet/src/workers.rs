//! All Pods of this node: feeds each worker with its latest object and with what may wake it,
//! starts them again after a panic, and cleans up what the runtime has and the API has not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apimachinery::meta;
use client::{Change, Object, ObjectRef, Options, Reflector};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::runtime::PodRecord;
use crate::shared::Shared;
use crate::worker::{Desired, Wake, Worker};

/// Pause before a Pod whose worker panicked is taken up again.
const PANIC_PAUSE: Duration = Duration::from_secs(10);

struct Entry {
    desired: watch::Sender<Desired>,
    wake: Arc<Wake>,
}

/// The Pods by uid. Cheap to clone.
#[derive(Clone, Default)]
pub struct Pods {
    entries: Arc<Mutex<HashMap<String, Entry>>>,
}

impl Pods {
    fn with<R>(&self, work: impl FnOnce(&mut HashMap<String, Entry>) -> R) -> R {
        work(&mut self.entries.lock().expect("no holder of the map panics"))
    }

    /// The object of a Pod, by namespace and name.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Object> {
        self.with(|entries| {
            entries
                .values()
                .map(|entry| entry.desired.borrow().pod.clone())
                .find(|pod| meta::namespace(pod) == namespace && meta::name(pod) == name)
        })
    }

    pub fn all(&self) -> Vec<Object> {
        self.with(|entries| entries.values().map(|entry| entry.desired.borrow().pod.clone()).collect())
    }

    fn set(&self, shared: &Shared, pod: Object, removed: bool) {
        let uid = meta::uid(&pod).to_string();
        let new = self.with(|entries| match entries.get(&uid) {
            Some(entry) => {
                entry.desired.send_replace(Desired { pod: pod.clone(), removed });
                None
            }
            None if removed => None,
            None => {
                let (desired, desired_out) = watch::channel(Desired { pod: pod.clone(), removed });
                let wake = Arc::new(Wake::default());
                entries.insert(uid.clone(), Entry { desired, wake: wake.clone() });
                Some((desired_out, wake))
            }
        });
        if let Some((desired, wake)) = new {
            shared.env.spawn(guard(shared.clone(), self.clone(), uid, desired, wake));
        }
    }
}

/// Runs the worker of one Pod, again after a panic, until the Pod is gone.
async fn guard(shared: Shared, pods: Pods, uid: String, desired: watch::Receiver<Desired>, wake: Arc<Wake>) {
    loop {
        let worker = Worker::new(shared.clone(), desired.clone(), wake.clone());
        match shared.env.spawn(worker.run()).await {
            Ok(()) => break,
            Err(_) => {
                let pod = desired.borrow().pod.clone();
                let message = "The worker of this Pod failed unexpectedly; it will be taken up again.";
                shared.recorder.warning(ObjectRef::of(&pod), "FailedSync", message);
                shared.env.sleep(PANIC_PAUSE).await;
            }
        }
    }
    pods.with(|entries| entries.remove(&uid));
}

/// Drives everything until the process ends.
pub async fn run(
    shared: Shared,
    pods: Pods,
    mut runtime_events: mpsc::UnboundedReceiver<String>,
    mut object_events: mpsc::UnboundedReceiver<String>,
) {
    let options = Options {
        field_selector: format!("spec.nodeName={}", shared.config.node_name),
        ..Options::default()
    };
    let mut reflector = Reflector::start(&shared.env, shared.client.pods(), "", options);
    loop {
        tokio::select! {
            biased;
            change = reflector.changes.recv() => match change {
                Some(Change::Set { old, new }) => {
                    // A Pod deleted and made again under its name while we did not look.
                    if let Some(old) = old.filter(|old| meta::uid(old) != meta::uid(&new)) {
                        pods.set(&shared, old, true);
                    }
                    pods.set(&shared, new, false);
                }
                Some(Change::Gone(pod)) => pods.set(&shared, pod, true),
                Some(Change::Synced) => adopt_or_remove(&shared, &pods).await,
                None => return,
            },
            Some(uid) = runtime_events.recv() => pods.with(|entries| {
                if let Some(entry) = entries.get(&uid) {
                    entry.wake.runtime.notify_one();
                }
            }),
            Some(uid) = object_events.recv() => pods.with(|entries| {
                if let Some(entry) = entries.get(&uid) {
                    entry.wake.objects.notify_one();
                }
            }),
        }
    }
}

/// After the first list: Pods that the runtime or the disk still has and the API has not are
/// stopped through a worker of their own, as if their objects had just been removed.
async fn adopt_or_remove(shared: &Shared, pods: &Pods) {
    let known = |uid: &str| pods.with(|entries| entries.contains_key(uid));
    let records = shared.runtime.pods().await;
    for record in records.iter().filter(|record| !known(&record.pod.uid)) {
        let pod = Arc::new(orphan(record));
        pods.set(shared, pod.clone(), false);
        pods.set(shared, pod, true);
    }
    let volumes = shared.volumes.clone();
    let left = shared.env.spawn_blocking(move || volumes.pods()).await;
    for uid in left.ok().and_then(Result::ok).unwrap_or_default() {
        if !known(&uid) && !records.iter().any(|record| record.pod.uid == uid) {
            let volumes = shared.volumes.clone();
            let _ = shared.env.spawn_blocking(move || volumes.tear_down(&uid)).await;
        }
    }
    let volumes = shared.volumes.clone();
    let waiting = shared.env.spawn_blocking(move || volumes.waiting()).await;
    for uid in waiting.ok().and_then(Result::ok).unwrap_or_default() {
        shared.discard_volumes(uid);
    }
}

/// A stand-in object for a Pod that only the runtime knows.
fn orphan(record: &PodRecord) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": record.pod.name, "namespace": record.pod.namespace, "uid": record.pod.uid,
            "deletionTimestamp": "1970-01-01T00:00:00Z", "deletionGracePeriodSeconds": 1},
        "spec": {"containers": []},
        "status": {},
    })
}
