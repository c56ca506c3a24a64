//! What decides over Pods from outside: disruption budgets, priority classes, runtime classes.

use super::plain::{Kind, Plain};
use super::pod::{
    affinity::{label_selector, tolerations},
    amounts,
    errors::Errors,
    warnings::deprecated,
};
use crate::read::{at, flag, has, int, list, map, opt_text, text};
use apimachinery::{FieldError, Path, meta, validation};
use serde_json::{Value, json};

const HIGHEST_PRIORITY: i64 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";
/// The classes that every cluster has.
const SYSTEM: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

pub(super) static KINDS: &[Kind] = &[
    (
        "policy",
        "poddisruptionbudgets",
        Plain::of().status().generation().needs_version().rules(budget).status_rules(budget_status),
    ),
    (
        "scheduling.k8s.io",
        "priorityclasses",
        Plain::of().bump(|_, _| false).rules(priority).update(priority_update),
    ),
    (
        "node.k8s.io",
        "runtimeclasses",
        Plain::of()
            .create_on_update()
            .needs_version()
            .rules(runtime)
            .update(|new, old, errors| {
                runtime(new, errors);
                errors.immutable_fields(&Path::root(), new, old, &["handler"]);
            })
            .warn(|class, _| runtime_warnings(class)),
    ),
];

fn budget(object: &Value, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    if has(spec, "minAvailable") && has(spec, "maxUnavailable") {
        errors.invalid(&path, spec.clone(), "minAvailable and maxUnavailable cannot be both set");
    }
    for field in ["minAvailable", "maxUnavailable"] {
        errors.int_or_percent(&path.child(field), at(spec, field));
        errors.at_most_all(&path.child(field), at(spec, field));
    }
    label_selector(at(spec, "selector"), &path.child("selector"), errors);
    if let Some(policy) = opt_text(spec, "unhealthyPodEvictionPolicy") {
        let path = path.child("unhealthyPodEvictionPolicy");
        errors.known(&path, policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

fn budget_status(new: &Value, _: &Value, errors: &mut Errors) {
    let (status, path) = (at(new, "status"), Path::new("status"));
    errors.conditions(&path.child("conditions"), list(status, "conditions"));
    let counts = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
    errors.counts(&path, status, &counts);
}

fn priority(class: &Value, errors: &mut Errors) {
    let (name, value) = (meta::name(class), int(class, "value").unwrap_or(0));
    if name.starts_with(SYSTEM_PREFIX) {
        let problem = match SYSTEM.iter().find(|(known, _)| *known == name) {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, fixed)) if *fixed != value => {
                Some(format!("value of {name} PriorityClass must be {fixed}"))
            }
            Some(_) if flag(class, "globalDefault") => {
                Some(format!("globalDefault of {name} PriorityClass must be false"))
            }
            Some(_) => None,
        };
        if let Some(problem) = problem {
            let detail = format!(
                "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {problem}"
            );
            errors.forbidden(&Path::new("metadata").child("name"), detail);
        }
    } else if value > HIGHEST_PRIORITY {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}");
        errors.forbidden(&Path::new("value"), detail);
    }
    if let Some(policy) = opt_text(class, "preemptionPolicy") {
        errors.one_of(&Path::new("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
}

fn priority_update(new: &Value, old: &Value, errors: &mut Errors) {
    if int(new, "value").unwrap_or(0) != int(old, "value").unwrap_or(0) {
        errors.forbidden(&Path::new("value"), "may not be changed in an update.");
    }
    errors.immutable_fields(&Path::root(), new, old, &["preemptionPolicy"]);
}

fn runtime(class: &Value, errors: &mut Errors) {
    if errors.need(&Path::root(), class, "handler") {
        errors.label(&Path::new("handler"), text(class, "handler"));
    }
    let overhead = at(class, "overhead");
    if !overhead.is_null() {
        amounts::limits(at(overhead, "podFixed"), &Path::new("overhead"), errors);
    }
    let (scheduling, path) = (at(class, "scheduling"), Path::new("scheduling"));
    if let Some(selector) = scheduling.get("nodeSelector").and_then(Value::as_object) {
        errors.0.extend(validation::labels(selector, &path.child("nodeSelector")));
    }
    tolerations(scheduling, &path, errors);
    let mut seen = Vec::new();
    for (index, toleration) in list(scheduling, "tolerations").iter().enumerate() {
        let key = ["key", "operator", "value", "effect"].map(|field| text(toleration, field));
        if seen.contains(&key) {
            let path = path.child("tolerations").index(index);
            errors.push(FieldError::duplicate(&path, json!(toleration)));
        }
        seen.push(key);
    }
}

fn runtime_warnings(class: &Value) -> Vec<String> {
    let keys = map(at(class, "scheduling"), "nodeSelector").filter_map(|(key, _)| deprecated(key));
    keys.map(|text| format!("scheduling.nodeSelector: {text}")).collect()
}
