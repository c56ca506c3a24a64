//! The kinds: one table of REST facts, and defaulting, validation, strategy and columns per kind.
//! Pure: no IO, no clock, no async.

pub mod facts;
pub mod kinds;
pub mod qos;
pub mod strategy;

pub use facts::{ResourceInfo, SubresourceInfo, find, find_kind, preferred, resources};
pub use kinds::strategy;
pub use strategy::{Generic, Strategy};
