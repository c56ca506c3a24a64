//! `cargo xtask ci`: everything that must hold, in the order that fails fastest.

use crate::run::{capture, run};

pub fn ci() -> Result<(), String> {
    crate::tidy::tidy()?;
    crate::codegen::run(&[])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    test()
}

/// `cargo xtask test`: prepares what the tests need, builds once, runs them all.
pub fn test() -> Result<(), String> {
    crate::prepare::prepare()?;
    crate::images::run(&[])?;
    run("cargo", &["build", "--workspace", "--examples", "--bins"])?;
    no_name_service()?;
    run("cargo", &["test", "--workspace"])
}

/// A static glibc program cannot load name services: nothing in it may ask for them.
fn no_name_service() -> Result<(), String> {
    let program = capture("sh", &["-c", "ls -t target/*/debug/minke | head -1"])?;
    let symbols = capture("nm", &[program.trim()])?;
    if symbols.lines().any(|line| line.ends_with(" T getaddrinfo")) {
        return Err("the program links getaddrinfo (see docs/adr/0003-static-glibc.md)".into());
    }
    Ok(())
}
