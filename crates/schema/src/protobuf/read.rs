//! Protobuf messages to objects, by the table.

use super::wire::{Reader, Wire};
use super::{MAGIC, MAX_DEPTH};
use crate::decode::{DecodeError, is_printed};
use crate::table::{FieldRef, Item, Scalar, Shape, TypeRef};
use apimachinery::{Quantity, Time};
use base64::Engine;
use serde_json::{Map, Value};

/// A message of the definition as an object.
pub fn object(ty: TypeRef, message: &[u8], depth: usize) -> Result<Value, DecodeError> {
    let mut map = Map::new();
    fill(ty, message, &[], &mut map, depth)?;
    let mut present = 0;
    map.retain(|name, value| {
        let Some(position) = ty.position(name) else { return false };
        let printed = is_printed(ty.at(position), value);
        present |= u128::from(printed) << position;
        printed
    });
    for (name, zero) in ty.zeros(present) {
        map.insert(name.to_owned(), zero);
    }
    Ok(Value::Object(map))
}

/// Reads one message into `map`; `path` leads to it if it is an embedded one.
fn fill(
    ty: TypeRef,
    message: &[u8],
    path: &[u8],
    map: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), DecodeError> {
    if depth > MAX_DEPTH {
        return Err(DecodeError::Syntax("proto: message nests too deep".into()));
    }
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.next()? {
        // Fields this level does not know are skipped, as Go does.
        let Some(field) = ty.fields().find(|f| f.is_numbered(path, number)) else { continue };
        if field.numbers().len() > path.len() + 1 {
            let path = &field.numbers()[..=path.len()];
            fill(ty, value.bytes()?, path, map, depth + 1)?;
            continue;
        }
        add(field, value, map, depth)?;
    }
    Ok(())
}

fn add(
    field: FieldRef,
    value: Wire<'_>,
    map: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), DecodeError> {
    let name = field.name();
    match field.shape() {
        Shape::One => {
            if let Some(value) = item(field, value, depth)? {
                map.insert(name.to_owned(), value);
            }
        }
        Shape::List => {
            let list = array(map.entry(name).or_insert_with(|| Value::Array(Vec::new())));
            push(field, value, list, depth)?;
        }
        Shape::WrappedList => {
            map.insert(name.to_owned(), wrapped(field, value, depth)?);
        }
        Shape::Map | Shape::MapOfWrappedLists => {
            let (key, value) = entry(field, value, depth)?;
            apimachinery::meta::object_at(map, name).insert(key, value);
        }
    }
    Ok(())
}

fn array(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("made a list above"),
    }
}

/// One occurrence of a repeated field; numbers may also come packed.
fn push(field: FieldRef, value: Wire<'_>, list: &mut Vec<Value>, depth: usize) -> Result<(), DecodeError> {
    let numeric = matches!(field.item(), Item::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Bool));
    if let (true, Wire::Bytes(packed)) = (numeric, value) {
        let mut reader = Reader::new(packed);
        while !reader.is_empty() {
            let number = Wire::Varint(reader.varint()?);
            list.extend(item(field, number, depth)?);
        }
        return Ok(());
    }
    list.push(item(field, value, depth)?.unwrap_or(Value::Null));
    Ok(())
}

/// `{items=1}`.
fn wrapped(field: FieldRef, value: Wire<'_>, depth: usize) -> Result<Value, DecodeError> {
    let mut list = Vec::new();
    let mut reader = Reader::new(value.bytes()?);
    while let Some((number, value)) = reader.next()? {
        if number == 1 {
            push(field, value, &mut list, depth)?;
        }
    }
    Ok(Value::Array(list))
}

/// `{key=1, value=2}`; an absent value is the type's zero.
fn entry(field: FieldRef, value: Wire<'_>, depth: usize) -> Result<(String, Value), DecodeError> {
    let (mut key, mut found) = (String::new(), None);
    let mut reader = Reader::new(value.bytes()?);
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => value.text()?.clone_into(&mut key),
            2 if field.shape() == Shape::MapOfWrappedLists => found = Some(wrapped(field, value, depth)?),
            2 => found = item(field, value, depth)?,
            _ => {}
        }
    }
    let zero = || match field.item() {
        Item::Object(target) => target.zero(),
        Item::Scalar(Scalar::String | Scalar::Bytes) => "".into(),
        Item::Scalar(Scalar::Quantity) => "0".into(),
        Item::Scalar(_) => Value::Null,
    };
    Ok((key, found.unwrap_or_else(zero)))
}

