//! Volumes of a Pod on its node: set up, update, tear down. What a volume contains is decided in
//! [`payload`] (pure); how it gets onto the disk in [`writer`] and [`Volumes`].

pub mod payload;
mod set_up;
mod writer;

pub use payload::{File, Payload, TokenRequest};
pub use set_up::{EmptyDir, Volumes};
