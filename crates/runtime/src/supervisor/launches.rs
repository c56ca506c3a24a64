//! Forking: sandboxes, containers, exec sessions, and what their children report.

use super::client::NOBODY;
use super::output::Stream;
use super::poll;
use super::state::*;
use super::{Source, Supervisor};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::launch::{self, Channel, Namespaces, Report, container, exec, sandbox};
use crate::protocol::Answer;
use crate::spec::*;
use crate::sys;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// Name of the cgroup of a shared process namespace's init, below the Pod's.
const INIT_CGROUP: &str = "sandbox-init";

type Pipes = (Option<OwnedFd>, OwnedFd, OwnedFd);
/// (child's ends, our ends: stdin if any, stdout, stderr)
fn pipes(stdin: bool) -> Result<(Pipes, Pipes)> {
    let pipe = || sys::fs::pipe().context(ErrorKind::Io, "pipe");
    let (in_read, in_write) = match stdin {
        true => pipe().map(|(r, w)| (Some(r), Some(w)))?,
        false => (None, None),
    };
    let ((out_read, out_write), (err_read, err_write)) = (pipe()?, pipe()?);
    Ok(((in_read, out_write, err_write), (in_write, out_read, err_read)))
}

impl Supervisor {
    fn add_launch(&mut self, socket: OwnedFd, request: u64, pid: i32, kind: LaunchKind) -> Result<()> {
        let token = self.poll.add(&socket, poll::READABLE).context(ErrorKind::Io, "epoll")?;
        self.sources.insert(token, Source::Launch);
        self.launches.insert(token, Launch { socket, request, pid, kind, ready: None });
        Ok(())
    }

    /// Forks into the PID namespace `pid_ns` (or the flags' own), on version 2 into the cgroup.
    fn fork(
        &self,
        flags: i32,
        pid_ns: Option<&OwnedFd>,
        cgroup: &str,
        child: impl FnOnce() -> i32,
    ) -> Result<i32> {
        let into = match self.cgroups.unified_dir(cgroup) {
            Some(dir) if self.cgroups.is_v2() => Some(
                sys::fs::open(&dir, libc::O_RDONLY | libc::O_DIRECTORY, 0)
                    .setup(format_args!("open {}", dir.display()))?,
            ),
            _ => None,
        };
        if let Some(ns) = pid_ns {
            sys::process::setns(ns.as_fd(), libc::CLONE_NEWPID).setup("join pid namespace")?;
        }
        let pid = sys::process::clone(flags, into.as_ref().map(|f| f.as_fd()), child).setup("clone");
        if pid_ns.is_some() {
            // Coming back must work: every later fork would land in the wrong namespace.
            sys::process::setns(self.own_pid_ns.as_fd(), libc::CLONE_NEWPID).setup("leave pid namespace")?;
        }
        pid
    }

    pub fn launch_sandbox(&mut self, request: u64, spec: &SandboxSpec) -> Result<()> {
        let with_init = sandbox::flags(spec) & libc::CLONE_NEWPID != 0;
        let mut cgroup = spec.cgroup_path.clone();
        let mut enter = Vec::new();
        if with_init {
            cgroup = format!("{cgroup}/{INIT_CGROUP}");
            self.cgroups.create(&cgroup, &Resources::default())?;
            if !self.cgroups.is_v2() {
                enter = self.cgroups.procs_files(&cgroup);
            }
        } else {
            // A short-lived helper: it stays with the supervisor.
            cgroup = crate::cgroup::SUPERVISOR.to_owned();
        }
        let (ours, channel) = Channel::pair()?;
        let dir = self.dir.clone();
        let pid =
            self.fork(sandbox::flags(spec), None, &cgroup, || sandbox::child(spec, &dir, &enter, channel))?;
        let kind = if with_init { Child::SandboxInit(spec.id.clone()) } else { Child::Helper };
        self.children.insert(pid, kind);
        if let (true, Some(s)) = (with_init, self.sandboxes.get_mut(&spec.id)) {
            s.init = Some(pid);
        }
        self.add_launch(ours, request, pid, LaunchKind::Sandbox(spec.id.clone()))
    }

    pub fn start_container(&mut self, request: u64, id: &str) -> Result<()> {
        let c = self.container(id)?;
        if c.status.state != State::Created || c.starting || c.removing {
            return Err(Error::invalid(format!("container {id:?} was already started")));
        }
        self.open_log(id)?;
        let c = self.container(id)?;
        let spec = c.spec.take().ok_or_else(|| Error::invalid("container has no specification"))?;
        let (config, cgroup) = (Rc::clone(&c.config), c.status.cgroup_path.clone());
        let result = self.fork_container(request, &spec, &config, &cgroup);
        if let Err(e) = &result {
            self.fail_start(id, e.clone());
        }
        result
    }

