//! Where a Pod may run: affinities, selectors, tolerations, spreading over topologies.

use super::errors::Errors;
use crate::read::{at, has, int, list, opt_text, text, texts};
use apimachinery::{FieldError, Path, validation};
use serde_json::Value;
use std::collections::HashSet;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn affinity(spec: &Value, path: &Path, errors: &mut Errors) {
    let affinity = at(spec, "affinity");
    let path = path.child("affinity");
    node_affinity(at(affinity, "nodeAffinity"), &path.child("nodeAffinity"), errors);
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (terms, path) = (at(affinity, kind), path.child(kind));
        for (index, term) in list(terms, REQUIRED).iter().enumerate() {
            pod_term(term, &path.child(REQUIRED).index(index), errors);
        }
        for (index, term) in list(terms, PREFERRED).iter().enumerate() {
            let path = path.child(PREFERRED).index(index);
            weight(term, &path, errors);
            pod_term(at(term, "podAffinityTerm"), &path.child("podAffinityTerm"), errors);
        }
    }
}

fn weight(term: &Value, path: &Path, errors: &mut Errors) {
    let weight = int(term, "weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.invalid(&path.child("weight"), weight, "must be in the range 1-100");
    }
}

fn node_affinity(affinity: &Value, path: &Path, errors: &mut Errors) {
    if has(affinity, REQUIRED) {
        node_selector(at(affinity, REQUIRED), &path.child(REQUIRED), errors);
    }
    for (index, term) in list(affinity, PREFERRED).iter().enumerate() {
        let path = path.child(PREFERRED).index(index);
        weight(term, &path, errors);
        node_term(at(term, "preference"), false, &path.child("preference"), errors);
    }
}

/// A NodeSelector: terms of which one must match.
pub(in crate::kinds) fn node_selector(selector: &Value, path: &Path, errors: &mut Errors) {
    let (terms, path) = (list(selector, "nodeSelectorTerms"), path.child("nodeSelectorTerms"));
    if terms.is_empty() {
        errors.required(&path, "must have at least one node selector term");
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(term, true, &path.index(index), errors);
    }
}

fn node_term(term: &Value, check_values: bool, path: &Path, errors: &mut Errors) {
    for (index, requirement) in list(term, "matchExpressions").iter().enumerate() {
        node_requirement(requirement, check_values, &path.child("matchExpressions").index(index), errors);
    }
    for (index, requirement) in list(term, "matchFields").iter().enumerate() {
        node_field(requirement, &path.child("matchFields").index(index), errors);
    }
}

