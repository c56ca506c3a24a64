//! What the embedded runtime knows of every Pod, and how events change it.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ::runtime::{ContainerStatus, Inventory, Opaque, Started, UnixNanos};
use jiff::Timestamp;
use pod_lifecycle::Observed;
use pod_lifecycle::observed::{Container, Exit, Sandbox, State};
use serde_json::{Value, json};

use super::messages;
use crate::runtime::{ContainerConfig, PodId};

#[derive(Default)]
pub struct Records {
    pub pods: HashMap<String, PodState>,
}

pub struct PodState {
    pub pod: PodId,
    pub sandbox: Option<SandboxState>,
    pub containers: Vec<ContainerState>,
}

#[derive(Clone)]
pub struct SandboxState {
    pub id: String,
    pub attempt: u32,
    pub ready: bool,
    /// Its address, until that is given back.
    pub ip: Option<Ipv4Addr>,
    /// The supervisor may still have it.
    pub held: bool,
}

pub struct ContainerState {
    pub id: String,
    pub name: String,
    pub attempt: u32,
    pub image: String,
    pub image_ref: String,
    pub hash: String,
    pub created: Timestamp,
    pub state: State,
    pub started: Option<Timestamp>,
    pub user: Option<(i64, i64, Vec<i64>)>,
    pub stop_signal: i32,
    pub log_path: PathBuf,
    pub tty: bool,
    pub stdin: bool,
    termination_log: PathBuf,
    termination_from_logs: bool,
    /// What the supervisor keeps, so that a restart finds it all again.
    pub labels: Value,
}

impl PodState {
    pub fn new(pod: PodId) -> PodState {
        PodState { pod, sandbox: None, containers: Vec::new() }
    }

    pub fn observed(&self) -> Observed {
        let sandbox = self.sandbox.as_ref().map(|s| Sandbox {
            id: s.id.clone(),
            ready: s.ready,
            attempt: s.attempt,
            ips: s.ip.iter().map(ToString::to_string).collect(),
        });
        Observed { sandbox, containers: self.containers.iter().map(ContainerState::observed).collect() }
    }
}

impl ContainerState {
    pub fn new(id: &str, config: &ContainerConfig, image: &image::Image, now: Timestamp) -> ContainerState {
        let image_ref = image.digests.first().cloned().unwrap_or_else(|| image.id.clone());
        let stop_signal = ::runtime::signal_number(&image.config.stop_signal).unwrap_or(15);
        let labels = json!({
            "uid": config.pod.uid, "pod": config.pod.name, "namespace": config.pod.namespace, "imageId": image.id,
            "name": config.name, "attempt": config.attempt, "image": config.image, "imageRef": image_ref,
            "hash": config.hash, "stopSignal": stop_signal, "stdin": config.stdin,
            "terminationLog": config.termination_log, "terminationFromLogs": config.termination_from_logs,
        });
        ContainerState {
            id: id.into(),
            name: config.name.clone(),
            attempt: config.attempt,
            image: config.image.clone(),
            image_ref,
            hash: config.hash.clone(),
            created: now,
            state: State::Created,
            started: None,
            user: None,
            stop_signal,
            log_path: config.log_path.clone(),
            tty: config.tty,
            stdin: config.stdin,
            termination_log: config.termination_log.clone(),
            termination_from_logs: config.termination_from_logs,
            labels,
        }
    }

    fn from_status(status: &ContainerStatus, labels: Value) -> ContainerState {
        let text = |field: &str| labels[field].as_str().unwrap_or_default().to_string();
        let mut container = ContainerState {
            id: status.id.clone(),
            name: text("name"),
            attempt: labels["attempt"].as_u64().unwrap_or(0) as u32,
            image: text("image"),
            image_ref: text("imageRef"),
            hash: text("hash"),
            created: time(status.created_at),
            state: State::Created,
            started: None,
            user: None,
            stop_signal: labels["stopSignal"].as_i64().unwrap_or(15) as i32,
            log_path: status.log_path.clone(),
            tty: status.tty,
            stdin: labels["stdin"].as_bool().unwrap_or(false),
            termination_log: text("terminationLog").into(),
            termination_from_logs: labels["terminationFromLogs"].as_bool().unwrap_or(false),
            labels,
        };
        container.update(status);
        container
    }

