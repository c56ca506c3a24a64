//! Output of containers: from its pipe or terminal to the log and to whoever is attached. A slow
//! client stops the reading (as a slow terminal would); a client that is gone does not.

use super::Supervisor;
use super::log::format_lines;
use super::poll;
use crate::sys;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// One source of output.
pub struct Stream {
    pub fd: OwnedFd,
    pub token: u64,
    /// Unfinished line.
    pub partial: Vec<u8>,
    /// Not read because a client is slow.
    pub paused: bool,
}

/// One attached client's socket for one stream.
pub struct Sink {
    pub fd: OwnedFd,
    pub token: u64,
    /// 0 stdout or terminal, 1 stderr.
    pub stream: usize,
    /// Taken from the container but not yet by the client.
    pub pending: Vec<u8>,
}

const CHUNK: usize = 16 << 10;
/// Reads in one turn before others get theirs.
const TURNS: usize = 4;
pub const STREAM_NAMES: [&str; 2] = ["stdout", "stderr"];

impl Supervisor {
    /// Reads what is there. `all` ignores slow clients: the process is gone, and a pipe holds
    /// little.
    pub fn pump(&mut self, id: &str, stream: usize, all: bool) {
        let mut buffer = [0u8; CHUNK];
        let turns = if all { usize::MAX } else { TURNS };
        for _ in 0..turns {
            let Some(c) = self.containers.get(id) else { return };
            let Some(s) = &c.streams[stream] else { return };
            if s.paused && !all {
                return;
            }
            match sys::fs::read(s.fd.as_fd(), &mut buffer) {
                Ok(0) => return self.end_stream(id, stream),
                Ok(n) => self.deliver(id, stream, &buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                // EIO is the end of a terminal whose last user is gone.
                Err(_) => return self.end_stream(id, stream),
            }
        }
    }

    fn deliver(&mut self, id: &str, stream: usize, data: &[u8]) {
        let Some(c) = self.containers.get_mut(id) else { return };
        if let (Some(log), Some(s)) = (&mut c.log, &mut c.streams[stream]) {
            log.write(&format_lines(STREAM_NAMES[stream], sys::now(), &mut s.partial, data, false));
        }
        let mut blocked = false;
        let mut gone = Vec::new();
        for (i, sink) in c.sinks.iter_mut().enumerate().filter(|(_, s)| s.stream == stream) {
            sink.pending.extend_from_slice(data);
            match flush(sink) {
                Ok(true) => {}
                Ok(false) => {
                    self.poll.change(&sink.fd, poll::WATCH | poll::WRITE, sink.token);
                    blocked = true;
                }
                Err(_) => gone.push(i),
            }
        }
        for i in gone.into_iter().rev() {
            let sink = c.sinks.remove(i);
            self.sources.remove(&sink.token);
            self.poll.remove(&sink.fd);
        }
        if blocked && let Some(s) = &mut c.streams[stream] {
            s.paused = true;
            self.poll.change(&s.fd, 0, s.token);
        }
    }

    fn end_stream(&mut self, id: &str, stream: usize) {
        let Some(c) = self.containers.get_mut(id) else { return };
        let Some(mut s) = c.streams[stream].take() else { return };
        if let Some(log) = &mut c.log {
            log.write(&format_lines(STREAM_NAMES[stream], sys::now(), &mut s.partial, b"", true));
        }
        self.poll.remove(&s.fd);
        self.sources.remove(&s.token);
        // Clients that took everything see the end; the others when they have.
        self.drop_sinks(id, |sink| sink.stream == stream && sink.pending.is_empty());
    }

    /// A client's socket is writable or gone.
    pub fn on_sink(&mut self, id: &str, token: u64, events: u32) {
        let Some(c) = self.containers.get_mut(id) else { return };
        let Some(sink) = c.sinks.iter_mut().find(|s| s.token == token) else { return };
        let stream = sink.stream;
        let outcome = if events & poll::GONE != 0 { Ok(None) } else { flush(sink).map(Some) };
        match outcome {
            Ok(Some(false)) => return,
            Ok(Some(true)) => {
                self.poll.change(&sink.fd, poll::WATCH, sink.token);
                if c.streams[stream].is_none() {
                    self.drop_sinks(id, |s| s.token == token);
                }
            }
            Ok(None) | Err(_) => self.drop_sinks(id, |s| s.token == token),
        }
        self.resume(id, stream);
    }

    fn resume(&mut self, id: &str, stream: usize) {
        let Some(c) = self.containers.get_mut(id) else { return };
        let blocked = c.sinks.iter().any(|s| s.stream == stream && !s.pending.is_empty());
        if let (false, Some(s)) = (blocked, &mut c.streams[stream]) {
            s.paused = false;
            self.poll.change(&s.fd, poll::READ, s.token);
        }
    }

    pub fn drop_sinks(&mut self, id: &str, which: impl Fn(&Sink) -> bool) {
        let Some(c) = self.containers.get_mut(id) else { return };
        let (dropped, kept) = c.sinks.drain(..).partition(|s| which(s));
        c.sinks = kept;
        for sink in dropped as Vec<Sink> {
            self.poll.remove(&sink.fd);
            self.sources.remove(&sink.token);
        }
    }
}

/// Sends what is pending: true when all of it went.
fn flush(sink: &mut Sink) -> io::Result<bool> {
    let mut done = 0;
    let result = loop {
        if done == sink.pending.len() {
            break Ok(true);
        }
        match sys::socket::send_some(sink.fd.as_fd(), &sink.pending[done..]) {
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break Ok(false),
            Err(e) => break Err(e),
        }
    };
    sink.pending.drain(..done);
    if sink.pending.is_empty() {
        sink.pending = Vec::new();
    }
    result
}
