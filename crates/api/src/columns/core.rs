//! Rows of the core kinds besides Pods and workloads.

use super::{Cells, age, count, labels, or, pod, since, with_more};
use crate::read::{at, flag, has, int, list, map, opt_text, text, texts, time};
use apimachinery::{Time, meta};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

pub(super) const CELLS: &[(&str, &str, Cells)] = &[
    ("", "pods", pod::cells),
    ("", "componentstatuses", component_status),
    ("", "configmaps", config_map),
    ("", "endpoints", endpoints),
    ("", "events", event),
    ("events.k8s.io", "events", event),
    ("", "namespaces", |o, now| {
        vec![meta::name(o).into(), text(at(o, "status"), "phase").into(), age(o, now)]
    }),
    ("", "nodes", node),
    ("", "persistentvolumeclaims", claim),
    ("", "persistentvolumes", volume),
    ("", "resourcequotas", quota),
    ("", "secrets", secret),
    ("", "serviceaccounts", |o, now| vec![meta::name(o).into(), age(o, now)]),
    ("", "services", service),
    ("coordination.k8s.io", "leases", lease),
    ("discovery.k8s.io", "endpointslices", endpoint_slice),
];

fn component_status(object: &Value, _: Time) -> Vec<Value> {
    let condition = list(object, "conditions").iter().find(|c| text(c, "type") == "Healthy");
    let name = meta::name(object);
    match condition {
        Some(c) => {
            let status = if text(c, "status") == "True" { "Healthy" } else { "Unhealthy" };
            vec![name.into(), status.into(), text(c, "message").into(), text(c, "error").into()]
        }
        None => vec![name.into(), "Unknown".into(), "".into(), "".into()],
    }
}

fn config_map(object: &Value, now: Time) -> Vec<Value> {
    let keys = map(object, "data").count() + map(object, "binaryData").count();
    vec![meta::name(object).into(), keys.into(), age(object, now)]
}

fn secret(object: &Value, now: Time) -> Vec<Value> {
    vec![
        meta::name(object).into(),
        text(object, "type").into(),
        map(object, "data").count().into(),
        age(object, now),
    ]
}

fn lease(object: &Value, now: Time) -> Vec<Value> {
    vec![meta::name(object).into(), text(at(object, "spec"), "holderIdentity").into(), age(object, now)]
}

fn host_port(host: &str, port: i64) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn endpoints(object: &Value, now: Time) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in list(object, "subsets") {
        let addresses = || list(subset, "addresses").iter().map(|a| text(a, "ip"));
        if list(subset, "ports").is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in list(subset, "ports") {
            all.extend(addresses().map(|ip| host_port(ip, int(port, "port").unwrap_or(0))));
        }
    }
    let text = match (list(object, "subsets").is_empty(), all.is_empty()) {
        (true, _) => "<none>".to_owned(),
        (false, true) => String::new(),
        _ => with_more(all, 3),
    };
    vec![meta::name(object).into(), text.into(), age(object, now)]
}

fn endpoint_slice(object: &Value, now: Time) -> Vec<Value> {
    let port = |port: &Value| match int(port, "port") {
        Some(number) => number.to_string(),
        None => opt_text(port, "name").unwrap_or("*").to_owned(),
    };
    let ports = list(object, "ports").iter().map(port).collect();
    let addresses =
        list(object, "endpoints").iter().flat_map(|e| texts(e, "addresses")).map(str::to_owned).collect();
    vec![
        meta::name(object).into(),
        text(object, "addressType").into(),
        with_more(ports, 3).into(),
        with_more(addresses, 3).into(),
        age(object, now),
    ]
}

/// Both versions: `events.k8s.io` calls the fields of core Events differently.
fn event(object: &Value, now: Time) -> Vec<Value> {
    let either = |core: &str, new: &str| if has(object, core) { at(object, core) } else { at(object, new) };
    let stamp = |core: &str, new: &str| time(object, core).or_else(|| time(object, new));
    let first = stamp("firstTimestamp", "deprecatedFirstTimestamp").or_else(|| time(object, "eventTime"));
    let series = at(object, "series");
    let last = stamp("lastTimestamp", "deprecatedLastTimestamp").or(first);
    let number = either("count", "deprecatedCount").as_i64().unwrap_or(0);
    let (last, number) = if has(object, "series") {
        (time(series, "lastObservedTime"), int(series, "count").unwrap_or(0))
    } else {
        (last, number.max(1))
    };
    let target = either("involvedObject", "regarding");
    let mut name = text(target, "kind").to_lowercase();
    if !text(target, "name").is_empty() {
        let _infallible = write!(name, "/{}", text(target, "name"));
    }
    let source = either("source", "deprecatedSource");
    let controller = or(text(object, "reportingComponent"), text(object, "reportingController"));
    let component = or(text(source, "component"), controller);
    let instance = or(text(source, "host"), text(object, "reportingInstance"));
    let source = if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") };
    vec![
        since(last, now).into(),
        text(object, "type").into(),
        text(object, "reason").into(),
        name.into(),
        text(target, "fieldPath").into(),
        source.into(),
        either("message", "note").as_str().unwrap_or_default().trim().into(),
        since(first, now).into(),
        number.into(),
        meta::name(object).into(),
    ]
}

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

