//! Field management through the scale subresource: the owner of an object's replicas is the owner of
//! `spec.replicas` of its Scale, and the other way round.

use super::element;
use super::managed::{Entry, Id, Managed, Operation};
use super::set::{Path, Set};
use serde_json::Value;

const SCALE: &str = "autoscaling/v1";

/// Where an object keeps its replicas. Entries of versions whose replicas are not known are dropped, as
/// upstream does.
#[derive(Debug, Clone, Copy)]
pub struct Replicas<'r> {
    /// The version in which the object is served to the request.
    pub api_version: &'r str,
    /// Versions, and the path of names in each (`spec.replicas` for built-in kinds).
    pub paths: &'r [(&'r str, &'r str)],
}

fn path(names: &str) -> Path {
    names.split('.').map(element::field).collect()
}

fn only(path: &Path) -> Set {
    let mut set = Set::default();
    set.insert(path);
    set
}

impl Replicas<'_> {
    /// The entries of the Scale of an object with these entries.
    ///
    /// # Errors
    /// The entries cannot be read.
    pub fn to_scale(&self, entries: &Value) -> Result<Value, String> {
        let mut scale = Managed::default();
        for mut entry in Managed::decode(entries)?.0 {
            if self.path_at(&entry.api_version).is_some_and(|replicas| entry.set.has(&replicas)) {
                entry.api_version = SCALE.into();
                entry.id = self.id_in(SCALE, entry.id);
                entry.set = only(&path("spec.replicas"));
                scale.set(entry);
            }
        }
        Ok(scale.encode())
    }

    fn path_at(&self, api_version: &str) -> Option<Path> {
        let found = self.paths.iter().find(|(version, _)| *version == api_version);
        found.map(|(_, names)| path(names))
    }

    fn id_in(&self, api_version: &str, id: Id) -> Id {
        Id::new(&id.manager, id.operation, api_version, &id.subresource)
    }

    /// The entries of the object after its Scale, which had the entries of [`Replicas::to_scale`], got
    /// these.
    ///
    /// # Errors
    /// The entries cannot be read.
    pub fn to_parent(&self, parent: &Value, scale: &Value) -> Result<Value, String> {
        let own = self.path_at(self.api_version).ok_or("the version of the request has no replicas")?;
        let mut scaled = Managed::decode(scale)?;
        let had = Managed::decode(parent)?;
        let mut result = Managed::default();
        for mut entry in had.0.iter().cloned() {
            let Some(replicas) = self.path_at(&entry.api_version) else { continue };
            if entry.set.has(&replicas) && scaled.remove(&entry.id).is_none() {
                // Somebody else scales now.
                entry.set.subtract(&only(&replicas));
                if entry.set.is_empty() {
                    continue;
                }
            }
            result.set(entry);
        }
        for entry in scaled.0.into_iter().filter(|entry| entry.set.has(&path("spec.replicas"))) {
            let id = match entry.id.operation {
                Operation::Apply => entry.id.clone(),
                Operation::Update => self.id_in(self.api_version, entry.id.clone()),
            };
            if let Some(at) = result.position(&id) {
                result.0[at].set.unite(only(&own));
                continue;
            }
            // As upstream: the time is that of the object's entry of the same name, if there is one.
            let time = had.get(&entry.id).and_then(|entry| entry.time.clone());
            result.set(Entry { id, api_version: self.api_version.into(), time, set: only(&own) });
        }
        Ok(result.encode())
    }
}
