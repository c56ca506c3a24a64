//! DELETE: preconditions, grace, finalizers and propagation decide whether an object goes now or is
//! only marked.

use super::list::refuse_options;
use crate::context::{Answer, Body, Call, Result};
use crate::registry::{Place, Updated, is_held, store_status};
use crate::resources::Target;
use crate::server::Server;
use crate::{admission, limits, services};
use apimachinery::{FieldError, Path, Status, Time, meta};
use client::Options;
use jiff::SignedDuration;
use serde_json::Value;
use std::sync::Arc;
use store::Entry;

/// What a delete does to an object that is there.
#[derive(Debug, PartialEq)]
enum Decision {
    /// It is gone.
    Remove,
    /// It stays for now, marked like this.
    Mark(Value),
    /// It is already on its way.
    Pending,
}

/// Who judges a deletion besides what is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reviewed {
    /// Webhooks and policies, by the name of the request.
    ByName,
    /// The same, as one of a collection that is deleted.
    InCollection,
    /// Nobody: they were asked about what leads to the deletion.
    Before,
}

pub(crate) async fn delete(server: &Server, call: &mut Call, target: &Target) -> Result<Answer> {
    delete_reviewed(server, call, target, Reviewed::ByName).await
}

pub(crate) async fn delete_reviewed(
    server: &Server,
    call: &mut Call,
    target: &Target,
    reviewed: Reviewed,
) -> Result<Answer> {
    check_options(call.options())?;
    let place = Place::new(target, &call.request.namespace, &call.request.name);
    admission::admit_delete(server, call, &place)?;
    for _ in 0..limits::MAX_CONFLICT_TRIES {
        let entry = server.current(&place).await?;
        match step(server, call, &place, &entry, reviewed).await {
            Ok(answer) => return Ok(answer),
            Err(Failed::Conflict) => {}
            Err(Failed::Status(status)) => return Err(status),
        }
    }
    Err(Box::new(Status::modified(&target.group_resource(), &place.name)))
}

enum Failed {
    Conflict,
    Status(Box<Status>),
}

async fn step(
    server: &Server,
    call: &mut Call,
    place: &Place,
    entry: &Arc<Entry>,
    reviewed: Reviewed,
) -> std::result::Result<Answer, Failed> {
    let target = &place.target;
    let object = target.tree(entry);
    check_object(place, call.options(), &object, entry).map_err(Failed::Status)?;
    if reviewed != Reviewed::Before {
        let name = if reviewed == Reviewed::ByName { place.name.as_str() } else { "" };
        admission::review_delete(server, call, place, name, &object).await.map_err(Failed::Status)?;
    }
    let failed = |error: store::Error| match error {
        store::Error::Conflict(_) => Failed::Conflict,
        error => Failed::Status(store_status(place, &error)),
    };
    match decide(target, &object, call.options(), call.now) {
        Decision::Pending => Ok(Answer::ok(Body::Stored(target.clone(), entry.clone()))),
        Decision::Mark(mut marked) => {
            if call.dry_run() {
                return Ok(Answer::ok(Body::object(marked)));
            }
            meta::set_resource_version(&mut marked, None);
            let stored = server.stored_bytes(target, &marked).await.map_err(Failed::Status)?;
            let written = server.store.update(&place.key(), stored, entry.mod_revision, None).await;
            let written =
                server.present_one(target, written.map_err(failed)?).await.map_err(Failed::Status)?;
            Ok(Answer::ok(Body::Stored(target.clone(), written)))
        }
        Decision::Remove => {
            if !call.dry_run() {
                let event =
                    server.store.delete(&place.key(), Some(entry.mod_revision)).await.map_err(failed)?;
                services::after_update(server, target, &object, &Updated::Deleted(event)).await;
            }
            Ok(Answer::ok(gone(target, entry, &object)))
        }
    }
}

/// The answer to a delete that removed the object: the object for some kinds, a Status for the rest.
fn gone(target: &Target, entry: &Arc<Entry>, object: &Value) -> Body {
    if target.strategy.delete_returns_object() {
        return Body::Stored(target.clone(), entry.clone());
    }
    let details = apimachinery::status::Details {
        name: meta::name(object).into(),
        group: target.info.group.into(),
        kind: target.info.resource.into(),
        uid: meta::uid(object).into(),
        ..Default::default()
    };
    let body = apimachinery::status::success(&details);
    Body::object(serde_json::from_slice(&body).unwrap_or_default())
}

