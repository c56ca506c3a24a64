//! One Pod on this node: a task that observes, plans and applies until the Pod is gone. It has
//! one way through its phases: running, terminating, gone. Everything it knows besides the API
//! object and the runtime's report may be lost in a restart.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use apimachinery::meta;
use apimachinery::status::Reason;
use client::{Object, ObjectRef, Options};
use pod_lifecycle::status::{Context, pod_status};
use pod_lifecycle::{Action, Memory, Observed, plan, support};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::container::{VolumePaths, pod_id, references};
use crate::images::{Failure, Retry, Wanted};
use crate::publish::{Publisher, Target};
use crate::runtime::{ErrorKind, Image, RuntimeError, SandboxConfig};
use crate::shared::Shared;

/// Pause after a failure of the node itself (sandbox, volumes), doubled up to [`RETRY_MAX`]
/// (upstream's 500 ms to 2 m 2 s of the volume manager).
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(122);
/// Pause after a container could not be created or started (upstream's backOffPeriod).
const START_RETRY: Duration = Duration::from_secs(10);
/// A failed pull shows as ErrImagePull this long before it shows as ImagePullBackOff.
const PULL_ERROR_SHOWN: Duration = Duration::from_secs(2);
/// Shortest grace a container gets (upstream's minimumGracePeriodInSeconds).
const GRACE_MIN: Duration = Duration::from_secs(2);
/// Longest time without looking at the runtime, as a net below the events (upstream resyncs
/// every minute).
const RESYNC: Duration = Duration::from_secs(60);

/// What the API wants of the Pod; only the latest counts.
#[derive(Clone, Debug)]
pub struct Desired {
    pub pod: Object,
    /// The object is gone from the API.
    pub removed: bool,
}

/// What may wake a worker besides the API.
#[derive(Default)]
pub struct Wake {
    /// The runtime has something new to observe.
    pub runtime: Notify,
    /// A ConfigMap or Secret the Pod uses changed: what failed may work now.
    pub objects: Notify,
}

pub struct Worker {
    shared: Shared,
    uid: String,
    desired: watch::Receiver<Desired>,
    wake: Arc<Wake>,
    publisher: Publisher,
    memory: Memory,
    /// Images that are there: container to (name in the spec, image).
    images: HashMap<String, (String, Image)>,
    pulls: JoinSet<(String, String, Result<Image, Failure>)>,
    pulling: HashSet<String>,
    volumes: Option<VolumePaths>,
    retry: Duration,
    /// Containers whose Killing event was sent.
    stopping: HashSet<String>,
    torn_down: bool,
    missing_dns_told: bool,
    /// Fields added to the running Pod that an event named as not supported.
    refused: Vec<String>,
    warned_secrets: HashSet<String>,
}

/// How far a container came in one round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Its image is being fetched; the worker is told when that ends.
    Pulling,
    /// It could not be created; it waits for a retry.
    Failed,
    /// It was started, with or without success.
    Tried,
}

/// What could not be given back.
enum Left {
    Sandbox(RuntimeError),
    Volumes(std::io::Error),
}

/// What to do after a step.
enum Next {
    /// Something changed: look again at once.
    Again,
    Wait(Option<Duration>),
    Gone,
}

impl Worker {
    pub fn new(shared: Shared, desired: watch::Receiver<Desired>, wake: Arc<Wake>) -> Worker {
        let pod = desired.borrow().pod.clone();
        let uid = meta::uid(&pod).to_string();
        let target = Target {
            namespace: meta::namespace(&pod).into(),
            name: meta::name(&pod).into(),
            uid: uid.clone(),
        };
        let publisher = Publisher::start(&shared.env, &shared.client, target, pod["status"].clone());
        Worker {
            shared,
            uid,
            desired,
            wake,
            publisher,
            memory: Memory::default(),
            images: HashMap::new(),
            pulls: JoinSet::new(),
            pulling: HashSet::new(),
            volumes: None,
            retry: RETRY_FIRST,
            stopping: HashSet::new(),
            torn_down: false,
            missing_dns_told: false,
            refused: Vec::new(),
            warned_secrets: HashSet::new(),
        }
    }

