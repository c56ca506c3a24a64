//! Puts a payload into a directory so that a reader sees either the old files or the new ones:
//! real files lie in a fresh `..<time>` directory, `..data` is a link to it that is swapped by
//! rename, and the visible names are links through `..data`. Upstream's AtomicWriter.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path};

use crate::payload::Payload;

const DATA_LINK: &str = "..data";
const DATA_LINK_NEW: &str = "..data_tmp";

/// Writes `payload` below `dir`; false if it was there already. `name` makes the data directory
/// unique (a time stamp). `group` owns the files where a Pod has an fsGroup.
pub fn write(dir: &Path, payload: &Payload, name: &str, group: Option<u32>) -> io::Result<bool> {
    check_paths(payload)?;
    let current = fs::read_link(dir.join(DATA_LINK)).ok();
    if let Some(current) = &current
        && same(&dir.join(current), payload)
    {
        return Ok(false);
    }
    let fresh = format!("..{name}");
    let data = dir.join(&fresh);
    fs::DirBuilder::new().mode(0o755).create(&data)?;
    for (path, file) in payload {
        let target = data.join(path);
        if let Some(parent) = target.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        let mode = if group.is_some() { file.mode | 0o440 } else { file.mode };
        let out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target)?;
        io::Write::write_all(&mut &out, &file.bytes)?;
        if let Some(gid) = group {
            std::os::unix::fs::fchown(&out, None, Some(gid))?;
        }
        // After the chown, which would clear the set-id bits; and whatever the umask is.
        out.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    let _ = fs::remove_file(dir.join(DATA_LINK_NEW));
    symlink(&fresh, dir.join(DATA_LINK_NEW))?;
    fs::rename(dir.join(DATA_LINK_NEW), dir.join(DATA_LINK))?;
    visible_names(dir, payload)?;
    if let Some(old) = current {
        fs::remove_dir_all(dir.join(old))?;
    }
    Ok(true)
}

/// Links the top-level names through `..data` and drops those that are no longer there.
fn visible_names(dir: &Path, payload: &Payload) -> io::Result<()> {
    let wanted: BTreeSet<&str> = payload.keys().filter_map(|path| path.split('/').next()).collect();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with("..")) else { continue };
        if !wanted.contains(name) {
            fs::remove_file(dir.join(name))?;
        }
    }
    for name in wanted {
        match symlink(Path::new(DATA_LINK).join(name), dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn same(data: &Path, payload: &Payload) -> bool {
    let unchanged = payload.iter().all(|(path, file)| {
        let target = data.join(path);
        let mode = fs::metadata(&target).map(|m| m.permissions().mode() & 0o7777);
        let kept = mode.is_ok_and(|mode| mode & file.mode == file.mode);
        kept && fs::read(target).is_ok_and(|bytes| bytes == file.bytes)
    });
    unchanged && count_files(data) == payload.len()
}

fn count_files(dir: &Path) -> usize {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries.flatten().map(|e| if e.path().is_dir() { count_files(&e.path()) } else { 1 }).sum()
}

/// The API refuses such paths already; a volume must not write outside itself whatever it is fed.
fn check_paths(payload: &Payload) -> io::Result<()> {
    for path in payload.keys() {
        let inside = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
        if path.is_empty() || !inside || path.starts_with("..") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("invalid path in volume: {path:?}"),
            ));
        }
    }
    Ok(())
}
