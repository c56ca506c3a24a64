//! Image references, registry pulls, content store, unpacking and garbage collection.
//!
//! A layer is unpacked once into a directory of its own, which containers use as a lower layer of
//! their overlay; nothing is kept compressed. What an image is (config, layers, names) stands in
//! one small file per image, written whole by rename.

mod archive;
mod auth;
mod collect;
mod config;
mod connect;
mod error;
mod holds;
mod layer;
mod lock;
mod pull;
mod record;
mod reference;
mod registry;
mod store;
mod tree;

pub use collect::Collected;
pub use config::{ImageConfig, architecture, is_this_platform};
pub use error::Error;
pub use layer::{Digest, Hashing};
pub use lock::Work;
pub use pull::{Credentials, Progress, Registries, pull};
pub use reference::Reference;
pub use store::{Image, NewImage, Store};
