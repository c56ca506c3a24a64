//! Noticing that the kernel killed for memory while the container lives on: an eventfd on version
//! 1, inotify on version 2. The notice comes before the kill, so the counter is looked at for a
//! few ticks. Version 1 cannot kill a whole container: that is done here.

use super::poll;
use super::{Source, Supervisor};
use crate::protocol::Event;
use crate::sys;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Ticks to look at the counter after a notice.
const LOOKS: u32 = 50;

/// The inotify descriptor for memory.events files.
pub fn watcher() -> Option<OwnedFd> {
    // SAFETY: the descriptor returned is ours.
    unsafe {
        let fd = sys::check(libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK).into()).ok()?;
        Some(OwnedFd::from_raw_fd(fd as i32))
    }
}

fn eventfd(memory: &Path) -> io::Result<OwnedFd> {
    let control = sys::fs::open(memory.join("memory.oom_control"), libc::O_RDONLY, 0)?;
    // SAFETY: the descriptor returned is ours.
    let event = unsafe {
        let fd = sys::check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK).into())?;
        OwnedFd::from_raw_fd(fd as i32)
    };
    let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    sys::fs::write_file(memory.join("cgroup.event_control"), line)?;
    Ok(event)
}

impl Supervisor {
    /// Best effort: without notices kills are still found when the container ends.
    pub fn watch_oom(&mut self, id: &str, path: &str) {
        let Some(c) = self.containers.get_mut(id) else { return };
        if let Some(files) = &self.oom_files {
            let Some(dir) = self.cgroups.unified_dir(path) else { return };
            let Ok(name) = sys::cstr(dir.join("memory.events")) else { return };
            // SAFETY: the name is NUL-terminated and lives across the call.
            let watch = unsafe { libc::inotify_add_watch(files.as_raw_fd(), name.as_ptr(), libc::IN_MODIFY) };
            c.oom.watch = (watch >= 0).then_some(watch);
            return;
        }
        if !c.resources.memory_limited {
            return;
        }
        let Some(dir) = self.cgroups.v1_dir("memory", path) else { return };
        if let Ok(fd) = eventfd(&dir)
            && let Ok(token) = self.poll.add(&fd, poll::READABLE)
        {
            self.sources.insert(token, Source::Oom(id.to_owned()));
            c.oom.eventfd = Some((fd, token));
        }
    }

    pub fn end_oom_watch(&mut self, id: &str) {
        let Some(c) = self.containers.get_mut(id) else { return };
        c.oom.looks = 0;
        if let Some((fd, token)) = c.oom.eventfd.take() {
            self.poll.remove(&fd);
            self.sources.remove(&token);
        }
        if let (Some(watch), Some(files)) = (c.oom.watch.take(), &self.oom_files) {
            // SAFETY: plain call; a watch whose file is gone is already removed.
            unsafe { libc::inotify_rm_watch(files.as_raw_fd(), watch) };
        }
    }

    pub fn on_oom(&mut self, id: &str) {
        let Some(c) = self.containers.get_mut(id) else { return };
        if let Some((fd, _)) = &c.oom.eventfd {
            let _ = sys::fs::read(fd.as_fd(), &mut [0u8; 8]);
        }
        c.oom.looks = LOOKS;
    }

    pub fn on_oom_files(&mut self) {
        let Some(files) = &self.oom_files else { return };
        let mut buffer = [0u8; 4096];
        let mut watches = Vec::new();
        while let Ok(n) = sys::fs::read(files.as_fd(), &mut buffer) {
            let mut rest = &buffer[..n];
            // struct inotify_event: wd, mask, cookie, len, name[len]
            while let Some((head, tail)) = rest.split_at_checked(16) {
                let word = |i: usize| u32::from_ne_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
                watches.push(word(0) as i32);
                rest = tail.get(word(12) as usize..).unwrap_or(&[]);
            }
            if n == 0 {
                break;
            }
        }
        for c in self.containers.values_mut().filter(|c| c.oom.watch.is_some_and(|w| watches.contains(&w))) {
            c.oom.looks = LOOKS;
        }
    }

    pub fn looks_left(&self) -> bool {
        self.containers.values().any(|c| c.oom.looks > 0)
    }

    pub fn look_for_oom(&mut self) {
        let watched: Vec<String> =
            self.containers.values().filter(|c| c.oom.looks > 0).map(|c| c.status.id.clone()).collect();
        for id in watched {
            let Some(c) = self.containers.get_mut(&id) else { continue };
            c.oom.looks -= 1;
            let kills = self.cgroups.oom_kills(&c.status.cgroup_path);
            if kills <= c.oom.seen {
                continue;
            }
            c.oom.seen = kills;
            let (group, path) = (c.resources.oom_group, c.status.cgroup_path.clone());
            if group && !self.cgroups.is_v2() {
                let _ = self.cgroups.kill(&path);
            }
            self.send_event(Event::Oom { id });
        }
    }
}
