//! The store's authority on an existing etcd cluster.
//!
//! etcd decides every write by a transaction on the key's revision and makes it durable; one watch on
//! the root feeds the cache, from its last revision on after every break. What a consistent read must
//! see is told by a linearizable range, never by etcd's progress notices, which old versions send too
//! early. No kind of object is known here, and nothing that only a local database could do is done.

mod authority;
mod channel;
mod compaction;
mod feed;
mod grpc;
mod leases;
pub mod limits;
mod messages;
mod tls;
mod wire;

pub use authority::{Config, Etcd};
pub use tls::TlsFiles;
