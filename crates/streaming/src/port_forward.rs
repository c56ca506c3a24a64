//! Port-forward: connections to ports of a Pod, each with data both ways and an error stream.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use env::Env;
use tokio::sync::mpsc;

use crate::QUEUE_MAX;
use crate::handshake::{Negotiated, Upgrade};
use crate::spdy::{Session, Stream, StreamSender};
use crate::websocket::{self, Encoding, Packet};

/// Pairs of streams of which only one half was opened yet.
const HALF_OPEN_MAX: usize = 256;

/// One connection the client wants.
pub struct Forward {
    pub port: u16,
    /// From the client; ends when it closes its side.
    pub incoming: mpsc::Receiver<Bytes>,
    outgoing: To,
    error: To,
}

enum To {
    Spdy(StreamSender),
    WebSocket { sender: mpsc::Sender<Packet>, channel: u8 },
}

impl To {
    async fn send(&self, data: &[u8]) -> io::Result<()> {
        match self {
            To::Spdy(stream) => stream.send(data).await,
            To::WebSocket { sender, channel } => {
                let packet = (*channel, Bytes::copy_from_slice(data));
                sender.send(packet).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    async fn finish(&self) {
        if let To::Spdy(stream) = self {
            let _ = stream.finish().await;
        }
    }
}

impl Forward {
    /// To the client; an error means that it is gone.
    pub async fn send(&self, data: &[u8]) -> io::Result<()> {
        self.outgoing.send(data).await
    }

    /// The Pod closed its side.
    pub async fn finish(&self) {
        self.outgoing.finish().await;
    }

    /// Ends the connection, with what went wrong if something did.
    pub async fn close(&self, error: Option<&str>) {
        if let Some(error) = error {
            let _ = self.error.send(error.as_bytes()).await;
        }
        self.error.finish().await;
        self.outgoing.finish().await;
    }
}

/// A tunnel with any number of connections, at once or one after another.
pub enum PortForward {
    Spdy { session: Session, waiting: HashMap<String, Stream> },
    WebSocket { forwards: Vec<Forward>, _written: tokio::task::JoinHandle<()> },
}

impl PortForward {
    /// `ports` are those of the query, for the protocol that names them there.
    pub async fn start(env: &Env, io: Upgrade, negotiated: &Negotiated, ports: &[u16]) -> PortForward {
        match negotiated {
            Negotiated::Spdy { .. } => {
                PortForward::Spdy { session: Session::start(env, io), waiting: HashMap::new() }
            }
            Negotiated::WebSocket { protocol } if protocol.starts_with("SPDY/3.1") => {
                let inner = websocket::byte_stream(env, io).await;
                PortForward::Spdy { session: Session::start(env, inner), waiting: HashMap::new() }
            }
            Negotiated::WebSocket { protocol } => legacy(env, io, protocol, ports).await,
        }
    }

    /// The next connection; `None` when the client has closed the tunnel.
    pub async fn accept(&mut self) -> Option<Forward> {
        match self {
            PortForward::WebSocket { forwards, .. } => forwards.pop(),
            PortForward::Spdy { session, waiting } => loop {
                let stream = session.accept().await?;
                if let Some(forward) = pair(waiting, stream).await {
                    return Some(forward);
                }
            },
        }
    }
}

/// Joins the data and the error stream of one connection.
async fn pair(waiting: &mut HashMap<String, Stream>, stream: Stream) -> Option<Forward> {
    // Old clients send no request id: their streams come in pairs of consecutive odd numbers.
    let id = match stream.header("requestid") {
        "" if stream.header("streamtype") == "error" => stream.id.to_string(),
        "" => stream.id.saturating_sub(2).to_string(),
        id => id.to_string(),
    };
    let Some(other) = waiting.remove(&id) else {
        if waiting.len() >= HALF_OPEN_MAX {
            stream.reset().await;
        } else {
            waiting.insert(id, stream);
        }
        return None;
    };
    let (data, error) = if stream.header("streamtype") == "data" { (stream, other) } else { (other, stream) };
    let Ok(port) = data.header("port").parse() else {
        data.reset().await;
        error.reset().await;
        return None;
    };
    let (outgoing, error) = (To::Spdy(data.sender()), To::Spdy(error.sender()));
    Some(Forward { port, incoming: data.incoming, outgoing, error })
}

/// Channels 2n and 2n+1 are data and error of the n-th port; each begins with the port number.
async fn legacy(env: &Env, io: Upgrade, protocol: &str, ports: &[u16]) -> PortForward {
    let encoding = if protocol.contains("base64") { Encoding::Base64 } else { Encoding::Binary };
    let mut channels = websocket::channels(env, io, encoding).await;
    let (mut forwards, mut senders) = (Vec::new(), Vec::new());
    for (i, port) in ports.iter().enumerate().take(usize::from(u8::MAX / 2)) {
        let (sender, incoming) = mpsc::channel(QUEUE_MAX);
        senders.push(sender);
        let to = |channel: usize| To::WebSocket { sender: channels.outgoing.clone(), channel: channel as u8 };
        let (outgoing, error) = (to(2 * i), to(2 * i + 1));
        for stream in [&outgoing, &error] {
            let _ = stream.send(&port.to_le_bytes()).await;
        }
        forwards.push(Forward { port: *port, incoming, outgoing, error });
    }
    env.spawn(async move {
        while let Some((channel, data)) = channels.incoming.recv().await {
            if channel % 2 == 0
                && let Some(sender) = senders.get(usize::from(channel / 2))
            {
                let _ = sender.send(data).await;
            }
        }
    });
    forwards.reverse();
    PortForward::WebSocket { forwards, _written: channels.written }
}
