//! Checks that many kinds share, as methods of [`Errors`]: what may not change, counts, percentages,
//! conditions. Rules of one kind stand in the kind's file.

use super::pod::errors::Errors;
use crate::read::{at, int, list, text};
use apimachinery::{FieldError, Path, labels, validation};
use serde_json::Value;
use std::collections::HashSet;

pub(super) const IMMUTABLE: &str = "field is immutable";

/// Whether two values mean the same: absent, null and an empty list do.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    let empty = |value: &Value| value.is_null() || matches!(value, Value::Array(items) if items.is_empty());
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let none = &Value::Null;
            a.iter().all(|(key, value)| same(value, b.get(key).unwrap_or(none)))
                && b.iter().all(|(key, value)| a.contains_key(key) || empty(value))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => empty(a) && empty(b) || a == b,
    }
}

/// Whether a map holds something.
pub(super) fn is_empty_selector(selector: &Value) -> bool {
    crate::read::is_empty(at(selector, "matchLabels")) && list(selector, "matchExpressions").is_empty()
}

/// What a selector selects; `None` if it is not valid.
pub(super) fn selector_of(selector: &Value) -> Option<labels::Selector> {
    labels::Selector::from_label_selector(Some(selector)).ok()
}

/// The number in a percentage.
pub(super) fn percent(value: &Value) -> Option<i64> {
    let text = value.as_str().filter(|text| validation::percent(text).is_empty())?;
    text.strip_suffix('%')?.parse().ok()
}

/// The number in a percentage or an integer; zero if it is neither.
pub(super) fn int_or_percent(value: &Value) -> i64 {
    let number = || value.as_str().and_then(|text| text.parse().ok()).or(value.as_i64());
    percent(value).or_else(number).unwrap_or(0)
}

/// The condition of a type, if it is true.
pub(super) fn is_true(status: &Value, kind: &str) -> bool {
    condition_is(status, kind, "True")
}

pub(super) fn condition_is(status: &Value, kind: &str, wanted: &str) -> bool {
    let mut all = list(status, "conditions").iter();
    all.any(|condition| text(condition, "type") == kind && text(condition, "status") == wanted)
}

/// A list of names as Go prints it with `%q`.
pub(super) fn quoted(names: &[&str]) -> String {
    apimachinery::go::quote_list(names)
}

impl Errors {
    /// A field that must stay as it is.
    pub fn immutable(&mut self, path: &Path, new: &Value, old: &Value) {
        if !same(new, old) {
            self.invalid(path, new.clone(), IMMUTABLE);
        }
    }

