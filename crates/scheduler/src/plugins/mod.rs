//! One file per plugin under upstream's name, and the lists of those that run, in order.

mod node_affinity;
mod node_name;
mod node_resources_fit;
mod node_unschedulable;
mod taint_toleration;

pub use node_affinity::{NodeAffinity, node_selector_matches, required_matches};
pub use node_name::NodeName;
pub use node_resources_fit::NodeResourcesFit;
pub use node_unschedulable::NodeUnschedulable;
pub use taint_toleration::{TaintToleration, tolerates};

use crate::framework::{FilterPlugin, ScorePlugin};

/// Filters in upstream's order: a node is refused by the first that refuses it.
pub const FILTERS: [&dyn FilterPlugin; 5] =
    [&NodeUnschedulable, &NodeName, &TaintToleration, &NodeAffinity, &NodeResourcesFit];

pub const SCORES: [&dyn ScorePlugin; 3] = [&TaintToleration, &NodeAffinity, &NodeResourcesFit];
