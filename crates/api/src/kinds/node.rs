//! Nodes: taints, address ranges and resources are checked; what identifies a node's machine is set once.

use super::pod::values;
use crate::read::{at, copy, flag, list, map, text, texts};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Path, validation};
use serde_json::{Value, json};
use std::collections::HashSet;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) struct Node;

impl Strategy for Node {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    /// A node registers with its status.
    fn prepare_create(&self, _object: &mut Value) {}

    fn validate(&self, node: &Value) -> Vec<FieldError> {
        let mut errors = taints(node);
        errors.extend(resources(node));
        let path = Path::new("spec").child("podCIDRs");
        let ranges: Vec<&str> = texts(at(node, "spec"), "podCIDRs").collect();
        for (index, range) in ranges.iter().enumerate() {
            errors.extend(values::cidr(range, &path.index(index)));
        }
        let families: HashSet<bool> = ranges.iter().map(|range| range.contains(':')).collect();
        if ranges.len() > families.len() {
            errors.push(FieldError::invalid(
                &path,
                json!(ranges),
                "may specify no more than one CIDR for each IP family",
            ));
        }
        errors
    }

    fn prepare_update(&self, subresource: &str, new: &mut Value, old: &Value) {
        match subresource {
            "status" => copy(new, old, "spec"),
            _ => copy(new, old, "status"),
        }
    }

    fn validate_update(&self, _: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = resources(new);
        errors.extend(addresses(new));
        let (spec, before) = (at(new, "spec"), at(old, "spec"));
        let path = Path::new("spec");
        if !list(before, "podCIDRs").is_empty() && list(before, "podCIDRs") != list(spec, "podCIDRs") {
            let detail = "node updates may not change podCIDR except from \"\" to valid";
            errors.push(FieldError::forbidden(&path.child("podCIDRs"), detail));
        }
        if !text(before, "providerID").is_empty() && text(before, "providerID") != text(spec, "providerID") {
            let detail = "node updates may not change providerID except from \"\" to valid";
            errors.push(FieldError::forbidden(&path.child("providerID"), detail));
        }
        errors.extend(taints(new));
        if text(spec, "externalID") != text(before, "externalID") {
            errors.push(FieldError::forbidden(&path.child("externalID"), "may not be updated"));
        }
        errors
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["spec.unschedulable"]
    }

    fn field_label(&self, object: &Value, _label: &str) -> String {
        flag(at(object, "spec"), "unschedulable").to_string()
    }
}

fn resources(node: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["capacity", "allocatable"] {
        for (name, amount) in map(at(node, "status"), field) {
            let path = Path::new("status").child(field).child(name.clone());
            values::amount(name, amount, &path, &mut errors);
        }
    }
    errors
}

fn addresses(node: &Value) -> Vec<FieldError> {
    let all = list(at(node, "status"), "addresses");
    let path = Path::new("status").child("addresses");
    let repeated = all.iter().enumerate().filter(|(index, address)| all[..*index].contains(address));
    repeated.map(|(index, address)| FieldError::duplicate(&path.index(index), address.clone())).collect()
}

/// Upstream names the path `metadata.taints`.
fn taints(node: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, taint) in list(at(node, "spec"), "taints").iter().enumerate() {
        let path = Path::new("metadata").child("taints").index(index);
        let (key, effect) = (text(taint, "key"), text(taint, "effect"));
        let problems = validation::qualified_name(key).into_iter();
        errors.extend(problems.map(|problem| FieldError::invalid(&path.child("key"), key, problem)));
        let problems = validation::label_value(text(taint, "value"));
        if !problems.is_empty() {
            errors.push(FieldError::invalid(&path.child("value"), text(taint, "value"), problems.join(";")));
        }
        if effect.is_empty() {
            errors.push(FieldError::required(&path.child("effect"), ""));
        } else if !EFFECTS.contains(&effect) {
            errors.push(FieldError::not_supported(&path.child("effect"), effect, &EFFECTS));
        }
        if !seen.insert((key, effect)) {
            let mut error = FieldError::duplicate(&path, taint.clone());
            error.detail = "taints must be unique by key and effect pair".into();
            errors.push(error);
        }
    }
    errors
}
