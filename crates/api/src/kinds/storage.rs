//! Storage classes and CSI: what provisions volumes, on which nodes it runs, and what it has attached.

use super::checks::same;
use super::persistent_volume::{self, csi_driver};
use super::plain::{Kind, Plain};
use super::pod::{affinity::label_selector, errors::Errors, values, warnings::deprecated};
use crate::read::{at, has, int, list, map, opt_text, quantity, text, texts};
use apimachinery::{FieldError, Path, validation};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const GROUP: &str = "storage.k8s.io";
const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETER_BYTES: usize = 256 * 1024;
const MAX_ERROR: usize = 1024;
const MAX_NODE_ID: usize = 256;
const MIN_TOKEN_SECONDS: i64 = 600;
const MIN_UPDATE_SECONDS: i64 = 10;

pub(super) static KINDS: &[Kind] = &[
    (
        GROUP,
        "storageclasses",
        Plain::of().returns_deleted().rules(class).update(class_update).warn(class_warnings),
    ),
    (
        GROUP,
        "csidrivers",
        Plain::of()
            .needs_version()
            .returns_deleted()
            .rules(driver)
            .update(driver_update)
            .warn(driver_warnings)
            .created(drop_disabled)
            .changed(|driver, _| drop_disabled(driver)),
    ),
    (GROUP, "csinodes", Plain::of().needs_version().returns_deleted().rules(node).update(node_update)),
    (
        GROUP,
        "csistoragecapacities",
        Plain::of().needs_version().rules(capacity).update(capacity_update).warn(capacity_warnings),
    ),
    (
        GROUP,
        "volumeattachments",
        Plain::of()
            .status()
            .needs_version()
            .returns_deleted()
            .rules(attachment)
            .update(|new, old, errors| {
                attachment(new, errors);
                errors.immutable_fields(&Path::root(), new, old, &["spec"]);
            })
            .status_rules(|new, old, errors| {
                attachment(new, errors);
                errors.immutable_fields(&Path::root(), new, old, &["spec"]);
            }),
    ),
    (
        GROUP,
        "volumeattributesclasses",
        Plain::of().returns_deleted().rules(attributes).update(attributes_update),
    ),
];

fn provisioner(name: &str, path: &Path, errors: &mut Errors) {
    if name.is_empty() {
        errors.required(path, "");
    } else {
        errors.problems(path, name.to_lowercase(), validation::qualified_name(&name.to_lowercase()));
    }
}

fn parameters(object: &Value, may_be_empty: bool, errors: &mut Errors) {
    let path = Path::new("parameters");
    let all: Vec<(&String, &Value)> = map(object, "parameters").collect();
    if all.len() > MAX_PARAMETERS {
        return errors.push(FieldError::too_long(&path, MAX_PARAMETERS));
    }
    for _ in all.iter().filter(|(key, _)| key.is_empty()) {
        errors.invalid(&path, "", "field can not be empty.");
    }
    let bytes: usize = all.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > MAX_PARAMETER_BYTES {
        errors.push(FieldError::too_long(&path, MAX_PARAMETER_BYTES));
    }
    if !may_be_empty && all.is_empty() {
        errors.required(&path, "must contain at least one key/value pair");
    }
}

fn class(class: &Value, errors: &mut Errors) {
    provisioner(text(class, "provisioner"), &Path::new("provisioner"), errors);
    parameters(class, true, errors);
    if let Some(policy) = opt_text(class, "reclaimPolicy").filter(|policy| !policy.is_empty()) {
        errors.known(&Path::new("reclaimPolicy"), policy, &["Delete", "Retain"]);
    }
    let at_mode = Path::new("volumeBindingMode");
    match opt_text(class, "volumeBindingMode") {
        None => errors.required(&at_mode, ""),
        Some(mode) => errors.known(&at_mode, mode, &["Immediate", "WaitForFirstConsumer"]),
    }
    topologies(list(class, "allowedTopologies"), &Path::new("allowedTopologies"), errors);
}

fn topologies(terms: &[Value], path: &Path, errors: &mut Errors) {
    type Term<'a> = Vec<(&'a str, BTreeSet<&'a str>)>;
    // Upstream compares with one empty term for each term.
    let mut seen: Vec<Term<'_>> = vec![Vec::new(); terms.len()];
    for (index, term) in terms.iter().enumerate() {
        let path = path.index(index).child("matchLabelExpressions");
        let mut own: Term<'_> = Vec::new();
        for (index, requirement) in list(term, "matchLabelExpressions").iter().enumerate() {
            let path = path.index(index);
            let (key, wanted) = (text(requirement, "key"), texts(requirement, "values"));
            if list(requirement, "values").is_empty() {
                errors.required(&path.child("values"), "");
            }
            errors.unique(&path.child("values"), texts(requirement, "values"));
            errors.qualified(&path.child("key"), key);
            if own.iter().any(|(known, _)| *known == key) {
                errors.duplicate(&path.child("key"), key);
            }
            own.retain(|(known, _)| *known != key);
            own.push((key, wanted.collect()));
        }
        own.sort();
        for _ in seen.iter().filter(|other| **other == own) {
            errors.duplicate(&path, "");
        }
        seen.push(own);
    }
}

