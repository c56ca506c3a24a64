//! SPDY/3.1 frames: an eight-byte head and a payload.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest payload a frame may announce (the field has 24 bits).
const PAYLOAD_MAX: usize = 1 << 20;

pub const SYN_STREAM: u16 = 1;
pub const SYN_REPLY: u16 = 2;
pub const RST_STREAM: u16 = 3;
pub const PING: u16 = 6;
pub const GO_AWAY: u16 = 7;

pub const FLAG_FIN: u8 = 1;
/// RST_STREAM with this status: the stream is not wanted any more.
pub const CANCEL: u32 = 5;

#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Control { kind: u16, flags: u8, payload: Vec<u8> },
    Data { stream: u32, flags: u8, payload: Vec<u8> },
}

/// The next frame; `None` at a clean end of the connection.
pub async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut head = [0; 8];
    match io.read_exact(&mut head).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let flags = head[4];
    let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
    if length > PAYLOAD_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "SPDY frame is too long"));
    }
    let mut payload = vec![0; length];
    io.read_exact(&mut payload).await?;
    let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    Ok(Some(if first >> 31 == 1 {
        Frame::Control { kind: (first & 0xffff) as u16, flags, payload }
    } else {
        Frame::Data { stream: first, flags, payload }
    }))
}

/// The bytes of a frame.
pub fn encode(frame: &Frame) -> Vec<u8> {
    let (first, flags, payload) = match frame {
        Frame::Control { kind, flags, payload } => (0x8003_0000 | u32::from(*kind), *flags, payload),
        Frame::Data { stream, flags, payload } => (*stream, *flags, payload),
    };
    let mut bytes = Vec::with_capacity(8 + payload.len());
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.push(flags);
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(payload);
    bytes
}

/// The first four bytes of a control payload as a number.
pub fn number(payload: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(payload.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_survive_the_wire() {
        for frame in [
            Frame::Control { kind: SYN_STREAM, flags: 0, payload: vec![1, 2, 3] },
            Frame::Data { stream: 5, flags: FLAG_FIN, payload: b"hello".to_vec() },
        ] {
            let bytes = encode(&frame);
            assert_eq!(read(&mut bytes.as_slice()).await.expect("whole"), Some(frame));
        }
        assert_eq!(read(&mut [].as_slice()).await.expect("clean end"), None);
    }
}
