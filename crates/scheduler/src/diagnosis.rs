//! Why no node took a Pod: each node's reasons as data, and upstream's one-line summary of them.

use std::collections::BTreeMap;

use crate::framework::Rejection;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReasons {
    pub node: String,
    /// The plugin that refused.
    pub plugin: &'static str,
    pub rejection: Rejection,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    pub nodes: Vec<NodeReasons>,
    /// The Pod may not preempt others.
    pub never_preempts: bool,
}

const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";

impl Diagnosis {
    /// Text of the FailedScheduling event and of the PodScheduled condition.
    pub fn message(&self) -> String {
        if self.nodes.is_empty() {
            return "no nodes available to schedule pods".into();
        }
        let reasons = self.nodes.iter().flat_map(|n| n.rejection.reasons.iter().map(String::as_str));
        let preemption = if self.never_preempts {
            "not eligible due to preemptionPolicy=Never.".to_string()
        } else {
            let kinds =
                self.nodes.iter().map(|n| if n.rejection.resolvable { NO_VICTIMS } else { NOT_HELPFUL });
            self.summary(kinds)
        };
        format!("{} preemption: {preemption}", self.summary(reasons))
    }

    /// `0/3 nodes are available: 1 a, 2 b.`, sorted as text.
    fn summary<'a>(&self, reasons: impl Iterator<Item = &'a str>) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in reasons {
            *counts.entry(reason).or_default() += 1;
        }
        let mut parts: Vec<String> =
            counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        parts.sort();
        format!("0/{} nodes are available: {}.", self.nodes.len(), parts.join(", "))
    }

    /// Plugins that refused, for queueing hints.
    pub fn plugins(&self) -> std::collections::BTreeSet<&'static str> {
        self.nodes.iter().map(|n| n.plugin).collect()
    }
}