fn class_update(new: &Value, old: &Value, errors: &mut Errors) {
    class(new, errors);
    let fixed = ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"];
    errors.immutable_fields(&Path::root(), new, old, &fixed);
}

fn class_warnings(class: &Value, _: Option<&Value>) -> Vec<String> {
    let mut out = Vec::new();
    for (index, term) in list(class, "allowedTopologies").iter().enumerate() {
        for (inner, requirement) in list(term, "matchLabelExpressions").iter().enumerate() {
            if let Some(text) = deprecated(text(requirement, "key")) {
                out.push(format!("allowedTopologies[{index}].matchLabelExpressions[{inner}].key: {text}"));
            }
        }
    }
    out
}

/// Off in 1.36.
fn drop_disabled(driver: &mut Value) {
    crate::read::object_at(driver, "spec").remove("preventPodSchedulingIfMissing");
}

fn driver(driver: &Value, errors: &mut Errors) {
    let (spec, path) = (at(driver, "spec"), Path::new("spec"));
    for (field, called) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if !has(spec, field) {
            errors.required(&path.child(called), "");
        }
    }
    if let Some(policy) = opt_text(spec, "fsGroupPolicy") {
        errors.known(&path.child("fsGroupPolicy"), policy, &["File", "None", "ReadWriteOnceWithFSType"]);
    }
    tokens(list(spec, "tokenRequests"), &path.child("tokenRequests"), errors);
    for mode in texts(spec, "volumeLifecycleModes") {
        errors.known(&path.child("volumeLifecycleModes"), mode, &["Persistent", "Ephemeral"]);
    }
    if !has(spec, "seLinuxMount") {
        errors.required(&path.child("seLinuxMount"), "");
    }
    if let Some(seconds) =
        int(spec, "nodeAllocatableUpdatePeriodSeconds").filter(|seconds| *seconds < MIN_UPDATE_SECONDS)
    {
        let detail = format!("must be greater than or equal to {MIN_UPDATE_SECONDS} seconds");
        errors.invalid(&path.child("nodeAllocatableUpdatePeriodSeconds"), seconds, detail);
    }
    let secrets = at(spec, "serviceAccountTokenInSecrets");
    if !secrets.is_null() && list(spec, "tokenRequests").is_empty() {
        let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        errors.invalid(&path.child("serviceAccountTokenInSecrets"), secrets.clone(), detail);
    }
}

fn tokens(requests: &[Value], path: &Path, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, request) in requests.iter().enumerate() {
        let (audience, path) = (text(request, "audience"), path.index(index));
        if !seen.insert(audience) {
            errors.duplicate(&path.child("audience"), audience);
            continue;
        }
        let Some(seconds) = int(request, "expirationSeconds") else { continue };
        let path = path.child("expirationSeconds");
        if seconds < MIN_TOKEN_SECONDS {
            errors.invalid(&path, seconds, "may not specify a duration less than 10 minutes");
        }
        if seconds > 1 << 32 {
            errors.invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
}

fn driver_update(new: &Value, old: &Value, errors: &mut Errors) {
    driver(new, errors);
    let (spec, before, path) = (at(new, "spec"), at(old, "spec"), Path::new("spec"));
    let attach = "attachRequired";
    errors.immutable(&path.child("attachedRequired"), at(spec, attach), at(before, attach));
    errors.immutable_fields(&path, spec, before, &["volumeLifecycleModes"]);
}

fn driver_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let spec = at(new, "spec");
    let requests = |driver: &Value| at(at(driver, "spec"), "tokenRequests").clone();
    let changed = old.is_none_or(|old| !same(&requests(old), &requests(new)));
    if !changed || list(spec, "tokenRequests").is_empty() || has(spec, "serviceAccountTokenInSecrets") {
        return Vec::new();
    }
    vec!["spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes".into()]
}

fn node(node: &Value, errors: &mut Errors) {
    let path = Path::new("spec").child("drivers");
    let mut names = BTreeSet::new();
    for (index, driver) in list(at(node, "spec"), "drivers").iter().enumerate() {
        let (name, id, path) = (text(driver, "name"), text(driver, "nodeID"), path.index(index));
        csi_driver(name, &path.child("name"), errors);
        if id.is_empty() {
            errors.required(&path.child("nodeID"), "");
        }
        if id.len() > MAX_NODE_ID {
            let detail = format!("must be {MAX_NODE_ID} characters or less");
            errors.invalid(&path.child("nodeID"), id, detail);
        }
        errors.not_negative(&path.child("allocatable"), at(driver, "allocatable"), "count");
        if !names.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
        let mut keys = BTreeSet::new();
        for key in texts(driver, "topologyKeys") {
            if key.is_empty() {
                errors.required(&path, "");
            }
            if !keys.insert(key) {
                errors.duplicate(&path, key);
            }
            errors.qualified(&path, key);
        }
    }
}

