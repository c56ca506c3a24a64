//! Server-side apply and the ownership of fields: structured merge and diff over JSON trees, and the
//! rules of `metadata.managedFields` around it. Pure; who asks over which endpoint, and what a refusal
//! looks like on the wire, is the API server's.
//!
//! - [`Type`]: what the walks are driven by, from the built-in table or made at run time
//!   ([`Structural`]);
//! - [`Set`]: fields, in the form in which they are stored;
//! - [`validate`], [`to_set`], [`merge`], [`compare`], [`remove_items`], [`extract_items`],
//!   [`reconcile`]: the walks;
//! - [`Target`]: an object's field management, with `track` for updates and `apply_config` for applies;
//! - [`Replicas`]: the same through the scale subresource.

mod compare;
pub(crate) mod element;
mod error;
mod items;
mod last_applied;
#[cfg(test)]
mod laws;
mod managed;
mod manager;
mod merge;
mod reconcile;
mod remove;
mod scale;
mod set;
mod structural;
#[cfg(test)]
pub(crate) mod tests;
mod to_set;
mod types;
mod updater;
mod validate;

pub use compare::{Comparison, compare};
pub use error::Errors;
pub use managed::{Entry, Id, MAX_SUBRESOURCE, Managed, Operation, is_reset};
pub use manager::{MAX_MANAGER, Writer, is_printable, manager_of_user_agent, restore_times};
pub use merge::merge;
pub use reconcile::reconcile;
pub use remove::{extract_items, remove_items};
pub use scale::Replicas;
pub use set::{Path, Set, shown_path};
pub use structural::Structural;
pub use to_set::to_set;
pub use types::Type;
pub use updater::{ApplyError, Conflict, Reset, Target, Versions};
pub use validate::{Duplicates, validate};
