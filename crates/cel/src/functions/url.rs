//! URLs: absolute ones and absolute paths, as a request line may hold them.

use super::{boolean, opaque, texts, this};
use crate::eval::fail;
use crate::table::Sig::{Bool, List, Map as MapOf, Opaque, String as Text};
use crate::table::{Overload, global, member};
use crate::value::{Key, Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

const NAME: &str = "kubernetes.URL";

#[derive(Debug, PartialEq)]
struct Url {
    scheme: String,
    /// With its port.
    host: String,
    path: String,
    query: String,
}

opaque!(Url, NAME);

pub(super) static FUNCTIONS: &[Overload] = &[
    global("url", "string_to_url", &[Text], Opaque(NAME), |_, args| {
        let [text] = texts(args)?;
        match parse(text) {
            Some(url) => Ok(Value::opaque(url)),
            None => fail(format!(
                "URL parse error during conversion from string: parse {}: invalid URI for request",
                apimachinery::go::quote(text)
            )),
        }
    }),
    global("isURL", "is_url_string", &[Text], Bool, |_, args| {
        texts(args).and_then(|[text]| boolean(parse(text).is_some()))
    }),
    member("getScheme", "url_get_scheme", &[Opaque(NAME)], Text, |_, args| {
        Ok(Value::text(this::<Url>(args)?.scheme.as_str()))
    }),
    member("getHost", "url_get_host", &[Opaque(NAME)], Text, |_, args| {
        Ok(Value::text(this::<Url>(args)?.host.as_str()))
    }),
    member("getHostname", "url_get_hostname", &[Opaque(NAME)], Text, |_, args| {
        let (name, _) = split_port(&this::<Url>(args)?.host);
        Ok(Value::text(name.trim_start_matches('[').trim_end_matches(']')))
    }),
    member("getPort", "url_get_port", &[Opaque(NAME)], Text, |_, args| {
        Ok(Value::text(split_port(&this::<Url>(args)?.host).1))
    }),
    member("getEscapedPath", "url_get_escaped_path", &[Opaque(NAME)], Text, |_, args| {
        Ok(Value::text(escaped(&this::<Url>(args)?.path)))
    }),
    member("getQuery", "url_get_query", &[Opaque(NAME)], MapOf(&Text, &List(&Text)), |_, args| {
        let mut values: BTreeMap<Key, Vec<Value<'_>>> = BTreeMap::new();
        for pair in this::<Url>(args)?.query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(key), Some(value)) = (decoded(key), decoded(value)) {
                values.entry(Key::String(key)).or_default().push(Value::text(value));
            }
        }
        let values = values.into_iter().map(|(key, list)| (key, Value::values(list))).collect();
        Ok(Value::Map(Map::Values(Arc::new(values))))
    }),
];

pub(super) fn is_valid(text: &str) -> bool {
    parse(text).is_some()
}

fn parse(text: &str) -> Option<Url> {
    if text.is_empty() || text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return None;
    }
    let (before, query) = text.split_once('?').unwrap_or((text, ""));
    let (scheme, rest) = if before.starts_with('/') {
        ("", before)
    } else {
        let (scheme, rest) = before.split_once(':')?;
        let letters = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if !letters || rest.is_empty() {
            return None;
        }
        (scheme, rest)
    };
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) if !scheme.is_empty() => rest.find('/').map_or((rest, ""), |at| rest.split_at(at)),
        _ => ("", rest),
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let (name, port) = split_port(host);
    let bad_host = name.contains(['<', '>', '"', '^', '`', '{', '}', '|', '\\', ' '])
        || name.starts_with('[') != name.ends_with(']')
        || !name.starts_with('[') && name.contains(':')
        || !port.bytes().all(|byte| byte.is_ascii_digit());
    if bad_host || decoded(path).is_none() {
        return None;
    }
    Some(Url {
        scheme: scheme.to_ascii_lowercase(),
        host: host.into(),
        path: path.into(),
        query: query.into(),
    })
}

fn split_port(host: &str) -> (&str, &str) {
    let after = host.rfind(']').map_or(0, |at| at + 1);
    match host[after..].rfind(':') {
        Some(at) => (&host[..after + at], &host[after + at + 1..]),
        None => (host, ""),
    }
}

/// Percent-decoding; `None` if an escape is broken.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || (bytes.next()? as char).to_digit(16);
        out.push((digit()? * 16 + digit()?) as u8);
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// What a path may hold stays, the rest is percent-encoded.
fn escaped(path: &str) -> String {
    path.bytes().fold(String::new(), |mut out, byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!'()*[]%".contains(&byte);
        if plain {
            out.push(byte as char)
        } else {
            out.push_str(&format!("%{byte:02X}"))
        }
        out
    })
}
