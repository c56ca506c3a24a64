//! What drivers tell of the devices of a pool.

use super::super::pod::{affinity::node_selector, errors::Errors, values};
use super::amounts::request_policy;
use super::{attribute_name, binding_conditions, csi_driver, pool_name, taint};
use crate::read::{at, has, int, list, map, opt_flag, opt_text, quantity, some, text};
use apimachinery::{Path, Time, go};
use serde_json::{Value, json};

const MAX_DEVICES: usize = 128;
/// With taints or counters, which take more room.
const MAX_ADVANCED_DEVICES: usize = 64;
const MAX_COUNTER_SETS: usize = 8;
const MAX_COUNTERS: usize = 32;
const MAX_CONSUMPTIONS: usize = 2;
const MAX_ATTRIBUTES: usize = 32;
const MAX_ATTRIBUTE_VALUES: usize = 48;
const MAX_VALUE: usize = 64;
const MAX_TAINTS: usize = 16;
const LISTS: [&str; 4] = ["bools", "ints", "strings", "versions"];

/// In `v1beta1` what there is to say of a device stands in `basic`.
fn inner(device: &Value) -> &Value {
    some(device, "basic").unwrap_or(device)
}

fn devices_mut(slice: &mut Value) -> impl Iterator<Item = &mut Value> {
    let devices = slice.pointer_mut("/spec/devices").and_then(Value::as_array_mut);
    devices.into_iter().flatten().map(
        |device| {
            if has(device, "basic") { &mut device["basic"] } else { device }
        },
    )
}

fn devices(slice: &Value) -> impl Iterator<Item = &Value> {
    list(at(slice, "spec"), "devices").iter().map(inner)
}

fn has_lists(device: &Value) -> bool {
    map(device, "attributes").any(|(_, attribute)| LISTS.iter().any(|field| has(attribute, field)))
}

/// Lists as values and mappings to the node's own resources are alpha features: only who has them keeps them.
pub(super) fn drop_disabled(new: &mut Value, old: &Value) {
    let keeps_lists = devices(old).any(has_lists);
    let keeps_mappings = devices(old).any(|device| has(device, "nodeAllocatableResourceMappings"));
    for device in devices_mut(new) {
        let Some(device) = device.as_object_mut() else { continue };
        if !keeps_mappings {
            device.remove("nodeAllocatableResourceMappings");
        }
        if !keeps_lists && let Some(attributes) = device.get_mut("attributes").and_then(Value::as_object_mut)
        {
            for attribute in attributes.values_mut().filter_map(Value::as_object_mut) {
                LISTS.iter().for_each(|field| drop(attribute.remove(*field)));
            }
        }
    }
}

/// A taint without a time is of now.
pub(super) fn stamp(_: &str, new: &mut Value, _: Option<&Value>, now: Time) {
    for device in devices_mut(new) {
        let taints = device.get_mut("taints").and_then(Value::as_array_mut);
        for taint in taints.into_iter().flatten().filter(|taint| !has(taint, "timeAdded")) {
            taint["timeAdded"] = now.to_string().into();
        }
    }
}

pub(super) fn warnings(new: &Value, _: Option<&Value>) -> Vec<String> {
    let driver = text(at(new, "spec"), "driver");
    if driver.to_lowercase() == driver {
        return Vec::new();
    }
    let driver = go::quote(driver);
    vec![format!("spec.driver: driver names should be lowercase; {driver} contains uppercase characters")]
}

pub(super) fn slice(new: &Value, old: &Value, errors: &mut Errors) {
    let (spec, before, path) = (at(new, "spec"), at(old, "spec"), Path::new("spec"));
    csi_driver(text(spec, "driver"), &path.child("driver"), errors);
    let (pool, at_pool) = (at(spec, "pool"), path.child("pool"));
    pool_name(text(pool, "name"), &at_pool.child("name"), errors);
    let count = |field| int(pool, field).unwrap_or(0);
    if count("resourceSliceCount") <= 0 {
        let detail = "must be greater than zero";
        errors.invalid(&at_pool.child("resourceSliceCount"), count("resourceSliceCount"), detail);
    }
    if count("generation") < 0 {
        errors.invalid(
            &at_pool.child("generation"),
            count("generation"),
            "must be greater than or equal to zero",
        );
    }
    if !old.is_null() {
        errors.immutable_fields(&at_pool, pool, at(before, "pool"), &["name"]);
        errors.immutable_fields(&path, spec, before, &["driver", "nodeName"]);
    }
    place(spec, &path, errors);
    let (devices, at_devices) = (list(spec, "devices"), path.child("devices"));
    if has(spec, "sharedCounters") && has(spec, "devices") {
        errors.invalid(&path, "", "only one of `sharedCounters` or `devices` is allowed");
    }
    let advanced = |device: &Value| {
        let there = |field| !list(device, field).is_empty();
        there("taints") || there("consumesCounters") || has_lists(device)
    };
    let max = if devices.iter().map(inner).any(advanced) { MAX_ADVANCED_DEVICES } else { MAX_DEVICES };
    if devices.len() > max {
        errors.too_many(&at_devices, devices.len(), max);
    } else {
        let per_device = opt_flag(spec, "perDeviceNodeSelection") == Some(true);
        for (index, one) in devices.iter().enumerate() {
            let same_name = |old: &&Value| text(old, "name") == text(one, "name");
            let old = list(before, "devices").iter().find(same_name).map_or(&Value::Null, inner);
            errors.label(&at_devices.index(index).child("name"), text(one, "name"));
            device(inner(one), old, per_device, &at_devices.index(index), errors);
        }
        errors.unique(&at_devices, devices.iter().map(|device| text(device, "name")));
    }
    counter_sets(spec, &path, errors);
}

