//! Defaults of the core kinds that are not Pods.

use super::Rule;
use crate::read::{fill, fill_empty, is_empty};
use apimachinery::meta;
use apimachinery::quantity::Quantity;
use serde_json::{Map, Value, json};

/// Three hours, the stickiness of a Service by client address.
const AFFINITY_SECONDS: u64 = 10_800;

pub(super) const RULES: &[(&str, Rule)] = &[
    ("core.v1.Service", service),
    ("core.v1.Secret", |secret| fill_empty(secret, "type", "Opaque")),
    ("core.v1.Namespace", namespace),
    ("core.v1.Node", node),
    ("core.v1.ReplicationController", replication_controller),
    ("core.v1.ReplicationControllerSpec", |spec| fill(spec, "replicas", 1)),
    ("core.v1.PersistentVolume", persistent_volume),
    ("core.v1.PersistentVolumeClaim", claim),
    ("core.v1.PersistentVolumeClaimSpec", |spec| fill(spec, "volumeMode", "Filesystem")),
    ("core.v1.EndpointPort", |port| fill_empty(port, "protocol", "TCP")),
    ("core.v1.LimitRangeItem", limit_range_item),
];

/// Rounds every amount up to a thousandth; others stay as they are written.
pub(super) fn round_up(list: &mut Map<String, Value>) {
    for value in list.values_mut() {
        let Some(amount) = crate::read::quantity(value) else { continue };
        let milli = amount.milli_value();
        let rounded = Quantity::parse(&format!("{milli}m"));
        if let Ok(rounded) = rounded
            && milli < i64::MAX
            && rounded > amount
        {
            *value = rounded.to_string().into();
        }
    }
}

fn service(service: &mut Map<String, Value>) {
    let lb_addresses = |service: &mut Map<String, Value>| {
        let ingress = service.get_mut("status").and_then(|s| s.pointer_mut("/loadBalancer/ingress"));
        for entry in
            ingress.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
        {
            if entry.get("ip").is_some_and(|ip| !is_empty(ip)) {
                fill(entry, "ipMode", "VIP");
            }
        }
    };
    let Some(Value::Object(spec)) = service.get_mut("spec") else { return };
    fill_empty(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "None" {
        spec.remove("sessionAffinityConfig");
    } else if spec["sessionAffinity"] == "ClientIP" {
        let seconds = spec.get("sessionAffinityConfig").and_then(|c| c.pointer("/clientIP/timeoutSeconds"));
        if seconds.is_none_or(Value::is_null) {
            spec.insert(
                "sessionAffinityConfig".into(),
                json!({"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}}),
            );
        }
    }
    fill_empty(spec, "type", "ClusterIP");
    for port in spec
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        fill_empty(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or(0.into());
        fill_empty(port, "targetPort", number);
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    let external_ips = spec.get("externalIPs").is_some_and(|ips| !is_empty(ips));
    if matches!(kind.as_str(), "LoadBalancer" | "NodePort") || kind == "ClusterIP" && external_ips {
        fill_empty(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "LoadBalancer" | "NodePort" | "ClusterIP") {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
        lb_addresses(service);
    }
}

fn namespace(namespace: &mut Map<String, Value>) {
    let metadata = meta::object_at(namespace, "metadata");
    if let Some(name) =
        metadata.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned)
    {
        meta::object_at(metadata, "labels").insert("kubernetes.io/metadata.name".into(), name.into());
    }
    fill_empty(meta::object_at(namespace, "status"), "phase", "Active");
}

fn node(node: &mut Map<String, Value>) {
    let Some(Value::Object(status)) = node.get_mut("status") else { return };
    if let Some(Value::Object(list)) = status.get_mut("capacity") {
        round_up(list);
    }
    if let Some(capacity) = status.get("capacity").filter(|c| !is_empty(c)).cloned() {
        fill(status, "allocatable", capacity);
    }
    if let Some(Value::Object(list)) = status.get_mut("allocatable") {
        round_up(list);
    }
}

fn replication_controller(controller: &mut Map<String, Value>) {
    let labels = controller.get("spec").and_then(|spec| spec.pointer("/template/metadata/labels")).cloned();
    let Some(labels) = labels.filter(|labels| !is_empty(labels)) else { return };
    if let Some(Value::Object(spec)) = controller.get_mut("spec") {
        fill_empty(spec, "selector", labels.clone());
    }
    fill_empty(meta::object_at(controller, "metadata"), "labels", labels);
}

fn persistent_volume(volume: &mut Map<String, Value>) {
    fill_empty(meta::object_at(volume, "status"), "phase", "Pending");
    let spec = meta::object_at(volume, "spec");
    fill_empty(spec, "persistentVolumeReclaimPolicy", "Retain");
    fill(spec, "volumeMode", "Filesystem");
    if let Some(Value::Object(list)) = spec.get_mut("capacity") {
        round_up(list);
    }
}

fn claim(claim: &mut Map<String, Value>) {
    fill_empty(meta::object_at(claim, "status"), "phase", "Pending");
}

/// For containers: the limit defaults to the maximum, the request to the limit, else the minimum.
fn limit_range_item(item: &mut Map<String, Value>) {
    for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        if let Some(Value::Object(list)) = item.get_mut(field) {
            round_up(list);
        }
    }
    if item.get("type").is_none_or(|kind| kind != "Container") {
        return;
    }
    let list = |item: &Map<String, Value>, field: &str| {
        item.get(field).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        let mut target = list(item, to);
        for (name, amount) in list(item, from) {
            target.entry(name).or_insert(amount);
        }
        if !target.is_empty() {
            item.insert(to.into(), target.into());
        }
    }
}
