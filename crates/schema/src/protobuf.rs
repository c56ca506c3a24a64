//! Kubernetes' protobuf: the `k8s\0` envelope around one message, decoded and encoded by the table.
//!
//! Go writes every field that is no pointer, also when it is zero; so zero means absent for those,
//! and a value for pointers. Fields of embedded messages are flattened, as in JSON.

mod read;
pub(crate) mod wire;
mod write;

use crate::decode::DecodeError;
use crate::table::{TypeRef, table};
use apimachinery::GroupVersionKind;
use apimachinery::gvk::parse_api_version;
use serde_json::Value;
use wire::{Reader, Wire, put_bytes};

/// The first bytes of every document.
pub const MAGIC: &[u8] = b"k8s\0";
/// Deepest nesting of messages.
pub const MAX_DEPTH: usize = 100;

/// `runtime.Unknown`: what stands around a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Envelope<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    pub raw: &'a [u8],
    /// Empty means protobuf.
    pub content_type: &'a str,
}

impl<'a> Envelope<'a> {
    /// # Errors
    /// The document is no protobuf.
    pub fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let Some(message) = body.strip_prefix(MAGIC) else {
            return Err(DecodeError::Syntax(
                "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
                    .into(),
            ));
        };
        let mut envelope = Self::default();
        let mut reader = Reader::new(message);
        while let Some((number, value)) = reader.next()? {
            match (number, value) {
                (1, Wire::Bytes(meta)) => {
                    let mut meta = Reader::new(meta);
                    while let Some((number, value)) = meta.next()? {
                        match (number, value) {
                            (1, value) => envelope.api_version = value.text()?,
                            (2, value) => envelope.kind = value.text()?,
                            _ => {}
                        }
                    }
                }
                (2, Wire::Bytes(raw)) => envelope.raw = raw,
                (4, value) => envelope.content_type = value.text()?,
                _ => {}
            }
        }
        Ok(envelope)
    }

    pub fn gvk(&self) -> Option<GroupVersionKind> {
        parse_api_version(self.api_version)
            .map(|(group, version)| GroupVersionKind::new(group, version, self.kind))
    }
}

/// Decodes a document of a built-in kind.
///
/// # Errors
/// No protobuf, or a kind that is not in the table.
pub fn decode_protobuf(body: &[u8]) -> Result<(GroupVersionKind, Value), DecodeError> {
    decode_document(body, 0)
}

fn decode_document(body: &[u8], depth: usize) -> Result<(GroupVersionKind, Value), DecodeError> {
    let envelope = Envelope::read(body)?;
    let gvk = envelope.gvk().ok_or_else(|| {
        DecodeError::Syntax(format!("unexpected GroupVersion string: {}", envelope.api_version))
    })?;
    let ty = table().kind(&gvk.group, &gvk.version, &gvk.kind).ok_or_else(|| {
        DecodeError::Type(format!(
            "no kind {} is registered for version {}",
            apimachinery::go::quote(&gvk.kind),
            apimachinery::go::quote(&gvk.api_version())
        ))
    })?;
    let mut object = read::object(ty, envelope.raw, depth)?;
    if let Value::Object(map) = &mut object {
        for (key, text) in [("apiVersion", envelope.api_version), ("kind", envelope.kind)] {
            if ty.field(key).is_some() && !text.is_empty() {
                map.insert(key.to_owned(), text.into());
            }
        }
    }
    Ok((gvk, object))
}

/// Decodes a bare message of a known definition (no envelope).
///
/// # Errors
/// No protobuf.
pub fn decode_message(ty: TypeRef, message: &[u8]) -> Result<Value, DecodeError> {
    read::object(ty, message, 0)
}

/// Encodes an object with its envelope; `apiVersion` and `kind` are taken from the object.
pub fn encode_protobuf(ty: TypeRef, object: &Value) -> Vec<u8> {
    let mut meta = Vec::new();
    put_bytes(&mut meta, 1, apimachinery::meta::api_version(object).as_bytes());
    put_bytes(&mut meta, 2, apimachinery::meta::kind(object).as_bytes());
    let mut out = MAGIC.to_vec();
    put_bytes(&mut out, 1, &meta);
    put_bytes(&mut out, 2, &write::message(ty, object));
    put_bytes(&mut out, 3, b"");
    put_bytes(&mut out, 4, b"");
    out
}

#[cfg(test)]
mod tests;
