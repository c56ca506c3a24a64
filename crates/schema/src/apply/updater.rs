//! The core of field management: what a write makes of the sets of all managers, and what an applied
//! configuration makes of an object.

use super::compare::{Comparison, compare, same};
use super::error::Errors;
use super::managed::{Entry, Id, Managed};
use super::merge::merge;
use super::reconcile::reconcile;
use super::remove::{remove_items, with_named_fields};
use super::set::{Path, Set};
use super::to_set::to_set;
use super::types::Type;
use serde_json::Value;
use std::collections::BTreeMap;

/// The versions in which the object that is being written is served.
pub trait Versions {
    /// The type at an `apiVersion`; `None` if it is not served (any more).
    fn type_at(&self, api_version: &str) -> Option<Type<'_>>;

    /// The object in another version; only asked for versions that have a type.
    fn convert(&self, object: &Value, api_version: &str) -> Option<Value>;
}

/// Fields that a write cannot change whatever it says, which nobody owns because of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reset<'r> {
    #[default]
    None,
    /// These, with all below.
    Fields(&'r [&'r str]),
    /// All but these; `*` stands for any step.
    AllBut(&'r [&'r str]),
}

impl Reset<'_> {
    fn filter(self, set: &mut Set) {
        match self {
            Reset::None => {}
            Reset::Fields(paths) => paths.iter().for_each(|path| set.cut(path)),
            Reset::AllBut(patterns) => set.keep_only(patterns),
        }
    }
}

/// What is known about the object that is written.
#[derive(Clone, Copy)]
pub struct Target<'t> {
    /// The version in which the request speaks.
    pub api_version: &'t str,
    /// The type in that version.
    pub ty: Type<'t>,
    pub reset: Reset<'t>,
    pub versions: &'t dyn Versions,
}

/// A field that somebody else owns with another value.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    pub manager: Id,
    pub path: Path,
}

/// Why an apply was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum ApplyError {
    Conflicts(Vec<Conflict>),
    /// The configuration is not one for this endpoint (400).
    Bad(String),
    /// It does not fit the type (500, as upstream has it).
    Internal(String),
}

impl From<Errors> for ApplyError {
    fn from(errors: Errors) -> ApplyError {
        ApplyError::Internal(errors.to_string())
    }
}

