//! Tokens to a tree: the grammar of the language specification, by recursive descent. Macros are expanded as
//! soon as they are complete (`macros`).

use crate::ast::{Ast, Entry, Expr, Item, Kind, Literal};
use crate::error::{Issue, Issues};
use crate::lex::{Token, lex};
use crate::{macros, walk};

/// Deeper nesting is refused, of what is written (as in cel-go) and of the tree that comes of it: everything that
/// walks a tree does so by recursion.
const MAX_DEPTH: usize = 250;
/// Longer expressions are refused (characters); as in cel-go.
const MAX_LENGTH: usize = 100_000;
/// By precedence, the weakest first: how they are written, and the functions that they are.
const OPERATORS: [&[(&str, &str)]; 5] = [
    &[("||", "_||_")],
    &[("&&", "_&&_")],
    &[
        ("==", "_==_"),
        ("!=", "_!=_"),
        ("<=", "_<=_"),
        (">=", "_>=_"),
        ("<", "_<_"),
        (">", "_>_"),
        ("in", "@in"),
    ],
    &[("+", "_+_"), ("-", "_-_")],
    &[("*", "_*_"), ("/", "_/_"), ("%", "_%_")],
];

/// Parses an expression.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse(source: &str) -> Result<Ast, Issues> {
    let one = |issue: Issue| Issues::new(source, vec![issue]);
    if source.len() > MAX_LENGTH {
        let message =
            format!("expression code point size exceeds limit: size: {}, limit {MAX_LENGTH}", source.len());
        return Err(one(Issue { at: 0, message }));
    }
    let tokens = lex(source).map_err(one)?;
    let mut parser = Parser { tokens, next: 0, depths: Vec::new(), depth: 0 };
    let root = parser.expr().and_then(|root| parser.end().map(|()| root)).map_err(one)?;
    Ok(Ast { root, nodes: parser.depths.len(), source: source.into() })
}

pub(crate) struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// By node: how deep the tree below it is.
    depths: Vec<usize>,
    depth: usize,
}

type Parsed = Result<Expr, Issue>;

impl Parser {
    pub(crate) fn node(&mut self, at: usize, kind: Kind) -> Expr {
        let expr = Expr { id: self.depths.len(), at, kind };
        let below = walk::children(&expr).into_iter().map(|child| self.depths[child.id]).max();
        self.depths.push(below.unwrap_or(0) + 1);
        expr
    }

    pub(crate) fn call(&mut self, at: usize, function: &str, args: Vec<Expr>) -> Expr {
        self.node(at, Kind::Call { target: None, function: function.into(), args })
    }

    fn too_deep<T>(&self, at: usize) -> Result<T, Issue> {
        Err(Issue { at, message: format!("expression recursion limit exceeded: {MAX_DEPTH}") })
    }

    /// Refuses a tree before it is too deep to be walked, or dropped.
    fn shallow(&self, expr: Expr) -> Parsed {
        if self.depths[expr.id] > MAX_DEPTH { self.too_deep(expr.at) } else { Ok(expr) }
    }

    fn at(&self) -> usize {
        self.tokens[self.next].0
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.next += usize::from(found);
        found
    }

    fn unexpected<T>(&self, wanted: &str) -> Result<T, Issue> {
        let found = match self.peek() {
            Token::End => "<EOF>".to_string(),
            Token::Sign(sign) => format!("'{sign}'"),
            Token::Name(name) => format!("'{name}'"),
            Token::Literal(_) | Token::Limit => "a literal".to_string(),
        };
        let message = match (self.peek(), wanted) {
            (_, "") => format!("Syntax error: extraneous input {found} expecting <EOF>"),
            (Token::End, _) => format!("Syntax error: mismatched input '<EOF>' expecting {wanted}"),
            _ => format!("Syntax error: mismatched input {found} expecting {wanted}"),
        };
        Err(Issue { at: self.at(), message })
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), Issue> {
        if self.take(sign) { Ok(()) } else { self.unexpected(&format!("'{sign}'")) }
    }

