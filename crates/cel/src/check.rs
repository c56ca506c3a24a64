//! The type check: gives every node a type, and every call the functions it may mean. Finds all mistakes of an
//! expression, not only the first.

use crate::ast::{Ast, Expr, Item, Kind, Literal, Loop};
use crate::error::{Issue, Issues};
use crate::eval::type_of_name;
use crate::functions::time;
use crate::program::{Env, constructor};
use crate::table::{self, TABLE};
use crate::types::{Type, Unifier};
use crate::walk;
use regex::Regex;
use std::collections::HashMap;

pub(crate) struct Checked {
    pub types: Vec<Type>,
    pub overloads: Vec<Vec<usize>>,
    pub regexes: HashMap<String, Regex>,
}

pub(crate) fn check(env: &Env, ast: &Ast) -> Result<Checked, Issues> {
    let mut checker = Checker {
        env,
        scopes: Vec::new(),
        types: vec![Type::Error; ast.nodes],
        overloads: vec![Vec::new(); ast.nodes],
        issues: Vec::new(),
        unifier: Unifier::default(),
    };
    checker.expr(&ast.root);
    let types = checker.types.iter().map(|t| checker.unifier.resolve(t, true)).collect();
    let mut issues = checker.issues;
    let overloads = checker.overloads;
    let mut regexes = HashMap::new();
    if issues.is_empty() {
        literals(&ast.root, &mut regexes, &mut issues);
    }
    if issues.is_empty() {
        Ok(Checked { types, overloads, regexes })
    } else {
        Err(Issues::new(&ast.source, issues))
    }
}

struct Checker<'e> {
    env: &'e Env,
    /// Names that loops bind, innermost last.
    scopes: Vec<(String, Type)>,
    types: Vec<Type>,
    overloads: Vec<Vec<usize>>,
    issues: Vec<Issue>,
    unifier: Unifier,
}

