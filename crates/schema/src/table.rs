//! The schema table: what is known about every field of every built-in kind. Static data made
//! from `facts/` by the build script; handles are indexes, so they are free to copy.

use serde_json::Value;
use std::fmt;
use std::sync::LazyLock;

/// Offset and length in `TEXTS`.
#[derive(Clone, Copy)]
struct Text(u32, u16);

impl Text {
    fn get(self) -> &'static str {
        &TEXTS[self.0 as usize..self.0 as usize + self.1 as usize]
    }

    /// Without the check for character boundaries: for comparing.
    fn bytes(self) -> &'static [u8] {
        &TEXTS.as_bytes()[self.0 as usize..self.0 as usize + self.1 as usize]
    }
}

struct RawType {
    name: Text,
    first: u16,
    count: u8,
    atomic: bool,
    /// Fields printed whatever their value, as bits by position.
    always: u128,
}

struct RawField {
    name: Text,
    keys: Text,
    merge_key: Text,
    default: Text,
    numbers: [u8; 3],
    scalar: u8,
    shape: u8,
    target: u16,
    list: u8,
    flags: u8,
}

struct RawKind {
    kind: Text,
    group: Text,
    version: Text,
    target: u16,
}

include!(concat!(env!("OUT_DIR"), "/table.rs"));

const POINTER: u8 = 1;
const OMIT_EMPTY: u8 = 2;
const OMIT_ZERO: u8 = 4;
const REQUIRED: u8 = 8;
const MAP_ATOMIC: u8 = 16;
const PATCH_MERGE: u8 = 32;
const PATCH_REPLACE: u8 = 64;
const PATCH_RETAIN_KEYS: u8 = 128;
/// In `RawField::list`, whose two low bits are the list type.
const MAP_GRANULAR: u8 = 4;

/// A leaf type. The comment says how it looks in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    String,
    Int32,
    Int64,
    Bool,
    Double,
    /// Base64 text.
    Bytes,
    /// Text or number.
    Quantity,
    /// RFC 3339 text to the second.
    Time,
    /// RFC 3339 text to the microsecond.
    MicroTime,
    /// Go duration text.
    Duration,
    /// Number or text.
    IntOrString,
    /// Any object (RawExtension).
    Raw,
    /// Anything (not in protobuf).
    Any,
    /// Anything; JSON text in protobuf.
    Json,
    /// A managed fields set.
    Fields,
    /// A JSON schema, or true/false.
    PropsOrBool,
    /// A JSON schema, or a list of them.
    PropsOrArray,
    /// A JSON schema, or a list of texts.
    PropsOrStrings,
}

const SCALARS: [Scalar; 18] = [
    Scalar::String,
    Scalar::Int32,
    Scalar::Int64,
    Scalar::Bool,
    Scalar::Double,
    Scalar::Bytes,
    Scalar::Quantity,
    Scalar::Time,
    Scalar::MicroTime,
    Scalar::Duration,
    Scalar::IntOrString,
    Scalar::Raw,
    Scalar::Any,
    Scalar::Json,
    Scalar::Fields,
    Scalar::PropsOrBool,
    Scalar::PropsOrArray,
    Scalar::PropsOrStrings,
];

/// How many of the item a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    One,
    List,
    /// Keys are texts.
    Map,
    /// A list that is a message of its own in protobuf; a plain list in JSON.
    WrappedList,
    /// A map of such lists.
    MapOfWrappedLists,
}

/// What a field holds, apart from how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    Scalar(Scalar),
    Object(TypeRef),
}

/// How server-side apply treats a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListType {
    Atomic,
    Set,
    /// Keyed by [`FieldRef::map_keys`].
    Map,
}

/// How server-side apply treats a map or an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MapType {
    Atomic,
    Granular,
}

/// One definition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeRef(u16);

/// One field of one definition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldRef(u16);

/// The whole table; get it with [`table`].
#[derive(Debug)]
pub struct Table(());

static TABLE: Table = Table(());

/// The table of Kubernetes 1.36.
pub fn table() -> &'static Table {
    &TABLE
}

/// Kinds of `meta.k8s.io/v1` that clients send under any group and version.
const ANYWHERE: [&str; 6] =
    ["CreateOptions", "DeleteOptions", "GetOptions", "ListOptions", "PatchOptions", "UpdateOptions"];

