//! Pods: what the server makes of them (`prepare`), every rule of their spec (`validate` and the files it
//! calls), what may change on which endpoint (`update`, `status`, `resize`), and what is worth a warning.

pub(in crate::kinds) mod affinity;
pub(in crate::kinds) mod amounts;
pub(in crate::kinds) mod claims;
mod containers;
pub(in crate::kinds) mod diff;
mod env;
pub(in crate::kinds) mod errors;
mod handlers;
mod overlaps;
mod prepare;
mod projected;
mod resize;
mod security;
mod status;
mod update;
mod validate;
pub(in crate::kinds) mod values;
pub(in crate::kinds) mod volumes;
pub(in crate::kinds) mod warnings;

use crate::read::{at, flag, int, list, text};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Path, meta, validation};
use errors::Errors;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// What rules of a part need to know of the whole.
struct Context<'a> {
    /// The Pod's name; empty for templates.
    name: &'a str,
    is_pod: bool,
    /// The volumes that are valid, by name.
    volumes: HashMap<&'a str, &'a Value>,
    /// The names of the Pod's resource claims.
    claims: BTreeSet<&'a str>,
    /// `terminationGracePeriodSeconds`.
    grace: Option<i64>,
    /// `os.name`, if there is an `os`.
    os: Option<&'a str>,
    host_users: bool,
    restart_policy: &'a str,
}

/// Calls with every container and its path: init, app and ephemeral containers.
fn each_container(spec: &Value, path: &Path, mut visit: impl FnMut(&Value, &Path)) {
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for (index, container) in list(spec, field).iter().enumerate() {
            visit(container, &path.child(field).index(index));
        }
    }
}

/// A Pod template: what would be an error of the Pods made from it.
pub(in crate::kinds) fn template(template: &Value, path: &Path, errors: &mut Errors) {
    let (spec, at_spec, at_notes) = (at(template, "spec"), path.child("spec"), path.child("annotations"));
    if let Some(labels) = meta::labels(template) {
        errors.0.extend(validation::labels(labels, &path.child("labels")));
    }
    if let Some(annotations) = meta::annotations(template) {
        errors.0.extend(validation::annotations(annotations, &at_notes));
    }
    validate::annotations(template, &at_notes, errors);
    validate::pod_spec(spec, None, &at_spec, errors);
    security::annotations_match(template, &at_spec, errors);
    if !list(spec, "ephemeralContainers").is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.forbidden(&at_spec.child("ephemeralContainers"), detail);
    }
}

/// A template whose Pods restart for ever and run without a deadline, as a kind demands that makes Pods anew.
pub(in crate::kinds) fn lasting(template: &Value, kind: &str, path: &Path, errors: &mut Errors) {
    let (spec, path) = (at(template, "spec"), path.child("spec"));
    errors.known(&path.child("restartPolicy"), text(spec, "restartPolicy"), &["Always"]);
    if !at(spec, "activeDeadlineSeconds").is_null() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.forbidden(&path.child("activeDeadlineSeconds"), detail);
    }
}

/// Warnings of a Pod template.
pub(in crate::kinds) fn template_warnings(template: &Value, path: &Path) -> Vec<String> {
    warnings::of_template(template, path)
}

pub(super) struct Pod;

impl Strategy for Pod {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        prepare::create(object);
    }

    fn prepare_update(&self, subresource: &str, new: &mut Value, old: &Value) {
        prepare::update(subresource, new, old);
    }

    fn validate(&self, pod: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate::create(pod, &mut errors);
        errors.0
    }

    fn validate_update(&self, subresource: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        match subresource {
            "status" => status::update(new, old, &mut errors),
            "ephemeralcontainers" => update::ephemeral_containers(new, old, &mut errors),
            "resize" => resize::resize(new, old, &mut errors),
            _ => update::update(new, old, &mut errors),
        }
        errors.0
    }

    /// Only new Pods warn: people seldom change Pods themselves.
    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_some() { Vec::new() } else { warnings::of_new(new) }
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
            "spec.host",
        ]
    }

    fn field_label(&self, pod: &Value, label: &str) -> String {
        let (spec, status) = (at(pod, "spec"), at(pod, "status"));
        match label {
            "spec.host" => text(spec, "nodeName").to_owned(),
            "spec.hostNetwork" => flag(spec, "hostNetwork").to_string(),
            "status.podIP" | "status.podIPs" => {
                list(status, "podIPs").first().map_or("", |ip| text(ip, "ip")).to_owned()
            }
            _ => match label.split_once('.') {
                Some(("spec", field)) => text(spec, field).to_owned(),
                Some((_, field)) => text(status, field).to_owned(),
                None => String::new(),
            },
        }
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    /// Grace is what was asked for, else what the spec says; none for a Pod that runs nowhere.
    fn delete_grace(&self, pod: &Value, asked: Option<i64>) -> Option<i64> {
        let spec = at(pod, "spec");
        let over = matches!(text(at(pod, "status"), "phase"), "Failed" | "Succeeded");
        if text(spec, "nodeName").is_empty() || over {
            return Some(0);
        }
        let grace = asked.or(int(spec, "terminationGracePeriodSeconds")).unwrap_or(0);
        Some(if grace < 0 { 1 } else { grace })
    }

    fn delete_returns_object(&self) -> bool {
        true
    }
}
