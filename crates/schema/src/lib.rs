//! The schema table of the built-in kinds and what it drives. Pure.
//!
//! - [`table`]: what is known about every field (types, list types, keys, presence, protobuf);
//! - [`decode_json`], [`decode_yaml`], [`decode_value`]: strict decoding in one pass, with
//!   [`StrictProblem`]s for unknown and repeated fields, and Go's words for wrong types;
//! - [`sniff`]: what a document says it is;
//! - [`decode_protobuf`], [`encode_protobuf`]: Kubernetes' protobuf;
//! - [`encode`], [`encode_any`]: JSON bytes in the API's field order;
//! - [`strategic_merge`]: strategic merge patch;
//! - [`apply`]: server-side apply and managed fields;
//! - [`prune`]: drops unknown fields in place;
//! - [`openapi`]: the documents of `/openapi/v2` and `/openapi/v3`, with [`descriptions`];
//! - [`view`]: typed read-only views for logic.

pub mod apply;
pub mod decode;
pub mod descriptions;
pub mod encode;
#[cfg(test)]
mod laws;
pub mod openapi;
pub mod protobuf;
mod prune;
pub mod strategic;
mod table;
pub mod view;

pub use decode::{
    DecodeError, Decoded, Format, Sniffed, StrictProblem, decode_json, decode_untyped, decode_value,
    decode_yaml, json_value, sniff, strict_message, yaml_value,
};
pub use encode::{encode, encode_any, encode_into, encode_yaml, indent};
pub use protobuf::{decode_protobuf, encode_protobuf};
pub use prune::prune;
pub use strategic::strategic_merge;
pub use table::{FieldRef, Item, ListType, MapType, Scalar, Shape, Table, TypeRef, table};
