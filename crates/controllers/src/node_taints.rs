//! Taints that follow a node's conditions: not ready, unreachable, under pressure, cordoned. Only
//! the taints listed here are touched.

use serde_json::{Value, json};

/// Condition, status, and the taint that goes with it.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", "node.kubernetes.io/not-ready"),
    ("Ready", "Unknown", "node.kubernetes.io/unreachable"),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The node's taints as they should be, if they differ.
pub fn plan(node: &Value) -> Option<Vec<Value>> {
    let current: Vec<Value> = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let mut wanted: Vec<&str> = Vec::new();
    for condition in node["status"]["conditions"].as_array().into_iter().flatten() {
        for (kind, status, taint) in BY_CONDITION {
            if condition["type"] == kind && condition["status"] == status {
                wanted.push(taint);
            }
        }
    }
    if node["spec"]["unschedulable"] == true {
        wanted.push(UNSCHEDULABLE);
    }
    let ours = |taint: &Value| {
        let key = taint["key"].as_str().unwrap_or_default();
        taint["effect"] == "NoSchedule"
            && (key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, t)| *t == key))
    };
    let mut taints: Vec<Value> = current
        .iter()
        .filter(|taint| !ours(taint) || wanted.contains(&taint["key"].as_str().unwrap_or_default()))
        .cloned()
        .collect();
    for key in wanted {
        if !taints.iter().any(|taint| taint["key"] == key && taint["effect"] == "NoSchedule") {
            taints.push(json!({"key": key, "effect": "NoSchedule"}));
        }
    }
    (taints != current).then_some(taints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_follow_conditions_and_leave_others_alone() {
        let node = |ready: &str, cordoned: bool, taints: Value| {
            json!({"spec": {"unschedulable": cordoned, "taints": taints},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}})
        };
        let taint = |key: &str| json!({"key": key, "effect": "NoSchedule"});
        let own = taint("dedicated");
        let not_ready = taint("node.kubernetes.io/not-ready");
        assert_eq!(plan(&node("True", false, json!([own, not_ready]))), Some(vec![own.clone()]));
        assert_eq!(plan(&node("False", false, json!([]))), Some(vec![not_ready.clone()]));
        assert_eq!(plan(&node("True", true, json!([]))), Some(vec![taint(UNSCHEDULABLE)]));
        assert_eq!(plan(&node("True", false, json!([own]))), None);
    }
}
