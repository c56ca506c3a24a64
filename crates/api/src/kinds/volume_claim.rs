//! PersistentVolumeClaims: a spec that is fixed, but for the size (and attributes) of a bound claim.

use super::checks::{IMMUTABLE, same};
use super::plain::{Kind, Plain};
use super::pod::{claims, diff, errors::Errors, values, warnings::claim_fractions};
use crate::read::{at, has, list, map, object_at, opt_text, quantity, text};
use apimachinery::{Path, meta};
use serde_json::Value;

const CLASS_NOTE: &str = "volume.beta.kubernetes.io/storage-class";
const RESIZES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

pub(super) static KINDS: &[Kind] = &[(
    "",
    "persistentvolumeclaims",
    Plain::of()
        .status()
        .returns_deleted()
        .created(|claim| settle_sources(claim, None))
        .changed(|claim, old| settle_sources(claim, Some(old)))
        .rules(|claim, errors| claims::spec(at(claim, "spec"), &Path::new("spec"), errors))
        .update(update)
        .status_rules(status)
        .warn(|claim, _| warnings(claim)),
)];

/// `dataSource` only knows claims and snapshots; it and `dataSourceRef` say the same.
fn settle_sources(claim: &mut Value, old: Option<&Value>) {
    let used = old.is_some_and(|old| ["dataSource", "dataSourceRef"].iter().any(|f| has(at(old, "spec"), f)));
    let before = old.is_some_and(|old| has(at(old, "spec"), "dataSourceRef"));
    let spec = object_at(claim, "spec");
    // Sources of other namespaces are off in 1.36.
    let foreign = spec.get("dataSourceRef").is_some_and(|source| !text(source, "namespace").is_empty());
    if foreign && !before {
        spec.remove("dataSourceRef");
    }
    let known = |source: &Value| {
        matches!(
            (text(source, "kind"), text(source, "apiGroup")),
            ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
        )
    };
    let there = |field: &str, spec: &serde_json::Map<String, Value>| {
        spec.get(field).filter(|source| !source.is_null()).cloned()
    };
    let source = there("dataSource", spec);
    if !used && there("dataSourceRef", spec).is_none() && source.is_some_and(|source| !known(&source)) {
        spec.remove("dataSource");
    }
    match (there("dataSource", spec), there("dataSourceRef", spec)) {
        (Some(source), None) => {
            spec.insert("dataSourceRef".into(), source);
        }
        (None, Some(source)) if text(&source, "namespace").is_empty() => {
            let mut source = source;
            if let Some(source) = source.as_object_mut() {
                source.remove("namespace");
            }
            spec.insert("dataSource".into(), source);
        }
        _ => {}
    }
}

fn size(object: &Value, pointer: &str) -> Option<apimachinery::quantity::Quantity> {
    object.pointer(pointer).and_then(quantity)
}

const REQUESTED: &str = "/spec/resources/requests/storage";

fn update(new: &Value, old: &Value, errors: &mut Errors) {
    claims::spec(at(new, "spec"), &Path::new("spec"), errors);
    let (mut now, mut then) = (new.clone(), old.clone());
    let (spec, before) = (at(new, "spec"), at(old, "spec"));
    if text(before, "volumeName").is_empty() {
        copy(&mut then, spec, "volumeName");
    }
    class_upgrade(new, old, &mut now, errors);
    if text(at(new, "status"), "phase") == "Bound" {
        if let (Some(now), Some(old)) = (now.pointer_mut(REQUESTED), old.pointer(REQUESTED)) {
            *now = old.clone();
        }
        copy(&mut now, before, "volumeAttributesClassName");
    }
    if size(&now, REQUESTED) == size(&then, REQUESTED)
        && let (Some(now), Some(then)) = (now.pointer_mut(REQUESTED), then.pointer(REQUESTED))
    {
        *now = then.clone();
    }
    // Old objects may lack what is filled in today.
    settle_sources(&mut then, Some(old));
    if !same(at(&now, "spec"), at(&then, "spec")) {
        let diff = diff::of("PersistentVolumeClaimSpec", at(&then, "spec"), at(&now, "spec"));
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{diff}"
        );
        errors.forbidden(&Path::new("spec"), detail);
    }
    shrink(new, old, errors);
    errors.immutable(&Path::new("volumeMode"), at(spec, "volumeMode"), at(before, "volumeMode"));
    let attributes = "volumeAttributesClassName";
    if at(spec, attributes) != at(before, attributes)
        && has(at(old, "status"), "currentVolumeAttributesClassName")
        && let Some(what) = match opt_text(spec, attributes) {
            None => Some("nil"),
            Some("") => Some("empty string"),
            Some(_) => None,
        }
    {
        let detail =
            format!("update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil");
        errors.forbidden(&Path::new("spec").child(attributes), detail);
    }
}

