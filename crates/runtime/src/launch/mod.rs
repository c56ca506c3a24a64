//! What happens in a child between clone and exec: everything that may block or fail runs here,
//! never in the supervisor itself. The child is a single-threaded fork, so ordinary code may run.
//! It answers over a socket: one report, then silence (end of file) when exec succeeded.

pub mod container;
pub mod exec;
mod process;
mod rootfs;
pub mod sandbox;
mod within;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::spec::{Capabilities, Opaque, Rlimit, Started, User};
use crate::sys;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

/// The part of a container that its exec sessions share.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessConfig {
    pub env: Vec<String>,
    pub cwd: PathBuf,
    pub user: User,
    pub capabilities: Capabilities,
    pub no_new_privs: bool,
    pub rlimits: Vec<Rlimit>,
    pub oom_score_adj: i32,
    pub apparmor_profile: Option<String>,
    /// Compiled seccomp program; shared between containers in memory.
    #[serde(with = "shared")]
    pub filter: Rc<Opaque>,
    pub tty: bool,
}

mod shared {
    use super::{Opaque, Rc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &Rc<Opaque>, s: S) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Rc<Opaque>, D::Error> {
        Opaque::deserialize(d).map(Rc::new)
    }
}

/// What a child tells its supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// About to exec. The terminal's master travels with it.
    Ready(Started),
    /// A sandbox is made. Its namespaces travel with it in the order mnt, net, ipc, uts, pid, as
    /// far as it has its own.
    Sandbox,
    /// Failed; the child exits.
    Failed(Error),
}

/// The child's end of the report socket.
pub struct Channel(OwnedFd);

impl Channel {
    /// (supervisor's end, child's end)
    pub fn pair() -> Result<(OwnedFd, Channel)> {
        let (ours, theirs) = sys::socket::pair(libc::SOCK_SEQPACKET).context(ErrorKind::Io, "socketpair")?;
        Ok((ours, Channel(theirs)))
    }

    pub fn report(&self, report: &Report, fds: &[BorrowedFd]) -> io::Result<()> {
        let text = serde_json::to_vec(report).map_err(io::Error::other)?;
        sys::socket::send(self.0.as_fd(), &text, fds)
    }
}

/// Receives a report; `None` at the end of file.
pub fn receive_report(socket: BorrowedFd) -> Result<Option<(Report, Vec<OwnedFd>)>> {
    let mut buffer = [0u8; 8192];
    let (n, fds) = sys::socket::receive(socket, &mut buffer).context(ErrorKind::Io, "report")?;
    if n == 0 {
        return Ok(None);
    }
    let report = serde_json::from_slice(&buffer[..n])
        .map_err(|e| Error::new(ErrorKind::Io, format!("unreadable report: {e}")))?;
    Ok(Some((report, fds)))
}

/// Namespaces of a sandbox; `None` means the host's.
#[derive(Debug, Default)]
pub struct Namespaces {
    pub mnt: Option<OwnedFd>,
    pub net: Option<OwnedFd>,
    pub ipc: Option<OwnedFd>,
    pub uts: Option<OwnedFd>,
    pub pid: Option<OwnedFd>,
}

/// First steps of every child: its signals, its session, no access by others.
fn begin() -> Result<()> {
    sys::process::reset_signals();
    sys::process::prctl(libc::PR_SET_DUMPABLE, 0).setup("prctl(PR_SET_DUMPABLE)")?;
    // SAFETY: plain call without arguments; a fresh child is no group leader, so it succeeds.
    unsafe { libc::setsid() };
    Ok(())
}

/// Moves this process into cgroups by their `cgroup.procs` files.
fn enter_cgroups(files: &[PathBuf]) -> Result<()> {
    for file in files {
        sys::fs::write_file(file, "0").setup(format_args!("write {}", file.display()))?;
    }
    Ok(())
}
