//! The descriptor-based mount interface (Linux 5.2 and later): mounts are made detached, changed,
//! and only then attached, by descriptor.

use super::{check, cstr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

pub const ATTR_RDONLY: u64 = 0x1;
pub const ATTR_NOSUID: u64 = 0x2;
pub const ATTR_NODEV: u64 = 0x4;
pub const ATTR_NOEXEC: u64 = 0x8;

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const OPEN_TREE_CLONE: libc::c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

fn own(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel just returned this descriptor to us and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// One option of a new file system.
#[derive(Debug, Clone, Copy)]
pub enum Option_<'a> {
    Flag(&'a str),
    Text(&'a str, &'a str),
}

/// The messages the kernel left in the context: far better than the bare errno.
fn explain(context: BorrowedFd, error: io::Error) -> io::Error {
    let mut buffer = [0u8; 512];
    match super::fs::read(context, &mut buffer) {
        Ok(n) if n > 2 => {
            let text = String::from_utf8_lossy(&buffer[2..n]).trim_end().to_owned();
            io::Error::new(error.kind(), format!("{}: {text}", crate::error::describe(&error)))
        }
        _ => error,
    }
}

/// A new, detached mount of file system `kind`.
pub fn filesystem(kind: &str, source: &str, options: &[Option_], attrs: u64) -> io::Result<OwnedFd> {
    let kind = cstr(kind)?;
    // SAFETY: the name is NUL-terminated and lives across the call.
    let context = own(check(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?);
    let context = std::os::fd::AsFd::as_fd(&context);
    let all = std::iter::once(Option_::Text("source", source)).chain(options.iter().copied());
    for option in all {
        let (cmd, key, value) = match option {
            Option_::Flag(key) => (FSCONFIG_SET_FLAG, cstr(key)?, None),
            Option_::Text(key, value) => (FSCONFIG_SET_STRING, cstr(key)?, Some(cstr(value)?)),
        };
        let value = value.as_ref().map_or(std::ptr::null(), |v| v.as_ptr());
        // SAFETY: key and value are NUL-terminated (or null, for a flag) and live across the call.
        check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), cmd, key.as_ptr(), value, 0) })
            .map_err(|e| explain(context, e))?;
    }
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: FSCONFIG_CMD_CREATE takes neither key nor value.
    check(unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, none, none, 0)
    })
    .map_err(|e| explain(context, e))?;
    // SAFETY: plain call with integers.
    check(unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attrs as libc::c_uint)
    })
    .map_err(|e| explain(context, e))
    .map(own)
}

/// A detached copy of the mount at `path` relative to `dir` (an empty path means `dir` itself).
pub fn clone_tree(dir: Option<BorrowedFd>, path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint;
    if recursive {
        flags |= libc::AT_RECURSIVE as libc::c_uint;
    }
    if path.as_os_str().is_empty() {
        flags |= libc::AT_EMPTY_PATH as libc::c_uint;
    }
    let path = cstr(path)?;
    let dir = dir.map_or(libc::AT_FDCWD, |d| d.as_raw_fd());
    // SAFETY: the path is NUL-terminated and lives across the call.
    check(unsafe { libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags) }).map(own)
}

/// Attaches a detached mount on what `target` refers to.
pub fn attach(mount: BorrowedFd, target: BorrowedFd) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are the empty C string.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// Sets and clears attributes, and the propagation (`MS_PRIVATE`, `MS_SLAVE`, or 0 to leave it).
pub fn set_attributes(mount: BorrowedFd, set: u64, propagation: u64, recursive: bool) -> io::Result<()> {
    let attr = MountAttr { set, clear: 0, propagation, userns: 0 };
    let mut flags = libc::AT_EMPTY_PATH as libc::c_uint;
    if recursive {
        flags |= libc::AT_RECURSIVE as libc::c_uint;
    }
    // SAFETY: attr lives across the call and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &attr,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Makes every mount of the calling process's namespace private.
pub fn make_all_private() -> io::Result<()> {
    let null = std::ptr::null();
    // SAFETY: only the target and flags are used for a change of propagation.
    check(
        unsafe { libc::mount(null, c"/".as_ptr(), null, libc::MS_REC | libc::MS_PRIVATE, null.cast()) }
            .into(),
    )
    .map(drop)
}

/// Makes the mount at `root` the root of the calling process's mount namespace and drops the old.
pub fn pivot_root(root: BorrowedFd) -> io::Result<()> {
    // SAFETY: all paths are C string constants; "." twice stacks the old root on the new one,
    // from where it is detached at once (pivot_root(2), "pivot_root(".", ".")").
    unsafe {
        check(libc::fchdir(root.as_raw_fd()).into())?;
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into())?;
        check(libc::chdir(c"/".as_ptr()).into())?;
    }
    Ok(())
}

/// umount2(MNT_DETACH).
pub fn detach(path: &Path) -> io::Result<()> {
    let path = cstr(path)?;
    // SAFETY: the path is NUL-terminated and lives across the call.
    check(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }.into()).map(drop)
}
