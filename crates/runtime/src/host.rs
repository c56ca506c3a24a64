//! Small facts of the host that a caller needs to write specifications.

use crate::error::{Context, Result};
use crate::spec::Device;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Every device node of the host's /dev, for privileged containers. Terminals and what a container
/// has of its own are left out.
pub fn host_devices() -> Result<Vec<Device>> {
    let mut found = Vec::new();
    let mut todo = vec![PathBuf::from("/dev")];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).setup(format_args!("read {}", dir.display()))?.flatten() {
            let path = entry.path();
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            let kind = meta.file_type();
            let own = ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/.lxc", "/dev/.lxd-mounts"];
            if kind.is_dir() && !own.iter().any(|o| path == Path::new(o)) {
                todo.push(path);
            } else if (kind.is_char_device() || kind.is_block_device()) && path != Path::new("/dev/console") {
                found.push(Device {
                    kind: if kind.is_block_device() { 'b' } else { 'c' },
                    major: libc::major(meta.rdev()),
                    minor: libc::minor(meta.rdev()),
                    mode: meta.mode() & 0o7777,
                    uid: meta.uid(),
                    gid: meta.gid(),
                    access: "rwm".to_owned(),
                    path,
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The number of a signal by name (`SIGTERM`, `TERM`, `RTMIN+3`) or number.
pub fn signal_number(name: &str) -> Option<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let upper = name.trim().to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |text: &str| -> Option<i32> {
        if let Some(rest) = text.strip_prefix("RTMIN") {
            return Some(34 + if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse::<i32>().ok()? });
        }
        let rest = text.strip_prefix("RTMAX")?;
        Some(64 - if rest.is_empty() { 0 } else { rest.strip_prefix('-')?.parse::<i32>().ok()? })
    };
    let number = bare
        .parse::<i32>()
        .ok()
        .or_else(|| NAMES.iter().position(|n| *n == bare).map(|i| i as i32 + 1))
        .or_else(|| real_time(bare))?;
    (1..=64).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (name, number) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("9", Some(9)),
            ("SIGSYS", Some(31)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGRTMAX", Some(64)),
            ("0", None),
            ("65", None),
            ("NOPE", None),
        ] {
            assert_eq!(signal_number(name), number, "{name}");
        }
    }
}
