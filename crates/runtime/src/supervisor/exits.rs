//! Ends of processes: reaping, and telling about it.

use super::Supervisor;
use super::state::*;
use crate::protocol::Event;
use crate::spec::*;
use crate::sys;
use std::os::fd::AsFd;

impl Supervisor {
    /// SIGCHLD: signals merge, so everything that ended is taken.
    pub fn on_signal(&mut self) {
        let mut buffer = [0u8; 1024];
        while sys::fs::read(self.signals.as_fd(), &mut buffer).is_ok_and(|n| n > 0) {}
        while let Some((pid, status)) = sys::process::reap() {
            self.on_exit(pid, status);
        }
    }

    fn on_exit(&mut self, pid: i32, status: i32) {
        let (code, signal) = sys::process::decode_status(status);
        let exit = Exit { code, signal, oom_killed: false, finished_at: sys::now() };
        match self.children.remove(&pid) {
            // Orphans of containers come to us as the subreaper and need nothing but reaping.
            None | Some(Child::Helper) => {}
            Some(Child::SandboxInit(id)) => {
                if let Some(s) = self.sandboxes.get_mut(&id) {
                    s.init = None;
                    if s.ready {
                        s.status.broken = true;
                        self.send_event(Event::SandboxBroken { id });
                    }
                }
            }
            Some(Child::Exec(exec)) => {
                if let Some(e) = self.execs.get_mut(&exec) {
                    e.exit = Some(exit);
                    if e.announced {
                        self.tell_exec_exit(exec);
                    }
                }
            }
            Some(Child::Container(id)) => self.on_container_exit(&id, exit),
        }
    }

    fn on_container_exit(&mut self, id: &str, mut exit: Exit) {
        let Some(c) = self.containers.get_mut(id) else { return };
        if c.status.start_error.is_some() {
            return; // already told, with the reason
        }
        let path = c.status.cgroup_path.clone();
        let kills = self.cgroups.oom_kills(&path);
        exit.oom_killed = kills > 0;
        let new_kills = kills > c.oom.seen;
        c.oom.seen = kills;
        c.status.exit = Some(exit);
        let started = !c.starting;
        if started {
            c.status.state = State::Exited;
        }
        if new_kills {
            self.send_event(Event::Oom { id: id.to_owned() });
        }
        // What it left behind outside its own PID namespace.
        let _ = self.cgroups.kill(&path);
        self.end_oom_watch(id);
        for stream in 0..2 {
            self.pump(id, stream, true);
        }
        if let Some(c) = self.containers.get_mut(id) {
            c.stdin = None;
        }
        if started {
            self.tell_exit(id);
        }
    }

    pub fn tell_exit(&mut self, id: &str) {
        if let Some(exit) = self.containers.get(id).and_then(|c| c.status.exit) {
            self.send_event(Event::Exited { id: id.to_owned(), exit });
        }
    }

    pub fn tell_exec_exit(&mut self, exec: u64) {
        if let Some(Exec { exit: Some(exit), .. }) = self.execs.remove(&exec) {
            self.send_event(Event::ExecExited { exec, exit });
        }
    }
}
