//! One expression: what must come out of it, and whether it compiles to that.

use crate::env::{Known, Sees, env, passed_on};
use cel::{Env, Program, Type};

/// What an expression must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Bool,
    Text,
    TextOrNull,
    Anything,
    Object,
    JsonPatch,
}

impl Wanted {
    /// The types as upstream's message lists them; none if anything will do.
    fn types(self) -> &'static [&'static str] {
        match self {
            Wanted::Bool => &["bool"],
            Wanted::Text => &["string"],
            Wanted::TextOrNull => &["string", "null_type"],
            Wanted::Anything => &[],
            Wanted::Object => &["Object"],
            Wanted::JsonPatch => &["list(JSONPatch)"],
        }
    }
}

/// A compiled expression, or why there is none: that is told when it would be evaluated.
#[derive(Debug)]
pub(crate) struct Expression {
    pub text: String,
    pub program: Result<Program, String>,
}

impl Expression {
    pub fn new(env: &Env, text: &str, wanted: Wanted) -> Expression {
        Expression { text: text.into(), program: compile(env, text, wanted) }
    }
}

/// # Errors
/// What the user is told of an expression that cannot be used.
pub(crate) fn compile(env: &Env, text: &str, wanted: Wanted) -> Result<Program, String> {
    let program = env.compile(text).map_err(|issues| format!("compilation failed: {issues}"))?;
    let (types, found) = (wanted.types(), declared(program.output()));
    match types {
        [] => Ok(program),
        _ if types.contains(&found.as_str()) => Ok(program),
        [only] => Err(format!("must evaluate to {only} but got {found}")),
        _ => Err(format!("must evaluate to one of [{}] but got {found}", types.join(" "))),
    }
}

/// A type by the name it was declared with, which for some is not how mistakes print it.
fn declared(found: &Type) -> String {
    match found {
        Type::Null => "null_type".into(),
        Type::Timestamp => "google.protobuf.Timestamp".into(),
        Type::Duration => "google.protobuf.Duration".into(),
        Type::List(element) => format!("list({})", declared(element)),
        Type::Map(key, value) => format!("map({}, {})", declared(key), declared(value)),
        Type::Optional(of) => format!("optional_type({})", declared(of)),
        other => other.to_string(),
    }
}

/// Expressions that share variables: each may use those declared before it.
#[derive(Debug)]
pub(crate) struct Scope {
    known: Known,
    params: bool,
    /// Names and types; `None` where there is no `variables` at all.
    variables: Option<Vec<(String, Type)>>,
}

impl Scope {
    pub fn new(params: bool, variables: bool, known: Known) -> Scope {
        Scope { known, params, variables: variables.then(Vec::new) }
    }

    pub fn env(&self, authorizer: bool, patches: bool) -> Env {
        let mut env = env(Sees { params: self.params, authorizer, patches }, &self.known);
        if let Some(variables) = &self.variables {
            env = env.with_variables();
            for (name, found) in variables {
                env = env.with_variable(name, found.clone());
            }
        }
        env
    }

    /// Compiles a variable; later expressions may use it, whether it compiles or not.
    pub fn declare(&mut self, name: &str, text: &str) -> Expression {
        let compiled = Expression::new(&self.env(true, false), text, Wanted::Anything);
        let found = compiled.program.as_ref().map_or(Type::Dyn, |program| passed_on(program.output()));
        if let Some(variables) = &mut self.variables {
            variables.retain(|(known, _)| known != name);
            variables.push((name.into(), found));
        }
        compiled
    }
}
