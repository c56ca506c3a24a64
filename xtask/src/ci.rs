//! `cargo xtask ci`: everything that must hold, in the order that fails fastest.

use crate::run::run;

pub fn ci() -> Result<(), String> {
    crate::tidy::tidy()?;
    crate::codegen::run(&[])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    test()
}

/// `cargo xtask test`: prepares what the tests need, builds once, runs them all.
pub fn test() -> Result<(), String> {
    crate::prepare::prepare()?;
    run("cargo", &["build", "--workspace", "--examples", "--bins"])?;
    run("cargo", &["test", "--workspace"])
}