    /// Runs until the Pod is gone from the node and from the API.
    pub async fn run(mut self) {
        loop {
            let wait = match self.step().await {
                Next::Gone => return,
                Next::Again => continue,
                Next::Wait(wait) => wait.map_or(RESYNC, |wait| wait.min(RESYNC)),
            };
            tokio::select! {
                biased;
                changed = self.desired.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = self.wake.runtime.notified() => {}
                () = self.wake.objects.notified() => self.memory.retry_at.clear(),
                Some(done) = self.pulls.join_next() => self.pull_done(done),
                () = self.shared.env.sleep(wait) => {}
            }
        }
    }

    async fn step(&mut self) -> Next {
        let desired = self.desired.borrow_and_update().clone();
        let observed = self.shared.runtime.pod(&self.uid).await;
        if desired.removed || meta::is_deleting(&desired.pod) {
            return self.terminate(&desired, &observed).await;
        }
        if matches!(desired.pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded")) {
            return self.finished(&desired.pod, &observed).await;
        }
        let unsupported = support::unsupported_fields(&desired.pod);
        if !unsupported.is_empty() {
            if observed.sandbox.is_none() && observed.containers.is_empty() {
                return self.reject(&desired.pod, &observed, &unsupported).await;
            }
            self.refuse_additions(&desired.pod, &unsupported);
        }
        self.shared.objects.register(&self.uid, &references(&desired.pod));
        self.converge(&desired.pod, &observed).await
    }

    /// Plans and applies; publishes what came of it.
    async fn converge(&mut self, pod: &Value, observed: &Observed) -> Next {
        let mut plan = plan(pod, observed, &self.memory, self.shared.env.now());
        if plan.sandbox_changed {
            let message = "Pod sandbox changed, it will be killed and re-created.";
            self.shared.recorder.normal(ObjectRef::of(pod), "SandboxChanged", message);
        }
        self.crash_events(pod, &plan);
        let mut waiting = plan.waiting.clone();
        for (name, error) in self.memory.start_errors.iter().filter(|(name, _)| plan.wanted.contains(*name)) {
            waiting.entry(name.clone()).or_insert_with(|| error.clone());
        }
        let context =
            Context { host_ips: self.shared.config.node_ips.clone(), waiting, ..Context::default() };
        let status = pod_status(pod, observed, &context, self.shared.runtime.name(), self.shared.env.now());
        let ended = matches!(status["phase"].as_str(), Some("Failed" | "Succeeded"));
        self.publisher.set(status);
        if ended {
            self.publisher.flush().await;
            return self.finished(pod, observed).await;
        }
        let mut again = false;
        for action in std::mem::take(&mut plan.actions) {
            match self.apply(pod, observed, action).await {
                Ok(changed) => again |= changed,
                Err(wait) => return Next::Wait(Some(plan.requeue.map_or(wait, |requeue| requeue.min(wait)))),
            }
        }
        if again {
            return Next::Again;
        }
        if self.volumes.is_some() && self.refresh_volumes(pod, observed).await.is_err() {
            return Next::Wait(Some(self.next_retry()));
        }
        let renewal = self.shared.tokens.renewal(&self.uid, self.shared.env.now());
        Next::Wait([plan.requeue, renewal].into_iter().flatten().min())
    }

    /// One Back-off event per round in which a container waits for its restart.
    fn crash_events(&self, pod: &Value, plan: &pod_lifecycle::Plan) {
        for (name, (reason, _)) in &plan.waiting {
            let already =
                pod["status"]["containerStatuses"].as_array().into_iter().flatten().any(|s| {
                    s["name"] == name.as_str() && s["state"]["waiting"]["reason"] == "CrashLoopBackOff"
                });
            if reason == "CrashLoopBackOff" && !already {
                let text = pod_lifecycle::plan::pod_text(pod);
                let message = format!("Back-off restarting failed container {name} in pod {text}");
                self.shared.recorder.warning(ObjectRef::container(pod, name), "BackOff", message);
            }
        }
    }

