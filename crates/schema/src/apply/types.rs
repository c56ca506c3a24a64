//! Types as server-side apply sees them: what a value may be (scalar, list, map), how lists and maps
//! are owned, and where the types of their parts are found. The same walk is driven by the table of
//! built-in kinds and by schemas that are made at run time ([`Structural`]). Handles, free to copy.

use super::structural::Structural;
use crate::table::{FieldRef, Item, ListType, Scalar as Leaf, Shape, TypeRef};
use serde_json::Value;
use std::borrow::Cow;

/// The type of a value.
#[derive(Debug, Clone, Copy)]
pub enum Type<'s> {
    /// A definition of the built-in table.
    Definition(TypeRef),
    /// What a field of the table holds.
    Field(FieldRef),
    /// One item of a field's list or map.
    Item(FieldRef),
    /// The list in a map of lists.
    InnerList(FieldRef),
    /// A schema made at run time.
    Structural(&'s Structural),
    /// Anything, owned as one value.
    Untyped,
    /// Anything; maps are owned by their entries, lists as one value.
    Deduced,
}

/// What scalars a type allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    Numeric,
    String,
    Boolean,
    Any,
}

/// What a value of a type may be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Atom<'s> {
    pub scalar: Option<Scalar>,
    pub list: Option<List<'s>>,
    pub map: Option<Map<'s>>,
}

#[derive(Debug, Clone, Copy)]
pub struct List<'s> {
    pub kind: ListKind<'s>,
    pub item: Type<'s>,
}

#[derive(Debug, Clone, Copy)]
pub enum ListKind<'s> {
    Atomic,
    Set,
    /// Keyed by fields of the table.
    Keyed(FieldRef),
    /// Keyed by these.
    KeyedBy(&'s [String]),
}

#[derive(Debug, Clone, Copy)]
pub struct Map<'s> {
    pub atomic: bool,
    fields: Fields<'s>,
    /// The type of entries that are no declared fields; `None` where there may be none.
    pub rest: Option<Type<'s>>,
}

#[derive(Debug, Clone, Copy)]
enum Fields<'s> {
    None,
    Definition(TypeRef),
    Structural(&'s Structural),
}

/// What of its type a value is.
#[derive(Debug, Clone, Copy)]
pub enum Form<'s> {
    Map(Map<'s>),
    Scalar(Scalar),
    List(List<'s>),
}

impl<'s> Form<'s> {
    /// Whether two values of one type are of the same form.
    pub fn same(&self, other: &Form<'_>) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

const UNTYPED: Atom<'static> = Atom {
    scalar: Some(Scalar::Any),
    list: Some(List { kind: ListKind::Atomic, item: Type::Untyped }),
    map: Some(Map { atomic: true, fields: Fields::None, rest: Some(Type::Untyped) }),
};

const DEDUCED: Atom<'static> =
    Atom { map: Some(Map { atomic: false, fields: Fields::None, rest: Some(Type::Deduced) }), ..UNTYPED };

impl<'s> Type<'s> {
    pub fn atom(self) -> Atom<'s> {
        match self {
            Type::Untyped => UNTYPED,
            Type::Deduced => DEDUCED,
            Type::Structural(structural) => structural.atom(),
            Type::Definition(definition) => map_atom(Map::of(definition, definition.is_atomic())),
            Type::Field(field) => field_atom(field),
            Type::Item(field) if field.shape() == Shape::MapOfWrappedLists => Type::InnerList(field).atom(),
            Type::Item(field) => match field.item() {
                Item::Object(target) => map_atom(Map::of(target, target.is_atomic())),
                Item::Scalar(leaf) => leaf_atom(leaf),
            },
            Type::InnerList(field) => {
                let item = match field.item() {
                    Item::Object(target) => Type::Definition(target),
                    Item::Scalar(_) => Type::Untyped,
                };
                Atom { list: Some(List { kind: ListKind::Atomic, item }), ..Atom::default() }
            }
        }
    }

    /// The form of a value; `None` only for types that allow nothing.
    pub fn form(self, value: &Value) -> Option<Form<'s>> {
        let atom = self.atom();
        let fits = match value {
            Value::Null => None,
            Value::Array(_) => atom.list.map(Form::List),
            Value::Object(_) => atom.map.map(Form::Map),
            _ => atom.scalar.map(Form::Scalar),
        };
        // Null fits everything; what does not fit is handled as what should be there.
        fits.or(atom.map.map(Form::Map)).or(atom.scalar.map(Form::Scalar)).or(atom.list.map(Form::List))
    }

    /// An object of the type with nothing set.
    pub fn zero(self) -> Value {
        match self {
            Type::Definition(definition) => definition.zero(),
            _ => Value::Object(serde_json::Map::new()),
        }
    }
}