impl Table {
    /// The definition of a kind. Options are found under every group and version.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeRef> {
        let find = |group: &str, version: &str| {
            let wanted = (kind, group, version);
            KINDS
                .binary_search_by(|k| (k.kind.get(), k.group.get(), k.version.get()).cmp(&wanted))
                .ok()
                .map(|i| TypeRef(KINDS[i].target))
        };
        find(group, version).or_else(|| find("meta.k8s.io", "v1").filter(|_| ANYWHERE.contains(&kind)))
    }

    /// A definition by its OpenAPI name, such as `io.k8s.api.core.v1.Pod`.
    pub fn definition(&self, name: &str) -> Option<TypeRef> {
        TYPES.binary_search_by(|t| t.name.get().cmp(name)).ok().map(|i| TypeRef(i as u16))
    }

    /// All definitions, by name.
    pub fn definitions(&self) -> impl Iterator<Item = TypeRef> + use<> {
        (0..TYPES.len() as u16).map(TypeRef)
    }

    /// All `(group, version, kind)` and their definitions, by kind.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, TypeRef)> + use<> {
        KINDS.iter().map(|k| (k.group.get(), k.version.get(), k.kind.get(), TypeRef(k.target)))
    }
}

impl TypeRef {
    fn raw(self) -> &'static RawType {
        &TYPES[self.0 as usize]
    }

    /// The OpenAPI name, such as `io.k8s.api.core.v1.Pod`.
    pub fn name(self) -> &'static str {
        self.raw().name.get()
    }

    /// The last part of the name, such as `Pod`.
    pub fn short_name(self) -> &'static str {
        self.name().rsplit('.').next().unwrap_or_default()
    }

    /// The name as Go prints it in errors, such as `v1.Pod`.
    pub fn go_name(self) -> &'static str {
        let name = self.name();
        name.rmatch_indices('.').nth(1).map_or(name, |(dot, _)| &name[dot + 1..])
    }

    /// Whether server-side apply treats the object as one value.
    pub fn is_atomic(self) -> bool {
        self.raw().atomic
    }

    /// The fields in the order in which the API prints them.
    pub fn fields(self) -> impl ExactSizeIterator<Item = FieldRef> + use<> {
        let first = self.raw().first;
        (first..first + u16::from(self.raw().count)).map(FieldRef)
    }

    /// The fields by name, as pairs of position and field.
    pub(crate) fn sorted(self) -> impl Iterator<Item = (u8, FieldRef)> {
        let first = self.raw().first;
        SORTED[first as usize..first as usize + self.raw().count as usize]
            .iter()
            .map(move |i| (*i, FieldRef(first + u16::from(*i))))
    }

    /// The fields Go prints whatever their value, of those not among `present` (bits by position),
    /// with the zero it prints.
    pub(crate) fn zeros(self, present: u128) -> impl Iterator<Item = (&'static str, Value)> {
        let mut missing = self.raw().always & !present;
        std::iter::from_fn(move || {
            if missing == 0 {
                return None;
            }
            let field = self.at(missing.trailing_zeros() as u8);
            missing &= missing - 1;
            Some((field.name(), field.zero()))
        })
    }

    /// The fields for which Go prints null where an object lacks them.
    pub fn nulls(self) -> &'static [&'static str] {
        static NULLS: LazyLock<Vec<Vec<&str>>> = LazyLock::new(|| {
            let nulls = |ty: TypeRef| ty.fields().filter(|f| f.is_null_if_absent()).map(FieldRef::name);
            table().definitions().map(|ty| nulls(ty).collect()).collect()
        });
        &NULLS[self.0 as usize]
    }

    /// An object with nothing set, as Go prints it.
    pub fn zero(self) -> Value {
        Value::Object(self.zeros(0).map(|(name, zero)| (name.to_owned(), zero)).collect())
    }

    pub(crate) fn at(self, position: u8) -> FieldRef {
        FieldRef(self.raw().first + u16::from(position))
    }

    /// A field by its JSON name; case matters.
    pub fn field(self, name: &str) -> Option<FieldRef> {
        self.position(name).map(|i| self.at(i))
    }

    pub(crate) fn position(self, name: &str) -> Option<u8> {
        let first = self.raw().first as usize;
        let order = &SORTED[first..first + self.raw().count as usize];
        order
            .binary_search_by(|i| FIELDS[first + *i as usize].name.bytes().cmp(name.as_bytes()))
            .ok()
            .map(|i| order[i])
    }

    /// All `(group, version, kind)` the definition is served under.
    pub fn kinds(self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        table().kinds().filter(move |k| k.3 == self).map(|k| (k.0, k.1, k.2))
    }
}

