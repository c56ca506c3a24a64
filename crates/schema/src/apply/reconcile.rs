//! Sets that were written when the schema was another one: what has become one value since is owned as
//! one value by whoever owned a part of it.

use super::set::{Node, Set, children, is_member};
use super::types::Type;

/// The set in the terms of the type; `None` if nothing changes.
pub fn reconcile(ty: Type<'_>, set: &Set) -> Option<Set> {
    let mut atomic = Vec::new();
    find(ty, &set.0, false, &mut Vec::new(), &mut atomic);
    if atomic.is_empty() {
        return None;
    }
    let mut roots = Set::default();
    for path in &atomic {
        roots.insert(path);
    }
    let mut out = set.clone();
    out.subtract_trees(&roots);
    out.unite(roots);
    Some(out)
}

/// Finds the paths at which parts of something atomic are owned.
fn find<'n>(
    ty: Type<'_>,
    node: &'n Node,
    leaf: bool,
    path: &mut Vec<&'n str>,
    atomic: &mut Vec<Vec<&'n str>>,
) {
    let atom = ty.atom();
    // A type that may be several things is taken as a map first, then as a scalar.
    if let Some(map) = atom.map {
        if map.is_deduced() {
            return;
        }
        if map.atomic {
            if !leaf && !node.is_empty() && !path.is_empty() {
                atomic.push(path.clone());
            }
            return;
        }
        for (step, inner) in children(node) {
            let named = step.strip_prefix("f:").and_then(|name| map.entry(name));
            if let Some(ty) = named.or(if step.starts_with("f:") { None } else { map.rest }) {
                descend(ty, step, inner, path, atomic);
            }
        }
    } else if atom.scalar.is_none()
        && let Some(list) = atom.list
    {
        if list.is_atomic() {
            if !leaf && !path.is_empty() {
                atomic.push(path.clone());
            }
            return;
        }
        for (step, inner) in children(node) {
            descend(list.item, step, inner, path, atomic);
        }
    }
}

fn descend<'n>(
    ty: Type<'_>,
    step: &'n str,
    inner: &'n Node,
    path: &mut Vec<&'n str>,
    atomic: &mut Vec<Vec<&'n str>>,
) {
    let parts = children(inner).next().is_some();
    path.push(step);
    find(ty, inner, is_member(inner) && !parts, path, atomic);
    path.pop();
}
