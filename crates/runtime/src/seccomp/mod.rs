//! System call filters: an OCI profile, or the built-in one, to a classic BPF program. Done by the
//! daemon; the supervisor only carries bytes. No library of C is involved.

mod bpf;
mod default;
mod profile;
mod syscalls;

pub use profile::{Action, Arg, Operator, Profile, SyscallRule};

use crate::error::Result;
use crate::spec::{Capabilities, Seccomp};

/// The program for a container with these capabilities (the built-in profile opens calls that a
/// capability is for). Empty for `Unconfined`. Fails with `Invalid` on a broken profile and with
/// `Unsupported` on one that needs a notification listener.
pub fn compile(seccomp: &Seccomp, capabilities: &Capabilities) -> Result<Vec<u8>> {
    match seccomp {
        Seccomp::Unconfined => Ok(Vec::new()),
        Seccomp::RuntimeDefault => default::profile(capabilities.bounding).compile(),
        Seccomp::Profile(json) => Profile::parse(json)?.compile(),
    }
}

impl Profile {
    /// The program, eight bytes per instruction.
    pub fn compile(&self) -> Result<Vec<u8>> {
        bpf::compile(self)
    }
}

#[cfg(test)]
mod tests;
