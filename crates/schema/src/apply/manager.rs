//! Field management as the API server does it around [`super::updater`]: what is never owned, how many
//! managers are remembered, when tracking starts, what a client may do to the entries itself.

use super::compare::same;
use super::last_applied;
use super::managed::{Entry, Id, Managed, Operation, is_reset, same_but_times};
use super::set::Set;
use super::updater::{ApplyError, Target};
use super::validate::{Duplicates, validate};
use apimachinery::meta;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Most entries of updates; the oldest are merged into one of [`ANCIENT`].
pub const MAX_UPDATERS: usize = 10;
/// Longest name of a manager, bytes.
pub const MAX_MANAGER: usize = 128;
/// The manager that stands for those whose entries were merged.
pub const ANCIENT: &str = "ancient-changes";
/// The manager of all there was before the first apply to an object without entries.
pub const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// Of a client that gave no name at all.
const UNKNOWN: &str = "unknown";

/// What belongs to no manager.
static UNOWNED: LazyLock<Set> = LazyLock::new(|| {
    Set::of_fields(&[
        "apiVersion",
        "kind",
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.creationTimestamp",
        "metadata.selfLink",
        "metadata.uid",
        "metadata.clusterName",
        "metadata.generation",
        "metadata.managedFields",
        "metadata.resourceVersion",
    ])
});

/// Who writes, through what, when.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'w> {
    pub manager: &'w str,
    /// Empty for the object itself.
    pub subresource: &'w str,
    /// RFC 3339, in UTC, to the second.
    pub now: &'w str,
}

impl Writer<'_> {
    fn id(&self, operation: Operation, api_version: &str) -> Id {
        let manager = if self.manager.is_empty() { UNKNOWN } else { self.manager };
        Id::new(manager, operation, api_version, self.subresource)
    }
}

/// The manager of a client that did not say which it is: the first part of its User-Agent.
pub fn manager_of_user_agent(agent: &str) -> String {
    let mut name = String::new();
    for c in agent.split('/').next().unwrap_or_default().chars().filter(|c| is_printable(*c)) {
        if name.len() + c.len_utf8() > MAX_MANAGER {
            break;
        }
        name.push(c);
    }
    name
}

/// Go's `unicode.IsPrint` as far as clients use it: no control characters and no space but the plain one.
pub fn is_printable(c: char) -> bool {
    !c.is_control() && (c == ' ' || !c.is_whitespace()) && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}')
}

/// The entries to start from: those the client sent if they can be read, else the live object's. Empties
/// the new object's.
fn start(live: &Value, new: &mut Value, subresource: &str) -> Managed {
    let sent = meta::metadata_mut(new).remove("managedFields").unwrap_or(Value::Null);
    let had = live.pointer("/metadata/managedFields").unwrap_or(&Value::Null);
    if subresource.is_empty() {
        if is_reset(&sent) {
            return Managed::default();
        }
        if !sent.is_null() && sent != *had {
            match Managed::decode(&sent) {
                Ok(managed) if !managed.is_empty() => return managed,
                _ => {}
            }
        }
    }
    let own = if sent == *had { sent } else { had.clone() };
    Managed::decode_own(own).unwrap_or_default()
}

fn put(object: &mut Value, managed: Managed) {
    let map = meta::metadata_mut(object);
    match managed.encode() {
        Value::Null => map.remove("managedFields"),
        entries => map.insert("managedFields".into(), entries),
    };
}

