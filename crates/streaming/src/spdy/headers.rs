//! Header blocks: names and values with lengths, compressed with one zlib context per direction
//! that lives as long as the connection.

use std::collections::HashMap;
use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::dictionary::DICTIONARY;

/// Longest header block, unpacked.
const BLOCK_MAX: usize = 64 << 10;

pub struct Inflate(Decompress);

impl Inflate {
    pub fn new() -> Inflate {
        Inflate(Decompress::new(true))
    }

    /// Names are lower-cased.
    pub fn headers(&mut self, compressed: &[u8]) -> io::Result<HashMap<String, String>> {
        let mut block = Vec::with_capacity(4096);
        let start = self.0.total_in();
        loop {
            let used = (self.0.total_in() - start) as usize;
            let before = (block.len(), used);
            block.reserve(4096);
            match self.0.decompress_vec(&compressed[used..], &mut block, FlushDecompress::Sync) {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&DICTIONARY).map_err(io::Error::other)?;
                    continue;
                }
                Err(error) => return Err(io::Error::other(error)),
                Ok(_) => {}
            }
            if block.len() > BLOCK_MAX {
                return Err(io::Error::other("SPDY header block is too long"));
            }
            let used_now = (self.0.total_in() - start) as usize;
            if used_now == compressed.len() && block.len() < block.capacity()
                || (block.len(), used_now) == before
            {
                break;
            }
        }
        parse(&block).ok_or_else(|| io::Error::other("SPDY header block is malformed"))
    }
}

pub struct Deflate(Compress);

impl Deflate {
    pub fn new() -> io::Result<Deflate> {
        let mut compress = Compress::new(Compression::default(), true);
        compress.set_dictionary(&DICTIONARY).map_err(io::Error::other)?;
        Ok(Deflate(compress))
    }

    pub fn headers(&mut self, headers: &[(&str, &str)]) -> io::Result<Vec<u8>> {
        let mut block = (headers.len() as u32).to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            block.extend_from_slice(&(text.len() as u32).to_be_bytes());
            block.extend_from_slice(text.as_bytes());
        }
        let mut out = Vec::with_capacity(block.len() + 128);
        let start = self.0.total_in();
        loop {
            let used = (self.0.total_in() - start) as usize;
            out.reserve(128);
            self.0.compress_vec(&block[used..], &mut out, FlushCompress::Sync).map_err(io::Error::other)?;
            let used = (self.0.total_in() - start) as usize;
            if used == block.len() && out.len() < out.capacity() {
                return Ok(out);
            }
        }
    }
}

fn parse(block: &[u8]) -> Option<HashMap<String, String>> {
    let mut rest = block;
    let number = |rest: &mut &[u8]| -> Option<usize> {
        let (head, tail) = rest.split_at_checked(4)?;
        *rest = tail;
        Some(u32::from_be_bytes(head.try_into().ok()?) as usize)
    };
    let count = number(&mut rest)?;
    let mut headers = HashMap::new();
    for _ in 0..count {
        let mut text = || -> Option<String> {
            let length = number(&mut rest)?;
            let (head, tail) = rest.split_at_checked(length)?;
            rest = tail;
            Some(String::from_utf8_lossy(head).into_owned())
        };
        let (name, value) = (text()?, text()?);
        headers.insert(name.to_lowercase(), value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_share_one_context_per_direction() {
        let (mut deflate, mut inflate) = (Deflate::new().expect("a dictionary"), Inflate::new());
        for round in 0..3 {
            let id = round.to_string();
            let block = deflate.headers(&[("streamtype", "data"), ("requestid", &id)]).expect("packed");
            let headers = inflate.headers(&block).expect("unpacked");
            assert_eq!((headers["streamtype"].as_str(), &headers["requestid"]), ("data", &id));
        }
    }
}
