//! Evaluation: a walk over the checked tree that counts what it costs and stops at a limit.

use crate::ast::{Entry, Expr, Item, Kind, Literal, Loop};
use crate::compare::equal;
use crate::macros::ACCU;
use crate::program::{Program, constructor};
use crate::table::{Overload, TABLE};
use crate::value::{Key, List, Map, Object, Text, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What cel-go charges, so that limits mean the same.
const LIST_COST: u64 = 10;
const MAP_COST: u64 = 30;
const STRUCT_COST: u64 = 40;
/// The one variable whose name has a point in it, in two.
const REQUEST_RESOURCE: (&str, &str) = ("authorizer", "requestResource");

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The limit is reached; nothing may hide this.
    Cost,
    /// Anything else, in the words of the language's reference implementation.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Cost => f.write_str("operation cancelled: actual cost limit exceeded"),
            Error::Failed(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

pub type Outcome<'a> = Result<Value<'a>, Error>;

pub(crate) fn fail<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::Failed(message.into()))
}

pub(crate) fn no_overload<T>() -> Result<T, Error> {
    fail("no such overload")
}

/// What an expression may cost, and what it did.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    pub limit: u64,
    pub used: u64,
}

impl Budget {
    pub fn new(limit: u64) -> Budget {
        Budget { limit, used: 0 }
    }

    fn spend(&mut self, cost: u64) -> Result<(), Error> {
        self.used = self.used.saturating_add(cost);
        if self.used > self.limit { Err(Error::Cost) } else { Ok(()) }
    }
}

/// Values of the names that an expression does not bind itself.
pub trait Globals<'a> {
    fn get(&self, name: &str) -> Option<Value<'a>>;

    /// `variables.name`: an expression of its own, evaluated when it is first asked for.
    fn variable(&self, _name: &str, _budget: &mut Budget) -> Option<Outcome<'a>> {
        None
    }
}

impl<'a> Globals<'a> for Vec<(&str, Value<'a>)> {
    fn get(&self, name: &str) -> Option<Value<'a>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
}

pub(crate) struct Machine<'p, 'a> {
    pub program: &'p Program,
    pub globals: &'p dyn Globals<'a>,
    pub budget: &'p mut Budget,
    locals: Vec<(&'p str, Value<'a>)>,
}

impl<'p, 'a> Machine<'p, 'a> {
    pub fn new(program: &'p Program, globals: &'p dyn Globals<'a>, budget: &'p mut Budget) -> Self {
        Machine { program, globals, budget, locals: Vec::new() }
    }

    pub fn eval(&mut self, expr: &'p Expr) -> Outcome<'a> {
        match &expr.kind {
            Kind::Literal(literal) => Ok(of_literal(literal)),
            Kind::Ident(name) => self.ident(name),
            Kind::Select { operand, field, test } => self.select(operand, field, *test),
            Kind::Call { target, function, args } => self.call(expr, target.as_deref(), function, args),
            Kind::List(items) => {
                let values = self.items(items)?;
                self.budget.spend(LIST_COST)?;
                Ok(Value::values(values))
            }
            Kind::Map(entries) => self.map(entries),
            Kind::Struct { name, fields } => self.structure(name, fields),
            Kind::Loop(parts) => self.run_loop(parts),
        }
    }

    fn ident(&mut self, name: &str) -> Outcome<'a> {
        self.budget.spend(1)?;
        if let Some((_, value)) = self.locals.iter().rev().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        if let Some(value) = self.globals.get(name) {
            return Ok(value);
        }
        match type_of_name(name) {
            Some(name) => Ok(Value::Type(name.into())),
            None => fail(format!("no such attribute(s): {name}")),
        }
    }

    fn is_global(&self, expr: &Expr, name: &str) -> bool {
        matches!(&expr.kind, Kind::Ident(found) if found == name)
            && !self.locals.iter().any(|(known, _)| *known == name)
    }