    /// True if the runtime is to be looked at again; the error is how long to wait.
    async fn apply(&mut self, pod: &Value, observed: &Observed, action: Action) -> Result<bool, Duration> {
        match action {
            Action::KillSandbox { id } => {
                self.shared.runtime.stop_sandbox(&id).await.map_err(|error| self.node_error(pod, &error))?;
                Ok(true)
            }
            Action::CreateSandbox { attempt } => self.create_sandbox(pod, observed, attempt).await,
            Action::Kill { id, container, message } => {
                if self.stopping.insert(id.clone()) {
                    self.shared.recorder.normal(ObjectRef::container(pod, &container), "Killing", message);
                    self.memory.replaced.insert(id.clone());
                    let grace = grace(pod);
                    self.shared
                        .runtime
                        .stop_container(&id, grace)
                        .await
                        .map_err(|e| self.node_error(pod, &e))?;
                }
                Ok(false)
            }
            Action::Start { container, attempt, backoff } => {
                let spec = pod["spec"]["containers"].as_array().into_iter().flatten();
                let Some(spec) = spec.into_iter().find(|c| c["name"] == container.as_str()) else {
                    return Ok(false);
                };
                let done = self.start(pod, observed, spec, attempt).await;
                if done == Start::Tried
                    && let Some(entry) = backoff
                {
                    self.memory.backoff.insert(container, entry);
                }
                Ok(done != Start::Pulling)
            }
        }
    }

    fn node_error(&mut self, pod: &Value, error: &RuntimeError) -> Duration {
        self.shared.recorder.warning(
            ObjectRef::of(pod),
            "FailedKillPod",
            format!("error killing pod: {error}"),
        );
        self.next_retry()
    }

    fn next_retry(&mut self) -> Duration {
        let wait = self.retry;
        self.retry = (self.retry * 2).min(RETRY_MAX);
        wait
    }

    async fn create_sandbox(
        &mut self,
        pod: &Value,
        observed: &Observed,
        attempt: u32,
    ) -> Result<bool, Duration> {
        self.tell_missing_dns(pod);
        if self.refresh_volumes(pod, observed).await.is_err() {
            return Err(self.next_retry());
        }
        let spec = &pod["spec"];
        let flag = |field: &str| spec[field].as_bool().unwrap_or(false);
        let (hostname, _) =
            pod_lifecycle::files::hostname_and_domain(pod, &self.shared.config.cluster_domain);
        let config = SandboxConfig {
            pod: pod_id(pod),
            attempt,
            hostname,
            host_network: flag("hostNetwork"),
            host_pid: flag("hostPID"),
            host_ipc: flag("hostIPC"),
            share_process_namespace: flag("shareProcessNamespace"),
            cgroup: pod_lifecycle::cgroups::pod_cgroup(spec, &self.uid),
            limits: pod_lifecycle::cgroups::pod_limits(spec),
        };
        match self.shared.runtime.run_sandbox(config).await {
            Ok(_) => {
                self.retry = RETRY_FIRST;
                Ok(true)
            }
            Err(error) => {
                let message = format!("Failed to create pod sandbox: {error}");
                self.shared.recorder.warning(ObjectRef::of(pod), "FailedCreatePodSandBox", message);
                Err(self.next_retry())
            }
        }
    }

    fn tell_missing_dns(&mut self, pod: &Value) {
        let config = &self.shared.config;
        let (_, missing) = pod_lifecycle::files::pod_dns(
            pod,
            &self.shared.host_dns,
            config.cluster_dns.as_deref(),
            &config.cluster_domain,
        );
        if missing && !std::mem::replace(&mut self.missing_dns_told, true) {
            let message = format!(
                "pod: {:?}. kubelet does not have ClusterDNS IP configured and cannot create Pod using \"ClusterFirst\" policy. Falling back to \"Default\" policy.",
                pod_lifecycle::plan::pod_text(pod)
            );
            self.shared.recorder.warning(ObjectRef::of(pod), "MissingClusterDNS", message);
        }
    }

    async fn refresh_volumes(&mut self, pod: &Value, observed: &Observed) -> Result<(), ()> {
        let ips = observed.sandbox.as_ref().map(|s| s.ips.clone()).unwrap_or_default();
        match self.shared.set_up_volumes(pod, &ips).await {
            Ok(paths) => {
                self.volumes = Some(paths);
                Ok(())
            }
            Err(error) => {
                self.shared.recorder.warning(ObjectRef::of(pod), "FailedMount", error.message);
                Err(())
            }
        }
    }

