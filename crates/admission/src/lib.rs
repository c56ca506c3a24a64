//! Dynamic admission, the pure part: which requests a webhook or a policy concerns, what is sent to a
//! webhook and what its answer means, and what policies written in CEL decide and change. Who calls
//! webhooks, and where configurations, parameters and namespaces come from, is the API server's.
//!
//! - [`Request`] and [`Criteria`]: what is asked, and whether it is concerned;
//! - [`Hook`], [`review`], [`Answer`]: webhooks;
//! - [`Policy`], [`Binding`]: policies, compiled once; [`Policy::validate`] and [`mutate`] evaluate them;
//! - [`check`]: whether the expressions of a configuration compile, when it is written;
//! - [`type_check`]: whether they fit the kinds they are about, told in the policy's status.

mod activation;
pub mod check;
mod conditions;
mod env;
mod expression;
mod matching;
pub mod mutate;
mod policy;
mod request;
mod review;
pub mod type_check;
mod validate;
mod webhook;

pub use activation::Inputs;
pub use matching::{Asked, Criteria, FindNamespace, Matched};
pub use policy::{Action, Binding, Mutation, ParamRef, Policy};
pub use request::{Operation, Request};
pub use review::{Answer, denied, review};
pub use validate::{Decision, Note, Validated};
pub use webhook::{Endpoint, Hook, hooks};

#[cfg(test)]
mod tests;
