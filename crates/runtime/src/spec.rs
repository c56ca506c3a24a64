//! What a caller asks of the runtime: sandboxes, containers and exec sessions, in memory. The
//! vocabulary is that of the OCI runtime specification, reduced to what Pods need. Pure data:
//! every field is optional on the wire (`serde(default)`), so that an older supervisor and a newer
//! daemon understand each other.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::PathBuf;

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type UnixNanos = u64;

/// Bytes the runtime stores and gives back without looking inside. At most
/// [`crate::limits::LABELS_BYTES`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opaque(pub Vec<u8>);

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        STANDARD.decode(text).map(Opaque).map_err(serde::de::Error::custom)
    }
}

/// One Pod's shared part: namespaces, shared memory, the Pod's cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxSpec {
    /// Unique within the instance; at most 128 of `[A-Za-z0-9_.-]`.
    pub id: String,
    /// Host name in the Pod's UTS namespace. Ignored with `host_network`, where the Pod shares
    /// the host's UTS namespace.
    pub hostname: String,
    /// NIS domain name; empty leaves the kernel's default.
    pub domainname: String,
    /// Use the host's network and UTS namespaces.
    pub host_network: bool,
    /// Use the host's IPC namespace and its /dev/shm.
    pub host_ipc: bool,
    /// Use the host's PID namespace.
    pub host_pid: bool,
    /// One PID namespace for all containers; its PID 1 is a tiny init of ours that reaps.
    pub share_process_namespace: bool,
    /// Namespaced sysctls in dotted or slashed form with their values. Only those of the IPC and
    /// network namespaces that the sandbox owns are accepted.
    pub sysctls: Vec<(String, String)>,
    /// The Pod's cgroup, relative to the instance's (`kubepods/burstable/pod<uid>`). Created with
    /// missing parents, `resources` are written before anything runs in it.
    pub cgroup_path: String,
    /// Limits of the Pod's cgroup.
    pub resources: Resources,
    /// Size of the Pod's /dev/shm in bytes; 0 means 64 MiB.
    pub shm_size: u64,
    /// Given back by [`crate::Supervisor::list`].
    pub labels: Opaque,
}

/// What a container's file system is made of. Nothing of it is mounted in the host's mount
/// namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rootfs {
    /// overlayfs. `upper` and `work` are created when missing (same file system, caller removes
    /// them after `remove_container`).
    Overlay {
        /// Read-only layers, topmost first; at least one.
        lower: Vec<PathBuf>,
        /// Writable layer.
        upper: PathBuf,
        /// Scratch directory of overlayfs, must be empty at the first use.
        work: PathBuf,
    },
    /// A directory, used as it is and written to.
    Dir(PathBuf),
}

impl Default for Rootfs {
    fn default() -> Self {
        Rootfs::Dir(PathBuf::new())
    }
}

/// How mounts travel between the host and the container (`mountPropagation`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Kubernetes `None`.
    #[default]
    Private,
    /// Kubernetes `HostToContainer` (rslave).
    HostToContainer,
    /// Kubernetes `Bidirectional` (rshared); the source must lie on a shared mount.
    Bidirectional,
}

/// One mount besides the standard ones (/proc, /sys, /sys/fs/cgroup, /dev, /dev/pts, /dev/shm,
/// /dev/mqueue). A mount at one of those places replaces it. Applied in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the container; resolved inside its root, created when missing.
    pub destination: PathBuf,
    /// What is mounted.
    pub kind: MountKind,
    /// Read-only. Submounts of a recursive bind stay as they are unless
    /// `recursive_read_only`.
    #[serde(default)]
    pub read_only: bool,
    /// Read-only including submounts (`recursiveReadOnly`).
    #[serde(default)]
    pub recursive_read_only: bool,
}

/// Source of a [`Mount`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind {
        /// Absolute host path; must exist.
        source: PathBuf,
        /// Include submounts (rbind).
        recursive: bool,
        /// Propagation between host and container.
        propagation: Propagation,
    },
    /// A fresh tmpfs.
    Tmpfs {
        /// Bytes; `None` means the kernel's default (half of memory).
        size: Option<u64>,
        /// Permission bits of its root, for example 0o1777.
        mode: u32,
    },
}

/// Who the process runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserSpec {
    /// Numeric ids. The primary group is `gid`, or that of /etc/passwd in the container for
    /// `None` (0 when the uid has no entry).
    Ids {
        /// User id.
        uid: u32,
        /// Primary group.
        gid: Option<u32>,
    },
    /// As in an image's config: `user`, `uid`, `user:group`, `uid:gid`, ... ; resolved against
    /// /etc/passwd and /etc/group of the container. Empty means 0.
    Name(String),
}

/// User and groups of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// Who.
    pub spec: UserSpec,
    /// Supplementary groups to add (fsGroup, supplementalGroups).
    pub additional_gids: Vec<u32>,
    /// Add the groups that /etc/group of the container lists for the user
    /// (`supplementalGroupsPolicy: Merge`; false is `Strict`).
    pub merge_image_groups: bool,
    /// File mode creation mask; `None` means 0o022.
    pub umask: Option<u32>,
}

