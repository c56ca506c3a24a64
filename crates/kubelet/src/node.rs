//! The Node object of this machine and its Lease: registration, status every ten seconds if it
//! changed (every five minutes otherwise), heartbeat every ten seconds.

use std::time::Duration;

use apimachinery::status::Reason;
use apimachinery::time::Time;
use client::{Client, ObjectRef, Patch, Recorder};
use env::Env;
use serde_json::{Value, json};

use crate::config::Config;
use crate::facts::Facts;
use crate::runtime::PodRuntime;

/// Upstream's nodeStatusUpdateFrequency, nodeStatusReportFrequency and nodeLeaseDurationSeconds.
const STATUS_PERIOD: Duration = Duration::from_secs(10);
const STATUS_PERIOD_UNCHANGED: Duration = Duration::from_secs(300);
const LEASE_SECONDS: i64 = 40;
const LEASE_PERIOD: Duration = Duration::from_secs(10);
/// Wait between attempts to register.
const REGISTER_RETRY: Duration = Duration::from_millis(100);
/// Most images listed in the status (upstream's nodeStatusMaxImages).
const IMAGES_MAX: usize = 50;

/// Keeps the Node object of this machine true.
pub struct NodeStatus {
    pub env: Env,
    pub client: Client,
    pub recorder: Recorder,
    pub config: std::sync::Arc<Config>,
    pub facts: Facts,
    pub runtime: std::sync::Arc<dyn PodRuntime>,
    /// Port of the node service.
    pub port: u16,
}

impl NodeStatus {
    /// Creates the Node (or takes over the one that is there); answers its current object.
    pub async fn register(&self) -> Value {
        loop {
            match self.try_register().await {
                Ok(node) => return node,
                Err(status) => {
                    tracing::debug!(%status, "node not registered yet");
                    self.env.sleep(REGISTER_RETRY).await;
                }
            }
        }
    }

    async fn try_register(&self) -> client::Result<Value> {
        let nodes = self.client.nodes();
        let name = &self.config.node_name;
        let existing = match nodes.create("", self.node_object().await).await {
            Ok(node) => return Ok((*node).clone()),
            Err(status) if status.is(Reason::AlreadyExists) => nodes.get("", name).await?,
            Err(status) => return Err(status),
        };
        let labels = self.labels();
        nodes.patch(Patch::Strategic, "", name, "", json!({"metadata": {"labels": labels}})).await?;
        let status = self.status(&existing["status"]).await;
        let node = nodes.patch(Patch::Strategic, "", name, "status", json!({"status": status})).await?;
        Ok((*node).clone())
    }

    /// Runs heartbeats for ever.
    pub async fn run(self, mut node: Value) {
        self.recorder.normal(self.node_ref(&node), "Starting", "Starting kubelet.");
        let mut last_status = self.env.instant();
        let mut lease_at = self.env.instant();
        loop {
            if self.env.instant() >= lease_at {
                self.renew_lease(&node).await;
                lease_at = self.env.instant() + LEASE_PERIOD;
            }
            let status = self.status(&node["status"]).await;
            let due = last_status.elapsed() >= STATUS_PERIOD_UNCHANGED;
            if due || differs(&status, &node["status"]) {
                let body = json!({"status": status});
                match self
                    .client
                    .nodes()
                    .patch(Patch::Strategic, "", &self.config.node_name, "status", body)
                    .await
                {
                    Ok(fresh) => {
                        node = (*fresh).clone();
                        last_status = self.env.instant();
                    }
                    Err(status) if status.is(Reason::NotFound) => node = self.register().await,
                    Err(status) => tracing::debug!(%status, "node status not written"),
                }
            }
            self.env.sleep(STATUS_PERIOD).await;
        }
    }

    /// Upstream's events name the node by its name as uid as well.
    fn node_ref(&self, node: &Value) -> ObjectRef {
        ObjectRef {
            uid: self.config.node_name.clone(),
            resource_version: String::new(),
            ..ObjectRef::of(node)
        }
    }

