//! `minke down`: ends the daemon, kills every container, and removes mounts, namespaces, links,
//! routes, cgroups and changed sysctls; with `--purge` the files too. Works from whatever state a
//! crash left, and again after it worked.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::data_dir::DataDir;
use crate::options::Down;

/// How long the daemon may take to end before it is killed.
const TERMINATE_WAIT: Duration = Duration::from_secs(10);
const KILL_WAIT: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(10);

pub fn run(options: &Down) -> Result<(), String> {
    let Ok(dir) = fs::canonicalize(&options.data.data_dir) else {
        println!("nothing to stop: {} does not exist", options.data.data_dir.display());
        return Ok(());
    };
    if !dir.join("format").exists() {
        return Err(format!("{} is no data directory of minke", dir.display()));
    }
    end_daemon(&dir)?;
    // From here on nobody else may start on the directory.
    let held = DataDir::take(&dir)?;
    remove_node(&dir)?;
    let _ = fs::remove_file(DataDir::ready_path(&dir));
    if options.purge {
        drop(held);
        match fs::remove_dir_all(&dir) {
            // Emptied, but a mount point stays.
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {}
            result => result.map_err(|error| format!("{}: {error}", dir.display()))?,
        }
    }
    println!("stopped{}", if options.purge { " and removed" } else { "" });
    Ok(())
}

fn end_daemon(dir: &Path) -> Result<(), String> {
    for (signal, wait) in [(Signal::TERM, TERMINATE_WAIT), (Signal::KILL, KILL_WAIT)] {
        let Some(pid) = DataDir::holder(dir)? else { return Ok(()) };
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("the lock names no process")?;
        let _ = rustix::process::kill_process(pid, signal);
        let mut waited = Duration::ZERO;
        while waited < wait {
            if DataDir::holder(dir)?.is_none() {
                return Ok(());
            }
            std::thread::sleep(STEP);
            waited += STEP;
        }
    }
    Err(format!("the daemon on {} does not end", dir.display()))
}

/// What a node leaves on the host. `run.json` says what the last run had.
pub fn remove_node(dir: &Path) -> Result<(), String> {
    let Ok(text) = fs::read_to_string(DataDir::run_path(dir)) else { return Ok(()) };
    let run: Value = serde_json::from_str(&text).map_err(|error| format!("run.json: {error}"))?;
    let text = |field: &str| run[field].as_str().unwrap_or_default().to_string();
    runtime::cleanup(&text("instance"), &dir.join("runtime"))
        .map_err(|error| format!("containers could not be removed: {error}"))?;
    let addresses = run["localAddresses"].as_array().into_iter().flatten();
    let host = node_network::HostConfig {
        pod_cidr: text("podCidr"),
        local_addresses: addresses.filter_map(|ip| ip.as_str()?.parse().ok()).collect(),
        prefix: text("linkPrefix"),
        state_dir: dir.join("network"),
    };
    node_network::Host::remove(&host)
        .map_err(|error| format!("the network could not be removed: {error}"))?;
    unmount_below(dir)?;
    remove_logs(Path::new(&text("logDir")), dir);
    for part in ["containers", "pods", "memory", "runtime", "network"] {
        match fs::remove_dir_all(dir.join(part)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", dir.join(part).display()));
            }
            _ => {}
        }
    }
    fs::remove_file(DataDir::run_path(dir)).map_err(|error| format!("run.json: {error}"))
}

/// Unmounts whatever is mounted below the data directory, innermost first; not the directory
/// itself, which may be a file system that somebody mounted for it.
fn unmount_below(dir: &Path) -> Result<(), String> {
    let mounts =
        fs::read_to_string("/proc/self/mounts").map_err(|error| format!("/proc/self/mounts: {error}"))?;
    let mut below: Vec<String> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(|path| path.replace("\\040", " "))
        .filter(|path| Path::new(path) != dir && Path::new(path).starts_with(dir))
        .collect();
    below.sort_by_key(|path| std::cmp::Reverse(path.len()));
    for path in below {
        rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH)
            .map_err(|error| format!("cannot unmount {path}: {error}"))?;
    }
    Ok(())
}

/// Log directories end in the uid of their Pod; ours are those with a directory in `pods/`.
fn remove_logs(log_dir: &Path, dir: &Path) {
    let uids: Vec<String> = fs::read_dir(dir.join("pods"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let pods = log_dir.join("pods");
    for entry in fs::read_dir(&pods).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if uids.iter().any(|uid| name.ends_with(&format!("_{uid}"))) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    for entry in fs::read_dir(log_dir.join("containers")).into_iter().flatten().flatten() {
        // A link whose target is gone now was ours.
        let target = fs::read_link(entry.path()).unwrap_or_default();
        if target.starts_with(&pods) && !target.exists() {
            let _ = fs::remove_file(entry.path());
        }
    }
    // Only if empty: other programs may use them.
    for part in ["pods", "containers"] {
        let _ = fs::remove_dir(log_dir.join(part));
    }
}
