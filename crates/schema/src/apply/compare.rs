//! What differs between two objects of a type, as sets of fields.
//!
//! Nothing is allocated for what is equal; a part that one side lacks becomes one subtree at once.

use super::element::{self, SELF};
use super::error::Errors;
use super::items;
use super::set::{Node, Set};
use super::types::{Form, List, Map, Type};
use super::validate::misfit;
use serde_json::Value;
use std::collections::BTreeMap;

/// No field is in more than one of the sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Only the new object has it.
    pub added: Set,
    /// Both have it, with different values.
    pub modified: Set,
    /// Only the old object has it.
    pub removed: Set,
}

impl Comparison {
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }
}

/// Compares two objects of a type.
///
/// # Errors
/// Items that cannot be told apart, scalars of a wrong type on both sides.
pub fn compare(ty: Type<'_>, old: &Value, new: &Value) -> Result<Comparison, Errors> {
    let mut walk = Walk { found: Comparison::default(), errors: Errors::default(), path: Vec::new() };
    walk.both(ty, old, new);
    walk.errors.finish()?;
    Ok(walk.found)
}

struct Walk {
    found: Comparison,
    errors: Errors,
    path: Vec<String>,
}

#[derive(Clone, Copy)]
enum Side {
    Added,
    Removed,
}

const NULL: Value = Value::Null;

/// Equality by JSON's meaning: `1` is `1.0`.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            x == y || x.as_f64() == y.as_f64() && (x.is_f64() || y.is_f64())
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|((j, x), (k, y))| j == k && same(x, y))
        }
        _ => a == b,
    }
}

impl Walk {
    fn both(&mut self, ty: Type<'_>, old: &Value, new: &Value) {
        let (Some(before), Some(after)) = (ty.form(old), ty.form(new)) else {
            return self.errors.push(&self.path, "schema error: invalid atom: inlined");
        };
        if !before.same(&after) {
            self.form(before, old, new);
        }
        self.form(after, old, new);
    }

    fn form(&mut self, form: Form<'_>, old: &Value, new: &Value) {
        match form {
            Form::Scalar(scalar) => match (misfit(scalar, old), misfit(scalar, new)) {
                (Some(before), Some(after)) => {
                    self.errors.push(&self.path, format!("lhs: {before}"));
                    self.errors.push(&self.path, format!("rhs: {after}"));
                }
                _ => self.leaf(old, new),
            },
            Form::List(list) => {
                let (before, after) = (array(old), array(new));
                if list.is_atomic() || before.is_empty() && after.is_empty() {
                    self.leaf(old, new);
                } else if !same(old, new) {
                    self.items(list, before, after);
                }
            }
            Form::Map(map) => {
                let (before, after) = (old.as_object(), new.as_object());
                let empty = |side: Option<&Node>| side.is_none_or(Node::is_empty);
                if map.atomic || empty(before) && empty(after) {
                    self.leaf(old, new);
                } else {
                    self.entries(map, before, after);
                }
            }
        }
    }

    fn leaf(&mut self, old: &Value, new: &Value) {
        if !same(old, new) {
            self.found.modified.insert(&self.path);
        }
    }

    fn entries(&mut self, map: Map<'_>, old: Option<&Node>, new: Option<&Node>) {
        let empty = Node::new();
        let (before, after) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
        let (mut left, mut right) = (before.iter().peekable(), after.iter().peekable());
        // Both sides are sorted, so one pass pairs them.
        loop {
            let (name, pair) = match (left.peek(), right.peek()) {
                (None, None) => return,
                (Some((name, _)), None) => (*name, (left.next(), None)),
                (None, Some((name, _))) => (*name, (None, right.next())),
                (Some((a, _)), Some((b, _))) => match a.cmp(b) {
                    std::cmp::Ordering::Less => (*a, (left.next(), None)),
                    std::cmp::Ordering::Greater => (*b, (None, right.next())),
                    std::cmp::Ordering::Equal => (*a, (left.next(), right.next())),
                },
            };
            let (mut was, mut is) = (pair.0.map(|(_, v)| v), pair.1.map(|(_, v)| v));
            if (was.is_none() && old.is_some() || is.is_none() && new.is_some())
                && map.nulls().contains(&name.as_str())
            {
                was = was.or(Some(&NULL));
                is = is.or(Some(&NULL));
            }
            let ty = map.entry(name).unwrap_or(Type::Deduced);
            // Most of an object stays the same; that is seen without naming it.
            if was == is {
                continue;
            }
            self.part(|| element::field(name), ty, was, is);
        }
    }

