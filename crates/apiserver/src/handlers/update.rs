//! PUT: replaces an object, or one of its subresources.

use super::create::{self, check_kind, name_mismatch};
use crate::context::{Answer, Call, Result};
use crate::registry::{Place, refuse};
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{FieldError, Path, Reason, Status, meta};

pub(crate) async fn update(server: &Server, call: &mut Call, target: &Target) -> Result<Answer> {
    let object = call.take_body()?;
    let subresource = call.request.subresource.clone();
    check_kind(target, &object)?;
    let name = call.request.name.clone();
    match meta::name(&object) {
        "" => {
            let text = "name must be provided";
            return Err(Box::new(Status::bad_request(text)));
        }
        given if given != name => return Err(name_mismatch(given, &name)),
        _ => {}
    }
    let place = Place::new(target, &call.request.namespace, &name);
    check_preconditions(&place, &object, target)?;
    let changed = server
        .modify(call, &place, &subresource, |_, old| {
            same_uid(&place, &object, old)?;
            Ok(object.clone())
        })
        .await;
    match changed {
        Ok(updated) => Ok(Answer::ok(updated.body(target))),
        Err(status) if status.is(Reason::NotFound) && creates(target, &subresource, &object) => {
            super::apply::authorize_create(server, call)?;
            call.request.body = Some(object);
            create::create(server, call, target).await
        }
        Err(status) => Err(status),
    }
}

fn creates(target: &Target, subresource: &str, object: &serde_json::Value) -> bool {
    let fresh = meta::resource_version_str(object).is_empty() && meta::uid(object).is_empty();
    fresh && subresource.is_empty() && target.strategy.allow_create_on_update()
}

fn check_preconditions(place: &Place, object: &serde_json::Value, target: &Target) -> Result<()> {
    let version = meta::resource_version_str(object);
    let path = Path::new("metadata").child("resourceVersion");
    if version.is_empty() || version == "0" {
        if target.strategy.allow_unconditional_update() {
            return Ok(());
        }
        let error = FieldError::invalid(&path, 0, "must be specified for an update");
        return refuse(target, &place.name, &[error]);
    }
    if version.parse::<u64>().is_err() {
        let quoted = apimachinery::go::quote(version);
        let text = format!("strconv.ParseUint: parsing {quoted}: invalid syntax");
        return refuse(target, &place.name, &[FieldError::invalid(&path, version, text)]);
    }
    Ok(())
}

/// An update that names another uid is meant for an object that is gone.
fn same_uid(place: &Place, new: &serde_json::Value, old: &serde_json::Value) -> Result<()> {
    let (asked, found) = (meta::uid(new), meta::uid(old));
    if asked.is_empty() || asked == found {
        return Ok(());
    }
    let text = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {found}");
    Err(Box::new(Status::conflict(&place.target.group_resource(), &place.name, text)))
}