impl Default for User {
    fn default() -> Self {
        User {
            spec: UserSpec::Name(String::new()),
            additional_gids: Vec::new(),
            merge_image_groups: true,
            umask: None,
        }
    }
}

/// Capability sets as bit masks (bit n = capability number n; see [`crate::caps`]). What the
/// daemon itself does not have is left out and reported, never fatal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Bounding set.
    pub bounding: u64,
    /// Effective set; cleared by the kernel for users other than 0.
    pub effective: u64,
    /// Permitted set.
    pub permitted: u64,
    /// Inheritable set.
    pub inheritable: u64,
    /// Ambient set.
    pub ambient: u64,
}

impl Capabilities {
    /// Bounding, effective and permitted all `mask`; nothing inheritable or ambient.
    pub fn same(mask: u64) -> Self {
        Capabilities { bounding: mask, effective: mask, permitted: mask, ..Default::default() }
    }
}

/// System call filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// No filter.
    #[default]
    Unconfined,
    /// The built-in profile, equivalent to the default profile of containerd.
    RuntimeDefault,
    /// A profile in the JSON form of the OCI runtime specification (`linux.seccomp`).
    Profile(String),
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Absolute path in the container.
    pub path: PathBuf,
    /// `c` or `b`.
    pub kind: char,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Any of `rwm` for the device cgroup.
    pub access: String,
}

/// One resource limit of setrlimit(2). A hard limit above our own is clamped when we may not
/// raise it, and reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE` and so on.
    pub name: String,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// Limits of a cgroup in the units of the OCI specification, whatever the cgroup version.
/// `None` leaves what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// cpu.shares (2..=262144); becomes cpu.weight on v2.
    pub cpu_shares: Option<u64>,
    /// Microseconds per period; -1 is unlimited.
    pub cpu_quota: Option<i64>,
    /// Microseconds; default 100000.
    pub cpu_period: Option<u64>,
    /// Bytes; -1 is unlimited. Swap beyond it is forbidden.
    pub memory_limit: Option<i64>,
    /// Bytes protected from reclaim (v2 memory.min).
    pub memory_min: Option<u64>,
    /// Bytes above which the cgroup is throttled (v2 memory.high).
    pub memory_high: Option<u64>,
    /// Kill the whole container when one of its processes is killed for memory (v2
    /// memory.oom.group; done by the supervisor on v1). `None` means yes for containers.
    pub oom_group: Option<bool>,
    /// Number of tasks; -1 is unlimited.
    pub pids_limit: Option<i64>,
    /// For example `0-3,8`; empty inherits.
    pub cpuset_cpus: String,
    /// For example `0`; empty inherits.
    pub cpuset_mems: String,
    /// Page size as the kernel names it (`2MB`) and limit in bytes.
    pub hugepages: Vec<(String, u64)>,
}

/// Where output goes, in the CRI log format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSpec {
    /// The file; its directory must exist.
    pub path: PathBuf,
    /// Rotate when the file would grow past this many bytes; 0 never rotates.
    pub max_size: u64,
    /// Files kept, the current one included; at least 2 when rotating.
    pub max_files: u32,
}

/// Ids of a user namespace (design only: a spec that carries one is refused as unsupported).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// First id inside.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// One container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Unique within the instance; at most 128 of `[A-Za-z0-9_.-]`.
    pub id: String,
    /// The sandbox it belongs to.
    pub sandbox_id: String,
    /// Root file system.
    pub rootfs: Rootfs,
    /// Mount the root read-only.
    pub readonly_rootfs: bool,
    /// Mounts besides the standard ones.
    pub mounts: Vec<Mount>,
    /// Program and arguments; at least one.
    pub args: Vec<String>,
    /// `NAME=value`, later entries win. PATH is defaulted as runc does; HOME is set from
    /// /etc/passwd of the container when missing.
    pub env: Vec<String>,
    /// Absolute; empty means `/`. Created when missing.
    pub cwd: PathBuf,
    /// User and groups.
    pub user: User,
    /// Capability sets.
    pub capabilities: Capabilities,
    /// Privileges cannot be gained by exec.
    pub no_new_privs: bool,
    /// System call filter.
    pub seccomp: Seccomp,
    /// Paths hidden from the container; missing ones are skipped.
    pub masked_paths: Vec<PathBuf>,
    /// Paths made read-only; missing ones are skipped.
    pub readonly_paths: Vec<PathBuf>,
    /// Devices besides the standard ones (null, zero, full, random, urandom, tty, ptmx).
    pub devices: Vec<Device>,
    /// Allow every device in the device cgroup, and show /sys and /sys/fs/cgroup writable. The
    /// caller adds [`crate::host_devices`] to `devices` and full capabilities.
    pub privileged: bool,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Clamped to what the host allows, see [`Started::oom_score_adj`].
    pub oom_score_adj: Option<i32>,
    /// Limits of the container's own cgroup `<pod>/<id>`.
    pub resources: Resources,
    /// Allocate a terminal.
    pub tty: bool,
    /// Keep stdin open for attach; else it is /dev/null.
    pub stdin: bool,
    /// Close stdin when the first attached client closes it.
    pub stdin_once: bool,
    /// Log file; `None` discards output (attach still works).
    pub log: Option<LogSpec>,
    /// `SIGTERM`, `TERM` or a number, from the image or the Pod; empty means SIGTERM. Kept for
    /// the caller (see [`crate::signal_number`]); the runtime itself never sends it.
    pub stop_signal: String,
    /// AppArmor profile to enter on exec; refused when the host has no AppArmor.
    pub apparmor_profile: Option<String>,
    /// User namespace mapping; pending, refused when not empty.
    pub uid_map: Vec<IdMap>,
    /// Group id mapping; pending, refused when not empty.
    pub gid_map: Vec<IdMap>,
    /// Given back by [`crate::Supervisor::list`].
    pub labels: Opaque,
}

