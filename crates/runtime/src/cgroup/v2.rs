//! Version 2 (also the unified tree beside version 1): controllers are passed down level by level,
//! limits are written where the controller is present.

use super::convert::shares_to_weight;
use super::v1::number_or_max;
use crate::error::{Context, Result};
use crate::spec::Resources;
use crate::sys::fs::write_file;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

const WANTED: [&str; 6] = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb"];

/// Controllers usable in `dir`.
pub fn controllers(dir: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Makes `instance/path`, enabling controllers in every level above the last.
pub fn make(root: &Path, instance: &str, path: &str) -> Result<()> {
    if root.join(instance).join(path).is_dir() {
        return Ok(());
    }
    let mut dir = root.to_path_buf();
    for part in instance.split('/').chain(path.split('/')) {
        delegate(&dir);
        dir.push(part);
        match fs::create_dir(&dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(e).setup(format_args!("mkdir {}", dir.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Each controller on its own: one that cannot be passed down must not keep back the others. A
/// limit that then cannot be written is an error of `apply`.
fn delegate(dir: &Path) {
    let available = controllers(dir);
    let enabled = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
    let enabled: BTreeSet<&str> = enabled.split_whitespace().collect();
    for c in WANTED.iter().filter(|c| available.contains(**c) && !enabled.contains(**c)) {
        let _ = write_file(dir.join("cgroup.subtree_control"), format!("+{c}"));
    }
}

/// Writes limits. In hybrid mode most controllers live in version 1 and are absent here.
pub fn apply(dir: &Path, r: &Resources) -> Result<()> {
    let here = controllers(dir);
    let put = |file: &str, value: &str| {
        write_file(dir.join(file), value).setup(format_args!("write {value:?} to {}/{file}", dir.display()))
    };
    if here.contains("cpu") {
        if let Some(shares) = r.cpu_shares {
            put("cpu.weight", &shares_to_weight(shares).to_string())?;
        }
        if r.cpu_quota.is_some() || r.cpu_period.is_some() {
            let quota = number_or_max(r.cpu_quota.unwrap_or(-1));
            put("cpu.max", &format!("{quota} {}", r.cpu_period.unwrap_or(100_000)))?;
        }
    }
    if here.contains("memory") {
        if let Some(limit) = r.memory_limit {
            put("memory.max", &number_or_max(limit))?;
            if limit >= 0 && dir.join("memory.swap.max").exists() {
                put("memory.swap.max", "0")?;
            }
        }
        if let Some(min) = r.memory_min {
            put("memory.min", &min.to_string())?;
        }
        if let Some(high) = r.memory_high {
            put("memory.high", &high.to_string())?;
        }
        if let Some(group) = r.oom_group {
            put("memory.oom.group", if group { "1" } else { "0" })?;
        }
    }
    if here.contains("pids")
        && let Some(limit) = r.pids_limit
    {
        put("pids.max", &number_or_max(limit))?;
    }
    if here.contains("cpuset") {
        for (file, value) in [("cpuset.cpus", &r.cpuset_cpus), ("cpuset.mems", &r.cpuset_mems)] {
            if !value.is_empty() {
                put(file, value)?;
            }
        }
    }
    if here.contains("hugetlb") {
        for (size, limit) in &r.hugepages {
            put(&format!("hugetlb.{size}.max"), &limit.to_string())?;
        }
    }
    Ok(())
}
