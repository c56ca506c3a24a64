//! What the scheduler needs of a Pod, read once.

use apimachinery::meta;
use serde_json::Value;
use std::sync::Arc;

use crate::resources::{Resources, SCORE_MEMORY, SCORE_MILLI_CPU, pod_requests};

#[derive(Clone, Debug)]
pub struct PodInfo {
    pub pod: Arc<Value>,
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub priority: i64,
    pub requests: Resources,
    /// With upstream's stand-ins for containers that ask for nothing; used by scores only.
    pub score_requests: Resources,
}

impl PodInfo {
    pub fn new(pod: Arc<Value>) -> PodInfo {
        let spec = &pod["spec"];
        let requests = pod_requests(spec, |c| Resources::of(&c["resources"]["requests"]));
        let score_requests = pod_requests(spec, |c| {
            let mut asked = Resources::of(&c["resources"]["requests"]);
            if asked.milli_cpu == 0 {
                asked.milli_cpu = SCORE_MILLI_CPU;
            }
            if asked.memory == 0 {
                asked.memory = SCORE_MEMORY;
            }
            asked
        });
        PodInfo {
            uid: meta::uid(&pod).into(),
            namespace: meta::namespace(&pod).into(),
            name: meta::name(&pod).into(),
            priority: spec["priority"].as_i64().unwrap_or(0),
            requests,
            score_requests,
            pod,
        }
    }

    pub fn spec(&self) -> &Value {
        &self.pod["spec"]
    }
}
