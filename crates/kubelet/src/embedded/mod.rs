//! [`PodRuntime`] on this project's own parts: the supervisor runs, the image store unpacks, the
//! Pod network connects. What is here is the glue: it keeps what it knows of every Pod in memory
//! (rebuilt from the supervisor's inventory after a restart) and turns exits into observations.

mod collect;
mod messages;
mod pull;
mod record;
mod spec;
mod streams;
mod upgrade;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::runtime::Supervisor;
use env::Env;
use futures_util::future::{BoxFuture, try_join_all};
use pod_lifecycle::Observed;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::runtime::{
    ContainerConfig, Credentials, ExecRequest, Image, PodRecord, PodRuntime, Process, PullError, Result,
    RuntimeError, SandboxConfig, Stats,
};
use record::{PodState, Records, SandboxState};

/// How long killed containers may take to be reported gone.
const KILL_WAIT: Duration = Duration::from_secs(30);
/// Old attempts at a container that are kept (with their logs) besides the current one.
const DEAD_KEPT: u32 = 1;
/// Events of the supervisor waiting to be handled are bounded by the supervisor itself.
const SIGKILL: i32 = 9;

/// The network of Pods, as the runtime needs it. Methods that block say so.
pub trait Network: Send + Sync {
    fn allocate(&self) -> std::io::Result<Ipv4Addr>;
    /// Blocks; runs off the async threads.
    fn wire(&self, netns: &OwnedFd, unique: &str, ip: Ipv4Addr) -> std::io::Result<()>;
    /// Blocks shortly.
    fn release(&self, ip: Ipv4Addr) -> std::io::Result<()>;
    /// A Pod that is already there has this address.
    fn adopt(&self, ip: Ipv4Addr);
}

/// What the embedded runtime is made of.
pub struct Parts {
    pub env: Env,
    pub supervisor: ::runtime::Config,
    pub images: image::Store,
    pub registries: image::Registries,
    pub network: Arc<dyn Network>,
    /// Names of images that are never collected.
    pub kept_images: Vec<String>,
    /// Writable layers of containers.
    pub containers_dir: PathBuf,
    pub log_max_bytes: u64,
    pub log_max_files: u32,
    pub version: String,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    supervisor: Mutex<Supervisor>,
    records: Mutex<Records>,
    /// Told whenever a record changed.
    changed: Notify,
    events: mpsc::UnboundedSender<String>,
    events_out: Mutex<Option<mpsc::UnboundedReceiver<String>>>,
    /// When a stopping container will be killed.
    kills: Mutex<HashMap<String, Instant>>,
}

impl Embedded {
    /// Connects to the node's supervisor (or starts one) and takes over what it has.
    pub async fn start(parts: Parts) -> Result<Embedded> {
        std::fs::create_dir_all(&parts.containers_dir).map_err(RuntimeError::other)?;
        let (supervisor, driver, incoming) = Supervisor::connect_or_start(&parts.supervisor).await?;
        let (events, events_out) = mpsc::unbounded_channel();
        let inner = Inner {
            parts,
            supervisor: Mutex::new(supervisor.clone()),
            records: Mutex::default(),
            changed: Notify::new(),
            events,
            events_out: Mutex::new(Some(events_out)),
            kills: Mutex::default(),
        };
        let embedded = Embedded { inner: Arc::new(inner) };
        let carry = embedded.inner.parts.env.spawn(driver.run());
        let parts = &embedded.inner.parts;
        upgrade::bring_up_to_date(&parts.env, &supervisor, &parts.supervisor.program).await;
        embedded.adopt(&supervisor).await?;
        let me = embedded.clone();
        embedded.inner.parts.env.spawn(async move { me.keep_connected(carry, incoming).await });
        let me = embedded.clone();
        embedded.inner.parts.env.spawn(async move { me.collect_images().await });
        Ok(embedded)
    }

