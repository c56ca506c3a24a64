//! Facts about the machine: capacity and system information for the Node object.

use std::fs;

use serde_json::{Value, json};

#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub cpus: usize,
    pub memory_bytes: i64,
    /// Size of the file system that holds the node's state.
    pub storage_bytes: u64,
    /// `amd64`, `arm64`.
    pub architecture: &'static str,
    pub machine_id: String,
    pub system_uuid: String,
    pub boot_id: String,
    pub kernel: String,
    pub os_image: String,
}

/// The Kubernetes version this node speaks.
pub const KUBELET_VERSION: &str = "v1.36.2";

impl Facts {
    pub fn read(data_dir: &std::path::Path) -> Facts {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_string();
        let meminfo = text("/proc/meminfo");
        let kib: i64 = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        let os_release = text("/etc/os-release");
        let os_image = os_release
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))
            .map(|name| name.trim_matches('"').to_string());
        Facts {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kib * 1024,
            storage_bytes: rustix::fs::statvfs(data_dir).map_or(0, |s| s.f_blocks * s.f_frsize),
            architecture: match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            },
            machine_id: text("/etc/machine-id"),
            system_uuid: text("/sys/class/dmi/id/product_uuid"),
            boot_id: text("/proc/sys/kernel/random/boot_id"),
            kernel: text("/proc/sys/kernel/osrelease"),
            os_image: os_image.unwrap_or_else(|| "Linux".into()),
        }
    }

    pub fn capacity(&self, max_pods: u32) -> Value {
        json!({
            "cpu": self.cpus.to_string(),
            "memory": format!("{}Ki", self.memory_bytes / 1024),
            "ephemeral-storage": format!("{}Ki", self.storage_bytes / 1024),
            "hugepages-1Gi": "0",
            "hugepages-2Mi": "0",
            "pods": max_pods.to_string(),
        })
    }

    pub fn node_info(&self, runtime: &str) -> Value {
        json!({
            "architecture": self.architecture,
            "bootID": self.boot_id,
            "containerRuntimeVersion": runtime,
            "kernelVersion": self.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": self.machine_id,
            "operatingSystem": "linux",
            "osImage": self.os_image,
            "systemUUID": self.system_uuid,
        })
    }
}
