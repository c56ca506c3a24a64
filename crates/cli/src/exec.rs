//! `exec`: a command in a running container, with the terminal if asked.

use std::io::{IsTerminal, Write};

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio_tungstenite::tungstenite::Message;

use crate::Target;
use crate::session::Session;
use crate::websocket::{open, pod_path};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

#[derive(Args)]
pub struct Exec {
    /// Name of the Pod (or pod/NAME)
    pod: String,
    /// Container, if the Pod has several
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// With a terminal
    #[arg(short, long)]
    tty: bool,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
    #[command(flatten)]
    pub target: Target,
}

/// The exit code of the command.
pub async fn run(session: &Session, exec: Exec) -> Result<i32, String> {
    let pod = exec.pod.trim_start_matches("pods/").trim_start_matches("pod/");
    let tty = exec.tty && std::io::stdin().is_terminal();
    if exec.tty && !tty {
        eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    let mut query: Vec<(&str, String)> = exec.command.iter().map(|word| ("command", word.clone())).collect();
    query.extend(exec.container.iter().map(|name| ("container", name.clone())));
    query.push(("stdout", "true".into()));
    for (name, set) in [("stdin", exec.stdin), ("tty", tty), ("stderr", !tty)] {
        if set {
            query.push((name, "true".into()));
        }
    }
    let socket = open(session, &pod_path(session, pod, "exec", &query), "v5.channel.k8s.io").await?;
    let (mut sink, mut stream) = socket.split();
    let _raw = tty.then(Raw::enter).transpose().map_err(|error| error.to_string())?;
    let mut resized = signal(SignalKind::window_change()).map_err(|error| error.to_string())?;
    if tty && let Some(message) = size() {
        let _ = sink.send(message).await;
    }
    let mut input = tokio::io::stdin();
    let mut buffer = vec![0; 32 << 10];
    let mut reading = exec.stdin;
    loop {
        tokio::select! {
            biased;
            message = stream.next() => match message {
                Some(Ok(Message::Binary(data))) => {
                    if let Some(code) = output(&data)? {
                        return Ok(code);
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err("the connection was closed".into()),
                Some(Ok(_)) => {}
            },
            _ = resized.recv(), if tty => {
                if let Some(message) = size() {
                    let _ = sink.send(message).await;
                }
            }
            got = input.read(&mut buffer), if reading => {
                let got = got.unwrap_or(0);
                let message = if got == 0 {
                    reading = false;
                    vec![CLOSE, STDIN]
                } else {
                    [&[STDIN], &buffer[..got]].concat()
                };
                let _ = sink.send(Message::Binary(message.into())).await;
            }
        }
    }
}

/// Prints output; the exit code once the error channel tells it.
fn output(data: &[u8]) -> Result<Option<i32>, String> {
    let Some((channel, data)) = data.split_first() else { return Ok(None) };
    match *channel {
        STDOUT => {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(data).and_then(|()| out.flush());
        }
        STDERR => {
            let _ = std::io::stderr().lock().write_all(data);
        }
        ERROR => {
            let status: Value = serde_json::from_slice(data).unwrap_or_default();
            if status["status"] == "Success" {
                return Ok(Some(0));
            }
            let causes = status["details"]["causes"].as_array().into_iter().flatten();
            let code = causes
                .into_iter()
                .find(|c| c["reason"] == "ExitCode")
                .and_then(|c| c["message"].as_str()?.parse().ok());
            return match code {
                Some(code) => {
                    eprintln!("command terminated with exit code {code}");
                    Ok(Some(code))
                }
                None => Err(status["message"].as_str().unwrap_or("the command failed").into()),
            };
        }
        _ => {}
    }
    Ok(None)
}

fn size() -> Option<Message> {
    let size = tcgetwinsize(std::io::stdin()).ok()?;
    let text = json!({"Width": size.ws_col, "Height": size.ws_row}).to_string();
    let mut message = vec![RESIZE];
    message.extend_from_slice(text.as_bytes());
    Some(Message::Binary(message.into()))
}

/// The terminal in raw mode, put back at the end.
struct Raw(Termios);

impl Raw {
    fn enter() -> rustix::io::Result<Raw> {
        let before = tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