    /// Brings one container a step further.
    async fn start(&mut self, pod: &Value, observed: &Observed, container: &Value, attempt: u32) -> Start {
        let name = container["name"].as_str().unwrap_or_default().to_string();
        let wanted = container["image"].as_str().unwrap_or_default();
        let have =
            self.images.get(&name).filter(|(image, _)| image == wanted).map(|(_, image)| image.clone());
        let Some(image) = have else {
            self.ensure_image(pod, container, &name).await;
            return Start::Pulling;
        };
        if self.volumes.is_none() && self.refresh_volumes(pod, observed).await.is_err() {
            let wait = self.next_retry();
            self.retry_at(&name, wait);
            return Start::Failed;
        }
        // Each attempt asks for its image again, as its pull policy says.
        self.images.remove(&name);
        match self.create_and_start(pod, observed, container, attempt, &image).await {
            Ok(()) => {
                self.memory.start_errors.remove(&name);
                self.memory.retry_at.remove(&name);
                Start::Tried
            }
            Err((reason, message)) => {
                let event = format!("Error: {message}");
                self.shared.recorder.warning(ObjectRef::container(pod, &name), "Failed", event);
                self.memory.start_errors.insert(name.clone(), (reason.into(), message));
                if reason == "RunContainerError" {
                    // The attempt left an exited container: the crash back-off takes it from here.
                    return Start::Tried;
                }
                self.retry_at(&name, START_RETRY);
                Start::Failed
            }
        }
    }

    fn retry_at(&mut self, name: &str, wait: Duration) {
        if let Ok(at) = self.shared.env.now().checked_add(wait) {
            self.memory.retry_at.insert(name.into(), at);
        }
    }

    async fn create_and_start(
        &mut self,
        pod: &Value,
        observed: &Observed,
        container: &Value,
        attempt: u32,
        image: &Image,
    ) -> Result<(), (&'static str, String)> {
        let Some(sandbox) = &observed.sandbox else {
            return Err(("CreateContainerError", "no sandbox".into()));
        };
        let volumes = self.volumes.clone().unwrap_or_default();
        let config = self
            .shared
            .container_config(pod, container, attempt, image, &volumes, &sandbox.ips)
            .await
            .map_err(|message| ("CreateContainerConfigError", message))?;
        let object = ObjectRef::container(pod, &config.name);
        let log_path = config.log_path.clone();
        let id = self
            .shared
            .runtime
            .create_container(&sandbox.id, config)
            .await
            .map_err(|error| ("CreateContainerError", error.message))?;
        self.shared.recorder.normal(object.clone(), "Created", "Container created");
        self.shared.runtime.start_container(&id).await.map_err(|error| {
            let reason =
                if error.kind == ErrorKind::Start { "RunContainerError" } else { "CreateContainerError" };
            (reason, error.message)
        })?;
        self.shared.recorder.normal(object, "Started", "Container started");
        self.shared.link_log(pod, container["name"].as_str().unwrap_or_default(), &id, &log_path);
        Ok(())
    }

    async fn ensure_image(&mut self, pod: &Value, container: &Value, name: &str) {
        if !self.pulling.insert(name.to_string()) {
            return;
        }
        let image = container["image"].as_str().unwrap_or_default().to_string();
        let policy = container["imagePullPolicy"].as_str().unwrap_or("IfNotPresent").to_string();
        let secrets = self.pull_secrets(pod).await;
        let (object, uid) = (ObjectRef::container(pod, name), self.uid.clone());
        let (images, name) = (self.shared.images.clone(), name.to_string());
        self.pulls.spawn(async move {
            let wanted = Wanted { object, pod_uid: &uid, image: &image, policy: &policy, secrets };
            let result = images.ensure(wanted).await;
            (name, image, result)
        });
        // An image that is there answers without waiting for anything.
        tokio::task::yield_now().await;
    }

    async fn pull_secrets(&mut self, pod: &Value) -> Vec<Object> {
        let namespace = meta::namespace(pod);
        let mut secrets = Vec::new();
        let mut missing = Vec::new();
        for secret in pod["spec"]["imagePullSecrets"].as_array().into_iter().flatten() {
            let name = secret["name"].as_str().unwrap_or_default();
            let kind = pod_lifecycle::environment::Kind::Secret;
            match self.shared.objects.get(&crate::objects::Reference::new(kind, namespace, name)).await {
                Some(secret) => secrets.push(secret),
                None => missing.push(name.to_string()),
            }
        }
        if !missing.is_empty() && self.warned_secrets.insert(missing.join(", ")) {
            let message = format!(
                "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                missing.join(", ")
            );
            self.shared.recorder.warning(ObjectRef::of(pod), "FailedToRetrieveImagePullSecret", message);
        }
        secrets
    }

