//! Sums of what a Pod's containers ask for, and what a Pod's own `resources` default to (KEP-2837,
//! KEP-753: a sidecar counts on from its start, other init containers one at a time).

use crate::qos::ResourceList;
use crate::read::{list, map, quantity, text};
use apimachinery::meta;
use serde_json::{Map, Value};

/// The sum over a Pod's containers of `requests` or `limits`, without overhead and Pod level.
pub fn aggregate(spec: &Value, field: &str) -> ResourceList {
    let mut sum = ResourceList::new();
    for container in list(spec, "containers") {
        add(&mut sum, &of(container, field));
    }
    let mut sidecars = ResourceList::new();
    let mut init = ResourceList::new();
    for container in list(spec, "initContainers") {
        let own = of(container, field);
        if is_sidecar(container) {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            raise(&mut init, &sidecars);
        } else {
            let mut step = own;
            add(&mut step, &sidecars);
            raise(&mut init, &step);
        }
    }
    raise(&mut sum, &init);
    sum
}

/// Whether an init container runs on beside the app containers.
pub fn is_sidecar(init_container: &Value) -> bool {
    text(init_container, "restartPolicy") == "Always"
}

/// Resources that a Pod as a whole may ask for.
pub fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_page(name)
}

pub fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn of(container: &Value, field: &str) -> ResourceList {
    let resources = container.get("resources").unwrap_or(&Value::Null);
    map(resources, field).filter_map(|(name, amount)| Some((name.clone(), quantity(amount)?))).collect()
}

fn add(sum: &mut ResourceList, more: &ResourceList) {
    for (name, amount) in more {
        let entry = sum.entry(name.clone()).or_default();
        *entry = *entry + *amount;
    }
}

fn raise(sum: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in other {
        let entry = sum.entry(name.clone()).or_insert(*amount);
        *entry = (*entry).max(*amount);
    }
}

/// Fills a Pod's own requests and huge page limits, if it has any resources of its own.
pub(crate) fn default_pod_level(spec: &mut Value) {
    let Some(own) = spec.get("resources").filter(|own| own.is_object()) else { return };
    let entries = |field: &str| own.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
    let (mut requests, mut limits) = (entries("requests"), entries("limits"));
    if requests.is_empty() && limits.is_empty() {
        return;
    }
    for (name, amount) in aggregate(spec, "limits") {
        if is_huge_page(&name) && !requests.contains_key(&name) {
            limits.entry(name).or_insert_with(|| amount.to_string().into());
        }
    }
    if !limits.is_empty() {
        default_requests(spec, &mut requests, &limits);
    }
    let own = meta::object_at(meta::as_object_mut(spec), "resources");
    for (field, entries) in [("requests", requests), ("limits", limits)] {
        if !entries.is_empty() {
            own.insert(field.into(), entries.into());
        }
    }
}

fn default_requests(spec: &Value, requests: &mut Map<String, Value>, limits: &Map<String, Value>) {
    for (name, amount) in aggregate(spec, "requests") {
        if matches!(name.as_str(), "cpu" | "memory") {
            requests.entry(name).or_insert_with(|| amount.to_string().into());
        }
    }
    for (name, limit) in limits.iter().filter(|(name, _)| is_pod_level(name)) {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}
