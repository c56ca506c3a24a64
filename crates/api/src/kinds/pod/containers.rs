//! Containers of all three kinds: what they share, and what each kind may and may not have.

use super::errors::Errors;
use super::{Context, amounts, env, handlers, security};
use crate::read::{at, flag, has, int, is_empty, list, opt_text, text};
use crate::resources::is_sidecar;
use apimachinery::{FieldError, Path, validation};
use serde_json::Value;
use std::collections::HashSet;

pub(super) const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;

pub(super) fn apps(spec: &Value, context: &Context<'_>, path: &Path, errors: &mut Errors) {
    let path = path.child("containers");
    let all = list(spec, "containers");
    if all.is_empty() {
        errors.required(&path, "");
        return;
    }
    let mut names = HashSet::new();
    for (index, container) in all.iter().enumerate() {
        let path = path.index(index);
        common(container, context, &path, errors);
        if !names.insert(text(container, "name")) {
            errors.duplicate(&path.child("name"), text(container, "name"));
        }
        handlers::lifecycle(container, context.os, context.grace, &path, errors);
        handlers::probes(container, context.grace, &path, errors);
        restart_rules(container, &path, errors);
    }
    host_ports(all, &path, errors);
}

pub(super) fn inits(spec: &Value, context: &Context<'_>, path: &Path, errors: &mut Errors) {
    let path = path.child("initContainers");
    let mut names: HashSet<&str> = list(spec, "containers").iter().map(|c| text(c, "name")).collect();
    for (index, container) in list(spec, "initContainers").iter().enumerate() {
        let each = path.index(index);
        common(container, context, &each, errors);
        restart_rules(container, &each, errors);
        let name = text(container, "name");
        if names.contains(name) {
            errors.duplicate(&each.child("name"), name);
        } else if !name.is_empty() {
            names.insert(name);
        }
        host_ports(std::slice::from_ref(container), &path, errors);
        if is_sidecar(container) {
            handlers::lifecycle(container, context.os, context.grace, &each, errors);
            handlers::probes(container, context.grace, &each, errors);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if has(container, field) {
                let detail = "may not be set for init containers without restartPolicy=Always";
                errors.forbidden(&each.child(field), detail);
            }
        }
        for (index, policy) in list(container, "resizePolicy").iter().enumerate() {
            if text(policy, "restartPolicy") == "RestartContainer" {
                let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
                let path = each.child("resizePolicy").index(index).child("restartPolicy");
                errors.invalid(&path, "RestartContainer", detail);
            }
        }
    }
}

pub(super) fn ephemerals(spec: &Value, context: &Context<'_>, path: &Path, errors: &mut Errors) {
    const FORBIDDEN: [&str; 9] = [
        "ports",
        "resources",
        "resizePolicy",
        "restartPolicy",
        "restartPolicyRules",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
    ];
    const TEXT: &str = "cannot be set for an Ephemeral Container";
    let path = path.child("ephemeralContainers");
    let others: HashSet<&str> = list(spec, "containers")
        .iter()
        .chain(list(spec, "initContainers"))
        .map(|c| text(c, "name"))
        .collect();
    let mut names = others.clone();
    for (index, container) in list(spec, "ephemeralContainers").iter().enumerate() {
        let path = path.index(index);
        common(container, context, &path, errors);
        image_spaces(container, &path, errors);
        if !names.insert(text(container, "name")) {
            errors.duplicate(&path.child("name"), text(container, "name"));
        }
        let target = text(container, "targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            errors.not_found(&path.child("targetContainerName"), target);
        }
        for field in FORBIDDEN.into_iter().filter(|field| !is_empty(at(container, field))) {
            errors.forbidden(&path.child(field), TEXT);
        }
        for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if !text(mount, field).is_empty() {
                    errors.forbidden(&path.child("volumeMounts").index(index).child(field), TEXT);
                }
            }
        }
    }
}

/// Checked in Pods only: templates of old may have such images.
pub(super) fn image_spaces(container: &Value, path: &Path, errors: &mut Errors) {
    let image = text(container, "image");
    if image.trim() != image {
        errors.invalid(&path.child("image"), image, "must not have leading or trailing whitespace");
    }
}

