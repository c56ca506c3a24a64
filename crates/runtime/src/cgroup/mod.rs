//! Control groups of one instance: version 1, hybrid and version 2 behind one set of calls that
//! take paths relative to the instance's own cgroup. Hierarchies are discovered from mountinfo and
//! only controllers that are present are used. In hybrid mode the same path is also made in the
//! unified tree, for `cgroup.kill`, `cgroup.events` and the controllers that live there.

mod convert;
pub(crate) mod devices;
mod stats;
mod v1;
mod v2;

pub use convert::{shares_to_weight, weight_to_shares};

use crate::error::{Context, Error, ErrorKind, Result};
use crate::spec::{Resources, Stats};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One mounted v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub mount: PathBuf,
    /// `cpu`, `memory`, ... or `name=systemd`.
    pub controllers: Vec<String>,
}

/// The cgroups of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    /// Absolute path of the instance's cgroup in every hierarchy, without the leading slash.
    instance: String,
    pub(crate) v1: Vec<Hierarchy>,
    /// The version 2 tree, alone or beside version 1 (hybrid).
    pub(crate) unified: Option<PathBuf>,
}

/// Where the daemon lives, below the instance.
pub const DAEMON: &str = "daemon";
/// Where the supervisor lives, below the instance.
pub const SUPERVISOR: &str = "supervisor";
/// Where the Pods live, below the instance.
pub const PODS: &str = "kubepods";

impl Cgroups {
    /// Finds the hierarchies of this host. `instance` is the instance's cgroup (`minke-1a2b`, or
    /// below a delegated one: `system.slice/minke.service`).
    pub fn discover(instance: &str) -> Result<Self> {
        let text = fs::read_to_string("/proc/self/mountinfo").setup("read mountinfo")?;
        let found = parse_mountinfo(&text, instance);
        if found.v1.is_empty() && found.unified.is_none() {
            return Err(Error::new(ErrorKind::Unsupported, "no cgroup hierarchy is mounted"));
        }
        check_path(instance)?;
        Ok(found)
    }

    /// True when the host has no version 1 hierarchy.
    pub fn is_v2(&self) -> bool {
        self.v1.is_empty()
    }

    /// The directory of `path` in the unified tree.
    pub fn unified_dir(&self, path: &str) -> Option<PathBuf> {
        self.unified.as_ref().map(|root| root.join(&self.instance).join(path))
    }

    pub(crate) fn dirs(&self, path: &str) -> Vec<PathBuf> {
        let v1 = self.v1.iter().map(|h| h.mount.join(&self.instance).join(path));
        v1.chain(self.unified_dir(path)).collect()
    }

    /// The directory of `path` in the hierarchy of a v1 `controller`.
    pub(crate) fn v1_dir(&self, controller: &str, path: &str) -> Option<PathBuf> {
        let hierarchy = self.v1.iter().find(|h| h.controllers.iter().any(|c| c == controller))?;
        Some(hierarchy.mount.join(&self.instance).join(path))
    }

    /// Makes the cgroup with missing parents and writes its limits. Existing ones are updated.
    pub fn create(&self, path: &str, resources: &Resources) -> Result<()> {
        check_path(path)?;
        for h in &self.v1 {
            v1::make(h, &self.instance, path)?;
        }
        if let Some(root) = &self.unified {
            v2::make(root, &self.instance, path)?;
        }
        self.update(path, resources)
    }

    /// Writes limits of an existing cgroup.
    pub fn update(&self, path: &str, resources: &Resources) -> Result<()> {
        check_path(path)?;
        for h in &self.v1 {
            v1::apply(&h.mount.join(&self.instance).join(path), &h.controllers, resources)?;
        }
        if let Some(dir) = self.unified_dir(path) {
            v2::apply(&dir, resources)?;
        }
        self.check_hugepages(resources)
    }

