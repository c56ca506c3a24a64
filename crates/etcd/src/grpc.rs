//! gRPC over one HTTP/2 connection: unary calls and answers that stream. No retries, no choice of a
//! member: `channel.rs` has those.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use env::Env;
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::limits;
use crate::wire::{Malformed, Writer};

/// gRPC's status codes, as far as they are told apart.
pub const INVALID_ARGUMENT: u32 = 3;
pub const DEADLINE_EXCEEDED: u32 = 4;
pub const OUT_OF_RANGE: u32 = 11;
pub const UNAVAILABLE: u32 = 14;
pub const UNAUTHENTICATED: u32 = 16;
const UNKNOWN: u32 = 2;
const INTERNAL: u32 = 13;

/// A call that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: u32,
    pub message: String,
    /// Certainly not carried out: a write may be sent again.
    pub undone: bool,
    /// The connection is of no more use.
    pub broken: bool,
}

impl Failure {
    pub fn unreachable(message: impl ToString) -> Failure {
        Failure { code: UNAVAILABLE, message: message.to_string(), undone: true, broken: true }
    }

    fn lost(message: impl ToString) -> Failure {
        Failure { code: UNAVAILABLE, message: message.to_string(), undone: false, broken: true }
    }

    fn late() -> Failure {
        Failure {
            code: DEADLINE_EXCEEDED,
            message: "etcd does not answer".into(),
            undone: false,
            broken: true,
        }
    }

    fn status(code: u32, message: String) -> Failure {
        // What etcd says before it proposes anything.
        let undone = matches!(
            message.as_str(),
            "etcdserver: no leader" | "raft proposal dropped" | "etcdserver: too many requests"
        ) || code == UNAUTHENTICATED
            || message == "etcdserver: invalid auth token";
        Failure { code, message, undone, broken: false }
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Failure {
        let message = "etcd's answer is not readable".into();
        Failure { code: INTERNAL, message, undone: false, broken: true }
    }
}

/// One message; a streaming request stays open after it, until its answer is dropped.
pub struct Outgoing {
    message: Option<Bytes>,
    open: bool,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.message.take() {
            Some(message) => Poll::Ready(Some(Ok(Frame::data(message)))),
            // hyper itself notices when the stream is reset.
            None if self.open => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && !self.open
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    sender: http2::SendRequest<Outgoing>,
    authority: String,
}

impl Connection {
    /// HTTP/2 on a stream that is connected; `authority` is scheme and host of every request.
    pub async fn handshake<S>(env: &Env, stream: S, authority: String) -> Result<Connection, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(limits::KEEPALIVE)
            .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
            .initial_stream_window_size(limits::STREAM_WINDOW)
            .initial_connection_window_size(limits::CONNECTION_WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::unreachable)?;
        env.spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to etcd ended");
            }
        });
        Ok(Connection { sender, authority })
    }

    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// One question, one answer.
    pub async fn unary(
        &self,
        path: &str,
        message: &Bytes,
        token: Option<&str>,
        timeout: Duration,
    ) -> Result<Bytes, Failure> {
        let call = async {
            let mut answer = self.send(path, message, token, Some(timeout)).await?;
            let body = answer.next().await?;
            // The status comes after the message, and only it says that the call was good.
            match body {
                Some(body) => match answer.next().await? {
                    None => Ok(body),
                    Some(_) => Err(Failure::from(Malformed)),
                },
                None => Err(Failure::from(Malformed)),
            }
        };
        tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| Err(Failure::late()))
    }

    /// A question whose answers go on.
    pub async fn stream(&self, path: &str, message: &Bytes, token: Option<&str>) -> Result<Answers, Failure> {
        self.send(path, message, token, None).await
    }

    async fn send(
        &self,
        path: &str,
        message: &Bytes,
        token: Option<&str>,
        timeout: Option<Duration>,
    ) -> Result<Answers, Failure> {
        let mut framed = BytesMut::with_capacity(message.len() + 5);
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).map_err(|_| Failure::unreachable("too large"))?);
        framed.put_slice(message);
        let mut request = Request::post(format!("{}{path}", self.authority))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(header::USER_AGENT, "minke")
            // A member without a leader refuses at once, and ends its watches.
            .header("hasleader", "true");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", format!("{}m", timeout.as_millis()));
        }
        if let Some(token) = token {
            request = request.header("token", token);
        }
        let body = Outgoing { message: Some(framed.freeze()), open: timeout.is_none() };
        let request = request.body(body).map_err(Failure::unreachable)?;
        let mut sender = self.sender.clone();
        sender.ready().await.map_err(Failure::unreachable)?;
        let answer = sender.try_send_request(request).await.map_err(|mut error| {
            let sent = error.take_message().is_none();
            let text = describe(error.error());
            if sent { Failure::lost(text) } else { Failure::unreachable(text) }
        })?;
        let (parts, body) = answer.into_parts();
        check(&parts.headers, false)?;
        Ok(Answers { body, buffer: BytesMut::new() })
    }
}

/// The error with its causes: hyper's own text hides them.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The status in headers or trailers. Headers may lack it, trailers may not.
fn check(headers: &HeaderMap, must: bool) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status").map(str::parse::<u32>) {
        Some(Ok(0)) => Ok(()),
        Some(code) => {
            let message = decode_percent(text("grpc-message").unwrap_or_default());
            Err(Failure::status(code.unwrap_or(UNKNOWN), message))
        }
        None if must => Err(Failure::lost("the answer ended without a status")),
        None => Ok(()),
    }
}

fn decode_percent(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The messages of an answer. Dropping it ends the call.
pub struct Answers {
    body: Incoming,
    buffer: BytesMut,
}

impl Answers {
    /// The next message; `None` at a good end. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else {
                return Err(Failure::lost("the answer ended without a status"));
            };
            match frame.map_err(|error| Failure::lost(describe(&error)))?.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return check(&trailers, true).map(|()| None);
                    }
                }
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(head) = self.buffer.get(..5) else { return Ok(None) };
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if head[0] != 0 || length > limits::MAX_MESSAGE {
            return Err(Failure::from(Malformed));
        }
        if self.buffer.len() < 5 + length {
            return Ok(None);
        }
        self.buffer.advance(5);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

/// A request as it is sent.
pub fn bytes(message: Writer) -> Bytes {
    Bytes::from(message.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_errors_are_decoded() {
        assert_eq!(decode_percent("a%20b%c3%a9%zz%"), "a bé%zz%");
    }

    #[test]
    fn what_surely_did_not_happen_may_be_sent_again() {
        assert!(Failure::status(UNAVAILABLE, "etcdserver: no leader".into()).undone);
        assert!(!Failure::status(UNAVAILABLE, "etcdserver: request timed out".into()).undone);
        assert!(!Failure::lost("reset").undone && Failure::unreachable("refused").undone);
    }
}