    async fn renew_lease(&self, node: &Value) {
        let leases = self.client.resource("coordination.k8s.io", "v1", "leases");
        let (namespace, name) = ("kube-node-lease", self.config.node_name.as_str());
        let spec = json!({
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": Time(self.env.now()).micro(),
        });
        let patch = json!({"spec": spec});
        let renewed = match leases.patch(Patch::Merge, namespace, name, "", patch).await {
            Err(status) if status.is(Reason::NotFound) => {
                let lease = json!({
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": name, "namespace": namespace, "ownerReferences": [{
                        "apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}]},
                    "spec": spec,
                });
                leases.create(namespace, lease).await
            }
            other => other,
        };
        if let Err(status) = renewed {
            tracing::debug!(%status, "lease not renewed");
        }
    }

    fn labels(&self) -> Value {
        let name = &self.config.node_name;
        let mut labels = json!({
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": self.facts.architecture,
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": self.facts.architecture,
        });
        for (key, value) in &self.config.labels {
            labels[key] = json!(value);
        }
        labels
    }

    async fn node_object(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.config.node_name, "labels": self.labels()},
            "spec": {"podCIDR": self.config.pod_cidr, "podCIDRs": [self.config.pod_cidr]},
            "status": self.status(&Value::Null).await,
        })
    }

    async fn status(&self, old: &Value) -> Value {
        let now = Time(self.env.now()).to_string();
        let mut addresses: Vec<Value> =
            self.config.node_ips.iter().map(|ip| json!({"type": "InternalIP", "address": ip})).collect();
        addresses.push(json!({"type": "Hostname", "address": self.config.node_name}));
        let capacity = self.facts.capacity(self.config.max_pods);
        json!({
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": addresses,
            "conditions": self.conditions(&old["conditions"], &now),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "nodeInfo": self.facts.node_info(&format!("{}://{}", self.runtime.name(), self.runtime.version())),
            "images": self.images().await,
        })
    }

    fn conditions(&self, old: &Value, now: &str) -> Value {
        let made = [
            (
                "MemoryPressure",
                "False",
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            ),
            ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ];
        made.iter()
            .map(|(kind, status, reason, message)| {
                let before = old.as_array().into_iter().flatten().find(|c| c["type"] == *kind);
                let since = match before {
                    Some(before) if before["status"] == *status => before["lastTransitionTime"].clone(),
                    _ => json!(now),
                };
                json!({"type": kind, "status": status, "reason": reason, "message": message,
                    "lastHeartbeatTime": now, "lastTransitionTime": since})
            })
            .collect()
    }

    async fn images(&self) -> Value {
        let mut images = self.runtime.images().await.unwrap_or_default();
        images.sort_by_key(|image| std::cmp::Reverse(image.size));
        images
            .iter()
            .take(IMAGES_MAX)
            .map(|image| {
                let names: Vec<&String> = image.repo_digests.iter().chain(&image.repo_tags).take(5).collect();
                json!({"names": names, "sizeBytes": image.size})
            })
            .collect()
    }
}

/// Whether more than the heartbeat times changed.
fn differs(new: &Value, old: &Value) -> bool {
    let strip = |status: &Value| {
        let mut status = status.clone();
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            condition["lastHeartbeatTime"] = Value::Null;
            condition["lastTransitionTime"] = Value::Null;
        }
        status
    };
    let (new, old) = (strip(new), strip(old));
    let conditions = |status: &Value| -> Vec<(String, String)> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
        let list = status["conditions"].as_array().into_iter().flatten();
        let mut all: Vec<_> = list.map(|c| (text(&c["type"]), text(&c["status"]))).collect();
        all.sort();
        all
    };
    let same_rest = ["capacity", "addresses", "daemonEndpoints", "nodeInfo", "images"]
        .iter()
        .all(|field| new[*field] == old[*field]);
    !same_rest || !conditions(&new).iter().all(|c| conditions(&old).contains(c))
}
