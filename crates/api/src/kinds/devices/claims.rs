//! What a claim asks for, and what it was given.

use super::super::checks::same;
use super::super::pod::{affinity::node_selector, errors::Errors};
use super::{
    MAX_CONFIGS, TAINT_EFFECTS, binding_conditions, configuration, csi_driver, full_attribute_name,
    pool_name, raw, selectors,
};
use crate::read::{at, has, int, list, opt_text, text, texts};
use apimachinery::{Path, go, meta, validation};
use serde_json::Value;
use std::collections::HashSet;
use std::net::IpAddr;

const MAX_REQUESTS: usize = 32;
const MAX_ALTERNATIVES: usize = 8;
const MAX_CONSTRAINTS: usize = 32;
const MAX_RESULTS: usize = 32;
const MAX_CONSUMERS: usize = 256;
const MAX_CONDITIONS: usize = 8;
const MAX_ADDRESSES: usize = 16;
const MAX_INTERFACE_NAME: usize = 256;
const MAX_HARDWARE_ADDRESS: usize = 128;

pub(super) fn claim(claim: &Value, errors: &mut Errors) {
    spec(at(claim, "spec"), &Path::new("spec"), errors);
}

pub(super) fn template(template: &Value, errors: &mut Errors) {
    let (inner, path) = (at(template, "spec"), Path::new("spec"));
    let at_meta = path.child("metadata");
    if let Some(annotations) = at(inner, "metadata").get("annotations").and_then(Value::as_object) {
        errors.0.extend(validation::annotations(annotations, &at_meta.child("annotations")));
    }
    if let Some(labels) = at(inner, "metadata").get("labels").and_then(Value::as_object) {
        errors.0.extend(validation::labels(labels, &at_meta.child("labels")));
    }
    spec(at(inner, "spec"), &path.child("spec"), errors);
}

fn spec(spec: &Value, path: &Path, errors: &mut Errors) {
    let (devices, path) = (at(spec, "devices"), path.child("devices"));
    each(devices, "requests", MAX_REQUESTS, &path, errors, request);
    unique_names(devices, "requests", MAX_REQUESTS, &path, errors);
    each(devices, "constraints", MAX_CONSTRAINTS, &path, errors, |constraint, path, errors| {
        references(constraint, devices, path, errors);
        if let Some(name) = opt_text(constraint, "matchAttribute") {
            full_attribute_name(name, &path.child("matchAttribute"), errors);
        } else if let Some(name) = opt_text(constraint, "distinctAttribute") {
            full_attribute_name(name, &path.child("distinctAttribute"), errors);
        } else {
            errors.required(
                path,
                "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set",
            );
        }
    });
    each(devices, "config", MAX_CONFIGS, &path, errors, |config, path, errors| {
        references(config, devices, path, errors);
        configuration(config, path, errors);
    });
}

/// Rules of each item of a list, unless there are too many.
fn each(
    from: &Value,
    field: &'static str,
    max: usize,
    path: &Path,
    errors: &mut Errors,
    rules: impl Fn(&Value, &Path, &mut Errors),
) {
    let (items, path) = (list(from, field), path.child(field));
    if items.len() > max {
        return errors.too_many(&path, items.len(), max);
    }
    for (index, item) in items.iter().enumerate() {
        rules(item, &path.index(index), errors);
    }
}

fn unique_names(from: &Value, field: &'static str, max: usize, path: &Path, errors: &mut Errors) {
    let items = list(from, field);
    if items.len() <= max {
        errors.unique(&path.child(field), items.iter().map(|item| text(item, "name")));
    }
}

fn request(request: &Value, path: &Path, errors: &mut Errors) {
    const ONE: &str = "exactly one of `exactly` or `firstAvailable` is required";
    errors.label(&path.child("name"), text(request, "name"));
    let alternatives = !list(request, "firstAvailable").is_empty();
    match (exactly(request), alternatives) {
        (None, false) => errors.required(path, ONE),
        (Some(_), true) => errors.invalid(path, Value::Null, format!("{ONE}, but multiple fields are set")),
        (Some(exactly), false) => wanted(exactly, &path.child("exactly"), errors),
        (None, true) => {
            each(request, "firstAvailable", MAX_ALTERNATIVES, path, errors, |wish, path, errors| {
                errors.label(&path.child("name"), text(wish, "name"));
                wanted(wish, path, errors);
            });
            unique_names(request, "firstAvailable", MAX_ALTERNATIVES, path, errors);
        }
    }
}

/// What a request asks for exactly; in `v1beta1` its fields are those of the request.
fn exactly(request: &Value) -> Option<&Value> {
    crate::read::some(request, "exactly").or(has(request, "deviceClassName").then_some(request))
}

