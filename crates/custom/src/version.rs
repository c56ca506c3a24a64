//! One version of a custom resource: its facts, its schema, and its rules as a strategy.

use crate::rules::{Judged, Rules};
use crate::schema::Schema;
use crate::{embedded, fill, lists, validate};
use api::{ResourceInfo, Strategy};
use apimachinery::{FieldError, Path, jsonpath, meta, validation};
use schema::apply::Structural;
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    pub path: String,
}

/// Where the scale subresource finds its numbers; names without a leading dot.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    pub spec_replicas: String,
    pub status_replicas: String,
    pub selector: Option<String>,
}

/// A served or stored version of a custom resource.
#[derive(Debug)]
pub struct Version {
    pub info: Arc<ResourceInfo>,
    pub schema: Schema,
    /// As published.
    pub json: Value,
    pub columns: Vec<Column>,
    pub scale: Option<Scale>,
    pub has_status: bool,
    pub served: bool,
    /// What clients of the version are told.
    pub deprecated: Option<String>,
    /// Fields to select by, without the leading dot.
    pub(crate) selectable: Vec<&'static str>,
    pub(crate) rules: OnceLock<Option<Rules>>,
    pub(crate) apply: OnceLock<Structural>,
}

impl Version {
    pub(crate) fn new(info: ResourceInfo, json: Value) -> Version {
        Version {
            info: Arc::new(info),
            schema: Schema::read(&json),
            json,
            columns: Vec::new(),
            scale: None,
            has_status: false,
            served: false,
            deprecated: None,
            selectable: Vec::new(),
            rules: OnceLock::new(),
            apply: OnceLock::new(),
        }
    }

    /// The type that server-side apply works by.
    pub fn apply_type(&self) -> &Structural {
        self.apply.get_or_init(|| Structural::of_resource(&self.json, self.schema.preserves_unknown))
    }

    /// Makes an object of this version of what a client sent; gives the paths of fields that are not declared.
    ///
    /// # Errors
    /// Metadata of another type.
    pub fn settle(&self, object: &mut Value) -> Result<Vec<String>, FieldError> {
        let mut unknown = fill::coerce(object, &self.schema)?;
        unknown.extend(fill::prune(object, &self.schema));
        fill::fill(object, &self.schema);
        unknown.sort();
        Ok(unknown)
    }

    /// Makes an object of this version of what is stored, which an older schema let through.
    pub fn settle_stored(&self, object: &mut Value) {
        let _dropped = fill::prune(object, &self.schema);
        fill::fill(object, &self.schema);
    }

    fn rules(&self) -> Option<&Rules> {
        self.rules.get_or_init(|| Rules::of_resource(&self.schema)).as_ref()
    }

    fn scale_errors(&self, subresource: &str, object: &Value) -> Vec<FieldError> {
        let Some(scale) = &self.scale else { return Vec::new() };
        let mut errors = Vec::new();
        if subresource != "status" {
            replicas(object, &scale.spec_replicas, &mut errors);
        }
        replicas(object, &scale.status_replicas, &mut errors);
        if let Some(path) = &scale.selector
            && let Some(value) = at(object, path).filter(|value| !value.is_string())
        {
            let detail = not_a(path, value, "string");
            errors.push(FieldError::invalid(&dotted(path), "", detail));
        }
        errors
    }

    /// The rules, unless something is wrong that they rely on.
    fn judged(&self, errors: &mut Vec<FieldError>, new: &Value, old: Option<&Value>) -> Vec<String> {
        use apimachinery::field::ErrorType::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
        let Some(rules) = self.rules() else { return Vec::new() };
        let blocks = |error: &FieldError| {
            matches!(error.kind, NotSupported | Required | TooLong | TooMany | TypeInvalid)
        };
        if errors.iter().any(blocks) {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            errors.push(FieldError::invalid(&Path::root(), Value::Null, detail));
            return Vec::new();
        }
        let Judged { errors: broken, warnings } = rules.check(&self.schema, new, old);
        errors.extend(broken);
        warnings
    }
}

/// The value at a path of names separated by dots.
pub fn at<'v>(object: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(object, |object, name| object.get(name))
}

/// The number of replicas at a path; `None` if there is none.
///
/// # Errors
/// What is there is no number.
pub fn count_at(object: &Value, path: &str) -> Result<Option<i64>, String> {
    let Some(value) = at(object, path).filter(|value| !value.is_null()) else { return Ok(None) };
    value.as_i64().map(Some).ok_or_else(|| not_a(path, value, "int64"))
}

/// The text at a path.
///
/// # Errors
/// What is there is no text.
pub fn text_at<'v>(object: &'v Value, path: &str) -> Result<&'v str, String> {
    match at(object, path) {
        None => Ok(""),
        Some(value) => value.as_str().ok_or_else(|| not_a(path, value, "string")),
    }
}

