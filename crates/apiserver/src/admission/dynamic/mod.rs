//! Admission by what users configure: MutatingAdmissionPolicy, MutatingAdmissionWebhook,
//! ValidatingAdmissionPolicy and ValidatingAdmissionWebhook, in this order. What they decide is in the
//! crate `admission`; here is what they need from a server: configurations, parameters, calls.

mod again;
mod configurations;
mod hooks;
mod params;
mod policies;
mod rights;
mod subject;

pub(crate) use again::Again;
pub(crate) use configurations::Dynamic;
pub(crate) use subject::Subject;

use crate::context::{Call, Result};
use crate::server::Server;
use crate::{fields, limits};
use apimachinery::{Path, field};
use configurations::Current;
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;

/// One pass of a request through everything that is configured.
struct Phase {
    current: Arc<Current>,
    /// When the request has waited long enough.
    deadline: Instant,
}

impl Phase {
    fn begin(server: &Server) -> Phase {
        let deadline = server.env.instant() + limits::ADMISSION_TIME;
        Phase { current: server.dynamic.current(&server.store), deadline }
    }
}

/// Whether anything may change objects.
pub(super) fn mutates(server: &Server) -> bool {
    server.dynamic.current(&server.store).mutates()
}

/// Whether anything may refuse objects.
pub(super) fn validates(server: &Server) -> bool {
    server.dynamic.current(&server.store).validates()
}

/// Lets policies and webhooks change the object of a request, or refuse it.
pub(super) async fn mutate(
    server: &Server,
    call: &mut Call,
    subject: &Subject<'_>,
    mut object: Option<&mut Value>,
    old: Option<&Value>,
    again: &mut Again,
) -> Result<()> {
    let phase = Phase::begin(server);
    let entries = object.as_deref().and_then(|object| object.pointer("/metadata/managedFields")).cloned();
    policies::mutate(server, call, &phase, subject, object.as_deref_mut(), old, again).await?;
    hooks::mutate(server, call, &phase, subject, object.as_deref_mut(), old, again).await?;
    if let Some(object) = object {
        keep_fields(call, object, entries);
    }
    Ok(())
}

/// Managed fields that came out wrong are put back.
fn keep_fields(call: &mut Call, object: &mut Value, before: Option<Value>) {
    if object.pointer("/metadata/managedFields") == before.as_ref() {
        return;
    }
    let errors = fields::validate(object, &Path::new("metadata"));
    if errors.is_empty() {
        return;
    }
    fields::set_entries(object, before.unwrap_or(Value::Null));
    call.warn(format!(
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: {}",
        field::aggregate(&errors)
    ));
}

/// Lets policies and webhooks refuse a request.
pub(super) async fn validate(
    server: &Server,
    call: &mut Call,
    subject: &Subject<'_>,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<()> {
    let phase = Phase::begin(server);
    policies::validate(server, call, &phase, subject, object, old).await?;
    hooks::validate(server, call, &phase, subject, object, old).await
}
