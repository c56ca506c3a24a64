//! What the Pod network changes on the host, and how it is put back: forwarding, the unreachable
//! route of the Pod range, addresses on `lo`.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use netlink::{Address, Gateway, Route, Socket};

use crate::addresses::parse_cidr;

const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
/// Index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;

#[derive(Clone, Debug)]
pub struct HostConfig {
    /// This node's Pod range.
    pub pod_cidr: String,
    /// Addresses this node answers itself: the API's Service address, its own in the Pod range.
    pub local_addresses: Vec<Ipv4Addr>,
    /// Start of the names of our links.
    pub prefix: String,
    /// Remembers the sysctls we changed.
    pub state_dir: PathBuf,
}

/// The host side of the network; [`Host::remove`] puts everything back.
pub struct Host;

impl Host {
    pub fn set_up(config: &HostConfig) -> io::Result<()> {
        remember_sysctl(&config.state_dir, FORWARD)?;
        if fs::read_to_string(FORWARD)?.trim() != "1" {
            fs::write(FORWARD, "1")?;
        }
        let (network, prefix) = parse_cidr(&config.pod_cidr).map_err(io::Error::other)?;
        let socket = Socket::open()?;
        let addresses: Vec<Address> = config.local_addresses.iter().map(|ip| on_loopback(*ip)).collect();
        let unreachable = unreachable(network, prefix);
        socket.configure(&[LOOPBACK], &addresses, &[], &[unreachable])
    }

    /// Removes routes, addresses and links; restores sysctls. Idempotent.
    pub fn remove(config: &HostConfig) -> io::Result<()> {
        let socket = Socket::open()?;
        for (name, _) in socket.links()? {
            if name.starts_with(&config.prefix) {
                socket.delete_link(&name)?;
            }
        }
        let (network, prefix) = parse_cidr(&config.pod_cidr).map_err(io::Error::other)?;
        socket.delete_route(&unreachable(network, prefix))?;
        for ip in &config.local_addresses {
            socket.delete_address(&on_loopback(*ip))?;
        }
        restore_sysctl(&config.state_dir, FORWARD)
    }
}

fn on_loopback(ip: Ipv4Addr) -> Address {
    Address { index: LOOPBACK, ip: IpAddr::V4(ip), prefix: 32 }
}

fn unreachable(network: Ipv4Addr, prefix: u8) -> Route {
    Route {
        destination: (IpAddr::V4(network), prefix),
        gateway: Gateway::Unreachable,
        index: 0,
        source: None,
    }
}

fn sysctl_file(dir: &Path, path: &str) -> PathBuf {
    dir.join(path.trim_start_matches('/').replace('/', "_"))
}

fn remember_sysctl(dir: &Path, path: &str) -> io::Result<()> {
    let file = sysctl_file(dir, path);
    if file.exists() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    fs::write(file, fs::read_to_string(path)?)
}

fn restore_sysctl(dir: &Path, path: &str) -> io::Result<()> {
    let file = sysctl_file(dir, path);
    let Ok(old) = fs::read_to_string(&file) else { return Ok(()) };
    if fs::read_to_string(path)? != old {
        fs::write(path, old)?;
    }
    fs::remove_file(file)
}

/// The addresses other hosts know this node by: the source of its default route, or any address
/// that is not loopback. Empty on a host without a network.
pub fn node_addresses() -> io::Result<Vec<Ipv4Addr>> {
    // No packet is sent: connecting a datagram socket only looks the route up.
    let probe = UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    if probe.connect(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9))).is_ok()
        && let IpAddr::V4(ip) = probe.local_addr()?.ip()
        && !ip.is_loopback()
    {
        return Ok(vec![ip]);
    }
    let all = Socket::open()?.addresses()?;
    let first = all.into_iter().find_map(|(index, ip)| match ip {
        IpAddr::V4(ip) if index != LOOPBACK && !ip.is_loopback() && !ip.is_link_local() => Some(ip),
        _ => None,
    });
    Ok(first.into_iter().collect())
}
