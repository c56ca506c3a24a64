//! Strict decoding of JSON, YAML and trees into objects of a known definition, in one pass.
//!
//! The result is what Go would keep and print: unknown fields are pruned; null and (for fields that
//! are not printed when empty) zero values are dropped; fields that are always printed (`status`,
//! `resources`, `restartCount`) get their zero if absent, lists and maps excepted; quantities and times are in canonical form. What
//! was unknown or given twice is reported, so that the caller can warn or refuse. A value of the
//! wrong type fails with the words of Go's decoder.
//!
//! Limit: documents nest at most [`MAX_DEPTH`] deep.

mod untyped;
mod walk;

pub use untyped::decode_untyped;

pub(crate) use walk::is_printed;

use crate::table::TypeRef;
use apimachinery::go;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Deepest nesting of a document (serde_json's own limit; YAML has the same).
pub const MAX_DEPTH: usize = 128;
/// Most strict problems reported for one document.
pub const MAX_PROBLEMS: usize = 100;

/// Something that strict validation refuses and lenient validation only warns about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StrictProblem {
    /// The field is not in the schema; it was dropped.
    Unknown(String),
    /// The field was given more than once; the last one counts.
    Duplicate(String),
}

impl fmt::Display for StrictProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(path) => write!(f, "unknown field {}", go::quote(path)),
            Self::Duplicate(path) => write!(f, "duplicate field {}", go::quote(path)),
        }
    }
}

/// All problems in the words of a strict decoding failure: `strict decoding error: a, b`.
pub fn strict_message(problems: &[StrictProblem]) -> String {
    let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("strict decoding error: {}", list.join(", "))
}

/// An object and what strict validation would say about how it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub object: Value,
    pub problems: Vec<StrictProblem>,
}

/// Why a document is not an object of the definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// No JSON, YAML or protobuf at all.
    Syntax(String),
    /// A value of the wrong type, in Go's words.
    Type(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) | Self::Type(text) => f.write_str(text),
        }
    }
}
impl std::error::Error for DecodeError {}

/// Decodes a JSON document.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_json(ty: TypeRef, body: &[u8]) -> Result<Decoded, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let result = run(ty, &mut deserializer);
    result
        .and_then(|walked| deserializer.end().map(|()| walked))
        .map_err(|e| DecodeError::Syntax(json_error(body, &e)))
        .and_then(walk::Walked::finish)
}

/// Decodes a YAML document.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_yaml(ty: TypeRef, body: &[u8]) -> Result<Decoded, DecodeError> {
    run(ty, serde_yaml_ng::Deserializer::from_slice(body))
        .map_err(|e| DecodeError::Syntax(yaml_error(&e)))
        .and_then(walk::Walked::finish)
}

/// Checks and normalises a tree, for example the result of a patch.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_value(ty: TypeRef, value: Value) -> Result<Decoded, DecodeError> {
    run(ty, value)
        .map_err(|e: serde_json::Error| DecodeError::Syntax(e.to_string()))
        .and_then(walk::Walked::finish)
}

fn run<'de, D: Deserializer<'de>>(ty: TypeRef, deserializer: D) -> Result<walk::Walked, D::Error> {
    walk::decode(ty, deserializer)
}

/// Reads a YAML document as an untyped tree (for server-side apply and kinds without schema).
///
/// # Errors
/// The YAML error.
pub fn yaml_value(body: &[u8]) -> Result<Value, DecodeError> {
    serde_yaml_ng::from_slice(body).map_err(|e| DecodeError::Syntax(yaml_error(&e)))
}

/// Reads a JSON document as an untyped tree.
///
/// # Errors
/// The JSON error in Go's words.
pub fn json_value(body: &[u8]) -> Result<Value, DecodeError> {
    serde_json::from_slice(body).map_err(|e| DecodeError::Syntax(json_error(body, &e)))
}

/// The formats a body may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
    Protobuf,
}

impl Format {
    /// Looks at the first bytes only; anything that is neither protobuf nor `{` counts as YAML.
    pub fn detect(body: &[u8]) -> Self {
        if body.starts_with(crate::protobuf::MAGIC) {
            return Self::Protobuf;
        }
        match body.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'{') => Self::Json,
            _ => Self::Yaml,
        }
    }
}

/// What a document says it is. Both are empty if it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sniffed {
    pub api_version: String,
    pub kind: String,
}

/// Reads `apiVersion` and `kind` without building the object.
///
/// # Errors
/// Upstream's words for documents that cannot be read.
pub fn sniff(format: Format, body: &[u8]) -> Result<Sniffed, DecodeError> {
    let fail = |what: &str, e: String| {
        DecodeError::Syntax(format!("couldn't get version/kind; {what} parse error: {e}"))
    };
    match format {
        Format::Json => {
            let mut deserializer = serde_json::Deserializer::from_slice(body);
            let result = deserializer.deserialize_any(SniffVisitor);
            result
                .and_then(|s| deserializer.end().map(|()| s))
                .map_err(|e| fail("json", json_error(body, &e)))
        }
        Format::Yaml => serde_yaml_ng::Deserializer::from_slice(body)
            .deserialize_any(SniffVisitor)
            .map_err(|e| fail("yaml", yaml_error(&e))),
        Format::Protobuf => {
            let unknown =
                crate::protobuf::Envelope::read(body).map_err(|e| DecodeError::Syntax(e.to_string()))?;
            Ok(Sniffed { api_version: unknown.api_version.to_owned(), kind: unknown.kind.to_owned() })
        }
    }
}

struct SniffVisitor;

impl<'de> Visitor<'de> for SniffVisitor {
    type Value = Sniffed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sniffed, A::Error> {
        let mut found = Sniffed::default();
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match &*key {
                "apiVersion" => found.api_version = text_of("apiVersion", map.next_value()?)?,
                "kind" => found.kind = text_of("kind", map.next_value()?)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

fn text_of<E: serde::de::Error>(field: &str, value: Value) -> Result<String, E> {
    let found = match value {
        Value::String(text) => return Ok(text),
        Value::Null => return Ok(String::new()),
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Err(E::custom(format!("json: cannot unmarshal {found} into Go struct field .{field} of type string")))
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

fn yaml_error(error: &serde_yaml_ng::Error) -> String {
    format!("error converting YAML to JSON: yaml: {error}")
}

/// A JSON syntax error as Go words it, as far as the two decoders can be compared.
fn json_error(body: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let text = error.to_string();
    let place = match text.as_str() {
        t if t.starts_with("expected value") => "looking for beginning of value",
        t if t.starts_with("expected `:`") => "after object key",
        t if t.starts_with("expected `,` or `}`") => "after object key:value pair",
        t if t.starts_with("expected `,` or `]`") => "after array element",
        t if t.starts_with("key must be a string") => "looking for beginning of object key string",
        t if t.starts_with("trailing comma") => "looking for beginning of object key string",
        t if t.starts_with("trailing characters") => "after top-level value",
        // serde_json adds the place to every message.
        _ => return text.rfind(" at line ").map_or(text.clone(), |end| text[..end].to_owned()),
    };
    let line_start = body
        .split_inclusive(|b| *b == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum::<usize>();
    let at = line_start + error.column().saturating_sub(1);
    let character = String::from_utf8_lossy(body.get(at..).unwrap_or_default()).chars().next().unwrap_or(' ');
    let quoted = if character == '\'' {
        "'\\''".to_owned()
    } else {
        format!("'{}'", go::quote(&character.to_string()).trim_matches('"'))
    };
    format!("invalid character {quoted} {place}")
}

#[cfg(test)]
mod tests;
