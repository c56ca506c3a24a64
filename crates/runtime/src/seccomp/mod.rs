//! System call filters: an OCI profile, or the built-in one, to a classic BPF program. Done by the
//! daemon; the supervisor only carries bytes. No library of C is involved.

mod bpf;
mod default;
mod profile;
mod syscalls;

pub use profile::{Action, Arg, Operator, Profile, SyscallRule};

use crate::error::Result;
use crate::spec::{Capabilities, Seccomp};
use std::sync::{Mutex, PoisonError};

/// The program for a container with these capabilities (the built-in profile opens calls that a
/// capability is for). Empty for `Unconfined`. Fails with `Invalid` on a broken profile and with
/// `Unsupported` on one that needs a notification listener.
pub fn compile(seccomp: &Seccomp, capabilities: &Capabilities) -> Result<Vec<u8>> {
    match seccomp {
        Seccomp::Unconfined => Ok(Vec::new()),
        Seccomp::RuntimeDefault => compile_default(capabilities.bounding),
        Seccomp::Profile(json) => Profile::parse(json)?.compile(),
    }
}

/// Nearly every container has the same capabilities: the last program is kept.
fn compile_default(bounding: u64) -> Result<Vec<u8>> {
    static LAST: Mutex<Option<(u64, Vec<u8>)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, program)) = &*last
        && *of == bounding
    {
        return Ok(program.clone());
    }
    let program = default::profile(bounding).compile()?;
    *last = Some((bounding, program.clone()));
    Ok(program)
}

impl Profile {
    /// The program, eight bytes per instruction.
    pub fn compile(&self) -> Result<Vec<u8>> {
        bpf::compile(self)
    }
}

#[cfg(test)]
mod tests;