    fn fork_container(
        &mut self,
        request: u64,
        spec: &ContainerSpec,
        config: &launch::ProcessConfig,
        cgroup: &str,
    ) -> Result<()> {
        let (theirs, ours) = match spec.tty {
            true => (None, None),
            false => pipes(spec.stdin).map(|(t, o)| (Some(t), Some(o)))?,
        };
        let (socket, channel) = Channel::pair()?;
        let sandbox = self
            .sandboxes
            .get(&spec.sandbox_id)
            .ok_or_else(|| Error::not_found("sandbox", &spec.sandbox_id))?;
        if sandbox.status.broken {
            return Err(Error::invalid(format!("sandbox {:?} lost its process namespace", spec.sandbox_id)));
        }
        let shared = sandbox.namespaces.pid.as_ref();
        let own_pid_ns = shared.is_none() && !sandbox.host_pid;
        let start = container::Start {
            spec,
            config,
            namespaces: &sandbox.namespaces,
            host_ipc: sandbox.host_ipc,
            cgroups: &self.cgroups,
            cgroup_path: cgroup,
            pipes: theirs,
        };
        let flags = if own_pid_ns { libc::CLONE_NEWPID } else { 0 };
        // The closure owns the child's ends: they close here when it is dropped unused.
        let pid = self.fork(flags, shared, cgroup, move || container::child(start, channel))?;
        self.children.insert(pid, Child::Container(spec.id.clone()));
        self.watch_oom(&spec.id, cgroup);
        self.add_launch(socket, request, pid, LaunchKind::Container(spec.id.clone()))?;
        if let Some((stdin, stdout, stderr)) = ours {
            self.add_stream(&spec.id, 0, stdout)?;
            self.add_stream(&spec.id, 1, stderr)?;
            self.container(&spec.id)?.stdin = stdin;
        }
        self.container(&spec.id)?.starting = true;
        Ok(())
    }

    pub fn add_stream(&mut self, id: &str, stream: usize, fd: OwnedFd) -> Result<()> {
        sys::fs::set_nonblocking(fd.as_fd(), true).context(ErrorKind::Io, "O_NONBLOCK")?;
        let token = self.poll.add(&fd, poll::READ).context(ErrorKind::Io, "epoll")?;
        self.sources.insert(token, Source::Output(id.to_owned(), stream));
        self.container(id)?.streams[stream] = Some(Stream { fd, token, partial: Vec::new(), paused: false });
        Ok(())
    }

    pub fn start_exec(&mut self, request: u64, spec: &ExecSpec) -> Result<()> {
        if spec.args.is_empty() || spec.args[0].is_empty() {
            return Err(Error::invalid("no command specified"));
        }
        self.check_descriptors(4)?;
        let c = self.container(&spec.container_id)?;
        let id = &spec.container_id;
        let pid = c.pid().ok_or_else(|| Error::invalid(format!("container {id:?} is not running")))?;
        let (config, cgroup) = (Rc::clone(&c.config), c.status.cgroup_path.clone());
        let pidfd = sys::process::pidfd(pid).context(ErrorKind::Io, "pidfd_open")?;
        let join = pidfd.try_clone().context(ErrorKind::Io, "dup")?;
        let (theirs, ours) = match spec.tty {
            true => (None, None),
            false => pipes(spec.stdin).map(|(t, o)| (Some(t), Some(o)))?,
        };
        let (socket, channel) = Channel::pair()?;
        let start = exec::Exec {
            spec,
            config: &config,
            pidfd,
            cgroups: &self.cgroups,
            cgroup_path: &cgroup,
            pipes: theirs,
        };
        let child = self.fork(0, Some(&join), &cgroup, move || exec::child(start, channel))?;
        let exec = self.next_exec;
        self.next_exec += 1;
        self.children.insert(child, Child::Exec(exec));
        let session = Exec { container: id.clone(), pid: child, announced: false, exit: None };
        self.execs.insert(exec, session);
        let fds = ours.map(|(i, o, e)| i.into_iter().chain([o, e]).collect()).unwrap_or_default();
        self.add_launch(socket, request, child, LaunchKind::Exec { exec, fds })
    }

    /// A child reported, or its exec closed the socket.
    pub fn on_launch(&mut self, token: u64) {
        let Some(launch) = self.launches.get_mut(&token) else { return };
        match launch::receive_report(launch.socket.as_fd()) {
            Ok(Some((Report::Ready(started), mut fds))) => {
                launch.ready = Some(started);
                let terminal = fds.pop();
                match (&mut launch.kind, terminal) {
                    (LaunchKind::Exec { fds, .. }, Some(master)) => fds.push(master),
                    (LaunchKind::Container(id), Some(master)) => {
                        let id = id.clone();
                        self.adopt_terminal(&id, master);
                    }
                    _ => {}
                }
            }
            Ok(Some((Report::Sandbox, fds))) => {
                if let Some(launch) = self.end_launch(token) {
                    self.finish_sandbox(launch, Ok(fds));
                }
            }
            Ok(Some((Report::Failed(e), _))) | Err(e) => self.finish(token, Err(e)),
            Ok(None) => self.finish(token, Ok(())),
        }
    }

    fn adopt_terminal(&mut self, id: &str, master: OwnedFd) {
        // The log reads one copy without waiting; the other is for input and size.
        let Ok(copy) = master.try_clone() else { return };
        if self.add_stream(id, 0, copy).is_ok()
            && let Ok(c) = self.container(id)
        {
            c.terminal = Some(master);
        }
    }

