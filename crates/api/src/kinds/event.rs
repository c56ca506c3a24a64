//! Events, in the two groups that serve them. What `events.k8s.io` calls `regarding`, `note` and
//! `reportingController` is `involvedObject`, `message` and `reportingComponent` in the core group; the
//! newer group is strict, the core group takes what old clients send.

use crate::read::{at, has, int, text};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Path, meta, validation};
use serde_json::Value;

const MAX_INSTANCE: usize = 128;
const MAX_ACTION: usize = 128;
const MAX_REASON: usize = 128;
const MAX_NOTE: usize = 1024;

/// Where the fields of an Event are in one group.
pub(super) struct Event {
    strict: bool,
    object: &'static str,
    controller: &'static str,
    message: &'static str,
    first: &'static str,
    last: &'static str,
    count: &'static str,
    source: &'static str,
    labels: &'static [&'static str],
}

pub(super) static CORE: Event = Event {
    strict: false,
    object: "involvedObject",
    controller: "reportingComponent",
    message: "message",
    first: "firstTimestamp",
    last: "lastTimestamp",
    count: "count",
    source: "source",
    labels: &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ],
};

pub(super) static NEW: Event = Event {
    strict: true,
    object: "regarding",
    controller: "reportingController",
    message: "note",
    first: "deprecatedFirstTimestamp",
    last: "deprecatedLastTimestamp",
    count: "deprecatedCount",
    source: "deprecatedSource",
    labels: &[
        "reason",
        "reportingController",
        "type",
        "regarding.kind",
        "regarding.name",
        "regarding.namespace",
        "regarding.uid",
    ],
};

impl Strategy for Event {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = self.lenient(object);
        if self.strict {
            errors.extend(self.strict(object));
        }
        errors
    }

    fn validate_update(&self, _: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.lenient(new);
        if self.strict {
            if at(new, "series") != at(old, "series") {
                errors.extend(series(new));
            }
            errors.extend(self.unchanged(new, old));
        }
        errors
    }

    fn field_labels(&self) -> &'static [&'static str] {
        self.labels
    }

    fn field_label(&self, object: &Value, label: &str) -> String {
        if label == "source" {
            let component = text(at(object, self.source), "component");
            return if component.is_empty() { text(object, self.controller) } else { component }.to_owned();
        }
        let (first, rest) = label.split_once('.').unwrap_or((label, ""));
        if rest.is_empty() {
            text(object, first).to_owned()
        } else {
            text(at(object, first), rest).to_owned()
        }
    }

    fn has_status(&self) -> bool {
        false
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}

fn too_long(errors: &mut Vec<FieldError>, field: &'static str, value: &str, max: usize) {
    if value.len() > max {
        errors.push(FieldError::invalid(&Path::new(field), "", format!("can have at most {max} characters")));
    }
}

fn required(errors: &mut Vec<FieldError>, field: &'static str, value: &str) {
    if value.is_empty() {
        errors.push(FieldError::required(&Path::new(field), ""));
    }
}

fn series(event: &Value) -> Vec<FieldError> {
    let series = at(event, "series");
    let mut errors = Vec::new();
    if series.is_null() {
        return errors;
    }
    if int(series, "count").unwrap_or(0) < 2 {
        errors.push(FieldError::invalid(&Path::new("series.count"), "", "should be at least 2"));
    }
    if !has(series, "lastObservedTime") {
        errors.push(FieldError::required(&Path::new("series.lastObservedTime"), ""));
    }
    errors
}

impl Event {
    /// What holds in both groups.
    fn lenient(&self, event: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let own = meta::namespace(event);
        let theirs = text(at(event, self.object), "namespace");
        let is_new = has(event, "eventTime");
        let matches = match (is_new, theirs) {
            (false, "") => matches!(own, "" | "default"),
            (false, theirs) => own == theirs,
            (true, theirs) => !theirs.is_empty() || matches!(own, "default" | "kube-system"),
        };
        if !matches {
            let path = Path::new("involvedObject").child("namespace");
            errors.push(FieldError::invalid(&path, theirs, "does not match event.namespace"));
        }
        if is_new {
            let controller = text(event, self.controller);
            required(&mut errors, self.controller, controller);
            let path = Path::new(self.controller);
            let problems = validation::qualified_name(controller).into_iter();
            errors.extend(problems.map(|problem| FieldError::invalid(&path, controller, problem)));
            for (field, max) in
                [("reportingInstance", MAX_INSTANCE), ("action", MAX_ACTION), ("reason", MAX_REASON)]
            {
                required(&mut errors, field, text(event, field));
                too_long(&mut errors, field, text(event, field), max);
            }
            too_long(&mut errors, "message", text(event, self.message), MAX_NOTE);
        }
        let problems = validation::dns1123_subdomain(own).into_iter();
        errors.extend(problems.map(|problem| FieldError::invalid(&Path::new("namespace"), own, problem)));
        errors
    }

    /// What the newer group asks of a new Event besides.
    fn strict(&self, event: &Value) -> Vec<FieldError> {
        let mut errors = series(event);
        if !has(event, "eventTime") {
            errors.push(FieldError::required(&Path::new("eventTime"), ""));
        }
        let kind = text(event, "type");
        if !matches!(kind, "Normal" | "Warning") {
            errors.push(FieldError::invalid(&Path::new("type"), "", format!("has invalid value: {kind}")));
        }
        let set = |field: &str| at(event, field);
        let source = set(self.source);
        let unset = [
            ("firstTimestamp", !set(self.first).is_null()),
            ("lastTimestamp", !set(self.last).is_null()),
            ("count", set(self.count).as_i64().unwrap_or(0) != 0),
            ("source", !text(source, "component").is_empty() || !text(source, "host").is_empty()),
        ];
        let wrong = unset.into_iter().filter(|(_, is_set)| *is_set);
        errors
            .extend(wrong.map(|(field, _)| FieldError::invalid(&Path::new(field), "", "needs to be unset")));
        errors
    }

    /// All but the series of an Event stays as it is.
    fn unchanged(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let fields = [
            (self.object, "involvedObject"),
            ("reason", "reason"),
            (self.message, "message"),
            (self.source, "source"),
            (self.first, "firstTimestamp"),
            (self.last, "lastTimestamp"),
            (self.count, "count"),
            ("reason", "reason"),
            ("type", "type"),
            ("eventTime", "eventTime"),
            ("action", "action"),
            ("related", "related"),
            (self.controller, "reportingController"),
            ("reportingInstance", "reportingInstance"),
        ];
        let changed = fields.into_iter().filter(|(field, _)| at(new, field) != at(old, field));
        let error = |(field, name): (&str, &'static str)| {
            FieldError::invalid(&Path::new(name), at(new, field).clone(), "field is immutable")
        };
        changed.map(error).collect()
    }
}
