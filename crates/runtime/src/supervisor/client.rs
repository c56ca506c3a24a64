//! The one connection to the daemon: framing, a bounded queue for when it is slow, and who may
//! connect at all.

use super::poll;
use super::{Source, Supervisor};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::CLIENT_QUEUE;
use crate::protocol::{Answer, Event, Message, Request, frame};
use crate::sys;
use serde::Deserialize;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

pub struct Client {
    pub fd: OwnedFd,
    pub token: u64,
    queue: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
}

/// The request id of work that no client waits for; clients count from 1.
pub const NOBODY: u64 = 0;

/// Enough of a request to refuse it.
#[derive(Deserialize)]
struct OnlyId {
    id: u64,
}

impl Supervisor {
    pub fn accept(&mut self) {
        let Ok(fd) = sys::socket::accept(self.listener.as_fd()) else { return };
        if sys::socket::peer_uid(fd.as_fd()).ok() != Some(0) {
            return;
        }
        // A dead predecessor may not have been noticed yet.
        if self.client.is_some() {
            self.on_client(poll::READABLE);
        }
        if self.client.is_none() {
            self.adopt_client(fd);
        }
    }

    pub fn adopt_client(&mut self, fd: OwnedFd) {
        let Ok(token) = self.poll.add(&fd, poll::READ) else { return };
        self.sources.insert(token, Source::Client);
        self.client = Some(Client { fd, token, queue: VecDeque::new() });
        let exits: Vec<Event> = self
            .containers
            .values()
            .filter(|c| !c.acknowledged && c.status.start_error.is_none())
            .filter_map(|c| Some(Event::Exited { id: c.status.id.clone(), exit: c.status.exit? }))
            .collect();
        exits.into_iter().for_each(|e| self.send_event(e));
    }

    fn drop_client(&mut self) {
        if let Some(client) = self.client.take() {
            self.poll.remove(&client.fd);
            self.sources.remove(&client.token);
        }
        // Nobody can ask about these any more, and the next client counts its requests anew.
        self.execs.retain(|_, e| e.exit.is_none());
        self.launches.values_mut().for_each(|l| l.request = NOBODY);
        self.removals.iter_mut().for_each(|r| r.request = NOBODY);
    }

    pub fn on_client(&mut self, events: u32) {
        if events & poll::WRITE != 0 {
            self.flush_client();
        }
        let mut buffer = [0u8; frame::BUFFER];
        while let Some(client) = &self.client {
            match sys::socket::receive(client.fd.as_fd(), &mut buffer) {
                Ok((0, _)) => return self.drop_client(),
                Ok((n, fds)) => self.on_datagram(&buffer[..n], fds),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.drop_client(),
            }
        }
    }

    fn on_datagram(&mut self, datagram: &[u8], mut fds: Vec<OwnedFd>) {
        // A client that does not speak the framing cannot be answered.
        let Ok(json) = frame::decode(datagram, &mut fds) else { return self.drop_client() };
        match serde_json::from_slice::<Request>(&json) {
            Ok(request) => self.on_call(request.id, request.call, fds),
            Err(e) => match serde_json::from_slice::<OnlyId>(&json) {
                Ok(OnlyId { id }) => {
                    let text = format!("the supervisor does not understand this request: {e}");
                    self.answer(id, Err(Error::new(ErrorKind::Unsupported, text)));
                }
                Err(_) => self.drop_client(),
            },
        }
    }

    pub fn answer(&mut self, request: u64, result: Result<Answer>) {
        self.answer_with(request, result, Vec::new());
    }

    pub fn answer_with(&mut self, request: u64, result: Result<Answer>, fds: Vec<OwnedFd>) {
        if request == NOBODY {
            return;
        }
        self.send(Message::Reply { id: request, result }, fds);
    }

    pub fn send_event(&mut self, event: Event) {
        self.send(Message::Event(event), Vec::new());
    }

    fn send(&mut self, message: Message, mut fds: Vec<OwnedFd>) {
        let Some(client) = &mut self.client else { return };
        let Ok(data) = frame::encode(&message, &mut fds) else { return self.drop_client() };
        client.queue.push_back((data, fds));
        if client.queue.len() > CLIENT_QUEUE {
            return self.drop_client();
        }
        self.flush_client();
    }

    fn flush_client(&mut self) {
        let Some(client) = &mut self.client else { return };
        while let Some((data, fds)) = client.queue.front() {
            let borrowed: Vec<_> = fds.iter().map(|f| f.as_fd()).collect();
            match sys::socket::send(client.fd.as_fd(), data, &borrowed) {
                Ok(()) => {
                    client.queue.pop_front();
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return self.poll.change(&client.fd, poll::READ | poll::WRITE, client.token);
                }
                Err(_) => return self.drop_client(),
            }
        }
        self.poll.change(&client.fd, poll::READ, client.token);
    }
}
