//! Processes: clone3, namespaces, credentials, signals, reaping.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks with namespace `flags`, on cgroup v2 directly into `cgroup`. Runs `child` in the child,
/// which never returns. The caller must be single-threaded: then the child may allocate.
pub fn clone(flags: i32, cgroup: Option<BorrowedFd>, child: impl FnOnce() -> i32) -> io::Result<i32> {
    let mut args = CloneArgs { flags: flags as u64, exit_signal: libc::SIGCHLD as u64, ..Default::default() };
    if let Some(dir) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = dir.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is fork: the child has its own copy of everything. The process
    // is single-threaded, so no lock is held by a thread that does not exist in the child.
    let ret = check(unsafe { libc::syscall(libc::SYS_clone3, &args, size_of::<CloneArgs>()) })?;
    if ret == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(125);
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(code) }
    }
    Ok(ret as i32)
}

/// pidfd_open(2).
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain call; the descriptor returned is ours.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::syscall(libc::SYS_pidfd_open, pid, 0))? as RawFd)) }
}

/// setns(2) with a namespace descriptor or a pidfd.
pub fn setns(fd: BorrowedFd, kinds: i32) -> io::Result<()> {
    // SAFETY: plain call.
    check(unsafe { libc::setns(fd.as_raw_fd(), kinds) }.into()).map(drop)
}

/// unshare(2).
pub fn unshare(kinds: i32) -> io::Result<()> {
    // SAFETY: plain call; the process is single-threaded.
    check(unsafe { libc::unshare(kinds) }.into()).map(drop)
}

/// kill(2); `pid` must be a child of ours that was not yet reaped, so that it cannot be reused.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: plain call.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// One ended child: (pid, raw wait status), without waiting.
pub fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: status is writable.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WALL) };
    (pid > 0).then_some((pid, status))
}

/// (exit code as a shell reports it, signal) of a raw wait status.
pub fn decode_status(status: i32) -> (i32, Option<i32>) {
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        (128 + signal, Some(signal))
    } else {
        (libc::WEXITSTATUS(status), None)
    }
}

/// prctl with one argument.
pub fn prctl(option: i32, argument: u64) -> io::Result<i32> {
    // SAFETY: only options that take plain integers are passed in this crate.
    check(unsafe { libc::prctl(option, argument, 0u64, 0u64, 0u64) }.into()).map(|r| r as i32)
}

/// All signals default and unblocked, as a program expects them after exec.
pub fn reset_signals() {
    // All zero is the default disposition in the kernel's `struct sigaction` on every
    // architecture. The raw call also reaches the two signals the C library keeps for itself,
    // which may be inherited as ignored.
    let default = [0u64; 4];
    // SAFETY: `default` is as large as the kernel's structure with its 8-byte mask and lives across
    // the call; the set is initialised before use. Errors (SIGKILL, SIGSTOP) do not matter.
    unsafe {
        for signal in 1..=64 {
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, 8usize);
        }
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
    }
}

/// A signalfd for SIGCHLD, which is blocked; non-blocking.
pub fn signalfd() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised before use; the descriptor returned is ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
        let fd = check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// dup2 onto 0, 1 or 2: the copy survives exec.
pub fn dup_onto(fd: BorrowedFd, target: RawFd) -> io::Result<()> {
    // SAFETY: plain calls; when both are equal dup2 would leave the close-on-exec flag.
    unsafe {
        if fd.as_raw_fd() == target {
            return super::fs::set_cloexec(target, false);
        }
        check(libc::dup2(fd.as_raw_fd(), target).into()).map(drop)
    }
}

/// Marks every descriptor from `first` on close-on-exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: changes flags only.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Closes every descriptor from `first` on. Only for a child that owns nothing any more.
pub fn close_from(first: u32) {
    // SAFETY: the caller (a child about to loop in `pause`) never touches a descriptor again.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAP_VERSION_3: u32 = 0x2008_0522;

/// Our permitted set.
pub fn permitted() -> io::Result<u64> {
    let header = CapHeader { version: CAP_VERSION_3, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: version 3 writes two elements.
    check(unsafe { libc::syscall(libc::SYS_capget, &header, data.as_mut_ptr()) })?;
    Ok(u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32)
}

/// capset(2).
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    let header = CapHeader { version: CAP_VERSION_3, pid: 0 };
    let part = |shift: u32| CapData {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [part(0), part(32)];
    // SAFETY: version 3 reads two elements.
    check(unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) }).map(drop)
}

/// Groups and ids of the calling process, in the order that keeps the right to set them.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: raw calls act on this (only) thread; the slice is readable for its length.
    unsafe {
        check(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
        check(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        check(libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
    }
    Ok(())
}

/// Loads a seccomp program of 8-byte instructions.
pub fn load_filter(program: &[u8]) -> io::Result<()> {
    #[repr(C)]
    struct Program {
        len: u16,
        filter: *const u8,
    }
    let count = u16::try_from(program.len() / 8).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = Program { len: count, filter: program.as_ptr() };
    const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;
    // SAFETY: the program points at `len` instructions of 8 bytes that live across the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) }).map(drop)
}

/// setrlimit(2).
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: limit lives across the call.
    check(unsafe { libc::setrlimit(resource, &limit) }.into()).map(drop)
}

/// getrlimit(2): (soft, hard).
pub fn rlimit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is writable.
    check(unsafe { libc::getrlimit(resource, &mut limit) }.into())?;
    Ok((limit.rlim_cur, limit.rlim_max))
}
