//! Operators. `&&`, `||` and `?:` are in evaluation itself: they do not look at all their arguments.

use crate::compare::{contains, equal, order};
use crate::eval::{Outcome, concat, fail, index, no_overload};
use crate::table::Sig::{
    self, A, B, Bool, Bytes, Double, Duration, Dyn, Int, List, Map, Optional, Timestamp, Uint,
};
use crate::table::{Overload, global};
use crate::value::{Key, Value};
use std::cmp::Ordering;
use std::sync::Arc;

const TEXT: Sig = Sig::String;

/// The pairs of types that have an order.
macro_rules! ordered {
    ($name:literal, $holds:expr) => {
        [
            ordered!(@ $name, [Bool, Bool], $holds),
            ordered!(@ $name, [TEXT, TEXT], $holds),
            ordered!(@ $name, [Bytes, Bytes], $holds),
            ordered!(@ $name, [Timestamp, Timestamp], $holds),
            ordered!(@ $name, [Duration, Duration], $holds),
            ordered!(@ $name, [Int, Int], $holds),
            ordered!(@ $name, [Int, Uint], $holds),
            ordered!(@ $name, [Int, Double], $holds),
            ordered!(@ $name, [Uint, Int], $holds),
            ordered!(@ $name, [Uint, Uint], $holds),
            ordered!(@ $name, [Uint, Double], $holds),
            ordered!(@ $name, [Double, Int], $holds),
            ordered!(@ $name, [Double, Uint], $holds),
            ordered!(@ $name, [Double, Double], $holds),
        ]
    };
    (@ $name:literal, $types:expr, $holds:expr) => {
        global($name, "compare", &$types, Bool, |_, args| Ok(Value::Bool(order(&args[0], &args[1]).is_some_and($holds))))
    };
}

