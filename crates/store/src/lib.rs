//! The database: revisions, conditional writes, one event stream, durable through an authority.
//!
//! Memory is the database. An [`Authority`] decides writes and makes them durable; one [`Store`], fed
//! only by the authority's ordered event stream, serves every read and every watch. Keys are strings
//! such as `/registry/pods/default/nginx`, values are opaque bytes: no kind of object is known here.
//!
//! What it promises: nothing is visible or acknowledged before it is durable; there is one revision
//! counter for everything, it starts at 1 and a revision that anybody saw is never used again; every
//! queue and every history has a bound from [`limits`].

mod authority;
mod cache;
pub mod embedded;
mod entry;
mod error;
mod expiry;
mod ledger;
pub mod limits;
mod memory;
mod snapshot;
mod store;
#[doc(hidden)]
pub mod suite;
mod watcher;

pub use authority::{Authority, Condition, Op, Ranged, Sink, Write};
pub use embedded::Embedded;
pub use entry::{Entry, Event};
pub use error::Error;
pub use memory::Memory;
pub use snapshot::Snapshot;
pub use store::Store;
pub use watcher::{Batch, Watcher};

/// Wall-clock time in milliseconds since the Unix epoch; passed in, so that tests own the clock.
pub type Clock = std::sync::Arc<dyn Fn() -> i64 + Send + Sync>;
