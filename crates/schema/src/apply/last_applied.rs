//! The bridge from client-side apply: what kubectl recorded in its annotation is kubectl's own when it
//! applies server-side, and the annotation is kept for clients that still apply client-side.

use super::compare::compare;
use super::set::Set;
use super::to_set::to_set;
use super::updater::{Conflict, Target};
use super::validate::{Duplicates, validate};
use apimachinery::meta;
use serde_json::Value;

/// The manager for whom the bridge is built.
pub(super) const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Largest annotations of an object together, bytes.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// The conflicts that are not about fields which kubectl itself set last and nobody has changed since.
pub(super) fn without_own(target: &Target<'_>, live: &Value, conflicts: Vec<Conflict>) -> Vec<Conflict> {
    match own_fields(target, live) {
        Some(own) => conflicts.into_iter().filter(|conflict| !own.has(&conflict.path)).collect(),
        None => conflicts,
    }
}

fn own_fields(target: &Target<'_>, live: &Value) -> Option<Set> {
    let text = meta::annotation(live, ANNOTATION).filter(|text| !text.is_empty())?;
    let last: Value = serde_json::from_str(text).ok()?;
    if meta::api_version(&last) != target.api_version {
        return None;
    }
    validate(target.ty, &last, Duplicates::Refused).ok()?;
    validate(target.ty, live, Duplicates::Refused).ok()?;
    let mut own = to_set(target.ty, &last);
    let changed = compare(target.ty, &last, live).ok()?;
    for set in [&changed.modified, &changed.added, &changed.removed] {
        own.subtract(set);
    }
    Some(own)
}

/// Records the configuration in an object that has the annotation.
pub(super) fn refresh(object: &mut Value, config: &Value) {
    if meta::annotation(object, ANNOTATION).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    meta::remove_annotation(&mut config, ANNOTATION);
    meta::set_annotation(object, ANNOTATION, &format!("{config}\n"));
    let size = |map: &serde_json::Map<String, Value>| -> usize {
        map.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum()
    };
    if meta::annotations(object).map_or(0, size) > MAX_ANNOTATIONS {
        meta::remove_annotation(object, ANNOTATION);
    }
}