impl Target<'_> {
    fn compared(&self, ty: Type<'_>, old: &Value, new: &Value) -> Result<Comparison, Errors> {
        let mut found = compare(ty, old, new)?;
        for set in [&mut found.added, &mut found.modified, &mut found.removed] {
            self.reset.filter(set);
        }
        Ok(found)
    }

    /// The object in a version; borrowed if it is the request's.
    fn at<'v>(
        &self,
        object: &'v Value,
        api_version: &str,
    ) -> Option<(std::borrow::Cow<'v, Value>, Type<'_>)> {
        if api_version == self.api_version {
            return Some((std::borrow::Cow::Borrowed(object), self.ty));
        }
        let ty = self.versions.type_at(api_version)?;
        Some((std::borrow::Cow::Owned(self.versions.convert(object, api_version)?), ty))
    }

    /// Adapts stored sets to what the schema says today; drops those of versions that are gone.
    fn reconciled(&self, managed: &mut Managed) {
        managed.0.retain_mut(|entry| {
            let ty = if entry.api_version == self.api_version {
                Some(self.ty)
            } else {
                self.versions.type_at(&entry.api_version)
            };
            let Some(ty) = ty else { return false };
            if let Some(set) = reconcile(ty, &entry.set) {
                entry.set = set;
            }
            true
        });
    }

    /// Takes from everybody but `writer` what a write from `old` to `new` changes.
    ///
    /// # Errors
    /// Conflicts, unless forced.
    fn take(
        &self,
        old: &Value,
        new: &Value,
        managed: &mut Managed,
        writer: Option<&Id>,
        force: bool,
    ) -> Result<Comparison, ApplyError> {
        let own = self.compared(self.ty, old, new)?;
        let mut others: BTreeMap<String, Option<Comparison>> = BTreeMap::new();
        let mut conflicts = Vec::new();
        // First look, then change: a refused write changes nothing.
        for entry in &managed.0 {
            if Some(&entry.id) == writer {
                continue;
            }
            if entry.api_version != self.api_version && !others.contains_key(&entry.api_version) {
                others.insert(entry.api_version.clone(), self.compared_at(old, new, &entry.api_version)?);
            }
            if force {
                continue;
            }
            let Some(found) = self.of_version(&own, &others, &entry.api_version) else { continue };
            let mut contested = entry.set.intersection(&found.added);
            contested.unite(entry.set.intersection(&found.modified));
            let conflict = |path| Conflict { manager: entry.id.clone(), path };
            conflicts.extend(contested.paths().into_iter().map(conflict));
        }
        if !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
        managed.0.retain_mut(|entry| {
            if Some(&entry.id) == writer {
                return !entry.set.is_empty();
            }
            let Some(found) = self.of_version(&own, &others, &entry.api_version) else { return false };
            for set in [&found.added, &found.modified, &found.removed] {
                entry.set.subtract(set);
            }
            !entry.set.is_empty()
        });
        Ok(own)
    }

    fn of_version<'c>(
        &self,
        own: &'c Comparison,
        others: &'c BTreeMap<String, Option<Comparison>>,
        api_version: &str,
    ) -> Option<&'c Comparison> {
        if api_version == self.api_version { Some(own) } else { others.get(api_version)?.as_ref() }
    }

    fn compared_at(&self, old: &Value, new: &Value, api_version: &str) -> Result<Option<Comparison>, Errors> {
        match (self.at(old, api_version), self.at(new, api_version)) {
            (Some((old, ty)), Some((new, _))) => self.compared(ty, &old, &new).map(Some),
            _ => Ok(None),
        }
    }

    /// What an update from `live` to `new` owns now; takes it from all others.
    pub(super) fn update(&self, live: &Value, new: &Value, managed: &mut Managed) -> Result<Set, ApplyError> {
        self.reconciled(managed);
        let found = self.take(live, new, managed, None, true)?;
        let mut set = found.modified;
        set.unite(found.added);
        Ok(set)
    }

    /// Applies a configuration that fits the type. `None`: the object stays as it is.
    pub(super) fn apply(
        &self,
        live: &Value,
        config: &Value,
        managed: &mut Managed,
        applier: &Id,
        force: bool,
    ) -> Result<Option<Value>, ApplyError> {
        self.reconciled(managed);
        let merged = merge(self.ty, live, config);
        let mut set = to_set(self.ty, config);
        self.reset.filter(&mut set);
        let last = managed.get(applier).cloned();
        let time = last.as_ref().and_then(|last| last.time.clone());
        managed.set(Entry { id: applier.clone(), api_version: self.api_version.into(), time, set });
        let pruned = self.prune(merged, managed, last.as_ref());
        self.take(live, &pruned, managed, Some(applier), force)?;
        Ok((!same(live, &pruned)).then_some(pruned))
    }

    /// Removes what the applier owned through its last configuration, does not want any more, and
    /// nobody else owns.
    fn prune(&self, merged: Value, managed: &Managed, last: Option<&Entry>) -> Value {
        let Some(last) = last.filter(|last| !last.set.is_empty()) else { return merged };
        let Some((at_last, ty)) = self.at(&merged, &last.api_version) else { return merged };
        let last_set = with_named_fields(ty, &last.set);
        let bare = remove_items(ty, at_last.clone().into_owned(), &last_set);
        let bare = self.with_owned(&at_last, bare, &last.api_version, managed);
        let pruned = match self.at_from(&bare, &last.api_version) {
            Some((bare, ty)) => without_others(ty, &at_last, &bare, &last_set),
            None => at_last.into_owned(),
        };
        if last.api_version == self.api_version {
            return pruned;
        }
        self.versions.convert(&pruned, self.api_version).unwrap_or(merged)
    }

    /// The object, whichever version it is in, in a version.
    fn at_from(&self, object: &Value, api_version: &str) -> Option<(Value, Type<'_>)> {
        let ty = self.type_of(api_version)?;
        if object.get("apiVersion").and_then(Value::as_str) == Some(api_version) {
            return Some((object.clone(), ty));
        }
        Some((self.versions.convert(object, api_version)?, ty))
    }

    fn type_of(&self, api_version: &str) -> Option<Type<'_>> {
        if api_version == self.api_version { Some(self.ty) } else { self.versions.type_at(api_version) }
    }

    /// Adds back what anybody owns, the applier's new configuration included.
    fn with_owned(&self, merged: &Value, bare: Value, first: &str, managed: &Managed) -> Value {
        let mut owned: BTreeMap<&str, Set> = BTreeMap::new();
        for entry in &managed.0 {
            owned.entry(&entry.api_version).or_default().unite(entry.set.clone());
        }
        // The version of the last configuration first: others may not convert without its fields.
        let mut versions: Vec<(&str, Set)> =
            owned.remove(first).map(|set| (first, set)).into_iter().collect();
        versions.extend(owned);
        let mut bare = bare;
        for (version, set) in versions {
            let (Some((merged, ty)), Some((stripped, _))) =
                (self.at_from(merged, version), self.at_from(&bare, version))
            else {
                continue;
            };
            let mut gone = with_named_fields(ty, &to_set(ty, &merged));
            gone.subtract(&with_named_fields(ty, &to_set(ty, &stripped)));
            gone.subtract(&with_named_fields(ty, &set));
            bare = remove_items(ty, merged, &gone);
        }
        bare
    }
}

/// The merged object without what pruning removed, if it was in the last configuration: what nobody
/// owns stays.
fn without_others(ty: Type<'_>, merged: &Value, pruned: &Value, last: &Set) -> Value {
    let mut gone = with_named_fields(ty, &to_set(ty, merged));
    gone.subtract(&with_named_fields(ty, &to_set(ty, pruned)));
    remove_items(ty, merged.clone(), &gone.intersection(last))
}