    fn pull_done(&mut self, done: Result<(String, String, Result<Image, Failure>), tokio::task::JoinError>) {
        let Ok((name, spec_image, result)) = done else {
            self.pulling.clear();
            return;
        };
        self.pulling.remove(&name);
        match result {
            Ok(image) => {
                self.memory.start_errors.remove(&name);
                self.images.insert(name, (spec_image, image));
            }
            Err(failure) => {
                let wait = match failure.retry {
                    Retry::Soon => PULL_ERROR_SHOWN,
                    Retry::At(at) => {
                        Duration::try_from(at.duration_since(self.shared.env.now())).unwrap_or_default()
                    }
                    Retry::Never => RESYNC,
                };
                self.retry_at(&name, wait);
                self.memory.start_errors.insert(name, (failure.reason.into(), failure.message));
            }
        }
    }

    /// A Pod that runs goes on without what was added later (`kubectl debug` adds containers).
    fn refuse_additions(&mut self, pod: &Value, fields: &[String]) {
        if self.refused != fields {
            self.refused = fields.to_vec();
            let message = format!("Error: this node does not support: {}", fields.join(", "));
            self.shared.recorder.warning(ObjectRef::of(pod), "Failed", message);
        }
    }

    async fn reject(&mut self, pod: &Value, observed: &Observed, fields: &[String]) -> Next {
        let reason = "UnexpectedAdmissionError";
        let message = format!("this node does not support: {}", fields.join(", "));
        self.shared.recorder.warning(ObjectRef::of(pod), reason, message.clone());
        let failed = Some((reason.to_string(), format!("Pod was rejected: {message}")));
        let context = Context { host_ips: self.shared.config.node_ips.clone(), failed, ..Context::default() };
        let status = pod_status(pod, observed, &context, self.shared.runtime.name(), self.shared.env.now());
        self.publisher.set(status);
        self.publisher.flush().await;
        self.finished(pod, observed).await
    }

    /// The Pod ended but its object stays: give back what it held, keep its records and logs.
    async fn finished(&mut self, pod: &Value, observed: &Observed) -> Next {
        self.pulls.abort_all();
        for container in observed.containers.iter().filter(|c| c.is_running()) {
            if self.stopping.insert(container.id.clone()) {
                let _ = self.shared.runtime.stop_container(&container.id, grace(pod)).await;
            }
        }
        if observed.any_running() || self.torn_down {
            return Next::Wait(None);
        }
        if let Some(sandbox) = &observed.sandbox
            && let Err(error) = self.shared.runtime.stop_sandbox(&sandbox.id).await
        {
            return Next::Wait(Some(self.node_error(pod, &error)));
        }
        self.shared.objects.register(&self.uid, &Default::default());
        if let Err(wait) = self.tear_down(pod).await {
            return Next::Wait(Some(wait));
        }
        self.torn_down = true;
        Next::Wait(None)
    }

    async fn tear_down(&mut self, pod: &Value) -> Result<(), Duration> {
        let done = self.shared.tear_down_volumes(&self.uid).await;
        done.map_err(|error| self.volumes_error(pod, &error))
    }

    fn volumes_error(&mut self, pod: &Value, error: &std::io::Error) -> Duration {
        let message = format!("error cleaning up volumes: {error}");
        self.shared.recorder.warning(ObjectRef::of(pod), "FailedUnMount", message);
        self.next_retry()
    }

