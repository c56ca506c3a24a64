//! Rules of single values that several kinds share, as errors at a path.

use crate::read::quantity;
use apimachinery::{FieldError, Path, go, validation};
use serde_json::Value;
use std::net::IpAddr;

/// One error for each problem.
pub(in crate::kinds) fn invalid(
    at: &Path,
    value: impl Into<Value>,
    problems: Vec<String>,
) -> Vec<FieldError> {
    let value = value.into();
    problems.into_iter().map(|problem| FieldError::invalid(at, value.clone(), problem)).collect()
}

/// A text that must be there and be one of a few.
pub(in crate::kinds) fn one_of(value: &str, known: &[&str], at: &Path, errors: &mut Vec<FieldError>) {
    if value.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else if !known.contains(&value) {
        errors.push(FieldError::not_supported(at, value, known));
    }
}

/// Fields of old take addresses that are not written in canonical form; a warning says so.
fn in_any_form(problems: Vec<String>) -> Vec<String> {
    problems.into_iter().filter(|problem| !problem.starts_with("must be in canonical form")).collect()
}

/// What is wrong with an address in a field of old.
pub(in crate::kinds) fn ip(ip: &str) -> Vec<String> {
    in_any_form(validation::ip(ip))
}

pub(in crate::kinds) fn cidr(range: &str, at: &Path) -> Vec<FieldError> {
    invalid(at, range, in_any_form(validation::cidr(range)))
}

/// An address that is valid, but not in canonical form.
pub(in crate::kinds) fn ip_warning(at: &Path, value: &str) -> Option<String> {
    let ip = value.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6)?.to_string();
    (ip != value).then(|| {
        let (value, ip) = (go::quote(value), go::quote(&ip));
        format!("{at}: IPv6 address {value} should be in RFC 5952 canonical format ({ip})")
    })
}

/// A range that is valid, but not in canonical form.
pub(in crate::kinds) fn cidr_warning(at: &Path, value: &str) -> Option<String> {
    let (ip, bits) = value.split_once('/')?;
    let ip = ip.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6)?;
    let canonical = format!("{ip}/{bits}");
    (canonical != value).then(|| {
        let (value, canonical) = (go::quote(value), go::quote(&canonical));
        format!("{at}: IPv6 CIDR value {value} should be in RFC 5952 canonical format ({canonical})")
    })
}

/// A port by number or by name.
pub(in crate::kinds) fn port_or_name(value: &Value, at: &Path) -> Vec<FieldError> {
    match value {
        Value::String(name) => invalid(at, name.as_str(), validation::port_name(name)),
        other => {
            let number = other.as_i64().unwrap_or(0);
            invalid(at, number, validation::port_number(number))
        }
    }
}

/// Addresses that nothing outside a node can be reached at.
pub(in crate::kinds) fn special_address(ip: &str) -> Vec<String> {
    let Ok(ip) = ip.parse::<IpAddr>() else { return Vec::new() };
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let multicast = match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    };
    let rules = [
        (ip.is_unspecified(), format!("may not be unspecified ({ip})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, text)| text).collect()
}

pub(in crate::kinds) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// An amount of a resource: not negative, and whole where the resource is counted.
pub(in crate::kinds) fn amount(name: &str, value: &Value, at: &Path, errors: &mut Vec<FieldError>) {
    let Some(amount) = quantity(value) else { return };
    if amount.signum() < 0 {
        errors.push(FieldError::invalid(at, value.clone(), NOT_NEGATIVE));
    }
    if is_counted(name) && amount.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(at, value.clone(), "must be an integer"));
    }
}

/// Resources of which there are no fractions: extended ones and the quota's objects.
fn is_counted(name: &str) -> bool {
    const OBJECTS: [&str; 9] = [
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    OBJECTS.contains(&name) || is_extended(name)
}

/// Resources that a device plugin or an administrator brings: with a domain that is not Kubernetes' own.
pub(in crate::kinds) fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && validation::qualified_name(&format!("requests.{name}")).is_empty()
}

pub(in crate::kinds) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}
