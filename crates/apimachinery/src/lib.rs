//! The vocabulary every API object shares: names, versions, Status, selectors, quantities, field
//! paths and errors, patches. Pure: no IO, no clock, no randomness; callers pass those in.
//!
//! Objects are [`serde_json::Value`] trees. What depends on the schema of a kind (decoding,
//! pruning, strategic merge) lives in `schema`; what depends on a kind's rules lives in `api`.

pub mod field;
pub mod fields;
pub mod go;
pub mod gvk;
pub mod jsonpath;
pub mod labels;
pub mod meta;
pub mod patch;
pub mod quantity;
pub mod status;
pub mod time;
pub mod validation;

pub use field::{FieldError, Path};
pub use gvk::{GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};
pub use quantity::Quantity;
pub use status::{Reason, Status};
pub use time::Time;

/// An API object or any part of one.
pub type Value = serde_json::Value;
/// The JSON object inside a [`Value`].
pub type Map = serde_json::Map<String, Value>;
