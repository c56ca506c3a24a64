//! Static types, how they print in messages, and when one may stand for another.

use crate::decl::ObjectDecl;
use std::fmt;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub enum Type {
    /// Something was wrong already; says nothing more.
    Error,
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    Optional(Arc<Type>),
    /// The type of a type.
    Type,
    /// A type that is found out while checking.
    Var(usize),
    Object(Arc<ObjectDecl>),
    /// A type of a library, by its name.
    Opaque(&'static str),
}

impl Type {
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new(key), Arc::new(value))
    }

    pub fn optional(of: Type) -> Type {
        Type::Optional(Arc::new(of))
    }

    /// Dynamic, or wrong already.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Type::Dyn | Type::Error)
    }

    /// What is inside an optional type; whether it was one.
    pub(crate) fn unwrap_optional(&self) -> (Type, bool) {
        match self {
            Type::Optional(inner) => ((**inner).clone(), true),
            other => (other.clone(), false),
        }
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => a == b,
            (Type::Map(ak, av), Type::Map(bk, bv)) => ak == bk && av == bv,
            (Type::Var(a), Type::Var(b)) => a == b,
            (Type::Object(a), Type::Object(b)) => Arc::ptr_eq(a, b) || a.name == b.name,
            (Type::Opaque(a), Type::Opaque(b)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other) && self.is_plain(),
        }
    }
}

impl Type {
    fn is_plain(&self) -> bool {
        !matches!(
            self,
            Type::List(_)
                | Type::Map(..)
                | Type::Optional(_)
                | Type::Var(_)
                | Type::Object(_)
                | Type::Opaque(_)
        )
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Error => f.write_str("!error!"),
            Type::Dyn | Type::Var(_) => f.write_str("dyn"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Duration => f.write_str("duration"),
            Type::List(element) => write!(f, "list({element})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Optional(of) => write!(f, "optional_type({of})"),
            Type::Type => f.write_str("type"),
            Type::Object(object) => f.write_str(&object.name),
            Type::Opaque(name) => f.write_str(name),
        }
    }
}

/// What type variables stand for, so far.
#[derive(Debug, Default)]
pub(crate) struct Unifier {
    vars: Vec<Option<Type>>,
}

impl Unifier {
    pub fn fresh(&mut self) -> Type {
        self.vars.push(None);
        Type::Var(self.vars.len() - 1)
    }

    /// The type with what is known put in; unknown variables become `dyn` if `close` is set.
    pub fn resolve(&self, t: &Type, close: bool) -> Type {
        match t {
            Type::Var(var) => match self.vars.get(*var).and_then(Option::as_ref) {
                Some(known) => self.resolve(known, close),
                None if close => Type::Dyn,
                None => t.clone(),
            },
            Type::List(element) => Type::list(self.resolve(element, close)),
            Type::Optional(of) => Type::optional(self.resolve(of, close)),
            Type::Map(key, value) => Type::map(self.resolve(key, close), self.resolve(value, close)),
            other => other.clone(),
        }
    }

    /// Whether each of `found` may stand where `wanted` is; learns what variables are, or nothing.
    pub fn assignable_all(&mut self, found: &[Type], wanted: &[Type]) -> bool {
        if found.len() != wanted.len() {
            return false;
        }
        let before = self.vars.clone();
        let good = found.iter().zip(wanted).all(|(found, wanted)| self.unify(found, wanted));
        if !good {
            self.vars = before;
        }
        good
    }

    pub fn assignable(&mut self, found: &Type, wanted: &Type) -> bool {
        self.assignable_all(std::slice::from_ref(found), std::slice::from_ref(wanted))
    }

    fn unify(&mut self, a: &Type, b: &Type) -> bool {
        let (a, b) = (self.head(a), self.head(b));
        match (&a, &b) {
            (Type::Var(x), Type::Var(y)) if x == y => true,
            (_, Type::Var(var)) => self.learn(*var, &a),
            (Type::Var(var), _) => self.learn(*var, &b),
            _ if a.is_open() || b.is_open() => true,
            (Type::Null, other) | (other, Type::Null) => matches!(
                other,
                Type::Null
                    | Type::Timestamp
                    | Type::Duration
                    | Type::Object(_)
                    | Type::Opaque(_)
                    | Type::Optional(_)
            ),
            (Type::List(x), Type::List(y)) | (Type::Optional(x), Type::Optional(y)) => self.unify(x, y),
            (Type::Map(xk, xv), Type::Map(yk, yv)) => self.unify(xk, yk) && self.unify(xv, yv),
            _ => a == b,
        }
    }

    /// Follows variables at the outside.
    fn head(&self, t: &Type) -> Type {
        let mut t = t.clone();
        while let Type::Var(var) = t {
            match self.vars.get(var).and_then(Option::as_ref) {
                Some(known) => t = known.clone(),
                None => return Type::Var(var),
            }
        }
        t
    }

    fn learn(&mut self, var: usize, t: &Type) -> bool {
        if self.mentions(t, var) {
            return false;
        }
        self.vars[var] = Some(t.clone());
        true
    }

    fn mentions(&self, t: &Type, var: usize) -> bool {
        match self.head(t) {
            Type::Var(found) => found == var,
            Type::List(of) | Type::Optional(of) => self.mentions(&of, var),
            Type::Map(key, value) => self.mentions(&key, var) || self.mentions(&value, var),
            _ => false,
        }
    }

    /// Where two branches or elements meet: the more general of two types of which one fits the other.
    pub fn join(&mut self, a: &Type, b: &Type) -> Option<Type> {
        if !self.assignable(a, b) {
            return None;
        }
        let (a, b) = (self.resolve(a, false), self.resolve(b, false));
        Some(if a == Type::Null || b.is_open() { b } else { a })
    }
}
