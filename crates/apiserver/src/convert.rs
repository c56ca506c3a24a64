//! Kinds served in several versions share one stored object: events (core and events.k8s.io) and
//! horizontal pod autoscalers (v1 and v2). Pure renaming; nothing is lost on the way there and back.

use api::ResourceInfo;
use serde_json::{Map, Value, json};

/// Group and version in which a resource is stored.
pub(crate) fn stored_version(info: &ResourceInfo) -> (&'static str, &'static str) {
    match (info.group, info.resource) {
        ("events.k8s.io", "events") => ("", "v1"),
        ("autoscaling", "horizontalpodautoscalers") => ("autoscaling", "v2"),
        _ => (info.group, info.version),
    }
}

/// Converts between two served versions of the same kind.
pub(crate) fn convert(object: &mut Value, from: &ResourceInfo, to: &ResourceInfo) {
    let Some(map) = object.as_object_mut() else { return };
    match (from.group, from.version, to.group, to.version) {
        ("", "v1", "events.k8s.io", _) => rename(map, EVENT_FIELDS, false),
        ("events.k8s.io", _, "", "v1") => rename(map, EVENT_FIELDS, true),
        ("autoscaling", "v2", "autoscaling", "v1") => hpa_to_v1(map),
        ("autoscaling", "v1", "autoscaling", "v2") => hpa_to_v2(map),
        _ => {}
    }
    map.insert("apiVersion".into(), to.api_version().into());
    map.insert("kind".into(), to.kind.into());
    normalize(object, to);
}

/// Versions differ in which empty fields they print.
fn normalize(object: &mut Value, to: &ResourceInfo) {
    if let Some(ty) = schema::table().kind(to.group, to.version, to.kind)
        && let Ok(decoded) = schema::decode_value(ty, object.clone())
    {
        *object = decoded.object;
        apimachinery::meta::set_gvk(object, &to.gvk());
    }
}

/// Field of core/v1, field of events.k8s.io/v1.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename(map: &mut Map<String, Value>, fields: &[(&str, &str)], back: bool) {
    for (core, other) in fields {
        let (from, to) = if back { (other, core) } else { (core, other) };
        if let Some(value) = map.remove(*from) {
            map.insert((*to).into(), value);
        }
    }
}

/// The annotation in which v1 carries the metrics it has no field for (upstream's name).
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

fn is_cpu_utilization(metric: &Value) -> bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
}

fn hpa_to_v1(map: &mut Map<String, Value>) {
    let mut kept: Vec<(&str, Value)> = Vec::new();
    if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) {
        let mut metrics = take_array(spec, "metrics");
        let cpu =
            |m: &Value| is_cpu_utilization(m) && !m["resource"]["target"]["averageUtilization"].is_null();
        if let Some(at) = metrics.iter().position(cpu) {
            let metric = metrics.remove(at);
            let target = metric["resource"]["target"]["averageUtilization"].clone();
            spec.insert("targetCPUUtilizationPercentage".into(), target);
        }
        if !metrics.is_empty() {
            kept.push((METRICS, metrics.into()));
        }
        if let Some(behavior) = spec.remove("behavior") {
            kept.push((BEHAVIOR, behavior));
        }
    }
    if let Some(status) = map.get_mut("status").and_then(Value::as_object_mut) {
        let mut metrics = take_array(status, "currentMetrics");
        if let Some(at) = metrics.iter().position(is_cpu_utilization) {
            let current = metrics.remove(at)["resource"]["current"]["averageUtilization"].clone();
            if !current.is_null() {
                status.insert("currentCPUUtilizationPercentage".into(), current);
            }
        }
        if !metrics.is_empty() {
            kept.push((CURRENT_METRICS, metrics.into()));
        }
        let conditions = take_array(status, "conditions");
        if !conditions.is_empty() {
            kept.push((CONDITIONS, conditions.into()));
        }
    }
    let metadata = apimachinery::meta::object_at(map, "metadata");
    for (name, value) in kept {
        apimachinery::meta::object_at(metadata, "annotations").insert(name.into(), value.to_string().into());
    }
}

fn hpa_to_v2(map: &mut Map<String, Value>) {
    let mut taken = |name: &str| -> Option<Value> {
        let annotations = map.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()?;
        serde_json::from_str(annotations.remove(name)?.as_str()?).ok()
    };
    let (metrics, behavior) = (taken(METRICS), taken(BEHAVIOR));
    let (current, conditions) = (taken(CURRENT_METRICS), taken(CONDITIONS));
    if let Some(Value::Object(metadata)) = map.get_mut("metadata")
        && metadata.get("annotations").is_some_and(|a| a.as_object().is_some_and(Map::is_empty))
    {
        metadata.remove("annotations");
    }
    if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) {
        let mut all = metrics.and_then(|m| m.as_array().cloned()).unwrap_or_default();
        if let Some(target) = spec.remove("targetCPUUtilizationPercentage") {
            let target = json!({"type": "Utilization", "averageUtilization": target});
            all.insert(0, json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        insert_some(spec, "metrics", (!all.is_empty()).then(|| all.into()));
        insert_some(spec, "behavior", behavior);
    }
    if let Some(status) = map.get_mut("status").and_then(Value::as_object_mut) {
        let mut all = current.and_then(|m| m.as_array().cloned()).unwrap_or_default();
        if let Some(percent) = status.remove("currentCPUUtilizationPercentage") {
            let current = json!({"averageUtilization": percent, "averageValue": "0"});
            all.insert(0, json!({"type": "Resource", "resource": {"name": "cpu", "current": current}}));
        }
        insert_some(status, "currentMetrics", (!all.is_empty()).then(|| all.into()));
        insert_some(status, "conditions", conditions);
    }
}

fn take_array(map: &mut Map<String, Value>, name: &str) -> Vec<Value> {
    match map.remove(name) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn insert_some(map: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(name.into(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(mut object: Value, from: (&str, &str, &str), to: (&str, &str, &str)) -> Value {
        let (from, to) = (api::find(from.0, from.1, from.2).unwrap(), api::find(to.0, to.1, to.2).unwrap());
        normalize(&mut object, from);
        let mut copy = object.clone();
        convert(&mut copy, from, to);
        let there = copy.clone();
        convert(&mut copy, to, from);
        assert_eq!(copy, object);
        there
    }

    #[test]
    fn events_and_autoscalers_convert_without_loss() {
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "count": 3,
            "involvedObject": {"kind": "Pod"}, "message": "m", "source": {"component": "c"},
            "reportingComponent": "", "reportingInstance": ""});
        let seen = there_and_back(event, ("", "v1", "events"), ("events.k8s.io", "v1", "events"));
        assert_eq!(seen["note"], "m");
        assert_eq!(seen["deprecatedCount"], 3);
        let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "behavior": {"scaleUp": {}}, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
                {"type": "Pods", "pods": {"metric": {"name": "x"}}}]}});
        let name = "horizontalpodautoscalers";
        let seen = there_and_back(hpa, ("autoscaling", "v2", name), ("autoscaling", "v1", name));
        assert_eq!(seen["spec"]["targetCPUUtilizationPercentage"], 80);
    }
}
