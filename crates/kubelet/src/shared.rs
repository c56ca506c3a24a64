//! What all Pod workers of a node share. Cheap to clone.

use std::path::PathBuf;
use std::sync::Arc;

use client::{Cache, Client, Recorder};
use env::Env;
use serde_json::Value;
use volume::Volumes;

use crate::config::Config;
use crate::images::Images;
use crate::objects::Objects;
use crate::runtime::PodRuntime;
use crate::tokens::Tokens;

#[derive(Clone)]
pub struct Shared {
    pub env: Env,
    pub config: Arc<Config>,
    pub client: Client,
    pub recorder: Recorder,
    pub runtime: Arc<dyn PodRuntime>,
    pub images: Images,
    pub objects: Objects,
    pub volumes: Volumes,
    pub tokens: Tokens,
    /// Services of the cluster, for environment variables.
    pub services: Cache,
    /// `status.allocatable` of this node.
    pub allocatable: Arc<Value>,
    pub memory_bytes: i64,
    /// The host's resolv.conf.
    pub host_dns: Arc<pod_lifecycle::files::Dns>,
}

impl Shared {
    /// `<log_dir>/pods/<namespace>_<name>_<uid>`.
    pub fn pod_log_dir(&self, pod: &Value) -> PathBuf {
        let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
        let name = format!("{}_{}_{}", text("namespace"), text("name"), text("uid"));
        self.config.log_dir.join("pods").join(name)
    }

    pub fn container_log_path(&self, pod: &Value, container: &str, attempt: u32) -> PathBuf {
        self.pod_log_dir(pod).join(container).join(format!("{attempt}.log"))
    }
}