fn node_requirement(requirement: &Value, check_values: bool, path: &Path, errors: &mut Errors) {
    let (operator, values) = (text(requirement, "operator"), list(requirement, "values"));
    let at_values = path.child("values");
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&at_values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors
                .forbidden(&at_values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if values.len() != 1 => {
            errors.required(&at_values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
    errors.qualified(&path.child("key"), text(requirement, "key"));
    if check_values {
        label_values(requirement, path, errors);
    }
}

fn label_values(requirement: &Value, path: &Path, errors: &mut Errors) {
    for (index, value) in texts(requirement, "values").enumerate() {
        errors.problems(&path.child("values").index(index), value, validation::label_value(value));
    }
}

fn node_field(requirement: &Value, path: &Path, errors: &mut Errors) {
    match text(requirement, "operator") {
        "In" | "NotIn" if list(requirement, "values").len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.required(&path.child("values"), detail);
        }
        "In" | "NotIn" => {}
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
    let key = text(requirement, "key");
    if key != "metadata.name" {
        errors.invalid(&path.child("key"), key, "not a valid field selector key");
        return;
    }
    for (index, value) in texts(requirement, "values").enumerate() {
        errors.subdomain(&path.child("values").index(index), value);
    }
}

/// A LabelSelector.
pub(in crate::kinds) fn label_selector(selector: &Value, path: &Path, errors: &mut Errors) {
    if let Some(labels) = selector.get("matchLabels").and_then(Value::as_object) {
        errors.0.extend(validation::labels(labels, &path.child("matchLabels")));
    }
    for (index, requirement) in list(selector, "matchExpressions").iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let values = list(requirement, "values");
        match text(requirement, "operator") {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.required(&path.child("values"), detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(&path.child("values"), detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
        }
        errors.qualified(&path.child("key"), text(requirement, "key"));
        label_values(requirement, &path, errors);
    }
}

fn pod_term(term: &Value, path: &Path, errors: &mut Errors) {
    label_selector(at(term, "labelSelector"), &path.child("labelSelector"), errors);
    label_selector(at(term, "namespaceSelector"), &path.child("namespaceSelector"), errors);
    for name in texts(term, "namespaces") {
        errors.label(&path.child("namespace"), name);
    }
    label_keys(term, path, errors);
    let key = text(term, "topologyKey");
    if key.is_empty() {
        errors.required(&path.child("topologyKey"), "can not be empty");
    }
    errors.qualified(&path.child("topologyKey"), key);
}

/// `matchLabelKeys` and `mismatchLabelKeys`; the selector has already been completed by them.
fn label_keys(term: &Value, path: &Path, errors: &mut Errors) {
    let selector = at(term, "labelSelector");
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let path = path.child(field);
        if list(term, field).is_empty() {
            continue;
        }
        if selector.is_null() {
            errors.forbidden(&path, "must not be specified when labelSelector is not set");
            continue;
        }
        for (index, key) in texts(term, field).enumerate() {
            errors.qualified(&path.index(index), key);
        }
    }
    let keys: Vec<&str> = texts(term, "matchLabelKeys").collect();
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut seen: HashSet<&str> = labels.map(|(key, _)| key.as_str()).collect();
    for requirement in list(selector, "matchExpressions") {
        let key = text(requirement, "key");
        let index = keys.iter().rposition(|known| *known == key);
        if let Some(index) = index.filter(|_| seen.contains(key)) {
            errors.invalid(&path.index(index), key, "exists in both matchLabelKeys and labelSelector");
        }
        seen.insert(key);
    }
    let mismatched: HashSet<&str> = texts(term, "mismatchLabelKeys").collect();
    for (index, key) in keys.iter().enumerate().filter(|(_, key)| mismatched.contains(*key)) {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.invalid(&path.child("matchLabelKeys").index(index), *key, detail);
    }
}

pub(in crate::kinds) fn tolerations(spec: &Value, path: &Path, errors: &mut Errors) {
    for (index, toleration) in list(spec, "tolerations").iter().enumerate() {
        one_toleration(toleration, &path.child("tolerations").index(index), errors);
    }
}

fn one_toleration(toleration: &Value, path: &Path, errors: &mut Errors) {
    let field = |name| text(toleration, name);
    let (key, operator, value, effect) = (field("key"), field("operator"), field("value"), field("effect"));
    let at_operator = path.child("operator");
    if !key.is_empty() {
        errors.qualified(&path.child("key"), key);
    } else if operator != "Exists" {
        let detail =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.invalid(&at_operator, operator, detail);
    }
    if has(toleration, "tolerationSeconds") && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.invalid(&path.child("effect"), effect, detail);
    }
    match operator {
        "Equal" | "" => {
            let problems = validation::label_value(value);
            if !problems.is_empty() {
                errors.invalid(&at_operator, value, problems.join(";"));
            }
        }
        "Exists" if !value.is_empty() => {
            errors.invalid(&at_operator, value, "value must be empty when `operator` is 'Exists'");
        }
        "Exists" => {}
        // Comparing operators are an alpha feature and off.
        "Lt" | "Gt" => errors.not_supported(&at_operator, operator, &["Equal", "Exists", "Lt", "Gt"]),
        other => errors.not_supported(&at_operator, other, &["Equal", "Exists"]),
    }
    if !effect.is_empty() {
        errors.known(&path.child("effect"), effect, &EFFECTS);
    }
}

pub(super) fn spread(spec: &Value, path: &Path, errors: &mut Errors) {
    let all = list(spec, "topologySpreadConstraints");
    for (index, constraint) in all.iter().enumerate() {
        let path = path.child("topologySpreadConstraints").index(index);
        let (key, action) = (text(constraint, "topologyKey"), text(constraint, "whenUnsatisfiable"));
        let skew = int(constraint, "maxSkew").unwrap_or(0);
        if skew <= 0 {
            errors.invalid(&path.child("maxSkew"), skew, "must be greater than 0");
        }
        if key.is_empty() {
            errors.required(&path.child("topologyKey"), "can not be empty");
        }
        errors.known(&path.child("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        let same =
            |other: &Value| text(other, "topologyKey") == key && text(other, "whenUnsatisfiable") == action;
        if all[index + 1..].iter().any(same) {
            let path = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(FieldError::duplicate(&path, format!("{{{key}, {action}}}")));
        }
        min_domains(constraint, action, &path, errors);
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = opt_text(constraint, field) {
                errors.known(&path.child(field), policy, &["Honor", "Ignore"]);
            }
        }
        label_keys(constraint, &path, errors);
        label_selector(at(constraint, "labelSelector"), &path.child("labelSelector"), errors);
    }
}

fn min_domains(constraint: &Value, action: &str, path: &Path, errors: &mut Errors) {
    let Some(count) = int(constraint, "minDomains") else { return };
    let path = path.child("minDomains");
    if count <= 0 {
        errors.invalid(&path, count, "must be greater than 0");
    }
    if action != "DoNotSchedule" {
        let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        errors.invalid(&path, count, detail);
    }
}
