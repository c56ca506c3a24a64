//! The function libraries, one file each: the standard ones of the language and those of the API server.

pub(crate) mod authorizer;
mod collections;
mod convert;
mod format;
mod net;
mod operators;
mod optional;
mod printf;
mod quantity;
mod semver;
pub(crate) mod text;
pub(crate) mod time;
mod url;

use crate::eval::{Outcome, no_overload};
use crate::table::Overload;
use crate::value::{Opaque, Value};

pub(crate) fn all() -> impl Iterator<Item = &'static Overload> {
    let libraries = [
        convert::FUNCTIONS,
        text::FUNCTIONS,
        collections::FUNCTIONS,
        optional::FUNCTIONS,
        printf::FUNCTIONS,
        url::FUNCTIONS,
        net::FUNCTIONS,
        quantity::FUNCTIONS,
        semver::FUNCTIONS,
        format::FUNCTIONS,
        authorizer::FUNCTIONS,
    ];
    operators::functions().chain(time::functions()).chain(libraries.into_iter().flatten())
}

fn texts<'v, const N: usize>(args: &'v [Value<'_>]) -> Result<[&'v str; N], crate::eval::Error> {
    let mut out = [""; N];
    for (slot, value) in out.iter_mut().zip(args) {
        match value.as_text() {
            Some(text) => *slot = text,
            None => return no_overload(),
        }
    }
    Ok(out)
}

fn int(value: Option<&Value<'_>>) -> Result<i64, crate::eval::Error> {
    match value {
        Some(Value::Int(value)) => Ok(*value),
        _ => no_overload(),
    }
}

/// The library value that a method is called on.
fn this<'v, T: 'static>(args: &'v [Value<'_>]) -> Result<&'v T, crate::eval::Error> {
    match args.first().and_then(Value::downcast) {
        Some(found) => Ok(found),
        None => no_overload(),
    }
}

fn boolean<'a>(value: bool) -> Outcome<'a> {
    Ok(Value::Bool(value))
}

/// Equality of two library values of one type that has its own.
fn same<T: PartialEq + 'static>(a: &T, other: &dyn Opaque) -> bool {
    other.as_any().downcast_ref::<T>() == Some(a)
}

/// `Opaque` for a type that is compared by its content.
macro_rules! opaque {
    ($type:ty, $name:expr) => {
        impl crate::value::Opaque for $type {
            fn type_name(&self) -> &'static str {
                $name
            }

            fn equals(&self, other: &dyn crate::value::Opaque) -> bool {
                crate::functions::same(self, other)
            }

            fn as_any(&self) -> &dyn std::any::Any {
                self
            }
        }
    };
}
pub(crate) use opaque;
