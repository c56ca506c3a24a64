//! One Pod's network: its address, its veth pair, its routes.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;

use netlink::{Address, DEFAULT_V4, Gateway, Mac, Neighbour, Route, Socket, Veth};

use crate::addresses::Addresses;

/// The Pods' side of every link speaks to this address; nobody else does (link-local, RFC 3927).
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// Locally administered hardware addresses, the same for every pair: no one ever asks for them.
const HOST_MAC: Mac = [0xee; 6];
/// Index of a Pod's only link besides `lo`.
const POD_LINK: u32 = 2;
const LOOPBACK: u32 = 1;
const MTU: u32 = 1500;

pub struct PodNetwork {
    addresses: Mutex<Addresses>,
    /// Start of the names of host-side links; at most 6 characters.
    prefix: String,
    /// Source address of what the node itself sends to Pods.
    node_ip: Ipv4Addr,
}

impl PodNetwork {
    pub fn new(addresses: Addresses, prefix: &str, node_ip: Ipv4Addr) -> PodNetwork {
        PodNetwork { addresses: Mutex::new(addresses), prefix: prefix.into(), node_ip }
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, Addresses> {
        self.addresses.lock().expect("no holder of the addresses panics")
    }

    /// Takes over the address of a Pod that is already there.
    pub fn adopt(&self, ip: Ipv4Addr) {
        self.addresses().reserve(ip);
    }

    /// A free address; [`PodNetwork::detach`] gives it back.
    pub fn allocate(&self) -> io::Result<Ipv4Addr> {
        self.addresses().take().ok_or_else(|| io::Error::other("no free address in this node's Pod range"))
    }

    /// Gives a fresh network namespace its address and a way out. Blocks; must not run on an async
    /// worker thread (it visits the namespace). `unique` names the host's end: 8 hex digits.
    pub fn wire(&self, netns: &OwnedFd, unique: &str, ip: Ipv4Addr) -> io::Result<()> {
        let name = format!("{}{unique}", self.prefix);
        let [a, b, c, d] = ip.octets();
        let pod_mac = [0xee, 0x01, a, b, c, d];
        let host = Socket::open()?;
        host.add_veth(&Veth {
            name: &name,
            mac: HOST_MAC,
            peer_name: "eth0",
            peer_mac: pod_mac,
            peer_netns: netns.as_fd(),
            peer_index: POD_LINK,
            mtu: MTU,
        })?;
        let index = netlink::index_of(&name)?;
        let pod_ip = IpAddr::V4(ip);
        host.configure(
            &[index],
            &[],
            &[Neighbour { index, ip: pod_ip, mac: pod_mac }],
            &[Route {
                destination: (pod_ip, 32),
                gateway: Gateway::Link,
                index,
                source: Some(self.node_ip.into()),
            }],
        )?;
        let gateway = IpAddr::V4(GATEWAY);
        Socket::open_in(netns.as_fd())?.configure(
            &[LOOPBACK, POD_LINK],
            &[Address { index: POD_LINK, ip: pod_ip, prefix: 32 }],
            &[Neighbour { index: POD_LINK, ip: gateway, mac: HOST_MAC }],
            &[
                Route { destination: (gateway, 32), gateway: Gateway::Link, index: POD_LINK, source: None },
                Route {
                    destination: DEFAULT_V4,
                    gateway: Gateway::Via(gateway),
                    index: POD_LINK,
                    source: None,
                },
            ],
        )
    }

    /// Takes the route away and gives the address back. The link goes with the namespace.
    pub fn detach(&self, ip: Ipv4Addr) -> io::Result<()> {
        let route = Route { destination: (ip.into(), 32), gateway: Gateway::Link, index: 0, source: None };
        let result = Socket::open()?.delete_route(&route);
        self.addresses().release(ip);
        result
    }
}
