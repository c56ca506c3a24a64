//! Custom resources, the pure part: what follows from a custom resource definition. Who serves them, stores
//! them and asks webhooks is the API server's.
//!
//! - [`Schema`]: a structural schema; [`fill`] prunes and defaults by it, [`validate`] checks values, [`lists`]
//!   and [`embedded`] what values alone do not show;
//! - [`rules`]: `x-kubernetes-validations`, compiled, estimated and evaluated;
//! - [`Definition`] and its [`Version`]s: what is served; a version is an [`api::Strategy`];
//! - [`columns`]: cells of tables;
//! - [`status`]: whose names are whose, and how a definition ends.

pub mod columns;
mod correlate;
mod definition;
pub mod embedded;
pub mod fill;
mod formats;
pub mod lists;
pub mod rules;
pub mod schema;
pub mod status;
pub mod validate;
mod version;

pub use definition::{Conversion, Definition, VERBS_WHILE_ENDING, is_true};
pub use schema::Schema;
pub use version::{Column, Scale, Version, count_at, text_at};
