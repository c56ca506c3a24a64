//! How much of a device's capacity a claim may have.

use super::super::pod::errors::Errors;
use crate::read::{at, list, quantity, some};
use apimachinery::{Path, Quantity};
use serde_json::Value;
use std::collections::HashSet;

const MAX_OPTIONS: usize = 10;

/// One of a few amounts, or steps of a range.
pub(super) fn request_policy(capacity: &Value, policy: &Value, path: &Path, errors: &mut Errors) {
    let (options, range) = (list(policy, "validValues"), some(policy, "validRange"));
    let max = quantity(capacity).unwrap_or(Quantity::ZERO);
    let default = quantity(at(policy, "default"));
    match (options, range) {
        ([], None) => {}
        ([_, ..], Some(_)) => errors.forbidden(
            path,
            "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time",
        ),
        ([_, ..], None) => match default {
            None => errors.required(&path.child("default"), "required when validValues is defined"),
            Some(default) => amounts(default, max, options, &path.child("validValues"), errors),
        },
        ([], Some(range)) => match default {
            None => errors.required(&path.child("default"), "required when validRange is defined"),
            Some(default) => amount_range(default, max, range, &path.child("validRange"), errors),
        },
    }
}

fn amounts(default: Quantity, max: Quantity, options: &[Value], path: &Path, errors: &mut Errors) {
    let options: Vec<Quantity> = options.iter().filter_map(quantity).collect();
    for (index, pair) in options.windows(2).enumerate() {
        if let [a, b] = pair
            && a > b
        {
            let detail = "values must be sorted in ascending order";
            errors.invalid(&path.index(index + 1), b.to_string(), detail);
        }
    }
    if options.len() > MAX_OPTIONS {
        errors.too_many(path, options.len(), MAX_OPTIONS);
    } else {
        for (index, option) in options.iter().enumerate().filter(|(_, option)| **option > max) {
            let detail = format!("option is larger than capacity value: {max}");
            errors.invalid(&path.index(index), option.to_string(), detail);
        }
        let mut seen = HashSet::new();
        for (index, option) in options.iter().enumerate() {
            if !seen.insert(option.value()) {
                errors.duplicate(&path.index(index), option.value().to_string());
            }
        }
    }
    if options.len() > MAX_OPTIONS || !options.contains(&default) {
        let detail = "default value is not valid according to the requestPolicy";
        errors.invalid(path, default.to_string(), detail);
    }
}

fn amount_range(default: Quantity, whole: Quantity, range: &Value, path: &Path, errors: &mut Errors) {
    let field = |name| quantity(at(range, name));
    let (at_min, at_max, at_step) = (path.child("min"), path.child("max"), path.child("step"));
    let Some(min) = field("min") else {
        return errors.required(&at_min, "required when validRange is defined");
    };
    if min > whole {
        errors.invalid(&at_min, min.to_string(), format!("min is larger than capacity value: {whole}"));
    }
    if default < min {
        errors.invalid(&at_min, default.to_string(), format!("default is less than min: {min}"));
    }
    let max = field("max");
    if let Some(max) = max {
        if min > max {
            errors.invalid(&at_max, min.to_string(), format!("min is larger than max: {max}"));
        }
        if max > whole {
            errors.invalid(&at_max, max.to_string(), format!("max is larger than capacity value: {whole}"));
        }
        if default > max {
            errors.invalid(&at_max, default.to_string(), format!("default is more than max: {max}"));
        }
    }
    let Some(step) = field("step") else { return };
    let sum = min.add(step);
    if sum > whole {
        let detail = format!("one step {sum} is larger than capacity value: {whole}");
        errors.invalid(&at_step, step.to_string(), detail);
    }
    for amount in std::iter::once(default).chain(max) {
        // Upstream panics on a step of zero; here nothing is a multiple of it.
        let above = amount.value().saturating_sub(min.value());
        if above.checked_rem(step.value()) != Some(0) {
            let detail = format!("value is not a multiple of a given step ({step}) from ({min})");
            errors.invalid(&at_step, amount.to_string(), detail);
        }
    }
}