fn map_atom(map: Map<'_>) -> Atom<'_> {
    Atom { map: Some(map), ..Atom::default() }
}

fn field_atom<'s>(field: FieldRef) -> Atom<'s> {
    match (field.shape(), field.item()) {
        (Shape::One, Item::Object(target)) => map_atom(Map::of(target, field.is_map_atomic())),
        (Shape::One, Item::Scalar(leaf)) => leaf_atom(leaf),
        (Shape::List | Shape::WrappedList, _) => {
            let list = List { kind: list_kind(field), item: Type::Item(field) };
            Atom { list: Some(list), ..Atom::default() }
        }
        (Shape::Map | Shape::MapOfWrappedLists, _) => map_atom(Map {
            atomic: field.is_map_atomic(),
            fields: Fields::None,
            rest: Some(Type::Item(field)),
        }),
    }
}

/// `list-type` decides; without it a list that strategic merge merges is keyed by its merge key.
fn list_kind<'s>(field: FieldRef) -> ListKind<'s> {
    match field.list_type() {
        Some(ListType::Atomic) => ListKind::Atomic,
        Some(ListType::Set) => ListKind::Set,
        Some(ListType::Map) => ListKind::Keyed(field),
        None if !field.patch_merges() => ListKind::Atomic,
        None if field.merge_key().is_some() => ListKind::Keyed(field),
        None => ListKind::Set,
    }
}

fn leaf_atom(leaf: Leaf) -> Atom<'static> {
    let scalar = |scalar| Atom { scalar: Some(scalar), ..Atom::default() };
    match leaf {
        Leaf::String | Leaf::Bytes | Leaf::Duration => scalar(Scalar::String),
        Leaf::Int32 | Leaf::Int64 | Leaf::Double => scalar(Scalar::Numeric),
        Leaf::Bool => scalar(Scalar::Boolean),
        Leaf::Quantity | Leaf::Time | Leaf::MicroTime => scalar(Scalar::Any),
        Leaf::Raw => UNTYPED,
        Leaf::Fields => Atom { map: DEDUCED.map, ..Atom::default() },
        // OpenAPI gives these no type.
        Leaf::IntOrString
        | Leaf::Any
        | Leaf::Json
        | Leaf::PropsOrBool
        | Leaf::PropsOrArray
        | Leaf::PropsOrStrings => DEDUCED,
    }
}

impl<'s> List<'s> {
    pub fn is_atomic(&self) -> bool {
        matches!(self.kind, ListKind::Atomic)
    }

    /// The names of the keys; `None` for a set.
    pub fn keys(&self) -> Option<Vec<&'s str>> {
        match self.kind {
            ListKind::Atomic | ListKind::Set => None,
            ListKind::KeyedBy(names) => Some(names.iter().map(String::as_str).collect()),
            ListKind::Keyed(field) => Some(match field.list_type() {
                Some(_) => field.map_keys().collect(),
                None => field.merge_key().into_iter().collect(),
            }),
        }
    }

    /// What a key is where an item leaves it out.
    pub fn key_default(&self, name: &str) -> Option<Cow<'s, Value>> {
        let map = self.item.atom().map?;
        match map.fields {
            Fields::None => None,
            Fields::Definition(definition) => built_in_default(definition.field(name)?).map(Cow::Owned),
            Fields::Structural(structural) => structural.default_of(name).map(Cow::Borrowed),
        }
    }
}

/// The default as the published schema has it: the declared one, or the zero of a field that is
/// always printed.
fn built_in_default(field: FieldRef) -> Option<Value> {
    if let Some(json) = field.default_json() {
        return serde_json::from_str(json).ok();
    }
    if field.omits_empty() || field.is_pointer() || field.shape() != Shape::One {
        return None;
    }
    match field.item() {
        Item::Scalar(Leaf::String) => Some("".into()),
        Item::Scalar(Leaf::Int32 | Leaf::Int64) => Some(0.into()),
        Item::Scalar(Leaf::Bool) => Some(false.into()),
        _ => None,
    }
}

impl<'s> Map<'s> {
    fn of(definition: TypeRef, atomic: bool) -> Map<'s> {
        // A definition without fields is free-form.
        let rest = (definition.fields().len() == 0).then_some(Type::Deduced);
        Map { atomic, fields: Fields::Definition(definition), rest }
    }

    pub(super) fn structural(structural: &'s Structural, atomic: bool, rest: Option<Type<'s>>) -> Map<'s> {
        Map { atomic, fields: Fields::Structural(structural), rest }
    }

    /// The type of a declared field.
    pub fn declared(&self, name: &str) -> Option<Type<'s>> {
        match self.fields {
            Fields::None => None,
            Fields::Definition(definition) => definition.field(name).map(Type::Field),
            Fields::Structural(structural) => structural.field(name),
        }
    }

    /// The type of any entry; `None` where there may not be one of this name.
    pub fn entry(&self, name: &str) -> Option<Type<'s>> {
        self.declared(name).or(self.rest)
    }

    /// The fields that are null in a present object that lacks them.
    pub fn nulls(&self) -> &'static [&'static str] {
        match self.fields {
            Fields::Definition(definition) => definition.nulls(),
            Fields::None | Fields::Structural(_) => &[],
        }
    }

    /// Whether nothing at all is declared about the entries.
    pub fn is_deduced(&self) -> bool {
        let declares = match self.fields {
            Fields::None => false,
            Fields::Definition(definition) => definition.fields().len() > 0,
            Fields::Structural(structural) => structural.has_fields(),
        };
        !declares && matches!(self.rest, Some(Type::Deduced))
    }
}
