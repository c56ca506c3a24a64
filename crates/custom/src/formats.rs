//! The formats of texts that schemas may ask for. Those that are not known are ignored, as upstream.

use crate::schema::Type;
use api::kinds::STRING_FORMATS;
use base64::Engine;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names of formats are compared without dashes.
fn plain(format: &str) -> String {
    format.replace('-', "")
}

/// Whether a format means something for a type.
pub(crate) fn is_known(ty: Type, format: &str) -> bool {
    match ty {
        Type::Any | Type::String => {
            let format = plain(format);
            STRING_FORMATS.contains(&format.as_str())
                || matches!(format.as_str(), "k8sshortname" | "k8slongname")
        }
        Type::Integer => matches!(format, "int32" | "int64"),
        Type::Number => matches!(format, "float" | "double"),
        _ => false,
    }
}

/// Whether a text is of a format; formats of other things than texts let everything through.
pub(crate) fn fits(format: &str, text: &str) -> bool {
    match plain(format).as_str() {
        "bsonobjectid" => text.len() == 24 && is_hex(text),
        "uri" => is_uri(text),
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => is_ssn(text),
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            matches!(digits.len(), 3 | 6) && is_hex(digits)
        }
        "rgbcolor" => is_rgb(text),
        "byte" => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        "date" => is_date(text),
        "datetime" => is_date_time(text),
        "duration" => is_duration(text),
        "k8sshortname" => text.len() <= 63 && is_label(text),
        "k8slongname" => text.len() <= 253 && text.split('.').all(is_label),
        _ => true,
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            inner(*first) && inner(*last) && bytes.iter().all(|byte| inner(*byte) || *byte == b'-')
        }
        _ => false,
    }
}

/// What Go's url.ParseRequestURI takes: an absolute path, or a scheme and something behind it.
fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return false;
    }
    let mut percent = text.split('%').skip(1);
    if !percent.all(|rest| rest.len() >= 2 && rest.is_char_boundary(2) && is_hex(&rest[..2])) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let host = rest.strip_prefix("//").map(|rest| rest.split('/').next().unwrap_or_default());
    scheme_fits && host.is_none_or(|host| !host.contains([' ', '<', '>', '"']))
}

fn is_email(text: &str) -> bool {
    // A display name before an address in angle brackets counts, too.
    let address = match (text.find('<'), text.strip_suffix('>')) {
        (Some(start), Some(rest)) => &rest[start + 1..],
        (None, None) => text,
        _ => return false,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let atom = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    let quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    (quoted || local.split('.').all(atom)) && domain.split('.').all(atom)
}

fn is_hostname(text: &str) -> bool {
    if text.len() > 255 || text.is_empty() {
        return false;
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    text.split('.').all(|part| {
        let ends = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        part.len() <= 63
            && ends(part.chars().next())
            && ends(part.chars().last())
            && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    })
}

fn is_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    !prefix.is_empty()
        && prefix.bytes().all(|byte| byte.is_ascii_digit())
        && (prefix == "0" || !prefix.starts_with('0'))
        && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= most)
}

fn is_mac(text: &str) -> bool {
    let (size, separator) = match text.as_bytes().get(2) {
        Some(b':') => (2, ':'),
        Some(b'-') => (2, '-'),
        _ if text.as_bytes().get(4) == Some(&b'.') => (4, '.'),
        _ => return false,
    };
    let parts: Vec<&str> = text.split(separator).collect();
    let bytes = parts.len() * size / 2;
    matches!(bytes, 6 | 8 | 20) && parts.iter().all(|part| part.len() == size && is_hex(part))
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut rest = text;
    for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some(part) = rest.get(..length).filter(|part| is_hex(part)) else { return false };
        let first = part.chars().next();
        if index == 2 && version.is_some() && first != version {
            return false;
        }
        let variant = matches!(version, Some('4' | '5')) && index == 3;
        if variant && !matches!(first, Some('8' | '9' | 'a' | 'b' | 'A' | 'B')) {
            return false;
        }
        rest = &rest[length..];
    }
    rest.is_empty()
}

fn isbn(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '-' | ' ' | '\t' | '\n')).collect()
}

fn is_isbn10(text: &str) -> bool {
    let text = isbn(text);
    let bytes = text.as_bytes();
    if bytes.len() != 10 || !digits(&text[..9], 9) || !(bytes[9] == b'X' || bytes[9].is_ascii_digit()) {
        return false;
    }
    let last = if bytes[9] == b'X' { 10 } else { u32::from(bytes[9] - b'0') };
    let sum: u32 = (1..).zip(&bytes[..9]).map(|(place, byte)| place * u32::from(byte - b'0')).sum();
    (sum + 10 * last).is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let text = isbn(text);
    let weighted = text.bytes().zip([1, 3].into_iter().cycle());
    digits(&text, 13) && weighted.map(|(byte, weight)| u32::from(byte - b'0') * weight).sum::<u32>() % 10 == 0
}

fn is_credit_card(text: &str) -> bool {
    let number: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let known = matches!(
        (number.first(), number.get(1), number.len()),
        (Some(4), _, 13 | 16)
            | (Some(5), Some(1..=5), 16)
            | (Some(6), _, 16)
            | (Some(3), Some(4 | 7), 15)
            | (Some(3), Some(0 | 6 | 8), 14)
            | (Some(2 | 1), _, 15)
            | (Some(3), Some(5), 16)
    );
    let doubled = |digit: u32| if digit * 2 > 9 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 =
        (0..).zip(number.iter().rev()).map(|(at, d)| if at % 2 == 1 { doubled(*d) } else { *d }).sum();
    known && sum.is_multiple_of(10)
}

