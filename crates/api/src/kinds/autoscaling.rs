//! Horizontal pod autoscalers, as they are stored (autoscaling/v2): what is scaled, by which metrics, and
//! how fast.

use super::plain::{Kind, Plain};
use super::pod::{amounts, errors::Errors, values};
use crate::read::{at, has, int, list, opt_text, quantity, text};
use apimachinery::{Path, validation};
use serde_json::Value;

const MAX_PERIOD: i64 = 1800;
const MAX_WINDOW: i64 = 3600;
const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
/// Sources in the order in which upstream looks at them, and their types.
const SOURCES: [(&str, &str); 5] = [
    ("object", "Object"),
    ("external", "External"),
    ("pods", "Pods"),
    ("resource", "Resource"),
    ("containerResource", "ContainerResource"),
];

pub(super) static KINDS: &[Kind] = &[(
    "autoscaling",
    "horizontalpodautoscalers",
    Plain::of()
        .status()
        .rules(|object, errors| spec(at(object, "spec"), None, errors))
        .update(|new, old, errors| spec(at(new, "spec"), Some(at(old, "spec")), errors))
        .status_rules(|new, _, errors| {
            let counts = ["currentReplicas", "desiredReplicas"];
            errors.counts(&Path::new("status"), at(new, "status"), &counts);
        }),
)];

/// What an old object did wrong already is let through.
#[derive(Clone, Copy)]
struct Known {
    target_version: bool,
    metric_versions: bool,
    /// Whether the API group may be left out.
    core_target: bool,
}

fn spec(spec: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (path, target_ref) = (Path::new("spec"), at(spec, "scaleTargetRef"));
    let bad = |reference: &Value| version_problem(text(reference, "apiVersion"), true).is_some();
    let known = Known {
        target_version: old.is_some_and(|old| {
            let same = |field| text(at(old, "scaleTargetRef"), field) == text(target_ref, field);
            same("apiVersion") && same("kind")
        }),
        metric_versions: old.is_some_and(|old| {
            list(old, "metrics").iter().any(|metric| bad(at(at(metric, "object"), "describedObject")))
        }),
        core_target: text(target_ref, "kind") == "ReplicationController",
    };
    let was_zero = old.is_some_and(|old| int(old, "minReplicas") == Some(0));
    let (min, max) = (int(spec, "minReplicas"), int(spec, "maxReplicas").unwrap_or(0));
    let low = i64::from(!was_zero);
    if let Some(min) = min.filter(|min| *min < low) {
        errors.invalid(&path.child("minReplicas"), min, format!("must be greater than or equal to {low}"));
    }
    let at_max = path.child("maxReplicas");
    if max == 0 {
        errors.required(&at_max, "must be set and greater than 0");
    } else if max < 0 {
        errors.invalid(&at_max, max, "must be greater than or equal to 1");
    }
    if min.is_some_and(|min| max < min) {
        errors.invalid(&at_max, max, "must be greater than or equal to `minReplicas`");
    }
    reference(target_ref, known.core_target, known.target_version, &path.child("scaleTargetRef"), errors);
    let (metrics, at_metrics) = (list(spec, "metrics"), path.child("metrics"));
    for (index, metric) in metrics.iter().enumerate() {
        self::metric(metric, known.metric_versions, &at_metrics.index(index), errors);
    }
    let outside = metrics.iter().any(|metric| matches!(text(metric, "type"), "Object" | "External"));
    if min == Some(0) && !outside {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.forbidden(&at_metrics, detail);
    }
    for field in ["scaleUp", "scaleDown"] {
        let rules = at(at(spec, "behavior"), field);
        if !rules.is_null() {
            scaling(rules, &path.child("behavior").child(field), errors);
        }
    }
}

/// What is wrong with an `apiVersion`.
fn version_problem(version: &str, core: bool) -> Option<String> {
    let slashes = if version == "/" { 0 } else { version.matches('/').count() };
    if slashes > 1 {
        return Some(format!("unexpected GroupVersion string: {version}"));
    }
    let grouped = version.split_once('/').is_some_and(|(group, _)| !group.is_empty());
    (!core && !grouped).then(|| "apiVersion must specify API group".to_owned())
}

fn reference(reference: &Value, core: bool, known: bool, path: &Path, errors: &mut Errors) {
    for field in ["kind", "name"] {
        if errors.need(path, reference, field) {
            let value = text(reference, field);
            errors.problems(&path.child(field), value, validation::path_segment_name(value));
        }
    }
    let version = text(reference, "apiVersion");
    if let Some(problem) = version_problem(version, core).filter(|_| !known) {
        errors.invalid(&path.child("apiVersion"), version, problem);
    }
}

fn metric(metric: &Value, known: bool, path: &Path, errors: &mut Errors) {
    const MISSING: &str = "must populate information for the given metric source";
    let (kind, at_type) = (text(metric, "type"), path.child("type"));
    if kind.is_empty() {
        errors.required(&at_type, "must specify a metric source type");
    }
    errors.known(&at_type, kind, &TYPES);
    let there: Vec<&str> = SOURCES.iter().map(|(field, _)| *field).filter(|f| has(metric, f)).collect();
    if let Some(first) = there.first() {
        source(first, at(metric, first), known, &path.child((*first).to_owned()), errors);
    }
    let wanted = SOURCES.iter().find(|(_, named)| *named == kind).map(|(field, _)| *field);
    match wanted {
        Some(field) if !has(metric, field) => errors.required(&path.child(field), MISSING),
        Some(_) => {}
        None => errors.known(&at_type, kind, &TYPES),
    }
    if there.len() != 1 {
        for field in there.iter().filter(|field| Some(**field) != wanted) {
            let path = path.child((*field).to_owned());
            errors.forbidden(&path, "must populate the given metric source only");
        }
    }
}