/// A driver keeps what it said, but for how many volumes fit.
fn node_update(new: &Value, old: &Value, errors: &mut Errors) {
    node(new, errors);
    let path = Path::new("spec").child("drivers");
    let drivers = |node: &Value| -> Vec<Value> {
        let mut drivers = list(at(node, "spec"), "drivers").to_vec();
        drivers
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|driver| drop(driver.remove("allocatable")));
        drivers
    };
    let now = drivers(new);
    for before in drivers(old) {
        for driver in now.iter().filter(|driver| text(driver, "name") == text(&before, "name")) {
            errors.immutable(&path, driver, &before);
        }
    }
}

fn capacity(capacity: &Value, errors: &mut Errors) {
    label_selector(at(capacity, "nodeTopology"), &Path::new("nodeTopology"), errors);
    errors.subdomain(&Path::new("storageClassName"), text(capacity, "storageClassName"));
    if let Some(amount) = quantity(at(capacity, "capacity")).filter(|amount| amount.signum() < 0) {
        errors.invalid(&Path::new("capacity"), amount.to_string(), values::NOT_NEGATIVE);
    }
}

fn capacity_update(new: &Value, old: &Value, errors: &mut Errors) {
    capacity(new, errors);
    errors.immutable_fields(&Path::root(), new, old, &["nodeTopology", "storageClassName"]);
}

/// Warnings about node labels of old in a label selector.
fn capacity_warnings(capacity: &Value, _: Option<&Value>) -> Vec<String> {
    let (selector, path) = (at(capacity, "nodeTopology"), Path::new("nodeTopology"));
    let mut out = Vec::new();
    for (index, requirement) in list(selector, "matchExpressions").iter().enumerate() {
        let key = text(requirement, "key");
        if let Some(text) = deprecated(key) {
            out.push(format!(
                "{}: {key} is {text}",
                path.child("matchExpressions").index(index).child("key")
            ));
        }
    }
    for (key, _) in map(selector, "matchLabels") {
        if let Some(text) = deprecated(key) {
            out.push(format!("{}: {text}", path.child("matchLabels").child(key.clone())));
        }
    }
    out
}

fn attachment(attachment: &Value, errors: &mut Errors) {
    let (spec, path) = (at(attachment, "spec"), Path::new("spec"));
    csi_driver(text(spec, "attacher"), &path.child("attacher"), errors);
    let (source, at_source) = (at(spec, "source"), path.child("source"));
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    let (inline, named) = (at(source, "inlineVolumeSpec"), opt_text(source, "persistentVolumeName"));
    match (inline.is_null(), named) {
        (true, None) => errors.required(&at_source, ONE),
        (false, Some(_)) => errors.forbidden(&at_source, ONE),
        (true, Some("")) => {
            let detail = "must specify non empty persistentVolumeName";
            errors.required(&at_source.child("persistentVolumeName"), detail);
        }
        (true, Some(_)) => {}
        (false, None) => {
            persistent_volume::spec(inline, "", true, &at_source.child("inlineVolumeSpec"), errors);
        }
    }
    errors.subdomain(&path.child("nodeName"), text(spec, "nodeName"));
    attachment_status(at(attachment, "status"), &Path::new("status"), errors);
    if let Some(name) = named {
        errors.subdomain(&Path::new("spec.source.persistentVolumeName"), name);
    }
}

fn attachment_status(status: &Value, path: &Path, errors: &mut Errors) {
    let bytes: usize = map(status, "attachmentMetadata")
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if bytes > MAX_PARAMETER_BYTES {
        errors.push(FieldError::too_long(&path.child("attachmentMetadata"), MAX_PARAMETER_BYTES));
    }
    for field in ["attachError", "detachError"] {
        let (error, path) = (at(status, field), path.child(field));
        // Upstream names the limit of the metadata.
        if text(error, "message").len() > MAX_ERROR {
            errors.push(FieldError::too_long(&path.child("message"), MAX_PARAMETER_BYTES));
        }
        if let Some(code) = int(error, "errorCode").filter(|code| *code < 0) {
            let detail = format!("must be between 0 and {}, inclusive", i32::MAX);
            errors.invalid(&path.child("errorCode"), code, detail);
        }
    }
}

fn attributes(class: &Value, errors: &mut Errors) {
    provisioner(text(class, "driverName"), &Path::new("driverName"), errors);
    parameters(class, false, errors);
}

fn attributes_update(new: &Value, old: &Value, errors: &mut Errors) {
    let empty = Value::Object(Map::new());
    for field in ["driverName", "parameters"] {
        let value = |class: &Value| class.get(field).filter(|value| **value != empty).cloned();
        if value(new) != value(old) {
            errors.forbidden(&Path::new(field), format!("updates to {field} are forbidden."));
        }
    }
    attributes(new, errors);
}
