//! ConfigMaps: keys that can be file names, at most 1 MiB, and immutability once asked for.

use crate::read::{flag, map, some};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Path, validation};
use serde_json::Value;

/// Bytes of all values of one ConfigMap or Secret.
pub(super) const MAX_SIZE: usize = 1 << 20;

const IMMUTABLE: &str = "field is immutable when `immutable` is set";

pub(super) struct ConfigMap;

impl Strategy for ConfigMap {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let binary = some(object, "binaryData");
        let mut size = 0;
        let data = Path::new("data");
        for (key, value) in map(object, "data") {
            errors.extend(key_errors(&data, key));
            if binary.is_some_and(|binary| binary.get(key).is_some()) {
                errors.push(FieldError::invalid(
                    &data.key(key),
                    key.as_str(),
                    "duplicate of key present in binaryData",
                ));
            }
            size += value.as_str().map_or(0, str::len);
        }
        for (key, value) in map(object, "binaryData") {
            errors.extend(key_errors(&Path::new("binaryData"), key));
            size += decoded_len(value);
        }
        if size > MAX_SIZE {
            errors.push(FieldError::too_long(&Path::new(""), MAX_SIZE));
        }
        errors
    }

    fn validate_update(&self, _: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = immutable(new, old, &["data", "binaryData"]);
        errors.extend(self.validate(new));
        errors
    }

    fn has_status(&self) -> bool {
        false
    }
}

pub(super) fn key_errors(at: &Path, key: &str) -> impl Iterator<Item = FieldError> {
    let path = at.key(key);
    validation::config_map_key(key).into_iter().map(move |problem| FieldError::invalid(&path, key, problem))
}

/// What may not change once `immutable` is true.
pub(super) fn immutable(new: &Value, old: &Value, fields: &[&'static str]) -> Vec<FieldError> {
    if !flag(old, "immutable") {
        return Vec::new();
    }
    let same = |field: &str| map(new, field).eq(map(old, field));
    let changed = fields.iter().filter(|field| !same(field)).copied();
    let unset = (!flag(new, "immutable")).then_some("immutable");
    unset
        .into_iter()
        .chain(changed)
        .map(|field| FieldError::forbidden(&Path::new(field), IMMUTABLE))
        .collect()
}

/// The size of base64 text once decoded.
pub(super) fn decoded_len(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    let padding = text.bytes().rev().take_while(|c| *c == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}
