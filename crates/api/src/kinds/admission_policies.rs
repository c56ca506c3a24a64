//! Validating and mutating admission policies and their bindings: what they match and what they say.
//! Whether their expressions compile is not decided here; see `expressions`.

use super::checks::same;
use super::plain::{Kind, Plain};
use super::pod::{affinity::label_selector, errors::Errors};
use super::webhooks::{GROUP, match_conditions, operations, static_name};
use crate::read::{at, has, list, opt_text, text, texts};
use apimachinery::{Path, meta, validation};
use serde_json::Value;
use std::collections::BTreeSet;

const MAX_ANNOTATIONS: usize = 20;
const MAX_VALUE: usize = 5 * 1024;
const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const MUTATING: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];

const fn policy() -> Plain {
    Plain::of().generation().needs_version().warn(|object, _| static_name(object))
}

pub(super) static KINDS: &[Kind] = &[
    (
        GROUP,
        "validatingadmissionpolicies",
        policy()
            .status()
            .rules(|object, errors| validating(object, None, errors))
            .update(|new, old, errors| validating(new, Some(old), errors))
            .status_rules(|object, _, errors| validating_status(at(object, "status"), errors)),
    ),
    (GROUP, "validatingadmissionpolicybindings", policy().rules(validating_binding)),
    (
        GROUP,
        "mutatingadmissionpolicies",
        policy()
            .rules(|object, errors| mutating(object, None, errors))
            .update(|new, old, errors| mutating(new, Some(old), errors)),
    ),
    (GROUP, "mutatingadmissionpolicybindings", policy().rules(mutating_binding)),
];

/// What both kinds of policies begin with.
fn common(spec: &Value, old: Option<&Value>, mutating: bool, path: &Path, errors: &mut Errors) {
    match opt_text(spec, "failurePolicy") {
        None => errors.required(&path.child("failurePolicy"), ""),
        Some(policy) => errors.known(&path.child("failurePolicy"), policy, &["Fail", "Ignore"]),
    }
    if has(spec, "paramKind") {
        param_kind(at(spec, "paramKind"), &path.child("paramKind"), errors);
    }
    let (constraints, at_constraints) = (at(spec, "matchConstraints"), path.child("matchConstraints"));
    if constraints.is_null() {
        errors.required(&at_constraints, "");
    } else {
        match_resources(constraints, &at_constraints, errors);
        if list(constraints, "resourceRules").is_empty() {
            errors.required(&at_constraints.child("resourceRules"), "");
        }
        if mutating {
            mutating_operations(constraints, &at_constraints, errors);
        }
    }
    let before = old.map(|old| at(old, "spec"));
    let kept = |field| before.is_some_and(|before| same(at(before, field), at(spec, field)));
    if !(kept("paramKind") && kept("matchConditions")) {
        match_conditions(spec, path, errors);
    }
    for (index, variable) in list(spec, "variables").iter().enumerate() {
        let (name, path) = (text(variable, "name"), path.child("variables").index(index));
        if name.trim().is_empty() {
            errors.required(&path.child("name"), "name is not specified");
        } else if !is_identifier(name) {
            errors.invalid(&path.child("name"), name, "must be a valid CEL identifier");
        }
        if text(variable, "expression").trim().is_empty() {
            errors.required(&path.child("expression"), "expression is not specified");
        }
    }
}

fn is_identifier(name: &str) -> bool {
    validation::c_identifier(name).is_empty() && !cel::is_reserved(name)
}

fn param_kind(kind: &Value, path: &Path, errors: &mut Errors) {
    let (version, at_version) = (text(kind, "apiVersion"), path.child("apiVersion"));
    let slashes = if version == "/" { 0 } else { version.matches('/').count() };
    let joined = |value: &str, problems: Vec<String>, errors: &mut Errors| {
        if !problems.is_empty() {
            errors.invalid(&at_version, value, problems.join(","));
        }
    };
    if version.is_empty() {
        errors.required(&at_version, "");
    } else if slashes > 1 {
        let detail = format!("unexpected GroupVersion string: {version}");
        errors.invalid(&at_version, version, detail);
    } else {
        let (group, own) =
            if version == "/" { ("", "") } else { version.split_once('/').unwrap_or(("", version)) };
        if !group.is_empty() {
            joined(group, validation::dns1123_subdomain(group), errors);
        }
        if own.is_empty() {
            errors.invalid(&at_version, version, "version must be specified");
        } else {
            joined(own, validation::dns1035_label(own), errors);
        }
    }
    let name = text(kind, "kind");
    let problems = validation::dns1035_label(&name.to_lowercase());
    if name.is_empty() {
        errors.required(&path.child("kind"), "");
    } else if !problems.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
        errors.invalid(&path.child("kind"), name, detail);
    }
}

