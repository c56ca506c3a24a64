//! The daemon's side: an async handle on the supervisor process. Calls may be made concurrently;
//! replies are matched by id. Nothing here forks, except the one start of the supervisor.

use crate::cgroup::{self, Cgroups};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::limits::EVENT_QUEUE;
use crate::protocol::{Answer, Call, Event, Message, Request, frame};
use crate::spec::*;
use crate::stream::Stream;
use crate::{SOCKET_NAME, seccomp, sys};
use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

/// How to reach, or start, the supervisor of one instance.
#[derive(Debug, Clone)]
pub struct Config {
    /// The instance's cgroup, also its name: `minke-1a2b`.
    pub instance: String,
    /// Absolute directory of the socket and the supervisor's error log; made 0700. Must be held by one
    /// daemon only (the data directory's lock).
    pub dir: PathBuf,
    /// The program that calls [`crate::supervisor::main`] for the first argument `supervisor`:
    /// `/proc/self/exe`.
    pub program: PathBuf,
    /// Move the calling process into `<instance>/daemon`.
    pub place_daemon: bool,
}

type Reply = (Result<Answer>, Vec<OwnedFd>, Option<oneshot::Receiver<Exit>>);

#[derive(Default)]
struct Book {
    next: u64,
    closed: bool,
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
    execs: HashMap<u64, oneshot::Sender<Exit>>,
    /// Cgroup paths of sandboxes and containers, for statistics.
    paths: HashMap<String, String>,
}

struct Shared {
    socket: AsyncFd<OwnedFd>,
    cgroups: Cgroups,
    book: Mutex<Book>,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, request: &Request, mut fds: Vec<OwnedFd>) -> Result<()> {
        let data = frame::encode(request, &mut fds)?;
        let borrowed: Vec<BorrowedFd> = fds.iter().map(|f| f.as_fd()).collect();
        let send = |fd: &OwnedFd| sys::socket::send(fd.as_fd(), &data, &borrowed);
        self.socket.async_io(Interest::WRITABLE, send).await.map_err(|_| disconnected())
    }
}

fn disconnected() -> Error {
    Error::new(ErrorKind::Disconnected, "the supervisor is gone")
}

/// Handle on the supervisor; cheap to clone.
#[derive(Clone)]
pub struct Supervisor(Arc<Shared>);

/// Carries the connection: `run` must be polled (spawn it) for any call to finish.
pub struct Driver {
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    lagged: bool,
}

/// A sandbox that was just made.
#[derive(Debug)]
pub struct SandboxInfo {
    /// Its network namespace; `None` with `host_network`.
    pub netns: Option<OwnedFd>,
    /// Its cgroup, relative to the instance's.
    pub cgroup_path: String,
}

/// Streams of a running container.
#[derive(Debug)]
pub struct Attached {
    /// Input; with a terminal its master (do not read it, output comes by `stdout`). `None` if the
    /// container has none, or it was given to the one client of `stdin_once`.
    pub stdin: Option<Stream>,
    /// Output from now on (stdout, or everything of a terminal). Ends with the container.
    pub stdout: Option<Stream>,
    /// Output from now on.
    pub stderr: Option<Stream>,
}

/// A process started by [`Supervisor::exec`]. Dropping it does not end the process.
pub struct ExecHandle {
    /// Number of the session.
    pub id: u64,
    /// PID on the host.
    pub pid: i32,
    /// Master of its terminal, if it has one; then the others are `None`.
    pub terminal: Option<Stream>,
    /// Write end.
    pub stdin: Option<Stream>,
    /// Read end.
    pub stdout: Option<Stream>,
    /// Read end.
    pub stderr: Option<Stream>,
    exit: oneshot::Receiver<Exit>,
    supervisor: Supervisor,
}

impl ExecHandle {
    /// Waits for its end; cancel safe, but gives the exit only once. `Disconnected` when the
    /// supervisor went away first.
    pub async fn wait(&mut self) -> Result<Exit> {
        (&mut self.exit).await.map_err(|_| disconnected())
    }

