//! Numbers of system calls per architecture: kernel facts, in a text table beside this file.

/// An architecture as the filter sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    I386,
    Aarch64,
}

impl Arch {
    /// AUDIT_ARCH_* of linux/audit.h.
    pub fn audit(self) -> u32 {
        match self {
            Arch::X86_64 => 0xc000_003e,
            Arch::I386 => 0x4000_0003,
            Arch::Aarch64 => 0xc000_00b7,
        }
    }

    /// The architecture this program is built for.
    pub fn native() -> Arch {
        if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 }
    }
}

/// (name, number) of every call of `arch`, by name.
pub fn table(arch: Arch) -> impl Iterator<Item = (&'static str, u32)> {
    let column = match arch {
        Arch::X86_64 => 1,
        Arch::I386 => 2,
        Arch::Aarch64 => 3,
    };
    include_str!("syscalls.txt").lines().filter(|l| !l.starts_with('#')).filter_map(move |line| {
        let mut parts = line.split(' ');
        let name = parts.next()?;
        Some((name, parts.nth(column - 1)?.parse().ok()?))
    })
}
