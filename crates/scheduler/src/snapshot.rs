//! The nodes and what is on them, updated as events come in. Node order is by name, so equal
//! scores are broken the same way every time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use apimachinery::meta;
use serde_json::Value;

use crate::pod::PodInfo;
use crate::resources::Resources;

#[derive(Clone, Debug)]
pub struct NodeInfo {
    pub name: String,
    /// `None` while Pods name a node that has no object.
    pub node: Option<Arc<Value>>,
    pub allocatable: Resources,
    pub requested: Resources,
    pub score_requested: Resources,
    pub pods: usize,
}

impl NodeInfo {
    fn new(name: &str) -> NodeInfo {
        NodeInfo {
            name: name.into(),
            node: None,
            allocatable: Resources::default(),
            requested: Resources::default(),
            score_requested: Resources::default(),
            pods: 0,
        }
    }

    /// The node's object; `Null` answers every question with "absent".
    pub fn object(&self) -> &Value {
        self.node.as_deref().unwrap_or(&Value::Null)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    nodes: BTreeMap<String, NodeInfo>,
    /// Placed Pods by uid, assumed ones included.
    placed: HashMap<String, (String, PodInfo)>,
}

impl Snapshot {
    /// Nodes that exist.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.values().filter(|n| n.node.is_some())
    }

    pub fn node_count(&self) -> usize {
        self.nodes().count()
    }

    pub fn set_node(&mut self, node: Arc<Value>) {
        let name = meta::name(&node).to_string();
        let info = self.nodes.entry(name.clone()).or_insert_with(|| NodeInfo::new(&name));
        info.allocatable = Resources::of(&node["status"]["allocatable"]);
        info.node = Some(node);
    }

    pub fn remove_node(&mut self, name: &str) {
        if let Some(info) = self.nodes.get_mut(name) {
            info.node = None;
            if info.pods == 0 {
                self.nodes.remove(name);
            }
        }
    }

    /// Puts a Pod on a node (bound, or assumed while its binding is written).
    pub fn place(&mut self, pod: PodInfo, node: &str) {
        self.take(&pod.uid);
        let info = self.nodes.entry(node.into()).or_insert_with(|| NodeInfo::new(node));
        info.requested.add(&pod.requests);
        info.score_requested.add(&pod.score_requests);
        info.pods += 1;
        self.placed.insert(pod.uid.clone(), (node.into(), pod));
    }

    /// Takes a Pod off its node: deleted, ended, or its binding failed. True if it was there.
    pub fn take(&mut self, uid: &str) -> bool {
        let Some((node, pod)) = self.placed.remove(uid) else { return false };
        if let Some(info) = self.nodes.get_mut(&node) {
            info.requested.subtract(&pod.requests);
            info.score_requested.subtract(&pod.score_requests);
            info.pods -= 1;
            if info.pods == 0 && info.node.is_none() {
                self.nodes.remove(&node);
            }
        }
        true
    }

    pub fn is_placed(&self, uid: &str) -> bool {
        self.placed.contains_key(uid)
    }
}
