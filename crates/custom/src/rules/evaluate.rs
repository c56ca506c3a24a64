//! Evaluating the rules of an object: which values a rule sees, what a broken rule says, what it costs, and
//! which errors a change is not to blame for.

use super::compile::Compiled;
use super::{MAX_CALL_COST, MAX_MESSAGE, MAX_REQUEST_COST, Rules};
use crate::correlate::{old_entry, old_item, same};
use crate::schema::{Rule, Schema, Type};
use apimachinery::{FieldError, Path, go};
use cel::{Budget, Error, Globals, Program, Value as Cel};
use serde_json::Value;

/// What rules say of an object.
#[derive(Debug, Default, PartialEq)]
pub struct Judged {
    pub errors: Vec<FieldError>,
    /// Broken rules about what did not change.
    pub warnings: Vec<String>,
}

impl Rules {
    /// Evaluates all rules; `old` is what is there before a change.
    pub fn check(&self, schema: &Schema, new: &Value, old: Option<&Value>) -> Judged {
        let mut check = Check { left: MAX_REQUEST_COST, judged: Judged::default() };
        let ratchet = Ratchet { current: old.map(|old| (schema, new, old)), parent: None, root: true };
        // That the budget is spent has been told.
        let _spent = check.node(self, schema, new, old, ratchet, &Path::root());
        check.judged
    }
}

/// A value with the old one that goes with it.
type Pair<'v> = (&'v Schema, &'v Value, &'v Value);

/// Whether anything changed here, or in the nearest place around that has an old value.
#[derive(Clone, Copy)]
struct Ratchet<'v> {
    current: Option<Pair<'v>>,
    parent: Option<Pair<'v>>,
    root: bool,
}

impl<'v> Ratchet<'v> {
    fn unchanged(&self) -> bool {
        self.current.or(self.parent).is_some_and(|(schema, new, old)| same(Some(schema), new, old))
    }

    fn below(&self, next: Option<Pair<'v>>, name: &str) -> Ratchet<'v> {
        match self.current {
            None => Ratchet { root: false, ..*self },
            Some(_) if self.root && matches!(name, "apiVersion" | "kind") => {
                Ratchet { current: None, parent: None, root: false }
            }
            current => Ratchet { current: next, parent: current, root: false },
        }
    }
}

/// The budget is spent.
struct Spent;

struct Check {
    left: i64,
    judged: Judged,
}

struct Names<'a> {
    current: Cel<'a>,
    old: Option<Cel<'a>>,
}

impl<'a> Globals<'a> for Names<'a> {
    fn get(&self, name: &str) -> Option<Cel<'a>> {
        match name {
            "self" => Some(self.current.clone()),
            "oldSelf" => self.old.clone(),
            _ => None,
        }
    }
}

