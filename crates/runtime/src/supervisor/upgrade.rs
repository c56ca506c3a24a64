//! Upgrade in place: the state goes into a memfd, then the new binary is executed in this very
//! process, so that pid, children, subreaper role and descriptors stay. The saved form is
//! append-only like the protocol: every field has a default.

use super::log::Log;
use super::output::{Sink, Stream};
use super::poll;
use super::state::*;
use super::{Source, Supervisor};
use crate::cgroup::Cgroups;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::launch::{Namespaces, ProcessConfig};
use crate::protocol::Answer;
use crate::spec::*;
use crate::sys;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::CString;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::rc::Rc;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    instance: String,
    dir: PathBuf,
    listener: RawFd,
    fast_attach: Option<RawFd>,
    client: Option<RawFd>,
    /// The upgrade request, answered by the successor.
    request: u64,
    next_exec: u64,
    sandboxes: Vec<SavedSandbox>,
    containers: Vec<SavedContainer>,
    execs: BTreeMap<u64, (String, i32)>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct SavedSandbox {
    status: SandboxStatus,
    host_ipc: bool,
    host_pid: bool,
    init: Option<i32>,
    mnt: Option<RawFd>,
    net: Option<RawFd>,
    ipc: Option<RawFd>,
    uts: Option<RawFd>,
    pid: Option<RawFd>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct SavedContainer {
    status: ContainerStatus,
    spec: Option<Box<ContainerSpec>>,
    config: ProcessConfig,
    memory_limited: bool,
    oom_group: bool,
    log_spec: Option<LogSpec>,
    stdin_once: bool,
    stdin: Option<RawFd>,
    terminal: Option<RawFd>,
    /// Index, descriptor, unfinished line.
    streams: Vec<(usize, RawFd, Opaque)>,
    sinks: Vec<(usize, RawFd, Opaque)>,
    acknowledged: bool,
    oom_seen: u64,
}

fn raw(fd: &Option<OwnedFd>) -> Option<RawFd> {
    fd.as_ref().map(|f| f.as_raw_fd())
}

fn own(fd: RawFd) -> OwnedFd {
    let _ = sys::fs::set_cloexec(fd, true);
    // SAFETY: our predecessor, the same process, owned this descriptor and named it in the state
    // exactly once.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

impl Supervisor {
    /// Becomes `binary`; returns only when that failed, and then nothing has changed.
    pub fn upgrade(&mut self, request: u64, binary: Option<OwnedFd>) -> Result<Infallible> {
        let binary = binary.ok_or_else(|| Error::invalid("the new binary is missing"))?;
        if !self.launches.is_empty() || !self.removals.is_empty() || self.leaving {
            return Err(Error::new(
                ErrorKind::Limit,
                "busy: try again when nothing is being started or removed",
            ));
        }
        let saved = self.save(request);
        let text = serde_json::to_vec(&saved).map_err(|e| Error::new(ErrorKind::Io, e.to_string()))?;
        let memfd = sys::fs::memfd("supervisor-state", true).context(ErrorKind::Io, "memfd_create")?;
        let mut file = std::fs::File::from(memfd);
        file.write_all(&text).and_then(|()| file.rewind()).context(ErrorKind::Io, "save state")?;
        let fds = saved.descriptors();
        for fd in &fds {
            sys::fs::set_cloexec(*fd, false).context(ErrorKind::Io, "fcntl")?;
        }
        let error = execute(&binary, file.as_raw_fd(), &saved);
        for fd in &fds {
            let _ = sys::fs::set_cloexec(*fd, true);
        }
        error.context(ErrorKind::Io, "execute the new binary")
    }

    fn save(&self, request: u64) -> Saved {
        let sandboxes = self.sandboxes.values().map(|s| SavedSandbox {
            status: s.status.clone(),
            host_ipc: s.host_ipc,
            host_pid: s.host_pid,
            init: s.init,
            mnt: raw(&s.namespaces.mnt),
            net: raw(&s.namespaces.net),
            ipc: raw(&s.namespaces.ipc),
            uts: raw(&s.namespaces.uts),
            pid: raw(&s.namespaces.pid),
        });
        let containers = self.containers.values().map(|c| {
            let streams = c.streams.iter().enumerate();
            let streams = streams.filter_map(|(i, s)| s.as_ref().map(|s| (i, s)));
            SavedContainer {
                status: c.status.clone(),
                spec: c.spec.clone(),
                config: (*c.config).clone(),
                memory_limited: c.resources.memory_limited,
                oom_group: c.resources.oom_group,
                log_spec: c.log_spec.clone(),
                stdin_once: c.stdin_once,
                stdin: raw(&c.stdin),
                terminal: raw(&c.terminal),
                streams: streams.map(|(i, s)| (i, s.fd.as_raw_fd(), Opaque(s.partial.clone()))).collect(),
                sinks: c
                    .sinks
                    .iter()
                    .map(|s| (s.stream, s.fd.as_raw_fd(), Opaque(s.pending.clone())))
                    .collect(),
                acknowledged: c.acknowledged,
                oom_seen: c.oom.seen,
            }
        });
        let execs = self.execs.iter().filter(|(_, e)| e.exit.is_none());
        Saved {
            instance: self.instance.clone(),
            dir: self.dir.clone(),
            listener: self.listener.as_raw_fd(),
            fast_attach: raw(&self.fast_attach),
            client: self.client.as_ref().map(|c| c.fd.as_raw_fd()),
            request,
            next_exec: self.next_exec,
            sandboxes: sandboxes.collect(),
            containers: containers.collect(),
            execs: execs.map(|(id, e)| (*id, (e.container.clone(), e.pid))).collect(),
        }
    }
}

impl Saved {
    fn descriptors(&self) -> Vec<RawFd> {
        let mut fds = vec![self.listener];
        fds.extend(self.fast_attach.into_iter().chain(self.client));
        for s in &self.sandboxes {
            fds.extend([s.mnt, s.net, s.ipc, s.uts, s.pid].into_iter().flatten());
        }
        for c in &self.containers {
            fds.extend(c.stdin.into_iter().chain(c.terminal));
            fds.extend(c.streams.iter().chain(&c.sinks).map(|(_, fd, _)| *fd));
        }
        fds
    }
}

/// Executes the binary behind a descriptor; returns the error.
/// Runs the new binary under the arguments that tell people (and `ps`) whose supervisor it is.
fn execute(binary: &OwnedFd, state: RawFd, saved: &Saved) -> std::io::Result<Infallible> {
    let (state, dir) = (state.to_string(), saved.dir.to_string_lossy());
    let words = ["minke", "supervisor", "--instance", &saved.instance, "--dir", &dir, "--resume", &state];
    let words: Result<Vec<CString>, _> = words.into_iter().map(CString::new).collect();
    let words = words?;
    let argv: Vec<*const libc::c_char> =
        words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
    let envp = [std::ptr::null::<libc::c_char>()];
    // SAFETY: both arrays end in null and live across the call, as do their strings.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            binary.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    Err(std::io::Error::last_os_error())
}

/// Takes over from the predecessor whose state is in `memfd`.
pub fn resume(memfd: OwnedFd) -> Result<Supervisor> {
    let mut text = Vec::new();
    let mut file = std::fs::File::from(memfd);
    file.read_to_end(&mut text).context(ErrorKind::Io, "read state")?;
    drop(file);
    let saved: Saved =
        serde_json::from_slice(&text).map_err(|e| Error::new(ErrorKind::Io, format!("read state: {e}")))?;
    // exec made the process dumpable again and gave it a name of no meaning.
    sys::process::prctl(libc::PR_SET_DUMPABLE, 0).context(ErrorKind::Io, "prctl")?;
    // SAFETY: the name is a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"minke".as_ptr()) };
    let cgroups = Cgroups::discover(&saved.instance)?;
    let fast_attach = saved.fast_attach.map(own);
    let mut s = Supervisor::assemble(saved.instance, saved.dir, cgroups, own(saved.listener), fast_attach)?;
    s.next_exec = saved.next_exec;
    for sandbox in saved.sandboxes {
        s.restore_sandbox(sandbox);
    }
    for container in saved.containers {
        s.restore_container(container)?;
    }
    for (exec, (container, pid)) in saved.execs {
        s.children.insert(pid, Child::Exec(exec));
        s.execs.insert(exec, Exec { container, pid, announced: true, exit: None });
    }
    if let Some(client) = saved.client {
        s.adopt_client(own(client));
        s.answer(saved.request, Ok(Answer::Done));
    }
    // What ended during the exec.
    s.on_signal();
    Ok(s)
}

impl Supervisor {
    fn restore_sandbox(&mut self, saved: SavedSandbox) {
        let id = saved.status.id.clone();
        if let Some(pid) = saved.init {
            self.children.insert(pid, Child::SandboxInit(id.clone()));
        }
        let namespaces = Namespaces {
            mnt: saved.mnt.map(own),
            net: saved.net.map(own),
            ipc: saved.ipc.map(own),
            uts: saved.uts.map(own),
            pid: saved.pid.map(own),
        };
        let sandbox = Sandbox {
            status: saved.status,
            host_ipc: saved.host_ipc,
            host_pid: saved.host_pid,
            namespaces,
            init: saved.init,
            ready: true,
        };
        self.sandboxes.insert(id, sandbox);
    }

    fn restore_container(&mut self, saved: SavedContainer) -> Result<()> {
        let (id, path) = (saved.status.id.clone(), saved.status.cgroup_path.clone());
        let mut config = saved.config;
        if let Some(same) = self.containers.values().find(|c| c.config.filter == config.filter) {
            config.filter = Rc::clone(&same.config.filter);
        }
        let running = saved.status.state == State::Running;
        // A log that cannot be opened again must not cost the container.
        let log = saved.log_spec.clone().filter(|_| running).and_then(|l| Log::open(l).ok());
        let container = Container {
            status: saved.status,
            spec: saved.spec,
            config: Rc::new(config),
            resources: Watched { memory_limited: saved.memory_limited, oom_group: saved.oom_group },
            log_spec: saved.log_spec,
            log,
            stdin_once: saved.stdin_once,
            stdin: saved.stdin.map(own),
            terminal: saved.terminal.map(own),
            streams: [None, None],
            sinks: Vec::new(),
            starting: false,
            acknowledged: saved.acknowledged,
            removing: false,
            oom: OomWatch { seen: saved.oom_seen, ..Default::default() },
        };
        if let Some(pid) = container.pid() {
            self.children.insert(pid, Child::Container(id.clone()));
        }
        self.containers.insert(id.clone(), container);
        let epoll = |r: std::io::Result<u64>| r.context(ErrorKind::Io, "epoll");
        for (stream, fd, partial) in saved.streams {
            let fd = own(fd);
            let token = epoll(self.poll.add(&fd, poll::READ))?;
            self.sources.insert(token, Source::Output(id.clone(), stream));
            let restored = Stream { fd, token, partial: partial.0, paused: false };
            self.container(&id)?.streams[stream.min(1)] = Some(restored);
        }
        for (stream, fd, pending) in saved.sinks {
            let fd = own(fd);
            let events = if pending.0.is_empty() { poll::WATCH } else { poll::WATCH | poll::WRITE };
            let token = epoll(self.poll.add(&fd, events))?;
            self.sources.insert(token, Source::Sink(id.clone()));
            self.container(&id)?.sinks.push(Sink { fd, token, stream, pending: pending.0 });
        }
        if running {
            self.watch_oom(&id, &path);
        }
        Ok(())
    }
}
