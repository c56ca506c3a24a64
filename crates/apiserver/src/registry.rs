//! The generic registry: reading and writing one object of any kind, with the rules every kind shares.
//! What differs between kinds is their strategy; what differs between verbs is in `handlers`.

use crate::context::{Body, Call, Result};
use crate::resources::Target;
use crate::server::Server;
use crate::{fields, limits, metadata, services};
use apimachinery::{FieldError, Status, meta};
use client::{Patch, Verb};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use store::{Entry, Event};

/// How a write names the object, in its storage and in messages.
pub(crate) struct Place {
    pub target: Target,
    pub namespace: String,
    pub name: String,
}

impl Place {
    pub fn new(target: &Target, namespace: &str, name: &str) -> Place {
        Place { target: target.clone(), namespace: namespace.into(), name: name.into() }
    }

    pub fn key(&self) -> String {
        self.target.key(&self.namespace, &self.name)
    }

    pub fn not_found(&self) -> Box<Status> {
        Box::new(Status::not_found(&self.target.group_resource(), &self.name))
    }
}

/// What an update turned into.
pub(crate) enum Updated {
    Written(Arc<Entry>),
    /// Nothing changed, nothing was written.
    Same(Arc<Entry>),
    /// It removed the last finalizer of an object that was being deleted.
    Deleted(Arc<Event>),
    /// A dry run.
    Would(Value),
}

impl Updated {
    pub fn body(self, target: &Target) -> Body {
        match self {
            Updated::Written(entry) | Updated::Same(entry) => Body::Stored(target.clone(), entry),
            Updated::Deleted(event) => Body::StoredAt(target.clone(), event.entry.clone(), event.revision),
            Updated::Would(object) => Body::object(object),
        }
    }
}

/// Why a write did not happen.
pub(crate) enum Unwritten {
    Store(store::Error),
    /// The object could not be made into what is stored.
    Refused(Box<Status>),
}

impl From<store::Error> for Unwritten {
    fn from(error: store::Error) -> Unwritten {
        Unwritten::Store(error)
    }
}

impl From<Box<Status>> for Unwritten {
    fn from(status: Box<Status>) -> Unwritten {
        Unwritten::Refused(status)
    }
}

impl Unwritten {
    pub fn status(self, place: &Place) -> Box<Status> {
        match self {
            Unwritten::Store(error) => store_status(place, &error),
            Unwritten::Refused(status) => status,
        }
    }
}

/// Turns a store error into what the client sees.
pub(crate) fn store_status(place: &Place, error: &store::Error) -> Box<Status> {
    let resource = place.target.group_resource();
    Box::new(match error {
        store::Error::Exists(_) => Status::already_exists(&resource, &place.name),
        store::Error::NotFound(_) => Status::not_found(&resource, &place.name),
        store::Error::Conflict(_) => Status::modified(&resource, &place.name),
        store::Error::Compacted { requested, oldest } => {
            Status::too_old_resource_version(*requested, *oldest)
        }
        store::Error::Future { requested, current } => Status::timeout_rv_too_large(*requested, *current),
        store::Error::TooLarge { limit, .. } => Status::request_entity_too_large(*limit),
        store::Error::NoSpace(_)
        | store::Error::Io(_)
        | store::Error::Unknown(_)
        | store::Error::Stopped(_)
        | store::Error::Open(_) => Status::internal(error),
    })
}

impl Server {
    /// How long objects of a kind live; only events expire.
    fn ttl(&self, target: &Target) -> Option<Duration> {
        (target.info.resource == "events").then_some(limits::EVENT_TTL)
    }

    /// The current object, up to date with every acknowledged write.
    pub(crate) async fn current(&self, place: &Place) -> Result<Arc<Entry>> {
        self.store.consistent().await.map_err(|error| store_status(place, &error))?;
        let entry = self.store.get(&place.key()).ok_or_else(|| place.not_found())?;
        self.present_one(&place.target, entry).await
    }

    /// Stores a new object whose every field is settled. If it is too large, its managed fields go
    /// first.
    pub(crate) async fn insert(
        &self,
        place: &Place,
        object: &mut Value,
    ) -> std::result::Result<Arc<Entry>, Unwritten> {
        let stored = self.stored_bytes(&place.target, object).await?;
        let created = self.store.create(&place.key(), stored, self.ttl(&place.target)).await;
        if matches!(created, Err(store::Error::TooLarge { .. })) && !fields::take_entries(object).is_null() {
            let stored = self.stored_bytes(&place.target, object).await?;
            return Ok(self.store.create(&place.key(), stored, self.ttl(&place.target)).await?);
        }
        Ok(created?)
    }

    /// Reads, changes and writes an object until nobody came in between. `change` gets the current
    /// object and gives the new one; it runs again after a conflict. The object must exist.
    pub(crate) async fn modify(
        &self,
        call: &mut Call,
        place: &Place,
        subresource: &str,
        mut change: impl FnMut(&mut Call, &Arc<Value>) -> Result<Value> + Send,
    ) -> Result<Updated> {
        for _ in 0..limits::MAX_CONFLICT_TRIES {
            let entry = self.current(place).await?;
            let old = place.target.tree(&entry);
            let asked = change(call, &old)?;
            let pinned = meta::resource_version_str(&asked).to_owned();
            if !pinned.is_empty() && pinned != entry.mod_revision.to_string() {
                return Err(Box::new(Status::modified(&place.target.group_resource(), &place.name)));
            }
            let new = self.settle_update(call, place, subresource, asked, &old).await?;
            match self.replace(call, place, &entry, &old, new).await {
                Err(Unwritten::Store(store::Error::Conflict(_))) => {}
                Err(unwritten) => return Err(unwritten.status(place)),
                Ok(updated) => {
                    let updated = self.present_updated(&place.target, updated).await?;
                    services::after_update(self, &place.target, &old, &updated).await;
                    return Ok(updated);
                }
            }
        }
        Err(Box::new(Status::modified(&place.target.group_resource(), &place.name)))
    }

