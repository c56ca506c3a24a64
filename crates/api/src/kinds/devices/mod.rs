//! Devices that Pods claim: classes, claims and the slices in which drivers tell of devices. The versions
//! differ in where a field stands; `v1beta1` wraps a device in `basic` and has no `exactly` around a request.

mod amounts;
mod claims;
mod slices;

use super::checks::same;
use super::persistent_volume::csi_driver;
use super::plain::{Kind, Plain};
use super::pod::{errors::Errors, values};
use crate::read::{at, has, list, opt_text, text};
use apimachinery::{FieldError, Path, Time, validation};
use serde_json::Value;

const GROUP: &str = "resource.k8s.io";
const MAX_SELECTORS: usize = 32;
const MAX_CONFIGS: usize = 32;
const MAX_BYTES: usize = 10 * 1024;
const MAX_ID: usize = 32;
const MAX_POOL_NAME: usize = 253;
const MAX_BINDING_CONDITIONS: usize = 4;
const MAX_RULE_CONDITIONS: usize = 8;
const TAINT_EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

pub(super) static KINDS: &[Kind] = &[
    (GROUP, "deviceclasses", Plain::of().generation().returns_deleted().rules(class)),
    (
        GROUP,
        "resourceclaims",
        Plain::of()
            .status()
            .returns_deleted()
            .rules(claims::claim)
            .update(|new, old, errors| errors.immutable_fields(&Path::root(), new, old, &["spec"]))
            .status_changed(claims::forget_devices)
            .status_rules(claims::status),
    ),
    (
        GROUP,
        "resourceclaimtemplates",
        Plain::of().returns_deleted().rules(claims::template).update(|new, old, errors| {
            claims::template(new, errors);
            errors.immutable_fields(&Path::root(), new, old, &["spec"]);
        }),
    ),
    (
        GROUP,
        "resourceslices",
        Plain::of()
            .generation()
            .returns_deleted()
            .labels(&["spec.nodeName", "spec.driver"])
            .rules(|slice, errors| slices::slice(slice, &Value::Null, errors))
            .update(slices::slice)
            .created(|slice| slices::drop_disabled(slice, &Value::Null))
            .changed(slices::drop_disabled)
            .stamp(slices::stamp)
            .warn(slices::warnings),
    ),
    (
        GROUP,
        "devicetaintrules",
        Plain::of()
            .status()
            .generation()
            .returns_deleted()
            .rules(|rule, errors| taint_rule(rule, &Value::Null, errors))
            .update(taint_rule)
            .stamp(stamp_rule)
            .status_rules(|new, _, errors| {
                let path = Path::new("status").child("conditions");
                let conditions = list(at(new, "status"), "conditions");
                errors.conditions(&path, conditions);
                errors.too_many(&path, conditions.len(), MAX_RULE_CONDITIONS);
            }),
    ),
];

fn class(class: &Value, errors: &mut Errors) {
    let (spec, path) = (at(class, "spec"), Path::new("spec"));
    selectors(spec, &path, errors);
    let at_config = path.child("config");
    let configs = list(spec, "config");
    if configs.len() > MAX_CONFIGS {
        return errors.too_many(&at_config, configs.len(), MAX_CONFIGS);
    }
    for (index, config) in configs.iter().enumerate() {
        configuration(config, &at_config.index(index), errors);
    }
    if let Some(name) = opt_text(spec, "extendedResourceName").filter(|name| !values::is_extended(name)) {
        errors.invalid(&path.child("extendedResourceName"), name, "must be a valid extended resource name");
    }
}

/// The expressions themselves are checked by who has a compiler.
fn selectors(from: &Value, path: &Path, errors: &mut Errors) {
    let (path, selectors) = (path.child("selectors"), list(from, "selectors"));
    if selectors.len() > MAX_SELECTORS {
        return errors.too_many(&path, selectors.len(), MAX_SELECTORS);
    }
    for (index, selector) in selectors.iter().enumerate() {
        let path = path.index(index).child("cel");
        if has(selector, "cel") {
            errors.max_bytes(&path.child("expression"), text(at(selector, "cel"), "expression"), MAX_BYTES);
        } else {
            errors.required(&path, "");
        }
    }
}

fn configuration(config: &Value, path: &Path, errors: &mut Errors) {
    let path = path.child("opaque");
    if !has(config, "opaque") {
        return errors.required(&path, "");
    }
    let opaque = at(config, "opaque");
    csi_driver(text(opaque, "driver"), &path.child("driver"), errors);
    raw(at(opaque, "parameters"), &path.child("parameters"), errors);
}

/// A driver's own data: any object that is not too large.
fn raw(data: &Value, path: &Path, errors: &mut Errors) {
    match data {
        Value::Null => errors.required(path, ""),
        data if data.to_string().len() > MAX_BYTES => errors.push(FieldError::too_long(path, MAX_BYTES)),
        Value::Object(_) => {}
        _ => errors.invalid(path, "<value omitted>", "must be a valid JSON object"),
    }
}