    /// Fields below an object that must stay as they are.
    pub fn immutable_fields(&mut self, path: &Path, new: &Value, old: &Value, fields: &[&'static str]) {
        for field in fields {
            self.immutable(&path.child(*field), at(new, field), at(old, field));
        }
    }

    /// Invalid, without showing the value.
    pub fn invalid_hidden(&mut self, path: &Path, detail: impl Into<String>) {
        self.push(FieldError::invalid(path, Value::Null, detail).without_value());
    }

    /// Counts that are there and less than zero.
    pub fn counts(&mut self, path: &Path, object: &Value, fields: &[&'static str]) {
        for field in fields {
            self.not_negative(path, object, field);
        }
    }

    pub fn too_many(&mut self, path: &Path, actual: usize, max: usize) {
        if actual > max {
            self.push(FieldError::too_many(path, actual, max));
        }
    }

    /// A text of at most so many bytes.
    pub fn max_bytes(&mut self, path: &Path, value: &str, max: usize) {
        if value.len() > max {
            self.push(FieldError::too_long(path, max));
        }
    }

    /// An integer of at least zero or a percentage.
    pub fn int_or_percent(&mut self, path: &Path, value: &Value) {
        match value {
            Value::String(text) => self.problems(path, text.as_str(), validation::percent(text)),
            other => {
                if let Some(number) = other.as_i64().filter(|number| *number < 0) {
                    self.invalid(path, number, super::pod::values::NOT_NEGATIVE);
                }
            }
        }
    }

    pub fn at_most_all(&mut self, path: &Path, value: &Value) {
        if percent(value).is_some_and(|percent| percent > 100) {
            self.invalid(path, value.clone(), "must not be greater than 100%");
        }
    }

    /// Counts of a status that never exceed another count of it.
    pub fn no_more_than(
        &mut self,
        path: &Path,
        status: &Value,
        fields: &[&'static str],
        whole: &str,
        detail: &str,
    ) {
        let count = |field: &str| int(status, field).unwrap_or(0);
        for field in fields {
            if count(field) > count(whole) {
                self.invalid(&path.child(*field), count(field), detail);
            }
        }
    }

    /// A count of collisions only grows.
    pub fn not_decremented(&mut self, path: &Path, new: &Value, old: &Value, field: &'static str) {
        let (new, old) = (int(new, field), int(old, field));
        if old.is_some() && new.unwrap_or(0) < old.unwrap_or(0) || old.is_some() && new.is_none() {
            self.invalid(&path.child(field), new.unwrap_or(0), "cannot be decremented");
        }
    }

    /// `[domain]/path`.
    pub fn domain_prefixed_path(&mut self, path: &Path, value: &str) {
        if value.is_empty() {
            return self.required(path, "");
        }
        let (Some((host, rest)), false) = (value.split_once('/'), value.starts_with('/')) else {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            return self.invalid(path, value, detail);
        };
        if rest.is_empty() {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            return self.invalid(path, value, detail);
        }
        self.subdomain(path, host);
        if !is_http_path(rest) {
            let detail = validation::regex_error("Invalid path", HTTP_PATH, &[]);
            self.invalid(path, rest, detail);
        }
    }

    /// A name of at least so many segments, the whole text one error.
    pub fn qualified_domain(&mut self, path: &Path, name: &str, segments: usize, words: &str) {
        if name.is_empty() {
            return self.required(path, "");
        }
        let problems = validation::dns1123_subdomain(name);
        if !problems.is_empty() {
            return self.invalid(path, name, problems.join(","));
        }
        if name.split('.').count() < segments {
            let detail = format!("should be a domain with at least {words} segments separated by dots");
            self.invalid(path, name, detail);
        }
    }

    /// Conditions of the common type: each type once, with a status, a time and a reason.
    pub fn conditions(&mut self, path: &Path, conditions: &[Value]) {
        let mut seen = HashSet::new();
        for (index, condition) in conditions.iter().enumerate() {
            let path = path.index(index);
            let (kind, reason) = (text(condition, "type"), text(condition, "reason"));
            if !seen.insert(kind) {
                self.duplicate(&path.child("type"), kind);
            }
            self.qualified(&path.child("type"), kind);
            self.known(&path.child("status"), text(condition, "status"), &["False", "True", "Unknown"]);
            if let Some(seen) = int(condition, "observedGeneration").filter(|seen| *seen < 0) {
                let detail = "must be greater than or equal to zero";
                self.invalid(&path.child("observedGeneration"), seen, detail);
            }
            if crate::read::time(condition, "lastTransitionTime").is_none() {
                self.required(&path.child("lastTransitionTime"), "");
            }
            let at_reason = path.child("reason");
            if reason.is_empty() {
                self.required(&at_reason, "");
            } else {
                if !is_condition_reason(reason) {
                    let words = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'";
                    let examples = ["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
                    let detail =
                        validation::regex_error(words, "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", &examples);
                    self.invalid(&at_reason, reason, detail);
                }
                self.max_bytes(&at_reason, reason, 1024);
            }
            self.max_bytes(&path.child("message"), text(condition, "message"), 32 * 1024);
        }
    }

    /// Each item once.
    pub fn unique<'a>(&mut self, path: &Path, items: impl Iterator<Item = &'a str>) {
        let mut seen = HashSet::new();
        for (index, item) in items.enumerate() {
            if !seen.insert(item) {
                self.duplicate(&path.index(index), item);
            }
        }
    }
}

const HTTP_PATH: &str = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";

fn is_http_path(path: &str) -> bool {
    path.bytes().all(|c| c.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&c))
}

fn is_condition_reason(reason: &str) -> bool {
    let b = reason.as_bytes();
    let ends = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_';
    b.first().is_some_and(u8::is_ascii_alphabetic)
        && b.last().is_some_and(ends)
        && b.iter().all(|c| ends(c) || matches!(c, b',' | b':'))
}
