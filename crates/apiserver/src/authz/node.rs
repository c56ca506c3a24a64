//! The node authorizer: a kubelet sees its own node, the Pods bound to it, and what those refer to
//! (upstream: plugin/pkg/auth/authorizer/node).

use super::Attributes;
use super::rbac::Rule;
use crate::codec;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{fields, meta};
use client::UserInfo;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

/// The name of the node this user is, if it is one.
pub(crate) fn node_name(user: &UserInfo) -> Option<&str> {
    let name = user.name.strip_prefix("system:node:")?;
    user.groups.iter().any(|group| group == "system:nodes").then_some(name)
}

/// What every node may do, apart from the resources below: the rules of the role `system:node`.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let roles = crate::bootstrap::cluster_roles();
    roles.into_iter().find(|(name, _)| name == "system:node").map(|(_, rules)| rules).unwrap_or_default()
});

/// `Err` says why not.
pub(crate) fn decide(server: &Server, node: &str, a: &Attributes<'_>) -> Result<(), String> {
    if !a.path.is_empty() {
        return Err(String::new());
    }
    match (a.group, a.resource) {
        ("", "secrets" | "configmaps" | "persistentvolumeclaims" | "persistentvolumes") => {
            referenced(server, node, a)
        }
        ("", "serviceaccounts") if a.subresource == "token" => token(server, node, a),
        ("", "pods") if matches!(a.verb, "list" | "watch") => selects_own(node, a, "spec.nodeName"),
        ("", "pods") if a.verb == "get" && a.subresource.is_empty() => own_pod(server, node, a),
        ("", "nodes") if a.verb == "get" || a.verb == "list" || a.verb == "watch" => {
            if a.name == node {
                Ok(())
            } else {
                selects_own(node, a, "metadata.name")
            }
        }
        ("coordination.k8s.io", "leases") => lease(node, a),
        ("storage.k8s.io", "csinodes") if a.name.is_empty() && a.verb != "create" || a.name == node => {
            by_rules(a)
        }
        ("storage.k8s.io", "csinodes") => {
            Err("can only access CSINode with the same name as the requesting node".into())
        }
        _ => by_rules(a),
    }
}

fn by_rules(a: &Attributes<'_>) -> Result<(), String> {
    if RULES.iter().any(|rule| rule.allows(a)) { Ok(()) } else { Err(String::new()) }
}

fn selects_own(node: &str, a: &Attributes<'_>, field: &str) -> Result<(), String> {
    let selector = fields::Selector::parse(a.field_selector).unwrap_or_default();
    if selector.exact(field) == Some(node) {
        return Ok(());
    }
    let what = a.resource;
    Err(format!("can only list/watch {what} with {field} field selector"))
}

fn lease(node: &str, a: &Attributes<'_>) -> Result<(), String> {
    if a.namespace != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".into());
    }
    if matches!(a.verb, "create") && a.name.is_empty() || a.name == node {
        return by_rules(a);
    }
    Err("can only access node lease with the same name as the requesting node".into())
}

fn pods_of(server: &Server, node: &str) -> Vec<Arc<Value>> {
    let pods = server.store.list(&Target::core("pods").prefix(""));
    let trees = pods.iter().map(|entry| codec::tree(entry));
    trees.filter(|pod| pod.pointer("/spec/nodeName").and_then(Value::as_str) == Some(node)).collect()
}

fn own_pod(server: &Server, node: &str, a: &Attributes<'_>) -> Result<(), String> {
    let key = Target::core("pods").key(a.namespace, a.name);
    let own = server.store.get(&key).is_some_and(|entry| {
        codec::tree(&entry).pointer("/spec/nodeName").and_then(Value::as_str) == Some(node)
    });
    // A Pod that does not exist may be asked for: the answer is 404.
    if own || server.store.get(&key).is_none() { Ok(()) } else { Err(no_relation(node)) }
}

fn no_relation(node: &str) -> String {
    format!("no relationship found between node '{node}' and this object")
}

/// Secrets, ConfigMaps, claims and volumes: only by name, and only if a Pod of the node uses them.
fn referenced(server: &Server, node: &str, a: &Attributes<'_>) -> Result<(), String> {
    let by_name = fields::Selector::parse(a.field_selector).ok();
    let by_name = by_name.as_ref().and_then(|selector| selector.exact("metadata.name")).unwrap_or_default();
    let name = if a.name.is_empty() { by_name } else { a.name };
    if !matches!(a.verb, "get" | "list" | "watch") || !a.subresource.is_empty() {
        return by_rules(a);
    }
    if name.is_empty() {
        return Err("No Object name found".into());
    }
    let pods = pods_of(server, node);
    let found = match a.resource {
        "persistentvolumes" => pods.iter().any(|pod| uses_volume(server, pod, name)),
        resource => pods.iter().any(|pod| meta::namespace(pod) == a.namespace && refers(pod, resource, name)),
    };
    if found { Ok(()) } else { Err(no_relation(node)) }
}

fn uses_volume(server: &Server, pod: &Value, volume: &str) -> bool {
    let claims = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    claims.filter_map(|v| v.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str)).any(
        |claim| {
            let key = Target::core("persistentvolumeclaims").key(meta::namespace(pod), claim);
            server.store.get(&key).is_some_and(|entry| {
                codec::tree(&entry).pointer("/spec/volumeName").and_then(Value::as_str) == Some(volume)
            })
        },
    )
}

/// Whether a Pod's spec names the object anywhere a kubelet would need it.
fn refers(pod: &Value, resource: &str, name: &str) -> bool {
    let fields: &[&str] = match resource {
        "secrets" => &["secretRef", "secretKeyRef", "secret", "imagePullSecrets", "nodePublishSecretRef"],
        "configmaps" => &["configMapRef", "configMapKeyRef", "configMap"],
        _ => &["persistentVolumeClaim"],
    };
    let generic = resource == "persistentvolumeclaims" && {
        let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
        volumes.filter(|volume| volume.get("ephemeral").is_some()).any(|volume| {
            format!("{}-{}", meta::name(pod), volume["name"].as_str().unwrap_or_default()) == name
        })
    };
    generic || pod.get("spec").is_some_and(|spec| names_under(spec, fields, name))
}

fn names_under(value: &Value, fields: &[&str], name: &str) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(field, inner)| {
            fields.contains(&field.as_str()) && is_named(inner, name) || names_under(inner, fields, name)
        }),
        Value::Array(items) => items.iter().any(|item| names_under(item, fields, name)),
        _ => false,
    }
}

fn is_named(reference: &Value, name: &str) -> bool {
    match reference {
        Value::Array(items) => items.iter().any(|item| is_named(item, name)),
        Value::Object(map) => ["name", "secretName", "claimName"]
            .iter()
            .any(|field| map.get(*field).and_then(Value::as_str) == Some(name)),
        _ => false,
    }
}

fn token(server: &Server, node: &str, a: &Attributes<'_>) -> Result<(), String> {
    if a.verb != "create" {
        return Err("can only create tokens for individual service accounts".into());
    }
    let used = pods_of(server, node).iter().any(|pod| {
        meta::namespace(pod) == a.namespace
            && pod.pointer("/spec/serviceAccountName").and_then(Value::as_str) == Some(a.name)
    });
    if used { Ok(()) } else { Err(no_relation(node)) }
}