    fn select(&mut self, operand: &'p Expr, field: &str, test: bool) -> Outcome<'a> {
        if self.is_global(operand, "variables")
            && let Some(outcome) = self.globals.variable(field, self.budget)
        {
            self.budget.spend(2)?;
            return if test { Ok(Value::Bool(true)) } else { outcome };
        }
        if field == REQUEST_RESOURCE.1
            && self.is_global(operand, REQUEST_RESOURCE.0)
            && let Some(value) = self.globals.get("authorizer.requestResource")
        {
            self.budget.spend(1)?;
            return Ok(value);
        }
        // A name with dots, as libraries have for types.
        if !test && let Some(name) = operand.qualified_name() {
            let name = format!("{name}.{field}");
            if let Some(name) = type_of_name(&name)
                && self.globals.get(&name[..name.find('.').unwrap_or(0)]).is_none()
            {
                self.budget.spend(1)?;
                return Ok(Value::Type(name.into()));
            }
        }
        let operand = self.eval(operand)?;
        if !test {
            self.budget.spend(1)?;
        }
        if let Value::Optional(inner) = &operand {
            let found = inner.as_ref().and_then(|value| field_of(value, field).ok().flatten());
            return Ok(if test {
                Value::Bool(found.is_some())
            } else {
                Value::Optional(found.map(Arc::new))
            });
        }
        let found = field_of(&operand, field)?;
        match found {
            _ if test => Ok(Value::Bool(found.is_some())),
            Some(value) => Ok(value),
            None => fail(format!("no such key: {field}")),
        }
    }

    fn call(
        &mut self,
        expr: &'p Expr,
        target: Option<&'p Expr>,
        function: &str,
        args: &'p [Expr],
    ) -> Outcome<'a> {
        match (function, args) {
            ("_&&_", [left, right]) => return self.logical(left, right, false),
            ("_||_", [left, right]) => return self.logical(left, right, true),
            ("_?_:_", [condition, yes, no]) => {
                return match self.eval(condition)? {
                    Value::Bool(true) => self.eval(yes),
                    Value::Bool(false) => self.eval(no),
                    _ => no_overload(),
                };
            }
            ("@not_strictly_false", [arg]) => {
                let value = self.eval(arg);
                self.budget.spend(1)?;
                return match value {
                    Err(Error::Cost) => Err(Error::Cost),
                    Ok(Value::Bool(false)) => Ok(Value::Bool(false)),
                    _ => Ok(Value::Bool(true)),
                };
            }
            ("or" | "orValue", [other]) if target.is_some() => {
                if let Some(target) = target {
                    return self.or_else(target, other, function == "orValue");
                }
            }
            _ => {}
        }
        let mut values = Vec::with_capacity(args.len() + 1);
        // What stands before the point may be part of the function's name.
        let candidates = self.program.overloads.get(expr.id).map(Vec::as_slice).unwrap_or_default();
        if let Some(target) = target.filter(|_| candidates.first().is_some_and(|index| TABLE[*index].member))
        {
            values.push(self.eval(target)?);
        }
        for arg in args {
            values.push(self.eval(arg)?);
        }
        let Some(overload) = self.overload(expr.id, &values) else { return no_overload() };
        let result = (overload.run)(self.program, &values)?;
        let cost = crate::cost::of_call(overload, &values, &result);
        self.budget.spend(cost)?;
        Ok(result)
    }

    /// The first of the overloads that the checker left that fits the values.
    fn overload(&self, id: usize, values: &[Value<'a>]) -> Option<&'static Overload> {
        let candidates = self.program.overloads.get(id)?;
        candidates.iter().map(|index| TABLE[*index]).find(|overload| overload.fits(values))
    }

    /// `&&` and `||`: a side that settles the answer makes an error of the other one unimportant.
    fn logical(&mut self, left: &'p Expr, right: &'p Expr, settles: bool) -> Outcome<'a> {
        let left = self.eval(left);
        match left {
            Err(Error::Cost) => return left,
            Ok(Value::Bool(value)) if value == settles => return Ok(Value::Bool(settles)),
            _ => {}
        }
        let right = self.eval(right);
        match (left, right) {
            (_, Err(Error::Cost)) => Err(Error::Cost),
            (_, Ok(Value::Bool(value))) if value == settles => Ok(Value::Bool(settles)),
            (Ok(Value::Bool(_)), Ok(Value::Bool(value))) => Ok(Value::Bool(value)),
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            _ => no_overload(),
        }
    }

    fn or_else(&mut self, target: &'p Expr, other: &'p Expr, value: bool) -> Outcome<'a> {
        let found = self.eval(target)?;
        self.budget.spend(1)?;
        match found {
            Value::Optional(Some(inner)) if value => Ok((*inner).clone()),
            Value::Optional(Some(_)) => Ok(found),
            Value::Optional(None) => self.eval(other),
            _ => no_overload(),
        }
    }

