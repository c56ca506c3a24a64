//! What an expression may cost at the most, before there are data: from the shapes of the variables and how large
//! these may get. A rule whose estimate is too high is refused when it is written, so the numbers are those of
//! the API server (its estimator is cel-go's with functions of its own).

use crate::ast::{Expr, Kind, Literal, Loop};
use crate::cost::{AUTHORIZATION, FORMAT_PATTERN, REGEX, TRAVERSAL};
use crate::decl::{Decl, Shape};
use crate::macros::ACCU;
use crate::program::{Env, Program};
use crate::table::TABLE;
use crate::types::Type;
use std::collections::HashMap;

/// Bounds of a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    pub min: u64,
    pub max: u64,
}

/// Bounds of a size; the same arithmetic.
type Size = Estimate;

const UNKNOWN: Size = Size { min: 0, max: u64::MAX };

impl Estimate {
    const fn fixed(value: u64) -> Estimate {
        Estimate { min: value, max: value }
    }

    fn plus(self, other: Estimate) -> Estimate {
        Estimate { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    fn times(self, other: Estimate) -> Estimate {
        Estimate { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    fn part(self, factor: f64) -> Estimate {
        let part = |value: u64| {
            let product = (value as f64 * factor).ceil();
            if product >= u64::MAX as f64 { u64::MAX } else { product as u64 }
        };
        Estimate { min: part(self.min), max: part(self.max) }
    }

    fn union(self, other: Estimate) -> Estimate {
        Estimate { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

impl Program {
    /// The bounds of what one evaluation costs.
    pub fn estimate(&self, env: &Env) -> Estimate {
        let mut estimator = Estimator {
            program: self,
            env,
            paths: HashMap::new(),
            sizes: HashMap::new(),
            entries: HashMap::new(),
            locals: Vec::new(),
        };
        estimator.cost(&self.ast.root)
    }
}

/// Sizes of the keys (or indices) and of the values of a container.
#[derive(Debug, Clone, Copy)]
struct EntrySize {
    key: Size,
    value: Size,
    list: bool,
}

struct Local {
    name: String,
    path: Vec<String>,
    size: Option<Size>,
    entry: Option<EntrySize>,
}

struct Estimator<'p> {
    program: &'p Program,
    env: &'p Env,
    /// By node: where in the data it looks, from a variable on.
    paths: HashMap<usize, Vec<String>>,
    sizes: HashMap<usize, Size>,
    entries: HashMap<usize, EntrySize>,
    locals: Vec<Local>,
}

impl Estimator<'_> {
    fn type_of(&self, expr: &Expr) -> &Type {
        &self.program.types[expr.id]
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| local.name == name)
    }

    fn path(&self, expr: &Expr) -> Vec<String> {
        if let Kind::Ident(name) = &expr.kind
            && let Some(local) = self.local(name)
        {
            return local.path.clone();
        }
        self.paths.get(&expr.id).cloned().unwrap_or_default()
    }

    fn below(&self, expr: &Expr, part: &str) -> Vec<String> {
        let mut path = self.path(expr);
        path.push(part.into());
        path
    }

    fn cost(&mut self, expr: &Expr) -> Estimate {
        match &expr.kind {
            Kind::Literal(_) => Estimate::default(),
            Kind::Ident(name) => {
                let path = self.local(name).map_or_else(|| vec![name.clone()], |local| local.path.clone());
                self.paths.insert(expr.id, path);
                Estimate::fixed(1)
            }
            Kind::Select { operand, test: true, .. } => self.cost(operand),
            Kind::Select { operand, field, .. } => {
                let cost = self.cost(operand);
                let path = self.below(operand, field);
                self.paths.insert(expr.id, path);
                let charged = matches!(self.type_of(operand), Type::Map(..) | Type::Object(_) | Type::Var(_));
                if charged { cost.plus(Estimate::fixed(1)) } else { cost }
            }
            Kind::Call { target, function, args } => self.call(expr, target.as_deref(), function, args),
            Kind::List(items) => {
                let mut sum = Estimate::default();
                let mut size = Size { min: if items.is_empty() { 0 } else { u64::MAX }, max: 0 };
                for item in items {
                    sum = sum.plus(self.cost(&item.value));
                    size = size.union(self.size_or_unknown(&item.value));
                }
                let entry = EntrySize { key: Size::fixed(1), value: size, list: true };
                self.entries.insert(expr.id, entry);
                sum.plus(Estimate::fixed(10))
            }
            Kind::Map(entries) => {
                let mut sum = Estimate::default();
                let empty = Size { min: if entries.is_empty() { 0 } else { u64::MAX }, max: 0 };
                let (mut key, mut value) = (empty, empty);
                for entry in entries {
                    sum = sum.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
                    key = key.union(self.size_or_unknown(&entry.key));
                    value = value.union(self.size_or_unknown(&entry.value));
                }
                self.entries.insert(expr.id, EntrySize { key, value, list: false });
                sum.plus(Estimate::fixed(30))
            }
            Kind::Struct { fields, .. } => {
                let sum = fields
                    .iter()
                    .fold(Estimate::default(), |sum, (_, item)| sum.plus(self.cost(&item.value)));
                sum.plus(Estimate::fixed(40))
            }
            Kind::Loop(parts) => self.run_loop(expr, parts),
        }
    }

    fn run_loop(&mut self, expr: &Expr, parts: &Loop) -> Estimate {
        let before = self.cost(&parts.range).plus(self.cost(&parts.init));
        let depth = self.locals.len();
        let accu = Local {
            name: parts.accu.clone(),
            path: self.path(&parts.init),
            size: self.size(&parts.init),
            entry: self.entry(&parts.init),
        };
        self.locals.push(accu);
        if is_binding(parts) {
            let result = self.cost(&parts.result);
            self.copy_sizes(expr, &parts.result);
            self.locals.truncate(depth);
            return before.plus(result);
        }
        self.push_variables(parts);
        let condition = self.cost(&parts.condition);
        let step = self.cost(&parts.step);
        self.locals.truncate(depth + 1);
        let result = self.cost(&parts.result);
        self.locals.truncate(depth);
        let count = self.size_or_unknown(&parts.range);
        match &parts.init.kind {
            Kind::Literal(_) => {
                if let Some(size) = self.size(&parts.init) {
                    self.sizes.insert(expr.id, size);
                }
            }
            _ => {
                self.sizes.insert(expr.id, count);
                if let Some(entry) = self.entry(&parts.step) {
                    self.entries.insert(expr.id, entry);
                }
            }
        }
        before.plus(result).plus(count.times(step.plus(condition)))
    }

    fn push_variables(&mut self, parts: &Loop) {
        let entry = self.entry(&parts.range);
        let list = entry.map_or(matches!(self.type_of(&parts.range), Type::List(_)), |entry| entry.list);
        let push = |this: &mut Self, name: &str, part: &str, size: Option<Size>| {
            let path = this.below(&parts.range, part);
            this.locals.push(Local { name: name.into(), path, size, entry: None });
        };
        let (key, value) = (entry.map(|entry| entry.key), entry.map(|entry| entry.value));
        match (&parts.var2, list) {
            (None, true) => push(self, &parts.var, "@items", value),
            (None, false) => push(self, &parts.var, "@keys", key),
            (Some(var2), true) => {
                push(self, &parts.var, "@indices", key);
                push(self, var2, "@items", value);
            }
            (Some(var2), false) => {
                push(self, &parts.var, "@keys", key);
                push(self, var2, "@values", value);
            }
        }
    }

    fn copy_sizes(&mut self, to: &Expr, from: &Expr) {
        if let Some(size) = self.size(from) {
            self.sizes.insert(to.id, size);
        }
        if let Some(entry) = self.entry(from) {
            self.entries.insert(to.id, entry);
        }
    }

    fn entry(&self, expr: &Expr) -> Option<EntrySize> {
        if let Some(entry) = self.entries.get(&expr.id) {
            return Some(*entry);
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name)?.entry,
            _ => None,
        }
    }

    fn size(&mut self, expr: &Expr) -> Option<Size> {
        if let Some(size) = self.sizes.get(&expr.id) {
            return Some(*size);
        }
        let literal = match &expr.kind {
            Kind::Literal(Literal::String(text)) => Some(text.chars().count()),
            Kind::Literal(Literal::Bytes(bytes)) => Some(bytes.len()),
            Kind::Literal(_) => Some(1),
            Kind::List(items) => Some(items.len()),
            Kind::Map(entries) => Some(entries.len()),
            _ => None,
        };
        if let Some(size) = literal {
            return Some(Size::fixed(size as u64));
        }
        if let Some(size) = self.size_at(&self.path(expr)) {
            self.sizes.insert(expr.id, size);
            return Some(size);
        }
        if is_scalar(self.type_of(expr)) {
            return Some(Size::fixed(1));
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name)?.size,
            _ => None,
        }
    }

    fn size_or_unknown(&mut self, expr: &Expr) -> Size {
        self.size(expr).unwrap_or(UNKNOWN)
    }

    /// What the shape of a variable says of a place in it. As upstream: what is in a computed container is
    /// looked up as if it were in `self`, keys of maps have no length, and entries of maps that are selected by
    /// name are of unknown size.
    fn size_at(&self, path: &[String]) -> Option<Size> {
        let (root, rest) = path.split_first()?;
        if root == ACCU {
            return None;
        }
        let decl_of = |name: &str| self.env.vars.get(name).and_then(|var| var.decl.as_ref());
        let mut decl: &Decl = decl_of(root).or_else(|| decl_of("self"))?;
        for part in rest {
            decl = match (&decl.shape, part.as_str()) {
                (Shape::List(inner, _) | Shape::Map(inner), "@items" | "@values") => inner,
                (Shape::Map(_), "@keys") => return Some(Size::fixed(0)),
                (Shape::Object(object), field) => &object.fields.get(field)?.decl,
                _ => return None,
            };
        }
        Some(Size { min: 0, max: decl.max_elements })
    }

    fn call(&mut self, expr: &Expr, target: Option<&Expr>, function: &str, args: &[Expr]) -> Estimate {
        if let ("dyn", [arg]) = (function, args) {
            let cost = self.cost(arg);
            self.copy_sizes(expr, arg);
            return cost.plus(Estimate::fixed(1));
        }
        let costs: Vec<Estimate> = args.iter().map(|arg| self.cost(arg)).collect();
        let ids = &self.program.overloads[expr.id];
        if ids.is_empty() {
            // Field selection that may find nothing, or a name.
            return costs.into_iter().fold(Estimate::fixed(1), Estimate::plus);
        }
        let overloads: Vec<&str> = ids.iter().map(|index| TABLE[*index].id).collect();
        // What stands before the point of another function is part of its name.
        let member = target.filter(|_| TABLE[ids[0]].member);
        let called_on = member.map_or(Estimate::default(), |target| self.cost(target));
        let mut all = Estimate { min: u64::MAX, max: 0 };
        let mut result = None;
        for id in overloads {
            let (cost, size) = self.one(expr, function, id, member, args, &costs);
            all = all.union(cost);
            let mut size = size;
            if let ("index_list" | "index_map", [container, ..]) = (id, args) {
                size = self.entry(container).map(|entry| entry.value);
                let path = self.below(container, if id == "index_list" { "@items" } else { "@values" });
                self.paths.insert(expr.id, path);
            }
            let size = size.or_else(|| if result.is_none() { self.size(expr) } else { None });
            result = match (result, size) {
                (Some(a), Some(b)) => Some(Size::union(a, b)),
                (a, b) => a.or(b),
            };
        }
        if let Some(size) = result {
            self.sizes.insert(expr.id, size);
        }
        called_on.plus(all)
    }

    /// The cost of a call, its arguments included, and the size of the result where it is known.
    fn one(
        &mut self,
        expr: &Expr,
        function: &str,
        id: &str,
        target: Option<&Expr>,
        args: &[Expr],
        costs: &[Estimate],
    ) -> (Estimate, Option<Size>) {
        let sum = costs.iter().copied().fold(Estimate::default(), Estimate::plus);
        match (id, args, costs) {
            ("logical_and" | "logical_or", _, [left, right]) => {
                return (Estimate { min: left.min, max: left.plus(*right).max }, None);
            }
            ("conditional", [_, yes, no], [condition, if_yes, if_no]) => {
                let size = self.size_or_unknown(yes).union(self.size_or_unknown(no));
                if let (Some(a), Some(b)) = (self.entry(yes), self.entry(no)) {
                    self.entries.insert(expr.id, joined(a, b));
                }
                return (condition.plus(if_yes.union(*if_no)), Some(size));
            }
            _ => {}
        }
        let (cost, size) = match self.extension(function, id, target, args) {
            Some(known) => known,
            None => self.standard(expr, id, target, args),
        };
        (cost.plus(sum), size)
    }

    fn standard(
        &mut self,
        expr: &Expr,
        id: &str,
        target: Option<&Expr>,
        args: &[Expr],
    ) -> (Estimate, Option<Size>) {
        let size = |this: &mut Self, at: usize| args.get(at).map_or(UNKNOWN, |arg| this.size_or_unknown(arg));
        let one = Estimate::fixed(1);
        match (id, args.len()) {
            ("string_format", _) => {
                (target.map_or(UNKNOWN, |target| self.size_or_unknown(target)).part(TRAVERSAL), None)
            }
            ("string_to_bytes", 1) => {
                let text = size(self, 0);
                (text.part(TRAVERSAL), Some(Size { min: text.min, max: text.max.saturating_mul(4) }))
            }
            ("bytes_to_string", 1) => {
                let bytes = size(self, 0);
                (bytes.part(TRAVERSAL), Some(Size { min: bytes.min / 4, max: bytes.max }))
            }
            ("strings_quote", 1) => {
                let text = size(self, 0);
                let result = Size {
                    min: text.min.saturating_add(2),
                    max: text.max.saturating_mul(2).saturating_add(2),
                };
                (text.part(TRAVERSAL), Some(result))
            }
            ("starts_with_string" | "ends_with_string", 1) => (size(self, 0).part(TRAVERSAL), None),
            ("in_list", 2) => (size(self, 1), None),
            ("matches_string", 1) => {
                let text = target.map_or(UNKNOWN, |target| self.size_or_unknown(target));
                (text.plus(one).part(TRAVERSAL).times(size(self, 0).part(REGEX)), None)
            }
            ("contains_string", 1) => {
                let text = target.map_or(UNKNOWN, |target| self.size_or_unknown(target));
                (text.part(TRAVERSAL).times(size(self, 0).part(TRAVERSAL)), None)
            }
            ("add_string" | "add_bytes" | "add_list", 2) => {
                let total = size(self, 0).plus(size(self, 1));
                if let (Some(a), Some(b)) = (self.entry(&args[0]), self.entry(&args[1])) {
                    self.entries.insert(expr.id, joined(a, b));
                }
                (if id == "add_list" { one } else { total.part(TRAVERSAL) }, Some(total))
            }
            ("equals" | "not_equals" | "compare", 2) => {
                let texts = matches!(self.type_of(&args[0]), Type::String | Type::Bytes) || id != "compare";
                if !texts {
                    return (one, None);
                }
                let smallest = size(self, 0).max.min(size(self, 1).max);
                (Estimate { min: u64::from(smallest > 0), max: smallest }.part(TRAVERSAL), None)
            }
            _ => (one, None),
        }
    }

    /// The functions of the API server.
    fn extension(
        &mut self,
        function: &str,
        id: &str,
        target: Option<&Expr>,
        args: &[Expr],
    ) -> Option<(Estimate, Option<Size>)> {
        let one = Estimate::fixed(1);
        let first = |this: &mut Self| args.first().map_or(UNKNOWN, |arg| this.size_or_unknown(arg));
        let on = |this: &mut Self| target.map(|target| this.size_or_unknown(target));
        let address = Size { min: 4, max: 16 };
        Some(match function {
            "check" => (Estimate::fixed(AUTHORIZATION), None),
            "serviceAccount" | "path" | "group" | "resource" | "subresource" | "namespace" | "name"
            | "allowed" | "reason" | "error" | "errored" | "format.named" => (one, None),
            "fieldSelector" | "labelSelector" => {
                let text = first(self);
                (Estimate::fixed(10).plus(text.part(TRAVERSAL)).plus(text.part(0.5).part(50.0)), None)
            }
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
                let (size, target) = (on(self)?, target?);
                match self.type_of(target).clone() {
                    Type::List(element) => {
                        let texts = matches!(*element, Type::String | Type::Bytes);
                        let items = self.below(target, "@items");
                        let item = if texts {
                            self.size_at(&items).unwrap_or(UNKNOWN).part(TRAVERSAL)
                        } else {
                            Size::default()
                        };
                        (size.times(one.plus(item)), None)
                    }
                    _ => (size.part(TRAVERSAL), None),
                }
            }
            "url" | "jsonpatch.escapeKey" => {
                let size = first(self);
                (size.part(TRAVERSAL), Some(size))
            }
            "lowerAscii" | "upperAscii" | "substring" | "trim" => {
                let size = on(self)?;
                (size.part(TRAVERSAL), Some(size))
            }
            "replace" if args.len() >= 2 => {
                let (size, from, to) = (on(self)?, first(self), self.size_or_unknown(&args[1]));
                (size.part(2.0 * TRAVERSAL), Some(replaced(size, from, to)))
            }
            "split" => {
                let size = on(self)?;
                let limit = args.get(1).and_then(|arg| match &arg.kind {
                    Kind::Literal(Literal::Int(limit)) => u64::try_from(*limit).ok(),
                    _ => None,
                });
                (size.part(2.0 * TRAVERSAL), Some(Size { min: 0, max: limit.unwrap_or(size.max) }))
            }
            "join" => {
                let (count, target) = (on(self)?, target?);
                let items = self.below(target, "@items");
                let item = self.size_at(&items).unwrap_or(UNKNOWN);
                let mut size = count.times(item);
                if !args.is_empty() {
                    let gaps = Size { min: count.min.saturating_sub(1), max: count.max.saturating_sub(1) };
                    size = size.plus(first(self).times(gaps));
                }
                (size.part(TRAVERSAL), Some(size))
            }
            "find" | "findAll" if target.is_some() => {
                let size = on(self)?;
                let pattern = first(self).part(REGEX);
                (size.plus(one).part(TRAVERSAL).times(pattern), Some(Size { min: 0, max: size.max }))
            }
            "ip" if id == "cidr_ip" => (one, None),
            "cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver" => {
                (first(self).part(TRAVERSAL), None)
            }
            "ip.isCanonical" => (first(self).part(2.0 * TRAVERSAL), None),
            "containsIP" | "containsCIDR" => {
                let mut cost = address.plus(address).part(TRAVERSAL);
                if function == "containsCIDR" {
                    cost = cost.plus(address.part(TRAVERSAL)).plus(one);
                }
                if id.ends_with("_string") {
                    cost = cost.plus(first(self).part(TRAVERSAL));
                }
                (cost, None)
            }
            "validate" => (first(self).part(TRAVERSAL).part(FORMAT_PATTERN as f64 * REGEX), None),
            "_==_" => match args.first().map(|arg| self.type_of(arg)) {
                Some(Type::Opaque(_)) => (one, None),
                _ => return None,
            },
            _ => return None,
        })
    }
}

fn joined(a: EntrySize, b: EntrySize) -> EntrySize {
    EntrySize { key: a.key.union(b.key), value: a.value.union(b.value), list: a.list }
}

/// The size of a text after its parts were replaced.
fn replaced(text: Size, from: Size, to: Size) -> Size {
    let (mut count, mut kept) = (Size::default(), Size::default());
    if from.min == 0 {
        count.max = text.max.saturating_add(1);
        kept.max = text.max;
    } else if to.max <= from.min {
        kept.max = text.max;
    } else {
        count.max = text.max.div_ceil(from.min);
    }
    if from.max == 0 {
        count.min = text.min.saturating_add(1);
        kept.min = text.min;
    } else if from.max <= to.min {
        kept.min = text.min;
    } else {
        count.min = text.min.div_ceil(from.max);
    }
    count.times(to).plus(kept)
}

fn is_scalar(t: &Type) -> bool {
    matches!(t, Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint)
}

/// A loop that never runs only gives its accumulator a name.
fn is_binding(parts: &Loop) -> bool {
    matches!(&parts.range.kind, Kind::List(items) if items.is_empty())
        && matches!(parts.condition.kind, Kind::Literal(Literal::Bool(false)))
        && parts.accu != ACCU
}
