//! Kinds that make Pods from a template: the template obeys the rules of Pods, and the selector finds
//! what the template makes. Jobs get a selector of their own uid.

use super::pod::errors::Errors;
use super::pod::validate_template_spec;
use crate::read::{at, copy, flag, has, int, is_empty, object_at, text};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Path, labels, meta};
use serde_json::Value;

const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

/// A kind whose Pods restart for ever.
pub(super) struct Workload {
    /// How messages call the kind.
    called: &'static str,
}

pub(super) static DEPLOYMENT: Workload = Workload { called: "deployment" };
pub(super) static REPLICA_SET: Workload = Workload { called: "replicaset" };
pub(super) static DAEMON_SET: Workload = Workload { called: "daemonset" };
pub(super) static STATEFUL_SET: Workload = Workload { called: "statefulset" };

impl Strategy for Workload {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let (spec, path) = (at(object, "spec"), Path::new("spec"));
        let mut errors = Errors::default();
        errors.not_negative(&path, spec, "replicas");
        selector(spec, self.called, &path, &mut errors);
        template(spec, &path, &mut errors);
        let inner = at(at(spec, "template"), "spec");
        let at_inner = path.child("template").child("spec");
        if text(inner, "restartPolicy") != "Always" {
            errors.not_supported(&at_inner.child("restartPolicy"), text(inner, "restartPolicy"), &["Always"]);
        }
        if has(inner, "activeDeadlineSeconds") {
            let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
            errors.forbidden(&at_inner.child("activeDeadlineSeconds"), detail);
        }
        for field in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
            errors.not_negative(&path, spec, field);
        }
        errors.0
    }

    fn validate_update(&self, subresource: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        if subresource == "status" {
            return Vec::new();
        }
        let mut errors = self.validate(new);
        let selector = at(at(new, "spec"), "selector");
        if selector != at(at(old, "spec"), "selector") {
            let path = Path::new("spec").child("selector");
            errors.push(FieldError::invalid(&path, selector.clone(), "field is immutable"));
        }
        errors
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

fn selector(spec: &Value, called: &str, path: &Path, errors: &mut Errors) {
    let (value, path_selector) = (at(spec, "selector"), path.child("selector"));
    if value.is_null() {
        errors.required(&path_selector, "");
        return;
    }
    if is_empty(at(value, "matchLabels")) && is_empty(at(value, "matchExpressions")) {
        errors.invalid(&path_selector, value.clone(), format!("empty selector is invalid for {called}"));
        return;
    }
    let own = at(at(at(spec, "template"), "metadata"), "labels");
    match labels::Selector::from_label_selector(Some(value)) {
        Err(_) => errors.invalid(&path_selector, value.clone(), "invalid label selector"),
        Ok(selector) if !selector.matches(own.as_object()) => {
            let path = path.child("template").child("metadata").child("labels");
            errors.invalid(&path, own.clone(), "`selector` does not match template `labels`");
        }
        Ok(_) => {}
    }
}

fn template(spec: &Value, path: &Path, errors: &mut Errors) {
    let (template, path) = (at(spec, "template"), path.child("template"));
    if let Some(own) = meta::labels(template) {
        errors.0.extend(apimachinery::validation::labels(own, &path.child("labels")));
    }
    if let Some(own) = meta::annotations(template) {
        errors.0.extend(apimachinery::validation::annotations(own, &path.child("annotations")));
    }
    errors.0.extend(validate_template_spec(at(template, "spec"), &path.child("spec")));
}

pub(super) struct Job;

impl Strategy for Job {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn prepare_create(&self, job: &mut Value) {
        crate::strategy::reset_status(job);
        if !flag(at(job, "spec"), "manualSelector") {
            own_selector(job);
        }
    }

    fn name_settled(&self, job: &mut Value) {
        if !flag(at(job, "spec"), "manualSelector") {
            own_selector(job);
        }
    }

    fn validate(&self, job: &Value) -> Vec<FieldError> {
        let (spec, path) = (at(job, "spec"), Path::new("spec"));
        let mut errors = Errors::default();
        for field in
            ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"]
        {
            errors.not_negative(&path, spec, field);
        }
        if text(spec, "completionMode") == "Indexed" && int(spec, "completions").is_none() {
            errors.required(&path.child("completions"), "when completion mode is Indexed");
        }
        template(spec, &path, &mut errors);
        let policy = text(at(at(spec, "template"), "spec"), "restartPolicy");
        let at_policy = path.child("template").child("spec").child("restartPolicy");
        match policy {
            "OnFailure" | "Never" => {}
            "" | "Always" => errors.required(&at_policy, "valid values: \"OnFailure\", \"Never\""),
            other => errors.not_supported(&at_policy, other, &["OnFailure", "Never"]),
        }
        errors.0
    }

    fn prepare_update(&self, subresource: &str, new: &mut Value, old: &Value) {
        match subresource {
            "status" => crate::strategy::keep_all_but_status(new, old),
            _ => copy(new, old, "status"),
        }
    }

    fn validate_update(&self, subresource: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        if subresource == "status" {
            return Vec::new();
        }
        let mut errors = self.validate(new);
        let (spec, before) = (at(new, "spec"), at(old, "spec"));
        for field in ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy"] {
            if at(spec, field) != at(before, field) {
                let path = Path::new("spec").child(field);
                errors.push(FieldError::invalid(&path, at(spec, field).clone(), "field is immutable"));
            }
        }
        // A suspended Job that never started may still change where its Pods run.
        let waits = flag(before, "suspend") && !has(at(old, "status"), "startTime");
        if !waits && at(spec, "template") != at(before, "template") {
            let path = Path::new("spec").child("template");
            errors.push(FieldError::invalid(&path, at(spec, "template").clone(), "field is immutable"));
        }
        errors
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["status.successful"]
    }

    fn field_label(&self, job: &Value, _: &str) -> String {
        int(at(job, "status"), "succeeded").unwrap_or(0).to_string()
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    /// Without a propagation policy the Pods stay, as clients before 1.9 expected.
    fn default_propagation(&self) -> Option<&'static str> {
        Some("orphan")
    }
}

/// The Job's name (once it has one) and uid as labels of its Pods, and a selector of the uid.
fn own_selector(job: &mut Value) {
    let (name, uid) = (meta::name(job).to_owned(), meta::uid(job).to_owned());
    let spec = object_at(job, "spec");
    let template = meta::object_at(spec, "template");
    let own = meta::object_at(meta::object_at(template, "metadata"), "labels");
    for key in NAME_LABELS.into_iter().filter(|_| !name.is_empty()) {
        own.entry(key).or_insert_with(|| name.clone().into());
    }
    for key in UID_LABELS {
        own.entry(key).or_insert_with(|| uid.clone().into());
    }
    let selector = meta::object_at(meta::object_at(spec, "selector"), "matchLabels");
    selector.entry(UID_LABELS[1]).or_insert_with(|| uid.into());
}
