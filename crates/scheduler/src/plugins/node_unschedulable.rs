//! NodeUnschedulable: a cordoned node takes only Pods that tolerate its taint.

use serde_json::json;

use super::taint_toleration::tolerates;
use crate::framework::{FilterPlugin, Rejection};
use crate::pod::PodInfo;
use crate::snapshot::NodeInfo;

pub struct NodeUnschedulable;

const REASON: &str = "node(s) were unschedulable";

impl FilterPlugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if node.object()["spec"]["unschedulable"] != true {
            return Ok(());
        }
        let taint = json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
        let tolerated =
            pod.spec()["tolerations"].as_array().into_iter().flatten().any(|t| tolerates(t, &taint));
        if tolerated { Ok(()) } else { Err(Rejection::unresolvable(REASON)) }
    }
}
