//! What is special about a kind, as small pure functions. The generic registry calls them in this
//! order: decode, `default`, `prepare_create`, admission, `validate`, store. A kind that is not
//! special in some respect inherits the answer given here.

use apimachinery::Time;
use apimachinery::field::FieldError;
use serde_json::Value;

/// Which part of an object a write may touch: `""` the object, else a subresource name.
pub type Subresource<'a> = &'a str;

pub trait Strategy: Sync + Send {
    /// Fills what the client left out. Runs after every decode; must be idempotent.
    fn default(&self, _object: &mut Value) {}

    /// Drops what a client may not set on create: status unless the kind keeps it.
    fn prepare_create(&self, object: &mut Value) {
        if self.has_status() {
            reset_status(object);
            self.default(object);
        }
    }

    /// Fills what repeats the name of a new object, once the server has chosen one (`generateName`).
    fn name_settled(&self, object: &mut Value) {
        self.default(object);
    }

    /// All errors of a new object at once, in upstream's order.
    fn validate(&self, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// Puts back what this endpoint may not change: status on the object itself, all but status
    /// (and most metadata) on `/status`.
    fn prepare_update(&self, subresource: Subresource, new: &mut Value, old: &Value) {
        match subresource {
            "" if self.has_status() => copy_field(new, old, "status"),
            "status" => keep_all_but_status(new, old),
            _ => {}
        }
    }

    /// Writes the times at which something changed, after `prepare_create` or `prepare_update`.
    fn stamp(&self, _subresource: Subresource, _new: &mut Value, _old: Option<&Value>, _now: Time) {}

    fn validate_update(&self, _subresource: Subresource, new: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate(new)
    }

    /// Errors of an update, and warnings that come with them: what is wrong but was so before.
    fn judge_update(
        &self,
        subresource: Subresource,
        new: &Value,
        old: &Value,
    ) -> (Vec<FieldError>, Vec<String>) {
        (self.validate_update(subresource, new, old), Vec::new())
    }

    /// Text of `Warning` headers.
    fn warnings(&self, _new: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// The name rule of the kind; messages as upstream prints them, empty if good.
    fn validate_name(&self, name: &str) -> Vec<String> {
        apimachinery::validation::dns1123_subdomain(name)
    }

    /// Field selectors besides `metadata.name` and `metadata.namespace`.
    fn field_labels(&self) -> &[&'static str] {
        &[]
    }

    /// The value of one of [`Strategy::field_labels`].
    fn field_label(&self, object: &Value, label: &str) -> String {
        let mut at = object;
        for part in label.split('.') {
            match at.get(part) {
                Some(next) => at = next,
                None => return String::new(),
            }
        }
        match at {
            Value::String(s) => s.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    /// Whether the kind has a status that only `/status` writes.
    fn has_status(&self) -> bool {
        true
    }

    /// Whether `metadata.generation` counts changes of the kind's spec.
    fn tracks_generation(&self) -> bool {
        false
    }

    /// What `metadata.generation` is a count of: true if going from old to new is such a change.
    fn bumps_generation(&self, new: &Value, old: &Value) -> bool {
        self.tracks_generation() && new.get("spec") != old.get("spec")
    }

    fn allow_create_on_update(&self) -> bool {
        false
    }

    /// Whether an update may leave resourceVersion out.
    fn allow_unconditional_update(&self) -> bool {
        true
    }

    /// Grace in seconds if deletion is graceful (Pods); `None` deletes at once.
    fn delete_grace(&self, _object: &Value, _asked: Option<i64>) -> Option<i64> {
        None
    }

    /// Whether DELETE answers with the object rather than a Status.
    fn delete_returns_object(&self) -> bool {
        false
    }

    /// Finalizers that a default garbage-collection policy adds (`orphan` for none of today's kinds).
    fn default_propagation(&self) -> Option<&'static str> {
        None
    }
}

/// Kinds without special rules.
pub struct Generic;

impl Strategy for Generic {}

/// The status of a new object: nothing set, as Go prints it.
pub(crate) fn reset_status(object: &mut Value) {
    let gvk = apimachinery::meta::gvk(object);
    let definition = gvk.and_then(|gvk| schema::table().kind(&gvk.group, &gvk.version, &gvk.kind));
    let zero = definition.and_then(|definition| definition.zero().get("status").cloned());
    let Some(map) = object.as_object_mut() else { return };
    match zero {
        Some(zero) => map.insert("status".into(), zero),
        None => map.remove("status"),
    };
}

pub(crate) fn copy_field(new: &mut Value, old: &Value, field: &str) {
    let Some(map) = new.as_object_mut() else { return };
    match old.get(field) {
        Some(value) => {
            map.insert(field.to_string(), value.clone());
        }
        None => {
            map.remove(field);
        }
    }
}

/// On `/status` everything but status comes from the stored object; labels and annotations may
/// be written too, as upstream's built-in kinds allow.
pub(crate) fn keep_all_but_status(new: &mut Value, old: &Value) {
    let status = new.get("status").cloned();
    let metadata = new.get("metadata").cloned();
    *new = old.clone();
    let Some(map) = new.as_object_mut() else { return };
    match status {
        Some(status) => {
            map.insert("status".into(), status);
        }
        None => {
            map.remove("status");
        }
    }
    if let (Some(Value::Object(sent)), Some(Value::Object(kept))) = (metadata, map.get_mut("metadata")) {
        for field in ["labels", "annotations", "finalizers", "managedFields", "resourceVersion"] {
            match sent.get(field) {
                Some(value) => {
                    kept.insert(field.into(), value.clone());
                }
                None => {
                    kept.remove(field);
                }
            }
        }
    }
}