fn node_name(name: &str, path: &Path, errors: &mut Errors) {
    errors.subdomain(path, name);
}

/// From which nodes the devices are used: one of four ways to say it.
fn place(spec: &Value, path: &Path, errors: &mut Errors) {
    const ONE: &str =
        "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    let mut set = Vec::new();
    match opt_text(spec, "nodeName") {
        Some("") => {
            let detail = "must be either unset or set to a non-empty string";
            errors.invalid(&path.child("nodeName"), "", detail);
        }
        Some(name) => {
            set.push("`nodeName`");
            node_name(name, &path.child("nodeName"), errors);
        }
        None => {}
    }
    if let Some(selector) = some(spec, "nodeSelector") {
        set.push("`nodeSelector`");
        let path = path.child("nodeSelector");
        node_selector(selector, &path, errors);
        if list(selector, "nodeSelectorTerms").len() != 1 {
            let terms = at(selector, "nodeSelectorTerms").clone();
            let detail = "must have exactly one node selector term";
            errors.invalid(&path.child("nodeSelectorTerms"), terms, detail);
        }
    }
    for (field, name) in [("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")]
    {
        set.extend(only_true(spec, field, path, errors).then_some(name));
    }
    match set.as_slice() {
        [] => errors.required(path, ONE),
        [_] => {}
        set => errors.invalid(
            path,
            format!("{{{}}}", set.join(", ")),
            format!("{ONE}, but multiple fields are set"),
        ),
    }
}

/// A flag that is true or absent.
fn only_true(from: &Value, field: &'static str, path: &Path, errors: &mut Errors) -> bool {
    let flag = opt_flag(from, field);
    if flag == Some(false) {
        errors.invalid(&path.child(field), false, "must be either unset or set to true");
    }
    flag == Some(true)
}

fn device(device: &Value, old: &Value, per_device: bool, path: &Path, errors: &mut Errors) {
    let (attributes, capacity) = (map(device, "attributes"), map(device, "capacity"));
    let count = attributes.count() + capacity.count();
    if count > MAX_ATTRIBUTES {
        let detail =
            format!("the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES}");
        errors.invalid(path, count, detail);
    }
    let values =
        |attribute: &Value| LISTS.iter().map(|field| list(attribute, field).len()).sum::<usize>().max(1);
    let count: usize = map(device, "attributes").map(|(_, attribute)| values(attribute)).sum();
    if count > MAX_ATTRIBUTE_VALUES {
        let detail = format!("the total number of attribute values must not exceed {MAX_ATTRIBUTE_VALUES}");
        errors.invalid(path, count, detail);
    }
    let at_attributes = path.child("attributes");
    for (name, value) in map(device, "attributes") {
        attribute_name(name, &at_attributes, errors);
        attribute(value, &at_attributes.key(name.as_str()), errors);
    }
    let (at_capacity, several) =
        (path.child("capacity"), opt_flag(device, "allowMultipleAllocations") == Some(true));
    for (name, value) in map(device, "capacity") {
        attribute_name(name, &at_capacity, errors);
        let path = at_capacity.key(name.as_str()).child("requestPolicy");
        match some(value, "requestPolicy") {
            Some(policy) if several => request_policy(at(value, "value"), policy, &path, errors),
            Some(_) => errors.forbidden(&path, "allowMultipleAllocations must be true"),
            None => {}
        }
    }
    taints(device, old, path, errors);
    consumptions(device, path, errors);
    place_of_device(device, per_device, path, errors);
    binding_conditions(device, path, errors);
    mappings(device, &path.child("nodeAllocatableResourceMappings"), errors);
}

fn taints(device: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let (path, taints) = (path.child("taints"), list(device, "taints"));
    if !old.is_null() && list(old, "taints") == taints {
        return;
    }
    if taints.len() > MAX_TAINTS {
        return errors.too_many(&path, taints.len(), MAX_TAINTS);
    }
    for (index, one) in taints.iter().enumerate() {
        taint(one, &Value::Null, &path.index(index), errors);
    }
}

