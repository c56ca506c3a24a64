//! Capability names and masks.

use crate::error::{Error, Result};

/// Names by number, without the `CAP_` prefix.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// All known capabilities.
pub const ALL: u64 = (1 << NAMES.len()) - 1;

/// The default of containerd: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
/// NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
pub const DEFAULT: u64 = 1
    | 1 << 1
    | 1 << 3
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 7
    | 1 << 8
    | 1 << 10
    | 1 << 13
    | 1 << 18
    | 1 << 27
    | 1 << 29
    | 1 << 31;

/// The mask of some names, with or without `CAP_`, any case; `ALL` is every capability. An unknown
/// name is `Invalid`.
pub fn mask<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<u64> {
    let mut mask = 0;
    for name in names {
        let upper = name.as_ref().to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if bare == "ALL" {
            return Ok(ALL);
        }
        match NAMES.iter().position(|n| *n == bare) {
            Some(bit) => mask |= 1 << bit,
            None => return Err(Error::invalid(format!("unknown capability {:?}", name.as_ref()))),
        }
    }
    Ok(mask)
}

/// Names of a mask, with `CAP_`.
pub fn names(mask: u64) -> Vec<String> {
    let set = NAMES.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1);
    set.map(|(_, name)| format!("CAP_{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_masks_are_inverse() {
        assert_eq!(mask(names(DEFAULT)).unwrap(), DEFAULT);
        assert_eq!(names(DEFAULT).len(), 14);
        assert_eq!(mask(["cap_net_admin", "NET_RAW"]).unwrap(), 1 << 12 | 1 << 13);
        assert_eq!(mask(["ALL"]).unwrap(), ALL);
        assert!(mask(["NOPE"]).unwrap_err().message.contains("\"NOPE\""));
    }
}
