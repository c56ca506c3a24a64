//! Requests and limits of containers and of whole Pods.

use super::errors::Errors;
use super::values;
use crate::read::{at, has, list, map, quantity, text};
use crate::resources::{aggregate, is_huge_page, is_pod_level};
use apimachinery::{FieldError, Path, Quantity, validation};
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};

const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

fn standard(name: &str) -> bool {
    STANDARD.contains(&name) || is_huge_page(name) || name.starts_with("requests.hugepages-")
}

/// Answers whether the name is well formed at all.
pub(in crate::kinds) fn resource_name(name: &str, path: &Path, errors: &mut Errors) -> bool {
    let problems = validation::qualified_name(name);
    let good = problems.is_empty();
    errors.problems(path, name, problems);
    if good && !name.contains('/') && !standard(name) {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
        return false;
    }
    good
}

pub(in crate::kinds) fn container_resource(name: &str, path: &Path, errors: &mut Errors) {
    resource_name(name, path, errors);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_page(name) {
            errors.invalid(path, name, "must be a standard resource for containers");
        }
    } else if !values::is_native(name) && !values::is_extended(name) {
        errors.invalid(path, name, "doesn't follow extended resource name standard");
    }
}

fn pod_resource(name: &str, path: &Path, errors: &mut Errors) {
    if resource_name(name, path, errors) && !is_pod_level(name) {
        errors.not_supported(path, name, &["cpu", "hugepages-", "memory"]);
    }
}

/// Whether more may be promised than there is.
pub(in crate::kinds) fn may_overcommit(name: &str) -> bool {
    values::is_native(name) && !is_huge_page(name)
}

pub(super) fn container(resources: &Value, claims: &BTreeSet<&str>, path: &Path, errors: &mut Errors) {
    requirements(resources, container_resource, claims, path, errors);
}

/// Overhead obeys the rules of limits.
pub(super) fn overhead(spec: &Value, path: &Path, errors: &mut Errors) {
    limits(at(spec, "overhead"), path, errors);
}

/// Amounts that obey the rules of a container's limits.
pub(in crate::kinds) fn limits(amounts: &Value, path: &Path, errors: &mut Errors) {
    let as_limits = serde_json::json!({"limits": amounts});
    requirements(&as_limits, container_resource, &BTreeSet::new(), path, errors);
}

type NameRule = fn(&str, &Path, &mut Errors);

fn requirements(
    resources: &Value,
    name_rule: NameRule,
    claims: &BTreeSet<&str>,
    path: &Path,
    errors: &mut Errors,
) {
    let (at_limits, at_requests) = (path.child("limits"), path.child("requests"));
    let (mut huge, mut compute) = (false, false);
    let mut each = |name: &str, value: &Value, path: &Path, errors: &mut Errors| {
        name_rule(name, path, errors);
        values::amount(name, value, path, &mut errors.0);
        compute |= matches!(name, "cpu" | "memory");
        huge |= is_huge_page(name);
    };
    for (name, value) in map(resources, "limits") {
        let path = at_limits.key(name.as_str());
        each(name, value, &path, errors);
        whole_pages(name, value, &path, errors);
    }
    for (name, value) in map(resources, "requests") {
        let path = at_requests.key(name.as_str());
        each(name, value, &path, errors);
        against_limit(name, value, at(at(resources, "limits"), name), &at_limits, &at_requests, errors);
        whole_pages(name, value, &path, errors);
    }
    if huge && !compute {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
    claim_names(resources, claims, &path.child("claims"), errors);
}

fn against_limit(
    name: &str,
    value: &Value,
    limit: &Value,
    at_limits: &Path,
    at_requests: &Path,
    errors: &mut Errors,
) {
    let Some(request) = quantity(value) else { return };
    match quantity(limit) {
        Some(limit) if request != limit && !may_overcommit(name) => {
            errors.invalid(
                at_requests,
                request.to_string(),
                format!("must be equal to {name} limit of {limit}"),
            );
        }
        Some(limit) if request > limit => {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            errors.invalid(at_requests, request.to_string(), detail);
        }
        None if !may_overcommit(name) => {
            errors.required(at_limits, "Limit must be set for non overcommitable resources");
        }
        _ => {}
    }
}

/// Huge pages come whole.
fn whole_pages(name: &str, value: &Value, path: &Path, errors: &mut Errors) {
    let Some(size) = name.strip_prefix("hugepages-") else { return };
    let Some(amount) = quantity(value) else { return };
    let page = Quantity::parse(size).map_or(0, |size| size.value());
    if page <= 0 || amount.value() % page != 0 {
        let detail = format!("{amount} is not positive integer multiple of {name}");
        errors.invalid(path, amount.to_string(), detail);
    }
}

fn claim_names(resources: &Value, known: &BTreeSet<&str>, path: &Path, errors: &mut Errors) {
    let mut seen: HashSet<String> = HashSet::new();
    for (index, claim) in list(resources, "claims").iter().enumerate() {
        let path = path.index(index);
        let (name, request) = (text(claim, "name"), text(claim, "request"));
        if name.is_empty() {
            errors.required(&path, "");
            continue;
        }
        if seen.contains(name) {
            errors.duplicate(&path, name);
        } else {
            let mut key = name.to_owned();
            if !request.is_empty() {
                errors.label(&path.child("request"), request);
                key = format!("{name}/{request}");
            }
            let overlaps =
                seen.iter().filter(|old| old.split_once('/').is_some_and(|(old, _)| old == name)).count();
            if seen.contains(&key) {
                errors.duplicate(&path, key.as_str());
            } else if request.is_empty() {
                (0..overlaps).for_each(|_| errors.duplicate(&path, name));
            }
            seen.insert(key);
        }
        if !known.contains(name) {
            let mut error = FieldError::not_found(&path, name);
            let all: Vec<&str> = known.iter().copied().collect();
            let rest =
                if all.is_empty() { " which is empty".to_owned() } else { format!(": {}", all.join(", ")) };
            error.detail = format!("must be one of the names in pod.spec.resourceClaims{rest}");
            errors.push(error);
        }
    }
}

/// The Pod's own resources: names, amounts, and that its containers fit in.
pub(super) fn pod(spec: &Value, claims: &BTreeSet<&str>, path: &Path, errors: &mut Errors) {
    let own = at(spec, "resources");
    if own.is_null() {
        return;
    }
    let path = path.child("resources");
    if text(at(spec, "os"), "name") == "windows" {
        errors.forbidden(&path, "may not be set for a windows pod");
        return;
    }
    if has(own, "claims") {
        errors.forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level");
    }
    requirements(own, pod_resource, claims, &path, errors);
    for (field, huge_only) in [("requests", false), ("limits", true)] {
        for (name, sum) in aggregate(spec, field) {
            let Some(amount) = quantity(at(at(own, field), &name)) else { continue };
            if sum > amount && (!huge_only || is_huge_page(&name)) {
                let detail = format!("must be greater than or equal to aggregate container {field} of {sum}");
                errors.invalid(&path.child(field).key(name), amount.to_string(), detail);
            }
        }
    }
    for (index, container) in list(spec, "containers").iter().enumerate() {
        for (name, limit) in map(at(container, "resources"), "limits") {
            let (Some(limit), Some(most)) = (quantity(limit), quantity(at(at(own, "limits"), name))) else {
                continue;
            };
            if limit > most {
                let path = path.child("containers").index(index).key(name.as_str()).child("limits");
                let detail = format!("must be less than or equal to pod limits of {most}");
                errors.invalid(&path, limit.to_string(), detail);
            }
        }
    }
}
