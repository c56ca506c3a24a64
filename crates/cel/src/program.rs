//! From text to something that can be evaluated, and the names it may use.

use crate::Type;
use crate::ast::Ast;
use crate::decl::{Decl, ObjectDecl};
use crate::error::Issues;
use crate::eval::{Budget, Globals, Machine, Outcome};
use regex::Regex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The names that an expression may use.
#[derive(Debug, Clone, Default)]
pub struct Env {
    pub(crate) vars: BTreeMap<String, Var>,
    /// `variables.name`, where a program has such.
    pub(crate) variables: Option<BTreeMap<String, Type>>,
    pub(crate) constructors: BTreeMap<String, Arc<ObjectDecl>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Var {
    pub ty: Type,
    /// For sizes of what is inside.
    pub decl: Option<Arc<Decl>>,
}

impl Env {
    pub fn new() -> Env {
        Env::default()
    }

    /// A variable with a shape.
    #[must_use]
    pub fn with(mut self, name: &str, decl: Arc<Decl>) -> Env {
        self.vars.insert(name.into(), Var { ty: decl.ty(), decl: Some(decl) });
        self
    }

    /// A variable of which only the type is known.
    #[must_use]
    pub fn with_type(mut self, name: &str, ty: Type) -> Env {
        self.vars.insert(name.into(), Var { ty, decl: None });
        self
    }

    /// A variable below `variables`.
    #[must_use]
    pub fn with_variable(mut self, name: &str, ty: Type) -> Env {
        self.variables.get_or_insert_default().insert(name.into(), ty);
        self
    }

    /// Lets expressions say `variables`, also while there is none yet.
    #[must_use]
    pub fn with_variables(mut self) -> Env {
        self.variables.get_or_insert_default();
        self
    }

    /// A type of which expressions may make values: `Name{field: …}`.
    #[must_use]
    pub fn with_constructor(mut self, decl: Arc<ObjectDecl>) -> Env {
        self.constructors.insert(decl.name.clone(), decl);
        self
    }

    /// Lets expressions make objects without a schema: `Object{…}` and `Object.any.path{…}`, with any fields.
    #[must_use]
    pub fn with_open_objects(mut self) -> Env {
        self.constructors.insert(OPEN.into(), Arc::new(ObjectDecl::open(OPEN)));
        self
    }

    /// Parses and checks an expression.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(&self, source: &str) -> Result<Program, Issues> {
        let ast = crate::parse::parse(source)?;
        let checked = crate::check::check(self, &ast)?;
        Ok(Program {
            ast,
            types: checked.types,
            overloads: checked.overloads,
            regexes: checked.regexes,
            constructors: self.constructors.clone(),
        })
    }
}

const OPEN: &str = "Object";

/// The type that an expression may make under this name.
pub(crate) fn constructor(known: &BTreeMap<String, Arc<ObjectDecl>>, name: &str) -> Option<Arc<ObjectDecl>> {
    if let Some(found) = known.get(name) {
        return Some(found.clone());
    }
    let below = name.strip_prefix(OPEN).is_some_and(|rest| rest.starts_with('.'));
    let open = below && known.get(OPEN).is_some_and(|decl| decl.is_open());
    open.then(|| Arc::new(ObjectDecl::open(name)))
}

/// A checked expression.
#[derive(Debug)]
pub struct Program {
    pub(crate) ast: Ast,
    /// By node.
    pub(crate) types: Vec<Type>,
    /// By node: indices into the table of functions.
    pub(crate) overloads: Vec<Vec<usize>>,
    /// Patterns that are written out.
    pub(crate) regexes: HashMap<String, Regex>,
    pub(crate) constructors: BTreeMap<String, Arc<ObjectDecl>>,
}

impl Program {
    /// The static type of the result.
    pub fn output(&self) -> &Type {
        &self.types[self.ast.root.id]
    }

    pub fn source(&self) -> &str {
        &self.ast.source
    }

    /// Whether the expression uses this name anywhere.
    pub fn mentions(&self, name: &str) -> bool {
        crate::walk::any(
            &self.ast.root,
            &mut |expr| matches!(&expr.kind, crate::ast::Kind::Ident(found) if found == name),
        )
    }

    /// Evaluates; what it costs is added to the budget.
    ///
    /// # Errors
    /// What a function said, or that the budget is spent.
    pub fn eval<'a>(&self, globals: &dyn Globals<'a>, budget: &mut Budget) -> Outcome<'a> {
        Machine::new(self, globals, budget).eval(&self.ast.root)
    }
}
