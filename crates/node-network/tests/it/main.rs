//! The Pod network in a network namespace of its own: a "host" and two Pods that reach each other.
//! Needs root, and fails without it.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use netlink::{in_netns, new_netns};
use node_network::{Addresses, Host, HostConfig, PodNetwork};

const WAIT: Duration = Duration::from_secs(5);

fn inside<R: Send>(netns: &OwnedFd, work: impl FnOnce() -> R + Send) -> R {
    in_netns(netns.as_fd(), work).expect("root may enter network namespaces")
}

/// Listens inside `server`, connects from `client`; who the server saw.
fn meet(server: &OwnedFd, server_ip: Ipv4Addr, client: &OwnedFd) -> Ipv4Addr {
    let listener = inside(server, || TcpListener::bind((server_ip, 8080))).expect("the address is there");
    let target = SocketAddr::from((server_ip, 8080));
    let stream = inside(client, || TcpStream::connect_timeout(&target, WAIT)).expect("there is a route");
    let (mut accepted, peer) = listener.accept().expect("connected");
    drop(stream);
    accepted.read_to_end(&mut Vec::new()).expect("closed");
    match peer.ip() {
        std::net::IpAddr::V4(ip) => ip,
        other => panic!("unexpected peer {other}"),
    }
}

#[test]
fn pods_and_host_reach_each_other_and_nothing_is_left() {
    let host = new_netns().expect("root may make network namespaces");
    let state_dir = std::env::temp_dir().join(format!("minke-node-network-{}", std::process::id()));
    let config = HostConfig {
        pod_cidr: "10.244.0.0/24".into(),
        local_addresses: vec![Ipv4Addr::new(10, 244, 0, 1), Ipv4Addr::new(10, 96, 0, 1)],
        prefix: "mktst".into(),
        state_dir: state_dir.clone(),
    };
    let node_ip = config.local_addresses[0];
    let network =
        PodNetwork::new(Addresses::new(&config.pod_cidr).expect("a range"), &config.prefix, node_ip);
    let (a, b) = (new_netns().expect("made"), new_netns().expect("made"));
    let (ip_a, ip_b) = inside(&host, || {
        Host::set_up(&config).expect("set up");
        let attach = |netns: &OwnedFd, unique: &str| {
            let ip = network.allocate().expect("free");
            network.wire(netns, unique, ip).expect("wired");
            ip
        };
        (attach(&a, "00000001"), attach(&b, "00000002"))
    });
    assert_eq!(meet(&a, ip_a, &b), ip_b, "Pods see each other's own address");
    assert_eq!(meet(&a, ip_a, &host), node_ip, "Pods see the node's address");
    assert_eq!(meet(&host, Ipv4Addr::new(10, 96, 0, 1), &b), ip_b, "Pods reach addresses the node answers");
    let refused = inside(&b, || TcpStream::connect_timeout(&SocketAddr::from(([10, 244, 0, 99], 80)), WAIT));
    assert!(refused.is_err(), "an address without a Pod is refused");
    let left = inside(&host, || {
        network.detach(ip_a).expect("detached");
        network.detach(ip_b).expect("detached");
        Host::remove(&config).expect("removed");
        netlink::Socket::open().expect("opened").addresses().expect("listed")
    });
    assert!(left.iter().all(|(_, ip)| ip.is_loopback()), "only lo's own addresses stay: {left:?}");
    std::fs::remove_dir_all(state_dir).expect("removed");
}
