//! Pods.

mod prepare;
pub(in crate::kinds) mod values;

use crate::read::{at, flag, int, list, text};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, validation};
use serde_json::Value;

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

    fn validate(&self, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_some() {
            return Vec::new();
        }
        let name = apimachinery::meta::name(new);
        let problems = validation::dns1123_label(name);
        if problems.is_empty() {
            return Vec::new();
        }
        vec![format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]",
            problems.join(" ")
        )]
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
