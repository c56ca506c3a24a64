//! The walk of one document along the schema, over any serde format.

use super::{DecodeError, Decoded, MAX_PROBLEMS, StrictProblem};
use crate::table::{FieldRef, Item, Scalar, Shape, TypeRef};
use apimachinery::{Quantity, Time};
use base64::Engine;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};
use std::fmt;

/// What the walk has found so far.
#[derive(Default)]
struct Findings {
    problems: Vec<StrictProblem>,
    /// The first value of a wrong type.
    error: Option<String>,
}

/// The raw outcome of a walk.
pub struct Walked {
    object: Value,
    findings: Findings,
}

impl Walked {
    pub fn finish(self) -> Result<Decoded, DecodeError> {
        match self.findings.error {
            Some(error) => Err(DecodeError::Type(error)),
            None => Ok(Decoded { object: self.object, problems: self.findings.problems }),
        }
    }
}

pub fn decode<'de, D: Deserializer<'de>>(ty: TypeRef, deserializer: D) -> Result<Walked, D::Error> {
    let mut findings = Findings::default();
    let seed = Walk { findings: &mut findings, what: What::Object(ty), at: &Place::Root };
    let object = seed.deserialize(deserializer)?.unwrap_or_else(|| ty.zero());
    Ok(Walked { object, findings })
}

/// Where the walk is; a chain on the stack, printed only when something is wrong.
enum Place<'p> {
    Root,
    Field { parent: &'p Place<'p>, owner: TypeRef, name: &'p str },
    Key { parent: &'p Place<'p>, key: &'p str },
    Index { parent: &'p Place<'p>, index: usize },
}

impl Place<'_> {
    /// `spec.containers[0].name`, `data.a`.
    fn path(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Index { parent, index } => format!("{}[{index}]", parent.path()),
            Self::Field { parent, name, .. } | Self::Key { parent, key: name } => {
                let mut path = parent.path();
                if !path.is_empty() {
                    path.push('.');
                }
                path + name
            }
        }
    }

    /// Whether this is the metadata of the document itself.
    fn is_metadata(&self) -> bool {
        matches!(self, Self::Field { parent: Self::Root, name: "metadata", .. })
    }

    /// The place as Go's type errors name it: the innermost struct and all fields from the top,
    /// without indexes and map keys.
    fn go_field(&self) -> Option<String> {
        let (mut owner, mut names, mut here) = (None, Vec::new(), self);
        loop {
            here = match here {
                Self::Root => break,
                Self::Index { parent, .. } | Self::Key { parent, .. } => parent,
                Self::Field { parent, owner: of, name } => {
                    owner.get_or_insert(of.short_name());
                    names.push(*name);
                    parent
                }
            };
        }
        names.reverse();
        owner.map(|owner| format!("{owner}.{}", names.join(".")))
    }
}

/// What the schema wants here.
#[derive(Clone, Copy)]
enum What {
    Object(TypeRef),
    List(FieldRef),
    Map(FieldRef),
    /// A wrapped list inside a map.
    ListInMap(FieldRef),
    Scalar(Scalar, FieldRef),
}

impl What {
    fn of(field: FieldRef) -> Self {
        match field.shape() {
            Shape::One => Self::item(field),
            Shape::List | Shape::WrappedList => Self::List(field),
            Shape::Map | Shape::MapOfWrappedLists => Self::Map(field),
        }
    }

    fn item(field: FieldRef) -> Self {
        match field.item() {
            Item::Object(target) => Self::Object(target),
            Item::Scalar(scalar) => Self::Scalar(scalar, field),
        }
    }

    /// What Go would leave for null in a list or map.
    fn zero(self) -> Value {
        match self {
            Self::Object(ty) => ty.zero(),
            Self::Map(_) => Value::Object(Map::new()),
            Self::List(_) | Self::ListInMap(_) => Value::Array(Vec::new()),
            Self::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Double | Scalar::IntOrString, _) => 0.into(),
            Self::Scalar(Scalar::Bool, _) => false.into(),
            Self::Scalar(Scalar::Quantity, _) => "0".into(),
            Self::Scalar(Scalar::String | Scalar::Bytes | Scalar::Duration, _) => "".into(),
            Self::Scalar(..) => Value::Null,
        }
    }

    fn go_type(self) -> String {
        match self {
            Self::Object(ty) => ty.go_name().to_owned(),
            Self::List(field) | Self::Map(field) => field.go_type(),
            Self::ListInMap(_) => "[]string".into(),
            Self::Scalar(scalar, _) => scalar.go_type().to_owned(),
        }
    }
}

/// Whether Go would print the field at all.
pub(crate) fn is_printed(field: FieldRef, value: &Value) -> bool {
    if field.is_pointer() || !field.omits_empty() {
        return true;
    }
    match value {
        Value::String(text) => !text.is_empty() || matches!(field.item(), Item::Scalar(Scalar::Quantity)),
        Value::Bool(on) => *on,
        Value::Number(number) => {
            number.as_f64() != Some(0.0) || matches!(field.item(), Item::Scalar(Scalar::IntOrString))
        }
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty() || (field.shape() == Shape::One && !field.omits_zero()),
        Value::Null => false,
    }
}