fn place_of_device(device: &Value, per_device: bool, path: &Path, errors: &mut Errors) {
    if !per_device {
        if ["nodeName", "nodeSelector", "allNodes"].iter().any(|field| has(device, field)) {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
            errors.invalid(path, Value::Null, detail);
        }
        return;
    }
    const ONE: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    let mut set = Vec::new();
    match opt_text(device, "nodeName") {
        Some("") => errors.invalid(&path.child("nodeName"), "", "must not be empty"),
        Some(name) => {
            set.push("`nodeName`");
            node_name(name, &path.child("nodeName"), errors);
        }
        None => {}
    }
    if let Some(selector) = some(device, "nodeSelector") {
        set.push("`nodeSelector`");
        node_selector(selector, &path.child("nodeSelector"), errors);
    }
    set.extend(only_true(device, "allNodes", path, errors).then_some("`allNodes`"));
    match set.as_slice() {
        [] => errors.required(path, ONE),
        [_] => {}
        set => errors.invalid(path, format!("{{{}}}", set.join(", ")), ONE),
    }
}

fn attribute(attribute: &Value, path: &Path, errors: &mut Errors) {
    const ONE: &str = "exactly one value must be specified";
    if let Some(text) = opt_text(attribute, "string") {
        errors.max_bytes(&path.child("string"), text, MAX_VALUE);
    }
    if let Some(text) = opt_text(attribute, "version") {
        version(text, &path.child("version"), errors);
    }
    for field in LISTS {
        let Some(items) = some(attribute, field).and_then(Value::as_array) else { continue };
        let path = path.child(field);
        if items.is_empty() {
            errors.invalid(&path, json!([]), "must not be empty if specified");
        }
        for (index, item) in items.iter().enumerate() {
            let item = item.as_str().unwrap_or_default();
            match field {
                "strings" => errors.max_bytes(&path.index(index), item, MAX_VALUE),
                "versions" => version(item, &path.index(index), errors),
                _ => {}
            }
        }
    }
    let fields = ["bool", "int", "string", "version"].into_iter().chain(LISTS);
    match fields.filter(|field| has(attribute, field)).count() {
        0 => errors.invalid(path, "", ONE),
        1 => {}
        _ => errors.invalid(path, attribute.clone(), ONE),
    }
}

fn version(version: &str, path: &Path, errors: &mut Errors) {
    if !is_semantic(version) {
        errors.invalid(path, version, "must be a string compatible with semver.org spec 2.0.0");
    }
    errors.max_bytes(path, version, MAX_VALUE);
}

fn is_semantic(version: &str) -> bool {
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|c| c.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let word = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let (version, build) = version.split_once('+').map_or((version, None), |(v, build)| (v, Some(build)));
    let (version, early) = version.split_once('-').map_or((version, None), |(v, early)| (v, Some(early)));
    let ahead = |part: &str| word(part) && (number(part) || !part.bytes().all(|c| c.is_ascii_digit()));
    version.split('.').count() == 3
        && version.split('.').all(number)
        && early.is_none_or(|early| early.split('.').all(ahead))
        && build.is_none_or(|build| build.split('.').all(word))
}

fn counter_sets(spec: &Value, path: &Path, errors: &mut Errors) {
    named_counters(spec, "sharedCounters", "name", MAX_COUNTER_SETS, path, errors);
}

fn consumptions(device: &Value, path: &Path, errors: &mut Errors) {
    named_counters(device, "consumesCounters", "counterSet", MAX_CONSUMPTIONS, path, errors);
}

/// Counters in sets, each set once.
fn named_counters(
    from: &Value,
    field: &'static str,
    name: &'static str,
    max: usize,
    path: &Path,
    errors: &mut Errors,
) {
    let (sets, path) = (list(from, field), path.child(field));
    if sets.len() > max {
        return errors.too_many(&path, sets.len(), max);
    }
    for (index, set) in sets.iter().enumerate() {
        let path = path.index(index);
        if errors.need(&path, set, name) {
            errors.label(&path.child(name), text(set, name));
        }
        let (count, at_counters) = (map(set, "counters").count(), path.child("counters"));
        if count == 0 {
            errors.required(&at_counters, "");
        } else if count > MAX_COUNTERS {
            errors.too_many(&at_counters, count, MAX_COUNTERS);
        } else {
            for (counter, _) in map(set, "counters") {
                errors.label(&at_counters, counter);
            }
        }
    }
    errors.unique(&path, sets.iter().map(|set| text(set, name)));
}

fn mappings(device: &Value, path: &Path, errors: &mut Errors) {
    for (name, mapping) in map(device, "nodeAllocatableResourceMappings") {
        let path = path.key(name.as_str());
        if !values::is_native(name) {
            errors.invalid(&path, name.as_str(), "must be a node allocatable resource name");
        }
        let (times, key) = (at(mapping, "allocationMultiplier"), opt_text(mapping, "capacityKey"));
        if let Some(times) = quantity(times).filter(|times| times.signum() <= 0) {
            let detail = "must be positive";
            errors.invalid(&path.child("allocationMultiplier"), times.to_string(), detail);
        }
        let path = path.child("capacityKey");
        match key {
            Some("") => errors.invalid(&path, "", "capacityKey must not be an empty string"),
            Some(key) if !has(at(device, "capacity"), key) => errors.not_found(&path, key),
            _ => {}
        }
    }
}
