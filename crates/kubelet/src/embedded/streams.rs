//! Exec, attach and port connections on the supervisor's streams.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use ::runtime::{ExecSpec, Supervisor};
use env::Env;

use super::Embedded;
use crate::runtime::{ExecRequest, Process, Reader, Result, RuntimeError, Writer};

/// How long a port of a Pod may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn exec(supervisor: Supervisor, request: ExecRequest) -> Result<Process> {
    let spec = ExecSpec {
        container_id: request.container_id,
        args: request.command,
        tty: request.tty,
        stdin: request.stdin,
        ..ExecSpec::default()
    };
    let mut handle = supervisor.exec(spec).await?;
    let (stdin, stdout): (Option<Writer>, Option<Reader>) = match handle.terminal.take() {
        Some(terminal) => {
            let (read, write) = tokio::io::split(terminal);
            (Some(Box::new(write)), Some(Box::new(read)))
        }
        None => (
            handle.stdin.take().map(|s| Box::new(s) as Writer),
            handle.stdout.take().map(|s| Box::new(s) as Reader),
        ),
    };
    let stderr = handle.stderr.take().map(|s| Box::new(s) as Reader);
    let handle = std::sync::Arc::new(tokio::sync::Mutex::new(handle));
    let resizer = handle.clone();
    Ok(Process {
        stdin,
        stdout,
        stderr,
        resize: Box::new(move |rows, columns| {
            if let Ok(handle) = resizer.try_lock() {
                let _ = handle.resize(rows, columns);
            }
        }),
        exit: Box::pin(async move {
            let exit = handle.lock().await.wait().await?;
            Ok(exit.code)
        }),
    })
}

impl Embedded {
    pub(super) async fn attach_streams(&self, id: &str) -> Result<Process> {
        let found = self.records(|records| records.container(id).map(|c| (c.tty, c.stdin)));
        let (tty, stdin) = found.ok_or_else(|| RuntimeError::other(format!("container {id} not found")))?;
        let attached = self.supervisor().attach(id, stdin, true, !tty).await?;
        let (supervisor, container) = (self.supervisor(), id.to_string());
        let env = self.inner.parts.env.clone();
        let (me, waited) = (self.clone(), id.to_string());
        Ok(Process {
            stdin: attached.stdin.map(|s| Box::new(s) as Writer),
            stdout: attached.stdout.map(|s| Box::new(s) as Reader),
            stderr: attached.stderr.map(|s| Box::new(s) as Reader),
            resize: Box::new(move |rows, columns| {
                let (supervisor, container) = (supervisor.clone(), container.clone());
                env.spawn(async move {
                    let _ = supervisor.resize(&container, rows, columns).await;
                });
            }),
            exit: Box::pin(async move { Ok(me.wait_exit(&waited).await) }),
        })
    }

    /// The exit code of a container, once it ended.
    pub(super) async fn wait_exit(&self, id: &str) -> i32 {
        loop {
            let changed = self.inner.changed.notified();
            let state = self.records(|records| records.container(id).map(|c| c.state.clone()));
            match state {
                Some(pod_lifecycle::State::Exited(exit)) => return exit.code,
                None => return 137,
                Some(_) => changed.await,
            }
        }
    }
}

/// Connects to a port on the Pod's loopback, IPv4 first.
pub async fn connect(
    env: Env,
    supervisor: Supervisor,
    sandbox: &str,
    port: u16,
) -> Result<tokio::net::TcpStream> {
    let info = supervisor.sandbox_info(sandbox).await?;
    let dial = move || -> std::io::Result<TcpStream> {
        let targets =
            [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
        let dial = || {
            let first = TcpStream::connect_timeout(&targets[0], CONNECT_TIMEOUT);
            first.or_else(|error| TcpStream::connect_timeout(&targets[1], CONNECT_TIMEOUT).map_err(|_| error))
        };
        match info.netns {
            Some(netns) => netlink::in_netns(netns.as_fd(), dial)?,
            None => dial(),
        }
    };
    let dialled = env.spawn_blocking(dial).await.map_err(RuntimeError::other)?;
    let stream = dialled.map_err(|error| RuntimeError::other(dial_error(port, &error)))?;
    stream.set_nonblocking(true).map_err(RuntimeError::other)?;
    tokio::net::TcpStream::from_std(stream).map_err(RuntimeError::other)
}

/// A failed connection in the words that clients of other runtimes know.
fn dial_error(port: u16, error: &std::io::Error) -> String {
    let why = match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_string(),
        std::io::ErrorKind::TimedOut => "i/o timeout".to_string(),
        _ => error.to_string(),
    };
    format!("dial tcp4 127.0.0.1:{port}: {why}")
}
