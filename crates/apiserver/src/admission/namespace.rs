//! NamespaceLifecycle: nothing is created in a namespace that does not exist or is going away; the
//! system's own namespaces stay.

use super::is;
use crate::codec;
use crate::context::Result;
use crate::registry::Place;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::status::{Cause, Details};
use apimachinery::{Status, meta};
use serde_json::Value;

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(super) fn check_create(server: &Server, target: &Target, namespace: &str, object: &Value) -> Result<()> {
    if !target.info.namespaced {
        return Ok(());
    }
    let namespaces = Target::core("namespaces");
    let Some(entry) = server.store.get(&namespaces.key("", namespace)) else {
        return Err(Box::new(Status::not_found(&namespaces.group_resource(), namespace)));
    };
    let found = codec::tree(&entry);
    if !meta::is_deleting(&found)
        && found.pointer("/status/phase").and_then(Value::as_str) != Some("Terminating")
    {
        return Ok(());
    }
    let text =
        format!("unable to create new content in namespace {namespace} because it is being terminated");
    let status = Status::forbidden(&target.group_resource(), meta::name(object), text);
    let details = status.details.as_deref().cloned().unwrap_or_default();
    let cause = Cause {
        reason: "NamespaceTerminating".into(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".into(),
    };
    Err(Box::new(status.with_details(Details { causes: vec![cause], ..details })))
}

pub(super) fn check_delete(place: &Place) -> Result<()> {
    if is(&place.target, "", "namespaces") && IMMORTAL.contains(&place.name.as_str()) {
        let resource = place.target.group_resource();
        return Err(Box::new(Status::forbidden(&resource, &place.name, "this namespace may not be deleted")));
    }
    Ok(())
}