fn node_roles(node: &Value) -> String {
    let labels = meta::labels(node).into_iter().flatten();
    let roles: BTreeSet<&str> = labels
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None => value.as_str().filter(|_| key == ROLE_LABEL),
        })
        .filter(|role| !role.is_empty())
        .collect();
    or(&roles.into_iter().collect::<Vec<_>>().join(","), "<none>").to_owned()
}

fn node(object: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let ready = list(status, "conditions").iter().rfind(|c| text(c, "type") == "Ready");
    let mut state = match ready.map(|c| text(c, "status") == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if flag(spec, "unschedulable") {
        state.push_str(",SchedulingDisabled");
    }
    let info = at(status, "nodeInfo");
    let mut kernel = or(text(info, "kernelVersion"), "<unknown>").to_owned();
    if !text(info, "architecture").is_empty() {
        let _infallible = write!(kernel, " ({})", text(info, "architecture"));
    }
    let address = |kind: &str| {
        let found = list(status, "addresses").iter().find(|a| text(a, "type") == kind);
        found.map_or("<none>", |a| text(a, "address"))
    };
    vec![
        meta::name(object).into(),
        state.into(),
        node_roles(object).into(),
        age(object, now),
        text(info, "kubeletVersion").into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        or(text(info, "osImage"), "<unknown>").into(),
        kernel.into(),
        or(text(info, "containerRuntimeVersion"), "<unknown>").into(),
    ]
}

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

fn storage_class(object: &Value) -> Value {
    let beta = meta::annotation(object, CLASS_ANNOTATION);
    beta.unwrap_or_else(|| text(at(object, "spec"), "storageClassName")).into()
}

fn access_modes(modes: &Value) -> String {
    let modes: Vec<&str> = modes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    known
        .iter()
        .filter(|(mode, _)| modes.contains(mode))
        .map(|(_, short)| *short)
        .collect::<Vec<_>>()
        .join(",")
}

fn phase(object: &Value) -> Value {
    if meta::is_deleting(object) { "Terminating".into() } else { text(at(object, "status"), "phase").into() }
}

fn claim(object: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let bound = !text(spec, "volumeName").is_empty();
    let capacity = if bound { opt_text(at(status, "capacity"), "storage").unwrap_or("0") } else { "" };
    let modes = if bound { access_modes(at(status, "accessModes")) } else { String::new() };
    vec![
        meta::name(object).into(),
        phase(object),
        text(spec, "volumeName").into(),
        capacity.into(),
        modes.into(),
        storage_class(object),
        opt_text(spec, "volumeAttributesClassName").unwrap_or("<unset>").into(),
        age(object, now),
        opt_text(spec, "volumeMode").unwrap_or("<unset>").into(),
    ]
}

fn volume(object: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let claim = at(spec, "claimRef");
    let claim = if claim.is_null() {
        String::new()
    } else {
        format!("{}/{}", text(claim, "namespace"), text(claim, "name"))
    };
    vec![
        meta::name(object).into(),
        opt_text(at(spec, "capacity"), "storage").unwrap_or("0").into(),
        access_modes(at(spec, "accessModes")).into(),
        text(spec, "persistentVolumeReclaimPolicy").into(),
        phase(object),
        claim.into(),
        storage_class(object),
        opt_text(spec, "volumeAttributesClassName").unwrap_or("<unset>").into(),
        text(status, "reason").into(),
        age(object, now),
        opt_text(spec, "volumeMode").unwrap_or("<unset>").into(),
    ]
}

fn quota(object: &Value, now: Time) -> Vec<Value> {
    let status = at(object, "status");
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in map(status, "hard") {
        let used = opt_text(at(status, "used"), name).unwrap_or("0");
        let to = if name.starts_with("limits.") { &mut limits } else { &mut requests };
        to.push(format!("{name}: {used}/{}", hard.as_str().unwrap_or("0")));
    }
    vec![meta::name(object).into(), requests.join(", ").into(), limits.join(", ").into(), age(object, now)]
}

/// The addresses of a load balancer, sorted, without repetition.
pub(super) fn load_balancer(status: &Value) -> Vec<&str> {
    let ingress = list(at(status, "loadBalancer"), "ingress").iter();
    let all: BTreeSet<&str> =
        ingress.map(|i| or(text(i, "ip"), text(i, "hostname"))).filter(|a| !a.is_empty()).collect();
    all.into_iter().collect()
}

fn external_ip(object: &Value) -> String {
    let spec = at(object, "spec");
    let own: Vec<&str> = texts(spec, "externalIPs").collect();
    match text(spec, "type") {
        "ClusterIP" | "NodePort" => or(&own.join(","), "<none>").to_owned(),
        "LoadBalancer" => {
            let mut all = load_balancer(at(object, "status"));
            all.extend(own);
            or(&all.join(","), "<pending>").to_owned()
        }
        "ExternalName" => text(spec, "externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn service(object: &Value, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    let port = |port: &Value| {
        let (number, protocol) = (count(port, "port"), text(port, "protocol"));
        match int(port, "nodePort").unwrap_or(0) {
            0 => format!("{number}/{protocol}"),
            node => format!("{number}:{node}/{protocol}"),
        }
    };
    let ports: Vec<String> = list(spec, "ports").iter().map(port).collect();
    vec![
        meta::name(object).into(),
        text(spec, "type").into(),
        texts(spec, "clusterIPs").next().unwrap_or("<none>").into(),
        external_ip(object).into(),
        json!(or(&ports.join(","), "<none>")),
        age(object, now),
        labels(at(spec, "selector")).into(),
    ]
}
