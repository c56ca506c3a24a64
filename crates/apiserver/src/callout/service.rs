//! From a Service to an address that answers. Nothing on the host forwards addresses of Services, so
//! endpoints are looked up in what is stored: slices, then Endpoints, then the Pods that it selects.

use super::dial;
use crate::codec;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::labels::Selector;
use apimachinery::{go, meta};
use serde_json::Value;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub(super) enum Found {
    Address(SocketAddr),
    /// An external name.
    Name(String),
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// # Errors
/// What upstream's resolver says, or its dialer where nothing stands behind the Service.
pub(super) fn resolve(server: &Server, namespace: &str, name: &str, port: u16) -> Result<Found, String> {
    let entry = server.store.get(&Target::core("services").key(namespace, name));
    let service = entry.map(|entry| codec::tree(&entry));
    let service = service.ok_or_else(|| format!("service {} not found", go::quote(name)))?;
    match (text(&service, "/spec/type"), text(&service, "/spec/clusterIP")) {
        ("ExternalName", _) => return Ok(Found::Name(text(&service, "/spec/externalName").into())),
        ("" | "ClusterIP", "None") => return Err("cannot route to service with ClusterIP \"None\"".into()),
        ("" | "ClusterIP" | "LoadBalancer" | "NodePort", _) => {}
        (other, _) => return Err(format!("unsupported service type {}", go::quote(other))),
    }
    let wanted = items(&service, "/spec/ports").find(|one| one["port"].as_u64() == Some(port.into()));
    let wanted =
        wanted.ok_or_else(|| format!("no service port {port} found for service {}", go::quote(name)))?;
    let port_name = wanted["name"].as_str().unwrap_or_default();
    let mut found = of_slices(server, namespace, name, port_name);
    if found.is_empty() {
        found = of_endpoints(server, namespace, name, port_name);
    }
    if found.is_empty() {
        found = of_pods(server, namespace, &service, wanted);
    }
    let count = found.len() as u64;
    if count > 0 {
        return Ok(Found::Address(found.swap_remove(server.env.random_below(count) as usize)));
    }
    // A node refuses connections to a Service without endpoints.
    let ip = text(&service, "/spec/clusterIP").parse::<IpAddr>();
    let ip = ip.map_err(|_| format!("no endpoints available for service {}", go::quote(name)))?;
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    Err(dial::refused(SocketAddr::new(ip, port), &refused))
}

fn socket(ip: &str, port: Option<u64>) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip.parse().ok()?, u16::try_from(port?).ok()?))
}

/// The number of a port by its name.
fn number(ports: &Value, name: &str) -> Option<u64> {
    let mut ports = ports.as_array()?.iter();
    ports.find(|port| port["name"].as_str().unwrap_or_default() == name)?["port"].as_u64()
}

fn listed(server: &Server, target: &Target, namespace: &str) -> Vec<Arc<Value>> {
    server.store.list(&target.prefix(namespace)).iter().map(|entry| codec::tree(entry)).collect()
}

fn of_slices(server: &Server, namespace: &str, service: &str, port: &str) -> Vec<SocketAddr> {
    let Some(info) = api::find("discovery.k8s.io", "v1", "endpointslices") else { return Vec::new() };
    let mut found = Vec::new();
    for slice in listed(server, &Target::of(info), namespace) {
        if meta::label(&slice, "kubernetes.io/service-name") != Some(service) {
            continue;
        }
        let number = number(&slice["ports"], port);
        let ready = items(&slice, "/endpoints")
            .filter(|endpoint| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)));
        found.extend(ready.filter_map(|endpoint| socket(endpoint["addresses"][0].as_str()?, number)));
    }
    found
}

fn of_endpoints(server: &Server, namespace: &str, service: &str, port: &str) -> Vec<SocketAddr> {
    let Some(entry) = server.store.get(&Target::core("endpoints").key(namespace, service)) else {
        return Vec::new();
    };
    let endpoints = codec::tree(&entry);
    let mut found = Vec::new();
    for subset in items(&endpoints, "/subsets") {
        let number = number(&subset["ports"], port);
        found.extend(items(subset, "/addresses").filter_map(|one| socket(one["ip"].as_str()?, number)));
    }
    found
}

fn of_pods(server: &Server, namespace: &str, service: &Value, port: &Value) -> Vec<SocketAddr> {
    let Some(labels) = service.pointer("/spec/selector").and_then(Value::as_object) else {
        return Vec::new();
    };
    let selector = Selector::from_map(labels);
    if selector.is_everything() {
        return Vec::new();
    }
    let ready = |pod: &Value| {
        !meta::is_deleting(pod)
            && items(pod, "/status/conditions").any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    let pods = listed(server, &Target::core("pods"), namespace);
    let chosen = pods.iter().filter(|pod| selector.matches_object(pod) && ready(pod));
    chosen.filter_map(|pod| socket(text(pod, "/status/podIP"), target_port(pod, port))).collect()
}

/// The port of a Pod that a Service's port leads to.
fn target_port(pod: &Value, port: &Value) -> Option<u64> {
    match &port["targetPort"] {
        Value::Number(number) => number.as_u64(),
        Value::String(name) => items(pod, "/spec/containers")
            .flat_map(|container| items(container, "/ports"))
            .find(|one| one["name"] == name.as_str())?["containerPort"]
            .as_u64(),
        _ => port["port"].as_u64(),
    }
}
