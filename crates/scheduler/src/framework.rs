//! What a plugin is. Filters say why a node cannot take a Pod, scores say how good one is.

use crate::pod::PodInfo;
use crate::snapshot::NodeInfo;

/// Highest score of one plugin on one node.
pub const SCORE_MAX: i64 = 100;

/// Why a node was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Upstream's words, one entry per reason.
    pub reasons: Vec<String>,
    /// Whether removing other Pods from the node could help.
    pub resolvable: bool,
}

impl Rejection {
    pub fn unresolvable(reason: &str) -> Rejection {
        Rejection { reasons: vec![reason.into()], resolvable: false }
    }
}

pub trait FilterPlugin: Sync {
    /// Upstream's name of the plugin.
    fn name(&self) -> &'static str;
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection>;
}

pub trait ScorePlugin: Sync {
    fn name(&self) -> &'static str;
    fn weight(&self) -> i64;
    /// Any number; [`ScorePlugin::normalize`] brings all nodes' numbers into 0..=[`SCORE_MAX`].
    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64;
    fn normalize(&self, _scores: &mut [i64]) {}
}

/// Scales to the highest number, optionally the other way round (upstream's
/// DefaultNormalizeScore).
pub fn normalize_to_max(scores: &mut [i64], reverse: bool) {
    let max = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        *score = match (max, reverse) {
            (0, true) => SCORE_MAX,
            (0, false) => 0,
            (max, true) => SCORE_MAX - *score * SCORE_MAX / max,
            (max, false) => *score * SCORE_MAX / max,
        };
    }
}
