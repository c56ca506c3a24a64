//! Network namespaces: the current one, a fresh one, and work done inside another one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The network namespace of the calling thread.
pub fn current_netns() -> io::Result<OwnedFd> {
    Ok(std::fs::File::open("/proc/thread-self/ns/net")?.into())
}

/// A new, empty network namespace; it lives as long as its descriptor (or something inside).
pub fn new_netns() -> io::Result<OwnedFd> {
    let made = std::thread::spawn(|| {
        // SAFETY: only the network namespace of this short-lived thread changes.
        let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        if result < 0 { Err(io::Error::last_os_error()) } else { current_netns() }
    });
    made.join().map_err(|_| io::Error::other("the thread that makes a network namespace failed"))?
}

/// Runs `work` on a thread of its own inside `netns`; what it opens stays in that namespace.
pub fn in_netns<R: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> R + Send) -> io::Result<R> {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            enter(netns)?;
            Ok(work())
        });
        inside.join().map_err(|_| io::Error::other("the work inside a network namespace failed"))?
    })
}

/// Moves the calling thread for the time of `work`, which must not panic.
pub(crate) fn visit<R>(netns: BorrowedFd<'_>, work: impl FnOnce() -> R) -> io::Result<R> {
    let home = current_netns()?;
    enter(netns)?;
    let result = work();
    if let Err(error) = enter(home.as_fd()) {
        // A thread stuck in a Pod's namespace would do harm to every later caller.
        panic!("cannot return to the host's network namespace: {error}");
    }
    Ok(result)
}

fn enter(netns: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain system call on a descriptor that is open for its duration.
    let result = unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
