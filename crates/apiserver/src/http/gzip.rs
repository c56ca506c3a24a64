//! Compression of large answers, for clients that ask for it and are not on this machine.

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::io::{Read, Write};

/// Level 1: answers are repetitive, and the network is rarely the limit.
pub(crate) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("compressing to memory works")
}

/// Undoes [`compress`]; only for what this process has compressed itself.
pub(crate) fn decompress(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let read = GzDecoder::new(bytes).read_to_end(&mut out);
    read.expect("what was compressed in memory is whole");
    out
}
