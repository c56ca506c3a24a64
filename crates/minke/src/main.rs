//! The program: configuration, certificates and the list of services.
fn main() {}
