//! A route netlink socket, in this network namespace or another one.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::message::Batch;

/// Room for the acknowledgements of one batch.
const RECEIVE_BYTES: usize = 32 << 10;

pub struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// A socket in the calling thread's network namespace.
    pub fn open() -> io::Result<Socket> {
        // SAFETY: plain system call; the result is checked before use.
        let fd = unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is a fresh descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let on: libc::c_int = 1;
        // SAFETY: the pointer and length describe `on`; failure only means longer error messages.
        unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_NETLINK,
                libc::NETLINK_CAP_ACK,
                std::ptr::from_ref(&on).cast(),
                size_of_val(&on) as u32,
            );
        }
        Ok(Socket { fd })
    }

    /// A socket in the network namespace behind `netns`; a socket stays in the namespace it was
    /// made in. The calling thread visits it, so this must not run on an async worker thread.
    pub fn open_in(netns: BorrowedFd<'_>) -> io::Result<Socket> {
        crate::netns::visit(netns, Socket::open)?
    }

    /// Sends a batch and waits for all acknowledgements; the first error counts.
    pub(crate) fn send(&self, batch: &Batch) -> io::Result<()> {
        self.write(&batch.bytes)?;
        let mut left = batch.count;
        let mut first = Ok(());
        while left > 0 {
            self.receive(|kind, payload| {
                if kind == libc::NLMSG_ERROR as u16 {
                    left = left.saturating_sub(1);
                    let code = i32::from_ne_bytes(payload[..4].try_into().expect("an error holds a code"));
                    if code != 0 && first.is_ok() {
                        first = Err(io::Error::from_raw_os_error(-code));
                    }
                }
            })?;
        }
        first
    }

    /// Sends one request and hands every message of the answer to `each` until the acknowledgement.
    pub(crate) fn query(&self, batch: &Batch, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.write(&batch.bytes)?;
        let mut done = false;
        let mut result = Ok(());
        while !done {
            self.receive(|kind, payload| {
                if kind == libc::NLMSG_ERROR as u16 {
                    let code = i32::from_ne_bytes(payload[..4].try_into().expect("an error holds a code"));
                    done = true;
                    if code != 0 {
                        result = Err(io::Error::from_raw_os_error(-code));
                    }
                } else if kind == libc::NLMSG_DONE as u16 {
                    done = true;
                } else {
                    each(kind, payload);
                }
            })?;
        }
        result
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: the pointer and length describe `bytes`, which outlives the call.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn receive(&self, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        let mut buffer = vec![0u8; RECEIVE_BYTES];
        // SAFETY: the pointer and length describe `buffer`, which outlives the call.
        let got = unsafe { libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut rest = &buffer[..got as usize];
        while rest.len() >= 16 {
            let length = u32::from_ne_bytes(rest[..4].try_into().expect("four bytes")) as usize;
            let kind = u16::from_ne_bytes(rest[4..6].try_into().expect("two bytes"));
            if length < 16 || length > rest.len() {
                break;
            }
            each(kind, &rest[16..length]);
            rest = &rest[(length.next_multiple_of(4)).min(rest.len())..];
        }
        Ok(())
    }
}