fn common(container: &Value, context: &Context<'_>, path: &Path, errors: &mut Errors) {
    if errors.need(path, container, "name") {
        errors.label(&path.child("name"), text(container, "name"));
    }
    errors.need(path, container, "image");
    let policy = text(container, "terminationMessagePolicy");
    errors.one_of(&path.child("terminationMessagePolicy"), policy, &["File", "FallbackToLogsOnError"]);
    ports(container, &path.child("ports"), errors);
    env::variables(container, &path.child("env"), errors);
    env::from_sources(container, &path.child("envFrom"), errors);
    mounts(container, context, &path.child("volumeMounts"), errors);
    devices(container, context, &path.child("volumeDevices"), errors);
    errors.one_of(&path.child("imagePullPolicy"), text(container, "imagePullPolicy"), &PULL_POLICIES);
    amounts::container(at(container, "resources"), &context.claims, &path.child("resources"), errors);
    resize_policy(container, context, &path.child("resizePolicy"), errors);
    security::container(container, context.host_users, path, errors);
}

fn ports(container: &Value, path: &Path, errors: &mut Errors) {
    let mut names = HashSet::new();
    for (index, port) in list(container, "ports").iter().enumerate() {
        let path = path.index(index);
        let name = text(port, "name");
        if !name.is_empty() {
            let problems = validation::port_name(name);
            if !problems.is_empty() {
                errors.problems(&path.child("name"), name, problems);
            } else if !names.insert(name) {
                errors.duplicate(&path.child("name"), name);
            }
        }
        match int(port, "containerPort").unwrap_or(0) {
            0 => errors.required(&path.child("containerPort"), ""),
            number => errors.problems(&path.child("containerPort"), number, validation::port_number(number)),
        }
        if let Some(number) = int(port, "hostPort").filter(|number| *number != 0) {
            errors.problems(&path.child("hostPort"), number, validation::port_number(number));
        }
        errors.one_of(&path.child("protocol"), text(port, "protocol"), &PROTOCOLS);
    }
}

fn host_ports(containers: &[Value], path: &Path, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for (index, container) in containers.iter().enumerate() {
        for (port_index, port) in list(container, "ports").iter().enumerate() {
            let number = int(port, "hostPort").unwrap_or(0);
            let key = format!("{}/{}/{number}", text(port, "protocol"), text(port, "hostIP"));
            if number != 0 && !seen.insert(key.clone()) {
                errors.duplicate(&path.index(index).child("ports").index(port_index).child("hostPort"), key);
            }
        }
    }
}

fn mounts(container: &Value, context: &Context<'_>, path: &Path, errors: &mut Errors) {
    let devices = list(container, "volumeDevices");
    let mut places = HashSet::new();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let each = path.index(index);
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        errors.need(&each, mount, "name");
        if !context.volumes.contains_key(name) {
            errors.not_found(&each.child("name"), name);
        }
        errors.need(&each, mount, "mountPath");
        if !places.insert(place) {
            errors.invalid(&each.child("mountPath"), place, "must be unique");
        }
        if devices.iter().any(|device| text(device, "name") == name) {
            errors.invalid(&each.child("name"), name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| text(device, "devicePath") == place) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.invalid(&each.child("mountPath"), place, detail);
        }
        let (sub, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
        if !sub.is_empty() {
            errors.descending(&path.child("subPath"), sub);
        }
        if !expression.is_empty() {
            if !sub.is_empty() {
                let detail = "subPathExpr and subPath are mutually exclusive";
                errors.invalid(&each.child("subPathExpr"), expression, detail);
            }
            errors.descending(&path.child("subPathExpr"), expression);
        }
        propagation(mount, container, path, errors);
    }
}

