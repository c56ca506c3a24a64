//! Which node a Pod goes to, and why. Pure: no IO, no clock, no async.
//!
//! [`Snapshot`] holds the nodes and what runs on them; [`schedule`] filters and scores with the
//! [`plugins`] and answers with a node or with a [`Diagnosis`]: every node's reason, kept as data
//! (events, conditions and `explain` are made from it). [`Queue`] decides which Pod is next.

mod diagnosis;
mod framework;
pub mod plugins;
mod pod;
mod queue;
mod resources;
mod schedule;
mod snapshot;

pub use diagnosis::{Diagnosis, NodeReasons};
pub use framework::{FilterPlugin, Rejection, ScorePlugin};
pub use pod::PodInfo;
pub use queue::{Hint, Queue};
pub use resources::Resources;
pub use schedule::{Decision, schedule};
pub use snapshot::{NodeInfo, Snapshot};
