//! Match conditions: expressions that exempt requests from a webhook or a policy.

use crate::activation::{Activation, Inputs, PER_CONDITIONS};
use crate::expression::{Expression, Scope, Wanted};
use api::read::{list, text};
use serde_json::Value as Json;

#[derive(Debug)]
pub(crate) struct Conditions {
    expressions: Vec<Expression>,
    /// Whether a failure means that the request is not concerned.
    ignore: bool,
}

impl Conditions {
    pub fn parse(of: &Json, scope: &Scope, ignore: bool) -> Conditions {
        let conditions = list(of, "matchConditions");
        if conditions.is_empty() {
            return Conditions { expressions: Vec::new(), ignore };
        }
        let env = scope.env(true, false);
        let compile = |one: &Json| Expression::new(&env, text(one, "expression"), Wanted::Bool);
        Conditions { expressions: conditions.iter().map(compile).collect(), ignore }
    }

    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    /// Whether all hold. One that does not decides, whatever is wrong with others.
    ///
    /// # Errors
    /// What is wrong with the conditions, if that is not to be ignored.
    pub fn hold(&self, inputs: &Inputs<'_>, variables: &[(String, Expression)]) -> Result<bool, String> {
        if self.is_empty() {
            return Ok(true);
        }
        let activation = Activation::new(inputs, variables).without_namespace();
        let mut left = PER_CONDITIONS;
        let mut outcomes = Vec::with_capacity(self.expressions.len());
        for expression in &self.expressions {
            match activation.evaluate(expression, &mut left) {
                Ok(outcome) => outcomes.push(outcome),
                Err(_) if self.ignore => return Ok(false),
                Err(spent) => return Err(spent),
            }
        }
        if outcomes.iter().flatten().any(|value| value.as_bool() == Some(false)) {
            return Ok(false);
        }
        let mut errors: Vec<String> = Vec::new();
        for error in outcomes.into_iter().filter_map(Result::err) {
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
        match errors.as_slice() {
            [] => Ok(true),
            _ if self.ignore => Ok(false),
            [only] => Err(only.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }
}
