//! What of a Pod's spec may change: images, the deadline, more tolerations, fewer scheduling gates, and
//! where a gated Pod may go. Everything else is refused with a diff.

use super::errors::Errors;
use super::{containers, diff, security, validate};
use crate::read::{at, copy, int, list, map, text};
use apimachinery::{Path, go};
use serde_json::{Value, json};

const UPDATABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const MIRROR: &str = "kubernetes.io/config.mirror";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

pub(super) fn update(new: &Value, old: &Value, errors: &mut Errors) {
    validate::pod_and_spec(new, errors);
    annotation_updates(new, old, errors);
    let (spec, before, path) = (at(new, "spec"), at(old, "spec"), Path::new("spec"));
    for field in ["containers", "initContainers"] {
        if list(spec, field).len() != list(before, field).len() {
            errors.forbidden(&path.child(field), "pod updates may not add or remove containers");
            return;
        }
        for (index, container) in list(spec, field).iter().enumerate() {
            let path = path.child(field).index(index);
            errors.need(&path, container, "image");
            containers::image_spaces(container, &path, errors);
        }
    }
    if !deadline(spec, before, &path.child("activeDeadlineSeconds"), errors) {
        return;
    }
    tolerations(spec, before, &path, errors);
    scheduling_gates(spec, before, &path.child("schedulingGates"), errors);
    if spec != before {
        rest(spec, before, &path, errors);
    }
}

fn annotation_updates(new: &Value, old: &Value, errors: &mut Errors) {
    let path = Path::new("metadata").child("annotations");
    security::annotation_updates(new, old, &path, errors);
    validate::annotations(new, &path, errors);
}

/// Answers false if nothing else is worth checking.
fn deadline(spec: &Value, before: &Value, path: &Path, errors: &mut Errors) -> bool {
    let field = "activeDeadlineSeconds";
    match (int(spec, field), int(before, field)) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            errors.in_range(path, new, 0, i64::from(i32::MAX));
            false
        }
        (Some(new), Some(old)) if old < new => {
            errors.invalid(path, new, "must be less than or equal to previous value");
            false
        }
        (None, Some(_)) => {
            errors.invalid(path, Value::Null, "must not update from a positive integer to nil value");
            true
        }
        _ => true,
    }
}

fn tolerations(spec: &Value, before: &Value, path: &Path, errors: &mut Errors) {
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        if let Some(map) = toleration.as_object_mut() {
            map.remove("tolerationSeconds");
        }
        toleration
    };
    let new: Vec<Value> = list(spec, "tolerations").iter().map(without_seconds).collect();
    if list(before, "tolerations").iter().any(|old| !new.contains(&without_seconds(old))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.forbidden(&path.child("tolerations"), detail);
        return;
    }
    super::affinity::tolerations(spec, path, errors);
}

fn scheduling_gates(spec: &Value, before: &Value, path: &Path, errors: &mut Errors) {
    let had: Vec<&str> = list(before, "schedulingGates").iter().map(|gate| text(gate, "name")).collect();
    for (index, gate) in list(spec, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        if !had.contains(&name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.forbidden(&path.index(index).child("name"), detail);
        }
    }
}

/// Puts what may change back to what it was; what still differs may not change.
fn rest(spec: &Value, before: &Value, path: &Path, errors: &mut Errors) {
    let mut munged = spec.clone();
    for field in ["containers", "initContainers"] {
        let new = munged.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten();
        for (new, old) in new.zip(list(before, field)) {
            copy(new, old, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        copy(&mut munged, before, field);
    }
    let grace = "terminationGracePeriodSeconds";
    if int(before, grace).is_some_and(|old| old < 0) && int(spec, grace) == Some(1) {
        copy(&mut munged, before, grace);
    }
    if !list(before, "schedulingGates").is_empty() {
        gated(&mut munged, before, path, errors);
    }
    if munged != *before {
        errors.forbidden(path, format!("{UPDATABLE}\n{}", diff::specs(before, &munged)));
    }
}

/// A Pod that waits at a gate may be sent to fewer nodes.
fn gated(spec: &mut Value, before: &Value, path: &Path, errors: &mut Errors) {
    let (new, old) = (at(spec, "nodeSelector"), at(before, "nodeSelector"));
    if new != old {
        if map(before, "nodeSelector").any(|(key, value)| new.get(key) != Some(value)) {
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.invalid(&path.child("nodeSelector"), new.clone(), detail);
        }
        copy(spec, before, "nodeSelector");
    }
    let (new, old) = (at(at(spec, "affinity"), "nodeAffinity"), at(at(before, "affinity"), "nodeAffinity"));
    if new == old {
        return;
    }
    node_affinity(new, old, &path.child("affinity").child("nodeAffinity"), errors);
    let old = old.clone();
    if let Some(affinity) = spec.get_mut("affinity").and_then(Value::as_object_mut) {
        if old.is_null() {
            affinity.remove("nodeAffinity");
        } else {
            affinity.insert("nodeAffinity".into(), old);
        }
        if affinity.is_empty() && at(before, "affinity").is_null() {
            copy(spec, before, "affinity");
        }
    } else if !old.is_null() {
        spec["affinity"] = json!({"nodeAffinity": old});
    }
}

fn node_affinity(new: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let had = list(at(old, REQUIRED), "nodeSelectorTerms");
    let terms = list(at(new, REQUIRED), "nodeSelectorTerms");
    let path = path.child(REQUIRED).child("nodeSelectorTerms");
    if !had.is_empty() && had.len() != terms.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.invalid(&path, terms.to_vec(), detail);
        return;
    }
    for (index, (new, old)) in terms.iter().zip(had).enumerate() {
        if !only_adds(new, old) {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.invalid(&path.index(index), new.clone(), detail);
        }
    }
}

fn only_adds(new: &Value, old: &Value) -> bool {
    let fields = ["matchExpressions", "matchFields"];
    let was_empty = fields.iter().all(|field| list(old, field).is_empty());
    let is_empty = fields.iter().all(|field| list(new, field).is_empty());
    (!was_empty || is_empty) && fields.iter().all(|field| list(new, field).starts_with(list(old, field)))
}

/// `/ephemeralcontainers`: debug containers come, but neither go nor change.
pub(super) fn ephemeral_containers(new: &Value, old: &Value, errors: &mut Errors) {
    validate::pod_and_spec(new, errors);
    annotation_updates(new, old, errors);
    if apimachinery::meta::annotation(old, MIRROR).is_some() {
        errors.0.clear();
        errors.forbidden(&Path::new(""), "static pods do not support ephemeral containers");
        return;
    }
    let path = Path::new("spec").child("ephemeralContainers");
    let new = list(at(new, "spec"), "ephemeralContainers");
    for container in list(at(old, "spec"), "ephemeralContainers") {
        let name = text(container, "name");
        let quoted = go::quote(name);
        match new.iter().find(|c| text(c, "name") == name) {
            None => errors
                .forbidden(&path, format!("existing ephemeral containers {quoted} may not be removed\n")),
            Some(now) if now != container => {
                let wrap = |container: &Value| json!({"ephemeralContainers": [container]});
                let diff = diff::specs(&wrap(container), &wrap(now));
                let detail = format!("existing ephemeral containers {quoted} may not be changed\n{diff}");
                errors.forbidden(&path, detail);
            }
            Some(_) => {}
        }
    }
}
