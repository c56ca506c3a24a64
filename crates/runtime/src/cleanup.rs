//! Removing what an instance left, with or without a living supervisor. Containers mount nothing in
//! the host's namespace, so what can be left is processes, cgroups and the socket.

use crate::SOCKET_NAME;
use crate::cgroup::{self, Cgroups};
use crate::error::{Context, Result};
use std::path::Path;
use std::time::Duration;

/// How long killed processes may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the whole instance: kills the supervisor, every container, and a daemon other than the
/// calling process that lives in the instance's cgroup; removes all cgroups (moving
/// the calling process to the root cgroup if it is inside), the socket, and mounts below `dir`.
/// Blocks, at most some seconds. Finding nothing is success.
pub fn cleanup(instance: &str, dir: &Path) -> Result<()> {
    let cgroups = Cgroups::discover(instance)?;
    remove_pods(&cgroups, dir)?;
    cgroups.leave()?;
    for name in cgroups.children("") {
        cgroups.destroy(&name, PATIENCE)?;
    }
    cgroups.remove_instance()?;
    let _ = std::fs::remove_file(dir.join("supervisor.log"));
    Ok(())
}

/// What a dead supervisor left: its containers, which normally died with it.
pub(crate) fn remove_pods(cgroups: &Cgroups, dir: &Path) -> Result<()> {
    // The supervisor first, or it would see its containers die.
    for path in [cgroup::SUPERVISOR, cgroup::PODS] {
        if cgroups.exists(path) {
            cgroups.destroy(path, PATIENCE)?;
        }
    }
    remove_mounts(dir)?;
    match std::fs::remove_file(dir.join(SOCKET_NAME)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).setup("remove the supervisor's socket"),
        _ => Ok(()),
    }
}

/// Detaches mounts at and below `dir`, deepest first.
fn remove_mounts(dir: &Path) -> Result<()> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").setup("read mountinfo")?;
    let points = text.lines().filter_map(|l| l.split(' ').nth(4)).map(|p| p.replace("\\040", " "));
    let mut below: Vec<String> = points.filter(|p| Path::new(p).starts_with(dir)).collect();
    below.sort_unstable();
    for point in below.into_iter().rev() {
        crate::sys::mount::detach(Path::new(&point)).setup(format_args!("unmount {point}"))?;
    }
    Ok(())
}