impl Target<'_> {
    /// Brings the managed fields of `new` up to date with what it changes about `live` (an object with
    /// nothing set where it is created). Failures never refuse a write: it is stored without managed
    /// fields, and the reason is returned for the log.
    pub fn track(&self, live: &Value, new: &mut Value, writer: Writer<'_>) -> Option<String> {
        let mut managed = start(live, new, writer.subresource);
        if managed.is_empty() && !meta::uid(live).is_empty() {
            // Nobody applied to the object, and somebody wanted its entries gone.
            return None;
        }
        match self.credit(live, new, &mut managed, writer) {
            Ok(()) => {
                put(new, managed);
                None
            }
            Err(error) => Some(error),
        }
    }

    /// An update's entry, and the limit of such entries.
    fn credit(
        &self,
        live: &Value,
        new: &Value,
        managed: &mut Managed,
        writer: Writer<'_>,
    ) -> Result<(), String> {
        let mut set = self.update(live, new, managed).map_err(|error| format!("{error:?}"))?;
        set.subtract(&UNOWNED);
        if !set.is_empty() {
            let id = writer.id(Operation::Update, self.api_version);
            let time = Some(writer.now.to_owned());
            match managed.position(&id) {
                Some(at) => {
                    let entry = &mut managed.0[at];
                    entry.set.unite(set);
                    entry.time = time;
                }
                None => managed.0.push(Entry { id, api_version: self.api_version.into(), time, set }),
            }
        }
        cap(managed);
        Ok(())
    }

    /// Applies a configuration to the live object (one with nothing set where it is created): the new
    /// object with its managed fields.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply_config(
        &self,
        kind: &apimachinery::GroupVersionKind,
        live: &Value,
        config: &Value,
        writer: Writer<'_>,
        force: bool,
    ) -> Result<Value, ApplyError> {
        self.check_config(kind, config)?;
        let mut bare = live.clone();
        let entries = meta::metadata_mut(&mut bare).remove("managedFields").unwrap_or(Value::Null);
        let mut managed = Managed::decode(&entries)
            .map_err(|error| ApplyError::Internal(format!("failed to decode managed fields: {error}")))?;
        if managed.is_empty() {
            let first = Writer { manager: BEFORE_FIRST_APPLY, ..writer };
            self.credit(&self.ty.zero(), &bare, &mut managed, first).map_err(|error| {
                ApplyError::Internal(format!("failed to create manager for existing fields: {error}"))
            })?;
        }
        let applied = self.apply_once(&bare, config, managed.clone(), writer, force);
        let (mut object, managed) = match applied {
            Err(ApplyError::Conflicts(conflicts)) if writer.manager == last_applied::KUBECTL => {
                // kubectl may take over what it applied itself, client-side.
                let left = last_applied::without_own(self, &bare, conflicts);
                if !left.is_empty() {
                    return Err(ApplyError::Conflicts(left));
                }
                self.apply_once(&bare, config, managed, writer, true)?
            }
            other => other?,
        };
        if writer.manager == last_applied::KUBECTL {
            last_applied::refresh(&mut object, config);
        }
        put(&mut object, managed);
        Ok(object)
    }

    fn apply_once(
        &self,
        live: &Value,
        config: &Value,
        mut managed: Managed,
        writer: Writer<'_>,
        force: bool,
    ) -> Result<(Value, Managed), ApplyError> {
        let id = writer.id(Operation::Apply, self.api_version);
        let object = self.apply(live, config, &mut managed, &id, force)?;
        if let Some(at) = managed.position(&id) {
            let entry = &mut managed.0[at];
            entry.set.subtract(&UNOWNED);
            if object.is_some() {
                entry.time = Some(writer.now.to_owned());
            }
            if entry.set.is_empty() {
                managed.0.remove(at);
            }
        }
        Ok((object.unwrap_or_else(|| live.clone()), managed))
    }

    fn check_config(&self, kind: &apimachinery::GroupVersionKind, config: &Value) -> Result<(), ApplyError> {
        let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let found = text("/kind");
        if text("/apiVersion") != self.api_version || found != kind.kind {
            let (group, version) = text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));
            return Err(ApplyError::Bad(format!("invalid object type: {group}/{version}, Kind={found}")));
        }
        if config.pointer("/metadata/managedFields").is_some_and(|entries| !entries.is_null()) {
            return Err(ApplyError::Bad("metadata.managedFields must be nil".into()));
        }
        validate(self.ty, config, Duplicates::Refused).map_err(|errors| {
            ApplyError::Internal(format!(
                "failed to create typed patch object ({}/{}; {}/{}, Kind={}): {errors}",
                text("/metadata/namespace"),
                text("/metadata/name"),
                kind.group,
                kind.version,
                kind.kind,
            ))
        })
    }
}

/// Merges the oldest entries of updates, version by version, until there are not too many.
fn cap(managed: &mut Managed) {
    let updaters =
        |managed: &Managed| managed.0.iter().filter(|entry| entry.id.operation == Operation::Update).count();
    let mut count = updaters(managed);
    if count <= MAX_UPDATERS {
        return;
    }
    let mut oldest: Vec<(Option<String>, Id)> = managed
        .0
        .iter()
        .filter(|entry| entry.id.operation == Operation::Update)
        .map(|entry| (entry.time.clone(), entry.id.clone()))
        .collect();
    oldest.sort();
    let mut first_of: BTreeMap<String, Id> = BTreeMap::new();
    for (_, id) in oldest {
        if count <= MAX_UPDATERS {
            return;
        }
        let Some(version) = managed.get(&id).map(|entry| entry.api_version.clone()) else { continue };
        let bucket = Id::new(ANCIENT, Operation::Update, &version, "");
        let Some(first) = first_of.get(&version) else {
            first_of.insert(version, id);
            continue;
        };
        if managed.position(&bucket).is_none()
            && let Some(mut entry) = managed.remove(first)
        {
            entry.id = bucket.clone();
            managed.0.push(entry);
        }
        if let Some(entry) = managed.remove(&id)
            && let Some(at) = managed.position(&bucket)
        {
            // What is merged into the bucket is younger than what is in it.
            managed.0[at].set.unite(entry.set);
            managed.0[at].time = entry.time;
            count -= 1;
        }
    }
}

/// Puts back the entries of the old object if nothing but their times has changed since. True if so.
pub fn restore_times(new: &mut Value, old: &Value) -> bool {
    let pointer = "/metadata/managedFields";
    let (Some(was), Some(is)) = (old.pointer(pointer), new.pointer(pointer)) else { return false };
    if was == is || !same_but_times(was, is) {
        return false;
    }
    let taken = meta::metadata_mut(new).remove("managedFields").unwrap_or_default();
    let rest_is_same = same_but_managed(new, old);
    let back = if rest_is_same { was.clone() } else { taken };
    meta::metadata_mut(new).insert("managedFields".into(), back);
    rest_is_same
}

/// Whether an object without managed fields equals another that may have some.
fn same_but_managed(bare: &Value, other: &Value) -> bool {
    let (Some(a), Some(b)) = (bare.as_object(), other.as_object()) else { return false };
    a.len() == b.len()
        && a.iter().zip(b).all(|((name, mine), (other, theirs))| {
            name == other
                && match (name.as_str(), mine, theirs) {
                    ("metadata", Value::Object(mine), Value::Object(theirs)) => {
                        mine.iter().eq(theirs.iter().filter(|(name, _)| *name != "managedFields"))
                    }
                    _ => same(mine, theirs),
                }
        })
}
