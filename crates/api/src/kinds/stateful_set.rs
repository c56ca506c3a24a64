//! StatefulSets: their claims stand for volumes of the template, and most of their spec never changes.

use super::apps::{selector, selects_template, template_warnings};
use super::checks::{int_or_percent, same, selector_of};
use super::plain::{Kind, Plain};
use super::pod::{self, claims, errors::Errors, warnings::claim_fractions};
use crate::read::{at, has, int, list, text};
use apimachinery::{FieldError, Path, meta, validation};
use serde_json::{Value, json};

/// What may change of a spec.
const MUTABLE: [&str; 7] = [
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
];

pub(super) static KINDS: &[Kind] = &[(
    "apps",
    "statefulsets",
    Plain::of()
        .status()
        .generation()
        .name(validation::dns1123_label)
        .created(|set| drop_disabled(set, None))
        .changed(|set, old| drop_disabled(set, Some(old)))
        .rules(|set, errors| spec(at(set, "spec"), &Path::new("spec"), &Known::default(), errors))
        .update(update)
        .status_rules(status)
        .warn(warnings),
)];

/// `maxUnavailable` is off in 1.36 unless an old object has it.
fn drop_disabled(set: &mut Value, old: Option<&Value>) {
    const ROLLING: &str = "/spec/updateStrategy/rollingUpdate";
    let used = |set: &Value| set.pointer(ROLLING).is_some_and(|rolling| has(rolling, "maxUnavailable"));
    if !old.is_some_and(used)
        && let Some(rolling) = set.pointer_mut(ROLLING).and_then(Value::as_object_mut)
    {
        rolling.remove("maxUnavailable");
    }
}

/// What an update does not check again.
#[derive(Default)]
struct Known {
    service_name: bool,
    template: bool,
    claims: bool,
}

fn spec(spec: &Value, path: &Path, known: &Known, errors: &mut Errors) {
    match text(spec, "podManagementPolicy") {
        "" => errors.required(&path.child("podManagementPolicy"), ""),
        "OrderedReady" | "Parallel" => {}
        other => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.invalid(&path.child("podManagementPolicy"), other, detail);
        }
    }
    strategy(at(spec, "updateStrategy"), &path.child("updateStrategy"), errors);
    let retention = at(spec, "persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"].into_iter().filter(|_| !retention.is_null()) {
        let path = path.child("persistentVolumeClaimRetentionPolicy").child(field);
        errors.known(&path, text(retention, field), &["Retain", "Delete"]);
    }
    for (index, claim) in list(spec, "volumeClaimTemplates").iter().enumerate().filter(|_| !known.claims) {
        let path = path.child("volumeClaimTemplates").index(index).child("spec");
        claims::spec(at(claim, "spec"), &path, errors);
    }
    errors.counts(path, spec, &["replicas", "minReadySeconds"]);
    if let Some(start) = int(at(spec, "ordinals"), "start").filter(|start| *start < 0) {
        errors.invalid(&path.child("ordinals.start"), start, pod::values::NOT_NEGATIVE);
    }
    let service = text(spec, "serviceName");
    if !known.service_name && !service.is_empty() {
        errors.label(&path.child("serviceName"), service);
    }
    selector(spec, "statefulset", path, errors);
    match selector_of(at(spec, "selector")) {
        None => errors.invalid(&path.child("selector"), at(spec, "selector").clone(), ""),
        Some(found) => {
            let path = path.child("template");
            let as_made = as_made(spec);
            if !found.is_everything() {
                selects_template(&found, &as_made, &path, errors);
            }
            if !known.template {
                pod::template(&as_made, &path, errors);
            }
            metadata_again(&as_made, &path, errors);
        }
    }
    pod::lasting(at(spec, "template"), "StatefulSet", &path.child("template"), errors);
}

