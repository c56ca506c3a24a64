//! Watching over a WebSocket: one text frame per event (RFC 6455, server side only).

use super::negotiate::Form;
use super::respond::{self, ResponseBody};
use crate::handlers::watch::Watch;
use crate::server::Server;
use base64::Engine;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use ring::digest;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

/// Appended to the client's key before hashing (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Longest frame a watching client may send; it has nothing to say but close and ping.
const MAX_CLIENT_FRAME: u64 = 64 * 1024;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    let has = |name, word: &str| {
        headers
            .get(name)
            .and_then(|v: &HeaderValue| v.to_str().ok())
            .is_some_and(|v| v.to_ascii_lowercase().contains(word))
    };
    has(UPGRADE, "websocket") && has(CONNECTION, "upgrade") && headers.contains_key("sec-websocket-key")
}

/// Answers 101 and then sends the watch.
pub(crate) fn watch(
    server: Arc<Server>,
    watch: Box<Watch>,
    form: Form,
    headers: &HeaderMap,
    upgrade: OnUpgrade,
) -> Response<ResponseBody> {
    let key = headers.get("sec-websocket-key").map(HeaderValue::as_bytes).unwrap_or_default();
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID.as_bytes()].concat());
    let accept = base64::engine::general_purpose::STANDARD.encode(hash);
    let mut response = Response::new(respond::full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = response.headers_mut();
    out.insert(UPGRADE, HeaderValue::from_static("websocket"));
    out.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        out.insert("sec-websocket-accept", accept);
    }
    let env = server.env.clone();
    env.spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
            // Whatever ends it, the connection is gone then.
            let _ended = run(server, watch, form, reader, writer).await;
        }
    });
    response
}

async fn run(
    server: Arc<Server>,
    mut watch: Box<Watch>,
    form: Form,
    mut reader: ReadHalf<TokioIo<Upgraded>>,
    mut writer: WriteHalf<TokioIo<Upgraded>>,
) -> std::io::Result<()> {
    let mut first = true;
    let (pings, mut ping) = tokio::sync::mpsc::channel::<Vec<u8>>(4);
    let mut client = std::pin::pin!(read_client(&mut reader, pings));
    loop {
        tokio::select! {
            biased;
            ended = client.as_mut() => return ended,
            Some(payload) = ping.recv() => write_frame(&mut writer, PONG, &payload).await?,
            item = watch.next() => {
                let Some(item) = item else { break };
                let line = respond::watch_line(&server, &watch.target, &item, &form, &mut first);
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                write_frame(&mut writer, TEXT, text).await?;
            }
        }
    }
    write_frame(&mut writer, CLOSE, &1000u16.to_be_bytes()).await?;
    writer.shutdown().await
}

/// Reads frames until the client closes; pings are passed on to be answered.
async fn read_client(
    reader: &mut ReadHalf<TokioIo<Upgraded>>,
    pings: tokio::sync::mpsc::Sender<Vec<u8>>,
) -> std::io::Result<()> {
    loop {
        let head = [reader.read_u8().await?, reader.read_u8().await?];
        let length = match head[1] & 0x7f {
            126 => u64::from(reader.read_u16().await?),
            127 => reader.read_u64().await?,
            short => u64::from(short),
        };
        if length > MAX_CLIENT_FRAME || head[1] & 0x80 == 0 {
            return Ok(()); // Too long or not masked: a protocol error ends the connection.
        }
        let mut mask = [0; 4];
        reader.read_exact(&mut mask).await?;
        let mut payload = vec![0; length as usize];
        reader.read_exact(&mut payload).await?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        match head[0] & 0x0f {
            CLOSE => return Ok(()),
            PING => {
                let _enough_pings_are_pending = pings.try_send(payload);
            }
            _ => {}
        }
    }
}

async fn write_frame(
    writer: &mut WriteHalf<TokioIo<Upgraded>>,
    opcode: u8,
    payload: &[u8],
) -> std::io::Result<()> {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame.push(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=65535 => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    writer.write_all(&frame).await?;
    writer.flush().await
}
