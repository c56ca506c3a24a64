//! Rules for names, keys and values, each answering with the list of what is wrong in upstream's
//! words (an empty list means fine). Rules for whole fields of kinds live in `api`.

use crate::field::{FieldError, Path};
use crate::go;
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv6Addr};

/// Longest DNS label, in bytes.
pub const MAX_LABEL: usize = 63;
/// Longest DNS subdomain, in bytes.
pub const MAX_SUBDOMAIN: usize = 253;
/// Keys and values of all annotations of one object together, in bytes.
pub const MAX_ANNOTATIONS: usize = 256 * 1024;

const DNS1123_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1035_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// What is wrong, in upstream's words; empty if nothing.
pub type Problems = Vec<String>;

fn subdomain_pattern() -> String {
    format!("{DNS1123_LABEL}(\\.{DNS1123_LABEL})*")
}

fn max_characters(n: usize) -> String {
    format!("must be no more than {n} characters")
}

fn max_bytes(n: usize) -> String {
    format!("must be no more than {n} bytes")
}

/// A rule's words with examples and the pattern, as upstream prints them.
pub fn regex_error(words: &str, pattern: &str, examples: &[&str]) -> String {
    let list: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    if list.is_empty() {
        format!("{words} (regex used for validation is '{pattern}')")
    } else {
        format!("{words} (e.g. {}regex used for validation is '{pattern}')", list.join(" or "))
    }
}

/// Ends are `edge`, everything between is `edge` or `inner`.
fn framed(text: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let b = text.as_bytes();
    match (b.first(), b.last()) {
        (Some(first), Some(last)) => edge(*first) && edge(*last) && b.iter().all(|c| edge(*c) || inner(*c)),
        _ => false,
    }
}

