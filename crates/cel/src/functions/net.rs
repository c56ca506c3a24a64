//! IP addresses and CIDRs.

use super::{boolean, opaque, texts, this};
use crate::eval::{Outcome, fail, no_overload};
use crate::table::Sig::{Bool, Int, Opaque, String as Text};
use crate::table::{Overload, global, member};
use crate::value::Value;
use std::net::IpAddr;

const IP: &str = "net.IP";
const CIDR: &str = "net.CIDR";

#[derive(Debug, PartialEq, Clone, Copy)]
struct Ip(IpAddr);

#[derive(Debug, PartialEq, Clone, Copy)]
struct Cidr {
    ip: IpAddr,
    prefix: u8,
}

opaque!(Ip, IP);
opaque!(Cidr, CIDR);

pub(super) static FUNCTIONS: &[Overload] = &[
    global("ip", "string_to_ip", &[Text], Opaque(IP), |_, args| {
        let [text] = texts(args)?;
        parse_ip(text).map(|ip| Value::opaque(Ip(ip))).or_else(fail)
    }),
    global("isIP", "is_ip", &[Text], Bool, |_, args| {
        texts(args).and_then(|[text]| boolean(parse_ip(text).is_ok()))
    }),
    global("ip.isCanonical", "ip_is_canonical", &[Text], Bool, |_, args| {
        let [text] = texts(args)?;
        parse_ip(text).map_or_else(fail, |ip| boolean(ip.to_string() == text))
    }),
    member("family", "ip_family", &[Opaque(IP)], Int, |_, args| {
        Ok(Value::Int(if this::<Ip>(args)?.0.is_ipv4() { 4 } else { 6 }))
    }),
    member("isUnspecified", "ip_is_unspecified", &[Opaque(IP)], Bool, |_, args| {
        test(args, |ip| ip.is_unspecified())
    }),
    member("isLoopback", "ip_is_loopback", &[Opaque(IP)], Bool, |_, args| test(args, |ip| ip.is_loopback())),
    member("isLinkLocalMulticast", "ip_is_link_local_multicast", &[Opaque(IP)], Bool, |_, args| {
        test(args, |ip| match ip {
            IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
            IpAddr::V6(ip) => ip.octets()[0] == 0xff && ip.octets()[1] & 0x0f == 2,
        })
    }),
    member("isLinkLocalUnicast", "ip_is_link_local_unicast", &[Opaque(IP)], Bool, |_, args| {
        test(args, link_local)
    }),
    member("isGlobalUnicast", "ip_is_global_unicast", &[Opaque(IP)], Bool, |_, args| {
        test(args, |ip| {
            let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
            !(broadcast || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || link_local(ip))
        })
    }),
    global("string", "ip_to_string", &[Opaque(IP)], Text, |_, args| {
        Ok(Value::text(this::<Ip>(args)?.0.to_string()))
    }),
    global("cidr", "string_to_cidr", &[Text], Opaque(CIDR), |_, args| {
        let [text] = texts(args)?;
        parse_cidr(text).map(Value::opaque).or_else(fail)
    }),
    global("isCIDR", "is_cidr", &[Text], Bool, |_, args| {
        texts(args).and_then(|[text]| boolean(parse_cidr(text).is_ok()))
    }),
    global("string", "cidr_to_string", &[Opaque(CIDR)], Text, |_, args| {
        let Cidr { ip, prefix } = this(args)?;
        Ok(Value::text(format!("{ip}/{prefix}")))
    }),
    member("containsIP", "cidr_contains_ip_string", &[Opaque(CIDR), Text], Bool, |_, args| {
        let Some(text) = args[1].as_text() else { return no_overload() };
        parse_ip(text).map_or_else(fail, |ip| boolean(holds(this(args)?, ip)))
    }),
    member("containsIP", "cidr_contains_ip_ip", &[Opaque(CIDR), Opaque(IP)], Bool, |_, args| {
        boolean(holds(this(args)?, this::<Ip>(&args[1..])?.0))
    }),
    member("containsCIDR", "cidr_contains_cidr_string", &[Opaque(CIDR), Text], Bool, |_, args| {
        let Some(text) = args[1].as_text() else { return no_overload() };
        parse_cidr(text).map_or_else(fail, |inner| boolean(holds_all(this(args)?, &inner)))
    }),
    member("containsCIDR", "cidr_contains_cidr", &[Opaque(CIDR), Opaque(CIDR)], Bool, |_, args| {
        boolean(holds_all(this(args)?, this(&args[1..])?))
    }),
    member("ip", "cidr_ip", &[Opaque(CIDR)], Opaque(IP), |_, args| {
        Ok(Value::opaque(Ip(this::<Cidr>(args)?.ip)))
    }),
    member("prefixLength", "cidr_prefix_length", &[Opaque(CIDR)], Int, |_, args| {
        Ok(Value::Int(i64::from(this::<Cidr>(args)?.prefix)))
    }),
    member("masked", "cidr_masked", &[Opaque(CIDR)], Opaque(CIDR), |_, args| {
        let cidr = this::<Cidr>(args)?;
        Ok(Value::opaque(Cidr { ip: masked(cidr.ip, cidr.prefix), prefix: cidr.prefix }))
    }),
];

fn test<'a>(args: &[Value<'a>], holds: fn(IpAddr) -> bool) -> Outcome<'a> {
    boolean(holds(this::<Ip>(args)?.0))
}

fn link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

/// No zones, and no IPv4 addresses in the clothes of IPv6.
fn parse_ip(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("IP address {} with zone value is not allowed", apimachinery::go::quote(text)));
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {} is not allowed", apimachinery::go::quote(text)))
        }
        Ok(ip) => Ok(ip),
        Err(_) => Err(format!(
            "IP Address {} parse error during conversion from string: ParseAddr({}): unable to parse IP",
            apimachinery::go::quote(text),
            apimachinery::go::quote(text)
        )),
    }
}

fn parse_cidr(text: &str) -> Result<Cidr, String> {
    let bad =
        || format!("network address parse error during conversion from string: network address {text:?}");
    let (ip, prefix) = text.split_once('/').ok_or_else(bad)?;
    let ip = parse_ip(ip)?;
    let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (prefix == "0" || !prefix.starts_with('0'));
    let prefix: u8 = prefix.parse().ok().filter(|_| plain).ok_or_else(bad)?;
    if prefix > if ip.is_ipv4() { 32 } else { 128 } {
        return Err(bad());
    }
    Ok(Cidr { ip, prefix })
}

fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

fn holds(cidr: &Cidr, ip: IpAddr) -> bool {
    cidr.ip.is_ipv4() == ip.is_ipv4() && masked(cidr.ip, cidr.prefix) == masked(ip, cidr.prefix)
}

fn holds_all(cidr: &Cidr, inner: &Cidr) -> bool {
    inner.prefix >= cidr.prefix && holds(cidr, inner.ip)
}
