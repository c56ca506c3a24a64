//! NodeName: a Pod that names a node goes there or nowhere.

use crate::framework::{FilterPlugin, Rejection};
use crate::pod::PodInfo;
use crate::snapshot::NodeInfo;

pub struct NodeName;

const REASON: &str = "node(s) didn't match the requested node name";

impl FilterPlugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match pod.spec()["nodeName"].as_str() {
            None | Some("") => Ok(()),
            Some(name) if name == node.name => Ok(()),
            Some(_) => Err(Rejection::unresolvable(REASON)),
        }
    }
}