    /// Sends a signal to the process and its process group.
    pub async fn signal(&self, signal: i32) -> Result<()> {
        self.supervisor.signal_exec(self.id, signal).await
    }

    /// Sets the size of its terminal.
    pub fn resize(&self, rows: u16, cols: u16) -> Result<()> {
        match &self.terminal {
            Some(terminal) => terminal.resize(rows, cols),
            None => Err(Error::invalid("the exec session has no terminal")),
        }
    }
}

/// How often a connection that is closed at once is tried again, and the pause between: a
/// predecessor that just died may still be known to the supervisor.
const HELLO_TRIES: u32 = 50;
const HELLO_PAUSE: Duration = Duration::from_millis(20);

impl Supervisor {
    /// Connects to the instance's supervisor, or starts one after removing what a dead one left.
    /// Starting blocks the thread for a few milliseconds. Events, among them the exits nobody has
    /// acknowledged yet, come through the receiver.
    pub async fn connect_or_start(config: &Config) -> Result<(Supervisor, Driver, mpsc::Receiver<Event>)> {
        if !config.dir.is_absolute() {
            return Err(Error::invalid("the supervisor's directory must be an absolute path"));
        }
        let cgroups = Cgroups::discover(&config.instance)?;
        if config.place_daemon {
            cgroups.create(cgroup::DAEMON, &Resources::default())?;
            cgroups.enter(cgroup::DAEMON)?;
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&config.dir).setup("make the supervisor's directory")?;
        let mut tries = 0;
        loop {
            let socket = match connect(config)? {
                Some(socket) => socket,
                None => start(config, &cgroups)?,
            };
            sys::fs::set_nonblocking(socket.as_fd(), true).context(ErrorKind::Io, "O_NONBLOCK")?;
            let shared = Arc::new(Shared {
                socket: crate::stream::register(socket)?,
                cgroups: cgroups.clone(),
                book: Mutex::default(),
            });
            let (sender, events) = mpsc::channel(EVENT_QUEUE);
            let mut driver = Driver { shared: Arc::clone(&shared), events: sender, lagged: false };
            let supervisor = Supervisor(shared);
            let hello = async {
                supervisor.call(Call::Hello, Vec::new()).await?;
                supervisor.list().await
            };
            let outcome = tokio::select! {
                biased;
                outcome = hello => outcome,
                error = driver.drive() => Err(error),
            };
            match outcome {
                Ok(_) => return Ok((supervisor, driver, events)),
                Err(e) if e.kind == ErrorKind::Disconnected && tries < HELLO_TRIES => {
                    tries += 1;
                    tokio::time::sleep(HELLO_PAUSE).await;
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// The instance's cgroups: the kubelet makes `kubepods` and the quality-of-service levels
    /// there, and reads node statistics.
    pub fn cgroups(&self) -> &Cgroups {
        &self.0.cgroups
    }

    async fn call(
        &self,
        call: Call,
        fds: Vec<OwnedFd>,
    ) -> Result<(Answer, Vec<OwnedFd>, Option<oneshot::Receiver<Exit>>)> {
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut book = self.0.book();
            if book.closed {
                return Err(disconnected());
            }
            book.next += 1;
            let id = book.next;
            book.waiting.insert(id, sender);
            id
        };
        if let Err(e) = self.0.send(&Request { id, call }, fds).await {
            self.0.book().waiting.remove(&id);
            return Err(e);
        }
        let (result, fds, exit) = receiver.await.map_err(|_| disconnected())?;
        Ok((result?, fds, exit))
    }

    async fn simple(&self, call: Call) -> Result<()> {
        self.call(call, Vec::new()).await.map(drop)
    }

    /// (version, pid) of the supervisor.
    pub async fn version(&self) -> Result<(String, i32)> {
        match self.call(Call::Hello, Vec::new()).await? {
            (Answer::Hello { version, pid, .. }, ..) => Ok((version, pid)),
            other => Err(unexpected(&other.0)),
        }
    }

    /// Makes a sandbox: namespaces, shared memory, host name, sysctls, the Pod's cgroup. The
    /// loopback device is up; everything else of the network is the caller's.
    pub async fn create_sandbox(&self, spec: SandboxSpec) -> Result<SandboxInfo> {
        let id = spec.id.clone();
        self.sandbox(id, Call::CreateSandbox(Box::new(spec))).await
    }

    /// The network namespace of an existing sandbox.
    pub async fn sandbox_info(&self, id: &str) -> Result<SandboxInfo> {
        self.sandbox(id.to_owned(), Call::SandboxNetns { id: id.to_owned() }).await
    }

    async fn sandbox(&self, id: String, call: Call) -> Result<SandboxInfo> {
        match self.call(call, Vec::new()).await? {
            (Answer::Sandbox { cgroup_path }, mut fds, _) => {
                self.0.book().paths.insert(id, cgroup_path.clone());
                Ok(SandboxInfo { netns: fds.pop(), cgroup_path })
            }
            other => Err(unexpected(&other.0)),
        }
    }

    /// Removes a sandbox whose containers are removed; answers when its cgroup is gone. The
    /// network namespace ends when its last descriptor is closed.
    pub async fn remove_sandbox(&self, id: &str) -> Result<()> {
        self.simple(Call::RemoveSandbox { id: id.to_owned() }).await?;
        self.0.book().paths.remove(id);
        Ok(())
    }

    /// Registers a container and makes its cgroup with its limits. No process yet: what is wrong
    /// with its program shows at the start.
    pub async fn create_container(&self, mut spec: ContainerSpec) -> Result<()> {
        let filter = Opaque(seccomp::compile(&spec.seccomp, &spec.capabilities)?);
        spec.seccomp = Seccomp::Unconfined; // travels compiled
        let id = spec.id.clone();
        match self.call(Call::CreateContainer { spec: Box::new(spec), filter }, Vec::new()).await? {
            (Answer::Container { cgroup_path }, ..) => {
                self.0.book().paths.insert(id, cgroup_path);
                Ok(())
            }
            other => Err(unexpected(&other.0)),
        }
    }

    /// Starts a container; answers when its program runs. An error of kind `Start` is the
    /// program's fault (kubelet: StartError, exit code 128), `Setup` the node's. After an error
    /// the container is `Exited` with `start_error`, and no `Exited` event follows.
    pub async fn start_container(&self, id: &str) -> Result<Started> {
        match self.call(Call::StartContainer { id: id.to_owned() }, Vec::new()).await? {
            (Answer::Started(started), ..) => Ok(started),
            other => Err(unexpected(&other.0)),
        }
    }

    /// Sends a signal to the first process, or to `all` processes of the container.
    pub async fn signal(&self, id: &str, signal: i32, all: bool) -> Result<()> {
        self.simple(Call::Signal { id: id.to_owned(), signal, all }).await
    }

    /// Kills what runs, removes the cgroup, forgets the container (and so acknowledges its exit).
    pub async fn remove_container(&self, id: &str) -> Result<()> {
        self.simple(Call::RemoveContainer { id: id.to_owned() }).await?;
        self.0.book().paths.remove(id);
        Ok(())
    }

    /// Runs a further process in a container; answers when its program runs.
    pub async fn exec(&self, spec: ExecSpec) -> Result<ExecHandle> {
        let (tty, stdin) = (spec.tty, spec.stdin);
        let (answer, fds, exit) = self.call(Call::Exec(Box::new(spec)), Vec::new()).await?;
        let (Answer::Exec { exec, pid }, Some(exit)) = (&answer, exit) else {
            return Err(unexpected(&answer));
        };
        let streams: Result<Vec<Stream>> = fds.into_iter().map(Stream::new).collect();
        let mut streams = streams?.into_iter();
        let terminal = if tty { streams.next() } else { None };
        let stdin = if stdin && !tty { streams.next() } else { None };
        let (stdout, stderr) = (streams.next(), streams.next());
        let supervisor = self.clone();
        Ok(ExecHandle { id: *exec, pid: *pid, terminal, stdin, stdout, stderr, exit, supervisor })
    }

    async fn signal_exec(&self, exec: u64, signal: i32) -> Result<()> {
        self.simple(Call::SignalExec { exec, signal }).await
    }

    /// Streams of a running container, from now on.
    pub async fn attach(&self, id: &str, stdin: bool, stdout: bool, stderr: bool) -> Result<Attached> {
        let call = Call::Attach { id: id.to_owned(), stdin, stdout, stderr };
        match self.call(call, Vec::new()).await? {
            (Answer::Attached { stdin, stdout, stderr }, fds, _) => {
                let mut fds = fds.into_iter();
                let mut take = |given: bool| match given.then(|| fds.next()).flatten() {
                    Some(fd) => Stream::new(fd).map(Some),
                    None => Ok(None),
                };
                Ok(Attached { stdin: take(stdin)?, stdout: take(stdout)?, stderr: take(stderr)? })
            }
            other => Err(unexpected(&other.0)),
        }
    }

    /// Sets the size of a container's terminal.
    pub async fn resize(&self, id: &str, rows: u16, cols: u16) -> Result<()> {
        self.simple(Call::ResizeTty { id: id.to_owned(), rows, cols }).await
    }

    /// Opens the log file again after it was moved by somebody else.
    pub async fn reopen_log(&self, id: &str) -> Result<()> {
        self.simple(Call::ReopenLog { id: id.to_owned() }).await
    }

    /// The exit of this container was recorded: do not tell it again to the next client.
    pub async fn acknowledge(&self, id: &str) -> Result<()> {
        self.simple(Call::Acknowledge { id: id.to_owned() }).await
    }

    /// Everything the supervisor knows.
    pub async fn list(&self) -> Result<Inventory> {
        match self.call(Call::List, Vec::new()).await? {
            (Answer::Inventory(inventory), ..) => {
                let mut book = self.0.book();
                let containers = inventory.containers.iter().map(|c| (c.id.clone(), c.cgroup_path.clone()));
                let sandboxes = inventory.sandboxes.iter().map(|s| (s.id.clone(), s.cgroup_path.clone()));
                book.paths = containers.chain(sandboxes).collect();
                drop(book);
                Ok(inventory)
            }
            other => Err(unexpected(&other.0)),
        }
    }

    /// Usage of a container or (the Pod's whole cgroup) a sandbox. Reads cgroup files directly.
    pub fn stats(&self, id: &str) -> Result<Stats> {
        self.0.cgroups.stats(&self.path(id)?)
    }

    /// Changes limits of a container or a sandbox in place. `None` leaves a limit as it is.
    pub fn update_resources(&self, id: &str, resources: &Resources) -> Result<()> {
        self.0.cgroups.update(&self.path(id)?, resources)
    }

    fn path(&self, id: &str) -> Result<String> {
        let path = self.0.book().paths.get(id).cloned();
        path.ok_or_else(|| Error::not_found("container or sandbox", id))
    }

    /// Replaces the supervisor's program in place; containers, connection and sessions stay.
    /// `Limit` while something is being started or removed: try again.
    pub async fn upgrade(&self, binary: OwnedFd) -> Result<()> {
        self.call(Call::Upgrade, vec![binary]).await.map(drop)
    }

    /// Kills every container and ends the supervisor. The driver ends when it is gone; then
    /// [`crate::cleanup`] removes the rest.
    pub async fn shutdown(&self) -> Result<()> {
        self.simple(Call::Shutdown).await
    }
}

fn unexpected(answer: &Answer) -> Error {
    Error::new(ErrorKind::Io, format!("unexpected answer of the supervisor: {answer:?}"))
}

impl Driver {
    /// Carries requests and events until the connection ends; then every call fails as
    /// `Disconnected`. A dead supervisor has taken its containers along: start anew with
    /// [`Supervisor::connect_or_start`] and make the Pods again (SandboxChanged).
    pub async fn run(mut self) -> Error {
        self.drive().await
    }

    async fn drive(&mut self) -> Error {
        let mut buffer = vec![0u8; frame::BUFFER];
        let error = loop {
            let receive = |fd: &OwnedFd| sys::socket::receive(fd.as_fd(), &mut buffer);
            let (n, fds) = match self.shared.socket.async_io(Interest::READABLE, receive).await {
                Ok((0, _)) => break disconnected(),
                Ok(received) => received,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break disconnected(),
            };
            if let Err(e) = self.on_datagram(&buffer[..n], fds).await {
                break e;
            }
        };
        let mut book = self.shared.book();
        book.closed = true;
        book.waiting.clear();
        book.execs.clear();
        error
    }

    async fn on_datagram(&mut self, datagram: &[u8], mut fds: Vec<OwnedFd>) -> Result<()> {
        let json = frame::decode(datagram, &mut fds)?;
        match serde_json::from_slice::<Message>(&json) {
            Ok(Message::Reply { id, result }) => self.on_reply(id, result, fds).await,
            Ok(Message::Event(event)) => self.on_event(event),
            // An event of a newer supervisor.
            Err(_) => {}
        }
        Ok(())
    }

    async fn on_reply(&mut self, id: u64, result: Result<Answer>, fds: Vec<OwnedFd>) {
        let mut exit = None;
        let mut session = None;
        let sender = {
            let mut book = self.shared.book();
            if let Ok(Answer::Exec { exec, .. }) = &result {
                let (sender, receiver) = oneshot::channel();
                book.execs.insert(*exec, sender);
                (exit, session) = (Some(receiver), Some(*exec));
            }
            book.waiting.remove(&id)
        };
        let delivered = sender.is_some_and(|s| s.send((result, fds, exit)).is_ok());
        if let (false, Some(exec)) = (delivered, session) {
            // The caller gave up while the process was being started: nobody would ever end it.
            let id = {
                let mut book = self.shared.book();
                book.next += 1;
                book.next
            };
            let call = Call::SignalExec { exec, signal: libc::SIGKILL };
            let _ = self.shared.send(&Request { id, call }, Vec::new()).await;
        }
    }

    fn on_event(&mut self, event: Event) {
        if let Event::ExecExited { exec, exit } = &event {
            let sender = self.shared.book().execs.remove(exec);
            if let Some(sender) = sender {
                let _ = sender.send(*exit);
            }
            return;
        }
        if self.lagged {
            self.lagged = self.events.try_send(Event::Lagged).is_err();
        }
        // A closed receiver means that nobody wants events.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(event) {
            self.lagged = true;
        }
    }
}

/// Through the directory's descriptor: socket addresses are short, paths need not be.
fn socket_path(config: &Config) -> Result<(OwnedFd, String)> {
    let dir = sys::fs::open(&config.dir, libc::O_PATH | libc::O_DIRECTORY, 0)
        .setup(format_args!("open {}", config.dir.display()))?;
    let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", dir.as_raw_fd());
    Ok((dir, path))
}

/// A connection, or `None` if nobody listens.
fn connect(config: &Config) -> Result<Option<OwnedFd>> {
    let (_dir, path) = socket_path(config)?;
    match sys::socket::connect(&path) {
        Ok(socket) => Ok(Some(socket)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(e) => Err(e).context(ErrorKind::Disconnected, "connect to the supervisor"),
    }
}

/// Starts a supervisor: the socket exists before the process, so connecting needs no wait.
fn start(config: &Config, cgroups: &Cgroups) -> Result<OwnedFd> {
    crate::cleanup::remove_pods(cgroups, &config.dir)?;
    let (_dir, path) = socket_path(config)?;
    let listener = sys::socket::listen(&path).setup("listen for the supervisor")?;
    let log = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .open(config.dir.join("supervisor.log"))
        .setup("open the supervisor's log")?;
    let mut child = Command::new(&config.program)
        .arg("supervisor")
        .args(["--instance", &config.instance, "--dir"])
        .arg(&config.dir)
        .env_clear()
        .stdin(Stdio::from(listener))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        .spawn()
        .setup(format_args!("start {}", config.program.display()))?;
    // It leaves at once and lives on as a child of init.
    let status = child.wait().setup("wait for the supervisor")?;
    if !status.success() {
        return Err(Error::new(ErrorKind::Setup, format!("the supervisor did not start: {status}")));
    }
    connect(config)?.ok_or_else(disconnected)
}
