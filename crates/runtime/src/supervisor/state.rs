//! What the supervisor remembers. Descriptors and small facts only: a container's specification is
//! dropped once it was started.

use super::log::Log;
use super::output::{Sink, Stream};
use crate::launch::{Namespaces, ProcessConfig};
use crate::spec::*;
use std::os::fd::OwnedFd;
use std::rc::Rc;

pub struct Sandbox {
    pub status: SandboxStatus,
    pub host_ipc: bool,
    pub host_pid: bool,
    pub namespaces: Namespaces,
    /// Init of a shared process namespace.
    pub init: Option<i32>,
    /// False while its child is at work.
    pub ready: bool,
}

pub struct Container {
    pub status: ContainerStatus,
    /// Until it is started.
    pub spec: Option<Box<ContainerSpec>>,
    pub config: Rc<ProcessConfig>,
    pub resources: Watched,
    pub log_spec: Option<LogSpec>,
    pub log: Option<Log>,
    pub stdin_once: bool,
    /// Write end of its stdin.
    pub stdin: Option<OwnedFd>,
    /// Master of its terminal.
    pub terminal: Option<OwnedFd>,
    /// stdout (or the terminal) and stderr.
    pub streams: [Option<Stream>; 2],
    pub sinks: Vec<Sink>,
    /// A start is under way.
    pub starting: bool,
    pub acknowledged: bool,
    pub removing: bool,
    pub oom: OomWatch,
}

/// The part of the resources that matters after the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watched {
    pub memory_limited: bool,
    pub oom_group: bool,
}

/// How memory kills of one container are noticed.
#[derive(Default)]
pub struct OomWatch {
    /// Version 1: eventfd.
    pub eventfd: Option<(OwnedFd, u64)>,
    /// Version 2: inotify watch on memory.events.
    pub watch: Option<i32>,
    /// Kills reported so far.
    pub seen: u64,
    /// Looks at the counter still to be made after a notice (the notice comes before the kill).
    pub looks: u32,
}

impl Container {
    pub fn pid(&self) -> Option<i32> {
        match (self.status.state, &self.status.started) {
            (State::Running, Some(started)) => Some(started.pid),
            _ => None,
        }
    }
}

/// A process we are the parent of.
pub enum Child {
    /// First process of a container.
    Container(String),
    /// An exec session.
    Exec(u64),
    /// Init of a sandbox's shared process namespace.
    SandboxInit(String),
    /// Work done in a fork; its report says everything.
    Helper,
}

/// Which call a launch belongs to.
pub struct Launch {
    pub socket: OwnedFd,
    /// Request to answer.
    pub request: u64,
    pub pid: i32,
    pub kind: LaunchKind,
    /// The report so far.
    pub ready: Option<Started>,
}

pub enum LaunchKind {
    Sandbox(String),
    Container(String),
    /// The descriptors go to the client with the answer.
    Exec {
        exec: u64,
        fds: Vec<OwnedFd>,
    },
}

pub struct Exec {
    pub container: String,
    pub pid: i32,
    /// The answer that names the session was sent; its exit may follow.
    pub announced: bool,
    pub exit: Option<Exit>,
}

/// A cgroup on its way out.
pub struct Removal {
    pub path: String,
    /// Request to answer when it is gone.
    pub request: u64,
    pub attempts: u32,
    pub then: AfterRemoval,
}

pub enum AfterRemoval {
    Nothing,
    ForgetContainer(String),
    ForgetSandbox(String),
}