fn taint_rule(new: &Value, old: &Value, errors: &mut Errors) {
    let (spec, path) = (at(new, "spec"), Path::new("spec"));
    let (selector, at_selector) = (at(spec, "deviceSelector"), path.child("deviceSelector"));
    if let Some(driver) = opt_text(selector, "driver") {
        csi_driver(driver, &at_selector.child("driver"), errors);
    }
    if let Some(pool) = opt_text(selector, "pool") {
        pool_name(pool, &at_selector.child("pool"), errors);
    }
    if let Some(device) = opt_text(selector, "device") {
        errors.label(&at_selector.child("device"), device);
    }
    let old_taint = at(at(old, "spec"), "taint");
    taint(at(spec, "taint"), old_taint, &path.child("taint"), errors);
}

/// A taint that gets another effect is a new one.
fn stamp_rule(subresource: &str, new: &mut Value, old: Option<&Value>, now: Time) {
    if !subresource.is_empty() {
        return;
    }
    let old = old.and_then(|old| old.pointer("/spec/taint"));
    let Some(taint) = new.pointer_mut("/spec/taint") else { return };
    let changed = old.is_some_and(|old| {
        text(old, "effect") != text(taint, "effect") && same(at(old, "timeAdded"), at(taint, "timeAdded"))
    });
    if changed || !has(taint, "timeAdded") {
        taint["timeAdded"] = now.to_string().into();
    }
}

fn taint(taint: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let (value, effect) = (text(taint, "value"), text(taint, "effect"));
    errors.qualified(&path.child("key"), text(taint, "key"));
    errors.problems(&path.child("value"), value, validation::label_value(value));
    if old.is_null() || text(old, "effect") != effect {
        errors.one_of(&path.child("effect"), effect, &TAINT_EFFECTS);
    }
}

/// Subdomains with slashes between them.
fn pool_name(name: &str, path: &Path, errors: &mut Errors) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    errors.max_bytes(path, name, MAX_POOL_NAME);
    for part in name.split('/') {
        errors.subdomain(path, part);
    }
}

/// The name of an attribute or a capacity: an identifier, with or without the domain it belongs to.
fn attribute_name(name: &str, path: &Path, errors: &mut Errors) {
    let mut parts = name.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(id), None, None) => identifier(id, path, errors),
        (Some(domain), Some(id), None) => {
            if domain.is_empty() {
                errors.invalid(path, "", "the domain must not be empty");
            } else {
                csi_driver(domain, path, errors);
            }
            if id.is_empty() {
                errors.invalid(path, "", "the name must not be empty");
            } else {
                identifier(id, path, errors);
            }
        }
        _ => {}
    }
}

fn full_attribute_name(name: &str, path: &Path, errors: &mut Errors) {
    attribute_name(name, path, errors);
    if !name.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        errors.invalid(path, name, detail);
    }
}

fn identifier(id: &str, path: &Path, errors: &mut Errors) {
    errors.max_bytes(path, id, MAX_ID);
    errors.problems(path, id, validation::c_identifier(id));
}

/// The conditions a device needs or fails with before a Pod is bound to a node.
fn binding_conditions(from: &Value, path: &Path, errors: &mut Errors) {
    const FIELDS: [&str; 2] = ["bindingConditions", "bindingFailureConditions"];
    let [wanted, failing] = FIELDS.map(|field| crate::read::texts(from, field).collect::<Vec<_>>());
    let [at_wanted, at_failing] = FIELDS.map(|field| path.child(field));
    for (path, names) in [(&at_wanted, &wanted), (&at_failing, &failing)] {
        if names.len() > MAX_BINDING_CONDITIONS {
            errors.too_many(path, names.len(), MAX_BINDING_CONDITIONS);
            continue;
        }
        for (index, name) in names.iter().enumerate() {
            errors.qualified(&path.index(index), name);
        }
    }
    errors.unique(&at_wanted, wanted.iter().copied());
    for (index, name) in failing.iter().enumerate() {
        if failing.iter().take(index).any(|other| other == name) {
            errors.duplicate(&at_failing.index(index), *name);
        }
        if wanted.contains(name) {
            let detail = "bindingFailureConditions must not overlap with bindingConditions";
            errors.invalid(&at_failing.index(index), *name, detail);
        }
    }
    if wanted.is_empty() && !failing.is_empty() {
        let detail = "bindingConditions are required to use bindingFailureConditions";
        errors.invalid(&at_wanted, Value::Null, detail);
    }
    if failing.is_empty() && !wanted.is_empty() {
        let detail = "bindingFailureConditions are required to use bindingConditions";
        errors.invalid(&at_failing, Value::Null, detail);
    }
}
