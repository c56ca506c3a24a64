//! Encodes the facts (`facts/*.txt`) as static Rust tables and typed views, so that neither can be
//! stale and nothing has to be decoded at startup. Reads only this package's own files.

// A build script has no one to ask for files but the standard library.
#![allow(clippy::disallowed_methods)]

#[cfg(feature = "descriptions")]
mod descriptions;
mod facts;
mod table;
mod views;

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=facts");
    println!("cargo::rerun-if-changed=build");
    let facts = facts::read(&PathBuf::from("facts"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(out.join("table.rs"), table::generate(&facts)).expect("write table.rs");
    #[cfg(feature = "descriptions")]
    std::fs::write(out.join("descriptions.zlib"), descriptions::generate()).expect("write descriptions");
    std::fs::write(out.join("views.rs"), views::generate(&facts)).expect("write views.rs");
}