fn lower_alnum(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    framed(text, lower_alnum, |c| c == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// A lowercase RFC 1123 label: Namespace, container and volume names.
pub fn dns1123_label(text: &str) -> Problems {
    let mut problems = Vec::new();
    if text.len() > MAX_LABEL {
        problems.push(max_characters(MAX_LABEL));
    }
    if !is_label(text) {
        problems.push(if is_subdomain(text) {
            "must not contain dots".into()
        } else {
            let words = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
            regex_error(words, DNS1123_LABEL, &["my-name", "123-abc"])
        });
    }
    problems
}

fn subdomain_problems(text: &str, too_long: fn(usize) -> String) -> Problems {
    let mut problems = Vec::new();
    if text.len() > MAX_SUBDOMAIN {
        problems.push(too_long(MAX_SUBDOMAIN));
    }
    if !is_subdomain(text) {
        let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        problems.push(regex_error(words, &subdomain_pattern(), &["example.com"]));
    }
    problems
}

/// A lowercase RFC 1123 subdomain: the usual rule for object names.
pub fn dns1123_subdomain(text: &str) -> Problems {
    subdomain_problems(text, max_characters)
}

/// A subdomain that may also have underscores (DNS search paths).
pub fn dns1123_subdomain_with_underscore(text: &str) -> Problems {
    const PART: &str = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
    let mut problems = Vec::new();
    if text.len() > MAX_SUBDOMAIN {
        problems.push(max_characters(MAX_SUBDOMAIN));
    }
    let part = |p: &str| framed(p.strip_prefix('_').unwrap_or(p), lower_alnum, |c| matches!(c, b'-' | b'_'));
    if !text.split('.').all(part) {
        let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character";
        problems.push(regex_error(words, &format!("{PART}(\\.{PART})*"), &["example.com"]));
    }
    problems
}

/// `*.` and a subdomain (Ingress hosts).
pub fn wildcard_dns1123_subdomain(text: &str) -> Problems {
    let mut problems = Vec::new();
    if text.len() > MAX_SUBDOMAIN {
        problems.push(max_characters(MAX_SUBDOMAIN));
    }
    if !text.strip_prefix("*.").is_some_and(is_subdomain) {
        let words = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        problems.push(regex_error(words, &format!("\\*\\.{}", subdomain_pattern()), &["*.example.com"]));
    }
    problems
}

/// A DNS-1035 label: Service names.
pub fn dns1035_label(text: &str) -> Problems {
    let mut problems = Vec::new();
    if text.len() > MAX_LABEL {
        problems.push(max_characters(MAX_LABEL));
    }
    if !(is_label(text) && text.as_bytes()[0].is_ascii_lowercase()) {
        let words = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
        problems.push(regex_error(words, DNS1035_LABEL, &["my-name", "abc-123"]));
    }
    problems
}

fn is_label_key(text: &str) -> bool {
    framed(text, |c| c.is_ascii_alphanumeric(), |c| matches!(c, b'-' | b'_' | b'.'))
}

/// A label or annotation key, resource name, finalizer …: `[prefix/]name`.
pub fn qualified_name(text: &str) -> Problems {
    const WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    const EXAMPLES: &[&str] = &["MyName", "my.name", "123-abc"];
    let mut problems = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".into());
            } else {
                problems
                    .extend(subdomain_problems(prefix, max_bytes).iter().map(|p| format!("prefix part {p}")));
            }
            name
        }
        _ => {
            let rule = regex_error(WORDS, LABEL_KEY, EXAMPLES);
            return vec![format!(
                "a valid label key {rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".into());
    } else if name.len() > MAX_LABEL {
        problems.push(format!("name part {}", max_bytes(MAX_LABEL)));
    }
    if !is_label_key(name) {
        problems.push(format!("name part {}", regex_error(WORDS, LABEL_KEY, EXAMPLES)));
    }
    problems
}

/// A label value; may be empty.
pub fn label_value(text: &str) -> Problems {
    let mut problems = Vec::new();
    if text.len() > MAX_LABEL {
        problems.push(max_bytes(MAX_LABEL));
    }
    if !text.is_empty() && !is_label_key(text) {
        let words = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        problems.push(regex_error(words, &format!("({LABEL_KEY})?"), &["MyValue", "my_value", "12345"]));
    }
    problems
}

pub fn c_identifier(text: &str) -> Problems {
    let start = text.bytes().next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_');
    if start && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        return Vec::new();
    }
    let words = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
    vec![regex_error(words, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"])]
}

/// An environment variable's name: printable ASCII without `=`.
pub fn env_var_name(text: &str) -> Problems {
    let mut problems = Vec::new();
    if text.is_empty() {
        problems.push("environment variable name must be non-empty".into());
    }
    if !text.bytes().all(|c| (0x20..0x7f).contains(&c) && c != b'=') {
        problems.push("a valid environment variable name must consist only of printable ASCII characters other than '='".into());
    }
    problems
}

/// A container port's or Service target port's name.
pub fn port_name(text: &str) -> Problems {
    let mut problems: Problems = Vec::new();
    if text.len() > 15 {
        problems.push(max_characters(15));
    }
    if text.is_empty() || !text.bytes().all(|c| lower_alnum(c) || c == b'-') {
        problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|c| c.is_ascii_lowercase()) {
        problems.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        problems.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        problems.push("must not begin or end with a hyphen".into());
    }
    problems
}

pub fn port_number(port: i64) -> Problems {
    in_range(port, 1, 65535)
}

pub fn in_range(value: i64, low: i64, high: i64) -> Problems {
    if (low..=high).contains(&value) {
        Vec::new()
    } else {
        vec![format!("must be between {low} and {high}, inclusive")]
    }
}

/// A user or group id.
pub fn user_id(id: i64) -> Problems {
    in_range(id, 0, i64::from(i32::MAX))
}

pub fn percent(text: &str) -> Problems {
    let digits = text.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) {
        return Vec::new();
    }
    vec![regex_error(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

pub fn http_header_name(text: &str) -> Problems {
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        return Vec::new();
    }
    vec![regex_error(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// A key of ConfigMap or Secret data; it may become a file name.
pub fn config_map_key(text: &str) -> Problems {
    let mut problems: Problems = Vec::new();
    if text.len() > MAX_SUBDOMAIN {
        problems.push(max_characters(MAX_SUBDOMAIN));
    }
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
    {
        let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        problems.push(regex_error(words, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match text {
        "." => problems.push("must not be '.'".into()),
        ".." => problems.push("must not be '..'".into()),
        _ if text.starts_with("..") => problems.push("must not start with '..'".into()),
        _ => {}
    }
    problems
}

/// A name that must survive as one segment of a URL path (RBAC names and the like).
pub fn path_segment_name(text: &str) -> Problems {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"].iter().filter(|c| text.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// An IP address written strictly: no leading zeros, no IPv4 in IPv6, canonical IPv6.
pub fn ip(text: &str) -> Problems {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => {
            vec!["must not be an IPv4-mapped IPv6 address".into()]
        }
        Ok(address) if address.to_string() != text => {
            vec![format!("must be in canonical form ({})", go::quote(&address.to_string()))]
        }
        Ok(_) => Vec::new(),
        Err(_) if sloppy_ipv4(text) => vec!["must not have leading 0s".into()],
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()],
    }
}

/// An address range written strictly, as [`ip`]; no bits beyond the prefix.
pub fn cidr(text: &str) -> Problems {
    let bad = || vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_owned()];
    let Some((address, length)) = text.split_once('/') else { return bad() };
    let zeros = length.len() > 1 && length.starts_with('0');
    let (Ok(bits), true) = (length.parse::<u32>(), length.bytes().all(|c| c.is_ascii_digit())) else {
        return bad();
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        return if sloppy_ipv4(address) && bits <= 32 {
            vec!["must not have leading 0s in IP or prefix length".into()]
        } else {
            bad()
        };
    };
    if bits > if ip.is_ipv4() { 32 } else { 128 } {
        return bad();
    }
    if zeros {
        return vec!["must not have leading 0s in IP or prefix length".into()];
    }
    let masked = mask(ip, bits);
    if matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        return vec!["must not have an IPv4-mapped IPv6 address".into()];
    }
    if masked != ip {
        return vec!["must not have bits set beyond the prefix length".into()];
    }
    let canonical = format!("{masked}/{bits}");
    if canonical == text {
        Vec::new()
    } else {
        vec![format!("must be in canonical form ({})", go::quote(&canonical))]
    }
}

fn mask(ip: IpAddr, bits: u32) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) & u32::MAX.checked_shl(32 - bits).unwrap_or(0)).into()),
        IpAddr::V6(v6) => {
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & u128::MAX.checked_shl(128 - bits).unwrap_or(0)))
        }
    }
}

/// Four decimal bytes, leading zeros allowed.
fn sloppy_ipv4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 4
        && parts.iter().all(|p| {
            !p.is_empty()
                && p.bytes().all(|c| c.is_ascii_digit())
                && p.trim_start_matches('0').len() <= 3
                && p.parse::<u64>().is_ok_and(|n| n < 256)
        })
}

/// Annotation keys (case does not matter) and their total size.
pub fn annotations(map: &Map<String, Value>, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for key in map.keys() {
        errors.extend(
            qualified_name(&key.to_lowercase())
                .into_iter()
                .map(|p| FieldError::invalid(path, key.as_str(), p)),
        );
    }
    let size: usize = map.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS));
    }
    errors
}

/// Label keys and values.
pub fn labels(map: &Map<String, Value>, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in map {
        let value = value.as_str().unwrap_or_default();
        errors.extend(qualified_name(key).into_iter().map(|p| FieldError::invalid(path, key.as_str(), p)));
        errors.extend(label_value(value).into_iter().map(|p| FieldError::invalid(path, value, p)));
    }
    errors
}

#[cfg(test)]
mod tests;
