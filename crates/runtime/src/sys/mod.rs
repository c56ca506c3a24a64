//! Thin, safe wrappers of the system calls this crate needs: one function per call, descriptors
//! owned, errors as `io::Error`. No policy.

pub mod fs;
pub mod mount;
pub mod process;
pub mod socket;

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// -1 to errno.
pub fn check(ret: libc::c_long) -> io::Result<libc::c_long> {
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(ret) }
}

/// A path or string as C wants it; a NUL inside is an invalid argument.
pub fn cstr(path: impl AsRef<Path>) -> io::Result<CString> {
    CString::new(path.as_ref().as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// The wall clock.
pub fn now() -> u64 {
    // The supervisor is a process of its own without an `Env`: its clock is the system's.
    #[allow(clippy::disallowed_methods)]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map(|d| d.as_nanos() as u64).unwrap_or(0)
}