/// An empty list of managed fields says something: that they are to be forgotten.
fn asks_for_reset(field: FieldRef, value: &Value) -> bool {
    field.name() == "managedFields" && value.as_array().is_some_and(Vec::is_empty)
}

struct Walk<'w, 'p> {
    findings: &'w mut Findings,
    what: What,
    at: &'p Place<'p>,
}

impl Walk<'_, '_> {
    fn fail(self, message: String) -> Option<Value> {
        self.findings.error.get_or_insert(message);
        None
    }

    /// A value of another type than the schema wants.
    fn mismatch(self, found: &str) -> Option<Value> {
        let wanted = self.what.go_type();
        // Types with a decoder of their own do not know where they are.
        let place = match self.what {
            What::Scalar(Scalar::Time | Scalar::MicroTime | Scalar::IntOrString | Scalar::Duration, _) => {
                None
            }
            _ => self.at.go_field(),
        };
        let message = match place {
            Some(field) => {
                format!("json: cannot unmarshal {found} into Go struct field {field} of type {wanted}")
            }
            None => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
        };
        self.fail(message)
    }

    fn integer(self, number: i128) -> Option<Value> {
        match self.what {
            What::Scalar(Scalar::Int32 | Scalar::IntOrString, _) => match i32::try_from(number) {
                Ok(n) => Some(n.into()),
                Err(_) => self.mismatch(&format!("number {number}")),
            },
            What::Scalar(Scalar::Int64, _) => match i64::try_from(number) {
                Ok(n) => Some(n.into()),
                Err(_) => self.mismatch(&format!("number {number}")),
            },
            What::Scalar(Scalar::Double, _) => Some((number as f64).into()),
            What::Scalar(Scalar::Quantity, _) => self.quantity(&number.to_string()),
            What::Scalar(Scalar::Any | Scalar::Json | Scalar::Raw | Scalar::Fields, _) => Some(
                i64::try_from(number)
                    .map(Value::from)
                    .or_else(|_| u64::try_from(number).map(Value::from))
                    .unwrap_or(Value::Null),
            ),
            _ => self.mismatch("number"),
        }
    }

    fn float(self, number: f64) -> Option<Value> {
        match self.what {
            What::Scalar(Scalar::Double | Scalar::Any | Scalar::Json, _) => Some(number.into()),
            What::Scalar(Scalar::Quantity, _) => self.quantity(&number.to_string()),
            What::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::IntOrString, _) => {
                self.mismatch(&format!("number {number}"))
            }
            _ => self.mismatch("number"),
        }
    }

    fn text(self, text: &str) -> Option<Value> {
        let What::Scalar(scalar, _) = self.what else { return self.mismatch("string") };
        match scalar {
            Scalar::String | Scalar::IntOrString | Scalar::Duration | Scalar::Any | Scalar::Json => {
                Some(text.into())
            }
            Scalar::Bytes => match check_base64(text) {
                Ok(canonical) => Some(canonical.into()),
                Err(at) => self.fail(format!("illegal base64 data at input byte {at}")),
            },
            Scalar::Quantity => self.quantity(text.trim()),
            Scalar::Time => match Time::parse(text) {
                Ok(time) => Some(time.to_string().into()),
                Err(error) => self.fail(error),
            },
            Scalar::MicroTime => match Time::parse_micro(text) {
                Ok(time) => Some(time.micro().into()),
                Err(error) => self.fail(error),
            },
            _ => self.mismatch("string"),
        }
    }

    fn quantity(self, text: &str) -> Option<Value> {
        match Quantity::normalize(text) {
            Ok(text) => Some(text.into()),
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn object<'de, A: MapAccess<'de>>(self, ty: TypeRef, mut access: A) -> Result<Value, A::Error> {
        let Walk { findings, at, .. } = self;
        let mut object = Map::new();
        let (mut seen, mut present) = (0u128, 0u128);
        while let Some(key) = access.next_key_seed(NameSeed(ty))? {
            let position = match key {
                Name::Known(position) => position,
                Name::Unknown(name) => {
                    access.next_value::<IgnoredAny>()?;
                    findings
                        .report(StrictProblem::Unknown, &Place::Field { parent: at, owner: ty, name: &name });
                    continue;
                }
            };
            let field = ty.at(position);
            let here = Place::Field { parent: at, owner: ty, name: field.name() };
            if seen & (1 << position) != 0 {
                findings.report(StrictProblem::Duplicate, &here);
            }
            seen |= 1 << position;
            let value = access.next_value_seed(Walk {
                findings: &mut *findings,
                what: What::of(field),
                at: &here,
            })?;
            let kept = |v: &Value| is_printed(field, v) || at.is_metadata() && asks_for_reset(field, v);
            match value.filter(kept) {
                Some(value) => {
                    present |= 1 << position;
                    object.insert(field.name().to_owned(), value);
                }
                None => {
                    present &= !(1 << position);
                    object.remove(field.name());
                }
            }
        }
        for (name, zero) in ty.zeros(present) {
            object.insert(name.to_owned(), zero);
        }
        Ok(Value::Object(object))
    }

    fn map<'de, A: MapAccess<'de>>(self, field: FieldRef, mut access: A) -> Result<Value, A::Error> {
        let what = if field.shape() == Shape::MapOfWrappedLists {
            What::ListInMap(field)
        } else {
            What::item(field)
        };
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let here = Place::Key { parent: self.at, key: &key };
            let value = access.next_value_seed(Walk { findings: &mut *self.findings, what, at: &here })?;
            if map.contains_key(&key) {
                self.findings.report(StrictProblem::Duplicate, &here);
            }
            map.insert(key, value.unwrap_or_else(|| what.zero()));
        }
        Ok(Value::Object(map))
    }

    fn list<'de, A: SeqAccess<'de>>(self, what: What, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(access.size_hint().unwrap_or(0).min(1024));
        loop {
            let here = Place::Index { parent: self.at, index: list.len() };
            match access.next_element_seed(Walk { findings: &mut *self.findings, what, at: &here })? {
                Some(value) => list.push(value.unwrap_or_else(|| what.zero())),
                None => return Ok(Value::Array(list)),
            }
        }
    }
}

