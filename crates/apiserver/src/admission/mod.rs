//! Admission: what the cluster adds to or refuses in a write, after authorization and before
//! validation, in upstream's order. One file per plugin.

mod amounts;
mod certificates;
mod default_classes;
mod dynamic;
mod limit_ranger;
mod namespace;
mod node_restriction;
mod pod_security;
mod pods;
mod quota;
mod rbac;
mod service_account;
mod unsupported;

pub(crate) use dynamic::Dynamic;

use crate::context::{Call, Result};
use crate::registry::Place;
use crate::resources::Target;
use crate::server::Server;
use crate::subresources::{scale_of, set_replicas};
use ::admission::Operation;
use apimachinery::meta;
use dynamic::{Again, Subject};
use serde_json::Value;

fn is(target: &Target, group: &str, resource: &str) -> bool {
    target.info.group == group && target.info.resource == resource
}

/// Changes a new object, before the strategy prepares it.
pub(crate) async fn mutate_create(
    server: &Server,
    call: &mut Call,
    target: &Target,
    namespace: &str,
    object: &mut Value,
) -> Result<()> {
    built_in_create(server, call, target, namespace, object)?;
    if !dynamic::mutates(server) {
        return Ok(());
    }
    let name = meta::name(object).to_owned();
    let subject = Subject::new(server, call, target, Operation::Create, "", (namespace, &name));
    let mut again = Again::default();
    dynamic::mutate(server, call, &subject, Some(object), None, &mut again).await?;
    if again.next() {
        built_in_create(server, call, target, namespace, object)?;
        dynamic::mutate(server, call, &subject, Some(object), None, &mut again).await?;
    }
    Ok(())
}

fn built_in_create(
    server: &Server,
    call: &Call,
    target: &Target,
    namespace: &str,
    object: &mut Value,
) -> Result<()> {
    namespace::check_create(server, target, namespace, object)?;
    unsupported::check_create(target, object)?;
    let pod = is(target, "", "pods");
    limit_ranger::admit(server, target, namespace, object)?;
    if pod {
        service_account::admit(server, target, namespace, object)?;
    }
    node_restriction::check_create(call, target, object)?;
    if is(target, "", "nodes") {
        pods::taint_new_node(object);
    }
    if pod {
        pods::priority(server, target, object)?;
        pods::runtime_class(server, target, object)?;
        pods::default_tolerations(object);
    }
    default_classes::admit(server, target, object)
}

/// What a new object carries whatever was asked, once its strategy has prepared it; and who may make it.
pub(crate) fn settle_create(server: &Server, call: &Call, target: &Target, object: &mut Value) -> Result<()> {
    certificates::stamp(call, target, object);
    rbac::check(server, call, target, object, None)
}

/// Judges a new object that is valid. What is returned is held until the object is stored.
pub(crate) async fn validate_create(
    server: &Server,
    call: &mut Call,
    target: &Target,
    namespace: &str,
    object: &Value,
) -> Result<quota::Hold> {
    pod_security::check_create(server, call, target, namespace, object)?;
    if dynamic::validates(server) {
        let subject =
            Subject::new(server, call, target, Operation::Create, "", (namespace, meta::name(object)));
        dynamic::validate(server, call, &subject, Some(object), None).await?;
    }
    quota::check_create(server, call, target, namespace, object).await
}

fn subject_of_update<'a>(server: &Server, call: &Call, place: &'a Place, subresource: &str) -> Subject<'a> {
    let names = (place.namespace.as_str(), place.name.as_str());
    Subject::new(server, call, &place.target, Operation::Update, subresource, names)
}

/// Changes a changed object, before the strategy prepares it.
pub(crate) async fn mutate_update(
    server: &Server,
    call: &mut Call,
    place: &Place,
    subresource: &str,
    new: &mut Value,
    old: &Value,
) -> Result<()> {
    let built_in = |new: &mut Value| {
        if is(&place.target, "", "pods") && subresource.is_empty() {
            pods::default_tolerations(new);
        }
    };
    built_in(new);
    if !dynamic::mutates(server) {
        return Ok(());
    }
    let subject = subject_of_update(server, call, place, subresource);
    let mut again = Again::default();
    if subresource == "scale" {
        return mutate_scale(server, call, &subject, new, old).await;
    }
    dynamic::mutate(server, call, &subject, Some(new), Some(old), &mut again).await?;
    if again.next() {
        built_in(new);
        dynamic::mutate(server, call, &subject, Some(new), Some(old), &mut again).await?;
    }
    Ok(())
}

