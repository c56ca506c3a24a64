//! The Common Expression Language as Kubernetes speaks it: parser, type check, evaluation with a cost limit,
//! cost estimates, and the function libraries of the API server. Pure: expressions see what they are given.
//!
//! Why not the crate of this name: Kubernetes refuses a rule when it is written, by its types and by an estimate
//! of its cost, and both need the tree with its types (docs/adr/0008-own-cel.md).
//!
//! [`Env`] holds the names an expression may use, [`Env::compile`] gives a [`Program`].

mod ast;
mod check;
mod compare;
mod cost;
mod decl;
mod error;
mod escape;
mod estimate;
mod eval;
mod functions;
mod lex;
mod macros;
mod parse;
mod program;
mod table;
mod types;
mod value;
mod walk;

pub use compare::equal;
pub use decl::{Decl, Field, ListKind, MAX_REQUEST_BYTES, ObjectDecl, Shape};
pub use error::{Issue, Issues};
pub use escape::{escape, is_reserved};
pub use estimate::Estimate;
pub use eval::{Budget, Error, Globals, Outcome};
pub use functions::authorizer::{Attributes, Authorize, Authorizer, Decision};
pub use program::{Env, Program};
pub use types::Type;
pub use value::{DYNAMIC, List, Map, Object, Opaque, Text, Value};

#[cfg(test)]
mod tests;
