//! Documents without a schema here: trees as they are, with what was given twice.

use super::{DecodeError, Decoded, Format, StrictProblem, json_error, yaml_error};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads a JSON or YAML document as an untyped tree. Keys given twice are reported; the last one counts.
///
/// # Errors
/// The syntax error in Go's words; protobuf has no untyped form.
pub fn decode_untyped(format: Format, body: &[u8]) -> Result<Decoded, DecodeError> {
    let mut read = Read { path: String::new(), problems: Vec::new() };
    let object = match format {
        Format::Json => {
            let mut deserializer = serde_json::Deserializer::from_slice(body);
            let value = read.deserialize(&mut deserializer);
            value
                .and_then(|value| deserializer.end().map(|()| value))
                .map_err(|error| DecodeError::Syntax(json_error(body, &error)))?
        }
        Format::Yaml => read
            .deserialize(serde_yaml_ng::Deserializer::from_slice(body))
            .map_err(|error| DecodeError::Syntax(yaml_error(&error)))?,
        Format::Protobuf => return Err(DecodeError::Syntax("protobuf has no untyped form".into())),
    };
    Ok(Decoded { object, problems: read.problems })
}

struct Read {
    path: String,
    problems: Vec<StrictProblem>,
}

impl<'de> DeserializeSeed<'de> for &mut Read {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Read {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let (mut items, length) = (Vec::new(), self.path.len());
        loop {
            self.path.push_str(&format!("[{}]", items.len()));
            let next = access.next_element_seed(&mut *self)?;
            self.path.truncate(length);
            match next {
                Some(item) => items.push(item),
                None => return Ok(items.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let (mut map, length) = (Map::new(), self.path.len());
        while let Some(key) = access.next_key::<String>()? {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            if map.contains_key(&key) {
                self.problems.push(StrictProblem::Duplicate(self.path.clone()));
            }
            let value = access.next_value_seed(&mut *self)?;
            self.path.truncate(length);
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_twice_is_reported() {
        let json = br#"{"a": [{"b": 1, "b": 2.5}], "c": null, "a": "x"}"#;
        let read = decode_untyped(Format::Json, json).unwrap();
        assert_eq!(read.object, serde_json::json!({"a": "x", "c": null}));
        let texts: Vec<String> = read.problems.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["duplicate field \"a[0].b\"", "duplicate field \"a\""]);
        let read = decode_untyped(Format::Yaml, b"a: {b: 1}\nc: [x]\n").unwrap();
        assert_eq!(read.object, serde_json::json!({"a": {"b": 1}, "c": ["x"]}));
        assert!(
            decode_untyped(Format::Json, b"{").is_err() && decode_untyped(Format::Json, b"{} x").is_err()
        );
    }
}
