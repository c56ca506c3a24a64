//! The messages between the daemon and its supervisor. Append-only: fields and variants are added,
//! never changed or removed; unknown fields are ignored, an unknown request is answered with
//! `Unsupported`, an unknown event is skipped. One message is one datagram: a version byte, a placement byte, then JSON (inline,
//! or in a memfd that travels as the last descriptor).

use crate::error::Error;
use crate::spec::*;
use serde::{Deserialize, Serialize};

/// Version of the framing. The messages themselves carry no version: they only grow.
pub const VERSION: u8 = 1;
pub(crate) const INLINE: u8 = 0;
pub(crate) const IN_MEMFD: u8 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    pub call: Call,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Call {
    Hello,
    CreateSandbox(Box<SandboxSpec>),
    SandboxNetns {
        id: String,
    },
    RemoveSandbox {
        id: String,
    },
    CreateContainer {
        spec: Box<ContainerSpec>,
        filter: Opaque,
    },
    StartContainer {
        id: String,
    },
    Signal {
        id: String,
        signal: i32,
        all: bool,
    },
    RemoveContainer {
        id: String,
    },
    Exec(Box<ExecSpec>),
    SignalExec {
        exec: u64,
        signal: i32,
    },
    Attach {
        id: String,
        stdin: bool,
        stdout: bool,
        stderr: bool,
    },
    ResizeTty {
        id: String,
        rows: u16,
        cols: u16,
    },
    ReopenLog {
        id: String,
    },
    Acknowledge {
        id: String,
    },
    List,
    /// The new binary travels as a descriptor.
    Upgrade,
    /// Kills every container and leaves.
    Shutdown,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    Reply { id: u64, result: Result<Answer, Error> },
    Event(Event),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Done,
    Hello {
        version: String,
        pid: i32,
        instance: String,
    },
    /// The network namespace travels as a descriptor unless it is the host's.
    Sandbox {
        cgroup_path: String,
    },
    Container {
        cgroup_path: String,
    },
    Started(Started),
    /// Descriptors: terminal, or [stdin,] stdout, stderr.
    Exec {
        exec: u64,
        pid: i32,
    },
    /// Descriptors in this order, those asked for: stdin, stdout, stderr.
    Attached {
        stdin: bool,
        stdout: bool,
        stderr: bool,
    },
    Inventory(Inventory),
}

/// What happened without being asked. Exits are repeated to every new client until the container
/// is acknowledged or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The first process of a container ended and everything it left in its cgroup was killed.
    Exited {
        /// The container.
        id: String,
        /// How.
        exit: Exit,
    },
    /// The kernel killed a process of the container because of its memory limit.
    Oom {
        /// The container.
        id: String,
    },
    /// The init of a shared process namespace died: the sandbox is unusable.
    SandboxBroken {
        /// The sandbox.
        id: String,
    },
    /// An exec session ended; consumed by [`crate::ExecHandle`].
    ExecExited {
        /// The session.
        exec: u64,
        /// How.
        exit: Exit,
    },
    /// Events were lost because they were not read in time: list again.
    Lagged,
}

/// Framing, shared by both ends.
pub(crate) mod frame {
    use super::{IN_MEMFD, INLINE, VERSION};
    use crate::error::{Context, Error, ErrorKind, Result};
    use crate::limits::{INLINE_BYTES, MESSAGE_BYTES};
    use serde::Serialize;
    use std::io::{Read, Seek, Write};
    use std::os::fd::OwnedFd;

    /// Room for the largest datagram.
    pub const BUFFER: usize = INLINE_BYTES + 2;

    /// The datagram of a message; a large one is put into a memfd that joins `fds`.
    pub fn encode(message: &impl Serialize, fds: &mut Vec<OwnedFd>) -> Result<Vec<u8>> {
        let mut data = vec![VERSION, INLINE];
        serde_json::to_writer(&mut data, message)
            .map_err(|e| Error::new(ErrorKind::Io, format!("encode message: {e}")))?;
        if data.len() <= BUFFER {
            return Ok(data);
        }
        if data.len() > MESSAGE_BYTES {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("message of {} bytes is too large", data.len()),
            ));
        }
        let memfd = crate::sys::fs::memfd("message", false).context(ErrorKind::Io, "memfd_create")?;
        let mut file = std::fs::File::from(memfd);
        file.write_all(&data[2..]).context(ErrorKind::Io, "write message")?;
        fds.push(file.into());
        Ok(vec![VERSION, IN_MEMFD])
    }

    /// The JSON of a datagram.
    pub fn decode(datagram: &[u8], fds: &mut Vec<OwnedFd>) -> Result<Vec<u8>> {
        let bad = |why: &str| Error::new(ErrorKind::Io, format!("unreadable message: {why}"));
        match datagram {
            [VERSION, INLINE, json @ ..] => Ok(json.to_vec()),
            [VERSION, IN_MEMFD] => {
                let mut file = std::fs::File::from(fds.pop().ok_or_else(|| bad("no descriptor"))?);
                let length = file.metadata().map(|m| m.len()).unwrap_or(u64::MAX);
                if length > MESSAGE_BYTES as u64 {
                    return Err(bad("too large"));
                }
                let mut json = Vec::with_capacity(length as usize);
                file.rewind().context(ErrorKind::Io, "read message")?;
                file.take(MESSAGE_BYTES as u64)
                    .read_to_end(&mut json)
                    .context(ErrorKind::Io, "read message")?;
                Ok(json)
            }
            [version, ..] if *version != VERSION => Err(bad("unknown version")),
            _ => Err(bad("malformed")),
        }
    }
}
