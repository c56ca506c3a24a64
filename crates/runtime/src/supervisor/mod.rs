//! The supervisor process: one per node instance, single-threaded, without an async runtime. It
//! forks, joins namespaces and reaps for the daemon, holds what must outlive the daemon, writes
//! logs, and keeps exits until they are taken. One loop over epoll; nothing in it waits for
//! anything but epoll.

mod calls;
mod client;
mod exits;
mod launches;
mod log;
mod oom;
mod output;
mod poll;
mod state;
mod upgrade;

use crate::cgroup::{self, Cgroups};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::spec::Resources;
use crate::sys;
use client::Client;
use poll::Poll;
use state::*;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

/// What a token of epoll stands for.
pub(crate) enum Source {
    Listener,
    Client,
    Signals,
    Launch,
    Output(String, usize),
    Sink(String),
    Oom(String),
    OomFiles,
}

pub(crate) struct Supervisor {
    instance: String,
    dir: PathBuf,
    cgroups: Cgroups,
    poll: Poll,
    sources: BTreeMap<u64, Source>,
    listener: OwnedFd,
    signals: OwnedFd,
    client: Option<Client>,
    /// Own PID namespace, to come back to after a fork into another.
    own_pid_ns: OwnedFd,
    /// Keeps a named cgroup hierarchy with fast attach alive; never mounted anywhere.
    fast_attach: Option<OwnedFd>,
    /// Version 2: watches on memory.events.
    oom_files: Option<OwnedFd>,
    sandboxes: BTreeMap<String, Sandbox>,
    containers: BTreeMap<String, Container>,
    execs: BTreeMap<u64, Exec>,
    children: BTreeMap<i32, Child>,
    launches: BTreeMap<u64, Launch>,
    removals: Vec<Removal>,
    next_exec: u64,
    /// Set by Shutdown: leave when everything is gone; the request to answer.
    leaving: bool,
}

/// How often removals and memory counters are looked at while there is something to look at.
const TICK_MS: i32 = 2;

/// Entry point of the process: `<program> supervisor --instance NAME --dir DIR`, with the
/// listening socket as standard input; `args` is what follows the word `supervisor`. Never
/// returns; exit code 1 with a line on standard error when it cannot start.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ! {
    let args: Vec<OsString> = args.into_iter().collect();
    let code = match start(&args) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("supervisor: {e}");
            1
        }
    };
    std::process::exit(code)
}

fn start(args: &[OsString]) -> Result<()> {
    let value = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        args.get(at + 1)?.to_str().map(str::to_owned)
    };
    let need = |name: &str| value(name).ok_or_else(|| Error::invalid(format!("{name} is missing")));
    let mut supervisor = match value("--resume") {
        Some(fd) => {
            let fd: i32 = fd.parse().map_err(|_| Error::invalid("--resume needs a number"))?;
            // The new program made the process dumpable again.
            sys::process::prctl(libc::PR_SET_DUMPABLE, 0).context(ErrorKind::Io, "prctl")?;
            // SAFETY: our predecessor, the same process, left this descriptor open for us.
            upgrade::resume(unsafe { OwnedFd::from_raw_fd(fd) })?
        }
        None => {
            detach()?;
            Supervisor::fresh(need("--instance")?, need("--dir")?.into())?
        }
    };
    supervisor.run()
}

/// Leaves the daemon: child of init, own session, standard descriptors of its own.
fn detach() -> Result<()> {
    // SAFETY: the process is still single-threaded and has done nothing yet; the parent's half
    // leaves at once.
    unsafe {
        match sys::check(libc::fork().into()).context(ErrorKind::Io, "fork")? {
            0 => {}
            _ => libc::_exit(0),
        }
        libc::setsid();
    }
    let _ = std::env::set_current_dir("/");
    sys::process::prctl(libc::PR_SET_CHILD_SUBREAPER, 1).context(ErrorKind::Io, "prctl")?;
    sys::process::prctl(libc::PR_SET_DUMPABLE, 0).context(ErrorKind::Io, "prctl")?;
    // Losing the supervisor loses every container; not allowed everywhere, and then not needed.
    let _ = sys::fs::write_file("/proc/self/oom_score_adj", "-999");
    if let Ok((_, hard)) = sys::process::rlimit(libc::RLIMIT_NOFILE) {
        let _ = sys::process::set_rlimit(libc::RLIMIT_NOFILE, hard, hard);
    }
    Ok(())
}

