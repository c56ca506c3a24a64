//! Lists: the API server's library, the list and the set extension of the language.

use super::{boolean, int};
use crate::compare::{contains, equal, order};
use crate::eval::{Error, Outcome, concat, fail, no_overload};
use crate::program::Program;
use crate::table::Sig::{self, A, B, Bool, Dyn, Int};
use crate::table::{Overload, global, member};
use crate::value::{List, Value};
use std::cmp::Ordering;

const LIST: Sig = Sig::List(&A);
/// A longer `lists.range` is refused.
const MAX_RANGE: i64 = 1 << 20;

pub(super) static FUNCTIONS: &[Overload] = &[
    member("isSorted", "list_is_sorted_bool", &[LIST], Bool, |_, args| {
        let items = list(args, 0)?.to_vec();
        for pair in items.windows(2) {
            if compare(&pair[0], &pair[1])? == Ordering::Greater {
                return boolean(false);
            }
        }
        boolean(true)
    }),
    member("sum", "list_sum", &[LIST], A, sum),
    member("min", "list_min", &[LIST], A, |_, args| extreme(args, "min", Ordering::Less)),
    member("max", "list_max", &[LIST], A, |_, args| extreme(args, "max", Ordering::Greater)),
    member("indexOf", "list_index_of", &[LIST, A], Int, |_, args| {
        let found = list(args, 0)?.iter().position(|item| equal(&item, &args[1]));
        Ok(Value::Int(found.map_or(-1, |at| at as i64)))
    }),
    member("lastIndexOf", "list_last_index_of", &[LIST, A], Int, |_, args| {
        let found = list(args, 0)?.to_vec().iter().rposition(|item| equal(item, &args[1]));
        Ok(Value::Int(found.map_or(-1, |at| at as i64)))
    }),
    member("slice", "list_slice", &[LIST, Int, Int], LIST, |_, args| {
        let (list, from, to) = (list(args, 0)?, int(args.get(1))?, int(args.get(2))?);
        if from < 0 || to < 0 {
            return fail(format!("cannot slice({from}, {to}), negative indexes not supported"));
        }
        if from > to {
            return fail(format!(
                "cannot slice({from}, {to}), start index must be less than or equal to end index"
            ));
        }
        if to > list.len() as i64 {
            return fail(format!("cannot slice({from}, {to}), list is length {}", list.len()));
        }
        Ok(Value::values(list.iter().skip(from as usize).take((to - from) as usize).collect()))
    }),
    member("flatten", "list_flatten", &[LIST], Sig::List(&Dyn), |_, args| flatten(args, 1)),
    member("flatten", "list_flatten_int", &[LIST, Int], Sig::List(&Dyn), |_, args| {
        flatten(args, int(args.get(1))?)
    }),
    member("sort", "list_sort", &[LIST], LIST, |_, args| {
        let items = list(args, 0)?.to_vec();
        sorted(items.into_iter().map(|item| (item.clone(), item)).collect())
    }),
    member("@sortByAssociatedKeys", "list_sort_by", &[LIST, Sig::List(&B)], LIST, |_, args| {
        sorted(list(args, 1)?.iter().zip(list(args, 0)?.iter()).collect())
    }),
    global("lists.range", "lists_range", &[Int], Sig::List(&Int), |_, args| {
        let end = int(args.first())?;
        if end > MAX_RANGE {
            return fail(format!("lists.range({end}) exceeds the limit of {MAX_RANGE}"));
        }
        Ok(Value::values((0..end).map(Value::Int).collect()))
    }),
    member("reverse", "list_reverse", &[LIST], LIST, |_, args| {
        let mut items = list(args, 0)?.to_vec();
        items.reverse();
        Ok(Value::values(items))
    }),
    member("distinct", "list_distinct", &[LIST], LIST, |_, args| {
        let mut out: Vec<Value<'_>> = Vec::new();
        for item in list(args, 0)?.iter() {
            if !out.iter().any(|other| equal(other, &item)) {
                out.push(item);
            }
        }
        Ok(Value::values(out))
    }),
    global("sets.contains", "list_sets_contains", &[LIST, LIST], Bool, |_, args| {
        boolean(includes(list(args, 0)?, list(args, 1)?))
    }),
    global("sets.equivalent", "list_sets_equivalent", &[LIST, LIST], Bool, |_, args| {
        let (a, b) = (list(args, 0)?, list(args, 1)?);
        boolean(includes(a, b) && includes(b, a))
    }),
    global("sets.intersects", "list_sets_intersects", &[LIST, LIST], Bool, |_, args| {
        let (a, b) = (list(args, 0)?, list(args, 1)?);
        boolean(a.iter().any(|item| contains(b, &item)))
    }),
];

fn list<'v, 'a>(args: &'v [Value<'a>], at: usize) -> Result<&'v List<'a>, Error> {
    match args.get(at) {
        Some(Value::List(list)) => Ok(list),
        _ => no_overload(),
    }
}

fn includes(a: &List<'_>, b: &List<'_>) -> bool {
    b.iter().all(|item| contains(a, &item))
}

fn compare(a: &Value<'_>, b: &Value<'_>) -> Result<Ordering, Error> {
    order(a, b).map_or_else(no_overload, Ok)
}

fn sum<'a>(_: &Program, args: &[Value<'a>]) -> Outcome<'a> {
    let mut items = list(args, 0)?.iter();
    let Some(mut total) = items.next() else { return Ok(Value::Int(0)) };
    for item in items {
        let next = match (&total, &item) {
            (Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int),
            (Value::Uint(a), Value::Uint(b)) => a.checked_add(*b).map(Value::Uint),
            (Value::Double(a), Value::Double(b)) => Some(Value::Double(a + b)),
            (Value::Duration(a), Value::Duration(b)) => a.checked_add(*b).map(Value::Duration),
            _ => return no_overload(),
        };
        let Some(next) = next else { return fail("integer overflow") };
        total = next;
    }
    Ok(total)
}

fn extreme<'a>(args: &[Value<'a>], name: &str, wanted: Ordering) -> Outcome<'a> {
    let mut items = list(args, 0)?.iter();
    let Some(mut best) = items.next() else { return fail(format!("{name} called on empty list")) };
    for item in items {
        if compare(&item, &best)? == wanted {
            best = item;
        }
    }
    Ok(best)
}

fn flatten<'a>(args: &[Value<'a>], depth: i64) -> Outcome<'a> {
    if depth < 0 {
        return fail("level must be non-negative");
    }
    let mut current = list(args, 0)?.clone();
    for _ in 0..depth {
        let nested = current.iter().any(|item| matches!(item, Value::List(_)));
        if !nested {
            break;
        }
        let mut out = List::Values(std::sync::Arc::default());
        for item in current.iter() {
            let part = match item {
                Value::List(list) => list,
                other => List::Values(std::sync::Arc::new(vec![other])),
            };
            if let Value::List(joined) = concat(&out, &part) {
                out = joined;
            }
        }
        current = out;
    }
    Ok(Value::List(current))
}

/// The values in the order of their keys; equal keys keep their order.
fn sorted<'a>(mut pairs: Vec<(Value<'a>, Value<'a>)>) -> Outcome<'a> {
    let mut failure = None;
    pairs.sort_by(|a, b| {
        compare(&a.0, &b.0).unwrap_or_else(|error| {
            failure = Some(error);
            Ordering::Equal
        })
    });
    match failure {
        Some(error) => Err(error),
        None => Ok(Value::values(pairs.into_iter().map(|(_, value)| value).collect())),
    }
}
