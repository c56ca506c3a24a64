//! epoll: descriptors are known by tokens that are never used twice.

use crate::sys::check;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

pub const READ: u32 = libc::EPOLLIN as u32 | libc::EPOLLRDHUP as u32;
pub const WRITE: u32 = libc::EPOLLOUT as u32;
/// Errors and hang-ups only.
pub const WATCH: u32 = libc::EPOLLRDHUP as u32;
pub const READABLE: u32 = libc::EPOLLIN as u32;
pub const GONE: u32 = (libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLRDHUP) as u32;

/// Events taken at once.
const BATCH: usize = 32;

pub struct Poll {
    epoll: OwnedFd,
    next: u64,
}

impl Poll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: the descriptor returned is ours.
        let epoll =
            unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC).into())? as i32) };
        Ok(Poll { epoll, next: 1 })
    }

    fn control(&self, op: i32, fd: i32, events: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: event lives across the call.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), op, fd, &mut event) }.into()).map(drop)
    }

    pub fn add(&mut self, fd: impl AsFd, events: u32) -> io::Result<u64> {
        let token = self.next;
        self.control(libc::EPOLL_CTL_ADD, fd.as_fd().as_raw_fd(), events, token)?;
        self.next += 1;
        Ok(token)
    }

    pub fn change(&self, fd: impl AsFd, events: u32, token: u64) {
        let _ = self.control(libc::EPOLL_CTL_MOD, fd.as_fd().as_raw_fd(), events, token);
    }

    /// To be called before the descriptor is closed: copies in children would keep it registered.
    pub fn remove(&self, fd: impl AsFd) {
        let _ = self.control(libc::EPOLL_CTL_DEL, fd.as_fd().as_raw_fd(), 0, 0);
    }

    /// Ready (token, events); waits at most `timeout_ms` (-1: for ever).
    pub fn wait(&self, timeout_ms: i32) -> io::Result<Vec<(u64, u32)>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        // SAFETY: events has room for BATCH elements.
        let n = check(
            unsafe {
                libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), BATCH as i32, timeout_ms)
            }
            .into(),
        );
        match n {
            Ok(n) => Ok(events[..n as usize].iter().map(|e| (e.u64, e.events)).collect()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }
}
