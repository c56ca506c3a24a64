//! Reading usage. A file that is missing counts as zero: controllers may be absent.

use super::Cgroups;
use crate::spec::Stats;
use std::fs;
use std::path::Path;

/// The number after `name` in a "name value" file.
pub fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .filter_map(|l| l.split_once(' '))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

fn text(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join(file)).unwrap_or_default()
}

fn number(dir: &Path, file: &str) -> u64 {
    text(dir, file).trim().parse().unwrap_or(0)
}

/// Version 1 has no word for "no limit": anything this large is none.
const NO_LIMIT: u64 = 1 << 60;

pub fn read(cgroups: &Cgroups, path: &str) -> Stats {
    let unified = || cgroups.unified_dir(path).unwrap_or_default();
    let mut s = Stats { time: crate::sys::now(), ..Default::default() };
    match cgroups.v1_dir("cpuacct", path) {
        Some(dir) => s.cpu_usage_ns = number(&dir, "cpuacct.usage"),
        None => s.cpu_usage_ns = field(&text(&unified(), "cpu.stat"), "usage_usec") * 1000,
    }
    match cgroups.v1_dir("pids", path) {
        Some(dir) => s.pids = number(&dir, "pids.current"),
        None => s.pids = number(&unified(), "pids.current"),
    }
    let (dir, stat, prefix, anon) = match cgroups.v1_dir("memory", path) {
        Some(dir) => {
            s.memory_usage = number(&dir, "memory.usage_in_bytes");
            s.memory_limit = Some(number(&dir, "memory.limit_in_bytes")).filter(|l| *l < NO_LIMIT);
            let stat = text(&dir, "memory.stat");
            (dir, stat, "total_", "rss")
        }
        None => {
            let dir = unified();
            s.memory_usage = number(&dir, "memory.current");
            s.memory_limit = text(&dir, "memory.max").trim().parse().ok();
            let stat = text(&dir, "memory.stat");
            (dir, stat, "", "anon")
        }
    };
    drop(dir);
    let get = |name: &str| field(&stat, &format!("{prefix}{name}"));
    s.memory_rss = get(anon);
    s.memory_working_set = s.memory_usage.saturating_sub(get("inactive_file"));
    s.page_faults = get("pgfault");
    s.major_page_faults = get("pgmajfault");
    s
}
