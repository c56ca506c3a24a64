//! Where rules put what they find wrong: all errors of an object, in the order of the rules.

use crate::read::{int, text};
use apimachinery::{FieldError, Path, validation};
use serde_json::Value;

#[derive(Default)]
pub(in crate::kinds) struct Errors(pub Vec<FieldError>);

impl Errors {
    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    pub fn invalid(&mut self, at: &Path, value: impl Into<Value>, detail: impl Into<String>) {
        self.push(FieldError::invalid(at, value, detail));
    }

    pub fn required(&mut self, at: &Path, detail: &str) {
        self.push(FieldError::required(at, detail));
    }

    pub fn forbidden(&mut self, at: &Path, detail: impl Into<String>) {
        self.push(FieldError::forbidden(at, detail));
    }

    pub fn duplicate(&mut self, at: &Path, value: impl Into<Value>) {
        self.push(FieldError::duplicate(at, value));
    }

    pub fn not_found(&mut self, at: &Path, value: impl Into<Value>) {
        self.push(FieldError::not_found(at, value));
    }

    pub fn not_supported(&mut self, at: &Path, value: &str, known: &[&str]) {
        self.push(FieldError::not_supported(at, value, known));
    }

    /// One error for each problem.
    pub fn problems(&mut self, at: &Path, value: impl Into<Value>, problems: Vec<String>) {
        if problems.is_empty() {
            return;
        }
        let value = value.into();
        self.0.extend(problems.into_iter().map(|problem| FieldError::invalid(at, value.clone(), problem)));
    }

    /// A text that must be there and be one of a few.
    pub fn one_of(&mut self, at: &Path, value: &str, known: &[&str]) {
        if value.is_empty() {
            self.required(at, "");
        } else {
            self.known(at, value, known);
        }
    }

    /// A text that must be one of a few, not empty either.
    pub fn known(&mut self, at: &Path, value: &str, known: &[&str]) {
        if !known.contains(&value) {
            self.not_supported(at, value, known);
        }
    }

    /// A field that must not be empty; answers whether it is there.
    pub fn need(&mut self, at: &Path, object: &Value, field: &'static str) -> bool {
        let there = !text(object, field).is_empty();
        if !there {
            self.required(&at.child(field), "");
        }
        there
    }

    /// Fields that must not be empty.
    pub fn needs(&mut self, at: &Path, object: &Value, fields: &[&'static str]) {
        for field in fields {
            self.need(at, object, field);
        }
    }

    pub fn label(&mut self, at: &Path, value: &str) {
        self.problems(at, value, validation::dns1123_label(value));
    }

    pub fn subdomain(&mut self, at: &Path, value: &str) {
        self.problems(at, value, validation::dns1123_subdomain(value));
    }

    pub fn qualified(&mut self, at: &Path, value: &str) {
        self.problems(at, value, validation::qualified_name(value));
    }

    pub fn not_negative(&mut self, at: &Path, object: &Value, field: &'static str) {
        if let Some(number) = int(object, field).filter(|number| *number < 0) {
            self.invalid(&at.child(field), number, super::values::NOT_NEGATIVE);
        }
    }

    pub fn in_range(&mut self, at: &Path, value: i64, low: i64, high: i64) {
        self.problems(at, value, validation::in_range(value, low, high));
    }

    /// A file mode: at most nine bits.
    pub fn mode(&mut self, at: &Path, object: &Value, field: &'static str) {
        if let Some(mode) = int(object, field).filter(|mode| !(0..=0o777).contains(mode)) {
            let detail = "must be a number between 0 and 0777 (octal), both inclusive";
            self.invalid(&at.child(field), mode, detail);
        }
    }

    /// No `..` in a path.
    pub fn no_backsteps(&mut self, at: &Path, path: &str) {
        if path.split('/').any(|part| part == "..") {
            self.invalid(at, path, "must not contain '..'");
        }
    }

    /// A path below another.
    pub fn descending(&mut self, at: &Path, path: &str) {
        if path.starts_with('/') {
            self.invalid(at, path, "must be a relative path");
        }
        self.no_backsteps(at, path);
    }

    /// A path below another that leaves the names of atomic writers alone.
    pub fn local_path(&mut self, at: &Path, path: &str) {
        self.descending(at, path);
        if path.starts_with("..") && !path.starts_with("../") {
            self.invalid(at, path, "must not start with '..'");
        }
    }
}
