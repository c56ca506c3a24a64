//! ResourceQuota: what a namespace may have in total. Usage is counted from the stored objects, so it
//! is never stale; a lock per server keeps two writes from both taking the last of it.

use super::amounts::{Amounts, add, of_pod, read};
use super::is;
use crate::codec;
use crate::context::{Call, Result};
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Quantity, Status, meta};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

/// Held from the check until the object is stored.
pub(crate) type Hold = Option<OwnedMutexGuard<()>>;

fn one() -> Quantity {
    Quantity::parse("1").unwrap_or_default()
}

/// Refuses an object that would exceed a quota of its namespace.
pub(super) async fn check_create(
    server: &Server,
    call: &Call,
    target: &Target,
    namespace: &str,
    object: &Value,
) -> Result<Hold> {
    if namespace.is_empty() || is(target, "", "resourcequotas") {
        return Ok(None);
    }
    let quotas = server.store.list(&Target::core("resourcequotas").prefix(namespace));
    let quotas: Vec<Arc<Value>> = quotas.iter().map(|entry| codec::tree(entry)).collect();
    if quotas.is_empty() {
        return Ok(None);
    }
    let hold = server.quota.clone().lock_owned().await;
    let _a_dry_run_is_checked_too = call.dry_run();
    for quota in quotas {
        check_one(server, &quota, target, namespace, object)?;
    }
    Ok(Some(hold))
}

