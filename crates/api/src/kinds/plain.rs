//! The strategy of a kind as data: what it allows on one line, its rules as functions. Which kinds there
//! are and what they allow stands in `table`.

use super::pod::errors::Errors;
use crate::strategy::{copy_field, keep_all_but_status, reset_status};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Time, validation};
use serde_json::Value;

/// Rules of one object.
pub(super) type Rules = fn(&Value, &mut Errors);
/// Rules of going from an old object (second) to a new one (first).
pub(super) type Changes = fn(&Value, &Value, &mut Errors);
/// Puts right what an update may not decide.
pub(super) type Settle = fn(&mut Value, &Value);

/// Writes times: which subresource, the new object, the old one, now.
pub(super) type Stamp = fn(&str, &mut Value, Option<&Value>, Time);

/// What differs between kinds; the usual answers are those of [`Plain::of`].
pub(super) struct Plain {
    status: bool,
    generation: bool,
    /// What the generation counts changes of: `spec`, or everything but metadata and status.
    whole: bool,
    create_on_update: bool,
    unconditional_update: bool,
    returns_deleted: bool,
    orphans: bool,
    name: fn(&str) -> Vec<String>,
    labels: &'static [&'static str],
    rules: Rules,
    /// All rules of an update; without it those of a new object.
    update: Option<Changes>,
    status_rules: Changes,
    created: fn(&mut Value),
    changed: Settle,
    status_changed: Settle,
    warn: fn(&Value, Option<&Value>) -> Vec<String>,
    bump: Option<fn(&Value, &Value) -> bool>,
    named: fn(&mut Value),
    label: Option<fn(&Value, &str) -> String>,
    stamp: Stamp,
}

/// Group, resource and strategy.
pub(super) type Kind = (&'static str, &'static str, Plain);

impl Plain {
    pub const fn of() -> Plain {
        Plain {
            status: false,
            generation: false,
            whole: false,
            create_on_update: false,
            unconditional_update: true,
            returns_deleted: false,
            orphans: false,
            name: validation::dns1123_subdomain,
            labels: &[],
            rules: |_, _| {},
            update: None,
            status_rules: |_, _, _| {},
            created: |_| {},
            changed: |_, _| {},
            status_changed: |_, _| {},
            warn: |_, _| Vec::new(),
            bump: None,
            named: |_| {},
            label: None,
            stamp: |_, _, _, _| {},
        }
    }
    pub const fn status(mut self) -> Plain {
        self.status = true;
        self
    }
    pub const fn generation(mut self) -> Plain {
        self.generation = true;
        self
    }
    /// Counts changes of anything but metadata and status: kinds without a spec.
    pub const fn generation_of_all(mut self) -> Plain {
        self.generation = true;
        self.whole = true;
        self
    }
    pub const fn create_on_update(mut self) -> Plain {
        self.create_on_update = true;
        self
    }
    pub const fn needs_version(mut self) -> Plain {
        self.unconditional_update = false;
        self
    }
    pub const fn returns_deleted(mut self) -> Plain {
        self.returns_deleted = true;
        self
    }
    /// Without a propagation policy its dependents are kept, as clients before 1.9 expected.
    pub const fn orphans(mut self) -> Plain {
        self.orphans = true;
        self
    }
    pub const fn name(mut self, rule: fn(&str) -> Vec<String>) -> Plain {
        self.name = rule;
        self
    }
    pub const fn labels(mut self, labels: &'static [&'static str]) -> Plain {
        self.labels = labels;
        self
    }
    /// The rules of a new object, and of a changed one where `update` is not given.
    pub const fn rules(mut self, rules: Rules) -> Plain {
        self.rules = rules;
        self
    }
    /// All rules of a change of the object.
    pub const fn update(mut self, rules: Changes) -> Plain {
        self.update = Some(rules);
        self
    }
    /// The rules of a change of the status.
    pub const fn status_rules(mut self, rules: Changes) -> Plain {
        self.status_rules = rules;
        self
    }
    /// What the server makes of a new object.
    pub const fn created(mut self, settle: fn(&mut Value)) -> Plain {
        self.created = settle;
        self
    }
    /// What the server makes of a changed object.
    pub const fn changed(mut self, settle: Settle) -> Plain {
        self.changed = settle;
        self
    }
    /// What the server makes of a changed status.
    pub const fn status_changed(mut self, settle: Settle) -> Plain {
        self.status_changed = settle;
        self
    }
    pub const fn warn(mut self, warn: fn(&Value, Option<&Value>) -> Vec<String>) -> Plain {
        self.warn = warn;
        self
    }
    /// What says when something changed.
    pub const fn stamp(mut self, stamp: Stamp) -> Plain {
        self.stamp = stamp;
        self
    }
    /// How the value of a field selector is read, where it is not simply a field.
    pub const fn label(mut self, read: fn(&Value, &str) -> String) -> Plain {
        self.label = Some(read);
        self
    }
    /// What repeats the name of a new object, once it has one.
    pub const fn named(mut self, settle: fn(&mut Value)) -> Plain {
        self.named = settle;
        self
    }
    /// Counts what this says is a change.
    pub const fn bump(mut self, bump: fn(&Value, &Value) -> bool) -> Plain {
        self.generation = true;
        self.bump = Some(bump);
        self
    }
}

