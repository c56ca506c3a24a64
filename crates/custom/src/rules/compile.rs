//! From the text of a rule to something that can be evaluated.

use crate::schema::{Rule, Schema};
use cel::{Decl, Env, Program, Type};
use std::sync::Arc;

/// A rule, with whatever could be made of it.
#[derive(Debug)]
pub(super) struct Compiled {
    pub rule: Rule,
    /// `None`: the rule is empty.
    pub program: Option<Result<Program, String>>,
    pub uses_old: bool,
    pub message: Option<Result<Program, String>>,
    /// The largest cost of the rule and of its message.
    pub cost: u64,
    pub message_cost: u64,
    /// Where the error is, below the place of the rule.
    pub field: Option<String>,
}

/// Compiles the rules that stand at one schema.
pub(super) fn all(rules: &[Rule], spine: &Schema, decl: Option<&Arc<Decl>>) -> Vec<Compiled> {
    if rules.is_empty() {
        return Vec::new();
    }
    let Some(decl) = decl else {
        let hidden = || Err("failed to convert to declType for CEL validation rules".to_owned());
        return rules
            .iter()
            .map(|rule| Compiled { program: Some(hidden()), ..Compiled::empty(rule) })
            .collect();
    };
    let env = Env::new().with("self", decl.clone());
    let plain = env.clone().with("oldSelf", decl.clone());
    let optional = env.with_type("oldSelf", Type::optional(decl.ty()));
    rules
        .iter()
        .map(|rule| one(rule, spine, if rule.optional_old_self == Some(true) { &optional } else { &plain }))
        .collect()
}

impl Compiled {
    fn empty(rule: &Rule) -> Compiled {
        Compiled {
            rule: rule.clone(),
            program: None,
            uses_old: false,
            message: None,
            cost: 0,
            message_cost: 0,
            field: None,
        }
    }
}

fn one(rule: &Rule, spine: &Schema, env: &Env) -> Compiled {
    let mut compiled = Compiled::empty(rule);
    if rule.rule.trim().is_empty() {
        return compiled;
    }
    let program = match env.compile(&rule.rule) {
        Err(issues) => {
            compiled.program = Some(Err(format!("compilation failed: {issues}")));
            return compiled;
        }
        Ok(program) if !matches!(program.output(), Type::Bool) => {
            compiled.program = Some(Err("cel expression must evaluate to a bool".into()));
            return compiled;
        }
        Ok(program) => program,
    };
    compiled.uses_old = program.mentions("oldSelf");
    compiled.cost = program.estimate(env).max;
    compiled.program = Some(Ok(program));
    if !rule.message_expression.is_empty() {
        compiled.message = Some(match env.compile(&rule.message_expression) {
            Err(issues) => Err(format!("messageExpression compilation failed: {issues}")),
            Ok(program) if !matches!(program.output(), Type::String) => {
                Err("messageExpression must evaluate to a string".into())
            }
            Ok(program) => {
                compiled.message_cost = program.estimate(env).max;
                Ok(program)
            }
        });
    }
    compiled.field = super::path::normalized(&rule.field_path, spine);
    compiled
}
