//! Exec and attach: stdin, stdout, stderr, resizes and a final Status, whatever carries them.

use std::io;

use apimachinery::status::Status;
use bytes::Bytes;
use env::Env;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::channels::{ERROR, RESIZE, STDERR, STDIN, STDOUT};
use crate::handshake::{Negotiated, Upgrade};
use crate::spdy::{Session, StreamSender};
use crate::websocket::{self, CLOSE_CHANNEL, Encoding, Packet};
use crate::{QUEUE_MAX, STREAM_CREATION_TIMEOUT};

/// What the client asked for in its query.
#[derive(Clone, Copy, Debug, Default)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

/// The client's side of a running command.
pub struct RemoteCommand {
    /// Ends when the client closes its input (or is gone).
    pub stdin: mpsc::Receiver<Bytes>,
    pub resize: mpsc::Receiver<Size>,
    pub output: Output,
    end: End,
}

/// Where output goes; cheap to clone.
#[derive(Clone)]
pub enum Output {
    WebSocket(mpsc::Sender<Packet>),
    Spdy { stdout: Option<StreamSender>, stderr: Option<StreamSender> },
}

enum End {
    WebSocket { written: tokio::task::JoinHandle<()>, status_as_json: bool },
    Spdy { session: Session, error: StreamSender, status_as_json: bool },
}

impl Output {
    /// An error means that the client is gone.
    pub async fn stdout(&self, data: &[u8]) -> io::Result<()> {
        match self {
            Output::WebSocket(sender) => send(sender, STDOUT, data).await,
            Output::Spdy { stdout: Some(stream), .. } => stream.send(data).await,
            Output::Spdy { .. } => Ok(()),
        }
    }

    pub async fn stderr(&self, data: &[u8]) -> io::Result<()> {
        match self {
            Output::WebSocket(sender) => send(sender, STDERR, data).await,
            Output::Spdy { stderr: Some(stream), .. } => stream.send(data).await,
            Output::Spdy { .. } => Ok(()),
        }
    }
}

async fn send(sender: &mpsc::Sender<Packet>, channel: u8, data: &[u8]) -> io::Result<()> {
    let packet = (channel, Bytes::copy_from_slice(data));
    sender.send(packet).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
}

impl RemoteCommand {
    /// Waits until the client has opened the streams it asked for.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn start(
        env: &Env,
        io: Upgrade,
        negotiated: &Negotiated,
        streams: Streams,
    ) -> io::Result<RemoteCommand> {
        match negotiated {
            Negotiated::WebSocket { protocol } => Ok(over_websocket(env, io, protocol).await),
            Negotiated::Spdy { protocol } => {
                let opening = over_spdy(env, io, protocol, streams);
                tokio::time::timeout(STREAM_CREATION_TIMEOUT, opening)
                    .await
                    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            }
        }
    }

    /// Tells the outcome and closes: `Ok(code)` of the process, or what went wrong.
    pub async fn finish(self, outcome: Result<i32, Box<Status>>) {
        let status = status(&outcome);
        match self.end {
            End::WebSocket { written, status_as_json } => {
                if let Output::WebSocket(sender) = &self.output {
                    let _ = send(sender, ERROR, body(&status, status_as_json).as_bytes()).await;
                }
                drop(self.output);
                drop(self.stdin);
                let _ = written.await;
            }
            End::Spdy { session, error, status_as_json } => {
                let _ = error.send(body(&status, status_as_json).as_bytes()).await;
                let _ = error.finish().await;
                if let Output::Spdy { stdout, stderr } = &self.output {
                    for stream in [stdout, stderr].into_iter().flatten() {
                        let _ = stream.finish().await;
                    }
                }
                drop((error, self.output));
                session.close().await;
            }
        }
    }
}

/// Protocols before v4 have text on the error stream, and nothing on success.
fn body(status: &Value, as_json: bool) -> String {
    match (as_json, status["status"] == "Success") {
        (true, _) => status.to_string(),
        (false, true) => String::new(),
        (false, false) => status["message"].as_str().unwrap_or_default().to_string(),
    }
}

/// The Status that ends a command (NonZeroExitCode carries the code as a cause).
fn status(outcome: &Result<i32, Box<Status>>) -> Value {
    match outcome {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(status) => status.to_value(),
    }
}

async fn over_websocket(env: &Env, io: Upgrade, protocol: &str) -> RemoteCommand {
    let encoding = if protocol.contains("base64") { Encoding::Base64 } else { Encoding::Binary };
    let mut channels = websocket::channels(env, io, encoding).await;
    let (stdin_in, stdin) = mpsc::channel(QUEUE_MAX);
    let (resize_in, resize) = mpsc::channel(QUEUE_MAX);
    env.spawn(async move {
        let mut stdin_in = Some(stdin_in);
        while let Some((channel, data)) = channels.incoming.recv().await {
            match channel {
                STDIN => {
                    if let Some(stdin) = &stdin_in
                        && !data.is_empty()
                        && stdin.send(data).await.is_err()
                    {
                        stdin_in = None;
                    }
                }
                RESIZE => {
                    if let Some(size) = parse_size(&data) {
                        let _ = resize_in.try_send(size);
                    }
                }
                CLOSE_CHANNEL if data.first() == Some(&STDIN) => stdin_in = None,
                _ => {}
            }
        }
    });
    let status_as_json = protocol.starts_with("v4.") || protocol.starts_with("v5.");
    let end = End::WebSocket { written: channels.written, status_as_json };
    RemoteCommand { stdin, resize, output: Output::WebSocket(channels.outgoing), end }
}

fn parse_size(data: &[u8]) -> Option<Size> {
    let value: Value = serde_json::from_slice(data).ok()?;
    let side = |name: &str| value[name].as_u64().and_then(|n| u16::try_from(n).ok());
    Some(Size { columns: side("Width").or(side("width"))?, rows: side("Height").or(side("height"))? })
}

async fn over_spdy(env: &Env, io: Upgrade, protocol: &str, wanted: Streams) -> io::Result<RemoteCommand> {
    let mut session = Session::start(env, io);
    let resizes = wanted.tty && !matches!(protocol, "channel.k8s.io" | "v2.channel.k8s.io");
    let count = 1
        + usize::from(wanted.stdin)
        + usize::from(wanted.stdout)
        + usize::from(wanted.stderr && !wanted.tty)
        + usize::from(resizes);
    let (mut stdout, mut stderr, mut error) = (None, None, None);
    let (stdin_in, mut stdin) = mpsc::channel(1);
    drop(stdin_in);
    let (resize_in, resize) = mpsc::channel(QUEUE_MAX);
    for _ in 0..count {
        let stream = session.accept().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        match stream.header("streamtype") {
            "stdin" => stdin = stream.incoming,
            "stdout" => stdout = Some(stream.sender()),
            "stderr" => stderr = Some(stream.sender()),
            "error" => error = Some(stream.sender()),
            "resize" => {
                let (mut incoming, resize_in) = (stream.incoming, resize_in.clone());
                env.spawn(async move {
                    while let Some(data) = incoming.recv().await {
                        if let Some(size) = parse_size(&data) {
                            let _ = resize_in.try_send(size);
                        }
                    }
                });
            }
            other => return Err(io::Error::other(format!("unexpected stream type {other:?}"))),
        }
    }
    let error = error.ok_or_else(|| io::Error::other("the client opened no error stream"))?;
    let status_as_json = matches!(protocol, "v4.channel.k8s.io" | "v5.channel.k8s.io");
    let end = End::Spdy { session, error, status_as_json };
    Ok(RemoteCommand { stdin, resize, output: Output::Spdy { stdout, stderr }, end })
}
