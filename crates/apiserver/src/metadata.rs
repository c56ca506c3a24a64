//! The rules of `metadata` that hold for every kind: what the server fills in, what a client may not
//! change, and what is valid (upstream: registry/rest and apimachinery's ObjectMeta validation).

use crate::resources::Target;
use apimachinery::field::{FieldError, Path};
use apimachinery::{Status, Time, meta, validation};
use serde_json::Value;

/// Metadata that only the server writes; what a client sends on create is dropped.
const SERVER_OWNED: [&str; 5] =
    ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"];

/// Fills the metadata of a new object.
pub(crate) fn prepare_create(target: &Target, object: &mut Value, uid: String, now: Time) {
    let map = meta::metadata_mut(object);
    for field in SERVER_OWNED {
        map.remove(field);
    }
    meta::set_uid(object, &uid);
    meta::set_creation_timestamp(object, now.truncated());
    if target.strategy.tracks_generation() {
        meta::set_generation(object, 1);
    }
}

/// Carries over what an update may not decide, and counts the generation.
pub(crate) fn prepare_update(target: &Target, subresource: &str, new: &mut Value, old: &Value) {
    let kept = meta::metadata(old);
    let map = meta::metadata_mut(new);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"] {
        match kept.and_then(|kept| kept.get(field)) {
            Some(value) => map.insert(field.into(), value.clone()),
            None => map.remove(field),
        };
    }
    for field in ["uid", "creationTimestamp", "name", "namespace", "generateName"] {
        let absent = map.get(field).is_none_or(|value| value.is_null() || value == "");
        if let (true, Some(value)) = (absent, kept.and_then(|kept| kept.get(field))) {
            map.insert(field.into(), value.clone());
        }
    }
    let counted = meta::generation(old) > 0 || target.strategy.tracks_generation();
    if subresource != "status" && counted && target.strategy.bumps_generation(new, old) {
        meta::set_generation(new, meta::generation(old) + 1);
    }
}

/// Removes empty label and annotation maps and the like that mean the same as absent. Empty managed
/// fields do not: [`crate::fields`] reads what they say.
pub(crate) fn tidy(object: &mut Value) {
    let map = meta::metadata_mut(object);
    for field in ["labels", "annotations", "ownerReferences", "finalizers"] {
        let empty = match map.get(field) {
            Some(Value::Object(inner)) => inner.is_empty(),
            Some(Value::Array(inner)) => inner.is_empty(),
            Some(Value::Null) => true,
            _ => false,
        };
        if empty {
            map.remove(field);
        }
    }
    for field in ["creationTimestamp", "deletionTimestamp"] {
        if map.get(field).is_some_and(Value::is_null) {
            map.remove(field);
        }
    }
}

/// Errors in the metadata of a new object.
pub(crate) fn validate(target: &Target, object: &Value) -> Vec<FieldError> {
    let at = Path::new("metadata");
    let mut errors = Vec::new();
    let (name, generate) = (meta::name(object), meta::generate_name(object));
    if !generate.is_empty() {
        // The suffix completes a prefix that ends in a dash.
        let whole = format!("{}a", generate.strip_suffix('-').unwrap_or(generate));
        let problems = target.strategy.validate_name(&whole);
        errors.extend(
            problems.into_iter().map(|p| FieldError::invalid(&at.child("generateName"), generate, p)),
        );
    }
    if name.is_empty() {
        errors.push(FieldError::required(&at.child("name"), "name or generateName is required"));
    } else {
        let problems = target.strategy.validate_name(name);
        errors.extend(problems.into_iter().map(|p| FieldError::invalid(&at.child("name"), name, p)));
    }
    let namespace = meta::namespace(object);
    if target.info.namespaced {
        if namespace.is_empty() {
            errors.push(FieldError::required(&at.child("namespace"), ""));
        } else {
            let problems = validation::dns1123_label(namespace);
            errors.extend(
                problems.into_iter().map(|p| FieldError::invalid(&at.child("namespace"), namespace, p)),
            );
        }
    } else if !namespace.is_empty() {
        errors.push(FieldError::forbidden(&at.child("namespace"), "not allowed on this type"));
    }
    errors.extend(validate_maps(target, object, &at));
    errors
}

