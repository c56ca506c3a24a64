//! Macros: calls whose arguments are not evaluated but rewritten, into presence tests and loops. The set is that
//! of the standard, of optional values, of comprehensions with two variables, and `sortBy` of lists.

use crate::ast::{Expr, Item, Kind, Literal, Loop};
use crate::error::Issue;
use crate::parse::Parser;

/// The accumulator of every loop; no name that can be written.
pub(crate) const ACCU: &str = "@result";
const UNUSED: &str = "#unused";

type Expanded = Result<Expr, Issue>;

pub(crate) fn global(p: &mut Parser, at: usize, name: &str, mut args: Vec<Expr>) -> Expanded {
    if name == "has" && args.len() == 1 {
        let arg = args.remove(0);
        return match arg.kind {
            Kind::Select { operand, field, test: false } => {
                Ok(p.node(at, Kind::Select { operand, field, test: true }))
            }
            _ => Err(Issue { at: arg.at, message: "invalid argument to has() macro".into() }),
        };
    }
    Ok(p.node(at, Kind::Call { target: None, function: name.into(), args }))
}

pub(crate) fn member(p: &mut Parser, at: usize, target: Expr, name: &str, args: Vec<Expr>) -> Expanded {
    let count = args.len();
    match (name, count) {
        ("all" | "exists" | "exists_one" | "existsOne" | "map" | "filter", 2) | ("map", 3) => {}
        (
            "all" | "exists" | "exists_one" | "existsOne" | "transformList" | "transformMap"
            | "transformMapEntry",
            3,
        )
        | ("transformList" | "transformMap" | "transformMapEntry", 4) => {
            return two_variables(p, at, target, name, args);
        }
        ("optMap" | "optFlatMap", 2) => return optional_map(p, at, target, name, args),
        ("sortBy", 2) => return sort_by(p, at, target, args),
        _ => {
            let target = Some(Box::new(target));
            return Ok(p.node(at, Kind::Call { target, function: name.into(), args }));
        }
    }
    let mut args = args.into_iter();
    let mut next = || args.next().ok_or_else(|| Issue { at, message: "missing argument".into() });
    let var = variable(&next()?)?;
    let filter = if count == 3 { Some(next()?) } else { None };
    let body = next()?;
    let parts = match name {
        "map" => collecting(p, at, filter, body),
        "filter" => {
            let element = p.node(at, Kind::Ident(var.clone()));
            collecting(p, at, Some(body), element)
        }
        _ => quantifier(p, at, name, body),
    };
    Ok(parts.build(p, at, target, var, None))
}