fn wanted(wanted: &Value, path: &Path, errors: &mut Errors) {
    let class = text(wanted, "deviceClassName");
    if class.is_empty() {
        errors.required(&path.child("deviceClassName"), "");
    } else {
        errors.subdomain(&path.child("deviceClassName"), class);
    }
    selectors(wanted, path, errors);
    let count = int(wanted, "count").unwrap_or(0);
    match text(wanted, "allocationMode") {
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            errors.invalid(&path.child("count"), count, detail);
        }
        "ExactCount" if count <= 0 => {
            errors.invalid(&path.child("count"), count, "must be greater than zero");
        }
        mode => errors.known(&path.child("allocationMode"), mode, &["All", "ExactCount"]),
    }
    for (index, item) in list(wanted, "tolerations").iter().enumerate() {
        toleration(item, &path.child("tolerations").index(index), errors);
    }
}

fn toleration(toleration: &Value, path: &Path, errors: &mut Errors) {
    let field = |name| text(toleration, name);
    let (key, value, effect) = (field("key"), field("value"), field("effect"));
    if !key.is_empty() {
        errors.qualified(&path.child("key"), key);
    }
    match field("operator") {
        "Exists" if !value.is_empty() => {
            errors.invalid(&path.child("value"), value, "must be empty for operator `Exists`");
        }
        "Equal" => errors.problems(&path.child("value"), value, validation::label_value(value)),
        operator => errors.one_of(&path.child("operator"), operator, &["Equal", "Exists"]),
    }
    if !effect.is_empty() {
        errors.known(&path.child("effect"), effect, &TAINT_EFFECTS);
    }
}

/// The requests something is about, each once.
fn references(from: &Value, devices: &Value, path: &Path, errors: &mut Errors) {
    let (path, names): (_, Vec<&str>) = (path.child("requests"), texts(from, "requests").collect());
    if names.len() > MAX_REQUESTS {
        return errors.too_many(&path, names.len(), MAX_REQUESTS);
    }
    for (index, name) in names.iter().enumerate() {
        reference(name, devices, &path.index(index), errors);
    }
    errors.unique(&path, names.into_iter());
}

/// A request, or one of its alternatives after a slash.
fn reference(name: &str, devices: &Value, path: &Path, errors: &mut Errors) {
    const DETAIL: &str = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 2 {
        return errors.invalid(path, name, DETAIL);
    }
    for part in &parts {
        errors.label(path, part);
    }
    let named = |items: &[Value], name: &str| items.iter().position(|item| text(item, "name") == name);
    let requests = list(devices, "requests");
    let found = parts.first().and_then(|part| requests.get(named(requests, part)?));
    let known = match (found, parts.get(1)) {
        (Some(request), Some(part)) => named(list(request, "firstAvailable"), part).is_some(),
        (found, _) => found.is_some(),
    };
    if !known {
        errors.invalid(path, name, DETAIL);
    }
}

/// Which device something is about, as it is told to users.
fn device_id(of: &Value) -> String {
    let id = ["driver", "pool", "device"].map(|field| text(of, field)).join("/");
    match opt_text(of, "shareID") {
        Some(share) => format!("{id}/{share}"),
        None => id,
    }
}

fn allocated(claim: &Value) -> HashSet<String> {
    let devices = at(at(at(claim, "status"), "allocation"), "devices");
    list(devices, "results").iter().map(device_id).collect()
}

/// What drivers told of devices goes with the devices.
pub(super) fn forget_devices(new: &mut Value, old: &Value) {
    let (kept, mut gone) = (allocated(new), allocated(old));
    gone.retain(|id| !kept.contains(id));
    let Some(status) = new.get_mut("status").and_then(Value::as_object_mut) else { return };
    let Some(devices) = status.get_mut("devices").and_then(Value::as_array_mut) else { return };
    devices.retain(|device| !gone.contains(&device_id(device)));
    if devices.is_empty() {
        status.remove("devices");
    }
}

pub(super) fn status(new: &Value, old: &Value, errors: &mut Errors) {
    let (status, before, path) = (at(new, "status"), at(old, "status"), Path::new("status"));
    let asked = at(at(new, "spec"), "devices");
    consumers(status, &path, errors);
    told(status, &allocated(new), &path, errors);
    let (given, given_before) = (at(status, "allocation"), at(before, "allocation"));
    let at_reserved = path.child("reservedFor");
    if !list(status, "reservedFor").is_empty() {
        let old = list(before, "reservedFor");
        if given.is_null() {
            errors.forbidden(&at_reserved, "may not be specified when `allocated` is not set");
        } else if meta::is_deleting(new) && list(status, "reservedFor").iter().any(|one| !old.contains(one)) {
            let detail =
                "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.forbidden(&at_reserved, detail);
        }
    }
    if !given.is_null() && !given_before.is_null() {
        if !same(given, given_before) {
            errors.immutable(&path.child("allocation"), given, given_before);
        }
    } else if !given.is_null() {
        allocation(given, asked, &path.child("allocation"), errors);
    }
}

