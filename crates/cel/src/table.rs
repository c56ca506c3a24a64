//! The functions: one line each with the types it takes, the type it gives, and what it does. The checker reads
//! the types, evaluation runs the code, costs go by the id.

use crate::eval::Outcome;
use crate::functions;
use crate::program::Program;
use crate::types::{Type, Unifier};
use crate::value::Value;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A type in the table; `A` and `B` stand for any type, the same one in one line.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sig {
    Dyn,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    Type,
    A,
    B,
    List(&'static Sig),
    Map(&'static Sig, &'static Sig),
    Optional(&'static Sig),
    Opaque(&'static str),
}

pub(crate) type Run = for<'a> fn(&Program, &[Value<'a>]) -> Outcome<'a>;

#[derive(Debug)]
pub(crate) struct Overload {
    pub function: &'static str,
    pub id: &'static str,
    /// Called as `first.function(rest)`.
    pub member: bool,
    pub args: &'static [Sig],
    pub result: Sig,
    pub run: Run,
}

pub(crate) const fn global(
    function: &'static str,
    id: &'static str,
    args: &'static [Sig],
    result: Sig,
    run: Run,
) -> Overload {
    Overload { function, id, member: false, args, result, run }
}

pub(crate) const fn member(
    function: &'static str,
    id: &'static str,
    args: &'static [Sig],
    result: Sig,
    run: Run,
) -> Overload {
    Overload { function, id, member: true, args, result, run }
}

pub(crate) static TABLE: LazyLock<Vec<&'static Overload>> = LazyLock::new(|| functions::all().collect());

static BY_NAME: LazyLock<HashMap<&'static str, Vec<usize>>> = LazyLock::new(|| {
    let mut by_name: HashMap<&'static str, Vec<usize>> = HashMap::new();
    for (index, overload) in TABLE.iter().enumerate() {
        by_name.entry(overload.function).or_default().push(index);
    }
    by_name
});

pub(crate) fn is_function(name: &str) -> bool {
    BY_NAME.contains_key(name)
}

/// The overloads of a function in one of the two ways to call it.
pub(crate) fn find(name: &str, member: bool) -> impl Iterator<Item = usize> {
    let found = BY_NAME.get(name).map(Vec::as_slice).unwrap_or_default();
    found.iter().copied().filter(move |index| TABLE[*index].member == member)
}

impl Overload {
    /// Its types with type variables of their own.
    pub fn instantiate(&self, unifier: &mut Unifier) -> (Vec<Type>, Type) {
        let (a, b) = (unifier.fresh(), unifier.fresh());
        let args = self.args.iter().map(|sig| sig.to_type(&a, &b)).collect();
        (args, self.result.to_type(&a, &b))
    }

    pub fn fits(&self, values: &[Value<'_>]) -> bool {
        self.args.len() == values.len() && self.args.iter().zip(values).all(|(sig, value)| sig.fits(value))
    }
}

impl Sig {
    fn to_type(self, a: &Type, b: &Type) -> Type {
        match self {
            Sig::Dyn => Type::Dyn,
            Sig::Bool => Type::Bool,
            Sig::Int => Type::Int,
            Sig::Uint => Type::Uint,
            Sig::Double => Type::Double,
            Sig::String => Type::String,
            Sig::Bytes => Type::Bytes,
            Sig::Timestamp => Type::Timestamp,
            Sig::Duration => Type::Duration,
            Sig::Type => Type::Type,
            Sig::A => a.clone(),
            Sig::B => b.clone(),
            Sig::List(of) => Type::list(of.to_type(a, b)),
            Sig::Map(key, value) => Type::map(key.to_type(a, b), value.to_type(a, b)),
            Sig::Optional(of) => Type::optional(of.to_type(a, b)),
            Sig::Opaque(name) => Type::Opaque(name),
        }
    }

    /// Whether a value is of the type, as far as one look tells; elements are looked at by the function.
    fn fits(self, value: &Value<'_>) -> bool {
        match self {
            Sig::Dyn | Sig::A | Sig::B => true,
            Sig::Bool => matches!(value, Value::Bool(_)),
            Sig::Int => matches!(value, Value::Int(_)),
            Sig::Uint => matches!(value, Value::Uint(_)),
            Sig::Double => matches!(value, Value::Double(_)),
            Sig::String => matches!(value, Value::String(_)),
            Sig::Bytes => matches!(value, Value::Bytes(_)),
            Sig::Timestamp => matches!(value, Value::Timestamp(_)),
            Sig::Duration => matches!(value, Value::Duration(_)),
            Sig::Type => matches!(value, Value::Type(_)),
            Sig::List(_) => matches!(value, Value::List(_)),
            Sig::Map(..) => matches!(value, Value::Map(_)),
            Sig::Optional(_) => matches!(value, Value::Optional(_)),
            Sig::Opaque(name) => matches!(value, Value::Opaque(value) if value.type_name() == name),
        }
    }
}
