//! What a node does next for a Pod, and what its status is. Pure: no IO, no clock, no async.
//!
//! [`plan()`] looks at the Pod, at what the runtime reports and at what this kubelet remembers, and
//! answers with actions; [`status::pod_status`] turns the same observation into `PodStatus`. Both
//! are recomputed from observation every time, so a restarted kubelet needs no history.

pub mod backoff;
pub mod cgroups;
pub mod environment;
pub mod expansion;
pub mod files;
pub mod observed;
pub mod plan;
pub mod restart;
pub mod status;
pub mod support;

pub use observed::{Container, Exit, Observed, Sandbox, State};
pub use plan::{Action, Memory, Plan, plan};
