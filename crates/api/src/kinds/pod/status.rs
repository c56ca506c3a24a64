//! `/status`: what a kubelet says of a Pod. Containers that ended for good stay ended.

use super::errors::Errors;
use super::{security, validate, values};
use crate::read::{at, has, int, list, opt_text, text};
use apimachinery::Path;
use serde_json::Value;
use std::collections::HashSet;

const SYSTEM: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];
const ONE_PER_FAMILY: &str = "may specify no more than one IP for each IP family";

pub(super) fn update(new: &Value, old: &Value, errors: &mut Errors) {
    let notes = Path::new("metadata").child("annotations");
    security::annotation_updates(new, old, &notes, errors);
    validate::annotations(new, &notes, errors);
    let (status, before, path) = (at(new, "status"), at(old, "status"), Path::new("status"));
    let spec = at(old, "spec");
    conditions(status, &path.child("conditions"), errors);
    nominated(status, before, spec, &path.child("nominatedNodeName"), errors);
    if let Some(number) = int(status, "observedGeneration").filter(|number| *number < 0) {
        errors.invalid(&path.child("observedGeneration"), number, "must be a non-negative integer");
    }
    if text(status, "qosClass") != text(before, "qosClass") {
        errors.invalid(&path.child("qosClass"), text(status, "qosClass"), "field is immutable");
    }
    for (field, specs) in [
        ("containerStatuses", "containers"),
        ("initContainerStatuses", "initContainers"),
        ("ephemeralContainerStatuses", ""),
    ] {
        transitions(list(status, field), list(before, field), spec, specs, &path.child(field), errors);
    }
    addresses(status, "podIPs", &path, errors);
    let hosts = list(status, "hostIPs");
    if let Some(first) = hosts.first().filter(|first| text(first, "ip") != text(status, "hostIP")) {
        let path = path.child("hostIPs").index(0).child("ip");
        errors.invalid(&path, text(first, "ip"), "must be equal to `hostIP`");
    }
    addresses(status, "hostIPs", &path, errors);
}

fn conditions(status: &Value, path: &Path, errors: &mut Errors) {
    for (index, condition) in list(status, "conditions").iter().enumerate() {
        let path = path.index(index);
        if let Some(number) = int(condition, "observedGeneration").filter(|number| *number < 0) {
            errors.invalid(&path.child("observedGeneration"), number, "must be a non-negative integer");
        }
        let kind = text(condition, "type");
        if !SYSTEM.contains(&kind) {
            errors.qualified(&path.child("Type"), kind);
        }
    }
}

fn nominated(status: &Value, before: &Value, spec: &Value, path: &Path, errors: &mut Errors) {
    let name = text(status, "nominatedNodeName");
    if name.is_empty() || name == text(before, "nominatedNodeName") {
        return;
    }
    errors.subdomain(path, name);
    if !text(spec, "nodeName").is_empty() {
        errors.forbidden(path, "may not be set on pods that are already bound to a node");
    }
}

/// Whether a rule says that the end of one container restarts all.
fn all_could_restart(spec: &Value) -> bool {
    let containers = list(spec, "initContainers").iter().chain(list(spec, "containers"));
    let mut rules = containers.flat_map(|container| list(container, "restartPolicyRules"));
    rules.any(|rule| text(rule, "action") == "RestartAllContainers")
}

/// Whether a container is run again after it ended with this code (KEP-5307, KEP-753).
fn restarts(container: &Value, spec: &Value, code: i64) -> bool {
    let own = opt_text(container, "restartPolicy");
    if own.is_some() {
        let matches = |rule: &&Value| {
            let codes = at(rule, "exitCodes");
            let listed = list(codes, "values").iter().any(|value| value.as_i64() == Some(code));
            has(rule, "exitCodes") && if text(codes, "operator") == "NotIn" { !listed } else { listed }
        };
        let rule = list(container, "restartPolicyRules").iter().find(matches);
        if rule.is_some_and(|rule| matches!(text(rule, "action"), "Restart" | "RestartAllContainers")) {
            return true;
        }
    }
    match own.unwrap_or_else(|| text(spec, "restartPolicy")) {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    }
}

fn transitions(new: &[Value], old: &[Value], spec: &Value, specs: &str, path: &Path, errors: &mut Errors) {
    let ephemeral = specs.is_empty();
    if !ephemeral && all_could_restart(spec) {
        return;
    }
    for (index, before) in old.iter().enumerate() {
        let ended = at(at(before, "state"), "terminated");
        let name = text(before, "name");
        let now =
            new.iter().find(|status| text(status, "name") == name && !has(at(status, "state"), "terminated"));
        if ended.is_null() || now.is_none() {
            continue;
        }
        let code = int(ended, "exitCode").unwrap_or(0);
        let container = list(spec, specs).iter().find(|container| text(container, "name") == name);
        let allowed = !ephemeral && container.is_some_and(|container| restarts(container, spec, code));
        if !allowed {
            errors.forbidden(
                &path.index(index).child("state"),
                "may not be transitioned to non-terminated state",
            );
        }
    }
}

fn addresses(status: &Value, field: &'static str, path: &Path, errors: &mut Errors) {
    let path = path.child(field);
    let all = list(status, field);
    for (index, address) in all.iter().enumerate() {
        let ip = text(address, "ip");
        errors.problems(&path.index(index), ip, values::ip(ip));
    }
    let families: HashSet<bool> = all.iter().map(|address| text(address, "ip").contains(':')).collect();
    if all.len() > families.len() {
        errors.invalid(&path, all.to_vec(), ONE_PER_FAMILY);
    }
}