fn propagation(mount: &Value, container: &Value, path: &Path, errors: &mut Errors) {
    let mode = opt_text(mount, "mountPropagation");
    let at_mode = path.child("mountPropagation");
    if let Some(mode) = mode {
        errors.known(&at_mode, mode, &["Bidirectional", "HostToContainer", "None"]);
        if mode == "Bidirectional" && !flag(at(container, "securityContext"), "privileged") {
            let detail = "Bidirectional mount propagation is available only to privileged containers";
            errors.forbidden(&at_mode, detail);
        }
    }
    let path = path.child("recursiveReadOnly");
    match opt_text(mount, "recursiveReadOnly") {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !flag(mount, "readOnly") {
                errors.forbidden(&path, "may only be specified when readOnly is true");
            }
            if mode.is_some_and(|mode| mode != "None") {
                errors
                    .forbidden(&path, "may only be specified when mountPropagation is None or not specified");
            }
        }
        Some(other) => errors.not_supported(&path, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn devices(container: &Value, context: &Context<'_>, path: &Path, errors: &mut Errors) {
    let mounts = list(container, "volumeMounts");
    let (mut places, mut names) = (HashSet::new(), HashSet::new());
    for (index, device) in list(container, "volumeDevices").iter().enumerate() {
        let path = path.index(index);
        let (name, place) = (text(device, "name"), text(device, "devicePath"));
        errors.need(&path, device, "name");
        if names.contains(name) {
            errors.invalid(&path.child("name"), name, "must be unique");
        }
        match context.volumes.get(name) {
            None => errors.not_found(&path.child("name"), name),
            Some(volume) if !has(volume, "persistentVolumeClaim") && !has(volume, "ephemeral") => {
                let detail =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&path.child("name"), name, detail);
            }
            Some(_) => {}
        }
        errors.need(&path, device, "devicePath");
        if places.contains(place) {
            errors.invalid(&path.child("devicePath"), place, "must be unique");
        }
        if place.split('/').any(|part| part == "..") {
            errors.invalid(&path.child("devicePath"), place, "can not contain backsteps ('..')");
        } else {
            places.insert(place);
        }
        if mounts.iter().any(|mount| text(mount, "name") == name) {
            errors.invalid(&path.child("name"), name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| text(mount, "mountPath") == place) {
            let detail = "must not already exist as a path in volumeMounts";
            errors.invalid(&path.child("devicePath"), place, detail);
        }
        if !name.is_empty() {
            names.insert(name);
        }
    }
}

fn resize_policy(container: &Value, context: &Context<'_>, path: &Path, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for (index, policy) in list(container, "resizePolicy").iter().enumerate() {
        let (resource, restart) = (text(policy, "resourceName"), text(policy, "restartPolicy"));
        if !seen.insert(resource) {
            errors.duplicate(&path.index(index), resource);
        }
        errors.one_of(path, resource, &["cpu", "memory"]);
        errors.one_of(path, restart, &["NotRequired", "RestartContainer"]);
        if context.restart_policy == "Never" && restart != "NotRequired" {
            errors.invalid(path, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
        }
    }
}

/// A container's own restart policy and its rules (KEP-5307).
fn restart_rules(container: &Value, path: &Path, errors: &mut Errors) {
    let rules = list(container, "restartPolicyRules");
    let at_policy = path.child("restartPolicy");
    match opt_text(container, "restartPolicy") {
        None if rules.is_empty() => return,
        None => errors.required(&at_policy, "must specify restartPolicy when restart rules are used"),
        Some(policy) => errors.known(&at_policy, policy, &["Always", "Never", "OnFailure"]),
    }
    let at_rules = path.child("restartPolicyRules");
    if rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(&at_rules, rules.len(), MAX_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = at_rules.index(index);
        errors.known(&path.child("action"), text(rule, "action"), &["Restart", "RestartAllContainers"]);
        let (codes, path) = (at(rule, "exitCodes"), path.child("exitCodes"));
        if codes.is_null() {
            errors.required(&path, "must be specified");
            continue;
        }
        errors.known(&path.child("operator"), text(codes, "operator"), &["In", "NotIn"]);
        let count = list(codes, "values").len();
        if count > MAX_EXIT_CODES {
            errors.push(FieldError::too_many(&path.child("values"), count, MAX_EXIT_CODES));
        }
    }
}
