//! LimitRanger: default requests and limits of a namespace, and the bounds that Pods, containers and
//! volume claims must keep.

use super::amounts::{Amounts, of_pod, read};
use super::is;
use crate::codec;
use crate::context::Result;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Quantity, Status, meta};
use serde_json::Value;
use std::sync::Arc;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

fn ranges(server: &Server, namespace: &str) -> Vec<Arc<Value>> {
    let all = server.store.list(&Target::core("limitranges").prefix(namespace));
    all.iter().map(|entry| codec::tree(entry)).collect()
}

fn limits(range: &Value) -> impl Iterator<Item = &Value> {
    range.pointer("/spec/limits").and_then(Value::as_array).into_iter().flatten()
}

/// Fills in defaults, then refuses what is out of bounds.
pub(super) fn admit(server: &Server, target: &Target, namespace: &str, object: &mut Value) -> Result<()> {
    let (pod, claim) = (is(target, "", "pods"), is(target, "", "persistentvolumeclaims"));
    if !pod && !claim {
        return Ok(());
    }
    let ranges = ranges(server, namespace);
    if pod {
        ranges.iter().for_each(|range| set_defaults(range, object));
    }
    for range in &ranges {
        let errors = if pod { pod_errors(range, object) } else { claim_errors(range, object) };
        if !errors.is_empty() {
            let text = if errors.len() == 1 { errors[0].clone() } else { format!("[{}]", errors.join(", ")) };
            return Err(Box::new(Status::forbidden(&target.group_resource(), meta::name(object), text)));
        }
    }
    Ok(())
}

fn set_defaults(range: &Value, pod: &mut Value) {
    let mut notes = Vec::new();
    for limit in limits(range).filter(|limit| limit["type"] == "Container") {
        for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
            let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                for (from, to, what) in
                    [("defaultRequest", "requests", "request"), ("default", "limits", "limit")]
                {
                    let set = fill(limit, from, container, to);
                    if !set.is_empty() {
                        let name = container["name"].as_str().unwrap_or_default();
                        notes.push(format!("{} {what} for {word} {name}", set.join(", ")));
                    }
                }
            }
        }
    }
    if !notes.is_empty() {
        meta::set_annotation(pod, ANNOTATION, &format!("LimitRanger plugin set: {}", notes.join("; ")));
    }
}

/// Copies defaults that are not set; gives their names.
fn fill(limit: &Value, from: &str, container: &mut Value, to: &str) -> Vec<String> {
    let Some(defaults) = limit[from].as_object() else { return Vec::new() };
    let resources = meta::object_at(meta::as_object_mut(container), "resources");
    let list = meta::object_at(resources, to);
    let mut set = Vec::new();
    for (name, amount) in defaults {
        if !list.contains_key(name) {
            list.insert(name.clone(), amount.clone());
            set.push(name.clone());
        }
    }
    if list.is_empty() {
        resources.remove(to);
    }
    set
}

fn pod_errors(range: &Value, pod: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    for limit in limits(range) {
        match limit["type"].as_str() {
            Some("Container") => {
                for list in ["containers", "initContainers"] {
                    for container in
                        pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array).into_iter().flatten()
                    {
                        let requests = read(container.pointer("/resources/requests"));
                        let limits = read(container.pointer("/resources/limits"));
                        errors.extend(bounds("Container", limit, &requests, &limits));
                    }
                }
            }
            Some("Pod") => {
                errors.extend(bounds("Pod", limit, &of_pod(pod, "requests"), &of_pod(pod, "limits")))
            }
            _ => {}
        }
    }
    errors
}

fn bounds(kind: &str, limit: &Value, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let min = read(limit.get("min"))
        .into_iter()
        .filter_map(|(name, bound)| at_least(kind, &name, bound, requests, limits));
    let max = read(limit.get("max"))
        .into_iter()
        .filter_map(|(name, bound)| at_most(kind, &name, bound, requests, limits));
    let ratio = read(limit.get("maxLimitRequestRatio"));
    let ratio =
        ratio.into_iter().filter_map(|(name, bound)| ratio_at_most(kind, &name, bound, requests, limits));
    min.chain(max).chain(ratio).collect()
}

fn at_least(kind: &str, name: &str, bound: Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let start = format!("minimum {name} usage per {kind} is {bound}");
    match (requests.get(name), limits.get(name)) {
        (None, _) => Some(format!("{start}.  No request is specified")),
        (Some(request), _) if *request < bound => Some(format!("{start}, but request is {request}")),
        (_, Some(limit)) if *limit < bound => Some(format!("{start}, but limit is {limit}")),
        _ => None,
    }
}

fn at_most(kind: &str, name: &str, bound: Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let start = format!("maximum {name} usage per {kind} is {bound}");
    match (requests.get(name), limits.get(name)) {
        (_, None) => Some(format!("{start}.  No limit is specified")),
        (_, Some(limit)) if *limit > bound => Some(format!("{start}, but limit is {limit}")),
        (Some(request), _) if *request > bound => Some(format!("{start}, but request is {request}")),
        _ => None,
    }
}

fn ratio_at_most(
    kind: &str,
    name: &str,
    bound: Quantity,
    requests: &Amounts,
    limits: &Amounts,
) -> Option<String> {
    let start = format!("{name} max limit to request ratio per {kind} is {bound}");
    let set = |amounts: &Amounts| amounts.get(name).map(Quantity::as_f64).filter(|amount| *amount != 0.0);
    let Some(request) = set(requests) else {
        return Some(format!("{start}, but no request is specified or request is 0"));
    };
    let Some(limit) = set(limits) else {
        return Some(format!("{start}, but no limit is specified or limit is 0"));
    };
    let ratio = limit / request;
    (ratio > bound.as_f64()).then(|| format!("{start}, but provided ratio is {ratio:.6}"))
}

fn claim_errors(range: &Value, claim: &Value) -> Vec<String> {
    let requests = read(claim.pointer("/spec/resources/requests"));
    let mut errors = Vec::new();
    for limit in limits(range).filter(|limit| limit["type"] == "PersistentVolumeClaim") {
        for (name, bound) in read(limit.get("min")) {
            errors.extend(at_least("PersistentVolumeClaim", &name, bound, &requests, &Amounts::new()));
        }
        for (name, bound) in read(limit.get("max")) {
            let start = format!("maximum {name} usage per PersistentVolumeClaim is {bound}");
            match requests.get(&name) {
                None => errors.push(format!("{start}.  No request is specified")),
                Some(request) if *request > bound => {
                    errors.push(format!("{start}, but request is {request}"))
                }
                Some(_) => {}
            }
        }
    }
    errors
}