const OTHERS: [Overload; 43] = [
    global("_&&_", "logical_and", &[Bool, Bool], Bool, |_, _| no_overload()),
    global("_||_", "logical_or", &[Bool, Bool], Bool, |_, _| no_overload()),
    global("_?_:_", "conditional", &[Bool, A, A], A, |_, _| no_overload()),
    global("@not_strictly_false", "not_strictly_false", &[Bool], Bool, |_, _| no_overload()),
    global("!_", "logical_not", &[Bool], Bool, |_, args| match args {
        [Value::Bool(value)] => Ok(Value::Bool(!value)),
        _ => no_overload(),
    }),
    global("_==_", "equals", &[A, A], Bool, |_, args| Ok(Value::Bool(equal(&args[0], &args[1])))),
    global("_!=_", "not_equals", &[A, A], Bool, |_, args| Ok(Value::Bool(!equal(&args[0], &args[1])))),
    global("@in", "in_list", &[A, List(&A)], Bool, |_, args| match args {
        [item, Value::List(list)] => Ok(Value::Bool(contains(list, item))),
        _ => no_overload(),
    }),
    global("@in", "in_map", &[A, Map(&A, &B)], Bool, |_, args| match args {
        [key, Value::Map(map)] => Ok(Value::Bool(map.get(key).is_some())),
        _ => no_overload(),
    }),
    global("_[_]", "index_list", &[List(&A), Int], A, at),
    global("_[_]", "index_map", &[Map(&A, &B), A], B, at),
    global("_[_]", "optional_list_index_value", &[Optional(&List(&A)), Int], Optional(&A), at_optional),
    global("_[_]", "optional_map_index_value", &[Optional(&Map(&A, &B)), A], Optional(&B), at_optional),
    global("_[?_]", "list_optindex_optional_int", &[List(&A), Int], Optional(&A), at_optional),
    global("_[?_]", "map_optindex_optional_value", &[Map(&A, &B), A], Optional(&B), at_optional),
    global(
        "_[?_]",
        "optional_list_optindex_optional_int",
        &[Optional(&List(&A)), Int],
        Optional(&A),
        at_optional,
    ),
    global(
        "_[?_]",
        "optional_map_optindex_optional_value",
        &[Optional(&Map(&A, &B)), A],
        Optional(&B),
        at_optional,
    ),
    global("_?._", "select_optional_field", &[Dyn, TEXT], Optional(&Dyn), at_optional),
    global("_+_", "add_int64", &[Int, Int], Int, |_, args| integers(args, i64::checked_add)),
    global("_+_", "add_uint64", &[Uint, Uint], Uint, |_, args| unsigned(args, u64::checked_add)),
    global("_+_", "add_double", &[Double, Double], Double, |_, args| doubles(args, |a, b| a + b)),
    global("_+_", "add_string", &[TEXT, TEXT], TEXT, |_, args| match args {
        [Value::String(a), Value::String(b)] => Ok(Value::text([&**a, &**b].concat())),
        _ => no_overload(),
    }),
    global("_+_", "add_bytes", &[Bytes, Bytes], Bytes, |_, args| match args {
        [Value::Bytes(a), Value::Bytes(b)] => Ok(Value::Bytes([&**a, &**b].concat().into())),
        _ => no_overload(),
    }),
    global("_+_", "add_list", &[List(&A), List(&A)], List(&A), |_, args| match args {
        [Value::List(a), Value::List(b)] => Ok(concat(a, b)),
        _ => no_overload(),
    }),
    global("_+_", "add_timestamp_duration", &[Timestamp, Duration], Timestamp, |_, args| {
        super::time::add(&args[0], &args[1])
    }),
    global("_+_", "add_duration_timestamp", &[Duration, Timestamp], Timestamp, |_, args| {
        super::time::add(&args[1], &args[0])
    }),
    global("_+_", "add_duration_duration", &[Duration, Duration], Duration, |_, args| {
        durations(args, i64::checked_add)
    }),
    global("_-_", "subtract_int64", &[Int, Int], Int, |_, args| integers(args, i64::checked_sub)),
    global("_-_", "subtract_uint64", &[Uint, Uint], Uint, |_, args| unsigned(args, u64::checked_sub)),
    global("_-_", "subtract_double", &[Double, Double], Double, |_, args| doubles(args, |a, b| a - b)),
    global("_-_", "subtract_timestamp_timestamp", &[Timestamp, Timestamp], Duration, |_, args| {
        super::time::difference(args)
    }),
    global("_-_", "subtract_timestamp_duration", &[Timestamp, Duration], Timestamp, |_, args| match args {
        [at, Value::Duration(nanos)] => super::time::add(at, &Value::Duration(nanos.saturating_neg())),
        _ => no_overload(),
    }),
    global("_-_", "subtract_duration_duration", &[Duration, Duration], Duration, |_, args| {
        durations(args, i64::checked_sub)
    }),
    global("_*_", "multiply_int64", &[Int, Int], Int, |_, args| integers(args, i64::checked_mul)),
    global("_*_", "multiply_uint64", &[Uint, Uint], Uint, |_, args| unsigned(args, u64::checked_mul)),
    global("_*_", "multiply_double", &[Double, Double], Double, |_, args| doubles(args, |a, b| a * b)),
    global("_/_", "divide_int64", &[Int, Int], Int, |_, args| {
        divide(args, "division by zero", i64::checked_div, u64::checked_div)
    }),
    global("_/_", "divide_uint64", &[Uint, Uint], Uint, |_, args| {
        divide(args, "division by zero", i64::checked_div, u64::checked_div)
    }),
    global("_/_", "divide_double", &[Double, Double], Double, |_, args| doubles(args, |a, b| a / b)),
    global("_%_", "modulo_int64", &[Int, Int], Int, |_, args| {
        divide(args, "modulus by zero", i64::checked_rem, u64::checked_rem)
    }),
    global("_%_", "modulo_uint64", &[Uint, Uint], Uint, |_, args| {
        divide(args, "modulus by zero", i64::checked_rem, u64::checked_rem)
    }),
    global("-_", "negate_int64", &[Int], Int, |_, args| match args {
        [Value::Int(value)] => {
            value.checked_neg().map_or_else(|| fail("integer overflow"), |value| Ok(Value::Int(value)))
        }
        _ => no_overload(),
    }),
    global("-_", "negate_double", &[Double], Double, |_, args| match args {
        [Value::Double(value)] => Ok(Value::Double(-value)),
        _ => no_overload(),
    }),
];

const INSERTS: [Overload; 2] = [
    global("cel.@mapInsert", "@mapInsert_map_key_value", &[Map(&A, &B), A, B], Map(&A, &B), |_, args| {
        match args {
            [Value::Map(map), key, value] => insert(map, vec![(key.clone(), value.clone())]),
            _ => no_overload(),
        }
    }),
    global("cel.@mapInsert", "@mapInsert_map_map", &[Map(&A, &B), Map(&A, &B)], Map(&A, &B), |_, args| {
        match args {
            [Value::Map(map), Value::Map(more)] => {
                let entries = more.keys().into_iter().filter_map(|key| Some((key.clone(), more.get(&key)?)));
                insert(map, entries.collect())
            }
            _ => no_overload(),
        }
    }),
];