fn not_a(path: &str, value: &Value, wanted: &str) -> String {
    let (is, shown) = match value {
        Value::Null => ("<nil>", "<nil>".into()),
        Value::Bool(value) => ("bool", value.to_string()),
        Value::Number(value) if value.is_i64() => ("int64", value.to_string()),
        Value::Number(value) => ("float64", value.to_string()),
        Value::String(value) => ("string", value.clone()),
        Value::Array(_) => ("[]interface {}", value.to_string()),
        Value::Object(_) => ("map[string]interface {}", value.to_string()),
    };
    format!(".{path} accessor error: {shown} is of the type {is}, expected {wanted}")
}

fn dotted(path: &str) -> Path {
    Path::new(format!(".{path}"))
}

fn replicas(object: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match count_at(object, path) {
        Err(why) => errors.push(FieldError::invalid(&dotted(path), 0, why)),
        Ok(Some(count)) if count < 0 => {
            errors.push(FieldError::invalid(&dotted(path), count, "should be a non-negative integer"));
        }
        Ok(Some(count)) if count > i64::from(i32::MAX) => {
            let detail = format!("should be less than or equal to {}", i32::MAX);
            errors.push(FieldError::invalid(&dotted(path), count, detail));
        }
        Ok(_) => {}
    }
}

impl Strategy for Version {
    fn default(&self, object: &mut Value) {
        fill::fill(object, &self.schema);
    }

    fn prepare_create(&self, object: &mut Value) {
        if self.has_status {
            meta::as_object_mut(object).remove("status");
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = validate::create(&self.schema, object);
        errors.extend(self.scale_errors("", object));
        errors.extend(embedded::check(&self.schema, object));
        errors.extend(lists::duplicates(&self.schema, object));
        self.judged(&mut errors, object, None);
        errors
    }

    fn prepare_update(&self, subresource: &str, new: &mut Value, old: &Value) {
        if subresource == "status" {
            let status = new.get("status").cloned();
            new.clone_from(old);
            set(meta::as_object_mut(new), "status", status);
        } else if self.has_status {
            set(meta::as_object_mut(new), "status", old.get("status").cloned());
        }
    }

    fn validate_update(&self, subresource: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        self.judge_update(subresource, new, old).0
    }

    fn judge_update(&self, subresource: &str, new: &Value, old: &Value) -> (Vec<FieldError>, Vec<String>) {
        let mut errors = Vec::new();
        if subresource == "status" {
            if let (Some(schema), Some(status)) = (self.schema.field("status"), new.get("status")) {
                errors.extend(validate::update_field(schema, "status", status, old.get("status")));
            }
        } else {
            errors.extend(validate::update(&self.schema, new, old));
        }
        errors.extend(self.scale_errors(subresource, new));
        if subresource != "status" {
            errors.extend(embedded::check(&self.schema, new));
        }
        // What was there twice may stay.
        if lists::duplicates(&self.schema, old).is_empty() {
            errors.extend(lists::duplicates(&self.schema, new));
        }
        let warnings = self.judged(&mut errors, new, Some(old));
        (errors, warnings)
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let added = meta::finalizers(new)
            .filter(|finalizer| old.is_none_or(|old| !meta::has_finalizer(old, finalizer)));
        let mut added: Vec<&str> = added.collect();
        added.sort_unstable();
        added.dedup();
        added.into_iter().flat_map(finalizer_warnings).collect()
    }

    fn field_labels(&self) -> &[&'static str] {
        &self.selectable
    }

    fn field_label(&self, object: &Value, label: &str) -> String {
        let found = jsonpath::select(&format!(".{label}"), object).unwrap_or_default();
        found.first().map(|value| jsonpath::text(value)).unwrap_or_default()
    }

    fn has_status(&self) -> bool {
        self.has_status
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    fn bumps_generation(&self, new: &Value, old: &Value) -> bool {
        let content = |object: &Value| -> Map<String, Value> {
            let map = object.as_object().into_iter().flatten();
            map.filter(|(name, _)| *name != "metadata")
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        content(new) != content(old)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

fn set(map: &mut Map<String, Value>, field: &str, value: Option<Value>) {
    match value {
        Some(value) => map.insert(field.into(), value),
        None => map.remove(field),
    };
}

fn finalizer_warnings(finalizer: &str) -> Vec<String> {
    let named =
        |problem: &str| format!("metadata.finalizers: {}: {problem}", apimachinery::go::quote(finalizer));
    let mut found: Vec<String> =
        validation::qualified_name(finalizer).iter().map(|problem| named(problem)).collect();
    if !finalizer.contains('/') && !matches!(finalizer, "orphan" | "foregroundDeletion" | "kubernetes") {
        let including = if finalizer.contains('.') { " including a path (/)" } else { "" };
        found.push(named(&format!(
            "prefer a domain-qualified finalizer name{including} to avoid accidental conflicts with other finalizer writers"
        )));
    }
    found
}
