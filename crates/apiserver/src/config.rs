//! What the composition root decides about an API server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// A bearer token that always stands for the same user.
#[derive(Clone)]
pub struct StaticToken {
    pub token: String,
    pub user: client::UserInfo,
}

/// An address range for Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub base: IpAddr,
    pub bits: u8,
}

/// How an API server is made.
#[derive(Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one. `None`: only callers in this process.
    pub listen: Option<SocketAddr>,
    /// Further addresses to listen on; used only together with `listen`.
    pub also: Vec<SocketAddr>,
    /// The address under which others reach it (certificate, the `kubernetes` Service).
    pub advertise: IpAddr,
    /// More names and addresses for the serving certificate.
    pub names: Vec<String>,
    /// Certificates and keys live here (0600) and are used again after a restart. `None`: in memory.
    pub pki: Option<PathBuf>,
    /// Service addresses; the first one is the `kubernetes` Service.
    pub service_range: Range,
    /// First and last node port.
    pub node_ports: (u16, u16),
    pub tokens: Vec<StaticToken>,
    /// `iss` of service account tokens, and the first accepted audience.
    pub issuer: String,
    /// Cluster domain, for the serving certificate.
    pub cluster_domain: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            also: Vec::new(),
            advertise: Ipv4Addr::LOCALHOST.into(),
            names: Vec::new(),
            pki: None,
            service_range: Range { base: Ipv4Addr::new(10, 96, 0, 0).into(), bits: 12 },
            node_ports: (30000, 32767),
            tokens: Vec::new(),
            issuer: "https://kubernetes.default.svc.cluster.local".into(),
            cluster_domain: "cluster.local".into(),
        }
    }
}