impl fmt::Debug for TypeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FieldRef {
    fn raw(self) -> &'static RawField {
        &FIELDS[self.0 as usize]
    }

    fn flag(self, bit: u8) -> bool {
        self.raw().flags & bit != 0
    }

    /// The JSON name.
    pub fn name(self) -> &'static str {
        self.raw().name.get()
    }

    pub(crate) fn name_bytes(self) -> &'static [u8] {
        self.raw().name.bytes()
    }

    /// Whether the field has this protobuf number, or lies in the embedded message of this number,
    /// below `path`.
    pub(crate) fn is_numbered(self, path: &[u8], number: u32) -> bool {
        let numbers = &self.raw().numbers;
        numbers.get(path.len()).is_some_and(|n| u32::from(*n) == number) && numbers.starts_with(path)
    }

    pub fn shape(self) -> Shape {
        [Shape::One, Shape::List, Shape::Map, Shape::WrappedList, Shape::MapOfWrappedLists]
            [self.raw().shape as usize]
    }

    pub fn item(self) -> Item {
        match SCALARS.get(self.raw().scalar as usize) {
            Some(scalar) => Item::Scalar(*scalar),
            None => Item::Object(TypeRef(self.raw().target)),
        }
    }

    /// The definition inside: of an object, a list's or map's items, or a JSON schema.
    pub fn target(self) -> Option<TypeRef> {
        match self.item() {
            Item::Object(target) => Some(target),
            Item::Scalar(Scalar::PropsOrBool | Scalar::PropsOrArray | Scalar::PropsOrStrings) => {
                Some(TypeRef(self.raw().target))
            }
            Item::Scalar(_) => None,
        }
    }

    /// The zero of a single value.
    fn zero(self) -> Value {
        match self.item() {
            Item::Object(target) => target.zero(),
            Item::Scalar(Scalar::Int32 | Scalar::Int64) => 0.into(),
            Item::Scalar(Scalar::Bool) => false.into(),
            Item::Scalar(_) => "".into(),
        }
    }

    /// Lists, maps and pointers that are printed always; times, which are structs that print as null.
    fn is_null_if_absent(self) -> bool {
        let one = self.shape() == Shape::One;
        let time = matches!(self.item(), Item::Scalar(Scalar::Time | Scalar::MicroTime));
        !self.omits_zero()
            && (one && time && !self.is_pointer() || !self.omits_empty() && (self.is_pointer() || !one))
    }

    /// Listed as required in OpenAPI.
    pub fn is_required(self) -> bool {
        self.flag(REQUIRED)
    }

    /// A present zero differs from an absent value.
    pub fn is_pointer(self) -> bool {
        self.flag(POINTER)
    }

    /// Not printed when empty (`omitempty`).
    pub fn omits_empty(self) -> bool {
        self.flag(OMIT_EMPTY)
    }

    /// Not printed when zero, objects included (`omitzero`).
    pub fn omits_zero(self) -> bool {
        self.flag(OMIT_ZERO)
    }

    /// `None`: not said, which server-side apply takes as atomic.
    pub fn list_type(self) -> Option<ListType> {
        [None, Some(ListType::Atomic), Some(ListType::Set), Some(ListType::Map)][self.raw().list as usize & 3]
    }

    /// The keys of a map list.
    pub fn map_keys(self) -> impl Iterator<Item = &'static str> {
        self.raw().keys.get().split(',').filter(|k| !k.is_empty())
    }

    /// What the field itself says about its map or object; it goes before what the type says.
    pub fn map_type(self) -> Option<MapType> {
        if self.flag(MAP_ATOMIC) {
            return Some(MapType::Atomic);
        }
        (self.raw().list & MAP_GRANULAR != 0).then_some(MapType::Granular)
    }

    /// Whether server-side apply treats the map or object in this field as one value.
    pub fn is_map_atomic(self) -> bool {
        match (self.map_type(), self.shape(), self.item()) {
            (Some(said), ..) => said == MapType::Atomic,
            (None, Shape::One, Item::Object(target)) => target.is_atomic(),
            (None, ..) => false,
        }
    }

    /// Strategic merge patch merges this list.
    pub fn patch_merges(self) -> bool {
        self.flag(PATCH_MERGE)
    }

    /// Strategic merge patch replaces this object.
    pub fn patch_replaces(self) -> bool {
        self.flag(PATCH_REPLACE)
    }

    /// Strategic merge patch honours `$retainKeys` here (printed in OpenAPI).
    pub fn patch_retains_keys(self) -> bool {
        self.flag(PATCH_RETAIN_KEYS)
    }

    /// The single key by which strategic merge patch matches items.
    pub fn merge_key(self) -> Option<&'static str> {
        Some(self.raw().merge_key.get()).filter(|k| !k.is_empty())
    }

    /// The default as JSON text.
    pub fn default_json(self) -> Option<&'static str> {
        Some(self.raw().default.get()).filter(|d| !d.is_empty())
    }

    /// The path of protobuf numbers; more than one for fields of embedded messages, none if the
    /// field is not in protobuf.
    pub fn numbers(self) -> &'static [u8] {
        let numbers = &self.raw().numbers;
        let length = numbers.iter().position(|n| *n == 0).unwrap_or(numbers.len());
        &numbers[..length]
    }

    /// The type as Go prints it in errors.
    pub(crate) fn go_type(self) -> String {
        let item = match self.item() {
            Item::Object(target) => target.go_name().to_owned(),
            Item::Scalar(scalar) => scalar.go_type().to_owned(),
        };
        match self.shape() {
            Shape::One => item,
            Shape::List | Shape::WrappedList => format!("[]{item}"),
            Shape::Map => format!("map[string]{item}"),
            Shape::MapOfWrappedLists => format!("map[string][]{item}"),
        }
    }
}