/// The decision, pure: upstream's BeforeDelete and the finalizers of garbage collection.
fn decide(target: &Target, object: &Value, options: &Options, now: Time) -> Decision {
    let mut marked = object.clone();
    if crate::custom::is_definition(target) && !meta::is_deleting(object) {
        // Its objects go first, whatever the policy; upstream writes no grace here.
        meta::set_deletion_timestamp(&mut marked, Some(now.truncated()));
        custom::status::mark_deleted(&mut marked, now);
        return Decision::Mark(marked);
    }
    set_propagation(target, options, &mut marked);
    if meta::is_deleting(object) {
        return decide_again(target, object, options, marked);
    }
    let grace = target.strategy.delete_grace(object, options.grace_period_seconds).unwrap_or(0).max(0);
    let held = is_held(target, &marked);
    if grace == 0 && !held {
        return Decision::Remove;
    }
    let until = now.0.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now.0);
    meta::set_deletion_timestamp(&mut marked, Some(Time(until).truncated()));
    meta::set_deletion_grace_period(&mut marked, Some(grace));
    if meta::generation(&marked) > 0 {
        let next = meta::generation(&marked) + 1;
        meta::set_generation(&mut marked, next);
    }
    if target.info.group.is_empty() && target.info.resource == "namespaces" {
        let status = meta::object_at(meta::as_object_mut(&mut marked), "status");
        status.insert("phase".into(), "Terminating".into());
    }
    Decision::Mark(marked)
}

/// A delete of something that is already being deleted: it can only get faster.
fn decide_again(target: &Target, object: &Value, options: &Options, mut marked: Value) -> Decision {
    let left = meta::deletion_grace_period(object).unwrap_or(0);
    let graceful = target.strategy.delete_grace(object, options.grace_period_seconds);
    let asked = options.grace_period_seconds.and(graceful).map_or(left, |grace| grace.max(0));
    let held = is_held(target, &marked);
    if asked == 0 && !held {
        return Decision::Remove;
    }
    if asked < left
        && let Some(until) = meta::deletion_timestamp(object)
    {
        let earlier = until.0.checked_sub(SignedDuration::from_secs(left - asked)).unwrap_or(until.0);
        meta::set_deletion_timestamp(&mut marked, Some(Time(earlier)));
        meta::set_deletion_grace_period(&mut marked, Some(asked));
    }
    if marked == *object { Decision::Pending } else { Decision::Mark(marked) }
}

/// The finalizers `orphan` and `foregroundDeletion` stand for the propagation policy.
fn set_propagation(target: &Target, options: &Options, object: &mut Value) {
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation_policy.as_deref()) {
        (Some(orphan), _) => (orphan, false),
        (None, Some("Orphan")) => (true, false),
        (None, Some("Foreground")) => (false, true),
        (None, Some(_)) => (false, false),
        (None, None) => {
            // Without a policy, what is already there stays; else the kind's own default.
            let there = |name: &str| meta::has_finalizer(object, name);
            let default = target.strategy.default_propagation();
            let none = !there("orphan") && !there("foregroundDeletion");
            (there("orphan") || none && default == Some("orphan"), there("foregroundDeletion"))
        }
    };
    for (name, wanted) in [("orphan", orphan), ("foregroundDeletion", foreground)] {
        if wanted {
            meta::add_finalizer(object, name);
        } else {
            meta::remove_finalizer(object, name);
        }
    }
}

fn check_object(place: &Place, options: &Options, object: &Value, entry: &Entry) -> Result<()> {
    let kind = apimachinery::GroupResource::new(place.target.info.group, place.target.info.kind);
    if let Some(uid) = &options.precondition_uid
        && uid != meta::uid(object)
    {
        return Err(Box::new(Status::conflict(
            &kind,
            &place.name,
            format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                meta::uid(object)
            ),
        )));
    }
    if let Some(version) = &options.precondition_resource_version
        && *version != entry.mod_revision.to_string()
    {
        return Err(Box::new(Status::conflict(
            &kind,
            &place.name,
            format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might have been modified",
                entry.mod_revision
            ),
        )));
    }
    Ok(())
}

/// 422 for options that contradict each other (DeleteOptions validation).
pub(crate) fn check_options(options: &Options) -> Result<()> {
    let path = Path::new("propagationPolicy");
    let mut errors = Vec::new();
    if let Some(policy) = &options.propagation_policy {
        let known = ["Foreground", "Background", "Orphan"];
        if options.orphan_dependents.is_some() {
            let text = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid(&path, policy.as_str(), text));
        } else if !known.contains(&policy.as_str()) {
            errors.push(FieldError::not_supported(
                &path,
                policy.as_str(),
                &["Background", "Foreground", "Orphan"],
            ));
        }
    }
    refuse_options("DeleteOptions", &errors)
}
