//! The operations: veth pairs, addresses, routes, neighbours, links up and down.

use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::message::Batch;
use crate::socket::Socket;

pub type Mac = [u8; 6];

/// A pair of which one end stands here and the other in a Pod's namespace.
pub struct Veth<'a> {
    pub name: &'a str,
    pub mac: Mac,
    pub peer_name: &'a str,
    pub peer_mac: Mac,
    pub peer_netns: BorrowedFd<'a>,
    /// Interface index of the far end; the namespace must be new enough to have it free.
    pub peer_index: u32,
    pub mtu: u32,
}

pub struct Address {
    pub index: u32,
    pub ip: IpAddr,
    pub prefix: u8,
}

pub enum Gateway {
    /// Directly on the link.
    Link,
    Via(IpAddr),
    /// Refused at once, so that nothing for a missing address leaves the host.
    Unreachable,
}

pub struct Route {
    /// `0.0.0.0/0` is the default route.
    pub destination: (IpAddr, u8),
    pub gateway: Gateway,
    /// Outgoing link; 0 for unreachable routes.
    pub index: u32,
    /// Preferred source address.
    pub source: Option<IpAddr>,
}

pub struct Neighbour {
    pub index: u32,
    pub ip: IpAddr,
    pub mac: Mac,
}

const VETH_INFO_PEER: u16 = 1;
const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
const REPLACE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16;

impl Socket {
    pub fn add_veth(&self, veth: &Veth<'_>) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.message(libc::RTM_NEWLINK, CREATE, &link_header(0, false), |m| {
            m.string(libc::IFLA_IFNAME, veth.name);
            m.attribute(libc::IFLA_ADDRESS, &veth.mac);
            m.u32(libc::IFLA_MTU, veth.mtu);
            m.nested(libc::IFLA_LINKINFO, |m| {
                m.attribute(libc::IFLA_INFO_KIND, b"veth");
                m.nested(libc::IFLA_INFO_DATA, |m| {
                    m.nested(VETH_INFO_PEER, |m| {
                        m.raw(&link_header(veth.peer_index, false));
                        m.string(libc::IFLA_IFNAME, veth.peer_name);
                        m.attribute(libc::IFLA_ADDRESS, &veth.peer_mac);
                        m.u32(libc::IFLA_MTU, veth.mtu);
                        m.u32(libc::IFLA_NET_NS_FD, veth.peer_netns.as_raw_fd() as u32);
                    });
                });
            });
        });
        self.send(&batch)
    }

    /// Brings links up, then adds addresses, routes and neighbours, in this order and at once.
    pub fn configure(
        &self,
        up: &[u32],
        addresses: &[Address],
        neighbours: &[Neighbour],
        routes: &[Route],
    ) -> io::Result<()> {
        let mut batch = Batch::default();
        for address in addresses {
            add_address(&mut batch, address);
        }
        for index in up {
            batch.message(libc::RTM_NEWLINK, 0, &link_header(*index, true), |_| {});
        }
        for neighbour in neighbours {
            add_neighbour(&mut batch, neighbour);
        }
        for route in routes {
            add_route(&mut batch, libc::RTM_NEWROUTE, REPLACE, route);
        }
        self.send(&batch)
    }

    pub fn delete_route(&self, route: &Route) -> io::Result<()> {
        let mut batch = Batch::default();
        add_route(&mut batch, libc::RTM_DELROUTE, 0, route);
        match self.send(&batch) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }

    pub fn delete_address(&self, address: &Address) -> io::Result<()> {
        let mut batch = Batch::default();
        let header = address_header(address);
        batch.message(libc::RTM_DELADDR, 0, &header, |m| m.attribute(libc::IFA_LOCAL, &octets(address.ip)));
        match self.send(&batch) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(()),
            other => other,
        }
    }

    pub fn delete_link(&self, name: &str) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.message(libc::RTM_DELLINK, 0, &link_header(0, false), |m| m.string(libc::IFLA_IFNAME, name));
        match self.send(&batch) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            other => other,
        }
    }

    /// Names and indexes of all links.
    pub fn links(&self) -> io::Result<Vec<(String, u32)>> {
        let mut batch = Batch::default();
        batch.message(libc::RTM_GETLINK, libc::NLM_F_DUMP as u16, &link_header(0, false), |_| {});
        let mut links = Vec::new();
        self.query(&batch, |kind, payload| {
            if kind == libc::RTM_NEWLINK && payload.len() >= 16 {
                let index = u32::from_ne_bytes(payload[4..8].try_into().expect("four bytes"));
                if let Some(name) = attribute(&payload[16..], libc::IFLA_IFNAME) {
                    let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_string();
                    links.push((name, index));
                }
            }
        })?;
        Ok(links)
    }

    /// Addresses of this host: (link index, address).
    pub fn addresses(&self) -> io::Result<Vec<(u32, IpAddr)>> {
        let mut batch = Batch::default();
        batch.message(libc::RTM_GETADDR, libc::NLM_F_DUMP as u16, &[0; 8], |_| {});
        let mut all = Vec::new();
        self.query(&batch, |kind, payload| {
            if kind != libc::RTM_NEWADDR || payload.len() < 8 {
                return;
            }
            let index = u32::from_ne_bytes(payload[4..8].try_into().expect("four bytes"));
            let value =
                attribute(&payload[8..], libc::IFA_LOCAL).or(attribute(&payload[8..], libc::IFA_ADDRESS));
            let ip = match value {
                Some(&[a, b, c, d]) => IpAddr::from([a, b, c, d]),
                Some(bytes) => match <[u8; 16]>::try_from(bytes) {
                    Ok(bytes) => IpAddr::from(bytes),
                    Err(_) => return,
                },
                None => return,
            };
            all.push((index, ip));
        })?;
        Ok(all)
    }
}

