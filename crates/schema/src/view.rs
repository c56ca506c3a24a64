//! Typed, read-only views of objects: `view::Pod(&value).spec()`. They cost a lookup per call and
//! own nothing. A value of the wrong type reads as absent, as objects are checked on decoding.
//!
//! - texts that must be there give `&str` (empty if absent), others `Option<&str>`; integers
//!   `Option<i64>`; objects behind a pointer `Option<View>`, others a view (empty if absent);
//! - lists give [`List`], an iterator that knows its length; maps give [`Map`];
//! - two definitions of one name carry their group in front, except those of the core group.

use apimachinery::{Quantity, Time};
use base64::Engine;
use serde_json::Value;
use std::marker::PhantomData;

/// A value that can be read out of JSON without owning it.
pub trait Read<'a>: Sized {
    /// `None` if the value has another type.
    fn read(value: &'a Value) -> Option<Self>;
}

impl<'a> Read<'a> for &'a str {
    fn read(value: &'a Value) -> Option<Self> {
        value.as_str()
    }
}
impl<'a> Read<'a> for i64 {
    fn read(value: &'a Value) -> Option<Self> {
        value.as_i64()
    }
}
impl<'a> Read<'a> for bool {
    fn read(value: &'a Value) -> Option<Self> {
        value.as_bool()
    }
}
impl<'a> Read<'a> for f64 {
    fn read(value: &'a Value) -> Option<Self> {
        value.as_f64()
    }
}
impl<'a> Read<'a> for &'a Value {
    fn read(value: &'a Value) -> Option<Self> {
        Some(value).filter(|v| !v.is_null())
    }
}
impl<'a> Read<'a> for Quantity {
    fn read(value: &'a Value) -> Option<Self> {
        match value {
            Value::String(text) => Quantity::parse(text).ok(),
            Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
            _ => None,
        }
    }
}
impl<'a> Read<'a> for Time {
    fn read(value: &'a Value) -> Option<Self> {
        Time::parse(value.as_str()?).ok()
    }
}

/// A port or a share: a number or a text such as `http` or `25%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntOrString<'a> {
    Int(i64),
    Str(&'a str),
}

impl<'a> Read<'a> for IntOrString<'a> {
    fn read(value: &'a Value) -> Option<Self> {
        value.as_i64().map(Self::Int).or_else(|| value.as_str().map(Self::Str))
    }
}

impl std::fmt::Display for IntOrString<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(n) => n.fmt(f),
            Self::Str(s) => f.write_str(s),
        }
    }
}

/// The items of a list. Items of the wrong type are skipped.
#[derive(Debug, Clone)]
pub struct List<'a, T> {
    items: std::slice::Iter<'a, Value>,
    kind: PhantomData<T>,
}

impl<'a, T> List<'a, T> {
    pub fn len(&self) -> usize {
        self.items.len()
    }
    pub fn is_empty(&self) -> bool {
        self.items.len() == 0
    }
    /// The items as they are.
    pub fn raw(&self) -> &'a [Value] {
        self.items.as_slice()
    }
}

impl<'a, T: Read<'a>> Iterator for List<'a, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.items.find_map(T::read)
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.items.len()))
    }
}

impl<'a, T: Read<'a>> DoubleEndedIterator for List<'a, T> {
    fn next_back(&mut self) -> Option<T> {
        self.items.by_ref().rev().find_map(T::read)
    }
}

impl<'a, T> Read<'a> for List<'a, T> {
    fn read(value: &'a Value) -> Option<Self> {
        Some(Self { items: value.as_array()?.iter(), kind: PhantomData })
    }
}

/// The entries of a map with text keys, sorted by key.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a, T> {
    map: Option<&'a serde_json::Map<String, Value>>,
    kind: PhantomData<T>,
}

impl<'a, T: Read<'a> + 'a> Map<'a, T> {
    pub fn get(&self, key: &str) -> Option<T> {
        T::read(self.map?.get(key)?)
    }
    pub fn contains_key(&self, key: &str) -> bool {
        self.map.is_some_and(|m| m.contains_key(key))
    }
    pub fn len(&self) -> usize {
        self.map.map_or(0, serde_json::Map::len)
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, T)> + use<'a, T> {
        self.map.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), T::read(value)?)))
    }
    pub fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a, T> {
        self.map.into_iter().flatten().map(|(key, _)| key.as_str())
    }
    /// The map as it is.
    pub fn raw(&self) -> Option<&'a serde_json::Map<String, Value>> {
        self.map
    }
}

impl<'a, T: Read<'a> + 'a> IntoIterator for Map<'a, T> {
    type Item = (&'a str, T);
    type IntoIter = Box<dyn Iterator<Item = (&'a str, T)> + 'a>;
    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

fn scalar<'a, T: Read<'a>>(object: &'a Value, key: &str) -> Option<T> {
    T::read(object.get(key)?)
}

fn object<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|v| v.is_object())
}

fn list<'a, T>(object: &'a Value, key: &str) -> List<'a, T> {
    let items = object.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    List { items: items.iter(), kind: PhantomData }
}

fn map<'a, T>(object: &'a Value, key: &str) -> Map<'a, T> {
    Map { map: object.get(key).and_then(Value::as_object), kind: PhantomData }
}

/// The bytes behind base64 text (`Secret.data`, `ConfigMap.binaryData`).
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

macro_rules! view {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name<'a>(pub &'a Value);
        impl<'a> Read<'a> for $name<'a> {
            fn read(value: &'a Value) -> Option<Self> {
                value.is_object().then_some(Self(value))
            }
        }
        impl<'a> From<&'a Value> for $name<'a> {
            fn from(value: &'a Value) -> Self {
                Self(value)
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/views.rs"));

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn views_read_typed_fields() {
        let pod = json!({
            "metadata": {"name": "p", "labels": {"a": "b"}},
            "spec": {"hostNetwork": true, "terminationGracePeriodSeconds": 5, "nodeSelector": {"k": "v"},
                "containers": [{"name": "c", "args": ["x", "y"], "ports": [{"containerPort": 80}],
                    "resources": {"requests": {"cpu": "250m"}}, "livenessProbe": {"httpGet": {"port": "http"}}}]},
            "status": {"podIPs": [{"ip": "10.0.0.1"}], "startTime": "2026-11-20T09:39:00Z"},
        });
        let pod = Pod(&pod);
        let spec = pod.spec();
        let container = spec.containers().next().unwrap();
        assert_eq!((container.name(), container.image()), ("c", None));
        assert_eq!(container.args().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(container.ports().next().and_then(|p| p.container_port()), Some(80));
        assert_eq!(container.resources().requests().get("cpu").unwrap().milli_value(), 250);
        assert_eq!(
            container.liveness_probe().and_then(|p| p.http_get()).unwrap().port(),
            Some(IntOrString::Str("http"))
        );
        assert_eq!((spec.host_network(), spec.termination_grace_period_seconds()), (Some(true), Some(5)));
        assert_eq!(spec.node_selector().iter().collect::<Vec<_>>(), [("k", "v")]);
        assert_eq!(pod.metadata().labels().get("a"), Some("b"));
        assert_eq!(pod.status().pod_ips().next().and_then(|ip| ip.ip().into()), Some("10.0.0.1"));
        assert_eq!(pod.status().start_time().unwrap().to_string(), "2026-11-20T09:39:00Z");
        assert!(spec.volumes().is_empty() && spec.volumes().next().is_none());
    }
}
