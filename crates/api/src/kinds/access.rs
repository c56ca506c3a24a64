//! RBAC: what roles may hold, and whom and what bindings bind.

use super::plain::{Kind, Plain};
use super::pod::{affinity::label_selector, errors::Errors};
use crate::read::{at, list, text};
use apimachinery::{Path, validation};
use serde_json::Value;

const GROUP: &str = "rbac.authorization.k8s.io";

const fn named() -> Plain {
    Plain::of().create_on_update().name(validation::path_segment_name)
}

pub(super) static KINDS: &[Kind] = &[
    (GROUP, "roles", named().rules(|role, errors| policy_rules(role, true, errors))),
    (GROUP, "clusterroles", named().rules(cluster_role)),
    (
        GROUP,
        "rolebindings",
        named()
            .rules(|object, errors| binding(object, true, errors))
            .update(|new, old, errors| binding_update(new, old, true, errors)),
    ),
    (
        GROUP,
        "clusterrolebindings",
        named()
            .rules(|object, errors| binding(object, false, errors))
            .update(|new, old, errors| binding_update(new, old, false, errors)),
    ),
];

fn policy_rules(role: &Value, namespaced: bool, errors: &mut Errors) {
    for (index, rule) in list(role, "rules").iter().enumerate() {
        let path = Path::new("rules").index(index);
        let filled = |field| !list(rule, field).is_empty();
        if !filled("verbs") {
            errors.required(&path.child("verbs"), "verbs must contain at least one value");
        }
        if filled("nonResourceURLs") {
            let (urls, path) = (at(rule, "nonResourceURLs"), path.child("nonResourceURLs"));
            if namespaced {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                errors.invalid(&path, urls.clone(), detail);
            }
            if ["apiGroups", "resources", "resourceNames"].iter().any(|field| filled(field)) {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(&path, urls.clone(), detail);
            }
            continue;
        }
        if !filled("apiGroups") {
            let detail = "resource rules must supply at least one api group";
            errors.required(&path.child("apiGroups"), detail);
        }
        if !filled("resources") {
            let detail = "resource rules must supply at least one resource";
            errors.required(&path.child("resources"), detail);
        }
    }
}

fn cluster_role(role: &Value, errors: &mut Errors) {
    policy_rules(role, false, errors);
    let aggregation = at(role, "aggregationRule");
    let path = Path::new("aggregationRule").child("clusterRoleSelectors");
    let selectors = list(aggregation, "clusterRoleSelectors");
    if !aggregation.is_null() && selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.required(&path, detail);
    }
    for (index, selector) in selectors.iter().enumerate() {
        let path = path.index(index);
        label_selector(selector, &path, errors);
        if super::checks::selector_of(selector).is_none() {
            errors.invalid(&path, Value::Null, "invalid label selector.");
        }
    }
}

fn binding(binding: &Value, namespaced: bool, errors: &mut Errors) {
    let (role, path) = (at(binding, "roleRef"), Path::new("roleRef"));
    errors.known(&path.child("apiGroup"), text(role, "apiGroup"), &[GROUP]);
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    errors.known(&path.child("kind"), text(role, "kind"), kinds);
    if errors.need(&path, role, "name") {
        let name = text(role, "name");
        errors.problems(&path.child("name"), name, validation::path_segment_name(name));
    }
    for (index, subject) in list(binding, "subjects").iter().enumerate() {
        self::subject(subject, namespaced, &Path::new("subjects").index(index), errors);
    }
}

fn subject(subject: &Value, namespaced: bool, path: &Path, errors: &mut Errors) {
    let named = errors.need(path, subject, "name");
    let (group, at_group) = (text(subject, "apiGroup"), path.child("apiGroup"));
    match text(subject, "kind") {
        "ServiceAccount" => {
            if named {
                errors.subdomain(&path.child("name"), text(subject, "name"));
            }
            errors.known(&at_group, group, &[""]);
            if !namespaced {
                errors.need(path, subject, "namespace");
            }
        }
        "User" | "Group" => errors.known(&at_group, group, &[GROUP]),
        other => errors.not_supported(&path.child("kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}

fn binding_update(new: &Value, old: &Value, namespaced: bool, errors: &mut Errors) {
    binding(new, namespaced, errors);
    if at(new, "roleRef") != at(old, "roleRef") {
        errors.invalid(&Path::new("roleRef"), at(new, "roleRef").clone(), "cannot change roleRef");
    }
}