/// What differs between the loops.
struct Parts {
    init: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

impl Parts {
    fn build(self, p: &mut Parser, at: usize, range: Expr, var: String, var2: Option<String>) -> Expr {
        let Parts { init, condition, step, result } = self;
        let accu = ACCU.to_string();
        p.node(at, Kind::Loop(Box::new(Loop { range, var, var2, accu, init, condition, step, result })))
    }
}

fn variable(expr: &Expr) -> Result<String, Issue> {
    match &expr.kind {
        Kind::Ident(name) if name == ACCU => Err(Issue {
            at: expr.at,
            message: format!("iteration variable overwrites accumulator variable: {name}"),
        }),
        Kind::Ident(name) => Ok(name.clone()),
        _ => Err(Issue { at: expr.at, message: "argument must be a simple name".into() }),
    }
}

fn accu(p: &mut Parser, at: usize) -> Expr {
    p.node(at, Kind::Ident(ACCU.into()))
}

fn literal(p: &mut Parser, at: usize, value: Literal) -> Expr {
    p.node(at, Kind::Literal(value))
}

fn quantifier(p: &mut Parser, at: usize, name: &str, body: Expr) -> Parts {
    match name {
        "all" => {
            let current = accu(p, at);
            let (left, result) = (accu(p, at), accu(p, at));
            Parts {
                init: literal(p, at, Literal::Bool(true)),
                condition: p.call(at, "@not_strictly_false", vec![current]),
                step: p.call(at, "_&&_", vec![left, body]),
                result,
            }
        }
        "exists" => {
            let current = accu(p, at);
            let not = p.call(at, "!_", vec![current]);
            let (left, result) = (accu(p, at), accu(p, at));
            Parts {
                init: literal(p, at, Literal::Bool(false)),
                condition: p.call(at, "@not_strictly_false", vec![not]),
                step: p.call(at, "_||_", vec![left, body]),
                result,
            }
        }
        _ => {
            let (counted, same, found) = (accu(p, at), accu(p, at), accu(p, at));
            let (one, wanted) = (literal(p, at, Literal::Int(1)), literal(p, at, Literal::Int(1)));
            let more = p.call(at, "_+_", vec![counted, one]);
            Parts {
                init: literal(p, at, Literal::Int(0)),
                condition: literal(p, at, Literal::Bool(true)),
                step: p.call(at, "_?_:_", vec![body, more, same]),
                result: p.call(at, "_==_", vec![found, wanted]),
            }
        }
    }
}

/// A loop that adds `element` to a list wherever `filter` holds.
fn collecting(p: &mut Parser, at: usize, filter: Option<Expr>, element: Expr) -> Parts {
    let before = accu(p, at);
    let list = p.node(at, Kind::List(vec![Item { value: element, optional: false }]));
    let added = p.call(at, "_+_", vec![before, list]);
    let init = p.node(at, Kind::List(Vec::new()));
    guarded(p, at, filter, added, init)
}

/// `filter ? step : accumulator so far`.
fn guarded(p: &mut Parser, at: usize, filter: Option<Expr>, step: Expr, init: Expr) -> Parts {
    let step = match filter {
        Some(filter) => {
            let same = accu(p, at);
            p.call(at, "_?_:_", vec![filter, step, same])
        }
        None => step,
    };
    let result = accu(p, at);
    Parts { init, condition: literal(p, at, Literal::Bool(true)), step, result }
}

fn two_variables(p: &mut Parser, at: usize, target: Expr, name: &str, args: Vec<Expr>) -> Expanded {
    let four = args.len() == 4;
    let mut args = args.into_iter();
    let mut next = || args.next().ok_or_else(|| Issue { at, message: "missing argument".into() });
    let (first, second) = (next()?, next()?);
    let (var, var2) = (variable(&first)?, variable(&second)?);
    if var == var2 {
        return Err(Issue { at: second.at, message: format!("duplicate variable name: {var2}") });
    }
    let filter = if four { Some(next()?) } else { None };
    let body = next()?;
    let parts = match name {
        "transformList" => collecting(p, at, filter, body),
        "transformMap" | "transformMapEntry" => {
            let before = accu(p, at);
            let mut args = vec![before];
            if name == "transformMap" {
                args.push(p.node(at, Kind::Ident(var.clone())));
            }
            args.push(body);
            let step = p.call(at, "cel.@mapInsert", args);
            let init = p.node(at, Kind::Map(Vec::new()));
            guarded(p, at, filter, step, init)
        }
        _ => quantifier(p, at, name, body),
    };
    Ok(parts.build(p, at, target, var, Some(var2)))
}

/// `target.optMap(v, e)`: `e` of the value, if there is one.
fn optional_map(p: &mut Parser, at: usize, target: Expr, name: &str, args: Vec<Expr>) -> Expanded {
    let mut args = args.into_iter();
    let (Some(var), Some(body)) = (args.next(), args.next()) else {
        return Err(Issue { at, message: "missing argument".into() });
    };
    let var = variable(&var)?;
    // The target is evaluated once: as the accumulator of a loop that never runs.
    let holder = "@optional".to_string();
    let member = |p: &mut Parser, function: &str| {
        let held = p.node(at, Kind::Ident(holder.clone()));
        let target = Some(Box::new(held));
        p.node(at, Kind::Call { target, function: function.into(), args: Vec::new() })
    };
    let (present, value) = (member(p, "hasValue"), member(p, "value"));
    let bound = bind(p, at, var, value, body);
    let some = if name == "optMap" { p.call(at, "optional.of", vec![bound]) } else { bound };
    let none = p.call(at, "optional.none", Vec::new());
    let chosen = p.call(at, "_?_:_", vec![present, some, none]);
    Ok(bind(p, at, holder, target, chosen))
}

/// `body` with `name` standing for `value`.
fn bind(p: &mut Parser, at: usize, name: String, value: Expr, body: Expr) -> Expr {
    let range = p.node(at, Kind::List(Vec::new()));
    let condition = literal(p, at, Literal::Bool(false));
    let step = p.node(at, Kind::Ident(name.clone()));
    let inner = Loop {
        range,
        var: UNUSED.into(),
        var2: None,
        accu: name,
        init: value,
        condition,
        step,
        result: body,
    };
    p.node(at, Kind::Loop(Box::new(inner)))
}

/// `target.sortBy(v, key)`: the list in the order of the keys.
fn sort_by(p: &mut Parser, at: usize, target: Expr, args: Vec<Expr>) -> Expanded {
    let mut args = args.into_iter();
    let (Some(var), Some(key)) = (args.next(), args.next()) else {
        return Err(Issue { at, message: "missing argument".into() });
    };
    let var = variable(&var)?;
    let holder = "@list".to_string();
    let range = p.node(at, Kind::Ident(holder.clone()));
    let keys = collecting(p, at, None, key).build(p, at, range, var, None);
    let list = p.node(at, Kind::Ident(holder.clone()));
    let target_of = Some(Box::new(list));
    let sorted = p.node(
        at,
        Kind::Call { target: target_of, function: "@sortByAssociatedKeys".into(), args: vec![keys] },
    );
    Ok(bind(p, at, holder, target, sorted))
}
