//! Optional values. `or` and `orValue` are in evaluation: they look at their argument only if they must.

use crate::eval::{Outcome, fail, no_overload};
use crate::table::Sig::{self, A, Bool};
use crate::table::{Overload, global, member};
use crate::value::Value;

const OPTIONAL: Sig = Sig::Optional(&A);

pub(super) static FUNCTIONS: &[Overload] = &[
    global("optional.of", "optional_of", &[A], OPTIONAL, |_, args| Ok(Value::some(args[0].clone()))),
    global("optional.ofNonZeroValue", "optional_ofNonZeroValue", &[A], OPTIONAL, |_, args| {
        Ok(if is_zero(&args[0]) { Value::Optional(None) } else { Value::some(args[0].clone()) })
    }),
    global("optional.none", "optional_none", &[], OPTIONAL, |_, _| Ok(Value::Optional(None))),
    global("optional.unwrap", "optional_unwrap", &[Sig::List(&OPTIONAL)], Sig::List(&A), |_, args| {
        unwrap(args)
    }),
    member("unwrapOpt", "optional_unwrapOpt", &[Sig::List(&OPTIONAL)], Sig::List(&A), |_, args| unwrap(args)),
    member("hasValue", "optional_hasValue", &[OPTIONAL], Bool, |_, args| match &args[0] {
        Value::Optional(inner) => Ok(Value::Bool(inner.is_some())),
        _ => no_overload(),
    }),
    member("value", "optional_value", &[OPTIONAL], A, |_, args| match &args[0] {
        Value::Optional(Some(inner)) => Ok((**inner).clone()),
        Value::Optional(None) => fail("optional.none() dereference"),
        _ => no_overload(),
    }),
    member("or", "optional_or_optional", &[OPTIONAL, OPTIONAL], OPTIONAL, |_, _| no_overload()),
    member("orValue", "optional_orValue_value", &[OPTIONAL, A], A, |_, _| no_overload()),
    member("first", "list_first", &[Sig::List(&A)], OPTIONAL, |_, args| end(args, false)),
    member("last", "list_last", &[Sig::List(&A)], OPTIONAL, |_, args| end(args, true)),
];

fn end<'a>(args: &[Value<'a>], last: bool) -> Outcome<'a> {
    let Value::List(list) = &args[0] else { return no_overload() };
    let at = if last { list.len().wrapping_sub(1) } else { 0 };
    Ok(list.get(at).map_or(Value::Optional(None), Value::some))
}

fn unwrap<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let Value::List(list) = &args[0] else { return no_overload() };
    let mut out = Vec::new();
    for item in list.iter() {
        match item {
            Value::Optional(Some(inner)) => out.push((*inner).clone()),
            Value::Optional(None) => {}
            _ => return no_overload(),
        }
    }
    Ok(Value::values(out))
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null
        | Value::Bool(false)
        | Value::Int(0)
        | Value::Uint(0)
        | Value::Duration(0)
        | Value::Optional(None) => true,
        Value::Double(value) => *value == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Object(object) => object.fields().is_empty(),
        _ => false,
    }
}
