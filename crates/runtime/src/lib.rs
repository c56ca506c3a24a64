//! The embedded OCI runtime and the supervisor process that outlives the daemon.
//!
//! Two halves share this crate:
//! - [`supervisor::main`] is the supervisor: a tiny process that the program becomes for the first
//!   argument `supervisor`. It forks, joins namespaces, reaps, holds descriptors and writes logs.
//! - [`Supervisor`] is the daemon's async handle on it. [`Supervisor::connect_or_start`] gives the
//!   handle, a [`Driver`] to spawn, and a receiver of [`Event`]s.
//!
//! The life of a Pod: `create_sandbox` (configure the network namespace it returns), for each
//! container `create_container`, `start_container`, wait for [`Event::Exited`], `remove_container`,
//! at last `remove_sandbox`. After a restart of the daemon [`Supervisor::list`] gives everything
//! back, with the caller's labels; exits that were neither acknowledged nor removed are told again.
//!
//! Containers mount nothing in the host's mount namespace and there is no pause process. When the
//! supervisor dies its containers are killed; the [`Driver`] then ends. [`cleanup`] removes an
//! instance without any living process.
//!
//! Not here: images, networks, volumes, Pod policy. HOSTNAME and service variables in the
//! environment, /etc/hosts and /etc/resolv.conf are the caller's (as `env` and bind mounts).
// System calls that no safe wrapper covers as this crate needs them: clone3, setns, the
// descriptor-based mount interface, seccomp. Each block says why it is sound.
#![allow(unsafe_code)]
#![warn(missing_docs)]

pub mod caps;
mod cgroup;
mod cleanup;
mod error;
mod handle;
mod host;
mod launch;
pub mod limits;
mod protocol;
pub mod seccomp;
mod spec;
mod stream;
pub mod supervisor;
mod sys;
mod user;

pub use cgroup::{Cgroups, DAEMON, PODS, SUPERVISOR, shares_to_weight, weight_to_shares};
pub use cleanup::cleanup;
pub use error::{Error, ErrorKind, Result};
pub use handle::{Attached, Config, Driver, ExecHandle, SandboxInfo, Supervisor};
pub use host::{host_devices, signal_number};
pub use protocol::Event;
pub use spec::*;
pub use stream::Stream;
pub use user::{ResolvedUser, resolve_user};

/// The supervisor's socket in its directory.
pub(crate) const SOCKET_NAME: &str = "supervisor.sock";
