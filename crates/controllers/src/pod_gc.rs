//! Pod garbage collection: the oldest ended Pods beyond a threshold, Pods on nodes that no longer
//! exist, and Pods being deleted that never got a node.

use std::collections::BTreeSet;

use apimachinery::meta;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Ended Pods that are kept (`--terminated-pod-gc-threshold`).
pub const TERMINATED_MAX: usize = 12_500;
/// A node must be missing this long before its Pods are.
pub const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// The Pod did not end by itself: it is to be marked Failed first (DisruptionTarget,
    /// DeletionByPodGC).
    pub mark_failed: bool,
}

/// Which Pods go. `missing` names nodes and since when they are missing.
pub fn plan<'a>(
    pods: impl Iterator<Item = &'a Value>,
    nodes: &BTreeSet<String>,
    missing: impl Fn(&str) -> Option<Timestamp>,
    terminated_max: usize,
    now: Timestamp,
) -> Vec<Delete> {
    let mut deletes = Vec::new();
    let mut ended = Vec::new();
    for pod in pods {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        let is_ended = matches!(phase, "Succeeded" | "Failed");
        let orphaned = !node.is_empty() && !nodes.contains(node);
        if orphaned && missing(node).is_some_and(|since| now.duration_since(since) >= QUARANTINE) {
            deletes.push(delete(pod, !is_ended));
        } else if node.is_empty() && meta::is_deleting(pod) && !is_ended {
            deletes.push(delete(pod, true));
        } else if is_ended && !meta::is_deleting(pod) {
            ended.push(pod);
        }
    }
    if ended.len() > terminated_max {
        ended.sort_by_key(|pod| (meta::creation_timestamp(pod), meta::name(pod).to_string()));
        deletes.extend(ended[..ended.len() - terminated_max].iter().map(|pod| delete(pod, false)));
    }
    deletes
}

fn delete(pod: &Value, mark_failed: bool) -> Delete {
    Delete {
        namespace: meta::namespace(pod).into(),
        name: meta::name(pod).into(),
        uid: meta::uid(pod).into(),
        mark_failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, node: &str, phase: &str, created: i64) -> Value {
        json!({"metadata": {"name": name, "namespace": "n", "uid": name, "creationTimestamp": format!("2026-01-01T00:00:{created:02}Z")},
            "spec": {"nodeName": node}, "status": {"phase": phase}})
    }

    #[test]
    fn orphans_wait_out_the_quarantine_and_old_ended_pods_go() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().expect("a timestamp");
        let pods = [
            pod("orphan", "gone", "Running", 0),
            pod("fine", "here", "Running", 0),
            pod("old", "here", "Succeeded", 1),
            pod("new", "here", "Failed", 2),
        ];
        let nodes: BTreeSet<String> = ["here".to_string()].into();
        let run = |since: i64| {
            let missing = |_: &str| now.checked_sub(SignedDuration::from_secs(since)).ok();
            let plan = plan(pods.iter(), &nodes, missing, 1, now);
            plan.into_iter().map(|d| (d.name, d.mark_failed)).collect::<Vec<_>>()
        };
        assert_eq!(run(10), [("old".to_string(), false)]);
        assert_eq!(run(60), [("orphan".to_string(), true), ("old".to_string(), false)]);
    }
}