/// Index of a link by name in this namespace.
pub fn index_of(name: &str) -> io::Result<u32> {
    let name = CString::new(name).map_err(io::Error::other)?;
    // SAFETY: `name` is a zero-terminated string that outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 { Err(io::Error::last_os_error()) } else { Ok(index) }
}

fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    while bytes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]);
        if length < 4 || length > bytes.len() {
            return None;
        }
        if kind == wanted {
            return Some(&bytes[4..length]);
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    None
}

/// struct ifinfomsg
fn link_header(index: u32, up: bool) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    if up {
        let flag = (libc::IFF_UP as u32).to_ne_bytes();
        header[8..12].copy_from_slice(&flag);
        header[12..16].copy_from_slice(&flag);
    }
    header
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 }
}

/// struct ifaddrmsg
fn address_header(address: &Address) -> [u8; 8] {
    let mut header = [family(address.ip), address.prefix, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&address.index.to_ne_bytes());
    if address.ip.is_ipv6() {
        // Without duplicate address detection the address works at once.
        header[2] = libc::IFA_F_NODAD as u8;
    }
    header
}

fn add_address(batch: &mut Batch, address: &Address) {
    let header = address_header(address);
    batch.message(libc::RTM_NEWADDR, REPLACE, &header, |m| {
        m.attribute(libc::IFA_LOCAL, &octets(address.ip));
        m.attribute(libc::IFA_ADDRESS, &octets(address.ip));
    });
}

fn add_neighbour(batch: &mut Batch, neighbour: &Neighbour) {
    // struct ndmsg
    let mut header = [0; 12];
    header[0] = family(neighbour.ip);
    header[4..8].copy_from_slice(&neighbour.index.to_ne_bytes());
    header[8..10].copy_from_slice(&libc::NUD_PERMANENT.to_ne_bytes());
    batch.message(libc::RTM_NEWNEIGH, REPLACE, &header, |m| {
        m.attribute(libc::NDA_DST, &octets(neighbour.ip));
        m.attribute(libc::NDA_LLADDR, &neighbour.mac);
    });
}

fn add_route(batch: &mut Batch, kind: u16, flags: u16, route: &Route) {
    let (ip, prefix) = route.destination;
    let (scope, route_type) = match route.gateway {
        Gateway::Link => (libc::RT_SCOPE_LINK, libc::RTN_UNICAST),
        Gateway::Via(_) => (libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST),
        Gateway::Unreachable => (libc::RT_SCOPE_UNIVERSE, libc::RTN_UNREACHABLE),
    };
    // struct rtmsg
    let header =
        [family(ip), prefix, 0, 0, libc::RT_TABLE_MAIN, libc::RTPROT_STATIC, scope, route_type, 0, 0, 0, 0];
    batch.message(kind, flags, &header, |m| {
        if prefix > 0 {
            m.attribute(libc::RTA_DST, &octets(ip));
        }
        if let Gateway::Via(gateway) = route.gateway {
            m.attribute(libc::RTA_GATEWAY, &octets(gateway));
        }
        if route.index != 0 {
            m.u32(libc::RTA_OIF, route.index);
        }
        if let Some(source) = route.source {
            m.attribute(libc::RTA_PREFSRC, &octets(source));
        }
    });
}

/// `0.0.0.0/0`.
pub const DEFAULT_V4: (IpAddr, u8) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
