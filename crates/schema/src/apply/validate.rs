//! Whether a configuration fits its type. Unlike decoding nothing is dropped or repaired: an unknown
//! field or a repeated item in what somebody applies is an error.

use super::element;
use super::error::{Errors, go_plain, go_syntax, go_type};
use super::items;
use super::types::{Form, List, Map, Scalar, Type};
use serde_json::Value;
use std::collections::HashSet;

/// Checks a value against its type.
///
/// # Errors
/// All that does not fit.
pub fn validate(ty: Type<'_>, value: &Value, duplicates: Duplicates) -> Result<(), Errors> {
    let mut walk = Walk { errors: Errors::default(), path: Vec::new(), duplicates };
    walk.value(ty, value);
    walk.errors.finish()
}

/// Whether lists may have several items of one key: live objects may, configurations may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    Refused,
    Allowed,
}

struct Walk {
    errors: Errors,
    path: Vec<String>,
    duplicates: Duplicates,
}

impl Walk {
    fn fail(&mut self, text: impl Into<String>) {
        self.errors.push(&self.path, text);
    }

    fn value(&mut self, ty: Type<'_>, value: &Value) {
        match ty.form(value) {
            Some(Form::Map(map)) => self.map(map, value),
            Some(Form::List(list)) => self.list(list, value),
            Some(Form::Scalar(scalar)) => {
                if let Some(text) = misfit(scalar, value) {
                    self.fail(text);
                }
            }
            None => self.fail("schema error: invalid atom: inlined"),
        }
    }

    fn below(&mut self, step: String, ty: Type<'_>, value: &Value) {
        self.path.push(step);
        self.value(ty, value);
        self.path.pop();
    }

    fn map(&mut self, map: Map<'_>, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(entries) => {
                for (name, value) in entries {
                    match map.entry(name) {
                        Some(ty) => self.below(element::field(name), ty, value),
                        None => {
                            self.path.push(element::field(name));
                            self.fail("field not declared in schema");
                            self.path.pop();
                            return;
                        }
                    }
                }
            }
            other => self.fail(format!("expected map, got &{{{}}}", go_plain(other))),
        }
    }

    fn list(&mut self, list: List<'_>, value: &Value) {
        let found = match value {
            Value::Null => return,
            Value::Array(found) => found,
            other => return self.fail(format!("expected list, got &{{{}}}", go_plain(other))),
        };
        let mut seen = HashSet::new();
        for (index, item) in found.iter().enumerate() {
            let step = if list.is_atomic() {
                format!("i:{index}")
            } else {
                match items::step(list, item) {
                    Ok(step) => step,
                    Err(text) => return self.fail(format!("element {index}: {text}")),
                }
            };
            if !seen.insert(step.clone()) && self.duplicates == Duplicates::Refused {
                self.fail(format!("duplicate entries for key {}", element::shown(&step)));
            }
            self.below(step, list.item, item);
        }
    }
}

/// What is wrong with a scalar.
pub(super) fn misfit(scalar: Scalar, value: &Value) -> Option<String> {
    let good = match scalar {
        Scalar::Numeric => value.is_number(),
        Scalar::String => value.is_string(),
        Scalar::Boolean => value.is_boolean(),
        Scalar::Any => !value.is_array() && !value.is_object(),
    };
    if good || value.is_null() {
        return None;
    }
    Some(match scalar {
        Scalar::Numeric => format!("expected numeric (int or float), got {}", go_type(value)),
        Scalar::String => {
            format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value))
        }
        Scalar::Boolean => format!("expected boolean, got &{{{}}}", go_plain(value)),
        Scalar::Any => format!("expected any scalar, got &{{{}}}", go_plain(value)),
    })
}
