//! Expressions as trees. Macros are already expanded: what is left is a small language with one loop.

/// One node. Ids are dense, from 0 to [`Ast::nodes`], so that tables about nodes are vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub id: usize,
    /// Byte offset in the source.
    pub at: usize,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Literal(Literal),
    Ident(String),
    Select {
        operand: Box<Expr>,
        field: String,
        /// `has(operand.field)`.
        test: bool,
    },
    /// Operators are calls of functions such as `_+_`.
    Call {
        target: Option<Box<Expr>>,
        function: String,
        args: Vec<Expr>,
    },
    List(Vec<Item>),
    Map(Vec<Entry>),
    Struct {
        name: String,
        fields: Vec<(String, Item)>,
    },
    Loop(Box<Loop>),
}

/// A list element or a field's value; `?` in front takes an optional value or leaves it out.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub value: Expr,
    pub optional: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: Expr,
    pub value: Expr,
    pub optional: bool,
}

/// `result` of `accu` after `step` was applied for each element of `range` while `condition` holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Loop {
    pub range: Expr,
    pub var: String,
    pub var2: Option<String>,
    pub accu: String,
    pub init: Expr,
    pub condition: Expr,
    pub step: Expr,
    pub result: Expr,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Ast {
    pub root: Expr,
    /// How many ids are in use.
    pub nodes: usize,
    pub source: String,
}

impl Expr {
    /// `a.b.c` as one name, if it is made of nothing but names.
    pub fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            Kind::Ident(name) => Some(name.clone()),
            Kind::Select { operand, field, test: false } => {
                Some(format!("{}.{field}", operand.qualified_name()?))
            }
            _ => None,
        }
    }
}