    fn check_hugepages(&self, resources: &Resources) -> Result<()> {
        let v1 = self.v1.iter().any(|h| h.controllers.iter().any(|c| c == "hugetlb"));
        let v2 = self.unified.as_ref().is_some_and(|r| v2::controllers(r).contains("hugetlb"));
        if resources.hugepages.iter().any(|(_, limit)| *limit > 0) && !v1 && !v2 {
            return Err(Error::new(ErrorKind::Unsupported, "the host has no hugetlb cgroup controller"));
        }
        Ok(())
    }

    /// The `cgroup.procs` files to write a pid to, in order to move it into `path`. The unified
    /// tree is left out when it is the only one: there processes are born in their cgroup.
    pub(crate) fn procs_files(&self, path: &str) -> Vec<PathBuf> {
        let mut dirs = self.dirs(path);
        dirs.iter_mut().for_each(|d| d.push("cgroup.procs"));
        dirs
    }

    /// Moves the calling process into `path`.
    pub fn enter(&self, path: &str) -> Result<()> {
        for file in self.procs_files(path) {
            crate::sys::fs::write_file(&file, "0").setup(format_args!("write {}", file.display()))?;
        }
        Ok(())
    }

    /// Pids in `path` and below.
    pub fn processes(&self, path: &str) -> Vec<i32> {
        let mut pids = Vec::new();
        for dir in self.dirs(path) {
            collect_processes(&dir, &mut pids);
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Sends SIGKILL to everything in `path` and below.
    pub fn kill(&self, path: &str) -> Result<()> {
        if let Some(dir) = self.unified_dir(path)
            && crate::sys::fs::write_file(dir.join("cgroup.kill"), "1").is_ok()
        {
            // In hybrid mode a process that was moved by somebody else may be missing there.
            if self.is_v2() {
                return Ok(());
            }
        }
        // SIGKILL cannot be outrun by forking for ever when pids are limited, and callers repeat
        // until the cgroup is empty.
        for pid in self.processes(path) {
            if pid != std::process::id() as i32 {
                let _ = crate::sys::process::kill(pid, libc::SIGKILL);
            }
        }
        Ok(())
    }

    /// Removes `path` and everything below from every hierarchy. Fails with `Io` while processes
    /// are left; a missing cgroup is fine.
    pub fn remove(&self, path: &str) -> Result<()> {
        check_path(path)?;
        for dir in self.dirs(path) {
            remove_tree(&dir).context(ErrorKind::Io, format_args!("remove cgroup {}", dir.display()))?;
        }
        Ok(())
    }

    /// Kills what is in `path` and removes it; blocks until done, at most `patience`.
    pub fn destroy(&self, path: &str, patience: Duration) -> Result<()> {
        // Blocking by contract; the clock here only bounds a wait for the kernel.
        #[allow(clippy::disallowed_methods)]
        let start = std::time::Instant::now();
        loop {
            self.kill(path)?;
            match self.remove(path) {
                Ok(()) => return Ok(()),
                Err(e) if start.elapsed() > patience => return Err(e),
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Moves the calling process out of the instance, to the root, if it is inside.
    pub fn leave(&self) -> Result<()> {
        let own = std::process::id() as i32;
        let roots = self.v1.iter().map(|h| &h.mount).chain(&self.unified);
        for root in roots {
            let mut inside = Vec::new();
            collect_processes(&root.join(&self.instance), &mut inside);
            if inside.contains(&own) {
                let file = root.join("cgroup.procs");
                crate::sys::fs::write_file(&file, "0").setup(format_args!("write {}", file.display()))?;
            }
        }
        Ok(())
    }

    /// Removes the instance's own cgroup, which must have no children left.
    pub fn remove_instance(&self) -> Result<()> {
        for root in self.v1.iter().map(|h| &h.mount).chain(&self.unified) {
            let dir = root.join(&self.instance);
            remove_tree(&dir).context(ErrorKind::Io, format_args!("remove cgroup {}", dir.display()))?;
        }
        Ok(())
    }

    /// True if the cgroup exists in any hierarchy.
    pub fn exists(&self, path: &str) -> bool {
        self.dirs(path).iter().any(|d| d.exists())
    }

    /// Names of the cgroups directly below `path`.
    pub fn children(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .dirs(path)
            .iter()
            .flat_map(|d| subdirectories(d))
            .filter_map(|d| d.file_name()?.to_str().map(str::to_owned))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Usage of `path` and below.
    pub fn stats(&self, path: &str) -> Result<Stats> {
        if !self.exists(path) {
            return Err(Error::not_found("cgroup", path));
        }
        Ok(stats::read(self, path))
    }

    /// How many processes of `path` itself were killed for memory.
    pub fn oom_kills(&self, path: &str) -> u64 {
        let file = match self.v1_dir("memory", path) {
            Some(dir) => dir.join("memory.oom_control"),
            None => match self.unified_dir(path) {
                Some(dir) => dir.join("memory.events"),
                None => return 0,
            },
        };
        fs::read_to_string(file).map(|t| stats::field(&t, "oom_kill")).unwrap_or(0)
    }
}

/// Relative, without `..` or empty parts.
fn check_path(path: &str) -> Result<()> {
    let good = !path.is_empty()
        && path.len() < 1024
        && path.split('/').all(|p| !p.is_empty() && p != "." && p != ".." && !p.contains('\0'));
    if good { Ok(()) } else { Err(Error::invalid(format!("invalid cgroup path {path:?}"))) }
}

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let dirs = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    dirs.map(|e| e.path()).collect()
}

fn collect_processes(dir: &Path, pids: &mut Vec<i32>) {
    if let Ok(text) = fs::read_to_string(dir.join("cgroup.procs")) {
        pids.extend(text.lines().filter_map(|l| l.parse::<i32>().ok()).filter(|p| *p > 0));
    }
    for child in subdirectories(dir) {
        collect_processes(&child, pids);
    }
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
            let children = subdirectories(dir);
            if children.is_empty() {
                return Err(e);
            }
            for child in children {
                remove_tree(&child)?;
            }
            match fs::remove_dir(dir) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            }
        }
        other => other,
    }
}

fn parse_mountinfo(text: &str, instance: &str) -> Cgroups {
    let mut found =
        Cgroups { instance: instance.trim_matches('/').to_owned(), v1: Vec::new(), unified: None };
    for line in text.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(mount) = left.split(' ').nth(4) else { continue };
        let mount = PathBuf::from(mount.replace("\\040", " "));
        let mut right = right.split(' ');
        let (kind, options) = (right.next().unwrap_or(""), right.nth(1).unwrap_or(""));
        match kind {
            "cgroup2" if found.unified.is_none() => found.unified = Some(mount),
            "cgroup" => {
                let skip = ["rw", "ro", "xattr", "noprefix", "clone_children", "none", "favordynmods"];
                let controllers: Vec<String> = options
                    .split(',')
                    .filter(|o| !skip.contains(o) && !o.starts_with("release_agent="))
                    .map(str::to_owned)
                    .collect();
                // A hierarchy mounted twice, and named ones other than systemd's, are not ours.
                let ours = |c: &String| !c.starts_with("name=") || c == "name=systemd";
                let known = found.v1.iter().any(|h| h.controllers == controllers);
                if !known && !controllers.is_empty() && controllers.iter().all(ours) {
                    found.v1.push(Hierarchy { mount, controllers });
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_hierarchies_are_found_once_each() {
        let text = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 31 0:29 / /elsewhere rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,release_agent=/x,name=systemd
42 31 0:37 / /sys/fs/cgroup/other rw - cgroup x rw,name=other
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        let found = parse_mountinfo(text, "/minke-1/");
        let controllers: Vec<_> = found.v1.iter().map(|h| h.controllers.join(",")).collect();
        assert_eq!(controllers, ["cpu,cpuacct", "memory", "name=systemd"]);
        assert_eq!(found.unified, Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(found.v1_dir("cpuacct", "a/b"), Some("/sys/fs/cgroup/cpu,cpuacct/minke-1/a/b".into()));
        assert!(!found.is_v2());
    }

    #[test]
    fn paths_stay_below_the_instance() {
        for bad in ["", "/", "/a", "a/", "a//b", "..", "a/../b", "."] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
        assert!(check_path("kubepods/pod1/c").is_ok());
    }
}