    fn end_launch(&mut self, token: u64) -> Option<Launch> {
        let launch = self.launches.remove(&token)?;
        self.poll.remove(&launch.socket);
        self.sources.remove(&token);
        Some(launch)
    }

    fn finish(&mut self, token: u64, outcome: Result<()>) {
        let Some(mut launch) = self.end_launch(token) else { return };
        let outcome = outcome.and_then(|()| match launch.ready.take() {
            Some(ready) => Ok(Started { pid: launch.pid, started_at: sys::now(), ..ready }),
            None => Err(Error::new(ErrorKind::Setup, "the process was killed while it was being set up")),
        });
        match &launch.kind {
            LaunchKind::Sandbox(_) => {
                let error =
                    outcome.err().unwrap_or_else(|| Error::new(ErrorKind::Setup, "sandbox child ended"));
                self.finish_sandbox(launch, Err(error));
            }
            LaunchKind::Container(id) => {
                let id = id.clone();
                self.finish_container(&id, launch.request, outcome);
            }
            LaunchKind::Exec { .. } => self.finish_exec(launch, outcome),
        }
    }

    fn finish_sandbox(&mut self, launch: Launch, outcome: Result<Vec<OwnedFd>>) {
        let LaunchKind::Sandbox(id) = &launch.kind else { return };
        let result = outcome.and_then(|fds| self.adopt_namespaces(id, fds));
        match result {
            Ok((cgroup_path, fds)) => {
                self.answer_with(launch.request, Ok(Answer::Sandbox { cgroup_path }), fds)
            }
            Err(e) => {
                self.forget_failed_sandbox(id);
                self.answer(launch.request, Err(e));
            }
        }
    }

    fn adopt_namespaces(&mut self, id: &str, fds: Vec<OwnedFd>) -> Result<(String, Vec<OwnedFd>)> {
        let s = self.sandboxes.get_mut(id).ok_or_else(|| Error::not_found("sandbox", id))?;
        let mut fds = fds.into_iter();
        let host_network = s.status.host_network;
        s.namespaces = Namespaces {
            mnt: fds.next(),
            net: if host_network { None } else { fds.next() },
            ipc: if s.host_ipc { None } else { fds.next() },
            uts: if host_network { None } else { fds.next() },
            pid: if s.init.is_some() { fds.next() } else { None },
        };
        s.ready = true;
        let copies: std::io::Result<Vec<OwnedFd>> = s.namespaces.net.iter().map(|n| n.try_clone()).collect();
        Ok((s.status.cgroup_path.clone(), copies.context(ErrorKind::Io, "dup")?))
    }

    fn finish_container(&mut self, id: &str, request: u64, outcome: Result<Started>) {
        let answer = match outcome {
            Err(e) => {
                self.fail_start(id, e.clone());
                Err(e)
            }
            Ok(started) => match self.container(id) {
                Err(e) => Err(e),
                Ok(c) => {
                    c.starting = false;
                    c.status.started = Some(started.clone());
                    // Its exit may already have been seen, and is told after the start.
                    if c.status.exit.is_none() {
                        c.status.state = State::Running;
                    }
                    Ok(Answer::Started(started))
                }
            },
        };
        self.answer(request, answer);
        let ended = |c: &&mut Container| c.status.started.is_some() && c.status.exit.is_some();
        if let Some(c) = self.containers.get_mut(id).filter(ended) {
            c.status.state = State::Exited;
            self.tell_exit(id);
        }
    }

    /// Marks a container that could not be started: it exited with 128 and says why.
    pub fn fail_start(&mut self, id: &str, error: Error) {
        self.drop_sinks(id, |_| true);
        self.end_oom_watch(id);
        let Some(c) = self.containers.get_mut(id) else { return };
        c.starting = false;
        c.status.state = State::Exited;
        c.status.start_error = Some(error.message);
        c.status.exit = Some(Exit { code: 128, finished_at: sys::now(), ..Default::default() });
        (c.stdin, c.terminal, c.log) = (None, None, None);
        for stream in c.streams.iter_mut().filter_map(Option::take) {
            self.poll.remove(&stream.fd);
            self.sources.remove(&stream.token);
        }
    }

    fn finish_exec(&mut self, launch: Launch, outcome: Result<Started>) {
        let LaunchKind::Exec { exec, fds } = launch.kind else { return };
        match outcome {
            Err(e) => {
                self.execs.remove(&exec);
                self.answer(launch.request, Err(e));
            }
            Ok(started) => {
                self.answer_with(launch.request, Ok(Answer::Exec { exec, pid: started.pid }), fds);
                if launch.request == NOBODY {
                    // Nobody will ever read it.
                    let _ = sys::process::kill(launch.pid, libc::SIGKILL);
                }
                if let Some(e) = self.execs.get_mut(&exec) {
                    e.announced = true;
                    if e.exit.is_some() {
                        self.tell_exec_exit(exec);
                    }
                }
            }
        }
    }
}
