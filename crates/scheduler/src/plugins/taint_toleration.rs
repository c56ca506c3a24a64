//! TaintToleration: NoSchedule and NoExecute taints keep Pods away that do not tolerate them;
//! PreferNoSchedule ones cost points.

use serde_json::Value;

use crate::framework::{FilterPlugin, Rejection, ScorePlugin, normalize_to_max};
use crate::pod::PodInfo;
use crate::snapshot::NodeInfo;

pub struct TaintToleration;

const REASON: &str = "node(s) had untolerated taint(s)";

/// Whether one toleration covers one taint.
pub fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let effect = text(&toleration["effect"]);
    if !effect.is_empty() && effect != text(&taint["effect"]) {
        return false;
    }
    let key = text(&toleration["key"]);
    if !key.is_empty() && key != text(&taint["key"]) {
        return false;
    }
    match toleration["operator"].as_str() {
        Some("Exists") => true,
        None | Some("" | "Equal") => !key.is_empty() && text(&toleration["value"]) == text(&taint["value"]),
        Some(_) => false,
    }
}

fn untolerated<'a>(
    pod: &'a PodInfo,
    node: &'a NodeInfo,
    effects: &'a [&str],
) -> impl Iterator<Item = &'a Value> {
    let tolerations = pod.spec()["tolerations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let taints = node.object()["spec"]["taints"].as_array().into_iter().flatten();
    taints
        .filter(|taint| effects.contains(&taint["effect"].as_str().unwrap_or_default()))
        .filter(|taint| !tolerations.iter().any(|t| tolerates(t, taint)))
}

impl FilterPlugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match untolerated(pod, node, &["NoSchedule", "NoExecute"]).next() {
            None => Ok(()),
            Some(_) => Err(Rejection::unresolvable(REASON)),
        }
    }
}

impl ScorePlugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn weight(&self) -> i64 {
        3
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        untolerated(pod, node, &["PreferNoSchedule"]).count() as i64
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_to_max(scores, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tolerations_match_by_key_operator_value_and_effect() {
        let taint = json!({"key": "dedicated", "value": "backend", "effect": "NoSchedule"});
        let cases = [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "dedicated", "operator": "Exists"}), true),
            (json!({"key": "dedicated", "value": "backend"}), true),
            (
                json!({"key": "dedicated", "operator": "Equal", "value": "backend", "effect": "NoSchedule"}),
                true,
            ),
            (json!({"key": "dedicated", "value": "other"}), false),
            (json!({"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
        ];
        for (toleration, want) in cases {
            assert_eq!(tolerates(&toleration, &taint), want, "{toleration}");
        }
    }
}
