//! Namespaces: active until deleted, then terminating until their content is gone and `/finalize` has
//! taken the finalizer `kubernetes` from their spec.

use crate::read::{at, copy, object_at, text, texts};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Path, meta, validation};
use serde_json::{Value, json};

const FINALIZER: &str = "kubernetes";
/// Finalizers that need no domain in front.
const STANDARD: [&str; 3] = [FINALIZER, "orphan", "foregroundDeletion"];

pub(super) struct Namespace;

impl Strategy for Namespace {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({"phase": "Active"});
        let spec = object_at(object, "spec");
        let list = spec.entry("finalizers").or_insert_with(|| json!([]));
        if !list.is_array() {
            *list = json!([]);
        }
        if let Some(list) = list.as_array_mut().filter(|list| !list.contains(&FINALIZER.into())) {
            list.push(FINALIZER.into());
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let path = Path::new("spec").child("finalizers");
        texts(at(object, "spec"), "finalizers").flat_map(|name| finalizer(&path, name)).collect()
    }

    fn prepare_update(&self, subresource: &str, new: &mut Value, old: &Value) {
        match subresource {
            "status" => crate::strategy::keep_all_but_status(new, old),
            "finalize" => copy(new, old, "status"),
            _ => {
                copy(new, old, "status");
                let mut spec = json!({});
                copy(&mut spec, at(old, "spec"), "finalizers");
                new["spec"] = spec;
            }
        }
    }

    fn validate_update(&self, subresource: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        match subresource {
            "status" => status_errors(new),
            "finalize" => {
                let path = Path::new("spec").child("finalizers");
                let names = texts(at(new, "spec"), "finalizers").enumerate();
                names.flat_map(|(index, name)| finalizer(&path.index(index), name)).collect()
            }
            _ => self.validate(new),
        }
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        validation::dns1123_label(name)
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["status.phase"]
    }
}

fn status_errors(namespace: &Value) -> Vec<FieldError> {
    let (wanted, detail) = if meta::is_deleting(namespace) {
        ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty")
    } else {
        ("Active", "may only be 'Active' if `deletionTimestamp` is empty")
    };
    let phase = text(at(namespace, "status"), "phase");
    if phase == wanted {
        return Vec::new();
    }
    vec![FieldError::invalid(&Path::new("status").child("Phase"), phase, detail)]
}

fn finalizer(path: &Path, name: &str) -> Vec<FieldError> {
    let problems = validation::qualified_name(name).into_iter();
    let mut errors: Vec<FieldError> =
        problems.map(|problem| FieldError::invalid(path, name, problem)).collect();
    if !name.contains('/') && !STANDARD.contains(&name) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(path, name, detail));
    }
    errors
}
