//! `/resize`: cpu and memory of containers, and of the Pod as a whole, while it runs.

use super::errors::Errors;
use super::validate;
use crate::qos::qos_class;
use crate::read::{at, copy, has, is_empty, list, map, object_at, text};
use crate::resources::is_sidecar;
use apimachinery::{Path, meta};
use serde_json::Value;

const ONLY: &str = "only cpu and memory resources are mutable";

pub(super) fn resize(new: &Value, old: &Value, errors: &mut Errors) {
    validate::pod_and_spec(new, errors);
    let refusal = if meta::annotation(old, "kubernetes.io/config.mirror").is_some() {
        Some("static pods cannot be resized")
    } else if text(at(at(old, "spec"), "os"), "name") == "windows" {
        Some("windows pods cannot be resized")
    } else {
        None
    };
    if let Some(refusal) = refusal {
        errors.0.clear();
        errors.forbidden(&Path::new(""), refusal);
        return;
    }
    let (spec, before, path) = (at(new, "spec"), at(old, "spec"), Path::new("spec"));
    if qos_class(spec) != qos_class(before) {
        let class = text(at(new, "status"), "qosClass");
        errors.invalid(&path, class, "Pod QOS Class may not change as a result of resizing");
    }
    let status = at(old, "status");
    let running = list(status, "containerStatuses").iter().find(|c| has(at(c, "state"), "running"));
    if running.is_some_and(|container| !has(container, "resources")) {
        errors.forbidden(&path, "Pod running on node without support for resize");
    }
    let mut copied = spec.clone();
    pod_level(&mut copied, before, &path, errors);
    if !list(status, "nodeAllocatableResourceClaimStatuses").is_empty() {
        errors.forbidden(&path, "pods with node allocatable resource claims cannot be resized");
    }
    if !same_containers(spec, before, &path, errors) {
        return;
    }
    for field in ["initContainers", "containers"] {
        for (index, (new, old)) in list(spec, field).iter().zip(list(before, field)).enumerate() {
            let path = path.child(field).index(index).child("resources");
            removed(at(new, "resources"), at(old, "resources"), "resource", &path, errors);
        }
    }
    for field in ["containers", "initContainers"] {
        only_compute(&mut copied, before, field, &path, errors);
    }
    if errors.0.is_empty() && copied != *before {
        errors.forbidden(&path, ONLY);
    }
}

/// What was asked for cannot be given up altogether.
fn removed(new: &Value, old: &Value, what: &str, path: &Path, errors: &mut Errors) {
    for (field, printed) in [("requests", "requests"), ("limits", "limits")] {
        if map(old, field).any(|(name, _)| !has(at(new, field), name)) {
            errors.forbidden(&path.child(field), format!("{what} {printed} cannot be removed"));
        }
    }
}

fn pod_level(spec: &mut Value, before: &Value, path: &Path, errors: &mut Errors) {
    let path_own = path.child("resources");
    let old = at(before, "resources");
    let set = |own: &Value| !is_empty(at(own, "requests")) || !is_empty(at(own, "limits"));
    if !set(old) && !set(at(spec, "resources")) {
        return;
    }
    if !old.is_null() && at(spec, "resources").is_null() {
        errors.forbidden(&path_own, "pod-level resources cannot be removed");
        return;
    }
    removed(at(spec, "resources"), old, "pod-level resource", &path_own, errors);
    put_back(spec, before);
    if at(spec, "resources") != old {
        errors.forbidden(path, "only cpu and memory resources are mutable at pod-level");
    }
}

/// Undoes what a resize may do: cpu and memory as they were.
fn put_back(object: &mut Value, before: &Value) {
    let old = at(before, "resources");
    let own = object_at(object, "resources");
    for field in ["requests", "limits"] {
        let list = meta::object_at(own, field);
        for name in ["cpu", "memory"] {
            match crate::read::some(at(old, field), name) {
                Some(value) => list.insert(name.into(), value.clone()),
                None => list.remove(name),
            };
        }
        if list.is_empty() {
            own.remove(field);
        }
    }
    if own.is_empty() && old.is_null() {
        copy(object, before, "resources");
    }
}

fn same_containers(spec: &Value, before: &Value, path: &Path, errors: &mut Errors) -> bool {
    let count = errors.0.len();
    for field in ["containers", "initContainers"] {
        let (new, old, path) = (list(spec, field), list(before, field), path.child(field));
        if new.len() != old.len() {
            errors.forbidden(&path, format!("{field} may not be added or removed on resize"));
            continue;
        }
        for (index, _) in
            new.iter().zip(old).enumerate().filter(|(_, (a, b))| text(a, "name") != text(b, "name"))
        {
            let detail = format!("{field} may not be renamed or reordered on resize");
            errors.forbidden(&path.index(index).child("name"), detail);
        }
    }
    errors.0.len() == count
}

fn only_compute(spec: &mut Value, before: &Value, field: &'static str, path: &Path, errors: &mut Errors) {
    let containers = spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten();
    for (index, (container, old)) in containers.zip(list(before, field)).enumerate() {
        let modified = container != old;
        put_back(container, old);
        if field == "containers" {
            if container != old {
                errors.forbidden(path, ONLY);
            }
            continue;
        }
        let path = path.child(field).index(index);
        if container != old {
            errors
                .forbidden(&path, "only cpu and memory resources for init or sidecar containers are mutable");
        }
        let restarts = list(container, "resizePolicy").iter();
        let restarts = restarts.filter(|policy| text(policy, "restartPolicy") == "RestartContainer").count();
        if modified && !is_sidecar(container) && restarts > 0 {
            let detail =
                "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
            errors.forbidden(&path, detail);
        }
    }
}