fn match_resources(rules: &Value, path: &Path, errors: &mut Errors) {
    match opt_text(rules, "matchPolicy") {
        None => errors.required(&path.child("matchPolicy"), ""),
        Some(policy) => errors.known(&path.child("matchPolicy"), policy, &["Equivalent", "Exact"]),
    }
    for field in ["namespaceSelector", "objectSelector"] {
        if has(rules, field) {
            label_selector(at(rules, field), &path.child(field), errors);
        } else {
            errors.required(&path.child(field), "");
        }
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in list(rules, field).iter().enumerate() {
            let path = path.child(field).index(index);
            let mut names = BTreeSet::new();
            for (index, name) in texts(rule, "resourceNames").enumerate() {
                let path = path.child("resourceNames").index(index);
                errors.problems(&path, name, validation::path_segment_name(name));
                if !names.insert(name) {
                    errors.duplicate(&path, name);
                }
            }
            operations(rule, &path, errors);
        }
    }
}

/// What is deleted cannot be mutated.
fn mutating_operations(rules: &Value, path: &Path, errors: &mut Errors) {
    let path = path.child("resourceRules").child("operations");
    for rule in list(rules, "resourceRules") {
        for operation in texts(rule, "operations") {
            errors.known(&path, operation, &MUTATING);
        }
    }
}

fn validating(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    common(spec, old, false, &path, errors);
    let (rules, notes) = (list(spec, "validations"), list(spec, "auditAnnotations"));
    let (at_rules, at_notes) = (path.child("validations"), path.child("auditAnnotations"));
    if rules.is_empty() && notes.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.required(&at_rules, detail);
        return errors.required(&at_notes, detail);
    }
    for (index, rule) in rules.iter().enumerate() {
        self::rule(rule, &at_rules.index(index), errors);
    }
    if notes.len() > MAX_ANNOTATIONS {
        let detail = format!("must not have more than {MAX_ANNOTATIONS} auditAnnotations");
        errors.invalid(&at_notes, notes.to_vec(), detail);
    }
    let mut keys = BTreeSet::new();
    for (index, note) in notes.iter().enumerate() {
        let (key, path) = (text(note, "key"), at_notes.index(index));
        annotation(object, note, key, &path, errors);
        if !keys.insert(key) {
            errors.duplicate(&path.child("key"), key);
        }
    }
}

fn rule(rule: &Value, path: &Path, errors: &mut Errors) {
    if text(rule, "expression").trim().is_empty() {
        errors.required(&path.child("expression"), "expression is not specified");
    }
    let (message, made) = (text(rule, "message"), text(rule, "messageExpression"));
    if !made.is_empty() && made.trim().is_empty() {
        errors.invalid(&path.child("messageExpression"), made, "must be non-empty if specified");
    }
    if !message.is_empty() && message.trim().is_empty() {
        errors.invalid(&path.child("message"), message, "must be non-empty if specified");
    } else if message.trim().contains(['\n', '\r']) {
        errors.invalid(&path.child("message"), message, "must not contain line breaks");
    }
    if let Some(reason) = opt_text(rule, "reason") {
        errors.known(&path.child("reason"), reason, &REASONS);
    }
}

fn annotation(object: &Value, note: &Value, key: &str, path: &Path, errors: &mut Errors) {
    let name = meta::name(object);
    if name.is_empty() {
        errors.invalid(&path.child("key"), key, "requires metadata.name be non-empty");
    } else {
        errors.qualified(&path.child("key"), &format!("{name}/{key}"));
    }
    let value = text(note, "valueExpression").trim();
    let path = path.child("valueExpression");
    if value.is_empty() {
        errors.required(&path, "valueExpression is not specified");
    } else if value.len() > MAX_VALUE {
        errors.required(&path, &format!("must not exceed {MAX_VALUE} bytes in length"));
    }
}

