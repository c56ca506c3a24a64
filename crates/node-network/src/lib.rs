//! The Pod network of one node: addresses, routed veth pairs, routes. No bridge: each Pod's host
//! side is a /32 route to its veth, and both ends know each other's hardware address, so there
//! is no ARP. A Pod's route goes before its namespace; its veth is never deleted (that takes tens
//! of milliseconds), the kernel drops it with the namespace.

mod addresses;
mod host;
mod pods;

pub use addresses::Addresses;
pub use host::{Host, HostConfig, node_addresses};
pub use pods::PodNetwork;