impl Findings {
    fn report(&mut self, problem: fn(String) -> StrictProblem, place: &Place<'_>) {
        if self.problems.len() < MAX_PROBLEMS {
            let problem = problem(place.path());
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }
}

/// Go's standard base64 decoder skips line ends; the text is kept without them.
/// The error is the place of the first bad byte.
fn check_base64(text: &str) -> Result<String, usize> {
    let clean: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match base64::engine::general_purpose::STANDARD.decode(&clean) {
        Ok(_) => Ok(clean),
        Err(base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _)) => {
            Err(at)
        }
        Err(_) => Err(clean.len() / 4 * 4),
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    /// `None` stands for null.
    type Value = Option<Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what.go_type())
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }
    fn visit_none<E: Error>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Option<Value>, E> {
        Ok(match self.what {
            What::Scalar(Scalar::Bool | Scalar::Any | Scalar::Json | Scalar::PropsOrBool, _) => {
                Some(on.into())
            }
            _ => self.mismatch("bool"),
        })
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<Value>, E> {
        Ok(self.integer(number.into()))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<Value>, E> {
        Ok(self.integer(number.into()))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<Value>, E> {
        Ok(self.float(number))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Option<Value>, E> {
        Ok(self.text(text))
    }
    fn visit_string<E: Error>(self, text: String) -> Result<Option<Value>, E> {
        match self.what {
            What::Scalar(Scalar::String, _) => Ok(Some(Value::String(text))),
            _ => Ok(self.text(&text)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Option<Value>, A::Error> {
        match self.what {
            What::Object(ty) => self.object(ty, access).map(Some),
            What::Map(field) => self.map(field, access).map(Some),
            What::Scalar(Scalar::Raw | Scalar::Any | Scalar::Json | Scalar::Fields, _) => {
                Value::deserialize(MapAccessDeserializer::new(access)).map(Some)
            }
            What::Scalar(Scalar::PropsOrBool | Scalar::PropsOrArray, field) => match field.target() {
                Some(ty) => self.object(ty, access).map(Some),
                None => Ok(None),
            },
            _ => {
                while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(self.mismatch("object"))
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Option<Value>, A::Error> {
        match self.what {
            What::List(field) => self.list(What::item(field), access).map(Some),
            What::ListInMap(field) => self.list(What::item(field), access).map(Some),
            What::Scalar(Scalar::Any | Scalar::Json, _) => {
                Value::deserialize(SeqAccessDeserializer::new(access)).map(Some)
            }
            What::Scalar(Scalar::PropsOrArray, field) => match field.target() {
                Some(ty) => self.list(What::Object(ty), access).map(Some),
                None => Ok(None),
            },
            What::Scalar(Scalar::PropsOrStrings, field) => {
                self.list(What::Scalar(Scalar::String, field), access).map(Some)
            }
            _ => {
                while access.next_element::<IgnoredAny>()?.is_some() {}
                Ok(self.mismatch("array"))
            }
        }
    }
}

/// A key of an object: its position in the schema, or its name if it has none.
enum Name {
    Known(u8),
    Unknown(String),
}

struct NameSeed(TypeRef);

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Name;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Name;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
        Ok(self.0.position(text).map_or_else(|| Name::Unknown(text.to_owned()), Name::Known))
    }
}
