//! Project automation: ci, tidy, codegen, images, bench.
fn main() {}
