//! `cargo xtask codegen`: the facts behind the schema table.
//!
//! - `codegen` checks, offline, that `crates/schema/facts/` is complete and in canonical form. (The
//!   encoding of the facts happens in `schema`'s build script, so it cannot go stale.)
//! - `codegen --update [--go-fields FILE]` asks PyPI for the OpenAPI definitions and rewrites the
//!   facts. What OpenAPI does not say (field order, protobuf numbers, pointer or not) is kept from
//!   the present facts, or taken from FILE: a JSON object
//!   `{"api/core/v1.Pod": [[json name, protobuf number, Go type, flags]]}` where flags are any of
//!   `p` pointer, `o` omitempty, `z` omitzero, `i` inline.
//!
//! The format of the facts is described in `crates/schema/facts/README.md`.

mod facts;
mod openapi;

use facts::Facts;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package that carries the OpenAPI definitions, and the Kubernetes version read from it.
const PACKAGE: &str = "kubernetes-validate==1.37.0";
const DEFINITIONS: &str = "kubernetes_validate/kubernetes-json-schema/v1.36.0-local/_definitions.json";

pub fn run(args: &[String]) -> Result<(), String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let dir = root.join("crates/schema/facts");
    let present = Facts::read(&dir)?;
    match args {
        [] => check(&dir, &present),
        [update] if update == "--update" => {
            write(&dir, &openapi::merge(&definitions(&root)?, &present.go_fields())?)
        }
        [update, flag, file] if update == "--update" && flag == "--go-fields" => {
            let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
            write(&dir, &openapi::merge(&definitions(&root)?, &facts::GoFields::parse(&text)?)?)
        }
        _ => Err("usage: cargo xtask codegen [--update [--go-fields FILE]]".into()),
    }
}

fn check(dir: &Path, facts: &Facts) -> Result<(), String> {
    facts.check()?;
    for (name, text) in facts.files() {
        let found = std::fs::read_to_string(dir.join(&name)).map_err(|e| format!("{name}: {e}"))?;
        if found != text {
            return Err(format!("{name} is not in canonical form; run cargo xtask codegen --update"));
        }
    }
    println!("{} definitions, all canonical", facts.len());
    Ok(())
}

fn write(dir: &Path, facts: &Facts) -> Result<(), String> {
    facts.check()?;
    std::fs::create_dir_all(dir).map_err(|e| e.to_string())?;
    for entry in std::fs::read_dir(dir).map_err(|e| e.to_string())?.flatten() {
        if entry.path().extension().is_some_and(|e| e == "txt") {
            std::fs::remove_file(entry.path()).map_err(|e| e.to_string())?;
        }
    }
    for (name, text) in facts.files() {
        std::fs::write(dir.join(&name), text).map_err(|e| format!("{name}: {e}"))?;
    }
    println!("wrote {} definitions", facts.len());
    Ok(())
}

/// Downloads the package with pip (once) and reads the definitions out of it.
fn definitions(root: &Path) -> Result<serde_json::Value, String> {
    let dir = root.join("target/pypi");
    let unpacked = dir.join("unpacked");
    if !unpacked.join(DEFINITIONS).exists() {
        let dir = dir.to_str().ok_or("target directory is no UTF-8")?;
        command("pip", &["download", "--quiet", "--no-deps", "-d", dir, PACKAGE])?;
        let wheel = std::fs::read_dir(dir)
            .map_err(|e| e.to_string())?
            .flatten()
            .map(|e| e.path())
            .find(|p| p.extension().is_some_and(|e| e == "whl"))
            .ok_or("pip downloaded no wheel")?;
        command("python3", &["-m", "zipfile", "-e", &wheel.to_string_lossy(), &unpacked.to_string_lossy()])?;
    }
    let text =
        std::fs::read_to_string(unpacked.join(DEFINITIONS)).map_err(|e| format!("{DEFINITIONS}: {e}"))?;
    let document: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    Ok(document["$defs"].clone())
}

fn command(program: &str, args: &[&str]) -> Result<(), String> {
    let status = Command::new(program).args(args).status().map_err(|e| format!("{program}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} {} failed: {status}", args.join(" "))) }
}
