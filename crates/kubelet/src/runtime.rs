//! The seam between the kubelet and what runs containers, shaped like the CRI: sandboxes,
//! containers, images, streams. `embedded` implements it with this project's own runtime; a CRI
//! endpoint (containerd, CRI-O) can implement it as well, so nothing here knows how a container
//! is made.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use pod_lifecycle::Observed;
use pod_lifecycle::cgroups::Limits;
use tokio::sync::mpsc;

/// Which operation failed, in the words users see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeError {
    pub kind: ErrorKind,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The program could not be executed: the container shows StartError.
    Start,
    /// Nothing by that id.
    NotFound,
    /// Everything else.
    Other,
}

impl RuntimeError {
    pub fn other(message: impl fmt::Display) -> RuntimeError {
        RuntimeError { kind: ErrorKind::Other, message: message.to_string() }
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuntimeError {}

pub type Result<T> = std::result::Result<T, RuntimeError>;

/// Whose Pod a sandbox or container is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodId {
    pub uid: String,
    pub name: String,
    pub namespace: String,
}

#[derive(Clone, Debug, Default)]
pub struct SandboxConfig {
    pub pod: PodId,
    pub attempt: u32,
    pub hostname: String,
    pub host_network: bool,
    pub host_pid: bool,
    pub host_ipc: bool,
    pub share_process_namespace: bool,
    /// Relative to the node's cgroup.
    pub cgroup: String,
    pub limits: Limits,
}

/// How mounts travel between host and container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    #[default]
    None,
    HostToContainer,
    Bidirectional,
}

#[derive(Clone, Debug)]
pub struct Mount {
    pub host_path: PathBuf,
    pub container_path: PathBuf,
    pub read_only: bool,
    pub recursive_read_only: bool,
    pub propagation: Propagation,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seccomp {
    #[default]
    Unconfined,
    RuntimeDefault,
    /// An OCI profile in JSON.
    Profile(String),
}

/// Security settings of one container, the Pod's already merged in.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// `None`: the image's user.
    pub uid: Option<i64>,
    pub gid: Option<i64>,
    pub supplemental_groups: Vec<i64>,
    /// `supplementalGroupsPolicy: Strict`.
    pub strict_groups: bool,
    pub privileged: bool,
    pub no_new_privileges: bool,
    pub read_only_root: bool,
    /// Names without `CAP_`; `ALL` is all.
    pub capabilities_add: Vec<String>,
    pub capabilities_drop: Vec<String>,
    pub seccomp: Seccomp,
}

#[derive(Clone, Debug, Default)]
pub struct ContainerConfig {
    pub pod: PodId,
    pub name: String,
    pub attempt: u32,
    /// As the Pod writes it.
    pub image: String,
    /// Id that [`PodRuntime::image_status`] gave.
    pub image_id: String,
    /// Replaces the image's entrypoint and its cmd; empty keeps them.
    pub command: Vec<String>,
    /// Replaces the image's cmd.
    pub args: Vec<String>,
    /// Value of HOSTNAME, unless the image or the Pod set it.
    pub hostname: String,
    pub working_dir: String,
    pub env: Vec<(String, String)>,
    pub mounts: Vec<Mount>,
    pub log_path: PathBuf,
    pub stdin: bool,
    pub stdin_once: bool,
    pub tty: bool,
    pub security: Security,
    pub limits: Limits,
    pub oom_score_adj: i32,
    /// `pod_lifecycle::plan::definition_hash`.
    pub hash: String,
    /// Where the container may leave its last words (host path), and how many bytes count.
    pub termination_log: PathBuf,
    /// `terminationMessagePolicy: FallbackToLogsOnError`.
    pub termination_from_logs: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Digest of the config.
    pub id: String,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub size: u64,
    /// Numeric user of the image's config, or its name.
    pub uid: Option<i64>,
    pub username: String,
}

impl Image {
    /// What `containerStatuses[].imageID` says.
    pub fn reference(&self) -> String {
        self.repo_digests.first().cloned().unwrap_or_else(|| self.id.clone())
    }
}

/// Credentials of one registry.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

/// Why an image could not be had, as the runtime says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullError(pub String);

pub type Reader = Box<dyn tokio::io::AsyncRead + Send + Unpin>;
pub type Writer = Box<dyn tokio::io::AsyncWrite + Send + Unpin>;

/// A process with its streams, for exec and attach. With a terminal, `stdout` carries all output.
pub struct Process {
    pub stdin: Option<Writer>,
    pub stdout: Option<Reader>,
    pub stderr: Option<Reader>,
    /// Resizes the terminal to (rows, columns).
    pub resize: Box<dyn Fn(u16, u16) + Send + Sync>,
    /// The exit code; for attach: when the container ends.
    pub exit: BoxFuture<'static, Result<i32>>,
}

#[derive(Clone, Debug)]
pub struct ExecRequest {
    pub container_id: String,
    pub command: Vec<String>,
    pub tty: bool,
    pub stdin: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub cpu_nanoseconds: u64,
    pub memory_working_set_bytes: u64,
    pub memory_usage_bytes: u64,
}

/// One Pod as the runtime knows it, for adoption after a restart.
#[derive(Clone, Debug)]
pub struct PodRecord {
    pub pod: PodId,
    pub observed: Observed,
}

/// What runs containers.
pub trait PodRuntime: Send + Sync {
    /// `minke`, `containerd`, …: the scheme of container ids.
    fn name(&self) -> &'static str;
    fn version(&self) -> String;

    /// Creates namespaces, cgroup and network; the id of the sandbox.
    fn run_sandbox(&self, config: SandboxConfig) -> BoxFuture<'_, Result<String>>;
    /// Kills what still runs in it and gives its network back. Idempotent.
    fn stop_sandbox<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Forgets a stopped sandbox and its containers. Idempotent.
    fn remove_sandbox<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;

    fn create_container<'a>(
        &'a self,
        sandbox: &'a str,
        config: ContainerConfig,
    ) -> BoxFuture<'a, Result<String>>;
    fn start_container<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Sends the stop signal now and SIGKILL after `grace`; asked again, the earlier end counts.
    /// Returns at once, the exit comes as an event.
    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> BoxFuture<'a, Result<()>>;
    fn remove_container<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;

    /// What is known of one Pod.
    fn pod<'a>(&'a self, uid: &'a str) -> BoxFuture<'a, Observed>;
    /// Every Pod that left something.
    fn pods(&self) -> BoxFuture<'_, Vec<PodRecord>>;
    /// Uids of Pods with something new to observe. One subscriber.
    fn events(&self) -> mpsc::UnboundedReceiver<String>;

    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Process>>;
    fn attach<'a>(&'a self, container_id: &'a str) -> BoxFuture<'a, Result<Process>>;
    /// Waits until a container has ended (or is unknown).
    fn wait<'a>(&'a self, container_id: &'a str) -> BoxFuture<'a, ()>;
    /// A connection to a port on the Pod's own loopback.
    fn connect<'a>(&'a self, sandbox: &'a str, port: u16) -> BoxFuture<'a, Result<tokio::net::TcpStream>>;
    fn container_stats<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Stats>>;

    /// `None` if the image is not on this node. The name may lack a tag.
    fn image_status<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Image>>>;
    fn pull_image<'a>(
        &'a self,
        name: &'a str,
        credentials: Option<Credentials>,
    ) -> BoxFuture<'a, std::result::Result<Image, PullError>>;
    fn images(&self) -> BoxFuture<'_, Result<Vec<Image>>>;
    /// The image is part of the node itself, no registry has it.
    fn provides(&self, name: &str) -> bool;
}