const LESS: [Overload; 14] = ordered!("_<_", Ordering::is_lt);
const LESS_EQUAL: [Overload; 14] = ordered!("_<=_", Ordering::is_le);
const GREATER: [Overload; 14] = ordered!("_>_", Ordering::is_gt);
const GREATER_EQUAL: [Overload; 14] = ordered!("_>=_", Ordering::is_ge);

static ALL: [&[Overload]; 6] = [&OTHERS, &INSERTS, &LESS, &LESS_EQUAL, &GREATER, &GREATER_EQUAL];

pub(super) fn functions() -> impl Iterator<Item = &'static Overload> {
    ALL.into_iter().flatten()
}

fn at<'a>(_: &crate::Program, args: &[Value<'a>]) -> Outcome<'a> {
    match index(&args[0], &args[1])? {
        Some(value) => Ok(value),
        None => match (&args[0], &args[1]) {
            (Value::List(_), Value::Int(at)) => fail(format!("index out of bounds: {at}")),
            (_, Value::String(key)) => fail(format!("no such key: {}", &**key)),
            (_, Value::Int(key)) => fail(format!("no such key: {key}")),
            _ => fail("no such key"),
        },
    }
}

fn at_optional<'a>(_: &crate::Program, args: &[Value<'a>]) -> Outcome<'a> {
    let container = match &args[0] {
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => (**inner).clone(),
        other => other.clone(),
    };
    let found = match (&container, &args[1]) {
        (Value::Object(_), Value::String(field)) => crate::eval::field_of(&container, field)?,
        (container, key) => index(container, key)?,
    };
    Ok(Value::Optional(found.map(Arc::new)))
}

fn integers<'a>(args: &[Value<'a>], work: fn(i64, i64) -> Option<i64>) -> Outcome<'a> {
    match args {
        [Value::Int(a), Value::Int(b)] => {
            work(*a, *b).map_or_else(|| fail("integer overflow"), |value| Ok(Value::Int(value)))
        }
        _ => no_overload(),
    }
}

fn unsigned<'a>(args: &[Value<'a>], work: fn(u64, u64) -> Option<u64>) -> Outcome<'a> {
    match args {
        [Value::Uint(a), Value::Uint(b)] => {
            work(*a, *b).map_or_else(|| fail("unsigned integer overflow"), |value| Ok(Value::Uint(value)))
        }
        _ => no_overload(),
    }
}

fn divide<'a>(
    args: &[Value<'a>],
    zero: &str,
    signed: fn(i64, i64) -> Option<i64>,
    plain: fn(u64, u64) -> Option<u64>,
) -> Outcome<'a> {
    match args {
        [_, Value::Int(0) | Value::Uint(0)] => fail(zero),
        [Value::Int(_), _] => integers(args, signed),
        _ => unsigned(args, plain),
    }
}

fn doubles<'a>(args: &[Value<'a>], work: fn(f64, f64) -> f64) -> Outcome<'a> {
    match args {
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(work(*a, *b))),
        _ => no_overload(),
    }
}

fn durations<'a>(args: &[Value<'a>], work: fn(i64, i64) -> Option<i64>) -> Outcome<'a> {
    match args {
        [Value::Duration(a), Value::Duration(b)] => {
            work(*a, *b).map_or_else(|| fail("duration overflow"), |value| Ok(Value::Duration(value)))
        }
        _ => no_overload(),
    }
}

fn insert<'a>(map: &crate::value::Map<'a>, more: Vec<(Value<'a>, Value<'a>)>) -> Outcome<'a> {
    let mut entries: std::collections::BTreeMap<_, _> = map.entries().into_iter().collect();
    for (key, value) in more {
        let Some(key) = Key::of(&key) else {
            return fail(format!("unsupported key type: {}", key.type_name()));
        };
        if entries.contains_key(&key) {
            return fail("insert failed: key already exists");
        }
        entries.insert(key, value);
    }
    Ok(Value::Map(crate::value::Map::Values(Arc::new(entries))))
}
