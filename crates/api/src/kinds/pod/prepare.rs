//! What the server makes of a Pod before it is checked: the status of a new Pod, selectors completed
//! from the Pod's own labels, and what an endpoint leaves as it was.

use crate::qos;
use crate::read::{at, copy, int, list, text};
use crate::strategy::keep_all_but_status;
use apimachinery::meta;
use serde_json::{Map, Value, json};

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn create(pod: &mut Value) {
    let mut status = json!({"phase": "Pending", "qosClass": qos::qos_class(at(pod, "spec")).as_str()});
    if !list(at(pod, "spec"), "schedulingGates").is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    pod["status"] = status;
    complete_selectors(pod);
    app_armor_fields(pod);
}

/// `matchLabelKeys` and `mismatchLabelKeys` become requirements on the Pod's own values (KEP-3633, KEP-3243).
fn complete_selectors(pod: &mut Value) {
    let labels = meta::labels(pod).cloned().unwrap_or_default();
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = pod.pointer_mut(&format!("/spec/affinity/{kind}")) else { continue };
        for (field, inner) in [
            ("preferredDuringSchedulingIgnoredDuringExecution", Some("podAffinityTerm")),
            ("requiredDuringSchedulingIgnoredDuringExecution", None),
        ] {
            for term in affinity.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
                let term = match inner {
                    Some(inner) => term.get_mut(inner),
                    None => Some(term),
                };
                if let Some(term) = term {
                    complete(term, "matchLabelKeys", "In", &labels);
                    complete(term, "mismatchLabelKeys", "NotIn", &labels);
                }
            }
        }
    }
    let constraints = pod.pointer_mut("/spec/topologySpreadConstraints").and_then(Value::as_array_mut);
    for constraint in constraints.into_iter().flatten() {
        complete(constraint, "matchLabelKeys", "In", &labels);
    }
}

fn complete(term: &mut Value, field: &str, operator: &str, labels: &Map<String, Value>) {
    let found = |key: &Value| Some((key.clone(), labels.get(key.as_str()?)?.clone()));
    let keys: Vec<(Value, Value)> = list(term, field).iter().filter_map(found).collect();
    let Some(Value::Object(selector)) = term.get_mut("labelSelector") else { return };
    if keys.is_empty() {
        return;
    }
    let requirements = selector.entry("matchExpressions").or_insert_with(|| json!([]));
    if let Some(requirements) = requirements.as_array_mut() {
        let new =
            keys.into_iter().map(|(key, value)| json!({"key": key, "operator": operator, "values": [value]}));
        requirements.extend(new);
    }
}

/// The field that an AppArmor annotation of old stands for.
pub(super) fn app_armor_profile(annotation: &str) -> Option<Value> {
    match annotation {
        "unconfined" => Some(json!({"type": "Unconfined"})),
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        other => {
            let name =
                other.strip_prefix("localhost/").filter(|name| !name.is_empty() && name.trim() == *name)?;
            Some(json!({"type": "Localhost", "localhostProfile": name}))
        }
    }
}

fn app_armor_fields(pod: &mut Value) {
    if text(at(at(pod, "spec"), "os"), "name") == "windows" {
        return;
    }
    let notes: Vec<(String, Value)> = meta::annotations(pod)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            Some((key.strip_prefix(APP_ARMOR)?.to_owned(), app_armor_profile(value.as_str()?)?))
        })
        .collect();
    let whole = pod.pointer("/spec/securityContext/appArmorProfile").cloned();
    for (name, profile) in notes.into_iter().filter(|(_, profile)| whole.as_ref() != Some(profile)) {
        for field in ["initContainers", "containers", "ephemeralContainers"] {
            let containers = pod.pointer_mut(&format!("/spec/{field}")).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter(|c| text(c, "name") == name) {
                let context = meta::object_at(meta::as_object_mut(container), "securityContext");
                if context.get("appArmorProfile").is_none_or(Value::is_null) {
                    context.insert("appArmorProfile".into(), profile.clone());
                }
            }
        }
    }
}

pub(super) fn update(subresource: &str, new: &mut Value, old: &Value) {
    match subresource {
        "status" => status(new, old),
        "ephemeralcontainers" => {
            let mut spec = at(old, "spec").clone();
            copy(&mut spec, at(new, "spec"), "ephemeralContainers");
            keep_all_but_spec(new, old, spec);
        }
        "resize" => {
            if let Some(spec) = resized(at(new, "spec"), at(old, "spec")) {
                keep_all_but_spec(new, old, spec);
            }
        }
        _ => copy(new, old, "status"),
    }
}

fn keep_all_but_spec(new: &mut Value, old: &Value, spec: Value) {
    keep_all_but_status(new, old);
    copy(new, old, "status");
    new["spec"] = spec;
}

/// The old spec with the new resources; `None` if containers came, went or moved.
fn resized(new: &Value, old: &Value) -> Option<Value> {
    let mut spec = old.clone();
    for field in ["containers", "initContainers"] {
        let (sent, kept) = (list(new, field), list(old, field));
        let same = sent.len() == kept.len()
            && sent.iter().zip(kept).all(|(a, b)| text(a, "name") == text(b, "name"));
        if !same {
            return None;
        }
        for (container, sent) in
            spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().zip(sent)
        {
            copy(container, sent, "resources");
            copy(container, sent, "resizePolicy");
        }
    }
    copy(&mut spec, new, "resources");
    Some(spec)
}

/// A status is written over; what a kubelet leaves out of it and must not is kept.
fn status(new: &mut Value, old: &Value) {
    keep_all_but_status(new, old);
    let (status, before) = (meta::object_at(meta::as_object_mut(new), "status"), at(old, "status"));
    for field in ["qosClass", "observedGeneration"] {
        let missing = status.get(field).is_none_or(crate::read::is_empty);
        if let (true, Some(value)) = (missing, before.get(field)) {
            status.insert(field.into(), value.clone());
        }
    }
    let mut had: Vec<(&str, i64)> = list(before, "conditions")
        .iter()
        .map(|condition| (text(condition, "type"), int(condition, "observedGeneration").unwrap_or(0)))
        .collect();
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let Some(index) = had.iter().position(|(kind, _)| *kind == text(condition, "type")) else { continue };
        let (_, generation) = had.remove(index);
        if generation != 0 && int(condition, "observedGeneration").unwrap_or(0) == 0 {
            condition["observedGeneration"] = generation.into();
        }
    }
}