    fn part(&mut self, step: impl FnOnce() -> String, ty: Type<'_>, was: Option<&Value>, is: Option<&Value>) {
        self.path.push(step());
        match (was, is) {
            (Some(was), Some(is)) => self.both(ty, was, is),
            (None, Some(is)) => self.one(Side::Added, ty, is),
            (Some(was), None) => self.one(Side::Removed, ty, was),
            (None, None) => {}
        }
        self.path.pop();
    }

    /// A part that only one side has, with all below.
    fn one(&mut self, side: Side, ty: Type<'_>, value: &Value) {
        let mut wrong = Vec::new();
        let below = Value::Object(subtree(ty, value, &mut wrong));
        for (place, text) in wrong {
            let path: Vec<String> = self.path.iter().cloned().chain(place.into_iter().rev()).collect();
            self.errors.push(&path, text);
        }
        let set = match side {
            Side::Added => &mut self.found.added,
            Side::Removed => &mut self.found.removed,
        };
        set.put(&self.path, below);
    }

    fn items(&mut self, list: List<'_>, old: &[Value], new: &[Value]) {
        type Pair<'v> = (Vec<&'v Value>, Vec<&'v Value>);
        let mut pairs: BTreeMap<String, Pair<'_>> = BTreeMap::new();
        for (side, values) in [old, new].into_iter().enumerate() {
            for (index, item) in values.iter().enumerate() {
                match items::step(list, item) {
                    Ok(step) => {
                        let pair = pairs.entry(step).or_default();
                        if side == 0 { pair.0.push(item) } else { pair.1.push(item) }
                    }
                    Err(text) => self.errors.push(&self.path, format!("element {index}: {text}")),
                }
            }
        }
        for (step, (was, is)) in pairs {
            match (was.as_slice(), is.as_slice()) {
                ([] | [_], [] | [_]) => {
                    self.part(|| step, list.item, was.first().copied(), is.first().copied());
                }
                ([_, _, ..], [_, _, ..]) => {
                    let equal = was.len() == is.len() && was.iter().zip(&is).all(|(a, b)| same(a, b));
                    if !equal {
                        self.mark(step, |found| &mut found.modified);
                    }
                }
                ([_, _, ..], rest) => {
                    if let Some(now) = rest.first() {
                        self.part(|| step.clone(), list.item, None, Some(*now));
                    }
                    self.mark(step, |found| &mut found.removed);
                }
                (rest, _) => {
                    if let Some(before) = rest.first() {
                        self.part(|| step.clone(), list.item, Some(*before), None);
                    }
                    self.mark(step, |found| &mut found.added);
                }
            }
        }
    }

    fn mark(&mut self, step: String, set: impl FnOnce(&mut Comparison) -> &mut Set) {
        self.path.push(step);
        set(&mut self.found).insert(&self.path);
        self.path.pop();
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The node of a part that only one side has: containers count as well as what is in them. What is wrong
/// comes with its path from the inside out.
fn subtree(ty: Type<'_>, value: &Value, wrong: &mut Vec<(Vec<String>, String)>) -> Node {
    let mut below = Node::new();
    match ty.form(value) {
        Some(Form::Map(map)) if !map.atomic => {
            for (name, value) in value.as_object().into_iter().flatten() {
                let ty = map.entry(name).unwrap_or(Type::Deduced);
                step_into(&mut below, element::field(name), ty, value, wrong);
            }
            if !below.is_empty() {
                for name in map.nulls() {
                    below.entry(element::field(name)).or_insert_with(|| Value::Object(Node::new()));
                }
            }
        }
        Some(Form::List(list)) if !list.is_atomic() => {
            for (index, item) in array(value).iter().enumerate() {
                match items::step(list, item) {
                    Err(text) => wrong.push((Vec::new(), format!("element {index}: {text}"))),
                    // Repeated items are one, not looked into.
                    Ok(step) if below.contains_key(&step) => {
                        below.insert(step, Value::Object(Node::new()));
                    }
                    Ok(step) => step_into(&mut below, step, list.item, item, wrong),
                }
            }
        }
        _ => {}
    }
    if !below.is_empty() {
        below.insert(SELF.into(), Value::Object(Node::new()));
    }
    below
}

fn step_into(
    below: &mut Node,
    step: String,
    ty: Type<'_>,
    value: &Value,
    wrong: &mut Vec<(Vec<String>, String)>,
) {
    let before = wrong.len();
    let inner = subtree(ty, value, wrong);
    for (place, _) in &mut wrong[before..] {
        place.push(step.clone());
    }
    below.insert(step, Value::Object(inner));
}
