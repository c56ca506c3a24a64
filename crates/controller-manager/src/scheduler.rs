//! The scheduler's shell: feeds the snapshot and the queue from watches, binds, and tells.

use std::sync::Arc;
use std::time::Duration;

use ::scheduler::{Decision, Hint, PodInfo, Queue, Snapshot, schedule};
use apimachinery::meta;
use apimachinery::time::Time;
use client::{Cache, Change, Client, Object, ObjectRef, Options, Patch, Recorder, Reflector};
use env::Env;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// The scheduler's name in `spec.schedulerName`.
const NAME: &str = "default-scheduler";
/// Longest wait without looking at the queue.
const IDLE: Duration = Duration::from_secs(300);

/// What became of a binding.
struct Bound {
    pod: PodInfo,
    good: bool,
}

struct Scheduler {
    env: Env,
    client: Client,
    recorder: Recorder,
    snapshot: Snapshot,
    queue: Queue,
    bound: mpsc::UnboundedSender<Bound>,
    pods: Cache,
}

pub async fn run(env: Env, client: Client) {
    let recorder = Recorder::start(&env, &client, NAME, "");
    let mut nodes = Reflector::start(&env, client.nodes(), "", Options::default());
    let mut pods = Reflector::start(&env, client.pods(), "", Options::default());
    let (bound, mut bindings) = mpsc::unbounded_channel();
    let mut scheduler = Scheduler {
        env: env.clone(),
        client,
        recorder,
        snapshot: Snapshot::default(),
        queue: Queue::default(),
        bound,
        pods: pods.cache.clone(),
    };
    let mut ready = (false, false);
    loop {
        let wait = if ready == (true, true) { scheduler.work() } else { IDLE };
        tokio::select! {
            biased;
            change = nodes.changes.recv() => match change {
                Some(Change::Synced) => ready.0 = true,
                Some(change) => scheduler.node(change),
                None => return,
            },
            change = pods.changes.recv() => match change {
                Some(Change::Synced) => ready.1 = true,
                Some(change) => scheduler.pod(change),
                None => return,
            },
            Some(done) = bindings.recv() => scheduler.binding_done(&done),
            () = env.sleep(wait) => {}
        }
    }
}

impl Scheduler {
    fn node(&mut self, change: Change) {
        match change {
            Change::Set { old, new } => {
                let same = old.is_some_and(|old| {
                    old["spec"] == new["spec"]
                        && old["metadata"]["labels"] == new["metadata"]["labels"]
                        && old["status"]["allocatable"] == new["status"]["allocatable"]
                });
                self.snapshot.set_node(new);
                if !same {
                    self.queue.hint(Hint::Node);
                }
            }
            Change::Gone(node) => self.snapshot.remove_node(meta::name(&node)),
            Change::Synced => {}
        }
    }

    fn pod(&mut self, change: Change) {
        let pod = match change {
            Change::Set { new, .. } => new,
            Change::Gone(pod) => return self.pod_gone(meta::uid(&pod)),
            Change::Synced => return,
        };
        if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            return self.pod_gone(meta::uid(&pod));
        }
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_string();
        if !node.is_empty() {
            self.queue.remove(meta::uid(&pod));
            self.snapshot.place(PodInfo::new(pod), &node);
        } else if is_ours(&pod) && !self.snapshot.is_placed(meta::uid(&pod)) {
            self.queue.set(PodInfo::new(pod), self.env.now());
        } else if !is_ours(&pod) {
            self.queue.remove(meta::uid(&pod));
        }
    }

    fn pod_gone(&mut self, uid: &str) {
        self.queue.remove(uid);
        if self.snapshot.take(uid) {
            self.queue.hint(Hint::PodGone);
        }
    }

    /// Places every Pod that is ready; how long until another one may be.
    fn work(&mut self) -> Duration {
        loop {
            let now = self.env.now();
            let Some(pod) = self.queue.next(now) else {
                return self.queue.wait(now).unwrap_or(IDLE).min(IDLE);
            };
            match schedule(&self.snapshot, &pod) {
                Decision::Node(node) => self.bind(pod, node),
                Decision::Unschedulable(diagnosis) => {
                    self.queue.refused(&pod.uid, diagnosis.plugins(), now);
                    self.tell_unschedulable(&pod, diagnosis.message());
                }
            }
        }
    }

    /// Assumes the Pod on its node at once and writes the binding in the background.
    fn bind(&mut self, pod: PodInfo, node: String) {
        self.queue.remove(&pod.uid);
        self.snapshot.place(pod.clone(), &node);
        let (client, recorder, bound) = (self.client.clone(), self.recorder.clone(), self.bound.clone());
        self.env.spawn(async move {
            let binding = json!({
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
                "target": {"kind": "Node", "name": node},
            });
            let result = client.pods().create_sub(&pod.namespace, &pod.name, "binding", binding).await;
            match &result {
                Ok(_) => {
                    let message = format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name);
                    recorder.normal(ObjectRef::of(&pod.pod), "Scheduled", message);
                }
                Err(status) => tracing::debug!(pod = pod.name, %status, "binding failed"),
            }
            let _ = bound.send(Bound { good: result.is_ok(), pod });
        });
    }

    fn binding_done(&mut self, done: &Bound) {
        if done.good || !self.snapshot.take(&done.pod.uid) {
            return;
        }
        // The Pod may have changed meanwhile: its latest object decides, if it is still there.
        let latest = self.pods.get(&done.pod.namespace, &done.pod.name);
        let Some(pod) = latest.filter(|pod| meta::uid(pod) == done.pod.uid && is_ours(pod)) else { return };
        let now = self.env.now();
        self.queue.set(PodInfo::new(pod), now);
        self.queue.failed(&done.pod.uid, now);
    }

    fn tell_unschedulable(&self, pod: &PodInfo, message: String) {
        self.recorder.warning(ObjectRef::of(&pod.pod), "FailedScheduling", message.clone());
        if condition_says(&pod.pod, &message) {
            return;
        }
        let (client, env, pod) = (self.client.clone(), self.env.clone(), pod.clone());
        self.env.spawn(async move {
            let condition = json!({
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
                "lastTransitionTime": Time(env.now()).to_string(),
                "lastProbeTime": null,
                "observedGeneration": pod.pod["metadata"]["generation"],
            });
            let patch = json!({"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}});
            let pods = client.pods();
            if let Err(status) =
                pods.patch(Patch::Strategic, &pod.namespace, &pod.name, "status", patch).await
            {
                tracing::debug!(pod = pod.name, %status, "condition not written");
            }
        });
    }
}

/// Whether this scheduler is to place the Pod.
fn is_ours(pod: &Object) -> bool {
    let spec = &pod["spec"];
    let named = matches!(spec["schedulerName"].as_str(), None | Some("" | NAME));
    let gated = spec["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty());
    named && !gated && !meta::is_deleting(pod)
}

fn condition_says(pod: &Arc<Value>, message: &str) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "PodScheduled" && c["message"] == message)
}
