//! What expressions know about the data they are given: shapes made from schemas by whoever owns a schema.
//! A shape types a variable, says how JSON is read, and bounds sizes for cost estimates.

use crate::Type;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of the largest request; what sizes are estimated from where nothing bounds them.
pub const MAX_REQUEST_BYTES: u64 = 3 << 20;

#[derive(Debug, Clone)]
pub struct Decl {
    pub shape: Shape,
    /// Characters of a string, items of a list, entries of a map.
    pub max_elements: u64,
    /// The fewest bytes that a value takes in JSON.
    pub min_serialized: u64,
}

#[derive(Debug, Clone)]
pub enum Shape {
    /// Anything; read as what the JSON looks like.
    Dyn,
    Bool,
    Int,
    Double,
    String,
    /// A string of base64.
    Bytes,
    /// A string: RFC 3339, or a date alone.
    Timestamp,
    /// A string as Go prints durations.
    Duration,
    List(Arc<Decl>, ListKind),
    Map(Arc<Decl>),
    Object(Arc<ObjectDecl>),
}

/// How lists compare and add up (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    Atomic,
    Set,
    /// Items are told apart by these fields (their JSON names).
    Map(Arc<[String]>),
}

#[derive(Debug, PartialEq)]
pub struct ObjectDecl {
    pub name: String,
    /// By the name in expressions.
    pub fields: BTreeMap<String, Field>,
}

#[derive(Debug, Clone)]
pub struct Field {
    /// The name in JSON.
    pub json: String,
    pub decl: Arc<Decl>,
}

/// The name of the field that stands for all that are not declared.
const ANY: &str = "*";

impl ObjectDecl {
    /// An object that may have any field.
    pub fn open(name: &str) -> ObjectDecl {
        let any = Field { json: ANY.into(), decl: Arc::new(Decl::dynamic()) };
        ObjectDecl { name: name.into(), fields: BTreeMap::from([(ANY.into(), any)]) }
    }

    pub fn is_open(&self) -> bool {
        self.fields.contains_key(ANY)
    }

    /// What is known about a field; `None` if there is none of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name).or_else(|| self.fields.get(ANY))
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Field) -> bool {
        self.json == other.json && Arc::ptr_eq(&self.decl, &other.decl)
    }
}

impl Decl {
    /// Sizes bound by the largest request only.
    pub fn new(shape: Shape) -> Decl {
        let (max_elements, min_serialized) = match &shape {
            Shape::Bool => (1, 4),
            Shape::Int | Shape::Double => (1, 1),
            Shape::Dyn => (MAX_REQUEST_BYTES - 2, 1),
            Shape::String | Shape::Bytes => (MAX_REQUEST_BYTES - 2, 2),
            Shape::Timestamp => (32, 21),
            Shape::Duration => (32, 3),
            Shape::List(items, _) => ((MAX_REQUEST_BYTES - 2) / (items.min_serialized + 1), 2),
            Shape::Map(values) => ((MAX_REQUEST_BYTES - 2) / (values.min_serialized + 6), 2),
            Shape::Object(_) => (1, 2),
        };
        Decl { shape, max_elements, min_serialized }
    }

    pub fn dynamic() -> Decl {
        Decl::new(Shape::Dyn)
    }

    pub fn list(of: Decl) -> Decl {
        Decl::new(Shape::List(Arc::new(of), ListKind::Atomic))
    }

    pub fn map(of: Decl) -> Decl {
        Decl::new(Shape::Map(Arc::new(of)))
    }

    /// An object whose fields have the same names in expressions and in JSON.
    pub fn object<'a>(name: &str, fields: impl IntoIterator<Item = (&'a str, Decl)>) -> Decl {
        let fields = fields
            .into_iter()
            .map(|(name, decl)| (name.to_string(), Field { json: name.into(), decl: Arc::new(decl) }))
            .collect();
        Decl::new(Shape::Object(Arc::new(ObjectDecl { name: name.into(), fields })))
    }

    #[must_use]
    pub fn max(mut self, elements: u64) -> Decl {
        self.max_elements = elements;
        self
    }

    pub fn ty(&self) -> Type {
        match &self.shape {
            Shape::Dyn => Type::Dyn,
            Shape::Bool => Type::Bool,
            Shape::Int => Type::Int,
            Shape::Double => Type::Double,
            Shape::String => Type::String,
            Shape::Bytes => Type::Bytes,
            Shape::Timestamp => Type::Timestamp,
            Shape::Duration => Type::Duration,
            Shape::List(items, _) => Type::list(items.ty()),
            Shape::Map(values) => Type::map(Type::String, values.ty()),
            Shape::Object(object) => Type::Object(object.clone()),
        }
    }
}
