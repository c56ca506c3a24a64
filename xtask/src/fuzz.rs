//! `cargo xtask fuzz [SECONDS [TARGET …]]`: the decoders of `crates/fuzzing` under libFuzzer, guided by coverage, each
//! for so long (default one minute). What it finds lies in `target/fuzz`; the shortest input that shows it belongs into
//! `crates/fuzzing/corpus`, where the tests replay it. Needs a C++ compiler.

use std::fs;
use std::process::Command;

const SECONDS: u64 = 60;
/// Coverage that libFuzzer reads; the compiler's own flags, no other toolchain is needed.
const FLAGS: &str = "--cfg fuzzing -Cdebug-assertions -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Longer inputs find nothing more here.
const MAX_LEN: &str = "-max_len=4096";
/// An input that takes longer, or makes more memory, is a finding.
const LIMITS: [&str; 2] = ["-timeout=10", "-rss_limit_mb=1024"];

pub fn fuzz(args: &[String]) -> Result<(), String> {
    let seconds = match args.first() {
        Some(seconds) => seconds.parse().map_err(|_| format!("{seconds}: how many seconds?"))?,
        None => SECONDS,
    };
    let built = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target-dir",
            "target/fuzz/build",
        ])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .env("RUSTFLAGS", FLAGS)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !built.success() {
        return Err("the fuzzer cannot be built".into());
    }
    let mut failed = Vec::new();
    for target in targets(args.get(1..).unwrap_or_default())? {
        let (grown, found) = (format!("target/fuzz/{target}"), format!("target/fuzz/found-{target}-"));
        fs::create_dir_all(&grown).map_err(|error| format!("{grown}: {error}"))?;
        println!("== {target}");
        let status = Command::new("target/fuzz/build/x86_64-unknown-linux-gnu/release/any")
            .args([&grown, &format!("crates/fuzzing/corpus/{target}")])
            .args([&format!("-max_total_time={seconds}"), &format!("-artifact_prefix={found}"), MAX_LEN])
            .args(LIMITS)
            .args(["-print_final_stats=1", "-verbosity=0"])
            .env("FUZZ_TARGET", &target)
            .status()
            .map_err(|error| format!("{target}: {error}"))?;
        if !status.success() {
            failed.push(target);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("found something: {}", failed.join(", "))) }
}

/// All, or the named ones.
fn targets(named: &[String]) -> Result<Vec<String>, String> {
    let folders = fs::read_dir("crates/fuzzing/corpus").map_err(|error| format!("the corpus: {error}"))?;
    let mut all: Vec<String> =
        folders.flatten().map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    all.sort();
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        return Err(format!("{unknown} is no target; there are {}", all.join(", ")));
    }
    Ok(if named.is_empty() { all } else { named.to_vec() })
}