fn copy(claim: &mut Value, from: &Value, field: &str) {
    crate::read::copy(&mut claim["spec"], from, field);
}

/// The class may move from the annotation of old to its field, or be set where there was none.
fn class_upgrade(new: &Value, old: &Value, now: &mut Value, errors: &mut Errors) {
    let class = |claim: &Value| opt_text(at(claim, "spec"), "storageClassName").map(str::to_owned);
    let (note, old_note) = (meta::annotation(new, CLASS_NOTE), meta::annotation(old, CLASS_NOTE));
    let (wanted, before) = (class(new), class(old));
    let moved = old_note.is_some()
        && before.is_none()
        && wanted.as_deref() == old_note
        && (note.is_none() || note == old_note);
    if moved {
        return copy(now, &Value::Null, "storageClassName");
    }
    if note.unwrap_or_default() != old_note.unwrap_or_default() {
        let path = Path::new("metadata").child("annotations").child(CLASS_NOTE);
        errors.invalid(&path, note.unwrap_or_default(), IMMUTABLE);
    }
    if wanted.is_some() && before.is_none() && old_note.is_none_or(|note| wanted.as_deref() == Some(note)) {
        copy(now, &Value::Null, "storageClassName");
    }
}

fn shrink(new: &Value, old: &Value, errors: &mut Errors) {
    let (Some(wanted), Some(before)) = (size(new, REQUESTED), size(old, REQUESTED)) else { return };
    let is = size(old, "/status/capacity/storage");
    if wanted < before && is.map_or(wanted.signum() <= 0, |is| wanted <= is) {
        let path = Path::new("spec").child("resources").child("requests").child("storage");
        errors.forbidden(&path, "field can not be less than status.capacity");
    }
}

fn resource_key(name: &str, path: &Path, errors: &mut Errors) -> bool {
    let problems = apimachinery::validation::qualified_name(name);
    let good = problems.is_empty();
    errors.problems(path, name, problems);
    if good && values::is_native(name) && name != "storage" {
        errors.not_supported(path, name, &["storage"]);
        return false;
    }
    good
}

/// An amount that is not negative.
pub(super) fn basic(amount: &Value, path: &Path, errors: &mut Errors) -> bool {
    match quantity(amount).filter(|amount| amount.signum() < 0) {
        Some(amount) => {
            errors.invalid(path, amount.value(), "must be a valid resource quantity");
            false
        }
        None => true,
    }
}

fn status(new: &Value, _: &Value, errors: &mut Errors) {
    let (status, path) = (at(new, "status"), Path::new("status"));
    if list(at(new, "spec"), "accessModes").is_empty() {
        errors.required(&Path::new("Spec").child("accessModes"), "");
    }
    for (name, amount) in map(status, "capacity") {
        basic(amount, &path.child("capacity").key(name.as_str()), errors);
    }
    let at_statuses = path.child("allocatedResourceStatuses");
    for (name, state) in map(status, "allocatedResourceStatuses") {
        resource_key(name, &at_statuses, errors);
        if !state.as_str().is_some_and(|state| RESIZES.contains(&state)) {
            errors.not_supported(&at_statuses, name, &RESIZES);
        }
    }
    let at_allocated = path.child("allocatedResources");
    for (name, amount) in map(status, "allocatedResources") {
        let path = at_allocated.key(name.as_str());
        if resource_key(name, &at_allocated, errors) && basic(amount, &path, errors) {
            values::amount("storage", amount, &path, &mut errors.0);
        }
    }
}

fn warnings(claim: &Value) -> Vec<String> {
    let mut out = Vec::new();
    if meta::annotation(claim, CLASS_NOTE).is_some() {
        out.push(format!(
            "metadata.annotations[{CLASS_NOTE}]: deprecated since v1.8; use \"storageClassName\" attribute instead"
        ));
    }
    claim_fractions(at(claim, "spec"), &Path::new("spec"), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sources_are_written_both_ways() {
        let snapshot = json!({"kind": "VolumeSnapshot", "apiGroup": "snapshot.storage.k8s.io", "name": "s"});
        let mut claim = json!({"spec": {"dataSource": snapshot}});
        settle_sources(&mut claim, None);
        assert_eq!(claim["spec"]["dataSourceRef"], snapshot);
        let mut claim = json!({"spec": {"dataSource": {"kind": "Pod", "name": "p"}}});
        settle_sources(&mut claim, None);
        assert_eq!(claim, json!({"spec": {}}), "what is no claim and no snapshot is dropped");
        let other = json!({"kind": "Populator", "apiGroup": "example.com", "name": "p"});
        let mut claim = json!({"spec": {"dataSourceRef": other}});
        settle_sources(&mut claim, None);
        assert_eq!(claim["spec"]["dataSource"], other);
    }
}