    async fn present_updated(&self, target: &Target, updated: Updated) -> Result<Updated> {
        Ok(match updated {
            Updated::Written(entry) => Updated::Written(self.present_one(target, entry).await?),
            Updated::Same(entry) => Updated::Same(self.present_one(target, entry).await?),
            Updated::Deleted(event) => Updated::Deleted(self.present_event(target, event).await?),
            would @ Updated::Would(_) => would,
        })
    }

    /// Defaulting, preparation, admission and validation of an update.
    pub(crate) async fn settle_update(
        &self,
        call: &mut Call,
        place: &Place,
        subresource: &str,
        mut new: Value,
        old: &Value,
    ) -> Result<Value> {
        let target = &place.target;
        metadata::tidy(&mut new);
        metadata::settle_namespace(target, &place.namespace, &mut new)?;
        target.strategy.default(&mut new);
        fields::track_update(call, target, subresource, &mut new, old);
        crate::admission::mutate_update(self, call, place, subresource, &mut new, old).await?;
        metadata::tidy(&mut new);
        // Whatever strategies take from the old object, these stay what they are now.
        let entries = fields::take_entries(&mut new);
        target.strategy.prepare_update(subresource, &mut new, old);
        target.strategy.stamp(subresource, &mut new, Some(old), call.now);
        metadata::prepare_update(target, subresource, &mut new, old);
        fields::set_entries(&mut new, entries);
        crate::admission::admit_update(self, call, place, subresource, &mut new, old)?;
        services::prepare_update(target, subresource, &mut new, old);
        let mut errors = metadata::validate_update(target, &new, old);
        let (found, forgiven) = target.strategy.judge_update(subresource, &new, old);
        errors.extend(found);
        crate::custom::check_definition(target, subresource, &new, Some(old), &mut errors);
        if subresource.is_empty() {
            let (group, resource) = (target.info.group, target.info.resource);
            errors.extend(::admission::check::errors(group, resource, &new, Some(old)));
        }
        refuse(target, &place.name, &errors)?;
        for warning in forgiven.into_iter().chain(target.strategy.warnings(&new, Some(old))) {
            call.warn(warning);
        }
        crate::admission::validate_update(self, call, place, subresource, &new, old).await?;
        services::allocate_update(self, call, target, &mut new, old).await?;
        Ok(new)
    }

    /// Writes an update over exactly this entry; a no-op is not written, and an object that only waited
    /// for its finalizers is deleted.
    async fn replace(
        &self,
        call: &Call,
        place: &Place,
        entry: &Arc<Entry>,
        old: &Value,
        mut new: Value,
    ) -> std::result::Result<Updated, Unwritten> {
        meta::set_resource_version(&mut new, Some(entry.mod_revision));
        schema::apply::restore_times(&mut new, old);
        let goes = meta::is_deleting(old) && !is_held(&place.target, &new) && grace_is_over(old);
        if call.dry_run() {
            return Ok(Updated::Would(new));
        }
        if goes {
            // The last state is what the update made of it; watchers see it in the deletion.
            let event = self.store.delete(&place.key(), Some(entry.mod_revision)).await?;
            return Ok(Updated::Deleted(event));
        }
        let stored = self.stored_bytes(&place.target, &new).await?;
        // What was read may have been converted; what is there may not.
        let raw = self.store.get(&place.key()).filter(|raw| raw.mod_revision == entry.mod_revision);
        if raw.is_some_and(|raw| raw.value == stored) {
            return Ok(Updated::Same(entry.clone()));
        }
        let (key, ttl) = (place.key(), self.ttl(&place.target));
        let written = self.store.update(&key, stored, entry.mod_revision, ttl).await;
        let applies = call.verb() == Verb::Patch(Patch::Apply);
        if matches!(written, Err(store::Error::TooLarge { .. }))
            && !applies
            && !fields::take_entries(&mut new).is_null()
        {
            // An object that has become too large loses its managed fields first.
            let stored = self.stored_bytes(&place.target, &new).await?;
            return Ok(Updated::Written(self.store.update(&key, stored, entry.mod_revision, ttl).await?));
        }
        Ok(Updated::Written(written?))
    }
}

/// Whether something still holds an object that is being deleted.
pub(crate) fn is_held(target: &Target, object: &Value) -> bool {
    let spec_finalizers = || object.pointer("/spec/finalizers").and_then(Value::as_array);
    let namespace = target.info.group.is_empty() && target.info.resource == "namespaces";
    meta::finalizers(object).next().is_some()
        || namespace && spec_finalizers().is_some_and(|list| !list.is_empty())
}

fn grace_is_over(object: &Value) -> bool {
    meta::deletion_grace_period(object).unwrap_or(0) == 0
}

/// 422 with every error, if there is one.
pub(crate) fn refuse(target: &Target, name: &str, errors: &[FieldError]) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Box::new(Status::invalid(&target.group_kind(), name, errors)))
}