impl Checker<'_> {
    fn expr(&mut self, expr: &Expr) -> Type {
        let found = match &expr.kind {
            Kind::Literal(literal) => of_literal(literal),
            Kind::Ident(name) => self.ident(expr, name),
            Kind::Select { operand, field, test } => {
                let found = self.select(expr, operand, field);
                if *test { Type::Bool } else { found }
            }
            Kind::Call { target, function, args } => self.call(expr, target.as_deref(), function, args),
            Kind::List(items) => self.list(items),
            Kind::Map(entries) => {
                let (mut key, mut value) = (None, None);
                for entry in entries {
                    let found = self.expr(&entry.key);
                    key = Some(self.join(&entry.key, key, found));
                    let found = self.entry(&entry.value, entry.optional);
                    value = Some(self.join(&entry.value, value, found));
                }
                let key = key.unwrap_or_else(|| self.unifier.fresh());
                let value = value.unwrap_or_else(|| self.unifier.fresh());
                Type::map(key, value)
            }
            Kind::Struct { name, fields } => self.structure(expr, name, fields),
            Kind::Loop(parts) => self.check_loop(parts),
        };
        self.types[expr.id] = found.clone();
        found
    }

    fn error(&mut self, at: usize, message: impl Into<String>) -> Type {
        self.issues.push(Issue { at, message: message.into() });
        Type::Error
    }

    fn undeclared(&mut self, at: usize, name: &str) -> Type {
        self.error(at, format!("undeclared reference to '{name}' (in container '')"))
    }

    fn lookup(&self, name: &str) -> Option<Type> {
        if let Some((_, found)) = self.scopes.iter().rev().find(|(known, _)| known == name) {
            return Some(found.clone());
        }
        if let Some(var) = self.env.vars.get(name) {
            return Some(var.ty.clone());
        }
        type_of_name(name).map(|_| Type::Type)
    }

    fn ident(&mut self, expr: &Expr, name: &str) -> Type {
        match self.lookup(name) {
            Some(found) => found,
            None => self.undeclared(expr.at, name),
        }
    }

    fn select(&mut self, expr: &Expr, operand: &Expr, field: &str) -> Type {
        if let (Kind::Ident(name), Some(variables)) = (&operand.kind, &self.env.variables)
            && name == "variables"
            && !self.scopes.iter().any(|(known, _)| known == name)
        {
            return match variables.get(field) {
                Some(found) => found.clone(),
                None => self.error(expr.at, format!("undefined field '{field}'")),
            };
        }
        // A variable whose name has a point in it.
        if matches!(&operand.kind, Kind::Ident(name) if !self.scopes.iter().any(|(known, _)| known == name))
            && let Some(var) = expr.qualified_name().and_then(|name| self.env.vars.get(&name))
        {
            return var.ty.clone();
        }
        if let Some(name) = expr.qualified_name()
            && type_of_name(&name).is_some()
            && operand
                .qualified_name()
                .is_some_and(|root| self.lookup(root.split('.').next().unwrap_or("")).is_none())
        {
            return Type::Type;
        }
        self.field(expr.at, operand, field)
    }

    fn field(&mut self, at: usize, operand: &Expr, field: &str) -> Type {
        let operand = self.expr(operand);
        let (target, optional) = self.unifier.resolve(&operand, false).unwrap_optional();
        let found = match &target {
            Type::Map(_, value) => (**value).clone(),
            Type::Object(object) => match object.field(field) {
                Some(field) => field.decl.ty(),
                None => self.error(at, format!("undefined field '{field}'")),
            },
            Type::Var(_) => {
                self.unifier.assignable(&Type::Dyn, &target);
                Type::Dyn
            }
            Type::Dyn | Type::Error => Type::Dyn,
            other => {
                self.error(at, format!("type '{other}' does not support field selection"));
                Type::Dyn
            }
        };
        if optional { Type::optional(found) } else { found }
    }

    fn call(&mut self, expr: &Expr, target: Option<&Expr>, function: &str, args: &[Expr]) -> Type {
        if let ("_?._", [operand, Expr { kind: Kind::Literal(Literal::String(field)), .. }]) =
            (function, args)
        {
            self.types[args[1].id] = Type::String;
            self.overloads[expr.id] = table::find(function, false).collect();
            let found = self.field(expr.at, operand, field);
            return if matches!(found, Type::Optional(_)) { found } else { Type::optional(found) };
        }
        // `a.b.c()` may be a function of that name.
        let namespaced = target.and_then(Expr::qualified_name).map(|prefix| format!("{prefix}.{function}"));
        if let (Some(name), Some(target)) = (namespaced, target)
            && table::is_function(&name)
        {
            let types: Vec<Type> = args.iter().map(|arg| self.expr(arg)).collect();
            // The target is a name, not a value.
            self.types[target.id] = Type::Type;
            return self.resolve(expr, &name, &types, false);
        }
        let mut types = Vec::with_capacity(args.len() + 1);
        if let Some(target) = target {
            types.push(self.expr(target));
        }
        for arg in args {
            let found = match &arg.kind {
                // What is printed may be of many types.
                Kind::List(items) if function == "format" => self.mixed(arg, items),
                _ => self.expr(arg),
            };
            types.push(found);
        }
        if !table::is_function(function) {
            return self.undeclared(expr.at, function);
        }
        self.resolve(expr, function, &types, target.is_some())
    }

    fn resolve(&mut self, expr: &Expr, function: &str, args: &[Type], member: bool) -> Type {
        let mut result: Option<Type> = None;
        let mut found = Vec::new();
        for index in table::find(function, member) {
            let (wanted, output) = TABLE[index].instantiate(&mut self.unifier);
            if !self.unifier.assignable_all(args, &wanted) {
                continue;
            }
            found.push(index);
            let output = self.unifier.resolve(&output, false);
            result = Some(match result {
                None => output,
                Some(before) if before.is_open() || before == output => before,
                Some(_) => Type::Dyn,
            });
        }
        self.overloads[expr.id] = found;
        if let Some(result) = result {
            return result;
        }
        let names: Vec<String> = args.iter().map(|t| self.unifier.resolve(t, true).to_string()).collect();
        let applied = match (member, names.split_first()) {
            (true, Some((target, rest))) => format!("{target}.({})", rest.join(", ")),
            _ => format!("({})", names.join(", ")),
        };
        self.error(expr.at, format!("found no matching overload for '{function}' applied to '{applied}'"))
    }

    fn list(&mut self, items: &[Item]) -> Type {
        let mut element = None;
        for item in items {
            let found = self.entry(&item.value, item.optional);
            element = Some(self.join(&item.value, element, found));
        }
        let element = element.unwrap_or_else(|| self.unifier.fresh());
        Type::list(element)
    }

    fn mixed(&mut self, list: &Expr, items: &[Item]) -> Type {
        for item in items {
            self.entry(&item.value, item.optional);
        }
        let found = Type::list(Type::Dyn);
        self.types[list.id] = found.clone();
        found
    }

    /// The type of an element or entry; an optional one must have an optional value.
    fn entry(&mut self, value: &Expr, optional: bool) -> Type {
        let found = self.expr(value);
        if !optional {
            return found;
        }
        let (inner, is_optional) = self.unifier.resolve(&found, false).unwrap_optional();
        if !is_optional && !inner.is_open() {
            let wanted = Type::optional(inner.clone());
            self.error(value.at, format!("expected type '{wanted}' but found '{inner}'"));
        }
        inner
    }

    /// Elements of one literal are of one type.
    fn join(&mut self, at: &Expr, before: Option<Type>, found: Type) -> Type {
        let Some(before) = before else { return found };
        match self.unifier.join(&before, &found) {
            Some(joined) => joined,
            None => {
                let (before, found) =
                    (self.unifier.resolve(&before, true), self.unifier.resolve(&found, true));
                self.error(at.at, format!("expected type '{before}' but found '{found}'"))
            }
        }
    }

    fn structure(&mut self, expr: &Expr, name: &str, fields: &[(String, Item)]) -> Type {
        let Some(decl) = constructor(&self.env.constructors, name) else {
            for (_, item) in fields {
                self.expr(&item.value);
            }
            return self.undeclared(expr.at, name);
        };
        for (field, item) in fields {
            let found = self.entry(&item.value, item.optional);
            match decl.field(field) {
                None => {
                    self.error(item.value.at, format!("undefined field '{field}'"));
                }
                Some(wanted) => {
                    let wanted = wanted.decl.ty();
                    if !self.unifier.assignable(&found, &wanted) {
                        let found = self.unifier.resolve(&found, true);
                        let text = format!(
                            "expected type of field '{field}' is '{wanted}' but provided type is '{found}'"
                        );
                        self.error(item.value.at, text);
                    }
                }
            }
        }
        Type::Object(decl)
    }

    fn check_loop(&mut self, parts: &Loop) -> Type {
        let range = self.expr(&parts.range);
        let accu = self.expr(&parts.init);
        let range = self.unifier.resolve(&range, false);
        let (var, var2) = match &range {
            Type::List(element) if parts.var2.is_some() => (Type::Int, (**element).clone()),
            Type::List(element) => ((**element).clone(), Type::Error),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn | Type::Error | Type::Var(_) => {
                self.unifier.assignable(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let text = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.error(parts.range.at, text);
                (Type::Error, Type::Error)
            }
        };
        let depth = self.scopes.len();
        self.scopes.push((parts.accu.clone(), accu.clone()));
        self.scopes.push((parts.var.clone(), var));
        if let Some(name) = &parts.var2 {
            self.scopes.push((name.clone(), var2));
        }
        let condition = self.expr(&parts.condition);
        self.must_be(&parts.condition, &Type::Bool, &condition);
        let step = self.expr(&parts.step);
        self.must_be(&parts.step, &accu, &step);
        self.scopes.truncate(depth + 1);
        let result = self.expr(&parts.result);
        self.scopes.truncate(depth);
        self.unifier.resolve(&result, false)
    }

    fn must_be(&mut self, at: &Expr, wanted: &Type, found: &Type) {
        if !self.unifier.assignable(found, wanted) {
            let (wanted, found) = (self.unifier.resolve(wanted, true), self.unifier.resolve(found, true));
            self.error(at.at, format!("expected type '{wanted}' but found '{found}'"));
        }
    }
}

