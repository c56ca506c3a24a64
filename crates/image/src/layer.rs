//! Unpacking a layer into a directory: any of tar, tar+gzip, tar+zstd, with whiteouts turned into
//! what overlayfs understands, and the digest of what was read checked at the end.

use std::fs;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use sha2::Digest as _;

use crate::error::{At, Error, Result};

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
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
            _ => Err(Error::Config(format!("{digest:?} is not a sha256 digest"))),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
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

/// Unpacks into `dir`, which must not exist; it appears only when complete and right.
/// Answers the unpacked size.
pub fn unpack(compressed: impl Read + Send, diff_id: &str, dir: &Path) -> Result<u64> {
    let fresh = dir.with_extension("partial");
    match fs::remove_dir_all(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at(&fresh),
        _ => {}
    }
    fs::create_dir_all(&fresh).at(&fresh)?;
    let layer = |message: String| Error::Layer { digest: diff_id.into(), message };
    let mut reader = Hashing::new(decompress(compressed).map_err(|error| layer(error.to_string()))?);
    unpack_tar(&mut reader, &fresh).map_err(|error| layer(error.to_string()))?;
    let (digest, bytes) = reader.finish().map_err(|error| layer(error.to_string()))?;
    if digest != diff_id {
        let _ = fs::remove_dir_all(&fresh);
        return Err(layer(format!("its content has digest {digest}: the image is damaged")));
    }
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).at(&fresh)?;
    fs::rename(&fresh, dir).at(dir)?;
    Ok(bytes)
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

fn unpack_tar(reader: impl Read, dir: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    archive.set_unpack_xattrs(true);
    archive.set_overwrite(true);
    let mut total = 0u64;
    // Directory times and modes are set by later entries again; that is fine for a lower layer.
    for entry in archive.entries()? {
        let mut entry = entry?;
        total += entry.size();
        if total > UNPACKED_BYTES_MAX {
            return Err(io::Error::other("unpacks to more than this node takes"));
        }
        let path = entry.path()?.into_owned();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_string();
        if name == OPAQUE {
            let parent = inside(dir, path.parent().unwrap_or(Path::new("")))?;
            fs::create_dir_all(&parent)?;
            rustix::fs::setxattr(&parent, c"trusted.overlay.opaque", b"y", XattrFlags::empty())?;
        } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            let target = inside(dir, path.parent().unwrap_or(Path::new("")))?.join(hidden);
            make_node(&target, FileType::CharacterDevice, 0, 0)?;
        } else if entry.header().entry_type().is_character_special()
            || entry.header().entry_type().is_block_special()
            || entry.header().entry_type().is_fifo()
        {
            special(&entry, &inside(dir, &path)?)?;
        } else {
            entry.unpack_in(dir)?;
        }
    }
    Ok(())
}

/// The path below `dir`, links of earlier entries not followed out of it.
fn inside(dir: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut target = dir.to_path_buf();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                target.push(name);
                if fs::symlink_metadata(&target).is_ok_and(|m| m.is_symlink()) {
                    return Err(io::Error::other(format!("{}: leads through a link", path.display())));
                }
            }
            Component::CurDir | Component::RootDir => {}
            _ => return Err(io::Error::other(format!("{}: leaves the layer", path.display()))),
        }
    }
    Ok(target)
}

fn make_node(target: &Path, kind: FileType, mode: u32, device: u64) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::remove_file(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    Ok(rustix::fs::mknodat(CWD, target, kind, Mode::from_raw_mode(mode), device)?)
}

fn special<R: Read>(entry: &tar::Entry<'_, R>, target: &Path) -> io::Result<()> {
    let header = entry.header();
    let kind = match header.entry_type() {
        kind if kind.is_fifo() => FileType::Fifo,
        kind if kind.is_block_special() => FileType::BlockDevice,
        _ => FileType::CharacterDevice,
    };
    let device = rustix::fs::makedev(header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0));
    let mode = header.mode()?;
    make_node(target, kind, mode, device)?;
    lchown(target, Some(header.uid()? as u32), Some(header.gid()? as u32))?;
    fs::set_permissions(target, fs::Permissions::from_mode(mode))
}