/// Takes the listening socket from descriptor 0 and puts /dev/null in its place.
fn take_listener() -> Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let io = |e: io::Result<OwnedFd>| e.context(ErrorKind::Io, "standard descriptors");
    // SAFETY: descriptor 0 is borrowed for the time of the copy only.
    let listener = io(unsafe { std::os::fd::BorrowedFd::borrow_raw(0) }.try_clone_to_owned())?;
    let null = io(sys::fs::open("/dev/null", libc::O_RDWR, 0))?;
    for target in [0, 1] {
        sys::process::dup_onto(null.as_fd(), target).context(ErrorKind::Io, "dup2")?;
    }
    debug_assert!(listener.as_raw_fd() > 2);
    Ok(listener)
}

impl Supervisor {
    fn fresh(instance: String, dir: PathBuf) -> Result<Self> {
        let listener = take_listener()?;
        let cgroups = Cgroups::discover(&instance)?;
        cgroups.create(cgroup::SUPERVISOR, &Resources::default())?;
        cgroups.enter(cgroup::SUPERVISOR)?;
        let fast_attach = fast_attach(&instance);
        Self::assemble(instance, dir, cgroups, listener, fast_attach)
    }

    fn assemble(
        instance: String,
        dir: PathBuf,
        cgroups: Cgroups,
        listener: OwnedFd,
        fast_attach: Option<OwnedFd>,
    ) -> Result<Self> {
        let io = |what: &'static str| move |e: io::Error| Error::new(ErrorKind::Io, format!("{what}: {e}"));
        let mut poll = Poll::new().map_err(io("epoll"))?;
        let signals = sys::process::signalfd().map_err(io("signalfd"))?;
        sys::fs::set_nonblocking(listener.as_fd(), true).map_err(io("listener"))?;
        let own_pid_ns =
            sys::fs::open("/proc/self/ns/pid", libc::O_RDONLY, 0).map_err(io("pid namespace"))?;
        let mut sources = BTreeMap::new();
        sources.insert(poll.add(&listener, poll::READABLE).map_err(io("epoll"))?, Source::Listener);
        sources.insert(poll.add(&signals, poll::READABLE).map_err(io("epoll"))?, Source::Signals);
        let oom_files = if cgroups.is_v2() { oom::watcher() } else { None };
        if let Some(fd) = &oom_files {
            sources.insert(poll.add(fd, poll::READABLE).map_err(io("epoll"))?, Source::OomFiles);
        }
        Ok(Supervisor {
            instance,
            dir,
            cgroups,
            poll,
            sources,
            listener,
            signals,
            client: None,
            own_pid_ns,
            fast_attach,
            oom_files,
            sandboxes: BTreeMap::new(),
            containers: BTreeMap::new(),
            execs: BTreeMap::new(),
            children: BTreeMap::new(),
            launches: BTreeMap::new(),
            removals: Vec::new(),
            next_exec: 1,
            leaving: false,
        })
    }

    fn run(&mut self) -> Result<()> {
        loop {
            let busy = !self.removals.is_empty() || self.leaving || self.looks_left();
            let ready =
                self.poll.wait(if busy { TICK_MS } else { -1 }).context(ErrorKind::Io, "epoll_wait")?;
            for (token, events) in ready {
                self.dispatch(token, events);
            }
            // A child may have ended between its report and now, in either order.
            self.look_for_oom();
            self.work_on_removals();
            if self.leaving && self.try_leave() {
                return Ok(());
            }
        }
    }

    fn dispatch(&mut self, token: u64, events: u32) {
        match self.sources.get(&token) {
            // Closed by an earlier event of the same batch.
            None => {}
            Some(Source::Listener) => self.accept(),
            Some(Source::Client) => self.on_client(events),
            Some(Source::Signals) => self.on_signal(),
            Some(Source::Launch) => self.on_launch(token),
            Some(Source::Output(id, stream)) => {
                let (id, stream) = (id.clone(), *stream);
                self.pump(&id, stream, false);
            }
            Some(Source::Sink(id)) => {
                let id = id.clone();
                self.on_sink(&id, token, events);
            }
            Some(Source::Oom(id)) => {
                let id = id.clone();
                self.on_oom(&id);
            }
            Some(Source::OomFiles) => self.on_oom_files(),
        }
    }
}

/// On version 1 a single attach can wait many milliseconds for an RCU grace period, unless some
/// hierarchy was made with `favordynmods`. A named hierarchy of our own does, and it vanishes with
/// this descriptor. Best effort: older kernels do not know the option.
fn fast_attach(instance: &str) -> Option<OwnedFd> {
    use sys::mount::Option_::{Flag, Text};
    let name: String = instance.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let options = [Flag("none"), Text("name", &name), Flag("favordynmods")];
    sys::mount::filesystem("cgroup", "cgroup", &options, 0).ok()
}
