//! Whether the expressions of a configuration or a policy compile, when it is written. What else is
//! valid, the rules of the kinds say.

use crate::env::Known;
use crate::expression::{Scope, Wanted, compile};
use api::kinds::{Expression, Use, expressions};
use api::read::{at, has, list};
use apimachinery::FieldError;
use serde_json::Value;

const GROUP: &str = "admissionregistration.k8s.io";

/// Longest expression for the value of an audit annotation; longer ones are refused without compiling.
const MAX_VALUE: usize = 5 * 1024;

/// Errors in the expressions of an object; `old` is what it was.
pub fn errors(group: &str, resource: &str, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    if group != GROUP {
        return Vec::new();
    }
    let all = expressions(group, resource, object);
    let Some(first) = all.first() else { return Vec::new() };
    let spec = at(object, "spec");
    let mutating = resource == "mutatingadmissionpolicies";
    let with_variables = mutating || !list(spec, "variables").is_empty();
    // Conditions are checked without variables, although they may use them.
    let conditions = Scope::new(first.params, false, Known::default());
    let mut scope = Scope::new(first.params, with_variables, Known::default());
    let kept = old.is_some_and(|old| same_conditions(object, old));
    all.iter()
        .filter(|one| !(kept && one.purpose == Use::Match))
        .filter_map(|one| error(one, &conditions, &mut scope))
        .collect()
}

fn error(one: &Expression, conditions: &Scope, scope: &mut Scope) -> Option<FieldError> {
    let trimmed = one.text.trim();
    let (outcome, shown) = match one.purpose {
        Use::Match => (compile(&conditions.env(true, false), &one.text, Wanted::Bool), one.text.as_str()),
        Use::Variable => (scope.declare(&one.name, &one.text).program, one.text.as_str()),
        Use::Validation => (compile(&scope.env(true, false), &one.text, Wanted::Bool), one.text.as_str()),
        Use::Message => (compile(&scope.env(false, false), &one.text, Wanted::Text), one.text.as_str()),
        Use::AuditAnnotation if trimmed.len() > MAX_VALUE => return None,
        Use::AuditAnnotation => {
            (compile(&scope.env(true, false), trimmed, Wanted::TextOrNull), one.text.as_str())
        }
        Use::ApplyConfiguration => (compile(&scope.env(true, true), trimmed, Wanted::Object), trimmed),
        Use::JsonPatch => (compile(&scope.env(true, true), trimmed, Wanted::JsonPatch), trimmed),
        Use::SchemaRule | Use::SchemaMessage => return None,
    };
    outcome.err().map(|text| FieldError::invalid(&one.path, shown, text))
}

/// Whether an update leaves the conditions as they are; then they are not judged again.
fn same_conditions(new: &Value, old: &Value) -> bool {
    if has(new, "spec") {
        let (new, old) = (at(new, "spec"), at(old, "spec"));
        return ["paramKind", "matchConditions"].iter().all(|field| at(new, field) == at(old, field));
    }
    let conditions =
        |object| list(object, "webhooks").iter().map(|hook| at(hook, "matchConditions")).collect::<Vec<_>>();
    conditions(new) == conditions(old)
}
