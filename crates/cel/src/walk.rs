//! Walking a tree.

use crate::ast::{Expr, Kind};

/// The nodes directly below.
pub(crate) fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        Kind::Literal(_) | Kind::Ident(_) => Vec::new(),
        Kind::Select { operand, .. } => vec![operand],
        Kind::Call { target, args, .. } => target.as_deref().into_iter().chain(args).collect(),
        Kind::List(items) => items.iter().map(|item| &item.value).collect(),
        Kind::Map(entries) => entries.iter().flat_map(|entry| [&entry.key, &entry.value]).collect(),
        Kind::Struct { fields, .. } => fields.iter().map(|(_, item)| &item.value).collect(),
        Kind::Loop(parts) => {
            vec![&parts.range, &parts.init, &parts.condition, &parts.step, &parts.result]
        }
    }
}

/// Whether `wanted` holds of any node.
pub(crate) fn any(expr: &Expr, wanted: &mut impl FnMut(&Expr) -> bool) -> bool {
    wanted(expr) || children(expr).into_iter().any(|child| any(child, wanted))
}
