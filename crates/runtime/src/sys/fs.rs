//! Files by descriptor: openat2 inside a root, device nodes, pipes, memfds, terminals.

use super::{check, cstr};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_IN_ROOT: u64 = 0x10;

fn own(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel just returned this descriptor to us and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// Opens `path` as if `root` were `/`: neither `..` nor symbolic links leave it.
pub fn open_in_root(root: BorrowedFd, path: &Path, flags: i32) -> io::Result<OwnedFd> {
    let path = cstr(path)?;
    let how = OpenHow {
        flags: (flags | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    loop {
        // SAFETY: path and how live across the call; the size is that of how.
        let ret = unsafe {
            libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), &how, size_of::<OpenHow>())
        };
        match check(ret) {
            Ok(fd) => return Ok(own(fd)),
            // A rename elsewhere raced with the lookup of "..": the kernel asks us to try again.
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => continue,
            Err(e) => return Err(e),
        }
    }
}

/// open(2) with O_CLOEXEC.
pub fn open(path: impl AsRef<Path>, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    let path = cstr(path)?;
    // SAFETY: path is NUL-terminated and lives across the call.
    check(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, mode) }.into()).map(own)
}

/// openat(2) with O_CLOEXEC.
pub fn openat(dir: BorrowedFd, path: impl AsRef<Path>, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    let path = cstr(path)?;
    // SAFETY: path is NUL-terminated and lives across the call.
    check(unsafe { libc::openat(dir.as_raw_fd(), path.as_ptr(), flags | libc::O_CLOEXEC, mode) }.into())
        .map(own)
}

/// mkdirat(2).
pub fn mkdirat(dir: BorrowedFd, name: &Path, mode: u32) -> io::Result<()> {
    let name = cstr(name)?;
    // SAFETY: name is NUL-terminated and lives across the call.
    check(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode) }.into()).map(drop)
}

/// readlinkat(2).
pub fn readlinkat(dir: BorrowedFd, name: &Path) -> io::Result<std::path::PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let name = cstr(name)?;
    let mut buffer = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is writable for the length given.
    let len = check(unsafe {
        libc::readlinkat(dir.as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    } as libc::c_long)?;
    buffer.truncate(len as usize);
    Ok(std::ffi::OsString::from_vec(buffer).into())
}

/// mknodat(2) followed by chmod and chown, since mknod obeys the umask.
pub fn device(dir: BorrowedFd, name: &Path, mode: u32, dev: u64, owner: (u32, u32)) -> io::Result<()> {
    let c = cstr(name)?;
    // SAFETY: the name is NUL-terminated and lives across the calls.
    unsafe {
        check(libc::mknodat(dir.as_raw_fd(), c.as_ptr(), mode, dev).into())?;
        check(libc::fchmodat(dir.as_raw_fd(), c.as_ptr(), mode & 0o7777, 0).into())?;
        if owner != (0, 0) {
            check(libc::fchownat(dir.as_raw_fd(), c.as_ptr(), owner.0, owner.1, 0).into())?;
        }
    }
    Ok(())
}

/// symlinkat(2).
pub fn symlinkat(target: &str, dir: BorrowedFd, name: &str) -> io::Result<()> {
    let (target, name) = (cstr(target)?, cstr(name)?);
    // SAFETY: both strings are NUL-terminated and live across the call.
    check(unsafe { libc::symlinkat(target.as_ptr(), dir.as_raw_fd(), name.as_ptr()) }.into()).map(drop)
}

/// Writes all of `data` with one open; no creation, for control files.
pub fn write_file(path: impl AsRef<Path>, data: impl AsRef<[u8]>) -> io::Result<()> {
    let mut file: std::fs::File = open(path, libc::O_WRONLY, 0)?.into();
    file.write_all(data.as_ref())
}

/// A pipe, both ends close-on-exec and blocking: (read, write).
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: fds has room for the two descriptors, which are ours afterwards.
    unsafe {
        check(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC).into())?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// A memfd; close-on-exec unless `inherit`.
pub fn memfd(name: &str, inherit: bool) -> io::Result<OwnedFd> {
    let name = cstr(name)?;
    let flags = if inherit { 0 } else { libc::MFD_CLOEXEC };
    // SAFETY: name is NUL-terminated and lives across the call.
    check(unsafe { libc::memfd_create(name.as_ptr(), flags) }.into()).map(own)
}

/// Sets or clears O_NONBLOCK.
pub fn set_nonblocking(fd: BorrowedFd, on: bool) -> io::Result<()> {
    // SAFETY: plain fcntl on a descriptor that is open.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL).into())? as i32;
        let flags = if on { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
        check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags).into())?;
    }
    Ok(())
}

/// Sets or clears FD_CLOEXEC.
pub fn set_cloexec(fd: RawFd, on: bool) -> io::Result<()> {
    // SAFETY: plain fcntl.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, if on { libc::FD_CLOEXEC } else { 0 }) }.into()).map(drop)
}

/// Window size of a terminal.
pub fn resize_terminal(fd: BorrowedFd, rows: u16, cols: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ, &size) }.into()).map(drop)
}

/// Opens a terminal of the devpts at /dev/pts of the calling process: (master, slave). The slave
/// is opened through the master, so that no path in the container is trusted.
pub fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let master = open("/dev/pts/ptmx", libc::O_RDWR | libc::O_NOCTTY, 0)?;
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int; TIOCGPTPEER takes open flags and returns a descriptor.
    unsafe {
        check(libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &unlock).into())?;
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let slave = check(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags).into())?;
        Ok((master, own(slave)))
    }
}

/// read(2): bytes read, 0 at the end.
pub fn read(fd: BorrowedFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is writable for its length.
    check(unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) } as libc::c_long)
        .map(|n| n as usize)
}

/// write(2): bytes written.
pub fn write(fd: BorrowedFd, data: &[u8]) -> io::Result<usize> {
    // SAFETY: the data is readable for its length.
    check(unsafe { libc::write(fd.as_raw_fd(), data.as_ptr().cast(), data.len()) } as libc::c_long)
        .map(|n| n as usize)
}
