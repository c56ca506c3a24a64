//! Sequenced-packet sockets that carry descriptors.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::limits::MESSAGE_FDS;

const CONTROL_BYTES: usize = 128; // CMSG_SPACE(MESSAGE_FDS * 4) is 48; generous.

/// Control messages must be aligned like `cmsghdr`.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// A connected pair.
pub fn pair(kind: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: fds has room for two descriptors, which are ours afterwards.
    unsafe {
        check(libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()).into())?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

fn address(path: &str) -> io::Result<libc::sockaddr_un> {
    // SAFETY: all zero is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    if path.len() >= address.sun_path.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(address)
}

fn new_socket() -> io::Result<OwnedFd> {
    // SAFETY: the descriptor returned is ours.
    unsafe {
        let fd = check(libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0).into())?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// A listening socket at `path`.
pub fn listen(path: &str) -> io::Result<OwnedFd> {
    let (socket, address) = (new_socket()?, address(path)?);
    // SAFETY: the address lives across the call and its size is given.
    unsafe {
        let (at, len) = ((&raw const address).cast(), size_of_val(&address) as u32);
        check(libc::bind(socket.as_raw_fd(), at, len).into())?;
        check(libc::listen(socket.as_raw_fd(), 4).into())?;
    }
    Ok(socket)
}

/// Connects to `path`.
pub fn connect(path: &str) -> io::Result<OwnedFd> {
    let (socket, address) = (new_socket()?, address(path)?);
    // SAFETY: the address lives across the call and its size is given.
    unsafe {
        let (at, len) = ((&raw const address).cast(), size_of_val(&address) as u32);
        check(libc::connect(socket.as_raw_fd(), at, len).into())?;
    }
    Ok(socket)
}

/// Accepts one connection, non-blocking.
pub fn accept(listener: BorrowedFd) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let null = std::ptr::null_mut();
    // SAFETY: the peer's address is not asked for; the descriptor returned is ours.
    unsafe {
        let fd = check(libc::accept4(listener.as_raw_fd(), null, null.cast(), flags).into())?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// User id of the process at the other end.
pub fn peer_uid(socket: BorrowedFd) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = size_of::<libc::ucred>() as u32;
    let (fd, at) = (socket.as_raw_fd(), (&raw mut peer).cast());
    // SAFETY: peer is writable for len bytes.
    let ret = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, at, &mut len) };
    check(ret.into())?;
    Ok(peer.uid)
}

/// Sends one datagram with descriptors.
pub fn send(socket: BorrowedFd, data: &[u8], fds: &[BorrowedFd]) -> io::Result<()> {
    debug_assert!(fds.len() <= MESSAGE_FDS);
    let mut control = Control([0; CONTROL_BYTES]);
    let mut iov = libc::iovec { iov_base: data.as_ptr() as *mut _, iov_len: data.len() };
    // SAFETY: the header points at one iovec and a control buffer with room for MESSAGE_FDS
    // descriptors, all of which live across the call; CMSG_DATA may be written for their size.
    unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &mut iov;
        header.msg_iovlen = 1;
        if !fds.is_empty() {
            let bytes = size_of_val(fds) as u32;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = libc::CMSG_SPACE(bytes) as usize;
            let cmsg = libc::CMSG_FIRSTHDR(&header);
            (*cmsg).cmsg_level = libc::SOL_SOCKET;
            (*cmsg).cmsg_type = libc::SCM_RIGHTS;
            (*cmsg).cmsg_len = libc::CMSG_LEN(bytes) as usize;
            let at = libc::CMSG_DATA(cmsg).cast::<i32>();
            for (i, fd) in fds.iter().enumerate() {
                at.add(i).write_unaligned(fd.as_raw_fd());
            }
        }
        check(libc::sendmsg(socket.as_raw_fd(), &header, libc::MSG_NOSIGNAL) as libc::c_long)?;
    }
    Ok(())
}

/// Receives one datagram with its descriptors; 0 bytes means the other end is closed. A datagram
/// larger than the buffer is an error.
pub fn receive(socket: BorrowedFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = Control([0; CONTROL_BYTES]);
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut fds = Vec::new();
    // SAFETY: the header points at one writable iovec and a writable control buffer; the kernel
    // says how much of it holds control messages, and CMSG_NXTHDR stays inside. Descriptors
    // received are ours.
    unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &mut iov;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_BYTES;
        let n =
            check(libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_CMSG_CLOEXEC) as libc::c_long)?;
        let mut cmsg = libc::CMSG_FIRSTHDR(&header);
        while !cmsg.is_null() {
            if (*cmsg).cmsg_level == libc::SOL_SOCKET && (*cmsg).cmsg_type == libc::SCM_RIGHTS {
                let count = ((*cmsg).cmsg_len - libc::CMSG_LEN(0) as usize) / size_of::<i32>();
                let at = libc::CMSG_DATA(cmsg).cast::<i32>();
                for i in 0..count {
                    fds.push(OwnedFd::from_raw_fd(at.add(i).read_unaligned()));
                }
            }
            cmsg = libc::CMSG_NXTHDR(&header, cmsg);
        }
        if header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        Ok((n as usize, fds))
    }
}

/// send(2) on a stream socket without SIGPIPE and without waiting: bytes taken.
pub fn send_some(socket: BorrowedFd, data: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the data is readable for its length.
    check(unsafe { libc::send(socket.as_raw_fd(), data.as_ptr().cast(), data.len(), flags) } as libc::c_long)
        .map(|n| n as usize)
}
