//! NodeResourcesFit: the node must have room for the Pod's requests; emptier nodes score higher
//! (LeastAllocated over cpu and memory).

use crate::framework::{FilterPlugin, Rejection, SCORE_MAX, ScorePlugin};
use crate::pod::PodInfo;
use crate::snapshot::NodeInfo;

pub struct NodeResourcesFit;

/// One resource that does not fit, with the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insufficient {
    pub reason: String,
    pub requested: i64,
    pub used: i64,
    pub capacity: i64,
}

impl NodeResourcesFit {
    /// Everything that does not fit, in upstream's order.
    pub fn insufficient(pod: &PodInfo, node: &NodeInfo) -> Vec<Insufficient> {
        let mut all = Vec::new();
        let used_pods = node.pods as i64;
        if used_pods + 1 > node.allocatable.pods {
            let reason = "Too many pods".to_string();
            all.push(Insufficient { reason, requested: 1, used: used_pods, capacity: node.allocatable.pods });
        }
        let (want, have, used) = (&pod.requests, &node.allocatable, &node.requested);
        let mut check = |name: &str, requested: i64, capacity: i64, used: i64| {
            if requested > 0 && requested > capacity - used {
                all.push(Insufficient { reason: format!("Insufficient {name}"), requested, used, capacity });
            }
        };
        check("cpu", want.milli_cpu, have.milli_cpu, used.milli_cpu);
        check("memory", want.memory, have.memory, used.memory);
        check("ephemeral-storage", want.ephemeral_storage, have.ephemeral_storage, used.ephemeral_storage);
        for (name, amount) in &want.scalar {
            let of = |map: &std::collections::BTreeMap<String, i64>| map.get(name).copied().unwrap_or(0);
            check(name, *amount, of(&have.scalar), of(&used.scalar));
        }
        all
    }
}

impl FilterPlugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let insufficient = NodeResourcesFit::insufficient(pod, node);
        if insufficient.is_empty() {
            return Ok(());
        }
        // A node that is too small even when empty is not made to fit by removing Pods.
        let resolvable = insufficient.iter().all(|i| i.requested <= i.capacity);
        Err(Rejection { reasons: insufficient.into_iter().map(|i| i.reason).collect(), resolvable })
    }
}

impl ScorePlugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let free = |capacity: i64, used: i64| {
            if capacity == 0 || used > capacity { 0 } else { (capacity - used) * SCORE_MAX / capacity }
        };
        let cpu =
            free(node.allocatable.milli_cpu, node.score_requested.milli_cpu + pod.score_requests.milli_cpu);
        let memory = free(node.allocatable.memory, node.score_requested.memory + pod.score_requests.memory);
        (cpu + memory) / 2
    }
}