    fn update(&mut self, status: &ContainerStatus) {
        if let Some(started) = &status.started {
            self.run(started);
        }
        match (&status.exit, &status.start_error) {
            (_, Some(message)) => self.fail(message.clone(), time(status.created_at)),
            (Some(exit), None) => self.end(exit),
            _ => {}
        }
    }

    fn run(&mut self, started: &Started) {
        let at = time(started.started_at);
        self.started = Some(at);
        let groups = started.gids.iter().map(|gid| i64::from(*gid)).collect();
        self.user = Some((started.uid.into(), started.gid.into(), groups));
        if matches!(self.state, State::Created) {
            self.state = State::Running { started: at };
        }
    }

    fn fail(&mut self, message: String, at: Timestamp) {
        let exit = Exit { code: 128, reason: "StartError".into(), message, started: at, finished: at };
        self.state = State::Exited(exit);
    }

    fn end(&mut self, exit: &::runtime::Exit) {
        if matches!(self.state, State::Exited(_)) {
            return;
        }
        let finished = time(exit.finished_at);
        let reason = match exit {
            exit if exit.oom_killed => "OOMKilled",
            exit if exit.code == 0 => "Completed",
            _ => "Error",
        };
        let fallback = (self.termination_from_logs && exit.code != 0).then_some(self.log_path.as_path());
        let message = messages::termination_message(&self.termination_log, fallback);
        self.state = State::Exited(Exit {
            code: exit.code,
            reason: reason.into(),
            message,
            started: self.started.unwrap_or(finished),
            finished,
        });
    }

    fn observed(&self) -> Container {
        Container {
            id: self.id.clone(),
            name: self.name.clone(),
            attempt: self.attempt,
            image: self.image.clone(),
            image_ref: self.image_ref.clone(),
            hash: self.hash.clone(),
            created: self.created,
            state: self.state.clone(),
            user: self.user.clone(),
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }
}

impl Records {
    /// What a supervisor that was there before us has.
    pub fn from_inventory(inventory: &Inventory) -> Records {
        let mut records = Records::default();
        for sandbox in &inventory.sandboxes {
            let labels = parse(&sandbox.labels);
            let pod = records.pod_of(&labels);
            let state = SandboxState {
                id: sandbox.id.clone(),
                attempt: labels["attempt"].as_u64().unwrap_or(0) as u32,
                ready: !sandbox.broken,
                held: true,
                ip: labels["ip"].as_str().and_then(|ip| ip.parse().ok()),
            };
            // A sandbox that was being replaced loses to its successor.
            if pod.sandbox.as_ref().is_none_or(|old| old.attempt < state.attempt) {
                pod.sandbox = Some(state);
            }
        }
        for status in &inventory.containers {
            let labels = parse(&status.labels);
            let container = ContainerState::from_status(status, labels.clone());
            records.pod_of(&labels).containers.push(container);
        }
        records
    }

    fn pod_of(&mut self, labels: &Value) -> &mut PodState {
        let text = |field: &str| labels[field].as_str().unwrap_or_default().to_string();
        let id = PodId { uid: text("uid"), name: text("pod"), namespace: text("namespace") };
        self.pods.entry(id.uid.clone()).or_insert_with(|| PodState::new(id))
    }

    /// After lost events: applies what the supervisor says; uids of Pods that changed.
    pub fn refresh(&mut self, inventory: &Inventory) -> Vec<String> {
        let mut changed = Vec::new();
        for status in &inventory.containers {
            for (uid, pod) in &mut self.pods {
                for container in pod.containers.iter_mut().filter(|c| c.id == status.id) {
                    container.update(status);
                    changed.push(uid.clone());
                }
            }
        }
        changed
    }

    pub fn ips(&self) -> Vec<Ipv4Addr> {
        self.pods.values().filter_map(|p| p.sandbox.as_ref()?.ip).collect()
    }

