//! `cargo xtask tidy`: rules of the tree that no compiler checks: which crate may depend on which,
//! headers, licences, file length, one version of each dependency.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::capture;

/// Tiers from the bottom up; within one, a crate may use those before it.
const TIERS: [&[&str]; 6] = [
    &["apimachinery", "cel", "schema", "api", "custom"],
    &["admission", "scheduler", "controllers", "pod-lifecycle"],
    &["env", "store", "etcd", "client", "runtime", "image", "netlink", "volume", "streaming"],
    &["apiserver", "controller-manager", "kubelet", "node-network", "cli"],
    &["minke"],
    &["testkit", "fuzzing", "minke-testcluster", "e2e", "xtask"],
];
/// Decisions and vocabulary: nothing of this may be in their dependencies.
const PURE: [&str; 9] = [
    "apimachinery",
    "cel",
    "schema",
    "api",
    "custom",
    "admission",
    "scheduler",
    "controllers",
    "pod-lifecycle",
];
const IMPURE: [&str; 6] = ["tokio", "hyper", "rustix", "libc", "ring", "tracing"];
const UNSAFE_ALLOWED: [&str; 2] = ["runtime", "netlink"];
/// Licences a shipped dependency may have; one of an `OR` is enough, all of an `AND` are needed.
const LICENCES: [&str; 13] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "0BSD",
    "MPL-2.0",
    "MPL-2.0+",
    "CDLA-Permissive-2.0",
];
const LINES_MAX: usize = 800;

pub fn tidy() -> Result<(), String> {
    let metadata = capture("cargo", &["metadata", "--format-version", "1", "--locked"])?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let mut problems = Vec::new();
    edges(&metadata, &mut problems);
    licences(&metadata, &mut problems);
    for path in rust_files(Path::new("crates"))?.into_iter().chain(rust_files(Path::new("xtask"))?) {
        file(&path, &mut problems)?;
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("{} problems:\n{}", problems.len(), problems.join("\n")))
    }
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn position(name: &str) -> Option<(usize, usize)> {
    TIERS.iter().enumerate().find_map(|(tier, crates)| Some((tier, crates.iter().position(|c| *c == name)?)))
}

fn edges(metadata: &Value, problems: &mut Vec<String>) {
    let members: BTreeSet<&str> = packages(metadata)
        .filter(|package| package["source"].is_null())
        .filter_map(|package| package["name"].as_str())
        .collect();
    for package in packages(metadata).filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(own) = position(name) else {
            problems.push(format!("crate {name} stands in no tier (xtask/src/tidy.rs)"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = dependency["name"].as_str().unwrap_or_default();
            if dependency["kind"] == "dev" {
                continue;
            }
            if PURE.contains(&name) && dependency["kind"].is_null() && IMPURE.contains(&target) {
                problems.push(format!("pure crate {name} depends on {target}"));
            }
            if members.contains(target) && position(target).is_some_and(|other| other >= own) {
                problems.push(format!(
                    "crate {name} may not depend on {target}: see the tiers in ARCHITECTURE.md"
                ));
            }
        }
    }
}

/// Everything a build of the program may contain: build and test tools are not shipped.
fn licences(metadata: &Value, problems: &mut Vec<String>) {
    let by_id: BTreeMap<&str, &Value> =
        packages(metadata).filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let start = by_id.iter().find(|(_, package)| package["name"] == "minke").map(|(id, _)| *id);
    let mut open: Vec<&str> = start.into_iter().collect();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes.get(id).and_then(|n| n["deps"].as_array()).into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array();
            let shipped = kinds.into_iter().flatten().any(|kind| kind["kind"].is_null());
            if shipped && let Some(target) = dependency["pkg"].as_str() {
                open.push(target);
            }
        }
    }
    for package in seen.iter().filter_map(|id| by_id.get(id)) {
        let licence = package["license"].as_str().unwrap_or("none");
        if !licence_is_good(licence) {
            problems.push(format!("{} {}: licence {licence}", package["name"], package["version"]));
        }
    }
}

fn licence_is_good(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], "");
    expression.split(" AND ").all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

fn rust_files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

fn file(path: &Path, problems: &mut Vec<String>) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let shown = path.display();
    if !text.starts_with("//!") {
        problems.push(format!("{shown}: begins with no `//!` header"));
    }
    let is_test = path.components().any(|c| c.as_os_str() == "tests") || path.ends_with("tests.rs");
    if text.lines().count() > LINES_MAX && !is_test {
        problems.push(format!("{shown}: more than {LINES_MAX} lines: is it one thing?"));
    }
    let mark = ["unsafe", " {"].concat();
    let allowed = UNSAFE_ALLOWED.iter().any(|name| path.starts_with(Path::new("crates").join(name)));
    if !allowed && text.contains(&mark) {
        problems.push(format!("{shown}: unsafe code outside of {}", UNSAFE_ALLOWED.join(", ")));
    }
    if text.contains(&["#[", "ignore"].concat()) {
        problems.push(format!("{shown}: an ignored test"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions() {
        for good in ["MIT", "MIT OR Apache-2.0", "MIT/Apache-2.0", "(MIT OR GPL-3.0) AND Unicode-3.0"] {
            assert!(licence_is_good(good), "{good}");
        }
        for bad in ["GPL-3.0-only", "MIT AND GPL-2.0", "BUSL-1.1", "none"] {
            assert!(!licence_is_good(bad), "{bad}");
        }
    }
}