/// Upstream checks labels and annotations of the template a second time.
fn metadata_again(template: &Value, path: &Path, errors: &mut Errors) {
    if let Some(labels) = meta::labels(template) {
        errors.0.extend(validation::labels(labels, &path.child("labels")));
    }
    if let Some(annotations) = meta::annotations(template) {
        errors.0.extend(validation::annotations(annotations, &path.child("annotations")));
    }
}

/// The template as Pods are made from it: named by the set, with a volume for each claim.
fn as_made(spec: &Value) -> Value {
    let mut template = at(spec, "template").clone();
    let claims: Vec<&str> = list(spec, "volumeClaimTemplates").iter().map(meta::name).collect();
    let Some(inner) = template.get_mut("spec").and_then(Value::as_object_mut) else { return template };
    inner.remove("hostname");
    inner.remove("subdomain");
    if !claims.is_empty() {
        let mut volumes: Vec<Value> = Vec::new();
        for name in &claims {
            if !volumes.iter().any(|volume| text(volume, "name") == *name) {
                volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
            }
        }
        let own = inner.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
        volumes.extend(own.into_iter().filter(|volume| !claims.contains(&text(volume, "name"))));
        inner.insert("volumes".into(), volumes.into());
    }
    template
}

fn strategy(strategy: &Value, path: &Path, errors: &mut Errors) {
    let (rolling, at_rolling) = (at(strategy, "rollingUpdate"), path.child("rollingUpdate"));
    match text(strategy, "type") {
        "" => errors.required(path, ""),
        "OnDelete" if !rolling.is_null() => {
            errors.invalid(&at_rolling, rolling.clone(), "only allowed for updateStrategy 'RollingUpdate'");
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            errors.not_negative(&at_rolling, rolling, "partition");
            let (unavailable, path) = (at(rolling, "maxUnavailable"), at_rolling.child("maxUnavailable"));
            if unavailable.is_null() {
                return;
            }
            errors.int_or_percent(&path, unavailable);
            if int_or_percent(unavailable) == 0 {
                errors.invalid(&path, unavailable.clone(), "cannot be 0");
            }
            errors.at_most_all(&path, unavailable);
        }
        _ => errors.invalid(path, strategy.clone(), "must be 'RollingUpdate' or 'OnDelete'"),
    }
}

fn update(new: &Value, old: &Value, errors: &mut Errors) {
    let mut known = Known { service_name: true, template: false, claims: true };
    let mut before = Errors::default();
    spec(at(old, "spec"), &Path::root(), &known, &mut before);
    known.template = !before.0.is_empty();
    spec(at(new, "spec"), &Path::new("spec"), &known, errors);
    let fixed = |set: &Value| {
        let mut spec = at(set, "spec").clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !MUTABLE.contains(&field.as_str()));
        }
        spec
    };
    if !same(&fixed(new), &fixed(old)) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden(&Path::new("spec"), detail));
    }
}

fn status(new: &Value, old: &Value, errors: &mut Errors) {
    let (status, path) = (at(new, "status"), Path::new("status"));
    let counts = [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ];
    errors.counts(&path, status, &counts);
    let parts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    errors.no_more_than(&path, status, &parts, "replicas", "cannot be greater than status.replicas");
    let detail = "cannot be greater than status.readyReplicas";
    errors.no_more_than(&path, status, &["availableReplicas"], "readyReplicas", detail);
    errors.not_decremented(&path, status, at(old, "status"), "collisionCount");
}

fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out = template_warnings(new, old);
    let spec = at(new, "spec");
    for (index, claim) in list(spec, "volumeClaimTemplates").iter().enumerate() {
        let path = Path::new("spec").child("volumeClaimTemplates").index(index);
        let path = if old.is_some() { path.child("Spec") } else { path };
        claim_fractions(at(claim, "spec"), &path, &mut out);
    }
    if int(spec, "revisionHistoryLimit").is_some_and(|limit| limit < 0) {
        out.push("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended".into());
    }
    out
}
