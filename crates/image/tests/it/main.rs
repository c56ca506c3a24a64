//! The image store against real files, a real registry (Debian's `docker-registry`) and a server
//! that answers as registries elsewhere do. Needs root: layers have owners and devices.

mod archives;
mod layers;
mod pulls;
mod server;
mod shared;
mod support;
