//! Values while an expression is evaluated. Data stay JSON and are read where an expression looks at them, with
//! the eyes of their shape (`decl`); only what an expression makes itself is built.

use crate::decl::{Decl, ListKind, ObjectDecl, Shape};
use crate::functions::time::{self, Moment};
use serde_json::Value as Json;
use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Reads JSON without a schema.
pub static DYNAMIC: Decl = Decl { shape: Shape::Dyn, max_elements: u64::MAX, min_serialized: 1 };

#[derive(Debug, Clone)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text<'a>),
    Bytes(Arc<[u8]>),
    Timestamp(Moment),
    /// Nanoseconds.
    Duration(i64),
    List(List<'a>),
    Map(Map<'a>),
    Object(Object<'a>),
    Optional(Option<Arc<Value<'a>>>),
    /// A type, by its name.
    Type(Cow<'static, str>),
    Opaque(Arc<dyn Opaque>),
}

/// A value of a library or of the program around.
pub trait Opaque: fmt::Debug + Send + Sync {
    fn type_name(&self) -> &'static str;
    fn equals(&self, other: &dyn Opaque) -> bool;
    fn as_any(&self) -> &dyn Any;
}

#[derive(Debug, Clone)]
pub enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

#[derive(Debug, Clone)]
pub enum List<'a> {
    Json { items: &'a [Json], of: &'a Decl, kind: &'a ListKind },
    Values(Arc<Vec<Value<'a>>>),
}

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        match self {
            List::Json { items, .. } => items.len(),
            List::Values(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json { items, of, .. } => items.get(index).map(|item| Value::of_json(item, of)),
            List::Values(values) => values.get(index).cloned(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    pub(crate) fn to_vec(&self) -> Vec<Value<'a>> {
        self.iter().collect()
    }

    pub(crate) fn kind(&self) -> &ListKind {
        match self {
            List::Json { kind, .. } => kind,
            List::Values(_) => &ListKind::Atomic,
        }
    }
}

/// A key of a map; numbers of equal value are one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Bool(bool),
    Int(i64),
    /// Larger than any int.
    Uint(u64),
    String(String),
}

impl Key {
    /// `None` for values that cannot be keys.
    pub fn of(value: &Value<'_>) -> Option<Key> {
        Some(match value {
            Value::Bool(value) => Key::Bool(*value),
            Value::Int(value) => Key::Int(*value),
            Value::Uint(value) => i64::try_from(*value).map_or(Key::Uint(*value), Key::Int),
            Value::Double(value) if value.fract() == 0.0 && value.abs() < 9e18 => Key::Int(*value as i64),
            Value::String(text) => Key::String(text.to_string()),
            _ => return None,
        })
    }

    fn value<'a>(&self) -> Value<'a> {
        match self {
            Key::Bool(value) => Value::Bool(*value),
            Key::Int(value) => Value::Int(*value),
            Key::Uint(value) => Value::Uint(*value),
            Key::String(text) => Value::text(text.as_str()),
        }
    }
}

#[derive(Debug, Clone)]
pub enum Map<'a> {
    Json { map: &'a serde_json::Map<String, Json>, of: &'a Decl },
    Values(Arc<BTreeMap<Key, Value<'a>>>),
}

impl<'a> Map<'a> {
    pub fn len(&self) -> usize {
        match self {
            Map::Json { map, .. } => map.len(),
            Map::Values(map) => map.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match (self, key) {
            (Map::Json { map, of }, Value::String(key)) => {
                map.get(&**key).map(|value| Value::of_json(value, of))
            }
            (Map::Json { .. }, _) => None,
            (Map::Values(map), key) => map.get(&Key::of(key)?).cloned(),
        }
    }

    pub fn get_text(&self, key: &str) -> Option<Value<'a>> {
        self.get(&Value::String(Text::Borrowed(key)))
    }

    pub fn keys(&self) -> Vec<Value<'a>> {
        match self {
            Map::Json { map, .. } => map.keys().map(|key| Value::String(Text::Borrowed(key))).collect(),
            Map::Values(map) => map.keys().map(Key::value).collect(),
        }
    }

    pub(crate) fn entries(&self) -> Vec<(Key, Value<'a>)> {
        match self {
            Map::Json { map, of } => {
                map.iter().map(|(key, value)| (Key::String(key.clone()), Value::of_json(value, of))).collect()
            }
            Map::Values(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// An object of a known shape: only declared fields can be seen.
#[derive(Debug, Clone)]
pub enum Object<'a> {
    Json {
        map: &'a serde_json::Map<String, Json>,
        decl: &'a ObjectDecl,
    },
    /// Made by an expression.
    Values {
        decl: Arc<ObjectDecl>,
        fields: Arc<BTreeMap<String, Value<'a>>>,
    },
}

impl<'a> Object<'a> {
    pub fn get(&self, field: &str) -> Option<Value<'a>> {
        match self {
            Object::Json { map, decl } => {
                let field = decl.fields.get(field)?;
                map.get(&field.json).map(|value| Value::of_json(value, &field.decl))
            }
            Object::Values { fields, .. } => fields.get(field).cloned(),
        }
    }

    pub fn type_name(&self) -> &str {
        match self {
            Object::Json { decl, .. } => &decl.name,
            Object::Values { decl, .. } => &decl.name,
        }
    }

    pub(crate) fn fields(&self) -> Vec<(String, Value<'a>)> {
        match self {
            Object::Json { decl, .. } => {
                decl.fields.keys().filter_map(|name| Some((name.clone(), self.get(name)?))).collect()
            }
            Object::Values { fields, .. } => fields.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }
}

impl<'a> Value<'a> {
    /// JSON seen with the eyes of a shape. What does not fit its shape is seen as what it looks like.
    pub fn of_json(json: &'a Json, decl: &'a Decl) -> Value<'a> {
        match (json, &decl.shape) {
            (Json::Null, _) => Value::Null,
            (Json::Bool(value), _) => Value::Bool(*value),
            (Json::Number(number), shape) => of_number(number, shape),
            (Json::String(text), shape) => of_text(text, shape),
            (Json::Array(items), Shape::List(of, kind)) => Value::List(List::Json { items, of, kind }),
            (Json::Array(items), _) => {
                Value::List(List::Json { items, of: &DYNAMIC, kind: &ListKind::Atomic })
            }
            (Json::Object(map), Shape::Object(decl)) => Value::Object(Object::Json { map, decl }),
            (Json::Object(map), Shape::Map(of)) => Value::Map(Map::Json { map, of }),
            (Json::Object(map), _) => Value::Map(Map::Json { map, of: &DYNAMIC }),
        }
    }

    pub fn text(text: impl Into<Arc<str>>) -> Value<'a> {
        Value::String(Text::Shared(text.into()))
    }

    pub fn values(values: Vec<Value<'a>>) -> Value<'a> {
        Value::List(List::Values(Arc::new(values)))
    }

    pub fn opaque(value: impl Opaque + 'static) -> Value<'a> {
        Value::Opaque(Arc::new(value))
    }

    pub fn some(value: Value<'a>) -> Value<'a> {
        Value::Optional(Some(Arc::new(value)))
    }

    /// The library value inside.
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        match self {
            Value::Opaque(value) => value.as_any().downcast_ref(),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(value) = self { Some(*value) } else { None }
    }

    pub fn as_text(&self) -> Option<&str> {
        if let Value::String(text) = self { Some(text) } else { None }
    }

    /// As `type()` names it.
    pub fn type_name(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Object(object) => object.type_name(),
            Value::Optional(_) => "optional_type",
            Value::Type(_) => "type",
            Value::Opaque(value) => value.type_name(),
        })
    }

    /// What cost counts: characters, items, entries; 1 for everything else.
    pub fn size(&self) -> u64 {
        let size = match self {
            Value::String(text) => text.chars().count(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            Value::Object(object) => object.fields().len(),
            Value::Optional(Some(value)) => return value.size(),
            _ => 1,
        };
        size as u64
    }

    /// The value as JSON; `None` for what JSON has no form for.
    pub fn to_json(&self) -> Option<Json> {
        use base64::Engine;
        Some(match self {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => (*value).into(),
            Value::Uint(value) => (*value).into(),
            Value::Double(value) => serde_json::Number::from_f64(*value).map(Json::Number)?,
            Value::String(text) => Json::String(text.to_string()),
            Value::Bytes(bytes) => Json::String(base64::engine::general_purpose::STANDARD.encode(bytes)),
            Value::Timestamp(at) => Json::String(time::print_timestamp(*at)),
            Value::Duration(nanos) => Json::String(time::print_duration(*nanos)),
            Value::List(List::Json { items, .. }) => Json::Array(items.to_vec()),
            Value::List(list) => Json::Array(list.iter().map(|item| item.to_json()).collect::<Option<_>>()?),
            Value::Map(Map::Json { map, .. }) | Value::Object(Object::Json { map, .. }) => {
                Json::Object((*map).clone())
            }
            Value::Map(map) => {
                let entry = |(key, value): (Key, Value<'_>)| match key {
                    Key::String(key) => Some((key, value.to_json()?)),
                    _ => None,
                };
                Json::Object(map.entries().into_iter().map(entry).collect::<Option<_>>()?)
            }
            Value::Object(Object::Values { decl, fields }) => {
                let entry = |(name, value): (&String, &Value<'_>)| {
                    let json = decl.fields.get(name).map_or(name, |field| &field.json);
                    Some((json.clone(), value.to_json()?))
                };
                Json::Object(fields.iter().map(entry).collect::<Option<_>>()?)
            }
            Value::Optional(Some(value)) => value.to_json()?,
            Value::Optional(None) => Json::Null,
            Value::Type(name) => Json::String(name.to_string()),
            Value::Opaque(_) => return None,
        })
    }
}

fn of_number<'a>(number: &serde_json::Number, shape: &Shape) -> Value<'a> {
    match (number.as_i64(), shape) {
        (Some(value), Shape::Double) => Value::Double(value as f64),
        (Some(value), _) => Value::Int(value),
        (None, _) => match number.as_u64() {
            Some(value) if !matches!(shape, Shape::Double) => Value::Uint(value),
            _ => {
                let value = number.as_f64().unwrap_or_default();
                let whole = matches!(shape, Shape::Int) && value.fract() == 0.0 && value.abs() < 9e18;
                if whole { Value::Int(value as i64) } else { Value::Double(value) }
            }
        },
    }
}

fn of_text<'a>(text: &'a str, shape: &Shape) -> Value<'a> {
    use base64::Engine;
    let read = match shape {
        Shape::Bytes => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
            bytes.map(|bytes| Value::Bytes(bytes.into()))
        }
        Shape::Timestamp => time::parse_timestamp(text).map(Value::Timestamp),
        Shape::Duration => time::parse_duration(text).map(Value::Duration),
        _ => None,
    };
    read.unwrap_or(Value::String(Text::Borrowed(text)))
}