fn is_ssn(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| c.is_ascii_digit()).collect();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let separators = shape.replace(' ', "-");
    digits(&plain, 9)
        && matches!(separators.as_str(), "000-00-0000" | "000000000" | "00000-0000" | "000-000000")
}

fn is_rgb(text: &str) -> bool {
    let Some(inner) = text.strip_prefix("rgb(").and_then(|text| text.strip_suffix(')')) else { return false };
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    parts.len() == 3
        && parts.iter().all(|part| {
            let number = part.strip_suffix('%').unwrap_or(part);
            !number.is_empty() && number.len() <= 3 && number.parse::<u16>().is_ok_and(|n| n <= 255)
        })
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let Some((date, time)) = lower.split_once('t') else { return false };
    if !is_date(date) || !time.is_ascii() || time.len() < 9 {
        return false;
    }
    let clock = digits(&time[..2], 2) && digits(&time[3..5], 2) && digits(&time[6..8], 2);
    if !clock || &time[2..3] != ":" || &time[5..6] != ":" {
        return false;
    }
    if &time[..2] > "23" || &time[3..5] > "59" || &time[6..8] > "59" {
        return false;
    }
    let mut zone = &time[8..];
    if zone.len() > 2 && !zone.starts_with(['z', '+', '-']) {
        zone = zone[1..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    zone == "z"
        || zone.len() == 6
            && zone.starts_with(['+', '-'])
            && digits(&zone[1..3], 2)
            && &zone[3..4] == ":"
            && digits(&zone[4..], 2)
}

/// Go's durations, and numbers with units in words somewhere in the text.
fn is_duration(text: &str) -> bool {
    if apimachinery::time::parse_go_duration(text).is_some() {
        return true;
    }
    const EXACT: [&str; 14] =
        ["ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk", "sec", "min", "day"];
    const PREFIX: [&str; 8] = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week"];
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let after = rest[start..].trim_start_matches(|c: char| c.is_ascii_digit());
        let unit = after.trim_start();
        let end = unit.find(|c: char| !(c.is_ascii_alphabetic() || c == 'µ')).unwrap_or(unit.len());
        let word = unit[..end].to_lowercase();
        if EXACT.contains(&word.as_str()) || PREFIX.iter().any(|prefix| word.starts_with(prefix)) {
            return true;
        }
        rest = &unit[end..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_formats() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("bsonobjectid", &["507f1f77bcf86cd799439011"], &["507f"]),
            ("uri", &["http://a/b?c", "/x", "mailto:x"], &["x", "", "http://a b/", "/%zz"]),
            ("email", &["a@b.c", "A B <a@b>"], &["a", "@b", "a@", "a b@c"]),
            ("hostname", &["a.b", "a-b"], &["-a", "a..b", ""]),
            ("ipv4", &["1.2.3.4"], &["::1", "1.2.3"]),
            ("ipv6", &["::1"], &["1.2.3.4"]),
            ("cidr", &["10.0.0.0/8", "::/0"], &["10.0.0.0", "10.0.0.0/33", "1.2.3.4/08"]),
            ("mac", &["00:00:5e:00:53:01", "0000.5e00.5301"], &["00:00", "00-00:5e-00-53-01"]),
            ("uuid", &["123e4567-e89b-12d3-a456-426614174000", "123E4567e89b12d3a456426614174000"], &["123"]),
            ("uuid4", &["123e4567-e89b-42d3-a456-426614174000"], &["123e4567-e89b-12d3-a456-426614174000"]),
            ("isbn", &["0321751043", "978-0321751041"], &["0321751044"]),
            ("creditcard", &["4111 1111 1111 1111"], &["4111111111111112"]),
            ("ssn", &["111-22-3333", "111 22 3333"], &["11-222-3333"]),
            ("hexcolor", &["#FFF", "ffffff"], &["#ffff"]),
            ("rgbcolor", &["rgb(1,2,3)"], &["rgb(1,2)", "rgb(1,2,256)"]),
            ("byte", &["aGk="], &["a"]),
            ("date", &["2024-02-29"], &["2023-02-29", "2024-2-1"]),
            (
                "date-time",
                &["2014-12-15T19:30:20.000Z", "2014-12-15t19:30:20+01:00"],
                &["2014-12-15", "2014-12-15T24:00:00Z"],
            ),
            ("duration", &["1h2m", "22 ns", "3 days"], &["x", "3", "3 lightyears"]),
            ("k8s-short-name", &["a-b"], &["A", "a.b"]),
            ("k8s-long-name", &["a.b"], &["a..b"]),
            ("password", &["", "x"], &[]),
        ];
        for (format, good, bad) in table {
            assert!(is_known(Type::String, format), "{format}");
            good.iter().for_each(|text| assert!(fits(format, text), "{format} {text}"));
            bad.iter().for_each(|text| assert!(!fits(format, text), "{format} {text}"));
        }
        assert!(!is_known(Type::String, "unheard-of") && !is_known(Type::Boolean, "int32"));
        assert!(is_known(Type::Integer, "int32") && !is_known(Type::Integer, "float"));
    }
}