impl Check {
    fn node(
        &mut self,
        rules: &Rules,
        schema: &Schema,
        new: &Value,
        old: Option<&Value>,
        ratchet: Ratchet<'_>,
        path: &Path,
    ) -> Result<(), Spent> {
        // A rule about a value that may be null stands around it.
        if new.is_null() {
            return Ok(());
        }
        let old = old.filter(|old| !old.is_null());
        self.expressions(rules, new, old, ratchet, path)?;
        for rules in &rules.all_of {
            self.node(rules, schema, new, old, Ratchet { current: None, ..ratchet }, path)?;
        }
        match new {
            Value::Array(items) => {
                let (Some(rules), Some(below)) = (&rules.items, schema.items.as_deref()) else {
                    return Ok(());
                };
                for (index, item) in items.iter().enumerate() {
                    let before = old_item(schema, old, item);
                    let next = ratchet.below(before.map(|before| (below, item, before)), "");
                    self.node(rules, below, item, before, next, &path.index(index))?;
                }
                Ok(())
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let (rules, below, path) = match (rules.properties.get(name), &rules.rest) {
                        (Some(rules), _) => (rules, schema.properties.get(name), path.child(name.clone())),
                        (None, Some(rules)) => (&**rules, schema.rest_schema(), path.key(name.as_str())),
                        (None, None) => continue,
                    };
                    let Some(below) = below else { continue };
                    let before = old_entry(old, name);
                    let next = ratchet.below(before.map(|before| (below, value, before)), name);
                    self.node(rules, below, value, before, next, &path)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn invalid(&mut self, path: &Path, ty: Type, detail: String) {
        self.judged.errors.push(FieldError::invalid(path, ty.name(), detail));
    }

    fn expressions(
        &mut self,
        rules: &Rules,
        new: &Value,
        old: Option<&Value>,
        ratchet: Ratchet<'_>,
        path: &Path,
    ) -> Result<(), Spent> {
        if rules.rules.is_empty() {
            return Ok(());
        }
        if self.left <= 0 {
            self.out_of_budget(path, rules.ty);
            return Err(Spent);
        }
        let seen = |value| rules.decl.as_ref().map_or(Cel::Null, |decl| Cel::of_json(value, decl));
        for compiled in &rules.rules {
            let optional = compiled.rule.optional_old_self == Some(true);
            let program = match &compiled.program {
                None => continue,
                Some(Err(why)) => {
                    self.invalid(path, rules.ty, format!("rule compile error: {why}"));
                    continue;
                }
                // Transitions need something to come from.
                Some(Ok(_)) if compiled.uses_old && old.is_none() && !optional => continue,
                Some(Ok(program)) => program,
            };
            let before = match (old.map(seen), optional) {
                (None, true) => Some(Cel::Optional(None)),
                (Some(old), true) => Some(Cel::some(old)),
                (old, false) => old,
            };
            let names = Names { current: seen(new), old: before };
            if self.holds(program, compiled, &names, rules.ty, path)? {
                continue;
            }
            self.broken(compiled, &names, new, rules.ty, ratchet, path)?;
        }
        Ok(())
    }

    fn out_of_budget(&mut self, path: &Path, ty: Type) {
        let detail =
            "validation failed due to running out of cost budget, no further validation rules will be run";
        self.invalid(path, ty, detail.into());
    }

    /// Whether the rule is kept; an error that keeps it from telling counts as told.
    fn holds(
        &mut self,
        program: &Program,
        compiled: &Compiled,
        names: &Names<'_>,
        ty: Type,
        path: &Path,
    ) -> Result<bool, Spent> {
        let mut budget = Budget::new(MAX_CALL_COST);
        let outcome = program.eval(names, &mut budget);
        let used = i64::try_from(budget.used).unwrap_or(i64::MAX);
        if used > self.left {
            self.out_of_budget(path, ty);
            return Err(Spent);
        }
        self.left -= used;
        let rule = shown(&compiled.rule);
        match outcome {
            Ok(value) => Ok(value.as_bool() == Some(true)),
            Err(error @ Error::Cost) => {
                let detail = format!(
                    "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {rule}"
                );
                self.invalid(path, ty, detail);
                Err(Spent)
            }
            Err(Error::Failed(why)) if why.starts_with("no such overload") => {
                let detail = format!(
                    "'{why}': call arguments did not match a supported operator, function or macro signature for rule: {rule}"
                );
                self.invalid(path, ty, detail);
                Ok(true)
            }
            Err(Error::Failed(why)) => {
                self.invalid(path, ty, format!("{why} evaluating rule: {rule}"));
                Ok(true)
            }
        }
    }

    fn broken(
        &mut self,
        compiled: &Compiled,
        names: &Names<'_>,
        new: &Value,
        ty: Type,
        ratchet: Ratchet<'_>,
        path: &Path,
    ) -> Result<(), Spent> {
        let path = match &compiled.field {
            Some(field) => path.child(field.clone()),
            None => path.clone(),
        };
        let forgiven = !compiled.uses_old && ratchet.unchanged();
        let add = |judged: &mut Judged, error: FieldError| {
            if forgiven {
                judged.warnings.push(error.to_string());
            } else {
                judged.errors.push(error);
            }
        };
        let mut detail = None;
        if let Some(Ok(program)) = &compiled.message {
            match self.message(program, &compiled.rule.message_expression, names) {
                Ok(message) => detail = message,
                Err(why) => {
                    add(&mut self.judged, FieldError::invalid(&path, ty.name(), why));
                    return Err(Spent);
                }
            }
        }
        let detail = detail.unwrap_or_else(|| match compiled.rule.message.as_str() {
            "" => format!("failed rule: {}", shown(&compiled.rule)),
            message => message.trim().to_owned(),
        });
        let error = match compiled.rule.reason.as_deref() {
            Some("FieldValueForbidden") => FieldError::forbidden(&path, detail),
            Some("FieldValueRequired") => FieldError::required(&path, detail),
            Some("FieldValueDuplicate") => hidden(FieldError::duplicate(&path, new.clone()), ty),
            _ => hidden(FieldError::invalid(&path, new.clone(), detail), ty),
        };
        add(&mut self.judged, error);
        Ok(())
    }

    /// The message that an expression makes; `None` if it makes none that can be used.
    fn message(
        &mut self,
        program: &Program,
        source: &str,
        names: &Names<'_>,
    ) -> Result<Option<String>, String> {
        let mut budget = Budget::new(MAX_CALL_COST);
        let outcome = program.eval(names, &mut budget);
        let used = i64::try_from(budget.used).unwrap_or(i64::MAX);
        if used > self.left {
            let why = "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run";
            return Err(why.into());
        }
        self.left -= used;
        let text = match outcome {
            Ok(value) => value.as_text().map(|text| text.trim().to_owned()),
            Err(Error::Cost) => {
                return Err(format!(
                    "no further validation rules will be run due to call cost exceeds limit for messageExpression: {}",
                    go::quote(source)
                ));
            }
            Err(Error::Failed(_)) => None,
        };
        Ok(text.filter(|text| !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n')))
    }
}

/// Objects and lists are not printed.
fn hidden(error: FieldError, ty: Type) -> FieldError {
    if matches!(ty, Type::Object | Type::Array) { error.without_value() } else { error }
}

fn shown(rule: &Rule) -> &str {
    if rule.message.is_empty() { rule.rule.trim() } else { rule.message.trim() }
}
