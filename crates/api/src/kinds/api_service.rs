//! APIServices: who serves a version of a group.

use super::plain::{Kind, Plain};
use super::pod::errors::Errors;
use crate::read::{at, flag, has, int, list, object_at, text};
use apimachinery::{Path, Time, go, meta, validation};
use serde_json::{Value, json};

const MAX_GROUP_PRIORITY: i64 = 20_000;
const MAX_VERSION_PRIORITY: i64 = 1000;

pub(super) static KINDS: &[Kind] = &[(
    "apiregistration.k8s.io",
    "apiservices",
    Plain::of()
        .status()
        .needs_version()
        .name(validation::path_segment_name)
        .rules(service)
        .update(|new, _, errors| rules(new, errors))
        .stamp(local_is_available)
        .status_rules(|object, _, errors| {
            let path = Path::new("status").child("conditions");
            for (index, condition) in list(at(object, "status"), "conditions").iter().enumerate() {
                let path = path.index(index).child("status");
                errors.known(&path, text(condition, "status"), &["True", "False", "Unknown"]);
            }
        }),
)];

/// What the server itself serves is there.
fn local_is_available(_: &str, object: &mut Value, old: Option<&Value>, now: Time) {
    if old.is_some() || has(at(object, "spec"), "service") {
        return;
    }
    let condition = json!({
        "type": "Available", "status": "True", "lastTransitionTime": now.truncated().to_string(),
        "reason": "Local", "message": "Local APIServices are always available",
    });
    object_at(object, "status").insert("conditions".into(), json!([condition]));
}

fn service(object: &Value, errors: &mut Errors) {
    let spec = at(object, "spec");
    let (name, wanted) = (meta::name(object), format!("{}.{}", text(spec, "version"), text(spec, "group")));
    if validation::path_segment_name(name).is_empty() && name != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {}", go::quote(&wanted));
        errors.invalid(&Path::new("metadata").child("name"), name, detail);
    }
    rules(object, errors);
}

fn rules(object: &Value, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    if group.is_empty() && version != "v1" {
        let detail = "only v1 may have an empty group and it better be legacy kube";
        errors.required(&path.child("group"), detail);
    }
    if !group.is_empty() {
        errors.subdomain(&path.child("group"), group);
    }
    errors.problems(&path.child("version"), version, validation::dns1035_label(version));
    for (field, max) in
        [("groupPriorityMinimum", MAX_GROUP_PRIORITY), ("versionPriority", MAX_VERSION_PRIORITY)]
    {
        let priority = int(spec, field).unwrap_or(0);
        if priority <= 0 || priority > max {
            let detail = format!("must be positive and less than {max}");
            errors.invalid(&path.child(field), priority, detail);
        }
    }
    let (bundle, at_bundle) = (text(spec, "caBundle"), path.child("caBundle"));
    let (insecure, at_insecure) = (flag(spec, "insecureSkipTLSVerify"), path.child("insecureSkipTLSVerify"));
    let service = at(spec, "service");
    if service.is_null() {
        if !bundle.is_empty() {
            let length = bundle.trim_end_matches('=').len() * 3 / 4;
            errors.invalid(
                &at_bundle,
                format!("{length} bytes"),
                "local APIServices may not have a caBundle",
            );
        }
        if insecure {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.invalid(&at_insecure, true, detail);
        }
        return;
    }
    let at_service = path.child("service");
    errors.needs(&at_service, service, &["namespace", "name"]);
    let port = int(service, "port").unwrap_or(0);
    let problems = validation::port_number(port);
    if !problems.is_empty() {
        let detail = format!("port is not valid: {}", problems.join(", "));
        errors.invalid(&at_service.child("port"), port, detail);
    }
    if insecure && !bundle.is_empty() {
        errors.invalid(&at_insecure, true, "may not be true if caBundle is present");
    }
}
