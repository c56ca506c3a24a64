//! One SPDY connection, server side: the client opens streams, data flows both ways, either side
//! half-closes. One task reads frames and hands data to its stream; one writes.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use env::Env;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::frame::{self, CANCEL, FLAG_FIN, Frame, GO_AWAY, PING, RST_STREAM, SYN_REPLY, SYN_STREAM};
use super::headers::{Deflate, Inflate};
use crate::QUEUE_MAX;

/// Streams open at once on one connection.
const STREAMS_MAX: usize = 1024;

/// A stream that the client opened.
pub struct Stream {
    pub id: u32,
    pub headers: HashMap<String, String>,
    /// Data from the client; ends when it half-closes.
    pub incoming: mpsc::Receiver<Bytes>,
    outgoing: mpsc::Sender<Frame>,
    open: Arc<Mutex<Open>>,
}

type Open = HashMap<u32, mpsc::Sender<Bytes>>;

impl Stream {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Sends data; an error means that the connection is gone.
    pub async fn send(&self, data: &[u8]) -> io::Result<()> {
        for chunk in data.chunks(crate::CHUNK_BYTES) {
            self.frame(0, chunk.to_vec()).await?;
        }
        Ok(())
    }

    /// Half-closes our side.
    pub async fn finish(&self) -> io::Result<()> {
        self.frame(FLAG_FIN, Vec::new()).await
    }

    async fn frame(&self, flags: u8, payload: Vec<u8>) -> io::Result<()> {
        let frame = Frame::Data { stream: self.id, flags, payload };
        self.outgoing.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// A sender that does not hold the receiving side.
    pub fn sender(&self) -> StreamSender {
        StreamSender { id: self.id, outgoing: self.outgoing.clone() }
    }

    /// Ends the stream in both directions.
    pub async fn reset(&self) {
        self.open.lock().expect("no holder panics").remove(&self.id);
        let mut payload = self.id.to_be_bytes().to_vec();
        payload.extend_from_slice(&CANCEL.to_be_bytes());
        let _ = self.outgoing.send(Frame::Control { kind: RST_STREAM, flags: 0, payload }).await;
    }
}

/// The sending half of a stream.
#[derive(Clone)]
pub struct StreamSender {
    id: u32,
    outgoing: mpsc::Sender<Frame>,
}

impl StreamSender {
    pub async fn send(&self, data: &[u8]) -> io::Result<()> {
        for chunk in data.chunks(crate::CHUNK_BYTES) {
            let frame = Frame::Data { stream: self.id, flags: 0, payload: chunk.to_vec() };
            self.outgoing.send(frame).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(())
    }

    pub async fn finish(&self) -> io::Result<()> {
        let frame = Frame::Data { stream: self.id, flags: FLAG_FIN, payload: Vec::new() };
        self.outgoing.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The connection.
pub struct Session {
    streams: mpsc::Receiver<Stream>,
    outgoing: mpsc::Sender<Frame>,
    written: tokio::task::JoinHandle<()>,
}

impl Session {
    pub fn start(env: &Env, io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Session {
        let (read, write) = tokio::io::split(io);
        let (outgoing, frames) = mpsc::channel(QUEUE_MAX);
        let (opened, streams) = mpsc::channel(QUEUE_MAX);
        let written = env.spawn(write_frames(write, frames));
        let reader = Reader { outgoing: outgoing.clone(), opened, open: Arc::default() };
        env.spawn(async move {
            if let Err(error) = reader.run(read).await {
                tracing::debug!(%error, "SPDY connection ended");
            }
        });
        Session { streams, outgoing, written }
    }

    /// The next stream the client opens; `None` when the connection is gone.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.streams.recv().await
    }

    /// Says goodbye after everything that was sent.
    pub async fn close(self) {
        let payload = vec![0; 8];
        let _ = self.outgoing.send(Frame::Control { kind: GO_AWAY, flags: 0, payload }).await;
        drop(self.outgoing);
        drop(self.streams);
        // The writer ends once every stream has let go of it.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), self.written).await;
    }
}

async fn write_frames(mut io: impl AsyncWrite + Unpin, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        let goodbye = matches!(frame, Frame::Control { kind: GO_AWAY, .. });
        if io.write_all(&frame::encode(&frame)).await.is_err() || io.flush().await.is_err() || goodbye {
            break;
        }
    }
    let _ = io.shutdown().await;
}

struct Reader {
    outgoing: mpsc::Sender<Frame>,
    opened: mpsc::Sender<Stream>,
    open: Arc<Mutex<Open>>,
}

impl Reader {
    async fn run(self, mut io: impl AsyncRead + Unpin) -> io::Result<()> {
        let (mut inflate, mut deflate) = (Inflate::new(), Deflate::new()?);
        while let Some(frame) = frame::read(&mut io).await? {
            match frame {
                Frame::Data { stream, flags, payload } => self.data(stream, flags, payload).await,
                Frame::Control { kind: SYN_STREAM, flags, payload } => {
                    self.syn_stream(&mut inflate, &mut deflate, flags, &payload).await?;
                }
                Frame::Control { kind: PING, payload, .. } => self.ping(payload).await?,
                Frame::Control { kind: RST_STREAM, payload, .. } => {
                    if let Some(id) = frame::number(&payload) {
                        self.open.lock().expect("no holder panics").remove(&id);
                    }
                }
                Frame::Control { kind: GO_AWAY, .. } => return Ok(()),
                Frame::Control { .. } => {}
            }
        }
        Ok(())
    }

    async fn reply(&self, frame: Frame) -> io::Result<()> {
        self.outgoing.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Pings with odd ids are the client's and are sent back as they are.
    async fn ping(&self, payload: Vec<u8>) -> io::Result<()> {
        match frame::number(&payload) {
            Some(id) if id % 2 == 1 => self.reply(Frame::Control { kind: PING, flags: 0, payload }).await,
            _ => Ok(()),
        }
    }

    async fn data(&self, stream: u32, flags: u8, payload: Vec<u8>) {
        let sender = self.open.lock().expect("no holder panics").get(&stream).cloned();
        if let Some(sender) = sender
            && !payload.is_empty()
        {
            // Waiting here holds back the whole connection: the bound on what a client may send.
            let _ = sender.send(payload.into()).await;
        }
        if flags & FLAG_FIN != 0 {
            self.open.lock().expect("no holder panics").remove(&stream);
        }
    }

    async fn syn_stream(
        &self,
        inflate: &mut Inflate,
        deflate: &mut Deflate,
        flags: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let id = frame::number(payload).ok_or(io::ErrorKind::InvalidData)? & 0x7fff_ffff;
        // Stream, associated stream, priority and slot stand before the block.
        let headers = inflate.headers(payload.get(10..).ok_or(io::ErrorKind::InvalidData)?)?;
        let (sender, incoming) = mpsc::channel(QUEUE_MAX);
        {
            let mut open = self.open.lock().expect("no holder panics");
            if open.len() >= STREAMS_MAX {
                return Err(io::Error::other("too many SPDY streams"));
            }
            if flags & FLAG_FIN == 0 {
                open.insert(id, sender);
            }
        }
        let mut reply = id.to_be_bytes().to_vec();
        reply.extend_from_slice(&deflate.headers(&[])?);
        self.reply(Frame::Control { kind: SYN_REPLY, flags: 0, payload: reply }).await?;
        let stream =
            Stream { id, headers, incoming, outgoing: self.outgoing.clone(), open: self.open.clone() };
        self.opened.send(stream).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
