//! POST: a new object, or the action of a subresource (`subresources`).

use crate::context::{Answer, Body, Call, Result};
use crate::registry::{Place, Unwritten, refuse};
use crate::resources::Target;
use crate::server::Server;
use crate::{admission, fields, limits, metadata, services};
use apimachinery::{Status, meta};
use serde_json::Value;

pub(crate) async fn create(server: &Server, call: &mut Call, target: &Target) -> Result<Answer> {
    let mut object = call.take_body()?;
    let namespace = call.request.namespace.clone();
    check_kind(target, &object)?;
    crate::custom::check_create(target, meta::name(&object))?;
    metadata::settle_namespace(target, &namespace, &mut object)?;
    if !call.request.name.is_empty() && meta::name(&object) != call.request.name {
        return Err(name_mismatch(meta::name(&object), &call.request.name));
    }
    metadata::tidy(&mut object);
    target.strategy.default(&mut object);
    fields::track_create(call, target, &mut object);
    admission::mutate_create(server, call, target, &namespace, &mut object).await?;
    metadata::tidy(&mut object);
    metadata::settle_namespace(target, &namespace, &mut object)?;
    metadata::prepare_create(target, &mut object, server.env.uuid(), call.now);
    target.strategy.prepare_create(&mut object);
    target.strategy.stamp("", &mut object, None, call.now);
    admission::settle_create(server, call, target, &mut object)?;

    let generated = meta::name(&object).is_empty() && !meta::generate_name(&object).is_empty();
    let tries = if generated { limits::MAX_NAME_TRIES } else { 1 };
    let nameless = generated.then(|| object.clone());
    for _ in 0..tries {
        if let Some(nameless) = &nameless {
            object.clone_from(nameless);
            let prefix = meta::generate_name(&object).to_owned();
            let name = meta::generated_name(&prefix, |bound| server.env.random_below(bound as u64) as usize);
            meta::set_name(&mut object, &name);
            target.strategy.name_settled(&mut object);
        }
        let place = Place::new(target, &namespace, meta::name(&object));
        validate(call, target, &object)?;
        let _until_it_is_stored =
            admission::validate_create(server, call, target, &namespace, &object).await?;
        services::allocate_create(server, call, target, &mut object).await?;
        if call.dry_run() {
            if server.store.get(&place.key()).is_some() {
                return Err(Box::new(Status::already_exists(&target.group_resource(), &place.name)));
            }
            return Ok(Answer::created(Body::object(object)));
        }
        match server.insert(&place, &mut object).await {
            Ok(entry) => {
                let entry = server.present_one(target, entry).await?;
                return Ok(Answer::created(Body::Stored(target.clone(), entry)));
            }
            Err(Unwritten::Store(store::Error::Exists(_))) if generated => {}
            Err(unwritten) => {
                services::release(server, target, &object).await;
                return Err(unwritten.status(&place));
            }
        }
    }
    let resource = target.group_resource();
    Err(Box::new(Status::generate_name_conflict(&resource, meta::name(&object), limits::RETRY_AFTER_SECONDS)))
}

fn validate(call: &mut Call, target: &Target, object: &Value) -> Result<()> {
    let mut errors = metadata::validate(target, object);
    errors.extend(target.strategy.validate(object));
    crate::custom::check_definition(target, "", object, None, &mut errors);
    errors.extend(::admission::check::errors(target.info.group, target.info.resource, object, None));
    refuse(target, meta::name(object), &errors)?;
    for warning in target.strategy.warnings(object, None) {
        call.warn(warning);
    }
    Ok(())
}

/// The body must be of the kind that the path names.
pub(crate) fn check_kind(target: &Target, object: &Value) -> Result<()> {
    let (wanted, found) = (target.info.gvk(), meta::gvk(object));
    let version = meta::api_version(object).rsplit('/').next().unwrap_or_default();
    match found {
        Some(found) if found == wanted => Ok(()),
        Some(found) if found.kind == wanted.kind => Err(Box::new(Status::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            found.api_version(),
            wanted.api_version()
        )))),
        _ => Err(Box::new(Status::bad_request(format!(
            "{} in version {} cannot be handled as a {}: converting ({}.{}) to ({}.{}): unknown conversion",
            meta::kind(object),
            apimachinery::go::quote(version),
            target.info.kind,
            version,
            meta::kind(object),
            if target.info.group.is_empty() {
                "core"
            } else {
                target.info.group.split('.').next().unwrap_or("")
            },
            target.info.kind
        )))),
    }
}

pub(crate) fn name_mismatch(object: &str, url: &str) -> Box<Status> {
    Box::new(Status::bad_request(format!(
        "the name of the object ({object}) does not match the name on the URL ({url})"
    )))
}
