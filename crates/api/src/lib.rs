//! The kinds: one table of REST facts, and defaulting, validation, strategy and columns per kind.
//! Pure: no IO, no clock, no async.

pub mod columns;
pub mod cron;
pub mod defaults;
pub mod facts;
mod intern;
pub mod kinds;
pub mod qos;
pub mod read;
pub mod reset_fields;
pub mod resources;
pub mod strategy;

pub use columns::{Column, columns, row, row_conditions};
pub use facts::{ResourceInfo, SubresourceInfo, find, find_kind, preferred, resources};
pub use intern::{MAX_NAMES, intern};
pub use kinds::strategy;
pub use reset_fields::{ResetFields, reset_fields};
pub use strategy::{Generic, Strategy};