/// A further process in a running container. What is not given is taken from the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// The container.
    pub container_id: String,
    /// Program and arguments; at least one.
    pub args: Vec<String>,
    /// Added to the container's environment, later entries win.
    pub env: Vec<String>,
    /// `None`: the container's.
    pub cwd: Option<PathBuf>,
    /// `None`: the container's.
    pub user: Option<User>,
    /// Allocate a terminal.
    pub tty: bool,
    /// Rows and columns of the terminal at the start.
    pub size: Option<(u16, u16)>,
    /// Give a stdin; else it is /dev/null.
    pub stdin: bool,
}

/// Whether a process of a container exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Known, not started.
    #[default]
    Created,
    /// Its first process runs.
    Running,
    /// Its first process ended (or could not be started: see [`ContainerStatus::start_error`]).
    Exited,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exit {
    /// Exit code; 128 + signal for a process killed by a signal.
    pub code: i32,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The kernel killed a process of this container because of its memory limit.
    pub oom_killed: bool,
    /// When.
    pub finished_at: UnixNanos,
}

/// What really was applied where the host does not allow what was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Started {
    /// PID on the host.
    pub pid: i32,
    /// When exec succeeded.
    pub started_at: UnixNanos,
    /// The resolved user.
    pub uid: u32,
    /// The resolved primary group.
    pub gid: u32,
    /// All supplementary groups.
    pub gids: Vec<u32>,
    /// The value in force when the asked one could not be set.
    pub oom_score_adj: Option<i32>,
    /// Capabilities asked for that the daemon itself lacks.
    pub missing_capabilities: u64,
    /// Names of the resource limits that were clamped.
    pub clamped_rlimits: Vec<String>,
}

/// One container as the supervisor sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerStatus {
    /// Its id.
    pub id: String,
    /// Its sandbox.
    pub sandbox_id: String,
    /// Its state.
    pub state: State,
    /// When it was created.
    pub created_at: UnixNanos,
    /// Facts of the start.
    pub started: Option<Started>,
    /// How it ended.
    pub exit: Option<Exit>,
    /// Why it could not be started; then `exit.code` is 128.
    pub start_error: Option<String>,
    /// Its cgroup, relative to the instance's.
    pub cgroup_path: String,
    /// It has a terminal.
    pub tty: bool,
    /// Stop signal of the spec.
    pub stop_signal: String,
    /// Log path of the spec.
    pub log_path: PathBuf,
    /// Labels of the spec.
    pub labels: Opaque,
}

/// One sandbox as the supervisor sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxStatus {
    /// Its id.
    pub id: String,
    /// When it was created.
    pub created_at: UnixNanos,
    /// Its cgroup, relative to the instance's.
    pub cgroup_path: String,
    /// It uses the host's network namespace.
    pub host_network: bool,
    /// Its init (shared process namespace) is gone although it should run: the sandbox must be
    /// made anew (SandboxChanged).
    pub broken: bool,
    /// Labels of the spec.
    pub labels: Opaque,
}

/// Everything the supervisor knows, for re-adoption.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// Sandboxes, by id.
    pub sandboxes: Vec<SandboxStatus>,
    /// Containers, by id.
    pub containers: Vec<ContainerStatus>,
}

/// Usage of one cgroup, read at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// When.
    pub time: UnixNanos,
    /// Cumulative CPU time in nanoseconds.
    pub cpu_usage_ns: u64,
    /// Memory charged, bytes.
    pub memory_usage: u64,
    /// Memory charged without inactive file cache, bytes (what eviction looks at).
    pub memory_working_set: u64,
    /// Anonymous memory, bytes.
    pub memory_rss: u64,
    /// Limit in bytes, if one is set.
    pub memory_limit: Option<u64>,
    /// Minor page faults.
    pub page_faults: u64,
    /// Major page faults.
    pub major_page_faults: u64,
    /// Tasks.
    pub pids: u64,
}
