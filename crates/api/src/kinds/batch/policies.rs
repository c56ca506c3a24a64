//! When a Job fails early and when it succeeds early: podFailurePolicy and successPolicy.

use super::status::indexes;
use crate::kinds::checks::quoted;
use crate::kinds::pod::errors::Errors;
use crate::read::{at, has, int, list, opt_text, text};
use apimachinery::Path;
use serde_json::Value;
use std::collections::HashSet;

const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_PATTERNS: usize = 20;
const MAX_INDEXES: usize = 64 * 1024;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// A text that must be there, the message naming the choices.
fn one_of(value: &str, known: &[&str], path: &Path, errors: &mut Errors) {
    if value.is_empty() {
        errors.required(path, &format!("valid values: {}", quoted(known)));
    } else {
        errors.known(path, value, known);
    }
}

pub(super) fn failure(spec: &Value, path: &Path, errors: &mut Errors) {
    let (rules, path) = (list(at(spec, "podFailurePolicy"), "rules"), path.child("rules"));
    errors.too_many(&path, rules.len(), MAX_RULES);
    let pod = at(at(spec, "template"), "spec");
    let containers: HashSet<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|field| list(pod, field))
        .map(|container| text(container, "name"))
        .collect();
    for (index, rule) in rules.iter().enumerate() {
        failure_rule(spec, rule, &containers, &path.index(index), errors);
    }
}

fn failure_rule(spec: &Value, rule: &Value, containers: &HashSet<&str>, path: &Path, errors: &mut Errors) {
    let at_action = path.child("action");
    match text(rule, "action") {
        "FailIndex" if !has(spec, "backoffLimitPerIndex") => {
            errors.invalid(&at_action, "FailIndex", "requires the backoffLimitPerIndex to be set");
        }
        action => one_of(action, &ACTIONS, &at_action, errors),
    }
    let codes = has(rule, "onExitCodes");
    if codes {
        exit_codes(at(rule, "onExitCodes"), containers, &path.child("onExitCodes"), errors);
    }
    let patterns = list(rule, "onPodConditions");
    if !patterns.is_empty() {
        let path = path.child("onPodConditions");
        errors.too_many(&path, patterns.len(), MAX_PATTERNS);
        for (index, pattern) in patterns.iter().enumerate() {
            let path = path.index(index);
            errors.qualified(&path.child("type"), text(pattern, "type"));
            one_of(text(pattern, "status"), &STATUSES, &path.child("status"), errors);
        }
    }
    match (codes, patterns.is_empty()) {
        (true, false) => {
            let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
            errors.invalid_hidden(path, detail);
        }
        (false, true) => {
            errors.invalid_hidden(path, "specifying one of OnExitCodes and OnPodConditions is required");
        }
        _ => {}
    }
}

fn exit_codes(codes: &Value, containers: &HashSet<&str>, path: &Path, errors: &mut Errors) {
    let operator = text(codes, "operator");
    one_of(operator, &OPERATORS, &path.child("operator"), errors);
    if let Some(name) = opt_text(codes, "containerName").filter(|name| !containers.contains(name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.invalid(&path.child("containerName"), name, detail);
    }
    let at_values = path.child("values");
    let values: Vec<i64> = list(codes, "values").iter().filter_map(Value::as_i64).collect();
    if values.is_empty() {
        errors.invalid(&at_values, at(codes, "values").clone(), "at least one value is required");
    }
    errors.too_many(&at_values, values.len(), MAX_EXIT_CODES);
    let mut seen = HashSet::new();
    for (index, value) in values.iter().enumerate() {
        let path = at_values.index(index);
        if operator == "In" && *value == 0 {
            errors.invalid(&path, *value, "must not be 0 for the In operator");
        }
        if !seen.insert(*value) {
            errors.duplicate(&path, *value);
        }
    }
    if !values.is_sorted() {
        errors.invalid(&at_values, values, "must be ordered");
    }
}

pub(super) fn success(policy: &Value, completions: i64, path: &Path, errors: &mut Errors) {
    let (rules, path) = (list(policy, "rules"), path.child("rules"));
    if rules.is_empty() {
        errors.required(&path, "at least one rules must be specified when the successPolicy is specified");
    }
    errors.too_many(&path, rules.len(), MAX_RULES);
    for (index, rule) in rules.iter().enumerate() {
        success_rule(rule, completions, &path.index(index), errors);
    }
}

fn success_rule(rule: &Value, completions: i64, path: &Path, errors: &mut Errors) {
    let (count, listed) = (int(rule, "succeededCount"), opt_text(rule, "succeededIndexes"));
    if count.is_none() && listed.is_none() {
        errors.required(path, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut total = 0;
    if let Some(listed) = listed {
        let path = path.child("succeededIndexes");
        errors.max_bytes(&path, listed, MAX_INDEXES);
        match indexes(listed, completions) {
            Ok(found) => total = found,
            Err(why) => errors.invalid(&path, listed, format!("error parsing succeededIndexes: {why}")),
        }
    }
    let Some(count) = count else { return };
    errors.not_negative(path, rule, "succeededCount");
    let path = path.child("succeededCount");
    if count > completions {
        let detail =
            format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.invalid(&path, count, detail);
    }
    if listed.is_some() && count > total {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.invalid(&path, count, detail);
    }
}
