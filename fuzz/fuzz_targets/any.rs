//! One program for all targets of `crates/fuzzing`: the environment says which (`cargo xtask fuzz`).

#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<String> = LazyLock::new(|| std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::run(&TARGET, bytes));
