//! One Pod, one decision: all nodes are filtered, those that pass are scored, the best wins.

use crate::diagnosis::{Diagnosis, NodeReasons};
use crate::plugins::{FILTERS, SCORES};
use crate::pod::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Node(String),
    Unschedulable(Diagnosis),
}

/// Total and deterministic: the same snapshot and Pod always give the same answer. Of equally
/// good nodes the one with fewest Pods wins, then the first by name.
pub fn schedule(snapshot: &Snapshot, pod: &PodInfo) -> Decision {
    let mut feasible: Vec<&NodeInfo> = Vec::new();
    let mut refused = Vec::new();
    for node in snapshot.nodes() {
        match refusal(pod, node) {
            None => feasible.push(node),
            Some(reasons) => refused.push(reasons),
        }
    }
    match feasible.len() {
        0 => Decision::Unschedulable(Diagnosis {
            nodes: refused,
            never_preempts: pod.spec()["preemptionPolicy"] == "Never",
        }),
        1 => Decision::Node(feasible[0].name.clone()),
        _ => Decision::Node(best(pod, &feasible).name.clone()),
    }
}

fn refusal(pod: &PodInfo, node: &NodeInfo) -> Option<NodeReasons> {
    FILTERS.iter().find_map(|plugin| {
        let rejection = plugin.filter(pod, node).err()?;
        Some(NodeReasons { node: node.name.clone(), plugin: plugin.name(), rejection })
    })
}

fn best<'a>(pod: &PodInfo, nodes: &[&'a NodeInfo]) -> &'a NodeInfo {
    let mut totals = vec![0i64; nodes.len()];
    for plugin in SCORES {
        let mut scores: Vec<i64> = nodes.iter().map(|node| plugin.score(pod, node)).collect();
        plugin.normalize(&mut scores);
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += score * plugin.weight();
        }
    }
    let mut winner = 0;
    for i in 1..nodes.len() {
        let better = totals[i] > totals[winner];
        let emptier = totals[i] == totals[winner] && nodes[i].pods < nodes[winner].pods;
        if better || emptier {
            winner = i;
        }
    }
    nodes[winner]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn node(name: &str, cpu: &str, spec: Value) -> Arc<Value> {
        Arc::new(json!({"metadata": {"name": name, "labels": {"name": name}}, "spec": spec,
            "status": {"allocatable": {"cpu": cpu, "memory": "4Gi", "pods": "110"}}}))
    }

    fn pod(name: &str, mut spec: Value, cpu: &str) -> PodInfo {
        spec["containers"] = json!([{"name": "c", "resources": {"requests": {"cpu": cpu}}}]);
        PodInfo::new(Arc::new(json!({"metadata": {"name": name, "uid": name}, "spec": spec})))
    }

    fn snapshot(nodes: &[Arc<Value>]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        nodes.iter().for_each(|node| snapshot.set_node(node.clone()));
        snapshot
    }

    fn message(snapshot: &Snapshot, pod: &PodInfo) -> String {
        match schedule(snapshot, pod) {
            Decision::Unschedulable(diagnosis) => diagnosis.message(),
            Decision::Node(node) => panic!("went to {node}"),
        }
    }

    #[test]
    fn reasons_are_counted_and_sorted_as_upstream_prints_them() {
        let mut small = snapshot(&[
            node("a", "1", json!({})),
            node("b", "1", json!({})),
            node("c", "1", json!({"taints": [{"key": "k", "effect": "NoSchedule"}]})),
        ]);
        small.place(pod("filler-a", json!({}), "900m"), "a");
        small.place(pod("filler-b", json!({}), "900m"), "b");
        assert_eq!(
            message(&small, &pod("p", json!({}), "500m")),
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. \
             preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, \
             2 No preemption victims found for incoming pod."
        );
        assert_eq!(
            message(&Snapshot::default(), &pod("p", json!({}), "1")),
            "no nodes available to schedule pods"
        );
    }

    #[test]
    fn selectors_cordons_and_names_are_told() {
        let nodes = snapshot(&[node("a", "1", json!({"unschedulable": true}))]);
        assert!(
            message(&nodes, &pod("p", json!({}), "1m"))
                .starts_with("0/1 nodes are available: 1 node(s) were unschedulable.")
        );
        let nodes = snapshot(&[node("a", "1", json!({}))]);
        let wants = pod("p", json!({"nodeSelector": {"disktype": "ssd"}}), "1m");
        assert!(message(&nodes, &wants).contains("1 node(s) didn't match Pod's node affinity/selector."));
    }

    #[test]
    fn the_emptier_node_wins_and_room_comes_back() {
        let mut nodes = snapshot(&[node("a", "2", json!({})), node("b", "2", json!({}))]);
        nodes.place(pod("x", json!({}), "1"), "a");
        assert_eq!(schedule(&nodes, &pod("p", json!({}), "500m")), Decision::Node("b".into()));
        nodes.place(pod("y", json!({}), "2"), "b");
        assert_eq!(schedule(&nodes, &pod("p", json!({}), "500m")), Decision::Node("a".into()));
        assert!(nodes.take("y") && !nodes.take("y"));
        assert_eq!(schedule(&nodes, &pod("p", json!({}), "2")), Decision::Node("b".into()));
    }

    #[test]
    fn preferences_and_soft_taints_weigh_in() {
        let soft = json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]});
        let nodes = snapshot(&[node("a", "2", soft), node("b", "2", json!({}))]);
        assert_eq!(schedule(&nodes, &pod("p", json!({}), "1m")), Decision::Node("b".into()));
        let prefers_a = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 10, "preference": {"matchExpressions": [{"key": "name", "operator": "In", "values": ["a"]}]}}]}}});
        let plain = snapshot(&[node("a", "2", json!({})), node("b", "2", json!({}))]);
        assert_eq!(schedule(&plain, &pod("p", prefers_a, "1m")), Decision::Node("a".into()));
    }
}
