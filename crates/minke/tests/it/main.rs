//! The program as processes: several control planes on one etcd cluster. Needs `etcd` (`cargo xtask
//! prepare`), no privileges.

mod checker;
mod leading;
mod robustness;
mod servers;
mod store;