fn of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

/// Literals that functions would refuse: patterns, durations and timestamps. Patterns are kept compiled.
fn literals(root: &Expr, regexes: &mut HashMap<String, Regex>, issues: &mut Vec<Issue>) {
    let mut look = |expr: &Expr| {
        let Kind::Call { target, function, args } = &expr.kind else { return false };
        let text = |arg: Option<&Expr>| match arg.map(|arg| (&arg.kind, arg.at)) {
            Some((Kind::Literal(Literal::String(text)), at)) => Some((text.clone(), at)),
            _ => None,
        };
        let mut invalid =
            |name: &str, at: usize| issues.push(Issue { at, message: format!("invalid {name} argument") });
        match (function.as_str(), target.is_some()) {
            ("matches" | "find" | "findAll", member) => {
                let pattern = if member { args.first() } else { args.get(1) };
                if let Some((pattern, at)) = text(pattern) {
                    match crate::functions::text::pattern(&pattern) {
                        Ok(regex) => {
                            regexes.insert(pattern, regex);
                        }
                        Err(_) if function == "matches" => invalid("matches", at),
                        Err(_) => {}
                    }
                }
            }
            ("duration", false) => {
                if let Some((value, at)) = text(args.first())
                    && time::parse_duration(&value).is_none()
                {
                    invalid("duration", at);
                }
            }
            ("timestamp", false) => {
                if let Some(Expr { kind: Kind::Literal(Literal::Int(seconds)), at, .. }) = args.first()
                    && !(-62_135_596_800..=253_402_300_799).contains(seconds)
                {
                    invalid("timestamp", *at);
                }
                if let Some((value, at)) = text(args.first())
                    && time::parse_timestamp(&value).is_none()
                {
                    invalid("timestamp", at);
                }
            }
            _ => {}
        }
        false
    };
    walk::any(root, &mut look);
}
