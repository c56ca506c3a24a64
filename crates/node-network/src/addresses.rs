//! The addresses of one node's range, handed out in turn so that a freed one rests as long as
//! possible before it is used again.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

#[derive(Debug)]
pub struct Addresses {
    first: u32,
    last: u32,
    next: u32,
    used: BTreeSet<u32>,
}

impl Addresses {
    /// A range such as `10.244.0.0/24`; its first address is the node's own.
    ///
    /// # Errors
    /// If it is no IPv4 range with room for a Pod.
    pub fn new(cidr: &str) -> Result<Addresses, String> {
        let (network, prefix) = parse_cidr(cidr)?;
        if prefix > 29 {
            return Err(format!("the Pod range {cidr} is too small: use at most /29"));
        }
        let size = 1u32 << (32 - prefix);
        let start = u32::from(network) & !(size - 1);
        let (first, last) = (start + 2, start + (size - 2));
        Ok(Addresses { first, last, next: first, used: BTreeSet::new() })
    }

    /// The node's own address in its range.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.first - 1)
    }

    pub fn take(&mut self) -> Option<Ipv4Addr> {
        for _ in self.first..=self.last {
            let candidate = self.next;
            self.next = if candidate >= self.last { self.first } else { candidate + 1 };
            if self.used.insert(candidate) {
                return Some(Ipv4Addr::from(candidate));
            }
        }
        None
    }

    /// Marks an address that a Pod already has.
    pub fn reserve(&mut self, ip: Ipv4Addr) {
        let ip = u32::from(ip);
        self.used.insert(ip);
        if (self.first..=self.last).contains(&ip) && ip >= self.next {
            self.next = if ip >= self.last { self.first } else { ip + 1 };
        }
    }

    pub fn release(&mut self, ip: Ipv4Addr) {
        self.used.remove(&u32::from(ip));
    }
}

/// Network address and prefix length.
pub fn parse_cidr(cidr: &str) -> Result<(Ipv4Addr, u8), String> {
    let bad = || format!("{cidr:?} is not an IPv4 range such as 10.244.0.0/24");
    let (ip, prefix) = cidr.split_once('/').ok_or_else(bad)?;
    let (ip, prefix): (Ipv4Addr, u8) = (ip.parse().map_err(|_| bad())?, prefix.parse().map_err(|_| bad())?);
    if prefix > 32 { Err(bad()) } else { Ok((ip, prefix)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_rest_before_they_come_again() {
        let mut addresses = Addresses::new("10.244.0.0/29").expect("a range");
        assert_eq!(addresses.gateway().to_string(), "10.244.0.1");
        let first = addresses.take().expect("free");
        addresses.release(first);
        assert_eq!(addresses.take().map(|ip| ip.to_string()).as_deref(), Some("10.244.0.3"));
        let rest: Vec<_> = std::iter::from_fn(|| addresses.take()).map(|ip| ip.octets()[3]).collect();
        assert_eq!(rest, [4, 5, 6, 2]);
    }

    #[test]
    fn adopted_addresses_are_not_given_twice() {
        let mut addresses = Addresses::new("10.244.0.0/24").expect("a range");
        addresses.reserve("10.244.0.2".parse().expect("an address"));
        assert_eq!(addresses.take().map(|ip| ip.octets()[3]), Some(3));
    }
}
