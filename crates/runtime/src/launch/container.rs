//! Starting a container's first process.

use super::process::{self, Stdio};
use super::rootfs::{self, Facts};
use super::{Channel, Namespaces, ProcessConfig, Report, begin, enter_cgroups};
use crate::cgroup::Cgroups;
use crate::error::{Context, Error, Result};
use crate::spec::ContainerSpec;
use crate::sys;
use std::os::fd::{AsFd, OwnedFd};

/// What the child needs besides its specification.
pub struct Start<'a> {
    pub spec: &'a ContainerSpec,
    pub config: &'a ProcessConfig,
    pub namespaces: &'a Namespaces,
    pub host_ipc: bool,
    pub cgroups: &'a Cgroups,
    pub cgroup_path: &'a str,
    /// stdin if any, stdout, stderr; `None` with a terminal.
    pub pipes: Option<(Option<OwnedFd>, OwnedFd, OwnedFd)>,
}

/// The child; returns its exit code only on failure.
pub fn child(start: Start, channel: Channel) -> i32 {
    let error = run(start, &channel).err();
    if let Some(error) = error {
        let _ = channel.report(&Report::Failed(error), &[]);
    }
    128
}

fn run(start: Start, channel: &Channel) -> Result<()> {
    let Start { spec, config, namespaces, host_ipc, cgroups, cgroup_path, pipes } = start;
    begin()?;
    // On version 2 the process was born in its cgroup.
    if !cgroups.is_v2() {
        enter_cgroups(&cgroups.procs_files(cgroup_path))?;
    }
    let host = process::before_root(config)?;
    let facts = Facts { cgroups, cgroup_path, host_ipc };
    let prepared = rootfs::prepare(spec, &facts)?;
    let shared = [
        (&namespaces.net, libc::CLONE_NEWNET, "network"),
        (&namespaces.ipc, libc::CLONE_NEWIPC, "ipc"),
        (&namespaces.uts, libc::CLONE_NEWUTS, "uts"),
        (&namespaces.mnt, libc::CLONE_NEWNS, "mount"),
    ];
    for (fd, kind, name) in shared {
        if let Some(fd) = fd {
            sys::process::setns(fd.as_fd(), kind).setup(format_args!("join {name} namespace"))?;
        }
    }
    let mut unshared = libc::CLONE_NEWNS;
    if cgroups.is_v2() {
        unshared |= libc::CLONE_NEWCGROUP;
    }
    sys::process::unshare(unshared).setup("unshare")?;
    rootfs::build(spec, &facts, prepared)?;
    let stdio = match pipes {
        Some((stdin, stdout, stderr)) => Stdio::Pipes { stdin, stdout, stderr },
        None => Stdio::Terminal { size: None },
    };
    let error: Error = process::run(config, &spec.args, stdio, host, channel);
    Err(Error { message: format!("unable to start container process: {}", error.message), ..error })
}