    pub fn supervisor(&self) -> Supervisor {
        self.inner.supervisor.lock().expect("no holder of the handle panics").clone()
    }

    fn records<R>(&self, work: impl FnOnce(&mut Records) -> R) -> R {
        work(&mut self.inner.records.lock().expect("no holder of the records panics"))
    }

    fn tell(&self, uid: &str) {
        self.inner.changed.notify_waiters();
        let _ = self.inner.events.send(uid.to_string());
    }

    async fn adopt(&self, supervisor: &Supervisor) -> Result<()> {
        let inventory = supervisor.list().await?;
        let records = Records::from_inventory(&inventory);
        for container in records.pods.values().flat_map(|pod| &pod.containers) {
            self.hold_again(container);
        }
        for ip in records.ips() {
            self.inner.parts.network.adopt(ip);
        }
        self.discard_unknown(&records);
        self.records(|mine| *mine = records);
        Ok(())
    }

    /// A container of a daemon that did not yet write down what its containers use.
    fn hold_again(&self, container: &record::ContainerState) {
        let images = &self.inner.parts.images;
        let image = container.labels["imageId"].as_str().and_then(|id| images.resolve(id));
        if let Some(image) = image
            && let Err(error) = images.hold(&image, &container.id)
        {
            tracing::warn!(%error, container = container.id, "the layers of a container are not held");
        }
    }

    /// Writable layers that nobody has any more: a daemon ended before it had unlinked them.
    fn discard_unknown(&self, records: &Records) {
        // Listed before any container can be made: a new one is never taken for a left one.
        let known = |dir: &PathBuf| {
            let id = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            records.container(id).is_some()
        };
        let images = &self.inner.parts.images;
        for name in images.holders().unwrap_or_default() {
            if records.container(&name).is_none() {
                let _ = images.release(&name);
            }
        }
        let all = std::fs::read_dir(&self.inner.parts.containers_dir).into_iter().flatten().flatten();
        for dir in all.map(|entry| entry.path()).filter(|dir| !known(dir)) {
            self.discard(dir);
        }
    }