/// Whether finalizers need a domain and a path: not where upstream's rules are those of any API.
fn is_strict(target: &Target) -> bool {
    const PLAIN: [&str; 3] =
        ["admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"];
    target.custom.is_none() && !PLAIN.contains(&target.info.group)
}

fn validate_maps(target: &Target, object: &Value, at: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(labels) = meta::labels(object) {
        errors.extend(validation::labels(labels, &at.child("labels")));
    }
    if let Some(annotations) = meta::annotations(object) {
        errors.extend(validation::annotations(annotations, &at.child("annotations")));
    }
    errors.extend(validate_owners(object, &at.child("ownerReferences")));
    errors.extend(crate::fields::validate(object, at));
    for finalizer in meta::finalizers(object) {
        let problems = validation::qualified_name(finalizer);
        let path = at.child("finalizers");
        errors.extend(problems.into_iter().map(|p| FieldError::invalid(&path, finalizer, p)));
        if is_strict(target)
            && !finalizer.contains('/')
            && !matches!(finalizer, "orphan" | "foregroundDeletion" | "kubernetes")
        {
            let text = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(&path, finalizer, text));
        }
    }
    errors
}

fn validate_owners(object: &Value, at: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controllers = 0;
    for (index, owner) in meta::owner_references(object).enumerate() {
        let at = at.index(index);
        if apimachinery::gvk::parse_api_version(owner.api_version())
            .is_none_or(|(_, version)| version.is_empty())
        {
            errors.push(FieldError::invalid(
                &at.child("apiVersion"),
                owner.api_version(),
                "version must not be empty",
            ));
        }
        for (field, text) in [("kind", owner.kind()), ("name", owner.name()), ("uid", owner.uid())] {
            if text.is_empty() {
                errors.push(FieldError::invalid(&at.child(field), text, "must not be empty"));
            }
        }
        controllers += usize::from(owner.is_controller());
    }
    if controllers > 1 {
        let text = "Only one reference can have Controller set to true.";
        errors.push(FieldError::invalid(at, Value::Null, text));
    }
    errors
}

/// Errors in how an update changes metadata.
pub(crate) fn validate_update(target: &Target, new: &Value, old: &Value) -> Vec<FieldError> {
    let at = Path::new("metadata");
    let mut errors = Vec::new();
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        let value = |object: &Value| {
            meta::metadata(object)
                .and_then(|m| m.get(field))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if value(new) != value(old) {
            errors.push(FieldError::invalid(&at.child(field), value(new), "field is immutable"));
        }
    }
    if meta::is_deleting(old) {
        let added: Vec<&str> = meta::finalizers(new).filter(|f| !meta::has_finalizer(old, f)).collect();
        if !added.is_empty() {
            let list: Vec<String> = added.iter().map(|f| apimachinery::go::quote(f)).collect();
            let list = list.join(", ");
            let text = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}"
            );
            errors.push(FieldError::forbidden(&at.child("finalizers"), text));
        }
    }
    errors.extend(validate_maps(target, new, &at));
    errors
}

/// The namespace of the object against that of the request; fills it in where it is missing.
pub(crate) fn settle_namespace(
    target: &Target,
    namespace: &str,
    object: &mut Value,
) -> Result<(), Box<Status>> {
    if !target.info.namespaced {
        meta::set_namespace(object, "");
        return Ok(());
    }
    match meta::namespace(object) {
        "" => meta::set_namespace(object, namespace),
        given if given == namespace => {}
        _ => {
            return Err(Box::new(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            )));
        }
    }
    Ok(())
}