    fn end(&self) -> Result<(), Issue> {
        if *self.peek() == Token::End { Ok(()) } else { self.unexpected("") }
    }

    /// Every level of nesting passes here.
    fn expr(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.too_deep(self.at());
        }
        let condition = self.binary(0)?;
        let at = self.at();
        let found = if self.take("?") {
            let yes = self.binary(0)?;
            self.expect(":")?;
            let no = self.expr()?;
            self.call(at, "_?_:_", vec![condition, yes, no])
        } else {
            condition
        };
        self.depth -= 1;
        self.shallow(found)
    }

    /// Operators of at least this precedence, by climbing: few calls for each level of nesting.
    fn binary(&mut self, lowest: usize) -> Parsed {
        let mut left = self.unary()?;
        while let Some((precedence, function)) = self.operator().filter(|(found, _)| *found >= lowest) {
            if matches!(function, "_||_" | "_&&_") {
                left = self.chain(left, precedence, function)?;
                continue;
            }
            let at = self.at();
            self.next += 1;
            let right = self.binary(precedence + 1)?;
            let call = self.call(at, function, vec![left, right]);
            left = self.shallow(call)?;
        }
        Ok(left)
    }

    /// The operator that stands here: its precedence and its function.
    fn operator(&self) -> Option<(usize, &'static str)> {
        let sign = match self.peek() {
            Token::Sign(sign) => *sign,
            Token::Name(name) if name == "in" => "in",
            _ => return None,
        };
        let levels = OPERATORS.iter().enumerate();
        levels
            .flat_map(|(level, operators)| operators.iter().map(move |found| (level, found)))
            .find(|(_, (found, _))| *found == sign)
            .map(|(level, (_, function))| (level, *function))
    }

    /// A chain of one logical operator, as a balanced tree: long chains must not be deep.
    fn chain(&mut self, first: Expr, precedence: usize, function: &'static str) -> Parsed {
        let (mut terms, mut places) = (vec![first], Vec::new());
        while self.operator().is_some_and(|(_, found)| found == function) {
            places.push(self.at());
            self.next += 1;
            terms.push(self.binary(precedence + 1)?);
        }
        while terms.len() > 1 {
            let mut joined = Vec::with_capacity(terms.len().div_ceil(2));
            let mut rest = terms.into_iter();
            while let Some(left) = rest.next() {
                match rest.next() {
                    Some(right) => {
                        let at = places.iter().copied().find(|place| *place > left.at).unwrap_or(left.at);
                        joined.push(self.call(at, function, vec![left, right]));
                    }
                    None => joined.push(left),
                }
            }
            terms = joined;
        }
        let joined = terms.pop().map_or_else(|| self.unexpected("an expression"), Ok)?;
        self.shallow(joined)
    }

    fn unary(&mut self) -> Parsed {
        let at = self.at();
        if self.is("!") || self.is("-") {
            let not = self.is("!");
            let mut count = 0;
            while self.take(if not { "!" } else { "-" }) {
                count += 1;
            }
            if !not && count % 2 == 1 && *self.peek() == Token::Limit {
                self.tokens[self.next].1 = Token::Literal(Literal::Int(i64::MIN));
                return self.member();
            }
            // A minus in front of a number is part of the number.
            if !not
                && let Token::Literal(literal @ (Literal::Int(_) | Literal::Double(_))) = self.peek().clone()
            {
                if count % 2 == 1 {
                    self.tokens[self.next].1 = Token::Literal(negated(literal));
                }
                return self.member();
            }
            let operand = self.member()?;
            let function = if not { "!_" } else { "-_" };
            return Ok(if count % 2 == 1 { self.call(at, function, vec![operand]) } else { operand });
        }
        self.member()
    }

    fn member(&mut self) -> Parsed {
        let mut found = self.primary()?;
        loop {
            found = self.shallow(found)?;
            let at = self.at();
            if self.take(".") {
                found = self.selection(at, found)?;
            } else if self.take("[") {
                let optional = self.take("?");
                let index = self.expr()?;
                self.expect("]")?;
                found = self.call(at, if optional { "_[?_]" } else { "_[_]" }, vec![found, index]);
            } else if self.is("{") && found.qualified_name().is_some() {
                let name = found.qualified_name().unwrap_or_default();
                found = self.structure(at, name)?;
            } else {
                return Ok(found);
            }
        }
    }

    fn selection(&mut self, at: usize, operand: Expr) -> Parsed {
        let optional = self.take("?");
        let Token::Name(field) = self.peek().clone() else { return self.unexpected("IDENTIFIER") };
        self.next += 1;
        if optional {
            let field = self.node(at, Kind::Literal(Literal::String(field)));
            return Ok(self.call(at, "_?._", vec![operand, field]));
        }
        let place = self.at();
        if self.take("(") {
            let args = self.arguments()?;
            return macros::member(self, place, operand, &field, args);
        }
        Ok(self.node(at, Kind::Select { operand: Box::new(operand), field, test: false }))
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Issue> {
        let mut args = Vec::new();
        if self.take(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expr()?);
            if !self.take(",") {
                self.expect(")")?;
                return Ok(args);
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at();
        match self.peek().clone() {
            Token::Literal(literal) => {
                self.next += 1;
                Ok(self.node(at, Kind::Literal(literal)))
            }
            Token::Limit => Err(Issue { at, message: "invalid int literal".into() }),
            Token::Name(name) => {
                self.next += 1;
                self.name(at, name)
            }
            Token::Sign("(") => {
                self.next += 1;
                let found = self.expr()?;
                self.expect(")")?;
                Ok(found)
            }
            Token::Sign("[") => {
                self.next += 1;
                let items = self.items()?;
                Ok(self.node(at, Kind::List(items)))
            }
            Token::Sign("{") => {
                self.next += 1;
                let entries = self.entries()?;
                Ok(self.node(at, Kind::Map(entries)))
            }
            Token::Sign(".") => {
                // A name from the root; there are no other containers here.
                self.next += 1;
                match self.peek().clone() {
                    Token::Name(name) => {
                        self.next += 1;
                        self.name(at, name)
                    }
                    _ => self.unexpected("IDENTIFIER"),
                }
            }
            _ => self.unexpected("an expression"),
        }
    }

    fn name(&mut self, at: usize, name: String) -> Parsed {
        let literal = match name.as_str() {
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "null" => Some(Literal::Null),
            _ => None,
        };
        if let Some(literal) = literal {
            return Ok(self.node(at, Kind::Literal(literal)));
        }
        let place = self.at();
        if name != "in" && self.take("(") {
            let args = self.arguments()?;
            return macros::global(self, place, &name, args);
        }
        if crate::escape::is_reserved(&name) {
            return Err(Issue { at, message: format!("reserved identifier: {name}") });
        }
        Ok(self.node(at, Kind::Ident(name)))
    }

    fn items(&mut self) -> Result<Vec<Item>, Issue> {
        let mut items = Vec::new();
        while !self.take("]") {
            let optional = self.take("?");
            items.push(Item { value: self.expr()?, optional });
            if !self.take(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(items)
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Issue> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let optional = self.take("?");
            let key = self.expr()?;
            self.expect(":")?;
            entries.push(Entry { key, value: self.expr()?, optional });
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }

    fn structure(&mut self, at: usize, name: String) -> Parsed {
        self.expect("{")?;
        let mut fields = Vec::new();
        while !self.take("}") {
            let optional = self.take("?");
            let Token::Name(field) = self.peek().clone() else { return self.unexpected("IDENTIFIER") };
            self.next += 1;
            self.expect(":")?;
            fields.push((field, Item { value: self.expr()?, optional }));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(self.node(at, Kind::Struct { name, fields }))
    }
}

fn negated(literal: Literal) -> Literal {
    match literal {
        Literal::Int(value) => Literal::Int(value.wrapping_neg()),
        Literal::Double(value) => Literal::Double(-value),
        other => other,
    }
}
