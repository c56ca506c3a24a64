//! Kinds that keep Pods running from a template: Deployments, ReplicaSets, ReplicationControllers,
//! DaemonSets, and the revisions that some of them keep. The template obeys the rules of Pods, and the
//! selector finds what the template makes. StatefulSets stand in `stateful_set`.

use super::checks::{int_or_percent, is_empty_selector, same, selector_of};
use super::plain::{Kind, Plain};
use super::pod::{self, errors::Errors};
use crate::read::{at, copy, has, int, object_at, text};
use apimachinery::{Path, labels, meta, validation};
use serde_json::{Value, json};

const APPS: &str = "apps";
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";
const MORE_THAN_REPLICAS: &str = "cannot be greater than status.replicas";

pub(super) static KINDS: &[Kind] = &[
    (
        APPS,
        "deployments",
        Plain::of()
            .status()
            .bump(deployment_bumps)
            .rules(deployment)
            .update(|new, old, errors| replicated(deployment, new, old, errors))
            .status_rules(deployment_status)
            .status_changed(|new, old| copy_metadata(new, old, "labels"))
            .warn(hosted_warnings),
    ),
    (
        APPS,
        "replicasets",
        Plain::of()
            .status()
            .generation()
            .rules(replica_set)
            .update(|new, old, errors| replicated(replica_set, new, old, errors))
            .status_rules(|new, _, errors| replica_status(new, errors))
            .warn(hosted_warnings),
    ),
    (
        "",
        "replicationcontrollers",
        Plain::of()
            .status()
            .generation()
            .orphans()
            .labels(&["status.replicas"])
            .rules(replication_controller)
            .status_rules(|new, _, errors| replica_status(new, errors))
            .warn(hosted_warnings),
    ),
    (
        APPS,
        "daemonsets",
        Plain::of()
            .status()
            .generation()
            .rules(daemon_set)
            .created(|set| count_templates(set, None))
            .changed(|set, old| count_templates(set, Some(old)))
            .update(daemon_set_update)
            .status_rules(daemon_set_status)
            .warn(template_warnings),
    ),
    (APPS, "controllerrevisions", Plain::of().rules(revision).update(revision_update)),
    (
        "",
        "podtemplates",
        Plain::of()
            .generation_of_all()
            .returns_deleted()
            .rules(|object, errors| pod::template(at(object, "template"), &Path::new("template"), errors))
            .warn(|new, old| match old {
                Some(old) if meta::generation(old) == meta::generation(new) => Vec::new(),
                _ => pod::template_warnings(at(new, "template"), &Path::new("template")),
            }),
    ),
];

/// Puts back a map of the metadata that a status update may not touch.
fn copy_metadata(new: &mut Value, old: &Value, field: &str) {
    copy(&mut new["metadata"], at(old, "metadata"), field);
}

/// A Deployment also counts changes of its annotations: they go to its ReplicaSets.
fn deployment_bumps(new: &Value, old: &Value) -> bool {
    let notes = |object: &Value| at(at(object, "metadata"), "annotations").clone();
    !same(at(new, "spec"), at(old, "spec")) || !same(&notes(new), &notes(old))
}

/// Warnings of a template, new or changed.
pub(super) fn template_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    if old.is_some_and(|old| meta::generation(old) == meta::generation(new)) {
        return Vec::new();
    }
    pod::template_warnings(at(at(new, "spec"), "template"), &Path::new("spec").child("template"))
}

/// The name of a new object becomes part of host names.
pub(super) fn name_warning(object: &Value, old: Option<&Value>) -> Option<String> {
    let problems = validation::dns1123_label(meta::name(object));
    (old.is_none() && !problems.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{}]",
            problems.join(" ")
        )
    })
}

fn hosted_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out: Vec<String> = name_warning(new, old).into_iter().collect();
    out.extend(template_warnings(new, old));
    out
}

/// A selector that must select something.
pub(super) fn selector(spec: &Value, called: &str, path: &Path, errors: &mut Errors) {
    let (selector, path) = (at(spec, "selector"), path.child("selector"));
    if selector.is_null() {
        return errors.required(&path, "");
    }
    pod::affinity::label_selector(selector, &path, errors);
    if is_empty_selector(selector) {
        errors.invalid(&path, selector.clone(), format!("empty selector is invalid for {called}"));
    }
}

/// The template's own labels must be selected.
pub(super) fn selects_template(
    selector: &labels::Selector,
    template: &Value,
    path: &Path,
    errors: &mut Errors,
) {
    let own = at(at(template, "metadata"), "labels");
    if !selector.matches(own.as_object()) {
        let detail = "`selector` does not match template `labels`";
        errors.invalid(&path.child("metadata").child("labels"), own.clone(), detail);
    }
}

