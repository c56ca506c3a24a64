//! Claims: the spec of a PersistentVolumeClaim, here of those made for a Pod.

use super::affinity::label_selector;
use super::errors::Errors;
use super::values;
use crate::kinds::persistent_volume::{VOLUME_MODES, access_modes};
use crate::read::{at, has, opt_text, quantity, text, texts};
use apimachinery::{Path, meta, validation};
use serde_json::{Value, json};

/// The template of a claim: of metadata only labels and annotations may be set.
pub(super) fn template(template: &Value, path: &Path, errors: &mut Errors) {
    let at_meta = path.child("metadata");
    if let Some(annotations) = meta::annotations(template) {
        errors.0.extend(validation::annotations(annotations, &at_meta.child("annotations")));
    }
    if let Some(labels) = meta::labels(template) {
        errors.0.extend(validation::labels(labels, &at_meta.child("labels")));
    }
    for (field, value) in meta::metadata(template).into_iter().flatten() {
        let allowed = matches!(field.as_str(), "labels" | "annotations");
        if !allowed && !crate::read::is_empty(value) {
            errors.forbidden(&at_meta.child(field.clone()), "cannot be set for an ephemeral volume");
        }
    }
    spec(at(template, "spec"), &path.child("spec"), errors);
}

pub(in crate::kinds) fn spec(spec: &Value, path: &Path, errors: &mut Errors) {
    if texts(spec, "accessModes").next().is_none() {
        errors.required(&path.child("accessModes"), "at least 1 access mode is required");
    }
    label_selector(at(spec, "selector"), &path.child("selector"), errors);
    access_modes(spec, path, errors);
    let at_storage = path.child("resources").key("storage");
    let storage = at(at(at(spec, "resources"), "requests"), "storage");
    match quantity(storage) {
        None => errors.required(&at_storage, ""),
        Some(size) if size.signum() <= 0 => {
            errors.invalid(&at_storage, size.to_string(), "must be greater than zero")
        }
        Some(_) => values::amount("storage", storage, &at_storage, &mut errors.0),
    }
    let class = |field: &'static str, errors: &mut Errors| {
        if let Some(class) = opt_text(spec, field).filter(|class| !class.is_empty()) {
            errors.subdomain(&path.child(field), class);
        }
    };
    class("storageClassName", errors);
    if let Some(mode) = opt_text(spec, "volumeMode") {
        errors.known(&path.child("volumeMode"), mode, &VOLUME_MODES);
    }
    sources(spec, path, errors);
    class("volumeAttributesClassName", errors);
}

fn sources(spec: &Value, path: &Path, errors: &mut Errors) {
    for field in ["dataSource", "dataSourceRef"] {
        let source = at(spec, field);
        if source.is_null() {
            continue;
        }
        let path = path.child(field);
        errors.need(&path, source, "name");
        errors.need(&path, source, "kind");
        let group = text(source, "apiGroup");
        if group.is_empty() && text(source, "kind") != "PersistentVolumeClaim" {
            errors.invalid(
                &path,
                text(source, "kind"),
                "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            );
        }
        if !group.is_empty() {
            errors.subdomain(&path.child("apiGroup"), group);
        }
        let namespace = text(source, "namespace");
        if !namespace.is_empty() {
            errors.label(&path.child("namespace"), namespace);
        }
    }
    let (source, reference) = (at(spec, "dataSource"), at(spec, "dataSourceRef"));
    if source.is_null() || reference.is_null() {
        return;
    }
    let same = ["apiGroup", "kind", "name"].iter().all(|field| text(source, field) == text(reference, field));
    if has(reference, "namespace") && !text(reference, "namespace").is_empty() {
        errors.invalid(path, json!({}), "may not be specified when dataSourceRef.namespace is specified");
    } else if !same {
        errors.invalid(path, json!({}), "must match dataSourceRef");
    }
}
