//! Evaluation: the values of the names in expressions, variables when they are first asked for, and what
//! all of it costs.

use crate::env::{NAMESPACE, REQUEST};
use crate::expression::Expression;
use cel::{Authorizer, Budget, DYNAMIC, Error, Globals, Outcome, Value};
use serde_json::Value as Json;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// The most that one evaluation of one expression may cost.
const PER_CALL: u64 = 1_000_000;
/// The most that the expressions of one policy may cost for one request.
pub(crate) const PER_POLICY: u64 = 10_000_000;
/// The most that match conditions may cost for one request.
pub(crate) const PER_CONDITIONS: u64 = 2_500_000;
const SPENT: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// What expressions are given. Null stands for what is not there.
#[derive(Clone)]
pub struct Inputs<'a> {
    pub object: &'a Json,
    pub old: &'a Json,
    /// [`crate::Request::to_map`] as an object.
    pub request: &'a Json,
    pub params: &'a Json,
    pub namespace: &'a Json,
    /// Asks for the user of the request, and the same about what the request is about.
    pub authorizer: Option<(Authorizer, Authorizer)>,
}

/// One round of evaluations: variables are evaluated once in it.
pub(crate) struct Activation<'a, 'p> {
    inputs: &'p Inputs<'a>,
    authorizer: bool,
    namespace: bool,
    variables: &'p [(String, Expression)],
    found: RefCell<HashMap<&'p str, Outcome<'a>>>,
    /// What variables have cost since somebody asked.
    cost: Cell<u64>,
}

impl<'a, 'p> Activation<'a, 'p> {
    pub fn new(inputs: &'p Inputs<'a>, variables: &'p [(String, Expression)]) -> Activation<'a, 'p> {
        Activation {
            inputs,
            authorizer: true,
            namespace: true,
            variables,
            found: RefCell::default(),
            cost: Cell::new(0),
        }
    }

    pub fn without_authorizer(mut self) -> Self {
        self.authorizer = false;
        self
    }

    pub fn without_namespace(mut self) -> Self {
        self.namespace = false;
        self
    }

    /// The value of an expression, or why it has none.
    ///
    /// # Errors
    /// The budget is spent: nothing more may be evaluated.
    pub fn evaluate(
        &self,
        expression: &Expression,
        left: &mut u64,
    ) -> Result<Result<Value<'a>, String>, String> {
        let program = match &expression.program {
            Ok(program) => program,
            Err(text) => return Ok(Err(format!("compilation error: {text}"))),
        };
        let mut budget = Budget::new(PER_CALL);
        let outcome = program.eval(self, &mut budget);
        for cost in [self.cost.take(), budget.used] {
            *left = left.checked_sub(cost).ok_or(SPENT)?;
        }
        Ok(outcome.map_err(|error| format!("expression '{}' resulted in error: {error}", expression.text)))
    }

    fn evaluate_variable(&self, name: &'p str, expression: &'p Expression) -> Outcome<'a> {
        if let Some(found) = self.found.borrow().get(name) {
            return found.clone();
        }
        let outcome = match &expression.program {
            Err(text) => {
                Err(Error::Failed(format!("composited variable \"{name}\" fails to compile: {text}")))
            }
            Ok(program) => {
                let mut budget = Budget::new(PER_CALL);
                let outcome = program.eval(self, &mut budget);
                self.cost.set(self.cost.get().saturating_add(budget.used));
                outcome.map_err(|error| {
                    Error::Failed(format!("composited variable \"{name}\" fails to evaluate: {error}"))
                })
            }
        };
        self.found.borrow_mut().insert(name, outcome.clone());
        outcome
    }
}

impl<'a> Globals<'a> for Activation<'a, '_> {
    fn get(&self, name: &str) -> Option<Value<'a>> {
        let inputs = self.inputs;
        let authorizer = || inputs.authorizer.as_ref().filter(|_| self.authorizer);
        Some(match name {
            "object" => Value::of_json(inputs.object, &DYNAMIC),
            "oldObject" => Value::of_json(inputs.old, &DYNAMIC),
            "params" => Value::of_json(inputs.params, &DYNAMIC),
            "request" => Value::of_json(inputs.request, &REQUEST),
            "namespaceObject" if !self.namespace => Value::Null,
            "namespaceObject" => Value::of_json(inputs.namespace, &NAMESPACE),
            "authorizer" => Value::opaque(authorizer()?.0.clone()),
            "authorizer.requestResource" => Value::opaque(authorizer()?.1.clone()),
            _ => return None,
        })
    }

    fn variable(&self, name: &str, _budget: &mut Budget) -> Option<Outcome<'a>> {
        // The last of several of the same name.
        let (name, expression) = self.variables.iter().rev().find(|(known, _)| known == name)?;
        Some(self.evaluate_variable(name, expression))
    }
}