/// Selector and template as Deployments and ReplicaSets check them.
fn selected_template(spec: &Value, path: &Path, errors: &mut Errors) {
    selector(spec, "deployment", path, errors);
    let (template, at_template) = (at(spec, "template"), path.child("template"));
    let Some(found) = selector_of(at(spec, "selector")) else {
        let detail = "invalid label selector";
        return errors.invalid(&path.child("selector"), at(spec, "selector").clone(), detail);
    };
    if !found.is_everything() {
        selects_template(&found, template, &at_template, errors);
    }
    pod::template(template, &at_template, errors);
    pod::lasting(template, "ReplicaSet", &at_template, errors);
}

fn deployment(object: &Value, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    errors.not_negative(&path, spec, "replicas");
    selected_template(spec, &path, errors);
    deployment_strategy(at(spec, "strategy"), &path.child("strategy"), errors);
    errors.counts(&path, spec, &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"]);
    let ready = int(spec, "minReadySeconds").unwrap_or(0);
    if let Some(deadline) = int(spec, "progressDeadlineSeconds").filter(|deadline| *deadline <= ready) {
        let detail = "must be greater than minReadySeconds";
        errors.invalid(&path.child("progressDeadlineSeconds"), deadline, detail);
    }
}

fn deployment_strategy(strategy: &Value, path: &Path, errors: &mut Errors) {
    let (rolling, at_rolling) = (at(strategy, "rollingUpdate"), path.child("rollingUpdate"));
    match text(strategy, "type") {
        "Recreate" if !rolling.is_null() => {
            errors.forbidden(&at_rolling, "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" if rolling.is_null() => {
            errors.required(&at_rolling, "this should be defaulted and never be nil");
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (at(rolling, "maxUnavailable"), at(rolling, "maxSurge"));
            let at_unavailable = at_rolling.child("maxUnavailable");
            errors.int_or_percent(&at_unavailable, unavailable);
            errors.int_or_percent(&at_rolling.child("maxSurge"), surge);
            if int_or_percent(unavailable) == 0 && int_or_percent(surge) == 0 {
                let detail = "may not be 0 when `maxSurge` is 0";
                errors.invalid(&at_unavailable, unavailable.clone(), detail);
            }
            errors.at_most_all(&at_unavailable, unavailable);
        }
        _ => not_a_strategy(strategy, &["Recreate", "RollingUpdate"], path, errors),
    }
}

fn not_a_strategy(strategy: &Value, known: &[&str], path: &Path, errors: &mut Errors) {
    errors.push(apimachinery::FieldError::not_supported(path, strategy.clone(), known));
}

fn replica_set(object: &Value, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    errors.counts(&path, spec, &["replicas", "minReadySeconds"]);
    selected_template(spec, &path, errors);
}

/// An update of a kind whose selector stays.
fn replicated(rules: fn(&Value, &mut Errors), new: &Value, old: &Value, errors: &mut Errors) {
    rules(new, errors);
    errors.immutable_fields(&Path::new("spec"), at(new, "spec"), at(old, "spec"), &["selector"]);
}

fn deployment_status(new: &Value, old: &Value, errors: &mut Errors) {
    let (status, path) = (at(new, "status"), Path::new("status"));
    let counts = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ];
    errors.counts(&path, status, &counts);
    let parts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    errors.no_more_than(&path, status, &parts, "replicas", MORE_THAN_REPLICAS);
    let detail = "cannot be greater than readyReplicas";
    errors.no_more_than(&path, status, &["availableReplicas"], "readyReplicas", detail);
    errors.not_decremented(&path, status, at(old, "status"), "collisionCount");
}

/// The status of ReplicaSets and ReplicationControllers.
fn replica_status(new: &Value, errors: &mut Errors) {
    let (status, path) = (at(new, "status"), Path::new("status"));
    let counts = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        "terminatingReplicas",
    ];
    errors.counts(&path, status, &counts);
    let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    errors.no_more_than(&path, status, &parts, "replicas", MORE_THAN_REPLICAS);
    let detail = "cannot be greater than readyReplicas";
    errors.no_more_than(&path, status, &["availableReplicas"], "readyReplicas", detail);
}

/// The selector is a plain map, and must not be empty.
fn replication_controller(object: &Value, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    errors.not_negative(&path, spec, "minReadySeconds");
    let selector = spec.get("selector").and_then(Value::as_object).map(labels::Selector::from_map);
    let selector = selector.unwrap_or_default();
    if selector.is_everything() {
        errors.required(&path.child("selector"), "");
    }
    if has(spec, "replicas") {
        errors.not_negative(&path, spec, "replicas");
    } else {
        errors.required(&path.child("replicas"), "");
    }
    let (template, at_template) = (at(spec, "template"), path.child("template"));
    if template.is_null() {
        return errors.required(&at_template, "");
    }
    if !selector.is_everything() {
        selects_template(&selector, template, &at_template, errors);
    }
    pod::template(template, &at_template, errors);
    pod::lasting(template, "ReplicationController", &at_template, errors);
}

fn daemon_set(object: &Value, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    let (selector, template) = (at(spec, "selector"), at(spec, "template"));
    pod::affinity::label_selector(selector, &path.child("selector"), errors);
    let at_template = path.child("template");
    if let Some(found) = selector_of(selector) {
        selects_template(&found, template, &at_template, errors);
    }
    if !selector.is_null() && is_empty_selector(selector) {
        let detail = "empty selector is invalid for daemonset";
        errors.invalid(&path.child("selector"), selector.clone(), detail);
    }
    pod::template(template, &at_template, errors);
    pod::lasting(template, "DaemonSet", &at_template, errors);
    errors.not_negative(&path, spec, "minReadySeconds");
    daemon_strategy(at(spec, "updateStrategy"), &path.child("updateStrategy"), errors);
    errors.not_negative(&path, spec, "revisionHistoryLimit");
}

fn daemon_strategy(strategy: &Value, path: &Path, errors: &mut Errors) {
    let (rolling, path_rolling) = (at(strategy, "rollingUpdate"), path.child("rollingUpdate"));
    match text(strategy, "type") {
        "OnDelete" => return,
        "RollingUpdate" if rolling.is_null() => return errors.required(&path_rolling, ""),
        "RollingUpdate" => {}
        _ => return not_a_strategy(strategy, &["RollingUpdate", "OnDelete"], path, errors),
    }
    let (unavailable, surge) = (at(rolling, "maxUnavailable"), at(rolling, "maxSurge"));
    let (at_unavailable, at_surge) = (path_rolling.child("maxUnavailable"), path_rolling.child("maxSurge"));
    errors.int_or_percent(&at_unavailable, unavailable);
    errors.int_or_percent(&at_surge, surge);
    errors.at_most_all(&at_unavailable, unavailable);
    errors.at_most_all(&at_surge, surge);
    match (int_or_percent(unavailable) != 0, int_or_percent(surge) != 0) {
        (true, true) => {
            errors.invalid(&at_surge, surge.clone(), "may not be set when maxUnavailable is non-zero");
        }
        (false, false) => errors.required(&at_unavailable, "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}

fn daemon_set_update(new: &Value, old: &Value, errors: &mut Errors) {
    errors.immutable_fields(&Path::new("spec"), at(new, "spec"), at(old, "spec"), &["selector"]);
    daemon_set(new, errors);
}

fn daemon_set_status(new: &Value, old: &Value, errors: &mut Errors) {
    let (status, path) = (at(new, "status"), Path::new("status"));
    let counts = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    errors.counts(&path, status, &counts);
    errors.not_decremented(&path, status, at(old, "status"), "collisionCount");
}

/// How often the template changed, in the annotation that clients of old read.
fn count_templates(set: &mut Value, old: Option<&Value>) {
    let count = |set: &Value| {
        meta::annotation(set, TEMPLATE_GENERATION).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0)
    };
    let template = |set: &Value| at(at(set, "spec"), "template").clone();
    let number = match old {
        None => count(set).max(1),
        Some(old) if same(&template(set), &template(old)) => count(old),
        Some(old) => count(old) + 1,
    };
    let notes = meta::object_at(object_at(set, "metadata"), "annotations");
    notes.insert(TEMPLATE_GENERATION.into(), number.to_string().into());
}

fn revision(object: &Value, errors: &mut Errors) {
    errors.not_negative(&Path::root(), object, "revision");
    match at(object, "data") {
        Value::Null => errors.required(&Path::new("data"), "data is mandatory"),
        Value::Object(_) => {}
        _ => errors.required(&Path::new("data"), "data must be a valid JSON object"),
    }
}

fn revision_update(new: &Value, old: &Value, errors: &mut Errors) {
    errors.not_negative(&Path::root(), new, "revision");
    if at(new, "data") != at(old, "data") {
        errors.invalid(&Path::new("data"), json!({}), super::checks::IMMUTABLE);
    }
}
