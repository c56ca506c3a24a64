//! NodeAffinity: nodeSelector and required node affinity must match; preferred terms score.

use serde_json::Value;

use crate::framework::{FilterPlugin, Rejection, ScorePlugin, normalize_to_max};
use crate::pod::PodInfo;
use crate::snapshot::NodeInfo;

pub struct NodeAffinity;

const REASON: &str = "node(s) didn't match Pod's node affinity/selector";

/// Whether a node's labels (and name) satisfy a Pod's nodeSelector and required affinity.
pub fn required_matches(spec: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let selector = spec["nodeSelector"].as_object().into_iter().flatten();
    let selected = selector.into_iter().all(|(key, value)| labels.get(key) == Some(value));
    let affinity = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    selected && (affinity.is_null() || node_selector_matches(affinity, node))
}

/// A NodeSelector: any of its terms.
pub fn node_selector_matches(selector: &Value, node: &Value) -> bool {
    selector["nodeSelectorTerms"].as_array().into_iter().flatten().any(|term| term_matches(term, node))
}

/// One term: all of its expressions; an empty term matches nothing.
fn term_matches(term: &Value, node: &Value) -> bool {
    let expressions: Vec<&Value> = term["matchExpressions"].as_array().into_iter().flatten().collect();
    let fields: Vec<&Value> = term["matchFields"].as_array().into_iter().flatten().collect();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let labels = &node["metadata"]["labels"];
    expressions.iter().all(|e| requirement(e, labels.get(e["key"].as_str().unwrap_or_default())))
        && fields.iter().all(|f| f["key"] == "metadata.name" && requirement(f, node["metadata"].get("name")))
}

fn requirement(requirement: &Value, actual: Option<&Value>) -> bool {
    let values = requirement["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok());
    match requirement["operator"].as_str().unwrap_or_default() {
        "In" => actual.is_some_and(|actual| values.contains(actual)),
        "NotIn" => actual.is_none_or(|actual| !values.contains(actual)),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        operator @ ("Gt" | "Lt") => match (actual.and_then(number), values.first().and_then(number)) {
            (Some(actual), Some(bound)) => {
                (operator == "Gt" && actual > bound) || (operator == "Lt" && actual < bound)
            }
            _ => false,
        },
        _ => false,
    }
}

impl FilterPlugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if required_matches(pod.spec(), node.object()) {
            Ok(())
        } else {
            Err(Rejection::unresolvable(REASON))
        }
    }
}

impl ScorePlugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let preferred =
            &pod.spec()["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
        let terms = preferred.as_array().into_iter().flatten();
        terms
            .filter(|term| term_matches(&term["preference"], node.object()))
            .map(|term| term["weight"].as_i64().unwrap_or(0))
            .sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_to_max(scores, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_and_terms() {
        let node = json!({"metadata": {"name": "n1", "labels": {"disktype": "ssd", "cores": "8"}}});
        let term = |expressions: Value| {
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchExpressions": expressions}]}}}})
        };
        let cases = [
            (json!({}), true),
            (json!({"nodeSelector": {"disktype": "ssd"}}), true),
            (json!({"nodeSelector": {"disktype": "hdd"}}), false),
            (term(json!([{"key": "disktype", "operator": "In", "values": ["ssd", "nvme"]}])), true),
            (term(json!([{"key": "disktype", "operator": "NotIn", "values": ["ssd"]}])), false),
            (term(json!([{"key": "gpu", "operator": "DoesNotExist"}])), true),
            (term(json!([{"key": "cores", "operator": "Gt", "values": ["4"]}])), true),
            (term(json!([{"key": "cores", "operator": "Lt", "values": ["4"]}])), false),
            (term(json!([])), false),
        ];
        for (spec, want) in cases {
            assert_eq!(required_matches(&spec, &node), want, "{spec}");
        }
    }
}
