//! Starting a further process in a running container.

use super::process::{self, Stdio};
use super::{Channel, ProcessConfig, Report, begin, enter_cgroups};
use crate::cgroup::Cgroups;
use crate::error::{Context, Result};
use crate::spec::ExecSpec;
use crate::sys;
use std::os::fd::{AsFd, OwnedFd};

/// What the child needs besides its specification.
pub struct Exec<'a> {
    pub spec: &'a ExecSpec,
    pub config: &'a ProcessConfig,
    /// The container's first process, whose namespaces are joined (its PID namespace was by the
    /// clone).
    pub pidfd: OwnedFd,
    pub cgroups: &'a Cgroups,
    pub cgroup_path: &'a str,
    pub pipes: Option<(Option<OwnedFd>, OwnedFd, OwnedFd)>,
}

/// The child; returns its exit code only on failure.
pub fn child(exec: Exec, channel: Channel) -> i32 {
    if let Err(error) = run(exec, &channel) {
        let _ = channel.report(&Report::Failed(error), &[]);
    }
    128
}

fn run(exec: Exec, channel: &Channel) -> Result<()> {
    let Exec { spec, config, pidfd, cgroups, cgroup_path, pipes } = exec;
    begin()?;
    if !cgroups.is_v2() {
        enter_cgroups(&cgroups.procs_files(cgroup_path))?;
    }
    let mut config = config.clone();
    config.env.extend(spec.env.iter().cloned());
    if let Some(cwd) = &spec.cwd {
        config.cwd = cwd.clone();
    }
    if let Some(user) = &spec.user {
        config.user = user.clone();
    }
    config.tty = spec.tty;
    let host = process::before_root(&config)?;
    let mut kinds = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    if cgroups.is_v2() {
        kinds |= libc::CLONE_NEWCGROUP;
    }
    sys::process::setns(pidfd.as_fd(), kinds).setup("join namespaces of the container")?;
    let stdio = match pipes {
        Some((stdin, stdout, stderr)) => Stdio::Pipes { stdin, stdout, stderr },
        None => Stdio::Terminal { size: spec.size },
    };
    Err(process::run(&config, &spec.args, stdio, host, channel))
}
