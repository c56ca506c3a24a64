//! Version 1: making directories and writing limits, one hierarchy at a time.

use super::Hierarchy;
use crate::error::{Context, Result};
use crate::spec::Resources;
use crate::sys::fs::write_file;
use std::fs;
use std::io;
use std::path::Path;

/// Makes `instance/path` in one hierarchy. A cpuset child is unusable until it has cpus and
/// memory nodes: they are copied from its parent at each level.
pub fn make(h: &Hierarchy, instance: &str, path: &str) -> Result<()> {
    let full = h.mount.join(instance).join(path);
    let cpuset = h.controllers.iter().any(|c| c == "cpuset");
    match fs::create_dir(&full) {
        Ok(()) if !cpuset => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        _ => {}
    }
    let mut dir = h.mount.clone();
    for part in instance.split('/').chain(path.split('/')) {
        let parent = dir.clone();
        dir.push(part);
        match fs::create_dir(&dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(e).setup(format_args!("mkdir {}", dir.display()));
            }
            _ => {}
        }
        if cpuset {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                copy_if_empty(&parent, &dir, file).setup(format_args!("{}/{file}", dir.display()))?;
            }
        }
    }
    Ok(())
}

fn copy_if_empty(parent: &Path, child: &Path, file: &str) -> io::Result<()> {
    if fs::read_to_string(child.join(file))?.trim().is_empty() {
        write_file(child.join(file), fs::read_to_string(parent.join(file))?.trim())?;
    }
    Ok(())
}

/// Writes the limits that the controllers of this hierarchy know.
pub fn apply(dir: &Path, controllers: &[String], r: &Resources) -> Result<()> {
    let put = |file: &str, value: &str| {
        write_file(dir.join(file), value).setup(format_args!("write {value:?} to {}/{file}", dir.display()))
    };
    for controller in controllers {
        match controller.as_str() {
            "cpu" => {
                if let Some(shares) = r.cpu_shares {
                    put("cpu.shares", &shares.clamp(2, 262_144).to_string())?;
                }
                bandwidth(r, &put)?;
            }
            "memory" => {
                if let Some(limit) = r.memory_limit {
                    memory(dir, limit).setup(format_args!("memory limit of {}", dir.display()))?;
                }
            }
            "pids" => {
                if let Some(limit) = r.pids_limit {
                    put("pids.max", &number_or_max(limit))?;
                }
            }
            "cpuset" => {
                for (file, value) in [("cpuset.cpus", &r.cpuset_cpus), ("cpuset.mems", &r.cpuset_mems)] {
                    if !value.is_empty() {
                        put(file, value)?;
                    }
                }
            }
            "hugetlb" => {
                for (size, limit) in &r.hugepages {
                    put(&format!("hugetlb.{size}.limit_in_bytes"), &limit.to_string())?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

pub fn number_or_max(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.to_string() }
}

/// Period and quota are checked against each other and the parent on each write, so the order
/// that works depends on what is there: period first, and if that is refused quota first.
fn bandwidth(r: &Resources, put: &dyn Fn(&str, &str) -> Result<()>) -> Result<()> {
    let period = r.cpu_period.map(|p| p.to_string());
    let quota = r.cpu_quota.map(|q| q.to_string());
    let Some(period) = period else {
        return quota.map_or(Ok(()), |q| put("cpu.cfs_quota_us", &q));
    };
    let first = put("cpu.cfs_period_us", &period);
    if let Some(quota) = &quota {
        put("cpu.cfs_quota_us", quota)?;
    }
    if first.is_err() { put("cpu.cfs_period_us", &period) } else { Ok(()) }
}

/// Memory and memory+swap must satisfy `limit <= memsw` at every moment.
fn memory(dir: &Path, limit: i64) -> io::Result<()> {
    let (memory, swap) = (dir.join("memory.limit_in_bytes"), dir.join("memory.memsw.limit_in_bytes"));
    let value = limit.to_string();
    if !swap.exists() {
        return write_file(memory, &value);
    }
    match write_file(&memory, &value) {
        Ok(()) => write_file(&swap, &value),
        Err(_) => write_file(&swap, &value).and_then(|()| write_file(&memory, &value)),
    }
}
