//! Admission: what the cluster adds to or refuses in a write, after authorization and before
//! validation, in upstream's order. One file per plugin.

mod amounts;
mod certificates;
mod default_classes;
mod limit_ranger;
mod namespace;
mod node_restriction;
mod pod_security;
mod pods;
mod quota;
mod rbac;
mod service_account;
mod unsupported;

use crate::context::{Call, Result};
use crate::registry::Place;
use crate::resources::Target;
use crate::server::Server;
use serde_json::Value;

fn is(target: &Target, group: &str, resource: &str) -> bool {
    target.info.group == group && target.info.resource == resource
}

/// A new object. What is returned is held until the object is stored.
pub(crate) async fn admit_create(
    server: &Server,
    call: &mut Call,
    target: &Target,
    namespace: &str,
    object: &mut Value,
) -> Result<quota::Hold> {
    namespace::check_create(server, target, namespace, object)?;
    unsupported::check_create(target, object)?;
    certificates::stamp(call, target, object);
    let pod = is(target, "", "pods");
    limit_ranger::admit(server, target, namespace, object)?;
    if pod {
        service_account::admit(server, target, namespace, object)?;
    }
    rbac::check(server, call, target, object, None)?;
    node_restriction::check_create(call, target, object)?;
    if is(target, "", "nodes") {
        pods::taint_new_node(object);
    }
    if pod {
        pods::priority(server, target, object)?;
        pods::runtime_class(server, target, object)?;
        pods::default_tolerations(object);
    }
    pod_security::check_create(server, call, target, namespace, object)?;
    default_classes::admit(server, target, object)?;
    quota::check_create(server, call, target, namespace, object).await
}

/// A changed object.
pub(crate) async fn admit_update(
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
    if is(&place.target, "", "pods") && subresource.is_empty() {
        pods::default_tolerations(new);
    }
    if matches!(subresource, "" | "ephemeralcontainers") {
        pod_security::check_update(server, call, place, new, old)?;
    }
    Ok(())
}

/// A deletion.
pub(crate) async fn admit_delete(server: &Server, call: &Call, place: &Place) -> Result<()> {
    namespace::check_delete(place)?;
    node_restriction::check_delete(server, call, place)
}
