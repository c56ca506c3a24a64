//! What a cluster could leave on a host: mounts, cgroups, processes. Taken before and after, the
//! two must be equal.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[derive(Debug, PartialEq, Eq)]
pub struct Traces {
    pub mounts: BTreeSet<String>,
    pub cgroups: BTreeSet<String>,
    /// Names and ids of processes of the program.
    pub processes: BTreeSet<String>,
    pub ip_forward: String,
}

impl Traces {
    /// Everything that names `instance` or `dir`; the sysctl is that of the calling thread's network.
    pub fn take(instance: &str, dir: &Path) -> Traces {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let dir = dir.to_string_lossy().into_owned();
        let mounts = text("/proc/self/mounts");
        let mounts = mounts.lines().filter(|line| line.contains(&dir) || line.contains(instance));
        Traces {
            mounts: mounts.map(str::to_string).collect(),
            cgroups: cgroups(Path::new("/sys/fs/cgroup"), instance, 3),
            processes: processes(&dir),
            ip_forward: text("/proc/sys/net/ipv4/ip_forward"),
        }
    }
}

fn cgroups(dir: &Path, instance: &str, depth: u32) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy() == instance {
            found.insert(path.to_string_lossy().into_owned());
        }
        if depth > 0 {
            found.extend(cgroups(&path, instance, depth - 1));
        }
    }
    found
}

/// Processes whose command line names the data directory.
fn processes(dir: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(dir) && pid != std::process::id() {
            found.insert(format!("{pid} {command}"));
        }
    }
    found
}
