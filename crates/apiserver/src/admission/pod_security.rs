//! PodSecurity: the Pod Security Standards that a namespace asks for with its labels
//! (`pod-security.kubernetes.io/enforce|warn[-version]`). Without labels everything is privileged.
//!
//! Every `-version` label is shown as given; the checks are those of the newest version.

mod checks;

use super::is;
use crate::codec;
use crate::context::{Call, Result};
use crate::registry::Place;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Status, go, meta};
use serde_json::Value;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level and the version it was asked for in.
struct Policy {
    level: Level,
    shown: String,
}

fn policy(namespace: &Value, mode: &str) -> Policy {
    let label = |suffix: &str| meta::label(namespace, &format!("pod-security.kubernetes.io/{mode}{suffix}"));
    let level = match label("") {
        None | Some("privileged") => Level::Privileged,
        Some("baseline") => Level::Baseline,
        // What cannot be understood is as strict as can be.
        Some(_) => Level::Restricted,
    };
    let name = match level {
        Level::Privileged => "privileged",
        Level::Baseline => "baseline",
        Level::Restricted => "restricted",
    };
    Policy { level, shown: format!("{name}:{}", label("-version").unwrap_or("latest")) }
}

/// Where a kind keeps its Pod's metadata and spec.
fn template(target: &Target) -> Option<&'static str> {
    Some(match (target.info.group, target.info.resource) {
        ("", "pods") => "",
        ("", "replicationcontrollers") => "/spec/template",
        ("", "podtemplates") => "/template",
        ("apps", "deployments" | "daemonsets" | "replicasets" | "statefulsets") | ("batch", "jobs") => {
            "/spec/template"
        }
        ("batch", "cronjobs") => "/spec/jobTemplate/spec/template",
        _ => return None,
    })
}

fn namespace_of(server: &Server, name: &str) -> Option<std::sync::Arc<Value>> {
    let entry = server.store.get(&Target::core("namespaces").key("", name))?;
    Some(codec::tree(&entry))
}

/// Checks a new object: Pods may be refused, what makes Pods only gets a warning.
pub(super) fn check_create(
    server: &Server,
    call: &mut Call,
    target: &Target,
    namespace: &str,
    object: &Value,
) -> Result<()> {
    let Some(at) = template(target) else { return Ok(()) };
    let Some(namespace) = namespace_of(server, namespace) else { return Ok(()) };
    let Some(pod) = object.pointer(at) else { return Ok(()) };
    if is(target, "", "pods") {
        enforce(&namespace, target, meta::name(object), pod)?;
    }
    warn(&namespace, call, pod);
    Ok(())
}

/// Checks a changed object, if the change can matter.
pub(super) fn check_update(
    server: &Server,
    call: &mut Call,
    place: &Place,
    new: &Value,
    old: &Value,
) -> Result<()> {
    if template(&place.target).is_none() || new.get("spec") == old.get("spec") {
        return Ok(());
    }
    check_create(server, call, &place.target, &place.namespace, new)
}

fn enforce(namespace: &Value, target: &Target, name: &str, pod: &Value) -> Result<()> {
    let policy = policy(namespace, "enforce");
    match checks::violations(policy.level, pod) {
        None => Ok(()),
        Some(text) => {
            let text = format!("violates PodSecurity {}: {text}", go::quote(&policy.shown));
            Err(Box::new(Status::forbidden(&target.group_resource(), name, text)))
        }
    }
}

fn warn(namespace: &Value, call: &mut Call, pod: &Value) {
    let policy = policy(namespace, "warn");
    if let Some(text) = checks::violations(policy.level, pod) {
        call.warn(format!("would violate PodSecurity {}: {text}", go::quote(&policy.shown)));
    }
}
