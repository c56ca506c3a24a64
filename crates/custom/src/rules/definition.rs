//! The rules in a definition, when it is written: whether they compile, and what they may cost at the most, given
//! how often their place can occur in an object.

use super::compile::{self, Compiled};
use super::decl;
use crate::schema::{Lists, Rest, Schema, Type};
use apimachinery::{FieldError, Path};
use cel::MAX_REQUEST_BYTES;
use serde_json::{Value, json};
use std::sync::Arc;

/// The largest estimated cost of one rule, with all places where it is evaluated.
pub const MAX_RULE_ESTIMATE: u64 = 10_000_000;
/// The largest estimated cost of all rules of a schema.
pub const MAX_SCHEMA_ESTIMATE: u64 = 100_000_000;
/// Rules that are named when all together cost too much.
const MOST_EXPENSIVE: usize = 4;

/// Errors in the rules of a definition that is valid otherwise. What was accepted once is not too expensive
/// later.
pub fn check(definition: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let versions = |object: &Value| object.pointer("/spec/versions").and_then(Value::as_array).cloned();
    let new = versions(definition).unwrap_or_default();
    let old = old.and_then(versions).unwrap_or_default();
    let schema = |version: &Value| version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
    let known = |version: &Value| {
        old.iter().any(|old| old["name"] == version["name"] && schema(old) == schema(version))
    };
    let spec = Path::new("spec");
    let mut errors = Vec::new();
    let Some(first) = new.first() else { return errors };
    // What is the same in all versions is named once.
    if new.iter().all(|version| schema(version) == schema(first)) {
        self::schema(&schema(first), known(first), &spec.child("validation"), &mut errors);
        return errors;
    }
    for (index, version) in new.iter().enumerate() {
        let path = spec.child("versions").index(index).child("schema");
        self::schema(&schema(version), known(version), &path, &mut errors);
    }
    errors
}

fn schema(json: &Value, known: bool, path: &Path, errors: &mut Vec<FieldError>) {
    let schema = Schema::read(json);
    if !schema.has_rules() {
        return;
    }
    let path = path.child("openAPIV3Schema");
    let mut check = Check { known, total: 0, expensive: Vec::new(), errors };
    check.node(&schema, true, Some(1), None, &path);
    let Check { total, expensive, errors, .. } = check;
    if total > MAX_SCHEMA_ESTIMATE {
        for (path, _) in expensive {
            let words =
                "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            errors.push(FieldError::forbidden(&path, words));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.push(FieldError::forbidden(&path, too_expensive(what, total, MAX_SCHEMA_ESTIMATE)));
    }
}

struct Check<'e> {
    known: bool,
    total: u64,
    /// The most expensive rules, most expensive first.
    expensive: Vec<(Path, u64)>,
    errors: &'e mut Vec<FieldError>,
}

impl Check<'_> {
    /// `times`: how often the place can occur at the most, if that is bounded; `fixed`: the place around that has
    /// no old values to compare with.
    fn node(&mut self, schema: &Schema, root: bool, times: Option<u64>, fixed: Option<&Path>, path: &Path) {
        let bound = times.zip(multiplies(schema)).map(|(times, by)| times.saturating_mul(by));
        if let Some(Rest::Of(rest)) = &schema.rest {
            self.node(rest, false, bound, fixed, &path.child("additionalProperties"));
        }
        for (name, property) in &schema.properties {
            let path = path.child("properties").key(name.as_str());
            self.node(property, false, bound, fixed, &path);
        }
        if let Some(items) = &schema.items {
            let map = matches!(schema.lists, Lists::Map(_));
            let fixed = fixed.or((!map).then_some(path));
            self.node(items, false, bound, fixed, &path.child("items"));
        }
        if schema.rules.is_empty() {
            return;
        }
        let at = path.child("x-kubernetes-validations");
        let Some(decl) = decl::of(schema, root || schema.embedded).map(Arc::new) else {
            let why = "internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations";
            self.errors.push(FieldError::internal(&at, why));
            return;
        };
        let times = times.unwrap_or(MAX_REQUEST_BYTES / (decl.min_serialized + 1));
        for (index, compiled) in compile::all(&schema.rules, schema, Some(&decl)).iter().enumerate() {
            self.rule(compiled, times, fixed, &at.index(index));
        }
    }

    fn rule(&mut self, compiled: &Compiled, times: u64, fixed: Option<&Path>, at: &Path) {
        let (at_rule, at_message) = (at.child("rule"), at.child("messageExpression"));
        let rule = &compiled.rule;
        let whole = || {
            json!({"Rule": rule.rule, "Message": rule.message, "MessageExpression": rule.message_expression,
                "Reason": rule.reason, "FieldPath": rule.field_path, "OptionalOldSelf": rule.optional_old_self})
        };
        self.costs("estimated rule cost", compiled.cost.saturating_mul(times), &at_rule);
        if let Some(Err(why)) = &compiled.program {
            self.errors.push(FieldError::invalid(&at_rule, whole(), why.as_str()));
        }
        match &compiled.message {
            Some(Err(why)) => self.errors.push(FieldError::invalid(&at_message, whole(), why.as_str())),
            Some(Ok(_)) => self.costs("estimated messageExpression cost", compiled.message_cost, &at_message),
            None => {}
        }
        if compiled.uses_old {
            if let Some(fixed) = fixed {
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {fixed}"
                );
                self.errors.push(FieldError::invalid(&at_rule, rule.rule.as_str(), detail));
            }
        } else if let Some(optional) = rule.optional_old_self {
            let detail = "may not be set if oldSelf is not used in rule";
            self.errors.push(FieldError::invalid(&at.child("optionalOldSelf"), optional, detail));
        }
    }

    fn costs(&mut self, what: &str, cost: u64, path: &Path) {
        if !self.known && cost > MAX_RULE_ESTIMATE {
            self.errors.push(FieldError::forbidden(path, too_expensive(what, cost, MAX_RULE_ESTIMATE)));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= MAX_SCHEMA_ESTIMATE / 100 {
            self.expensive.push((path.clone(), cost));
            self.expensive.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
            self.expensive.truncate(MOST_EXPENSIVE);
        }
    }
}

/// How often what is below occurs per occurrence of a schema; `None` if nothing bounds it.
fn multiplies(schema: &Schema) -> Option<u64> {
    let max = |max: Option<i64>| max.map(|max| u64::try_from(max).unwrap_or(0));
    match schema.ty {
        Type::Object if schema.rest.is_some() => max(schema.limits.max_properties),
        Type::Array => max(schema.limits.max_items),
        _ => Some(1),
    }
}

fn too_expensive(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}
