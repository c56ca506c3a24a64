//! `x-kubernetes-validations`: rules in CEL. Compiled once per schema ([`Rules`]), evaluated within a budget
//! ([`Rules::check`]), and judged by type and estimated cost when a definition is written ([`definition`]).

mod compile;
mod decl;
mod definition;
mod evaluate;
mod path;
#[cfg(test)]
mod tests;

pub use definition::check as definition;
pub use evaluate::Judged;

use crate::schema::{Lists, Schema, Type};
use cel::Decl;
use compile::Compiled;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one evaluation of one rule may cost.
pub const MAX_CALL_COST: u64 = 1_000_000;
/// What all rules of one request may cost.
pub const MAX_REQUEST_COST: i64 = 10_000_000;
/// Bytes of a message that a rule makes.
pub const MAX_MESSAGE: usize = 5 * 1024;

/// The compiled rules of a schema and of all below it.
#[derive(Debug)]
pub struct Rules {
    /// `None` for what expressions cannot see.
    decl: Option<Arc<Decl>>,
    ty: Type,
    rules: Vec<Compiled>,
    items: Option<Box<Rules>>,
    rest: Option<Box<Rules>>,
    properties: BTreeMap<String, Rules>,
    all_of: Vec<Rules>,
}

impl Rules {
    /// The rules of a custom resource; `None` if it has none.
    pub fn of_resource(schema: &Schema) -> Option<Rules> {
        schema.has_rules().then(|| Rules::build(schema, schema, decl::of(schema, true).map(Arc::new)))?
    }

    /// `rules` is where the rules stand, `spine` what the values are.
    fn build(rules: &Schema, spine: &Schema, decl: Option<Arc<Decl>>) -> Option<Rules> {
        let element = |decl: &Option<Arc<Decl>>| match &decl.as_ref()?.shape {
            cel::Shape::List(inner, _) | cel::Shape::Map(inner) => Some(inner.clone()),
            _ => None,
        };
        let below = |rules: Option<&Schema>, spine: Option<&Schema>| {
            Rules::build(rules?, spine?, element(&decl)).map(Box::new)
        };
        let property = |(name, rules): (&String, &Schema)| {
            let spine = spine.properties.get(name)?;
            let decl = match (&decl.as_ref()?.shape, cel::escape(name)) {
                (cel::Shape::Object(object), Some(escaped)) => {
                    Some(object.fields.get(&escaped)?.decl.clone())
                }
                (_, None) => Some(Arc::new(decl::of(spine, spine.embedded)?)),
                _ => None,
            };
            Some((name.clone(), Rules::build(rules, spine, decl)?))
        };
        let built = Rules {
            rules: compile::all(&rules.rules, spine, decl.as_ref()),
            items: below(rules.items.as_deref(), spine.items.as_deref()),
            rest: below(rules.rest_schema(), spine.rest_schema()),
            properties: rules.properties.iter().filter_map(property).collect(),
            all_of: rules
                .limits
                .all_of
                .iter()
                .filter_map(|rules| Rules::build(rules, spine, decl.clone()))
                .collect(),
            ty: spine.ty,
            decl,
        };
        let any = !built.rules.is_empty()
            || built.items.is_some()
            || built.rest.is_some()
            || !built.properties.is_empty()
            || !built.all_of.is_empty();
        any.then_some(built)
    }
}

fn list_kind(lists: &Lists) -> cel::ListKind {
    match lists {
        Lists::Atomic => cel::ListKind::Atomic,
        Lists::Set => cel::ListKind::Set,
        Lists::Map(keys) => cel::ListKind::Map(keys.clone().into()),
    }
}
