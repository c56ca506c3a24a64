//! The schema table of the built-in kinds and what it drives. Pure.
//!
//! - [`table`]: what is known about every field (types, list types, keys, presence, protobuf);
//! - [`view`]: typed read-only views for logic.

mod table;
pub mod view;

pub use table::{FieldRef, Item, ListType, Scalar, Shape, Table, TypeRef, table};