    pub fn container(&self, id: &str) -> Option<&ContainerState> {
        self.pods.values().flat_map(|p| &p.containers).find(|c| c.id == id)
    }

    fn container_mut(&mut self, id: &str) -> Option<(&String, &mut ContainerState)> {
        self.pods
            .iter_mut()
            .find_map(|(uid, p)| p.containers.iter_mut().find(|c| c.id == id).map(|c| (uid, c)))
    }

    /// The outcome of a start.
    pub fn started(&mut self, id: &str, result: &Result<Started, ::runtime::Error>, now: Timestamp) {
        let Some((_, container)) = self.container_mut(id) else { return };
        match result {
            Ok(started) => container.run(started),
            Err(error) => container.fail(error.message.clone(), now),
        }
    }

    /// The uid of the Pod whose container ended.
    pub fn exited(&mut self, id: &str, exit: &::runtime::Exit) -> Option<String> {
        let (uid, container) = self.container_mut(id)?;
        container.end(exit);
        Some(uid.clone())
    }

    pub fn sandbox(&self, id: &str) -> Option<&SandboxState> {
        self.pods.values().filter_map(|p| p.sandbox.as_ref()).find(|s| s.id == id)
    }

    fn pod_with(&mut self, sandbox: &str) -> Option<(&String, &mut PodState)> {
        self.pods.iter_mut().find(|(_, p)| p.sandbox.as_ref().is_some_and(|s| s.id == sandbox))
    }

    /// Its namespaces are of no use any more; what it holds is given back when it is ended.
    pub fn sandbox_broken(&mut self, id: &str) -> Option<String> {
        let (uid, pod) = self.pod_with(id)?;
        pod.sandbox.as_mut()?.ready = false;
        Some(uid.clone())
    }

    /// Nothing is left of it, neither in the supervisor nor in the network.
    pub fn sandbox_gone(&mut self, id: &str) {
        if let Some(sandbox) = self.pod_with(id).and_then(|(_, pod)| pod.sandbox.as_mut()) {
            *sandbox = SandboxState { ready: false, ip: None, held: false, ..sandbox.clone() };
        }
    }

    pub fn running_in(&mut self, sandbox: &str) -> Vec<String> {
        let pod = self.pod_with(sandbox);
        let containers = pod.map(|(_, p)| p.containers.as_slice()).unwrap_or_default();
        containers.iter().filter(|c| c.is_running()).map(|c| c.id.clone()).collect()
    }

    pub fn containers_in(&mut self, sandbox: &str) -> Vec<String> {
        let pod = self.pod_with(sandbox);
        pod.map(|(_, p)| p.containers.iter().map(|c| c.id.clone()).collect()).unwrap_or_default()
    }

    pub fn forget_container(&mut self, id: &str) {
        for pod in self.pods.values_mut() {
            pod.containers.retain(|c| c.id != id);
        }
    }

    pub fn forget_sandbox(&mut self, id: &str) {
        self.pods.retain(|_, pod| pod.sandbox.as_ref().is_none_or(|s| s.id != id));
    }

    /// The supervisor died and took everything along.
    pub fn all_died(&mut self, now: Timestamp) -> Vec<String> {
        for pod in self.pods.values_mut() {
            if let Some(sandbox) = &mut pod.sandbox {
                sandbox.ready = false;
                sandbox.held = false;
            }
            for container in pod.containers.iter_mut().filter(|c| !matches!(c.state, State::Exited(_))) {
                container.state = State::Exited(Exit {
                    code: 137,
                    reason: "ContainerStatusUnknown".into(),
                    message: "The container could not be located when the pod was terminated".into(),
                    started: container.started.unwrap_or(now),
                    finished: now,
                });
            }
        }
        self.pods.keys().cloned().collect()
    }
}

fn parse(labels: &Opaque) -> Value {
    serde_json::from_slice(&labels.0).unwrap_or_default()
}

fn time(nanos: UnixNanos) -> Timestamp {
    Timestamp::from_nanosecond(nanos.into()).unwrap_or_default()
}
