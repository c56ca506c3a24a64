//! What tells instances on one host apart: names, ports and address ranges, derived from the data
//! directory. The default directory has the well-known ones.

use std::net::Ipv4Addr;
use std::path::Path;

use sha2::Digest;

/// The directory whose instance has the well-known ports and ranges.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/minke";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Also the name of its cgroup.
    pub name: String,
    /// Start of the names of its network links: at most 6 characters.
    pub link_prefix: String,
    pub api_port: u16,
    pub kubelet_port: u16,
    /// All Pods of the cluster.
    pub cluster_cidr: (Ipv4Addr, u8),
    pub service_cidr: (Ipv4Addr, u8),
}

/// What the instance of the default directory has.
pub fn well_known() -> Instance {
    Instance {
        name: "minke".into(),
        link_prefix: "minke-".into(),
        api_port: 6443,
        kubelet_port: 10250,
        cluster_cidr: (Ipv4Addr::new(10, 244, 0, 0), 16),
        service_cidr: (Ipv4Addr::new(10, 96, 0, 0), 12),
    }
}

/// How many other instances have ranges of their own.
const SLOTS: u16 = 60;

impl Instance {
    pub fn of(data_dir: &Path) -> Instance {
        if data_dir == Path::new(DEFAULT_DATA_DIR) {
            return well_known();
        }
        let hash = sha2::Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
        let hex: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let slot = u16::from_be_bytes([hash[4], hash[5]]) % SLOTS;
        Instance {
            name: format!("minke-{hex}"),
            link_prefix: format!("mk{}", &hex[..4]),
            api_port: 7443 + slot,
            kubelet_port: 11250 + slot,
            cluster_cidr: (Ipv4Addr::new(10, 172 + slot as u8, 0, 0), 16),
            service_cidr: (Ipv4Addr::new(10, 112 + slot as u8, 0, 0), 16),
        }
    }

    /// This node's part of the Pods' range: 256 addresses, or more where more Pods are wanted.
    pub fn node_cidr(&self, max_pods: u32) -> String {
        // Twice as many addresses as Pods, so that a freed one can rest.
        let size = (max_pods * 2 + 3).next_power_of_two().clamp(256, 1 << 16);
        format!("{}/{}", self.cluster_cidr.0, 32 - size.trailing_zeros())
    }

    /// The first Service address: the API server.
    pub fn api_service_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_cidr.0) + 1)
    }

    /// The first address of the Pods' range: the node's own.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.cluster_cidr.0) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_well_known_and_others_differ() {
        let default = Instance::of(Path::new(DEFAULT_DATA_DIR));
        assert_eq!((default.api_port, default.api_service_ip().to_string()), (6443, "10.96.0.1".into()));
        let other = Instance::of(Path::new("/tmp/other"));
        assert_ne!(default.cluster_cidr, other.cluster_cidr);
        assert!(other.link_prefix.len() <= 6 && default.link_prefix.len() <= 6);
        assert_eq!(other, Instance::of(Path::new("/tmp/other")));
    }

    #[test]
    fn a_node_range_holds_the_pods_asked_for() {
        let instance = Instance::of(Path::new(DEFAULT_DATA_DIR));
        assert_eq!(instance.node_cidr(110), "10.244.0.0/24");
        assert_eq!(instance.node_cidr(1000), "10.244.0.0/21");
    }
}
