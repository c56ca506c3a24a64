//! One function per call of the protocol. Each answers at once or leaves a launch or a removal that
//! will.

use super::client::NOBODY;
use super::log::Log;
use super::output::Sink;
use super::poll;
use super::state::*;
use super::{Source, Supervisor};
use crate::cgroup::devices;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::launch::{Namespaces, ProcessConfig, sandbox};
use crate::limits;
use crate::protocol::{Answer, Call};
use crate::spec::*;
use crate::sys;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// How often a removal is tried, one tick apart, before it is reported as failed: about ten
/// seconds.
const REMOVAL_ATTEMPTS: u32 = 5000;

impl Supervisor {
    pub fn on_call(&mut self, request: u64, call: Call, mut fds: Vec<OwnedFd>) {
        let done = |r: Result<()>| r.map(|()| Answer::Done);
        let result = match call {
            Call::Hello => Ok(Answer::Hello {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id() as i32,
                instance: self.instance.clone(),
            }),
            Call::List => Ok(Answer::Inventory(self.inventory())),
            Call::CreateSandbox(spec) => match self.create_sandbox(request, spec) {
                Ok(()) => return,
                Err(e) => Err(e),
            },
            Call::SandboxNetns { id } => return self.sandbox_netns(request, &id),
            Call::RemoveSandbox { id } => match self.remove_sandbox(request, &id) {
                Ok(()) => return,
                Err(e) => Err(e),
            },
            Call::CreateContainer { spec, filter } => self.create_container(spec, filter),
            Call::StartContainer { id } => match self.start_container(request, &id) {
                Ok(()) => return,
                Err(e) => Err(e),
            },
            Call::Signal { id, signal, all } => done(self.signal(&id, signal, all)),
            Call::RemoveContainer { id } => match self.remove_container(request, &id) {
                Ok(()) => return,
                Err(e) => Err(e),
            },
            Call::Exec(spec) => match self.start_exec(request, &spec) {
                Ok(()) => return,
                Err(e) => Err(e),
            },
            Call::SignalExec { exec, signal } => done(self.signal_exec(exec, signal)),
            Call::Attach { id, stdin, stdout, stderr } => match self.attach(&id, stdin, [stdout, stderr]) {
                Ok((answer, fds)) => return self.answer_with(request, Ok(answer), fds),
                Err(e) => Err(e),
            },
            Call::ResizeTty { id, rows, cols } => done(self.resize(&id, rows, cols)),
            Call::ReopenLog { id } => done(self.reopen_log(&id)),
            Call::Acknowledge { id } => done(self.container(&id).map(|c| c.acknowledged = true)),
            Call::Upgrade => match self.upgrade(request, fds.pop()) {
                Ok(never) => match never {},
                Err(e) => Err(e),
            },
            Call::Shutdown => {
                self.answer(request, Ok(Answer::Done));
                return self.shutdown();
            }
        };
        self.answer(request, result);
    }

    pub fn container(&mut self, id: &str) -> Result<&mut Container> {
        self.containers.get_mut(id).ok_or_else(|| Error::not_found("container", id))
    }

    fn inventory(&self) -> Inventory {
        Inventory {
            sandboxes: self.sandboxes.values().filter(|s| s.ready).map(|s| s.status.clone()).collect(),
            containers: self.containers.values().map(|c| c.status.clone()).collect(),
        }
    }

    /// Refuses what could not be held: descriptors are counted before anything is made.
    pub fn check_descriptors(&self, more: u64) -> Result<()> {
        let used = self.containers.len() as u64 * limits::FDS_PER_CONTAINER
            + self.sandboxes.len() as u64 * limits::FDS_PER_SANDBOX
            + self.containers.values().map(|c| c.sinks.len() as u64).sum::<u64>();
        let (soft, _) = sys::process::rlimit(libc::RLIMIT_NOFILE).context(ErrorKind::Io, "getrlimit")?;
        if used + more + limits::FD_RESERVE > soft {
            return Err(Error::new(ErrorKind::Limit, format!("too many open files: limit {soft}")));
        }
        Ok(())
    }