/// `None`: a zero time or an empty raw value, which JSON does not show.
fn item(field: FieldRef, value: Wire<'_>, depth: usize) -> Result<Option<Value>, DecodeError> {
    let scalar = match field.item() {
        Item::Object(target) => return object(target, value.bytes()?, depth + 1).map(Some),
        Item::Scalar(scalar) => scalar,
    };
    Ok(match scalar {
        Scalar::String => Some(value.text()?.into()),
        Scalar::Int32 => Some((value.integer()? as i32).into()),
        Scalar::Int64 => Some(value.integer()?.into()),
        Scalar::Bool => Some((value.integer()? != 0).into()),
        Scalar::Double => Some(value.double()?.into()),
        Scalar::Bytes => Some(base64::engine::general_purpose::STANDARD.encode(value.bytes()?).into()),
        Scalar::Quantity => Some(quantity(value)?),
        Scalar::Time => time(value)?.map(|t| t.to_string().into()),
        Scalar::MicroTime => time(value)?.map(|t| t.micro().into()),
        Scalar::Duration => {
            let nanos = numbered(value, 1)?.map_or(Ok(0), Wire::integer)?;
            Some(apimachinery::time::go_duration_nanos(nanos).into())
        }
        Scalar::IntOrString => Some(int_or_string(value)?),
        Scalar::Raw | Scalar::Json | Scalar::Fields | Scalar::Any => raw(value, depth)?,
        Scalar::PropsOrBool | Scalar::PropsOrArray | Scalar::PropsOrStrings => {
            schema_or(field, scalar, value, depth)?
        }
    })
}

/// The last occurrence of one field of a small message.
fn numbered(value: Wire<'_>, wanted: u32) -> Result<Option<Wire<'_>>, DecodeError> {
    let mut found = None;
    let mut reader = Reader::new(value.bytes()?);
    while let Some((number, value)) = reader.next()? {
        if number == wanted {
            found = Some(value);
        }
    }
    Ok(found)
}

fn quantity(value: Wire<'_>) -> Result<Value, DecodeError> {
    let text = numbered(value, 1)?.map_or(Ok("0"), Wire::text)?;
    let text = if text.is_empty() { "0" } else { text };
    Quantity::normalize(text).map(Value::from).map_err(|e| DecodeError::Type(e.to_string()))
}

/// `{seconds=1, nanos=2}`; empty means the zero time.
fn time(value: Wire<'_>) -> Result<Option<Time>, DecodeError> {
    if value.bytes()?.is_empty() {
        return Ok(None);
    }
    let seconds = numbered(value, 1)?.map_or(Ok(0), Wire::integer)?;
    let nanos = numbered(value, 2)?.map_or(Ok(0), Wire::integer)?;
    let time = i32::try_from(nanos).ok().and_then(|nanos| Time::from_unix(seconds, nanos));
    time.map(Some).ok_or_else(|| DecodeError::Type("proto: timestamp out of range".into()))
}

/// `{type=1, intVal=2, strVal=3}`.
fn int_or_string(value: Wire<'_>) -> Result<Value, DecodeError> {
    let is_text = numbered(value, 1)?.map_or(Ok(0), Wire::integer)? == 1;
    if is_text {
        return numbered(value, 3)?.map_or(Ok(""), Wire::text).map(Value::from);
    }
    Ok(Value::from(numbered(value, 2)?.map_or(Ok(0), Wire::integer)? as i32))
}

/// `{raw=1}`: JSON text, or a protobuf document of its own.
fn raw(value: Wire<'_>, depth: usize) -> Result<Option<Value>, DecodeError> {
    let Some(bytes) = numbered(value, 1)?.map(Wire::bytes).transpose()?.filter(|b| !b.is_empty()) else {
        return Ok(None);
    };
    if bytes.starts_with(MAGIC) {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Syntax("proto: message nests too deep".into()));
        }
        return super::decode_document(bytes, depth + 1).map(|(_, object)| Some(object));
    }
    crate::decode::json_value(bytes).map(|value| Some(value).filter(|v| !v.is_null()))
}

/// `{allows=1, schema=2}`, `{schema=1, schemas=2}`, `{schema=1, texts=2}`.
fn schema_or(
    field: FieldRef,
    scalar: Scalar,
    value: Wire<'_>,
    depth: usize,
) -> Result<Option<Value>, DecodeError> {
    let Some(ty) = field.target() else { return Ok(None) };
    let (mut single, mut list) = (None, Vec::new());
    let mut reader = Reader::new(value.bytes()?);
    while let Some((number, value)) = reader.next()? {
        match (scalar, number) {
            (Scalar::PropsOrBool, 1) => single = single.or(Some(Value::Bool(value.integer()? != 0))),
            (Scalar::PropsOrBool, 2) | (Scalar::PropsOrArray | Scalar::PropsOrStrings, 1) => {
                single = Some(object(ty, value.bytes()?, depth + 1)?)
            }
            (Scalar::PropsOrArray, 2) => list.push(object(ty, value.bytes()?, depth + 1)?),
            (Scalar::PropsOrStrings, 2) => list.push(value.text()?.into()),
            _ => {}
        }
    }
    Ok(if list.is_empty() { single } else { Some(Value::Array(list)) })
}