/// An object without what is never counted as a change of what it asks for.
fn asked(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(field, _)| !matches!(field.as_str(), "kind" | "apiVersion" | "metadata" | "status"))
}

impl Strategy for Plain {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        if self.status {
            reset_status(object);
            defaults::apply(object);
        }
        (self.created)(object);
    }

    fn name_settled(&self, object: &mut Value) {
        defaults::apply(object);
        (self.named)(object);
    }

    fn stamp(&self, subresource: &str, new: &mut Value, old: Option<&Value>, now: Time) {
        (self.stamp)(subresource, new, old, now);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        (self.rules)(object, &mut errors);
        errors.0
    }

    fn prepare_update(&self, subresource: &str, new: &mut Value, old: &Value) {
        if subresource == "status" {
            keep_all_but_status(new, old);
            return (self.status_changed)(new, old);
        }
        if self.status {
            copy_field(new, old, "status");
        }
        (self.changed)(new, old);
    }

    fn validate_update(&self, subresource: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        match (subresource, self.update) {
            ("status", _) => (self.status_rules)(new, old, &mut errors),
            (_, Some(update)) => update(new, old, &mut errors),
            (_, None) => (self.rules)(new, &mut errors),
        }
        errors.0
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        (self.warn)(new, old)
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        (self.name)(name)
    }

    fn field_labels(&self) -> &'static [&'static str] {
        self.labels
    }

    fn field_label(&self, object: &Value, label: &str) -> String {
        if let Some(read) = self.label {
            return read(object, label);
        }
        let pointer = format!("/{}", label.replace('.', "/"));
        match object.pointer(&pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => {
                if label.starts_with("status.") {
                    "0".into()
                } else {
                    String::new()
                }
            }
            Some(other) => other.to_string(),
        }
    }

    fn has_status(&self) -> bool {
        self.status
    }

    fn tracks_generation(&self) -> bool {
        self.generation
    }

    fn bumps_generation(&self, new: &Value, old: &Value) -> bool {
        match self.bump {
            Some(bump) => bump(new, old),
            None if self.whole => self.generation && !asked(new).eq(asked(old)),
            None => self.generation && new.get("spec") != old.get("spec"),
        }
    }

    fn allow_create_on_update(&self) -> bool {
        self.create_on_update
    }

    fn allow_unconditional_update(&self) -> bool {
        self.unconditional_update
    }

    fn delete_returns_object(&self) -> bool {
        self.returns_deleted
    }

    fn default_propagation(&self) -> Option<&'static str> {
        self.orphans.then_some("orphan")
    }
}