    /// Stops everything, says so, and lets the API object go.
    async fn terminate(&mut self, desired: &Desired, observed: &Observed) -> Next {
        let pod = &desired.pod;
        self.pulls.abort_all();
        for container in observed.containers.iter().filter(|c| c.is_running()) {
            if self.stopping.insert(container.id.clone()) {
                let message = format!("Stopping container {}", container.name);
                self.shared.recorder.normal(ObjectRef::container(pod, &container.name), "Killing", message);
            }
            if let Err(error) = self.shared.runtime.stop_container(&container.id, grace(pod)).await {
                return Next::Wait(Some(self.node_error(pod, &error)));
            }
        }
        let context = Context {
            host_ips: self.shared.config.node_ips.clone(),
            terminating: true,
            ..Context::default()
        };
        if !desired.removed {
            let status =
                pod_status(pod, observed, &context, self.shared.runtime.name(), self.shared.env.now());
            self.publisher.set(status);
        }
        if observed.any_running() {
            return Next::Wait(None);
        }
        let (shared, uid) = (self.shared.clone(), self.uid.clone());
        let give_back = async move {
            if let Some(sandbox) = &observed.sandbox {
                shared.runtime.stop_sandbox(&sandbox.id).await.map_err(Left::Sandbox)?;
            }
            shared.tear_down_volumes(&uid).await.map_err(Left::Volumes)
        };
        // The last status is written while the node gives back what the Pod held.
        let told = async {
            if !desired.removed {
                self.publisher.flush().await;
            }
        };
        match tokio::join!(give_back, told).0 {
            Ok(()) => {}
            Err(Left::Sandbox(error)) => return Next::Wait(Some(self.node_error(pod, &error))),
            Err(Left::Volumes(error)) => return Next::Wait(Some(self.volumes_error(pod, &error))),
        }
        if !desired.removed
            && let Err(wait) = self.delete_object(pod).await
        {
            return Next::Wait(Some(wait));
        }
        if let Some(sandbox) = &observed.sandbox {
            let _ = self.shared.runtime.remove_sandbox(&sandbox.id).await;
        }
        self.shared.forget(pod);
        Next::Gone
    }

    /// The last word: the object goes, if it is still this Pod's.
    async fn delete_object(&mut self, pod: &Value) -> Result<(), Duration> {
        let options = Options {
            grace_period_seconds: Some(0),
            precondition_uid: Some(self.uid.clone()),
            ..Options::default()
        };
        match self.shared.client.pods().delete(meta::namespace(pod), meta::name(pod), options).await {
            Ok(_) => Ok(()),
            Err(status) if status.is(Reason::NotFound) || status.is(Reason::Conflict) => Ok(()),
            Err(status) => {
                tracing::debug!(%status, "pod could not be deleted from the API yet");
                Err(self.next_retry())
            }
        }
    }
}

/// How long containers of the Pod may take to stop.
fn grace(pod: &Value) -> Duration {
    let seconds = meta::deletion_grace_period(pod)
        .or(pod["spec"]["terminationGracePeriodSeconds"].as_i64())
        .unwrap_or(30);
    Duration::from_secs(seconds.max(0) as u64).max(GRACE_MIN)
}

impl Shared {
    /// Returns when the volumes are out of the Pod's hands; their files are unlinked later.
    async fn tear_down_volumes(&self, uid: &str) -> std::io::Result<()> {
        let (volumes, owned) = (self.volumes.clone(), uid.to_string());
        self.env.spawn_blocking(move || volumes.tear_down(&owned)).await.map_err(std::io::Error::other)??;
        self.discard_volumes(uid.to_string());
        Ok(())
    }

    /// In the background; what fails is tried again when the daemon starts.
    pub fn discard_volumes(&self, uid: String) {
        let volumes = self.volumes.clone();
        self.env.spawn_blocking(move || {
            if let Err(error) = volumes.discard(&uid) {
                tracing::warn!(pod = uid, %error, "files of a removed pod are left for the next start");
            }
        });
    }

    /// Drops what the node keeps of a Pod that is gone: logs, tokens, watches, back-offs.
    pub fn forget(&self, pod: &Value) {
        let uid = meta::uid(pod);
        self.objects.register(uid, &Default::default());
        self.images.forget(uid);
        self.tokens.forget(uid);
        let (dir, links) = (self.pod_log_dir(pod), self.config.log_dir.join("containers"));
        let prefix = format!("{}_{}_", meta::name(pod), meta::namespace(pod));
        self.env.spawn_blocking(move || {
            for entry in std::fs::read_dir(links).into_iter().flatten().flatten() {
                let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix));
                if ours && std::fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&dir)) {
                    let _ = std::fs::remove_file(entry.path());
                }
            }
            let _ = std::fs::remove_dir_all(dir);
        });
    }

    /// `<log_dir>/containers/<pod>_<namespace>_<container>-<id>.log`, for log collectors.
    fn link_log(&self, pod: &Value, container: &str, id: &str, target: &std::path::Path) {
        let name = format!("{}_{}_{container}-{id}.log", meta::name(pod), meta::namespace(pod));
        let dir = self.config.log_dir.join("containers");
        let link =
            std::fs::create_dir_all(&dir).and_then(|()| std::os::unix::fs::symlink(target, dir.join(name)));
        if let Err(error) = link {
            tracing::debug!(%error, "no link to the log");
        }
    }
}
