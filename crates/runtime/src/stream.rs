//! A pipe, terminal or socket of a container for use with tokio.

use crate::error::{Context as _, ErrorKind, Result};
use crate::sys;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One end of a container's standard stream. Reads and writes as far as its kind allows; a
/// terminal does both (`tokio::io::split`). Dropping it closes it. The end of a terminal reads as
/// end of file.
#[derive(Debug)]
pub struct Stream(AsyncFd<OwnedFd>);

/// Registers a descriptor with the runtime's reactor.
pub(crate) fn register(fd: OwnedFd) -> Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd names the same open file from here until the AsyncFd drops it, which
    // deregisters first.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from).context(ErrorKind::Io, "register descriptor")
}

impl Stream {
    /// Takes a descriptor; must be called inside a tokio runtime with IO enabled.
    pub fn new(fd: OwnedFd) -> Result<Self> {
        sys::fs::set_nonblocking(fd.as_fd(), true).context(ErrorKind::Io, "O_NONBLOCK")?;
        register(fd).map(Stream)
    }

    /// Sets the window size, if this is a terminal.
    pub fn resize(&self, rows: u16, cols: u16) -> Result<()> {
        sys::fs::resize_terminal(self.0.get_ref().as_fd(), rows, cols).context(ErrorKind::Io, "resize")
    }

    /// The descriptor itself.
    pub fn into_fd(self) -> OwnedFd {
        self.0.into_inner()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            match guard.try_io(|fd| sys::fs::read(fd.get_ref().as_fd(), space)) {
                Ok(Ok(n)) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(e)) if e.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(e)) => return Poll::Ready(Err(e)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            match guard.try_io(|fd| sys::fs::write(fd.get_ref().as_fd(), data)) {
                Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the output of a socket; pipes and terminals end when they are dropped.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // SAFETY: plain call; refused by what is no socket, which is fine.
        unsafe { libc::shutdown(self.0.get_ref().as_raw_fd(), libc::SHUT_WR) };
        Poll::Ready(Ok(()))
    }
}