    fn create_sandbox(&mut self, request: u64, spec: Box<SandboxSpec>) -> Result<()> {
        check_id(&spec.id)?;
        check_labels(&spec.labels)?;
        if self.sandboxes.contains_key(&spec.id) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("sandbox {:?} already exists", spec.id),
            ));
        }
        sandbox::sysctl_paths(&spec)?;
        self.check_descriptors(limits::FDS_PER_SANDBOX)?;
        if self.sandboxes.values().any(|s| s.status.cgroup_path == spec.cgroup_path) {
            return Err(Error::invalid(format!("cgroup {:?} belongs to another sandbox", spec.cgroup_path)));
        }
        self.cgroups.create(&spec.cgroup_path, &spec.resources)?;
        let status = SandboxStatus {
            id: spec.id.clone(),
            created_at: sys::now(),
            cgroup_path: spec.cgroup_path.clone(),
            host_network: spec.host_network,
            broken: false,
            labels: spec.labels.clone(),
        };
        let sandbox = Sandbox {
            status,
            host_ipc: spec.host_ipc,
            host_pid: spec.host_pid,
            namespaces: Namespaces::default(),
            init: None,
            ready: false,
        };
        self.sandboxes.insert(spec.id.clone(), sandbox);
        let launched = self.launch_sandbox(request, &spec);
        if launched.is_err() {
            self.forget_failed_sandbox(&spec.id);
        }
        launched
    }

    pub fn forget_failed_sandbox(&mut self, id: &str) {
        if let Some(sandbox) = self.sandboxes.remove(id) {
            self.remove_cgroup(NOBODY, sandbox.status.cgroup_path, AfterRemoval::Nothing);
        }
    }

    fn sandbox_netns(&mut self, request: u64, id: &str) {
        let found = match self.sandboxes.get(id) {
            None => Err(Error::not_found("sandbox", id)),
            Some(s) => match &s.namespaces.net {
                None => Ok((s.status.cgroup_path.clone(), Vec::new())),
                Some(net) => net
                    .try_clone()
                    .map(|fd| (s.status.cgroup_path.clone(), vec![fd]))
                    .context(ErrorKind::Io, "dup"),
            },
        };
        match found {
            Ok((cgroup_path, fds)) => self.answer_with(request, Ok(Answer::Sandbox { cgroup_path }), fds),
            Err(e) => self.answer(request, Err(e)),
        }
    }

    fn remove_sandbox(&mut self, request: u64, id: &str) -> Result<()> {
        let sandbox = self.sandboxes.get_mut(id).ok_or_else(|| Error::not_found("sandbox", id))?;
        if !sandbox.ready {
            return Err(Error::invalid(format!("sandbox {id:?} is being created")));
        }
        if let Some(c) = self.containers.values().find(|c| c.status.sandbox_id == id) {
            return Err(Error::invalid(format!("sandbox {id:?} still has container {:?}", c.status.id)));
        }
        if let Some(pid) = sandbox.init.take() {
            self.children.insert(pid, Child::Helper);
            let _ = sys::process::kill(pid, libc::SIGKILL);
        }
        sandbox.namespaces = Namespaces::default();
        let path = sandbox.status.cgroup_path.clone();
        self.remove_cgroup(request, path, AfterRemoval::ForgetSandbox(id.to_owned()));
        Ok(())
    }

    fn create_container(&mut self, mut spec: Box<ContainerSpec>, filter: Opaque) -> Result<Answer> {
        check_id(&spec.id)?;
        check_labels(&spec.labels)?;
        let sandbox = self
            .sandboxes
            .get(&spec.sandbox_id)
            .filter(|s| s.ready)
            .ok_or_else(|| Error::not_found("sandbox", &spec.sandbox_id))?;
        if self.containers.contains_key(&spec.id) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("container {:?} already exists", spec.id),
            ));
        }
        if spec.args.is_empty() || spec.args[0].is_empty() {
            return Err(Error::invalid("no command specified"));
        }
        if !spec.uid_map.is_empty() || !spec.gid_map.is_empty() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "user namespaces are not supported by this runtime yet",
            ));
        }
        let cgroup_path = format!("{}/{}", sandbox.status.cgroup_path, spec.id);
        self.check_descriptors(limits::FDS_PER_CONTAINER)?;
        spec.resources.oom_group.get_or_insert(true);
        let made = self.cgroups.create(&cgroup_path, &spec.resources).and_then(|()| {
            if spec.privileged {
                return Ok(());
            }
            devices::restrict(&self.cgroups, &cgroup_path, &devices::rules(&spec.devices))
        });
        if let Err(e) = made {
            let _ = self.cgroups.remove(&cgroup_path);
            return Err(e);
        }
        let config = self.process_config(&mut spec, filter);
        let status = ContainerStatus {
            id: spec.id.clone(),
            sandbox_id: spec.sandbox_id.clone(),
            created_at: sys::now(),
            cgroup_path: cgroup_path.clone(),
            tty: spec.tty,
            stop_signal: spec.stop_signal.clone(),
            log_path: spec.log.as_ref().map(|l| l.path.clone()).unwrap_or_default(),
            labels: std::mem::take(&mut spec.labels),
            ..Default::default()
        };
        let container = Container {
            status,
            config: Rc::new(config),
            resources: Watched {
                memory_limited: spec.resources.memory_limit.is_some_and(|l| l >= 0),
                oom_group: spec.resources.oom_group != Some(false),
            },
            log_spec: spec.log.take(),
            log: None,
            stdin_once: spec.stdin_once,
            stdin: None,
            terminal: None,
            streams: [None, None],
            sinks: Vec::new(),
            starting: false,
            acknowledged: false,
            removing: false,
            oom: OomWatch::default(),
            spec: Some(spec),
        };
        self.containers.insert(container.status.id.clone(), container);
        Ok(Answer::Container { cgroup_path })
    }

    fn process_config(&self, spec: &mut ContainerSpec, filter: Opaque) -> ProcessConfig {
        // Most containers have the same filter: keep it once.
        let same = self.containers.values().map(|c| &c.config.filter).find(|f| ***f == filter);
        ProcessConfig {
            env: std::mem::take(&mut spec.env),
            cwd: spec.cwd.clone(),
            user: spec.user.clone(),
            capabilities: spec.capabilities,
            no_new_privs: spec.no_new_privs,
            rlimits: std::mem::take(&mut spec.rlimits),
            oom_score_adj: spec.oom_score_adj.unwrap_or(0),
            apparmor_profile: spec.apparmor_profile.take(),
            filter: same.cloned().unwrap_or_else(|| Rc::new(filter)),
            tty: spec.tty,
        }
    }

    fn signal(&mut self, id: &str, signal: i32, all: bool) -> Result<()> {
        let c = self.container(id)?;
        let pid = c.pid().ok_or_else(|| Error::invalid(format!("container {id:?} is not running")))?;
        let path = c.status.cgroup_path.clone();
        if !all {
            return sys::process::kill(pid, signal).context(ErrorKind::Io, "kill");
        }
        if signal == libc::SIGKILL {
            return self.cgroups.kill(&path);
        }
        for pid in self.cgroups.processes(&path) {
            let _ = sys::process::kill(pid, signal);
        }
        Ok(())
    }

    fn signal_exec(&mut self, exec: u64, signal: i32) -> Result<()> {
        let found = self.execs.get(&exec).filter(|e| e.exit.is_none());
        let exec = found.ok_or_else(|| Error::not_found("exec session", &exec.to_string()))?;
        // It leads its own session: what it started and kept in its group goes with it.
        let _ = sys::process::kill(-exec.pid, signal);
        sys::process::kill(exec.pid, signal).context(ErrorKind::Io, "kill")
    }

    fn remove_container(&mut self, request: u64, id: &str) -> Result<()> {
        let c = self.container(id)?;
        if c.removing {
            return Err(Error::invalid(format!("container {id:?} is being removed")));
        }
        c.removing = true;
        let path = c.status.cgroup_path.clone();
        // The first process may have been moved out of the cgroup; the rest is the cgroup's.
        if let Some(pid) = c.pid() {
            let _ = sys::process::kill(pid, libc::SIGKILL);
        }
        let launch = self.launches.values().find(|l| matches!(&l.kind, LaunchKind::Container(c) if c == id));
        if let Some(launch) = launch {
            let _ = sys::process::kill(launch.pid, libc::SIGKILL);
        }
        let _ = self.cgroups.kill(&path);
        self.remove_cgroup(request, path, AfterRemoval::ForgetContainer(id.to_owned()));
        Ok(())
    }

    /// Removes a cgroup now or over the next ticks.
    pub fn remove_cgroup(&mut self, request: u64, path: String, then: AfterRemoval) {
        self.removals.push(Removal { path, request, attempts: 0, then });
        self.work_on_removals();
    }

    pub fn work_on_removals(&mut self) {
        for mut removal in std::mem::take(&mut self.removals) {
            // Output and exit of a container come before its end.
            let waits = match &removal.then {
                AfterRemoval::ForgetContainer(id) => {
                    self.containers.get(id).is_some_and(|c| c.starting || c.status.state == State::Running)
                }
                _ => false,
            };
            let result = if waits { None } else { Some(self.cgroups.remove(&removal.path)) };
            match result {
                Some(Ok(())) => {
                    self.forget(removal.then);
                    self.answer(removal.request, Ok(Answer::Done));
                }
                _ if removal.attempts < REMOVAL_ATTEMPTS => {
                    removal.attempts += 1;
                    let _ = self.cgroups.kill(&removal.path);
                    self.removals.push(removal);
                }
                failed => {
                    if let AfterRemoval::ForgetContainer(id) = &removal.then
                        && let Some(c) = self.containers.get_mut(id)
                    {
                        c.removing = false;
                    }
                    let error = match failed {
                        Some(Err(e)) => e,
                        _ => Error::new(ErrorKind::Io, "processes do not die"),
                    };
                    self.answer(removal.request, Err(error));
                }
            }
        }
    }

    fn forget(&mut self, then: AfterRemoval) {
        match then {
            AfterRemoval::Nothing => {}
            AfterRemoval::ForgetSandbox(id) => {
                self.sandboxes.remove(&id);
            }
            AfterRemoval::ForgetContainer(id) => {
                for stream in 0..2 {
                    self.pump(&id, stream, true);
                }
                self.close_container(&id);
                self.containers.remove(&id);
            }
        }
    }

    /// Lets go of everything that is registered with epoll.
    fn close_container(&mut self, id: &str) {
        self.drop_sinks(id, |_| true);
        self.end_oom_watch(id);
        let Some(c) = self.containers.get_mut(id) else { return };
        for stream in c.streams.iter_mut().filter_map(Option::take) {
            self.poll.remove(&stream.fd);
            self.sources.remove(&stream.token);
        }
    }

    fn attach(&mut self, id: &str, stdin: bool, wanted: [bool; 2]) -> Result<(Answer, Vec<OwnedFd>)> {
        self.check_descriptors(2)?;
        let c = self.container(id)?;
        if c.pid().is_none() {
            return Err(Error::invalid(format!("container {id:?} is not running")));
        }
        let io = |r: std::io::Result<OwnedFd>| r.context(ErrorKind::Io, "attach");
        let mut fds = Vec::new();
        let mut stdin_given = false;
        if stdin {
            let once = c.stdin_once;
            let fd = match (&c.terminal, &mut c.stdin) {
                (Some(master), _) => Some(io(master.try_clone())?),
                // Given away: it ends when that client ends it.
                (None, slot @ Some(_)) if once => slot.take(),
                (None, Some(fd)) => Some(io(fd.try_clone())?),
                (None, None) => None,
            };
            stdin_given = fd.is_some();
            fds.extend(fd);
        }
        let mut given = [false; 2];
        for stream in 0..2 {
            let c = self.container(id)?;
            if !wanted[stream] || c.streams[stream].is_none() {
                continue;
            }
            if c.sinks.len() >= limits::ATTACHMENTS {
                return Err(Error::new(ErrorKind::Limit, "too many clients are attached"));
            }
            let (ours, theirs) = sys::socket::pair(libc::SOCK_STREAM).context(ErrorKind::Io, "socketpair")?;
            let token = self.poll.add(&ours, poll::WATCH).context(ErrorKind::Io, "epoll")?;
            self.sources.insert(token, Source::Sink(id.to_owned()));
            self.container(id)?.sinks.push(Sink { fd: ours, token, stream, pending: Vec::new() });
            fds.push(theirs);
            given[stream] = true;
        }
        Ok((Answer::Attached { stdin: stdin_given, stdout: given[0], stderr: given[1] }, fds))
    }

    fn resize(&mut self, id: &str, rows: u16, cols: u16) -> Result<()> {
        match &self.container(id)?.terminal {
            Some(master) => {
                sys::fs::resize_terminal(master.as_fd(), rows, cols).context(ErrorKind::Io, "resize")
            }
            None => Err(Error::invalid(format!("container {id:?} has no terminal"))),
        }
    }

    fn reopen_log(&mut self, id: &str) -> Result<()> {
        match &mut self.container(id)?.log {
            Some(log) => log.reopen().context(ErrorKind::Io, "reopen log"),
            None => Ok(()),
        }
    }

    pub fn open_log(&mut self, id: &str) -> Result<()> {
        let c = self.container(id)?;
        if let Some(spec) = &c.log_spec {
            let what = format!("open log {}", spec.path.display());
            c.log = Some(Log::open(spec.clone()).setup(what)?);
        }
        Ok(())
    }

    fn shutdown(&mut self) {
        self.leaving = true;
        let _ = self.cgroups.kill(crate::cgroup::PODS);
        for child in self.children.keys() {
            let _ = sys::process::kill(*child, libc::SIGKILL);
        }
    }

    /// True when every child is gone and every Pod's cgroup removed.
    pub fn try_leave(&mut self) -> bool {
        let _ = self.cgroups.kill(crate::cgroup::PODS);
        let paths: Vec<String> = self.sandboxes.values().map(|s| s.status.cgroup_path.clone()).collect();
        for path in &paths {
            let _ = self.cgroups.kill(path);
        }
        let gone = self.children.is_empty() && paths.iter().all(|p| self.cgroups.remove(p).is_ok());
        if gone {
            let _ = std::fs::remove_file(self.dir.join(crate::SOCKET_NAME));
        }
        gone
    }
}

fn check_id(id: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if id.is_empty() || id.len() > 128 || id.starts_with('.') || !id.chars().all(good) {
        return Err(Error::invalid(format!("invalid id {id:?}")));
    }
    Ok(())
}

fn check_labels(labels: &Opaque) -> Result<()> {
    if labels.0.len() > limits::LABELS_BYTES {
        return Err(Error::new(ErrorKind::Limit, "labels are too large"));
    }
    Ok(())
}
