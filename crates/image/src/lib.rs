//! Image references, registry pulls, content store, unpacking and garbage collection.

mod reference;

pub use reference::Reference;