fn check_one(server: &Server, quota: &Value, target: &Target, namespace: &str, object: &Value) -> Result<()> {
    if is(target, "", "pods") && !in_scope(quota, object) {
        return Ok(());
    }
    let hard = read(quota.pointer("/spec/hard"));
    let asked = usage(target, object);
    let asked: Amounts = asked.into_iter().filter(|(name, _)| hard.contains_key(name)).collect();
    let forbidden =
        |text: String| Err(Box::new(Status::forbidden(&target.group_resource(), meta::name(object), text)));
    if is(target, "", "pods") {
        let missing = unspecified(&hard, object);
        if !missing.is_empty() {
            return forbidden(format!(
                "failed quota: {}: must specify {}",
                meta::name(quota),
                missing.join("; ")
            ));
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let mut used = Amounts::new();
    let stored = server.store.list(&target.prefix(namespace));
    for other in stored.iter().map(codec_tree).filter(|other| counts(target, quota, other)) {
        add(&mut used, &usage(target, &other));
    }
    let over: Vec<&String> = asked
        .iter()
        .filter(|(name, amount)| {
            let sum = used.get(*name).map_or(**amount, |used| *used + **amount);
            amount.as_f64() > 0.0 && hard.get(*name).is_some_and(|hard| sum > *hard)
        })
        .map(|(name, _)| name)
        .collect();
    if over.is_empty() {
        return Ok(());
    }
    let show = |amounts: &Amounts| {
        let zero = Quantity::default();
        over.iter()
            .map(|name| format!("{name}={}", amounts.get(*name).unwrap_or(&zero)))
            .collect::<Vec<_>>()
            .join(",")
    };
    forbidden(format!(
        "exceeded quota: {}, requested: {}, used: {}, limited: {}",
        meta::name(quota),
        show(&asked),
        show(&used),
        show(&hard)
    ))
}

fn codec_tree(entry: &Arc<store::Entry>) -> Arc<Value> {
    codec::tree(entry)
}

/// Pods that have ended use nothing.
fn counts(target: &Target, quota: &Value, object: &Value) -> bool {
    if !is(target, "", "pods") {
        return true;
    }
    let phase = object.pointer("/status/phase").and_then(Value::as_str);
    !matches!(phase, Some("Succeeded" | "Failed")) && in_scope(quota, object)
}

/// What one object uses of everything that can be limited.
fn usage(target: &Target, object: &Value) -> Amounts {
    let mut used = Amounts::new();
    let (group, resource) = (target.info.group, target.info.resource);
    let counted =
        if group.is_empty() { format!("count/{resource}") } else { format!("count/{resource}.{group}") };
    used.insert(counted, one());
    match (group, resource) {
        ("", "pods") => {
            used.insert("pods".into(), one());
            for (name, amount) in of_pod(object, "requests") {
                if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
                    used.insert(name.clone(), amount);
                }
                used.insert(format!("requests.{name}"), amount);
            }
            for (name, amount) in of_pod(object, "limits") {
                used.insert(format!("limits.{name}"), amount);
            }
        }
        ("", "services") => {
            used.insert("services".into(), one());
            let kind = object.pointer("/spec/type").and_then(Value::as_str).unwrap_or_default();
            let ports = object.pointer("/spec/ports").and_then(Value::as_array).map_or(0, Vec::len);
            if kind == "LoadBalancer" {
                used.insert("services.loadbalancers".into(), one());
            }
            if matches!(kind, "NodePort" | "LoadBalancer") {
                used.insert(
                    "services.nodeports".into(),
                    Quantity::parse(&ports.to_string()).unwrap_or_default(),
                );
            }
        }
        ("", "persistentvolumeclaims") => {
            used.insert("persistentvolumeclaims".into(), one());
            if let Some(size) = read(object.pointer("/spec/resources/requests")).get("storage") {
                used.insert("requests.storage".into(), *size);
                if let Some(class) = object.pointer("/spec/storageClassName").and_then(Value::as_str) {
                    let class = format!("{class}.storageclass.storage.k8s.io");
                    used.insert(format!("{class}/requests.storage"), *size);
                    used.insert(format!("{class}/persistentvolumeclaims"), one());
                }
            }
        }
        ("", "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas") => {
            used.insert(resource.into(), one());
        }
        _ => {}
    }
    used
}

/// Limited compute resources that a container does not name, as upstream lists them.
fn unspecified(hard: &Amounts, pod: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    let has_pod_level = pod.pointer("/spec/resources").is_some_and(|r| !r.is_null());
    for name in hard.keys() {
        let (list, resource) = match name.split_once('.') {
            Some((list @ ("requests" | "limits"), resource)) => (list, resource),
            _ if matches!(name.as_str(), "cpu" | "memory") => ("requests", name.as_str()),
            _ => continue,
        };
        if !matches!(resource, "cpu" | "memory") || has_pod_level {
            continue;
        }
        let containers =
            ["containers", "initContainers"].into_iter().filter_map(|list| pod["spec"][list].as_array());
        let without =
            containers.flatten().filter(|container| container["resources"][list].get(resource).is_none());
        let names: Vec<&str> = without.filter_map(|container| container["name"].as_str()).collect();
        if !names.is_empty() {
            missing.push(format!("{name} for: {}", names.join(",")));
        }
    }
    missing
}

/// Whether a quota's scopes take in this Pod.
fn in_scope(quota: &Value, pod: &Value) -> bool {
    let deadline = pod.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_i64).is_some();
    let empty = of_pod(pod, "requests").is_empty() && of_pod(pod, "limits").is_empty();
    let class = pod.pointer("/spec/priorityClassName").and_then(Value::as_str).unwrap_or_default();
    let one = |scope: &str, operator: &str, values: &[&str]| match scope {
        "Terminating" => deadline,
        "NotTerminating" => !deadline,
        "BestEffort" => empty,
        "NotBestEffort" => !empty,
        "PriorityClass" => match operator {
            "In" => values.contains(&class),
            "NotIn" => !values.contains(&class),
            "DoesNotExist" => class.is_empty(),
            _ => !class.is_empty(),
        },
        _ => false,
    };
    let scopes = quota.pointer("/spec/scopes").and_then(Value::as_array).into_iter().flatten();
    let selector =
        quota.pointer("/spec/scopeSelector/matchExpressions").and_then(Value::as_array).into_iter().flatten();
    let mut scopes = scopes.filter_map(Value::as_str);
    let mut selector = selector.map(|term| {
        let values: Vec<&str> =
            term["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        (
            term["scopeName"].as_str().unwrap_or_default(),
            term["operator"].as_str().unwrap_or_default(),
            values,
        )
    });
    scopes.all(|scope| one(scope, "Exists", &[]))
        && selector.all(|(scope, operator, values)| one(scope, operator, &values))
}
