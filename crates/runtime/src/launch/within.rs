//! Paths inside a container's root, found and created without ever leaving it, whatever symbolic
//! links an image contains.

use crate::limits::SYMLINKS;
use crate::sys::fs::{mkdirat, open_in_root, openat, readlinkat};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// Opens `path` below `root` as a bare reference (O_PATH), symbolic links followed inside.
pub fn find(root: BorrowedFd, path: &Path) -> io::Result<OwnedFd> {
    open_in_root(root, path, libc::O_PATH)
}

/// As [`find`], but a missing directory (or empty file, if not `directory`) is created, with its
/// parents (0755, owned by root).
pub fn ensure(root: BorrowedFd, path: &Path, directory: bool) -> io::Result<OwnedFd> {
    match find(root, path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    // Components still to walk, last first; symbolic links are spliced in.
    let mut todo: Vec<PathBuf> = components(path).collect();
    todo.reverse();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == Path::new("..") {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        match find(root, &next) {
            Ok(_) => at = next,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let parent = find(root, &at)?;
                if let Ok(target) = readlinkat(parent.as_fd(), &part) {
                    links += 1;
                    if links > SYMLINKS {
                        return Err(io::Error::from_raw_os_error(libc::ELOOP));
                    }
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    let mut parts: Vec<PathBuf> = components(&target).collect();
                    parts.reverse();
                    todo.extend(parts);
                    continue;
                }
                let parent = reopen(root, &at)?;
                if todo.is_empty() && !directory {
                    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
                    openat(parent.as_fd(), &part, flags, 0o644).map(drop)
                } else {
                    mkdirat(parent.as_fd(), &part, 0o755)
                }
                .or_else(|e| if e.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) })?;
                at = next;
            }
            Err(e) => return Err(e),
        }
    }
    find(root, &at)
}

/// A directory in which entries may be made (mkdirat works on O_PATH too, openat with O_CREAT as
/// well; the separate name keeps the intent visible).
fn reopen(root: BorrowedFd, path: &Path) -> io::Result<OwnedFd> {
    open_in_root(root, path, libc::O_PATH | libc::O_DIRECTORY)
}

fn components(path: &Path) -> impl Iterator<Item = PathBuf> {
    path.components().filter_map(|c| match c {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn nothing_is_found_or_made_outside_the_root() {
        let base = std::env::temp_dir().join(format!("minke-within-{}", std::process::id()));
        let root = base.join("root");
        fs::create_dir_all(root.join("real")).unwrap();
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, root.join(at)).unwrap();
        link("/real", "absolute");
        link("../../../../outside", "up");
        link("dangling/deep", "hang");
        link("loop", "loop");
        let fd = crate::sys::fs::open(&root, libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        let table = [
            ("/absolute/a/b", true, Some("real/a/b")),
            ("/up/x", true, Some("outside/x")),
            ("/hang/file", false, Some("dangling/deep/file")),
            ("/../../etc/hosts", false, Some("etc/hosts")),
            ("/loop/x", true, None),
        ];
        for (path, directory, expected) in table {
            let got = ensure(fd.as_fd(), Path::new(path), directory);
            match expected {
                Some(at) => {
                    got.unwrap();
                    assert_eq!(root.join(at).is_dir(), directory, "{path}");
                    assert!(root.join(at).exists(), "{path}");
                }
                None => assert!(got.is_err(), "{path}"),
            }
        }
        assert_eq!(fs::read_dir(&base).unwrap().count(), 1);
        fs::remove_dir_all(&base).unwrap();
    }
}
