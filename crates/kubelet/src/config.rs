//! What a kubelet is told when it starts.

use std::path::PathBuf;

/// Settings of one node.
#[derive(Clone, Debug)]
pub struct Config {
    pub node_name: String,
    /// Addresses of the node, IPv4 first.
    pub node_ips: Vec<String>,
    /// Range of this node's Pods, for `spec.podCIDR`.
    pub pod_cidr: String,
    /// State of this node: volumes, images, runtime.
    pub data_dir: PathBuf,
    /// Where `pods/` and `containers/` with the log files go; upstream's `/var/log`.
    pub log_dir: PathBuf,
    /// Most Pods on this node (`--max-pods`).
    pub max_pods: u32,
    /// Address of cluster DNS; `None` until there is one.
    pub cluster_dns: Option<String>,
    pub cluster_domain: String,
    /// Port of the node service; 0 picks one.
    pub port: u16,
    /// Labels the node registers with, besides its own.
    pub labels: Vec<(String, String)>,
}

/// Upstream's containerLogMaxSize and containerLogMaxFiles.
pub const LOG_MAX_BYTES: u64 = 10 << 20;
pub const LOG_MAX_FILES: u32 = 5;
/// Upstream's `--max-pods`.
pub const MAX_PODS: u32 = 110;