impl Scalar {
    pub(crate) const fn go_type(self) -> &'static str {
        match self {
            Self::String | Self::Time | Self::MicroTime | Self::Duration => "string",
            Self::Int32 | Self::IntOrString => "int32",
            Self::Int64 => "int64",
            Self::Bool => "bool",
            Self::Double => "float64",
            Self::Bytes => "[]uint8",
            Self::Quantity => "resource.Quantity",
            Self::Raw => "runtime.RawExtension",
            Self::Fields => "v1.FieldsV1",
            Self::Any | Self::Json => "interface {}",
            Self::PropsOrBool => "v1.JSONSchemaPropsOrBool",
            Self::PropsOrArray => "v1.JSONSchemaPropsOrArray",
            Self::PropsOrStrings => "v1.JSONSchemaPropsOrStringArray",
        }
    }
}

impl fmt::Debug for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found() {
        let pod = table().kind("", "v1", "Pod").unwrap();
        assert_eq!(
            (pod.name(), pod.short_name(), pod.go_name()),
            ("io.k8s.api.core.v1.Pod", "Pod", "v1.Pod")
        );
        assert_eq!(table().definition("io.k8s.api.core.v1.Pod"), Some(pod));
        assert!(table().kind("", "v2", "Pod").is_none());
        let options = table().kind("meta.k8s.io", "v1", "PatchOptions");
        assert!(options.is_some() && table().kind("anything.io", "v9", "PatchOptions") == options);
        assert!(table().kind("apps", "v1", "DeleteOptions").is_some());
    }

    #[test]
    fn fields_carry_their_facts() {
        let spec = table().definition("io.k8s.api.core.v1.PodSpec").unwrap();
        let containers = spec.field("containers").unwrap();
        assert_eq!(
            (containers.shape(), containers.list_type(), containers.merge_key()),
            (Shape::List, Some(ListType::Map), Some("name"))
        );
        assert!(containers.patch_merges() && containers.is_required() && !containers.is_pointer());
        let container = containers.target().unwrap();
        let ports = container.field("ports").unwrap();
        assert_eq!(ports.map_keys().collect::<Vec<_>>(), ["containerPort", "protocol"]);
        assert_eq!(ports.target().unwrap().field("protocol").unwrap().default_json(), Some("\"TCP\""));
        let volume = spec.field("volumes").unwrap().target().unwrap();
        assert_eq!(volume.field("hostPath").unwrap().numbers(), [2, 1]);
        assert!(spec.field("Containers").is_none());
        let volume = table().definition("io.k8s.api.core.v1.PersistentVolumeSpec").unwrap();
        let claim = volume.field("claimRef").unwrap();
        assert!(
            claim.map_type() == Some(MapType::Granular)
                && !claim.is_map_atomic()
                && claim.target().unwrap().is_atomic()
        );
        assert!(spec.field("nodeSelector").unwrap().is_map_atomic());
        let order: Vec<&str> = table().kind("", "v1", "Pod").unwrap().fields().map(FieldRef::name).collect();
        assert_eq!(order, ["kind", "apiVersion", "metadata", "spec", "status"]);
    }

    #[test]
    fn every_field_is_found_by_name() {
        for definition in table().definitions() {
            for field in definition.fields() {
                assert_eq!(definition.field(field.name()), Some(field), "{definition:?}");
            }
        }
    }
}
