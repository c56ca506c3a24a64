//! Layers: their digests, their compression (told by content, not by media type), and unpacking
//! one into a directory with its digest checked.

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::Path;

use sha2::Digest as _;

use crate::error::{At, Error, Result};
use crate::tree;

/// Most bytes a layer may unpack to.
const UNPACKED_BYTES_MAX: u64 = 64 << 30;

/// A sha256 digest in its written form, `sha256:<64 hex>`.
pub struct Digest;

impl Digest {
    pub fn of(bytes: &[u8]) -> String {
        format!("sha256:{}", hex(&sha2::Sha256::digest(bytes)))
    }

    /// The hex part, safe as a file name; an error if it is no sha256 digest.
    pub fn hex(digest: &str) -> Result<&str> {
        match digest.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(hex),
            _ => Err(Error::Invalid(format!("{digest:?} is not a sha256 digest"))),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes and counts what is read through it.
pub struct Hashing<R> {
    inner: R,
    hash: sha2::Sha256,
    pub bytes: u64,
}

impl<R: Read> Hashing<R> {
    pub fn new(inner: R) -> Self {
        Hashing { inner, hash: sha2::Sha256::new(), bytes: 0 }
    }

    /// Reads to the end; the digest of all of it.
    pub fn finish(mut self) -> io::Result<(String, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((format!("sha256:{}", hex(&self.hash.finalize())), self.bytes))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.hash.update(&buffer[..got]);
        self.bytes += got as u64;
        Ok(got)
    }
}

/// Unpacks into the new directory `dir` and checks the content's digest. What is there after an
/// error is the caller's to remove. Answers the unpacked size.
pub(crate) fn unpack(compressed: impl Read + Send, diff_id: &str, dir: &Path) -> Result<u64> {
    fs::create_dir(dir).at(dir)?;
    let layer = |message: String| Error::Layer { digest: diff_id.into(), message };
    let mut reader = Hashing::new(decompress(compressed).map_err(|error| layer(error.to_string()))?);
    tree::unpack(&mut reader, dir, UNPACKED_BYTES_MAX).map_err(|error| layer(reasons(&error)))?;
    let (digest, bytes) = reader.finish().map_err(|error| layer(error.to_string()))?;
    if digest != diff_id {
        return Err(layer(format!("its content has digest {digest}: the image is damaged")));
    }
    Ok(bytes)
}

/// An error with what caused it: tar's own words alone say only where.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Looks at the first bytes rather than at a media type, which may lie.
fn decompress<'a>(input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut input = BufReader::with_capacity(256 << 10, input);
    let start = io::BufRead::fill_buf(&mut input)?;
    if start.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(flate2::bufread::MultiGzDecoder::new(input)))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Ok(Box::new(zstd::stream::read::Decoder::with_buffer(input)?))
    } else {
        Ok(Box::new(input))
    }
}
