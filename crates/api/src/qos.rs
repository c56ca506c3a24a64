//! Quality-of-service class of a Pod (`status.qosClass`), and sums of its requests and limits.
//! Only cpu and memory of app and init containers count; pod-level resources win where set
//! (KEP-2837). Shared by the API server (status), the scheduler and the node.

use std::collections::BTreeMap;

use apimachinery::quantity::Quantity;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    pub fn as_str(self) -> &'static str {
        match self {
            QosClass::Guaranteed => "Guaranteed",
            QosClass::Burstable => "Burstable",
            QosClass::BestEffort => "BestEffort",
        }
    }
}

pub type ResourceList = BTreeMap<String, Quantity>;

/// The class of a Pod's spec.
pub fn qos_class(spec: &Value) -> QosClass {
    let pod_level = &spec["resources"];
    if has_any(&pod_level["requests"]) || has_any(&pod_level["limits"]) {
        return classify(std::iter::once(pod_level));
    }
    classify(all_containers(spec).map(|container| &container["resources"]))
}

/// Init containers first, then app containers; never ephemeral ones.
pub fn all_containers(spec: &Value) -> impl Iterator<Item = &Value> {
    let list = |field: &str| spec[field].as_array().map(Vec::as_slice).unwrap_or_default();
    list("initContainers").iter().chain(list("containers"))
}

fn classify<'a>(all: impl Iterator<Item = &'a Value>) -> QosClass {
    let (mut requests, mut limits) = (ResourceList::new(), ResourceList::new());
    let mut guaranteed = true;
    for resources in all {
        add(&mut requests, &resources["requests"]);
        let mut found = 0;
        for name in ["cpu", "memory"] {
            if quantity(&resources["limits"], name).is_some_and(|q| !q.is_zero()) {
                found += 1;
            }
        }
        add(&mut limits, &resources["limits"]);
        guaranteed &= found == 2;
    }
    if requests.is_empty() && limits.is_empty() {
        return QosClass::BestEffort;
    }
    let same = limits.len() == requests.len() && requests.iter().all(|(name, q)| limits.get(name) == Some(q));
    if guaranteed && same { QosClass::Guaranteed } else { QosClass::Burstable }
}

fn has_any(list: &Value) -> bool {
    ["cpu", "memory"].iter().any(|name| quantity(list, name).is_some_and(|q| !q.is_zero()))
}

/// Adds cpu and memory, zero left out.
fn add(sum: &mut ResourceList, list: &Value) {
    for name in ["cpu", "memory"] {
        if let Some(q) = quantity(list, name).filter(|q| !q.is_zero()) {
            let entry = sum.entry(name.to_string()).or_default();
            *entry = entry.add(q);
        }
    }
}

/// One entry of a resource list; `None` if absent or not a quantity.
pub fn quantity(list: &Value, name: &str) -> Option<Quantity> {
    match list.get(name)? {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_three_classes_of_the_documents() {
        let pod = |resources: Value| json!({"containers": [{"name": "app", "resources": resources}]});
        let cases = [
            (json!({}), QosClass::BestEffort),
            (json!({"requests": {"cpu": "0"}}), QosClass::BestEffort),
            (
                json!({"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"cpu": "500m"}}),
                QosClass::Burstable,
            ),
            (
                json!({"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"cpu": "0.5", "memory": "256Mi"}}),
                QosClass::Guaranteed,
            ),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), QosClass::Burstable),
        ];
        for (resources, class) in cases {
            assert_eq!(qos_class(&pod(resources.clone())), class, "{resources}");
        }
    }
}
