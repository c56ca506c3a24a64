//! The files of a layer's tar stream, written below one directory: whiteouts become what
//! overlayfs understands, and nothing an archive says leads out of the directory.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Other names of this kind are aufs's own and mean nothing here.
const AUFS: &str = ".wh..wh.";
/// How tar carries extended attributes.
const PAX_XATTR: &str = "SCHILY.xattr.";

/// Unpacks a tar stream of at most `bytes_max` bytes of content.
pub(crate) fn unpack(reader: impl Read, dir: &Path, bytes_max: u64) -> io::Result<()> {
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    archive.set_overwrite(true);
    let mut total = 0u64;
    // Directory times and modes are set by later entries again; that is fine for a lower layer.
    for entry in archive.entries()? {
        let mut entry = entry?;
        total = total.saturating_add(entry.size());
        if total > bytes_max {
            return Err(io::Error::other("unpacks to more than this node takes"));
        }
        unpack_entry(&mut entry, dir)?;
    }
    Ok(())
}

fn unpack_entry<R: Read>(entry: &mut tar::Entry<'_, R>, dir: &Path) -> io::Result<()> {
    let path = entry.path()?.into_owned();
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(leaves(&path));
    }
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if name == OPAQUE {
        let parent = inside(dir, path.parent().unwrap_or(Path::new("")))?;
        fs::create_dir_all(&parent)?;
        rustix::fs::setxattr(&parent, c"trusted.overlay.opaque", b"y", XattrFlags::empty())?;
    } else if name.starts_with(AUFS) {
        // Nothing to do.
    } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        if matches!(hidden, "" | "." | "..") {
            return Err(leaves(&path));
        }
        let target = inside(dir, path.parent().unwrap_or(Path::new("")))?.join(hidden);
        make_node(&target, FileType::CharacterDevice, 0, 0)?;
    } else if is_special(entry.header().entry_type()) {
        special(entry, &inside(dir, &path)?)?;
    } else {
        let xattrs = xattrs(entry)?;
        entry.unpack_in(dir)?;
        if !xattrs.is_empty() && !entry.header().entry_type().is_symlink() {
            set_xattrs(&inside(dir, &path)?, &xattrs)?;
        }
    }
    Ok(())
}

fn is_special(kind: tar::EntryType) -> bool {
    kind.is_character_special() || kind.is_block_special() || kind.is_fifo()
}

/// The attributes that belong to a file. Others steer this host's kernel (`trusted.overlay.*`,
/// labels of security modules): an image has no say there.
fn xattrs<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix(PAX_XATTR)) else { continue };
        let is_users = name.starts_with("user.") && !name.starts_with("user.overlay.");
        if name == "security.capability" || is_users {
            found.push((name.to_string(), extension.value_bytes().to_vec()));
        }
    }
    Ok(found)
}

fn set_xattrs(path: &Path, xattrs: &[(String, Vec<u8>)]) -> io::Result<()> {
    for (name, value) in xattrs {
        match rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty()) {
            // Not every file system keeps a user's attributes.
            Err(rustix::io::Errno::OPNOTSUPP) if name.starts_with("user.") => {}
            result => result?,
        }
    }
    Ok(())
}

fn leaves(path: &Path) -> io::Error {
    io::Error::other(format!("{}: leaves the layer", path.display()))
}

/// The path below `dir`, links of earlier entries not followed.
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
            _ => return Err(leaves(path)),
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
    let device =
        rustix::fs::makedev(header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0));
    let mode = header.mode()? & 0o7777;
    make_node(target, kind, mode, device)?;
    lchown(target, Some(header.uid()? as u32), Some(header.gid()? as u32))?;
    fs::set_permissions(target, fs::Permissions::from_mode(mode))
}