fn source(field: &str, source: &Value, known: bool, path: &Path, errors: &mut Errors) {
    let (wanted, at_target) = (at(source, "target"), path.child("target"));
    let set = |field: &str| has(wanted, field);
    if field == "object" {
        let (object, path) = (at(source, "describedObject"), path.child("describedObject"));
        reference(object, true, known, &path, errors);
    }
    if matches!(field, "object" | "external" | "pods") {
        let (metric, path) = (at(source, "metric"), path.child("metric"));
        let name = text(metric, "name");
        if name.is_empty() {
            errors.required(&path.child("name"), "must specify a metric name");
        } else {
            errors.problems(&path.child("name"), name, validation::path_segment_name(name));
        }
    } else {
        let name = text(source, "name");
        if name.is_empty() {
            errors.required(&path.child("name"), "must specify a resource name");
        } else if field == "containerResource" {
            amounts::container_resource(name, &path.child("name"), errors);
        }
    }
    if field == "containerResource" {
        let container = text(source, "container");
        if container.is_empty() {
            errors.required(&path.child("container"), "must specify a container");
        } else {
            errors.label(&path.child("container"), container);
        }
    }
    target(wanted, &at_target, errors);
    let at_average = at_target.child("averageValue");
    match field {
        "object" if !set("value") && !set("averageValue") => {
            errors.required(&at_average, "must set either a target value or averageValue");
        }
        "external" if !set("value") && !set("averageValue") => {
            let detail = "must set either a target value for metric or a per-pod target";
            errors.required(&at_average, detail);
        }
        "external" if set("value") && set("averageValue") => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.forbidden(&at_target.child("value"), detail);
        }
        "pods" if !set("averageValue") => {
            errors.required(&at_average, "must specify a positive target averageValue");
        }
        "resource" | "containerResource" if set("averageUtilization") == set("averageValue") => {
            if set("averageValue") {
                let detail = "may not set both a target raw value and a target utilization";
                errors.forbidden(&at_average, detail);
            } else {
                let detail = "must set either a target raw value or a target utilization";
                errors.required(&at_target.child("averageUtilization"), detail);
            }
        }
        _ => {}
    }
}

fn target(target: &Value, path: &Path, errors: &mut Errors) {
    let kind = text(target, "type");
    if kind.is_empty() {
        errors.required(&path.child("type"), "must specify a metric target type");
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        errors.invalid(&path.child("type"), kind, "must be either Utilization, Value, or AverageValue");
    }
    for field in ["value", "averageValue"] {
        if quantity(at(target, field)).is_some_and(|amount| amount.signum() != 1) {
            errors.invalid(&path.child(field), at(target, field).clone(), "must be positive");
        }
    }
    if let Some(share) = int(target, "averageUtilization").filter(|share| *share < 1) {
        errors.invalid(&path.child("averageUtilization"), share, "must be greater than 0");
    }
}

fn scaling(rules: &Value, path: &Path, errors: &mut Errors) {
    let (window, at_window) =
        (int(rules, "stabilizationWindowSeconds"), path.child("stabilizationWindowSeconds"));
    if let Some(window) = window.filter(|window| *window < 0) {
        errors.invalid(&at_window, window, "must be greater than or equal to zero");
    }
    if let Some(window) = window.filter(|window| *window > MAX_WINDOW) {
        errors.invalid(&at_window, window, format!("must be less than or equal to {MAX_WINDOW}"));
    }
    if let Some(policy) = opt_text(rules, "selectPolicy") {
        errors.known(&path.child("selectPolicy"), policy, &["Disabled", "Max", "Min"]);
    }
    let (policies, at_policies) = (list(rules, "policies"), path.child("policies"));
    if policies.is_empty() {
        errors.required(&at_policies, "must specify at least one Policy");
    }
    for (index, policy) in policies.iter().enumerate() {
        let path = at_policies.index(index);
        errors.known(&path.child("type"), text(policy, "type"), &["Percent", "Pods"]);
        for field in ["value", "periodSeconds"] {
            if let Some(number) = Some(int(policy, field).unwrap_or(0)).filter(|number| *number <= 0) {
                errors.invalid(&path.child(field), number, "must be greater than zero");
            }
        }
        if let Some(period) = int(policy, "periodSeconds").filter(|period| *period > MAX_PERIOD) {
            let detail = format!("must be less than or equal to {MAX_PERIOD}");
            errors.invalid(&path.child("periodSeconds"), period, detail);
        }
    }
    if quantity(at(rules, "tolerance")).is_some_and(|amount| amount.signum() < 0) {
        errors.invalid(&path.child("tolerance"), at(rules, "tolerance").clone(), values::NOT_NEGATIVE);
    }
}