fn consumers(status: &Value, path: &Path, errors: &mut Errors) {
    each(status, "reservedFor", MAX_CONSUMERS, path, errors, |consumer, path, errors| {
        errors.needs(path, consumer, &["resource", "name", "uid"]);
    });
    let consumers = list(status, "reservedFor");
    if consumers.len() <= MAX_CONSUMERS {
        errors.unique(&path.child("reservedFor"), consumers.iter().map(|one| text(one, "uid")));
    }
}

fn allocation(given: &Value, asked: &Value, path: &Path, errors: &mut Errors) {
    let (devices, at_devices) = (at(given, "devices"), path.child("devices"));
    each(devices, "results", MAX_RESULTS, &at_devices, errors, |result, path, errors| {
        reference(text(result, "request"), asked, &path.child("request"), errors);
        device(result, path, errors);
        binding_conditions(result, path, errors);
        share(result, path, errors);
    });
    each(devices, "config", 2 * MAX_CONFIGS, &at_devices, errors, |config, path, errors| {
        errors.one_of(&path.child("source"), text(config, "source"), &["FromClaim", "FromClass"]);
        references(config, asked, path, errors);
        configuration(config, path, errors);
    });
    if has(given, "nodeSelector") {
        node_selector(at(given, "nodeSelector"), &path.child("nodeSelector"), errors);
    }
}

fn device(of: &Value, path: &Path, errors: &mut Errors) {
    csi_driver(text(of, "driver"), &path.child("driver"), errors);
    pool_name(text(of, "pool"), &path.child("pool"), errors);
    errors.label(&path.child("device"), text(of, "device"));
}

fn share(of: &Value, path: &Path, errors: &mut Errors) {
    let Some(id) = opt_text(of, "shareID") else { return };
    let path = path.child("shareID");
    let dashes = [8, 13, 18, 23];
    let fits = |(index, c): (usize, u8)| {
        if dashes.contains(&index) { c == b'-' } else { c.is_ascii_digit() || (b'a'..=b'f').contains(&c) }
    };
    if id.len() != 36 {
        errors.invalid(&path, id, format!("error validating uid: invalid UUID length: {}", id.len()));
    } else if !id.to_lowercase().bytes().enumerate().all(fits) {
        errors.invalid(&path, id, "error validating uid: invalid UUID format");
    } else if !id.bytes().enumerate().all(fits) {
        let detail = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
        errors.invalid(&path, id, detail);
    }
}

/// What drivers tell of the devices of a claim.
fn told(status: &Value, allocated: &HashSet<String>, path: &Path, errors: &mut Errors) {
    let (path, devices) = (path.child("devices"), list(status, "devices"));
    for (index, told) in devices.iter().enumerate() {
        let path = path.index(index);
        device(told, &path, errors);
        share(told, &path, errors);
        let id = device_id(told);
        if !allocated.contains(&id) {
            errors.invalid_hidden(&path, format!("{id}: must be an allocated device in the claim"));
        }
        let (conditions, at_conditions) = (list(told, "conditions"), path.child("conditions"));
        errors.too_many(&at_conditions, conditions.len(), MAX_CONDITIONS);
        errors.conditions(&at_conditions, conditions);
        if has(told, "data") {
            raw(at(told, "data"), &path.child("data"), errors);
        }
        network(at(told, "networkData"), &path.child("networkData"), errors);
    }
    let mut seen = HashSet::new();
    for (index, told) in devices.iter().enumerate() {
        let id = device_id(told);
        if !seen.insert(id.clone()) {
            errors.duplicate(&path.index(index), id);
        }
    }
}

fn network(data: &Value, path: &Path, errors: &mut Errors) {
    errors.max_bytes(&path.child("interfaceName"), text(data, "interfaceName"), MAX_INTERFACE_NAME);
    errors.max_bytes(&path.child("hardwareAddress"), text(data, "hardwareAddress"), MAX_HARDWARE_ADDRESS);
    let (path, addresses): (_, Vec<&str>) = (path.child("ips"), texts(data, "ips").collect());
    if addresses.len() > MAX_ADDRESSES {
        return errors.too_many(&path, addresses.len(), MAX_ADDRESSES);
    }
    for (index, address) in addresses.iter().enumerate() {
        interface_address(address, &path.index(index), errors);
    }
    errors.unique(&path, addresses.into_iter());
}

/// An address with the length of its network's prefix.
fn interface_address(value: &str, path: &Path, errors: &mut Errors) {
    let parsed = value.split_once('/').and_then(|(ip, bits)| {
        let (ip, bits) = (ip.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
        (bits <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, bits))
    });
    let Some((ip, bits)) = parsed else {
        let detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
        return errors.invalid(path, value, detail);
    };
    let bits = if ip.is_ipv6() && ip.to_canonical().is_ipv4() { bits.saturating_sub(96) } else { bits };
    let canonical = format!("{}/{bits}", ip.to_canonical());
    if canonical != value {
        errors.invalid(path, value, format!("must be in canonical form ({})", go::quote(&canonical)));
    }
}