    /// Unlinks a writable layer in the background; nobody has to wait for it, and what fails is
    /// tried again when the daemon starts.
    fn discard(&self, dir: PathBuf) {
        self.inner.parts.env.spawn_blocking(move || match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(dir = %dir.display(), %error, "a writable layer is left for the next start");
            }
            _ => {}
        });
    }

    /// Handles events; when the supervisor dies, its containers died with it: says so and starts
    /// another one.
    async fn keep_connected(
        &self,
        mut carry: tokio::task::JoinHandle<::runtime::Error>,
        mut incoming: mpsc::Receiver<::runtime::Event>,
    ) {
        loop {
            while let Some(event) = incoming.recv().await {
                self.handle(event).await;
            }
            let _ = carry.await;
            tracing::error!("the supervisor ended; its containers with it");
            let now = self.inner.parts.env.now();
            let mut died = self.records(|records| records.all_died(now));
            (carry, incoming) = loop {
                let again = Supervisor::connect_or_start(&self.inner.parts.supervisor).await;
                if let Ok((supervisor, ..)) = &again {
                    *self.inner.supervisor.lock().expect("no holder of the handle panics") =
                        supervisor.clone();
                }
                // Told only now: Pods can be made anew at once. If not, at least they show it.
                for uid in std::mem::take(&mut died) {
                    self.tell(&uid);
                }
                match again {
                    Ok((_, driver, incoming)) => break (self.inner.parts.env.spawn(driver.run()), incoming),
                    Err(error) => {
                        tracing::error!(%error, "no supervisor");
                        self.inner.parts.env.sleep(Duration::from_secs(1)).await;
                    }
                }
            };
        }
    }

    async fn handle(&self, event: ::runtime::Event) {
        match event {
            ::runtime::Event::Exited { id, exit } => {
                let uid = self.records(|records| records.exited(&id, &exit));
                self.inner.kills.lock().expect("no holder panics").remove(&id);
                if let Some(uid) = uid {
                    self.tell(&uid);
                }
                let _ = self.supervisor().acknowledge(&id).await;
            }
            ::runtime::Event::SandboxBroken { id } => {
                if let Some(uid) = self.records(|records| records.sandbox_broken(&id)) {
                    self.tell(&uid);
                }
            }
            ::runtime::Event::Lagged => {
                if let Ok(inventory) = self.supervisor().list().await {
                    for uid in self.records(|records| records.refresh(&inventory)) {
                        self.tell(&uid);
                    }
                }
            }
            ::runtime::Event::Oom { .. } | ::runtime::Event::ExecExited { .. } => {}
        }
    }

    async fn make_sandbox(&self, config: SandboxConfig) -> Result<String> {
        let env = &self.inner.parts.env;
        let id = env.hex(32);
        let network = self.inner.parts.network.clone();
        let ip =
            if config.host_network { None } else { Some(network.allocate().map_err(RuntimeError::other)?) };
        let spec = spec::sandbox(&id, &config, ip);
        let made = self.supervisor().create_sandbox(spec).await;
        let wired = match made {
            Ok(info) => match (ip, info.netns) {
                (Some(ip), Some(netns)) => {
                    let (network, unique) = (network.clone(), id[..8].to_string());
                    let wire = move || network.wire(&netns, &unique, ip).map_err(RuntimeError::other);
                    env.spawn_blocking(wire).await.map_err(RuntimeError::other).and_then(|done| done)
                }
                _ => Ok(()),
            },
            Err(error) => Err(error.into()),
        };
        if let Err(error) = wired {
            let _ = self.supervisor().remove_sandbox(&id).await;
            if let Some(ip) = ip {
                let _ = network.release(ip);
            }
            return Err(error);
        }
        self.records(|records| {
            let pod = records
                .pods
                .entry(config.pod.uid.clone())
                .or_insert_with(|| PodState::new(config.pod.clone()));
            pod.sandbox =
                Some(SandboxState { id: id.clone(), attempt: config.attempt, ready: true, ip, held: true });
        });
        Ok(id)
    }

    async fn make_container(&self, sandbox: &str, config: ContainerConfig) -> Result<String> {
        let parts = &self.inner.parts;
        let image = parts.images.resolve(&config.image_id).ok_or_else(|| {
            RuntimeError::other(format!("image {} is no longer on this node", config.image))
        })?;
        self.prune(&config).await;
        let id = parts.env.hex(32);
        let dir = parts.containers_dir.join(&id);
        if let Some(parent) = config.log_path.parent() {
            std::fs::create_dir_all(parent).map_err(RuntimeError::other)?;
        }
        std::fs::create_dir_all(&dir).map_err(RuntimeError::other)?;
        let log = (parts.log_max_bytes, parts.log_max_files);
        let record = record::ContainerState::new(&id, &config, &image, parts.env.now());
        parts.images.hold(&image, &id).map_err(RuntimeError::other)?;
        if let Err(error) = parts.images.mark_used(&image) {
            tracing::debug!(%error, "use of an image not noted");
        }
        let spec = spec::container(&id, sandbox, &config, &image, &dir, log, &record.labels)?;
        if let Err(error) = self.supervisor().create_container(spec).await {
            let _ = parts.images.release(&id);
            self.discard(dir);
            return Err(error.into());
        }
        self.records(|records| {
            if let Some(pod) = records.pods.get_mut(&config.pod.uid) {
                pod.containers.push(record);
            }
        });
        Ok(id)
    }

    /// Forgets attempts older than the last one.
    async fn prune(&self, config: &ContainerConfig) {
        let old: Vec<String> = self.records(|records| {
            let pod = records.pods.get(&config.pod.uid);
            let containers = pod.map(|p| p.containers.as_slice()).unwrap_or_default();
            containers
                .iter()
                .filter(|c| c.name == config.name && c.attempt + DEAD_KEPT < config.attempt)
                .map(|c| c.id.clone())
                .collect()
        });
        for id in old {
            if let Some(log) = self.records(|records| records.container(&id).map(|c| c.log_path.clone())) {
                let _ = std::fs::remove_file(log);
            }
            let _ = self.drop_container(&id).await;
        }
    }

    /// Removes the process side and the writable layer; the record goes too.
    async fn drop_container(&self, id: &str) -> Result<()> {
        self.forget_in_supervisor(id).await?;
        self.records(|records| records.forget_container(id));
        Ok(())
    }

    async fn forget_in_supervisor(&self, id: &str) -> Result<()> {
        match self.supervisor().remove_container(id).await {
            Err(error) if error.kind != ::runtime::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let _ = self.inner.parts.images.release(id);
        self.discard(self.inner.parts.containers_dir.join(id));
        Ok(())
    }

    async fn begin_stop(&self, id: &str, grace: Duration) -> Result<()> {
        let deadline = self.inner.parts.env.instant() + grace;
        let first = {
            let mut kills = self.inner.kills.lock().expect("no holder panics");
            match kills.get(id) {
                Some(earlier) if *earlier <= deadline => return Ok(()),
                Some(_) => {
                    kills.insert(id.into(), deadline);
                    false
                }
                None => {
                    kills.insert(id.into(), deadline);
                    true
                }
            }
        };
        if first {
            let signal = self.records(|records| records.container(id).map_or(15, |c| c.stop_signal));
            match self.supervisor().signal(id, signal, false).await {
                Err(error) if error.kind == ::runtime::ErrorKind::NotFound => return Ok(()),
                Err(error) => tracing::debug!(%error, "stop signal not delivered"),
                Ok(()) => {}
            }
        }
        let (me, id) = (self.clone(), id.to_string());
        self.inner.parts.env.spawn(async move {
            tokio::time::sleep_until(deadline).await;
            let due = me.inner.kills.lock().expect("no holder panics").get(&id) == Some(&deadline);
            if due {
                let _ = me.supervisor().signal(&id, SIGKILL, true).await;
            }
        });
        Ok(())
    }

    /// Kills everything in a sandbox and waits until it is reported gone.
    async fn kill_all(&self, sandbox: &str) -> Result<()> {
        let deadline = self.inner.parts.env.instant() + KILL_WAIT;
        let mut told = false;
        loop {
            let changed = self.inner.changed.notified();
            let running = self.records(|records| records.running_in(sandbox));
            if running.is_empty() {
                return Ok(());
            }
            if !std::mem::replace(&mut told, true) {
                for id in &running {
                    let _ = self.supervisor().signal(id, SIGKILL, true).await;
                }
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Err(RuntimeError::other(format!("containers do not die: {}", running.join(", "))));
            }
        }
    }

    async fn end_sandbox(&self, id: &str) -> Result<()> {
        self.kill_all(id).await?;
        let Some(sandbox) = self.records(|records| records.sandbox(id).cloned()) else { return Ok(()) };
        // The route first: a packet for a Pod that is gone must not look for its namespace.
        if let Some(ip) = sandbox.ip {
            self.inner.parts.network.release(ip).map_err(RuntimeError::other)?;
        }
        if sandbox.held {
            let containers = self.records(|records| records.containers_in(id));
            try_join_all(containers.iter().map(|container| self.forget_in_supervisor(container))).await?;
            match self.supervisor().remove_sandbox(id).await {
                Err(error) if error.kind != ::runtime::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        self.records(|records| records.sandbox_gone(id));
        Ok(())
    }
}

impl From<::runtime::Error> for RuntimeError {
    fn from(error: ::runtime::Error) -> RuntimeError {
        use crate::runtime::ErrorKind;
        let kind = match error.kind {
            ::runtime::ErrorKind::Start => ErrorKind::Start,
            ::runtime::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Other,
        };
        RuntimeError { kind, message: error.message }
    }
}

impl PodRuntime for Embedded {
    fn name(&self) -> &'static str {
        "minke"
    }

    fn version(&self) -> String {
        self.inner.parts.version.clone()
    }

    fn run_sandbox(&self, config: SandboxConfig) -> BoxFuture<'_, Result<String>> {
        Box::pin(self.make_sandbox(config))
    }

    fn stop_sandbox<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.end_sandbox(id))
    }

    fn remove_sandbox<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.end_sandbox(id).await?;
            self.records(|records| records.forget_sandbox(id));
            Ok(())
        })
    }

    fn create_container<'a>(
        &'a self,
        sandbox: &'a str,
        config: ContainerConfig,
    ) -> BoxFuture<'a, Result<String>> {
        Box::pin(self.make_container(sandbox, config))
    }

    fn start_container<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let result = self.supervisor().start_container(id).await;
            let now = self.inner.parts.env.now();
            self.records(|records| records.started(id, &result, now));
            result.map(|_| ()).map_err(RuntimeError::from)
        })
    }

    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.begin_stop(id, grace))
    }

    fn remove_container<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.drop_container(id))
    }

    fn pod<'a>(&'a self, uid: &'a str) -> BoxFuture<'a, Observed> {
        let observed = self.records(|records| records.pods.get(uid).map(PodState::observed));
        Box::pin(std::future::ready(observed.unwrap_or_default()))
    }

    fn pods(&self) -> BoxFuture<'_, Vec<PodRecord>> {
        let all = self.records(|records| {
            records.pods.values().map(|p| PodRecord { pod: p.pod.clone(), observed: p.observed() }).collect()
        });
        Box::pin(std::future::ready(all))
    }

    fn events(&self) -> mpsc::UnboundedReceiver<String> {
        let taken = self.inner.events_out.lock().expect("no holder panics").take();
        taken.unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Process>> {
        Box::pin(streams::exec(self.supervisor(), request))
    }

    fn attach<'a>(&'a self, container_id: &'a str) -> BoxFuture<'a, Result<Process>> {
        Box::pin(self.attach_streams(container_id))
    }

    fn wait<'a>(&'a self, container_id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.wait_exit(container_id).await;
        })
    }

    fn connect<'a>(&'a self, sandbox: &'a str, port: u16) -> BoxFuture<'a, Result<tokio::net::TcpStream>> {
        Box::pin(streams::connect(self.inner.parts.env.clone(), self.supervisor(), sandbox, port))
    }

    fn container_stats<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Stats>> {
        let stats = self.supervisor().stats(id).map_err(RuntimeError::from).map(|s| Stats {
            cpu_nanoseconds: s.cpu_usage_ns,
            memory_working_set_bytes: s.memory_working_set,
            memory_usage_bytes: s.memory_usage,
        });
        Box::pin(std::future::ready(stats))
    }

    fn image_status<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Image>>> {
        let found = self.inner.parts.images.resolve(name).map(|image| pull::describe(&image));
        Box::pin(std::future::ready(Ok(found)))
    }

    fn pull_image<'a>(
        &'a self,
        name: &'a str,
        credentials: Option<Credentials>,
    ) -> BoxFuture<'a, std::result::Result<Image, PullError>> {
        Box::pin(pull::pull(&self.inner.parts.images, &self.inner.parts.registries, name, credentials))
    }

    fn provides(&self, name: &str) -> bool {
        pull::is_own(name)
    }

    fn images(&self) -> BoxFuture<'_, Result<Vec<Image>>> {
        let all = self.inner.parts.images.images().iter().map(|image| pull::describe(image)).collect();
        Box::pin(std::future::ready(Ok(all)))
    }
}
