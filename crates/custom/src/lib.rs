//! Custom resources, the pure part: what follows from a custom resource definition. Who serves them, stores
//! them and asks webhooks is the API server's.
//!
//! - [`Schema`]: a structural schema; [`fill`] prunes and defaults by it, [`validate`] checks values, [`lists`]
//!   and [`embedded`] what values alone do not show;
//! - [`rules`]: `x-kubernetes-validations`, compiled and evaluated;

mod correlate;
pub mod embedded;
pub mod fill;
mod formats;
pub mod lists;
pub mod rules;
pub mod schema;
pub mod validate;

pub use schema::Schema;
