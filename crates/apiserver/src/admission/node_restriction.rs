//! NodeRestriction: a kubelet writes only its own Node, Lease and CSINode, and Pods bound to it.

use super::is;
use crate::authz::node::node_name;
use crate::codec;
use crate::context::{Call, Result};
use crate::registry::Place;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Status, go, meta};
use serde_json::Value;

fn deny(target: &Target, name: &str, text: impl std::fmt::Display) -> Result<()> {
    Err(Box::new(Status::forbidden(&target.group_resource(), name, text)))
}

fn bound_to(pod: &Value, node: &str) -> bool {
    pod.pointer("/spec/nodeName").and_then(Value::as_str) == Some(node)
}

pub(super) fn check_create(call: &Call, target: &Target, object: &Value) -> Result<()> {
    let Some(node) = node_name(&call.user) else { return Ok(()) };
    let name = meta::name(object);
    let quoted = go::quote(node);
    if is(target, "", "nodes") && name != node {
        return deny(
            target,
            name,
            format!("node {quoted} is not allowed to modify node {}", go::quote(name)),
        );
    }
    if is(target, "coordination.k8s.io", "leases") {
        if meta::namespace(object) != "kube-node-lease" {
            return deny(target, name, "can only access leases in the \"kube-node-lease\" system namespace");
        }
        if name != node {
            return deny(
                target,
                name,
                "can only access node lease with the same name as the requesting node",
            );
        }
    }
    if is(target, "", "pods") {
        if meta::annotation(object, "kubernetes.io/config.mirror").is_none() {
            let text = format!(
                "pod does not have \"kubernetes.io/config.mirror\" annotation, node {quoted} can only create mirror pods"
            );
            return deny(target, name, text);
        }
        if !bound_to(object, node) {
            return deny(
                target,
                name,
                format!("node {quoted} can only create pods with spec.nodeName set to itself"),
            );
        }
    }
    Ok(())
}

pub(super) fn check_update(
    server: &Server,
    call: &Call,
    place: &Place,
    subresource: &str,
    new: &Value,
    old: &Value,
) -> Result<()> {
    let Some(node) = node_name(&call.user) else { return Ok(()) };
    let _state_of_other_objects = server;
    let quoted = go::quote(node);
    if is(&place.target, "", "nodes") {
        if place.name != node {
            return deny(
                &place.target,
                &place.name,
                format!("node {quoted} is not allowed to modify node {}", go::quote(&place.name)),
            );
        }
        let taints = |object: &Value| object.pointer("/spec/taints").cloned();
        if subresource.is_empty() && taints(new) != taints(old) {
            return deny(
                &place.target,
                &place.name,
                format!("node {quoted} is not allowed to modify taints"),
            );
        }
        let changed = protected_labels(new, old);
        if !changed.is_empty() {
            return deny(
                &place.target,
                &place.name,
                format!("is not allowed to modify labels: {}", changed.join(", ")),
            );
        }
    }
    if is(&place.target, "", "pods") && !bound_to(old, node) {
        return deny(
            &place.target,
            &place.name,
            format!("node {quoted} can only update pod status for pods with spec.nodeName set to itself"),
        );
    }
    Ok(())
}

/// Labels that only administrators set (the prefix `node-restriction.kubernetes.io/`).
fn protected_labels(new: &Value, old: &Value) -> Vec<String> {
    let protected = |key: &str| {
        let domain = key.split('/').next().unwrap_or_default();
        key.contains('/')
            && (domain == "node-restriction.kubernetes.io"
                || domain.ends_with(".node-restriction.kubernetes.io"))
    };
    let keys = [new, old].into_iter().filter_map(meta::labels).flat_map(|labels| labels.keys().cloned());
    let mut changed: Vec<String> =
        keys.filter(|key| protected(key) && meta::label(new, key) != meta::label(old, key)).collect();
    changed.sort();
    changed.dedup();
    changed
}

pub(super) fn check_delete(server: &Server, call: &Call, place: &Place) -> Result<()> {
    let Some(node) = node_name(&call.user) else { return Ok(()) };
    let quoted = go::quote(node);
    if is(&place.target, "", "nodes") && place.name != node {
        return deny(
            &place.target,
            &place.name,
            format!("node {quoted} is not allowed to modify node {}", go::quote(&place.name)),
        );
    }
    if is(&place.target, "", "pods")
        && let Some(entry) = server.store.get(&place.key())
        && !bound_to(&codec::tree(&entry), node)
    {
        return deny(
            &place.target,
            &place.name,
            format!("node {quoted} can only delete pods with spec.nodeName set to itself"),
        );
    }
    Ok(())
}
