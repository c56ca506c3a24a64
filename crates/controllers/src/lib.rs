//! One plan per controller: desired and observed state in, actions out. Pure: no IO, no clock, no
//! async. Each module is one controller; `controller-manager` feeds it and carries out its plan.

pub mod leader_election;
pub mod namespace;
pub mod node_taints;
pub mod pod_gc;
pub mod policy_status;
pub mod root_ca;
pub mod service_account;
