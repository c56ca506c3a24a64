//! What this server would have to act on but does not yet is refused, so that nobody relies on it:
//! aggregated APIs, and containers added to a running Pod: a client such as `kubectl debug` would wait
//! for them for ever.

use crate::context::Result;
use crate::registry::Place;
use crate::resources::Target;
use apimachinery::{Status, meta};
use serde_json::Value;

pub(super) fn check_create(target: &Target, object: &Value) -> Result<()> {
    let what = match (target.info.group, target.info.resource) {
        ("apiregistration.k8s.io", "apiservices") => "aggregated APIs are not served",
        _ => return Ok(()),
    };
    let text = format!("{what} by this version of the API server");
    Err(Box::new(Status::forbidden(&target.group_resource(), meta::name(object), text)))
}

pub(super) fn check_update(place: &Place, subresource: &str, new: &Value) -> Result<()> {
    if subresource != "ephemeralcontainers" {
        return Ok(());
    }
    let text = "ephemeral containers are not run by this version of the node";
    Err(Box::new(Status::forbidden(&place.target.group_resource(), meta::name(new), text)))
}
