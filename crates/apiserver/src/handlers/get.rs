//! GET of one object.

use crate::context::{Answer, Body, Call, Result};
use crate::registry::{Place, store_status};
use crate::resources::Target;
use crate::server::Server;
use apimachinery::Status;

pub(crate) async fn get(server: &Server, call: &Call, target: &Target) -> Result<Answer> {
    let place = Place::new(target, &call.request.namespace, &call.request.name);
    match parse_revision(&call.options().resource_version)? {
        None => {
            server.store.consistent().await.map_err(|error| store_status(&place, &error))?;
        }
        Some(0) => {}
        Some(revision) => {
            server.store.wait_for(revision).await.map_err(|error| store_status(&place, &error))?;
        }
    }
    let entry = server.store.get(&place.key()).ok_or_else(|| place.not_found())?;
    let entry = server.present_one(target, entry).await?;
    Ok(Answer::ok(Body::Stored(target.clone(), entry)))
}

/// A resourceVersion as clients write it; empty means "the latest".
pub(crate) fn parse_revision(text: &str) -> Result<Option<u64>> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Box::new(Status::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {0}: strconv.ParseUint: parsing {0}: invalid syntax",
            apimachinery::go::quote(text)
        )))
    })
}
