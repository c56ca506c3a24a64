//! A WebSocket as channels (the first byte of a message says which) and as a plain byte stream (for
//! SPDY inside it).

use std::io;

use base64::Engine;
use bytes::Bytes;
use env::Env;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use crate::QUEUE_MAX;

/// Longest message a client may send.
const MESSAGE_MAX: usize = 1 << 20;
/// `v5.channel.k8s.io`: the next byte names a channel that the sender closes.
pub const CLOSE_CHANNEL: u8 = 255;

/// How bytes stand in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Binary,
    /// The channel is a digit, the data base64, in text messages.
    Base64,
}

/// One message: channel and data.
pub type Packet = (u8, Bytes);

/// A WebSocket with channels. Dropping `outgoing` closes it normally.
pub struct Channels {
    pub incoming: mpsc::Receiver<Packet>,
    pub outgoing: mpsc::Sender<Packet>,
    pub written: tokio::task::JoinHandle<()>,
}

async fn open<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> WebSocketStream<S> {
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_MAX)).max_frame_size(Some(MESSAGE_MAX));
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}

/// Speaks channels over an upgraded connection.
pub async fn channels(
    env: &Env,
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    encoding: Encoding,
) -> Channels {
    let (mut sink, mut stream) = open(io).await.split();
    let (incoming_in, incoming) = mpsc::channel(QUEUE_MAX);
    let (outgoing, mut outgoing_out) = mpsc::channel::<Packet>(QUEUE_MAX);
    let written = env.spawn(async move {
        while let Some((channel, data)) = outgoing_out.recv().await {
            if sink.send(pack(encoding, channel, &data)).await.is_err() {
                return;
            }
        }
        let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = sink.send(Message::Close(Some(close))).await;
        let _ = sink.close().await;
    });
    env.spawn(async move {
        // Pings are answered by the library when it is read.
        while let Some(Ok(message)) = stream.next().await {
            let Some(packet) = unpack(encoding, message) else { continue };
            if incoming_in.send(packet).await.is_err() {
                // Nobody listens any more; keep reading so that pings are answered.
                while let Some(Ok(_)) = stream.next().await {}
                return;
            }
        }
    });
    Channels { incoming, outgoing, written }
}

fn pack(encoding: Encoding, channel: u8, data: &[u8]) -> Message {
    match encoding {
        Encoding::Binary => {
            let mut message = Vec::with_capacity(1 + data.len());
            message.push(channel);
            message.extend_from_slice(data);
            Message::Binary(message.into())
        }
        Encoding::Base64 => {
            let text = base64::engine::general_purpose::STANDARD.encode(data);
            Message::Text(format!("{channel}{text}").into())
        }
    }
}

fn unpack(encoding: Encoding, message: Message) -> Option<Packet> {
    let data = match message {
        Message::Binary(data) => data,
        Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
        _ => return None,
    };
    let (channel, rest) = (*data.first()?, data.slice(1..));
    match encoding {
        Encoding::Binary => Some((channel, rest)),
        Encoding::Base64 => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(rest).ok()?;
            Some((channel.checked_sub(b'0')?, bytes.into()))
        }
    }
}

/// The messages of a WebSocket as one byte stream.
pub async fn byte_stream(
    env: &Env,
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> DuplexStream {
    let (mut sink, mut stream) = open(io).await.split();
    let (ours, theirs) = tokio::io::duplex(crate::CHUNK_BYTES * 2);
    let (mut read, mut write) = tokio::io::split(ours);
    env.spawn(async move {
        let mut buffer = vec![0; crate::CHUNK_BYTES];
        loop {
            match read.read(&mut buffer).await {
                Ok(got) if got > 0 => {
                    if sink.send(Message::Binary(Bytes::copy_from_slice(&buffer[..got]))).await.is_err() {
                        return;
                    }
                }
                _ => break,
            }
        }
        let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = sink.send(Message::Close(Some(close))).await;
        let _ = sink.close().await;
    });
    env.spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            let written: io::Result<()> = match message {
                Message::Binary(data) => write.write_all(&data).await,
                _ => Ok(()),
            };
            if written.is_err() {
                break;
            }
        }
        let _ = write.shutdown().await;
    });
    theirs
}