/// Those who are asked about a scale see a Scale.
async fn mutate_scale(
    server: &Server,
    call: &mut Call,
    subject: &Subject<'_>,
    new: &mut Value,
    old: &Value,
) -> Result<()> {
    let (mut scale, old) = (scale_of(subject.target, new)?, scale_of(subject.target, old)?);
    let before = scale.clone();
    let mut again = Again::default();
    dynamic::mutate(server, call, subject, Some(&mut scale), Some(&old), &mut again).await?;
    if again.next() {
        dynamic::mutate(server, call, subject, Some(&mut scale), Some(&old), &mut again).await?;
    }
    if scale.pointer("/spec/replicas") != before.pointer("/spec/replicas") {
        let replicas = scale.pointer("/spec/replicas").cloned();
        set_replicas(subject.target, new, replicas.unwrap_or_else(|| 0.into()))?;
    }
    Ok(())
}

/// A changed object that its strategy has prepared.
pub(crate) fn admit_update(
    server: &Server,
    call: &mut Call,
    place: &Place,
    subresource: &str,
    new: &mut Value,
    old: &Value,
) -> Result<()> {
    unsupported::check_update(place, subresource, new)?;
    certificates::keep(&place.target, new, old);
    rbac::check(server, call, &place.target, new, Some(old))?;
    node_restriction::check_update(server, call, place, subresource, new, old)?;
    if matches!(subresource, "" | "ephemeralcontainers") {
        pod_security::check_update(server, call, place, new, old)?;
    }
    Ok(())
}

/// Judges a changed object that is valid.
pub(crate) async fn validate_update(
    server: &Server,
    call: &mut Call,
    place: &Place,
    subresource: &str,
    new: &Value,
    old: &Value,
) -> Result<()> {
    if !dynamic::validates(server) {
        return Ok(());
    }
    let subject = subject_of_update(server, call, place, subresource);
    if subresource == "scale" {
        let (new, old) = (scale_of(&place.target, new)?, scale_of(&place.target, old)?);
        return dynamic::validate(server, call, &subject, Some(&new), Some(&old)).await;
    }
    dynamic::validate(server, call, &subject, Some(new), Some(old)).await
}

/// A deletion, before anything is known about the object.
pub(crate) fn admit_delete(server: &Server, call: &Call, place: &Place) -> Result<()> {
    namespace::check_delete(place)?;
    node_restriction::check_delete(server, call, place)
}

/// Judges the deletion of an object. Objects of a deleted collection have no name in the request.
pub(crate) async fn review_delete(
    server: &Server,
    call: &mut Call,
    place: &Place,
    name: &str,
    object: &Value,
) -> Result<()> {
    let (mutates, validates) = (dynamic::mutates(server), dynamic::validates(server));
    if !(mutates || validates) {
        return Ok(());
    }
    let names = (place.namespace.as_str(), name);
    let subject = Subject::new(server, call, &place.target, Operation::Delete, "", names);
    if mutates {
        dynamic::mutate(server, call, &subject, None, Some(object), &mut Again::default()).await?;
    }
    dynamic::validate(server, call, &subject, None, Some(object)).await
}

/// Something that is asked by creating an object that is never stored: reviews, bindings, evictions,
/// tokens.
pub(crate) async fn admit_action(
    server: &Server,
    call: &mut Call,
    target: &Target,
    name: &str,
    object: &mut Value,
) -> Result<()> {
    let (mutates, validates) = (dynamic::mutates(server), dynamic::validates(server));
    if !(mutates || validates) {
        return Ok(());
    }
    let (namespace, subresource) = (call.request.namespace.clone(), call.request.subresource.clone());
    let subject = Subject::new(server, call, target, Operation::Create, &subresource, (&namespace, name));
    twice(server, call, &subject, object).await
}

/// A connection: `options` are those of the subresource, as an object.
pub(crate) async fn admit_connect(
    server: &Server,
    call: &mut Call,
    target: &Target,
    options: impl FnOnce() -> Value,
) -> Result<Option<Value>> {
    let (mutates, validates) = (dynamic::mutates(server), dynamic::validates(server));
    if !(mutates || validates) {
        return Ok(None);
    }
    let request = call.request.clone();
    let names = (request.namespace.as_str(), request.name.as_str());
    let subject = Subject::new(server, call, target, Operation::Connect, &request.subresource, names);
    let before = options();
    let mut object = before.clone();
    twice(server, call, &subject, &mut object).await?;
    Ok((object != before).then_some(object))
}

/// All that may change it, if need be again, then all that may refuse it.
async fn twice(server: &Server, call: &mut Call, subject: &Subject<'_>, object: &mut Value) -> Result<()> {
    let mut again = Again::default();
    dynamic::mutate(server, call, subject, Some(object), None, &mut again).await?;
    if again.next() {
        dynamic::mutate(server, call, subject, Some(object), None, &mut again).await?;
    }
    dynamic::validate(server, call, subject, Some(object), None).await
}