fn validating_status(status: &Value, errors: &mut Errors) {
    let path = Path::new("status");
    let warnings = list(at(status, "typeChecking"), "expressionWarnings");
    for (index, warning) in warnings.iter().enumerate() {
        let path = path.child("typeChecking").child("expressionWarnings").index(index);
        errors.need(&path, warning, "warning");
        if text(warning, "fieldRef").trim().is_empty() {
            errors.required(&path.child("fieldRef"), "");
        }
    }
    errors.conditions(&path.child("conditions"), list(status, "conditions"));
}

fn binding(spec: &Value, path: &Path, errors: &mut Errors) {
    if errors.need(path, spec, "policyName") {
        errors.subdomain(&path.child("policyName"), text(spec, "policyName"));
    }
    if has(spec, "paramRef") {
        param_ref(at(spec, "paramRef"), &path.child("paramRef"), errors);
    }
    if has(spec, "matchResources") {
        match_resources(at(spec, "matchResources"), &path.child("matchResources"), errors);
    }
}

fn param_ref(reference: &Value, path: &Path, errors: &mut Errors) {
    const EITHER: &str = "name and selector are mutually exclusive";
    let (name, selector) = (text(reference, "name"), at(reference, "selector"));
    if !name.is_empty() {
        errors.problems(&path.child("name"), name, validation::path_segment_name(name));
        if !selector.is_null() {
            errors.forbidden(&path.child("name"), EITHER);
        }
    }
    if !selector.is_null() {
        label_selector(selector, &path.child("selector"), errors);
        if !name.is_empty() {
            errors.forbidden(&path.child("selector"), EITHER);
        }
    }
    if name.is_empty() && selector.is_null() {
        errors.required(path, "one of name or selector must be specified");
    }
    let action = text(reference, "parameterNotFoundAction");
    errors.one_of(&path.child("parameterNotFoundAction"), action, &["Deny", "Allow"]);
}

fn validating_binding(object: &Value, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    binding(spec, &path, errors);
    let actions: Vec<&str> = texts(spec, "validationActions").collect();
    let path = path.child("validationActions");
    for (index, action) in actions.iter().enumerate() {
        errors.known(&path.index(index), action, &["Audit", "Deny", "Warn"]);
        if actions[..index].contains(action) {
            errors.duplicate(&path.index(index), *action);
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.invalid(&path, actions.clone(), detail);
    }
    if actions.is_empty() {
        errors.required(&path, "at least one validation action is required");
    }
}

fn mutating_binding(object: &Value, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    binding(spec, &path, errors);
    mutating_operations(at(spec, "matchResources"), &path.child("matchResources"), errors);
}

fn mutating(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    common(spec, old, true, &path, errors);
    let (mutations, at_mutations) = (list(spec, "mutations"), path.child("mutations"));
    if mutations.is_empty() {
        errors.required(&at_mutations, "mutations must contain at least one item");
    }
    for (index, mutation) in mutations.iter().enumerate() {
        self::mutation(mutation, &at_mutations.index(index), errors);
    }
    let policy = text(spec, "reinvocationPolicy");
    errors.one_of(&path.child("reinvocationPolicy"), policy, &["IfNeeded", "Never"]);
}

fn mutation(mutation: &Value, path: &Path, errors: &mut Errors) {
    let kind = text(mutation, "patchType");
    let (own, other) = match kind {
        "JSONPatch" => ("jsonPatch", "applyConfiguration"),
        "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
        _ => {
            return errors.one_of(&path.child("patchType"), kind, &["ApplyConfiguration", "JSONPatch"]);
        }
    };
    if !has(mutation, own) {
        errors.required(&path.child(own), &format!("must be specified when patchType is {kind}"));
    } else if text(at(mutation, own), "expression").trim().is_empty() {
        errors.required(&path.child(own).child("expression"), "");
    }
    if has(mutation, other) {
        let detail = format!("must not be specified when patchType is {kind}");
        errors.invalid(&path.child(other), format!("{{{other}}}"), detail);
    }
}
