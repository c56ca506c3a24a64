//! PATCH with `application/apply-patch+yaml`: server-side apply. The configuration is merged into the
//! newest object until the write wins; an object that does not exist is created.

use super::create::{self, name_mismatch};
use crate::authz::Attributes;
use crate::context::{Answer, Call, Result};
use crate::registry::Place;
use crate::resources::Target;
use crate::server::Server;
use crate::{fields, limits};
use apimachinery::{Reason, Status, meta};
use client::Verb;
use serde_json::Value;

pub(crate) async fn apply(server: &Server, call: &mut Call, target: &Target) -> Result<Answer> {
    let config = call.take_body()?;
    let subresource = call.request.subresource.clone();
    let place = Place::new(target, &call.request.namespace, &call.request.name);
    for _ in 0..limits::MAX_CONFLICT_TRIES {
        match server.current(&place).await {
            Ok(_) => {}
            Err(status) if status.is(Reason::NotFound) && subresource.is_empty() => {
                match create(server, call, &place, &config).await {
                    // Somebody else was first; now there is something to merge into.
                    Err(status) if status.is(Reason::AlreadyExists) => continue,
                    created => return created,
                }
            }
            Err(status) => return Err(status),
        }
        let changed = server
            .modify(call, &place, &subresource, |call, old| {
                let new = fields::applied(call, target, &subresource, Some(old), &config)?;
                check_name(&place, &new)?;
                if config.pointer("/metadata/resourceVersion").is_none_or(Value::is_null) {
                    let mut new = new;
                    meta::set_resource_version(&mut new, None);
                    return Ok(new);
                }
                Ok(new)
            })
            .await;
        match changed {
            Ok(updated) => return Ok(Answer::ok(updated.body(target))),
            // Deleted in between.
            Err(_) if server.store.get(&place.key()).is_none() && subresource.is_empty() => {}
            Err(status) => return Err(status),
        }
    }
    Err(Box::new(Status::modified(&target.group_resource(), &place.name)))
}

async fn create(server: &Server, call: &mut Call, place: &Place, config: &Value) -> Result<Answer> {
    let target = &place.target;
    let object = fields::applied(call, target, "", None, config)?;
    let uid = meta::uid(&object);
    if !uid.is_empty() {
        let text = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(Box::new(Status::conflict(&target.group_resource(), &place.name, text)));
    }
    check_name(place, &object)?;
    authorize_create(server, call)?;
    call.request.body = Some(object);
    create::create(server, call, target).await
}

/// Who may patch what is there may not therefore make what is not.
pub(crate) fn authorize_create(server: &Server, call: &Call) -> Result<()> {
    let attributes = Attributes { verb: Verb::Create.as_str(), ..Attributes::of(call) };
    server.authz.authorize(server, &attributes)
}

fn check_name(place: &Place, object: &Value) -> Result<()> {
    match meta::name(object) {
        "" => Err(Box::new(Status::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            place.name
        )))),
        name if name != place.name => Err(name_mismatch(name, &place.name)),
        _ => Ok(()),
    }
}