    fn items(&mut self, items: &'p [Item]) -> Result<Vec<Value<'a>>, Error> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            if let Some(value) = self.item(&item.value, item.optional)? {
                values.push(value);
            }
        }
        Ok(values)
    }

    /// `None` if an optional item has no value.
    fn item(&mut self, expr: &'p Expr, optional: bool) -> Result<Option<Value<'a>>, Error> {
        let value = self.eval(expr)?;
        if !optional {
            return Ok(Some(value));
        }
        match value {
            Value::Optional(inner) => Ok(inner.map(|inner| (*inner).clone())),
            other => fail(format!(
                "cannot initialize optional entry from non-optional value {}",
                other.type_name()
            )),
        }
    }

    fn map(&mut self, entries: &'p [Entry]) -> Outcome<'a> {
        let mut map = BTreeMap::new();
        for entry in entries {
            let key = self.eval(&entry.key)?;
            let Some(key) = Key::of(&key) else {
                return fail(format!("unsupported key type: {}", key.type_name()));
            };
            if let Some(value) = self.item(&entry.value, entry.optional)? {
                if map.contains_key(&key) {
                    return fail("Failed with repeated key");
                }
                map.insert(key, value);
            }
        }
        self.budget.spend(MAP_COST)?;
        Ok(Value::Map(Map::Values(Arc::new(map))))
    }

    fn structure(&mut self, name: &str, fields: &'p [(String, Item)]) -> Outcome<'a> {
        let Some(decl) = constructor(&self.program.constructors, name) else {
            return fail(format!("unknown type: {name}"));
        };
        let mut values = BTreeMap::new();
        for (field, item) in fields {
            if let Some(value) = self.item(&item.value, item.optional)? {
                values.insert(field.clone(), value);
            }
        }
        self.budget.spend(STRUCT_COST)?;
        Ok(Value::Object(Object::Values { decl, fields: Arc::new(values) }))
    }

    fn run_loop(&mut self, parts: &'p Loop) -> Outcome<'a> {
        let range = self.eval(&parts.range)?;
        let init = self.eval(&parts.init)?;
        let depth = self.locals.len();
        self.locals.push((&parts.accu, init));
        let outcome = self.steps(parts, &range).and_then(|()| self.eval(&parts.result));
        self.locals.truncate(depth);
        outcome
    }

    fn steps(&mut self, parts: &'p Loop, range: &Value<'a>) -> Result<(), Error> {
        let accu = self.locals.len() - 1;
        let (keys, values): (Vec<Value<'a>>, Option<Vec<Value<'a>>>) = match (range, &parts.var2) {
            (Value::List(list), None) => (list.to_vec(), None),
            (Value::List(list), Some(_)) => {
                ((0..list.len() as i64).map(Value::Int).collect(), Some(list.to_vec()))
            }
            (Value::Map(map), None) => (map.keys(), None),
            (Value::Map(map), Some(_)) => {
                let keys = map.keys();
                let values = keys.iter().filter_map(|key| map.get(key)).collect();
                (keys, Some(values))
            }
            (other, _) => return fail(format!("got '{}', expected iterable type", other.type_name())),
        };
        let mut values = values.map(Vec::into_iter);
        for key in keys {
            self.locals.truncate(accu + 1);
            self.locals.push((&parts.var, key));
            if let (Some(var2), Some(values)) = (&parts.var2, &mut values)
                && let Some(value) = values.next()
            {
                self.locals.push((var2, value));
            }
            if !matches!(self.eval(&parts.condition)?, Value::Bool(true)) {
                break;
            }
            if !self.append(parts, accu)? {
                // An error is kept, not thrown: another element may still settle a quantifier.
                let next = match self.eval(&parts.step) {
                    Err(Error::Failed(message)) if is_quantifier(parts) => {
                        self.locals.truncate(accu + 1);
                        return self.settle(parts, accu, message, range);
                    }
                    other => other?,
                };
                self.locals[accu].1 = next;
            }
        }
        self.locals.truncate(accu + 1);
        Ok(())
    }

    /// A quantifier whose predicate failed for one element: any element that settles it decides, else the
    /// error stands.
    fn settle(
        &mut self,
        parts: &'p Loop,
        accu: usize,
        error: String,
        range: &Value<'a>,
    ) -> Result<(), Error> {
        let settles = matches!(&parts.step.kind, Kind::Call { function, .. } if function == "_||_");
        let elements: Vec<(Value<'a>, Option<Value<'a>>)> = match (range, &parts.var2) {
            (Value::List(list), None) => list.iter().map(|item| (item, None)).collect(),
            (Value::List(list), Some(_)) => {
                list.iter().enumerate().map(|(at, item)| (Value::Int(at as i64), Some(item))).collect()
            }
            (Value::Map(map), two) => {
                let value = |key: &Value<'a>| two.as_ref().and_then(|_| map.get(key));
                map.keys().into_iter().map(|key| (key.clone(), value(&key))).collect()
            }
            _ => Vec::new(),
        };
        let Kind::Call { args, .. } = &parts.step.kind else { return fail(error) };
        let Some(predicate) = args.get(1) else { return fail(error) };
        for (key, value) in elements {
            self.locals.truncate(accu + 1);
            self.locals.push((&parts.var, key));
            if let (Some(var2), Some(value)) = (&parts.var2, value) {
                self.locals.push((var2, value));
            }
            match self.eval(predicate) {
                Err(Error::Cost) => return Err(Error::Cost),
                Ok(Value::Bool(found)) if found == settles => {
                    self.locals.truncate(accu + 1);
                    self.locals[accu].1 = Value::Bool(settles);
                    return Ok(());
                }
                _ => {}
            }
        }
        fail(error)
    }

    /// `accumulator + [element]`, in place and not by a copy of the list so far; with a filter around it or
    /// without. False if the step is something else.
    fn append(&mut self, parts: &'p Loop, accu: usize) -> Result<bool, Error> {
        let (filter, step) = match &parts.step.kind {
            Kind::Call { function, args, .. } if function == "_?_:_" => match args.as_slice() {
                [filter, step, same] if is_accu(same) => (Some(filter), step),
                _ => return Ok(false),
            },
            _ => (None, &parts.step),
        };
        let Kind::Call { function, args, target: None } = &step.kind else { return Ok(false) };
        let ("_+_", [before, element]) = (function.as_str(), args.as_slice()) else { return Ok(false) };
        let Kind::List(items) = &element.kind else { return Ok(false) };
        if !is_accu(before) || !matches!(self.locals[accu].1, Value::List(List::Values(_))) {
            return Ok(false);
        }
        if let Some(filter) = filter {
            match self.eval(filter)? {
                Value::Bool(true) => {}
                Value::Bool(false) => {
                    self.budget.spend(1)?;
                    return Ok(true);
                }
                _ => return no_overload(),
            }
        }
        let values = self.items(items)?;
        // The accumulator, the new list, and the sum.
        self.budget.spend(1 + LIST_COST + 1)?;
        if let Value::List(List::Values(list)) = &mut self.locals[accu].1 {
            Arc::make_mut(list).extend(values);
        }
        Ok(true)
    }
}

fn is_accu(expr: &Expr) -> bool {
    matches!(&expr.kind, Kind::Ident(name) if name == ACCU)
}

fn is_quantifier(parts: &Loop) -> bool {
    let logical = |function: &str| function == "_&&_" || function == "_||_";
    matches!(&parts.step.kind, Kind::Call { function, args, .. } if logical(function) && args.first().is_some_and(is_accu))
}

/// A field of an object or an entry of a map; an error where there can be none.
pub(crate) fn field_of<'a>(value: &Value<'a>, field: &str) -> Result<Option<Value<'a>>, Error> {
    match value {
        Value::Object(object) => Ok(object.get(field)),
        Value::Map(map) => Ok(map.get_text(field)),
        other => {
            fail(format!("no such overload: unsupported field selection on type '{}'", other.type_name()))
        }
    }
}

/// `_[_]`: `None` if nothing is there.
pub(crate) fn index<'a>(container: &Value<'a>, key: &Value<'a>) -> Result<Option<Value<'a>>, Error> {
    match (container, key) {
        (Value::List(list), key) => {
            let at = match key {
                Value::Int(at) => *at,
                Value::Uint(at) => i64::try_from(*at).unwrap_or(i64::MAX),
                Value::Double(at) if at.fract() == 0.0 => *at as i64,
                other => return fail(format!("unsupported index type '{}' in list", other.type_name())),
            };
            Ok(usize::try_from(at).ok().and_then(|at| list.get(at)))
        }
        (Value::Map(map), key) => Ok(map.get(key)),
        (Value::Object(object), Value::String(field)) => Ok(object.get(field)),
        _ => no_overload(),
    }
}

/// A list plus a list, by the kind of the first.
pub(crate) fn concat<'a>(a: &List<'a>, b: &List<'a>) -> Value<'a> {
    use crate::decl::ListKind;
    let mut out = a.to_vec();
    for item in b.iter() {
        let same = match a.kind() {
            ListKind::Atomic => None,
            ListKind::Set => out.iter().position(|other| equal(other, &item)),
            ListKind::Map(keys) => out.iter().position(|other| crate::compare::same_item(other, &item, keys)),
        };
        match same {
            Some(at) => out[at] = item,
            None => out.push(item),
        }
    }
    Value::values(out)
}

fn of_literal<'a>(literal: &Literal) -> Value<'a> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Uint(value) => Value::Uint(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::String(text) => Value::String(Text::Shared(text.as_str().into())),
        Literal::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
    }
}

/// Names of types that can be written in expressions, and what `type()` calls them.
pub(crate) fn type_of_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "bool" => "bool",
        "int" => "int",
        "uint" => "uint",
        "double" => "double",
        "string" => "string",
        "bytes" => "bytes",
        "list" => "list",
        "map" => "map",
        "type" => "type",
        "null_type" => "null_type",
        "optional_type" => "optional_type",
        "google.protobuf.Timestamp" => "google.protobuf.Timestamp",
        "google.protobuf.Duration" => "google.protobuf.Duration",
        "net.IP" => "net.IP",
        "net.CIDR" => "net.CIDR",
        _ => return None,
    })
}
