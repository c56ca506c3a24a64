//! What a validating policy decides about a request.

use crate::activation::{Activation, Inputs, PER_POLICY};
use crate::expression::Expression;
use crate::policy::{Policy, Validation};
use apimachinery::Reason;
use cel::Value;

/// Longest message that an expression may make, bytes.
const MAX_MESSAGE: usize = 5 * 1024;
/// Longest value of an audit annotation, bytes; the rest is cut off.
const MAX_NOTE: usize = 10 * 1024;

/// What one validation of a policy comes to, if not consent.
#[derive(Debug, PartialEq)]
pub struct Decision {
    /// Which of the policy's validations.
    pub index: usize,
    pub message: String,
    /// `None`: nothing could be decided.
    pub reason: Option<Reason>,
}

/// An audit annotation, or why there is none.
#[derive(Debug, PartialEq)]
pub enum Note {
    Publish { key: String, value: String },
    Failed(String),
}

#[derive(Debug, Default, PartialEq)]
pub struct Validated {
    /// What is not consented to.
    pub decisions: Vec<Decision>,
    pub notes: Vec<Note>,
}

impl Policy {
    pub fn validate(&self, inputs: &Inputs<'_>) -> Validated {
        match self.conditions_hold(inputs) {
            Ok(true) => {}
            Ok(false) => return Validated::default(),
            Err(text) => return self.undecided(text),
        }
        let mut left = PER_POLICY;
        let outcomes = match self.outcomes(inputs, &mut left) {
            Ok(outcomes) => outcomes,
            Err(spent) => return self.undecided(spent),
        };
        let messages = self.messages(inputs, left, &outcomes);
        let mut validated = Validated::default();
        for (index, (validation, outcome)) in self.validations.iter().zip(outcomes).enumerate() {
            let failed = match (outcome, &messages) {
                (Err(error), _) => Some(error),
                (Ok(_), Err(spent)) => Some(format!("failed messageExpression: {spent}")),
                (Ok(_), Ok(_)) => None,
            };
            if let Some(message) = failed {
                if !self.ignores_failure {
                    validated.decisions.push(Decision { index, message, reason: None });
                }
                continue;
            }
            let Some(made) = messages.as_ref().ok().and_then(|made| made.get(index)) else { continue };
            if let Some(made) = made {
                let message = message(validation, made.as_deref());
                let reason = Some(validation.reason.unwrap_or(Reason::Invalid));
                validated.decisions.push(Decision { index, message, reason });
            }
        }
        match self.notes(inputs) {
            Ok(notes) => validated.notes = notes,
            Err(spent) => return self.undecided(spent),
        }
        validated
    }

    /// Nothing is decided for one reason.
    fn undecided(&self, message: String) -> Validated {
        let decisions = if self.ignores_failure {
            Vec::new()
        } else {
            vec![Decision { index: 0, message, reason: None }]
        };
        Validated { decisions, notes: Vec::new() }
    }

    /// Of each validation, whether it holds.
    fn outcomes(&self, inputs: &Inputs<'_>, left: &mut u64) -> Result<Vec<Result<bool, String>>, String> {
        let activation = Activation::new(inputs, &self.variables);
        let one = |validation: &Validation| {
            let outcome = activation.evaluate(&validation.expression, left)?;
            Ok(outcome.map(|value| value.as_bool() == Some(true)))
        };
        self.validations.iter().map(one).collect()
    }

    /// Of each validation: `None` if it holds, else the message that its expression makes, if any.
    #[allow(clippy::type_complexity)]
    fn messages(
        &self,
        inputs: &Inputs<'_>,
        mut left: u64,
        outcomes: &[Result<bool, String>],
    ) -> Result<Vec<Option<Option<String>>>, String> {
        let activation = Activation::new(inputs, &self.variables).without_authorizer();
        let mut made = Vec::with_capacity(self.validations.len());
        for (validation, outcome) in self.validations.iter().zip(outcomes) {
            // Also of those that hold: what messages cost counts.
            let text = match &validation.message_expression {
                None => None,
                Some(expression) => activation.evaluate(expression, &mut left)?.ok(),
            };
            let text = text.and_then(|value| value.as_text().map(|text| text.trim().to_owned()));
            made.push((*outcome == Ok(false)).then_some(text));
        }
        Ok(made)
    }

    fn notes(&self, inputs: &Inputs<'_>) -> Result<Vec<Note>, String> {
        let activation = Activation::new(inputs, &self.variables).without_authorizer();
        let mut left = PER_POLICY;
        let mut notes = Vec::new();
        for (key, expression) in &self.notes {
            match activation.evaluate(expression, &mut left)? {
                Ok(value) => notes.extend(note(key, expression, &value)),
                Err(error) if !self.ignores_failure => notes.push(Note::Failed(error)),
                Err(_) => {}
            }
        }
        Ok(notes)
    }
}

/// The text of a refusal: made, else written, else the expression.
fn message(validation: &Validation, made: Option<&str>) -> String {
    let good = |text: &&str| !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n');
    if let Some(made) = made.filter(good) {
        return made.to_owned();
    }
    match validation.message.trim() {
        "" => format!("failed expression: {}", validation.expression.text.trim()),
        written => written.to_owned(),
    }
}

fn note(key: &str, expression: &Expression, value: &Value<'_>) -> Option<Note> {
    match value {
        Value::Null => None,
        Value::String(text) => {
            let mut end = text.trim().len().min(MAX_NOTE);
            while !text.trim().is_char_boundary(end) {
                end -= 1;
            }
            let value = text.trim()[..end].to_owned();
            (!value.is_empty()).then(|| Note::Publish { key: key.to_owned(), value })
        }
        other => Some(Note::Failed(format!(
            "valueExpression '{}' resulted in unsupported return type: {}. Return type must be either string or null.",
            expression.text,
            other.type_name()
        ))),
    }
}
