//! Endpoints and EndpointSlices: addresses and ports behind a Service.

use super::checks::same;
use super::plain::{Kind, Plain};
use super::pod::{errors::Errors, values};
use crate::read::{at, int, list, map, opt_text, text, texts};
use apimachinery::{Path, meta, validation};
use serde_json::Value;
use std::net::IpAddr;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;
const MAX_TOPOLOGY: usize = 16;
const MAX_HINTS: usize = 8;

pub(super) static KINDS: &[Kind] = &[
    (
        "",
        "endpoints",
        Plain::of()
            .create_on_update()
            .rules(|object, errors| subsets(list(object, "subsets"), errors))
            .update(|new, old, errors| {
                if !same(at(new, "subsets"), at(old, "subsets")) {
                    subsets(list(new, "subsets"), errors);
                }
            })
            .warn(|object, _| warnings(object)),
    ),
    (
        "discovery.k8s.io",
        "endpointslices",
        Plain::of()
            .bump(slice_bumps)
            .created(|slice| drop_topology(slice, None))
            .changed(|slice, old| drop_topology(slice, Some(old)))
            .rules(|object, errors| slice(object, None, errors))
            .update(|new, old, errors| {
                slice(new, Some(old), errors);
                errors.immutable_fields(&Path::root(), new, old, &["addressType"]);
            })
            .warn(slice_warnings),
    ),
];

fn subsets(subsets: &[Value], errors: &mut Errors) {
    for (index, subset) in subsets.iter().enumerate() {
        let path = Path::new("subsets").index(index);
        let (ready, not_ready) = (list(subset, "addresses"), list(subset, "notReadyAddresses"));
        if ready.is_empty() && not_ready.is_empty() {
            errors.required(&path, "must specify `addresses` or `notReadyAddresses`");
        }
        for (field, addresses) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
            for (index, address) in addresses.iter().enumerate() {
                self::address(address, &path.child(field).index(index), errors);
            }
        }
        let ports = list(subset, "ports");
        for (index, port) in ports.iter().enumerate() {
            self::port(port, ports.len() > 1, &path.child("ports").index(index), errors);
        }
    }
}

fn address(address: &Value, path: &Path, errors: &mut Errors) {
    let (ip, host) = (text(address, "ip"), text(address, "hostname"));
    errors.problems(&path.child("ip"), ip, values::ip(ip));
    if !host.is_empty() {
        errors.label(&path.child("hostname"), host);
    }
    if let Some(node) = opt_text(address, "nodeName") {
        errors.subdomain(&path.child("nodeName"), node);
    }
    if ip.parse::<IpAddr>().is_err() {
        errors.invalid(&path.child("ip"), ip, "must be a valid IP address");
    }
    errors.problems(&path.child("ip"), ip, values::special_address(ip));
}

fn port(port: &Value, named: bool, path: &Path, errors: &mut Errors) {
    let name = text(port, "name");
    if !name.is_empty() {
        errors.label(&path.child("name"), name);
    } else if named {
        errors.required(&path.child("name"), "");
    }
    let number = int(port, "port").unwrap_or(0);
    errors.problems(&path.child("port"), number, validation::port_number(number));
    errors.one_of(&path.child("protocol"), text(port, "protocol"), &PROTOCOLS);
    if let Some(protocol) = opt_text(port, "appProtocol") {
        errors.qualified(&path.child("appProtocol"), protocol);
    }
}

/// Who writes an object in the cluster knows what it writes.
fn is_managed(object: &Value, key: &str, managers: &[&str]) -> bool {
    meta::labels(object).and_then(|labels| labels.get(key)?.as_str()).is_some_and(|m| managers.contains(&m))
}

fn warnings(object: &Value) -> Vec<String> {
    let mut out = Vec::new();
    if is_managed(object, "endpoints.kubernetes.io/managed-by", &["endpoint-controller"]) {
        return out;
    }
    for (index, subset) in list(object, "subsets").iter().enumerate() {
        for field in ["addresses", "notReadyAddresses"] {
            for (inner, address) in list(subset, field).iter().enumerate() {
                let path = Path::new("subsets").index(index).child(field).index(inner).child("ip");
                out.extend(values::ip_warning(&path, text(address, "ip")));
            }
        }
    }
    out
}

fn slice_bumps(new: &Value, old: &Value) -> bool {
    let labels = |slice: &Value| at(at(slice, "metadata"), "labels").clone();
    let fields = ["addressType", "endpoints", "ports"];
    fields.iter().any(|field| !same(at(new, field), at(old, field))) || !same(&labels(new), &labels(old))
}

/// Topology labels are of v1beta1; only a node's name is taken over where it was known already.
fn drop_topology(slice: &mut Value, old: Option<&Value>) {
    const TOPOLOGY: &str = "deprecatedTopology";
    if old.is_some_and(|old| same(at(old, "endpoints"), at(slice, "endpoints"))) {
        return;
    }
    let endpoints = slice.get_mut("endpoints").and_then(Value::as_array_mut);
    for endpoint in endpoints.into_iter().flatten().filter_map(Value::as_object_mut) {
        endpoint.remove(TOPOLOGY);
    }
}

fn slice(slice: &Value, old: Option<&Value>, errors: &mut Errors) {
    let kind = text(slice, "addressType");
    errors.one_of(&Path::new("addressType"), kind, &["FQDN", "IPv4", "IPv6"]);
    slice_ports(list(slice, "ports"), &Path::new("ports"), errors);
    if !old.is_some_and(|old| same(at(slice, "endpoints"), at(old, "endpoints"))) {
        let (endpoints, path) = (list(slice, "endpoints"), Path::new("endpoints"));
        if endpoints.len() > MAX_ENDPOINTS {
            return errors.too_many(&path, endpoints.len(), MAX_ENDPOINTS);
        }
        for (index, endpoint) in endpoints.iter().enumerate() {
            self::endpoint(endpoint, kind, &path.index(index), errors);
        }
    }
}

fn slice_ports(ports: &[Value], path: &Path, errors: &mut Errors) {
    if ports.len() > MAX_PORTS {
        return errors.too_many(path, ports.len(), MAX_PORTS);
    }
    let mut names = std::collections::HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let (name, path) = (text(port, "name"), path.index(index));
        if !name.is_empty() {
            errors.label(&path.child("name"), name);
        }
        if !names.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
        match opt_text(port, "protocol") {
            None => errors.required(&path.child("protocol"), ""),
            Some(protocol) => errors.known(&path.child("protocol"), protocol, &PROTOCOLS),
        }
        if let Some(protocol) = opt_text(port, "appProtocol") {
            errors.qualified(&path.child("appProtocol"), protocol);
        }
    }
}

fn endpoint(endpoint: &Value, kind: &str, path: &Path, errors: &mut Errors) {
    let (addresses, at_addresses) = (list(endpoint, "addresses"), path.child("addresses"));
    if addresses.is_empty() {
        errors.required(&at_addresses, "must contain at least 1 address");
    }
    errors.too_many(&at_addresses, addresses.len(), MAX_ADDRESSES);
    for (index, address) in texts(endpoint, "addresses").enumerate() {
        let path = at_addresses.index(index);
        let problems = match kind {
            "IPv4" => values::ip(address),
            "IPv6" => validation::ip(address),
            "FQDN" => {
                domain_name(address, &path, errors);
                continue;
            }
            _ => continue,
        };
        if !problems.is_empty() {
            errors.problems(&path, address, problems);
            continue;
        }
        if address.contains(':') != (kind == "IPv6") {
            errors.invalid(&at_addresses, address, format!("must be an {kind} address"));
        }
        errors.problems(&path, address, values::special_address(address));
    }
    if let Some(node) = opt_text(endpoint, "nodeName") {
        errors.subdomain(&path.child("nodeName"), node);
    }
    let at_topology = path.child("deprecatedTopology");
    errors.too_many(&at_topology, map(endpoint, "deprecatedTopology").count(), MAX_TOPOLOGY);
    if let Some(labels) = endpoint.get("deprecatedTopology").and_then(Value::as_object) {
        errors.0.extend(validation::labels(labels, &at_topology));
    }
    if let Some(host) = opt_text(endpoint, "hostname") {
        errors.label(&path.child("hostname"), host);
    }
    hints(at(endpoint, "hints"), &path.child("hints"), errors);
}

fn domain_name(name: &str, path: &Path, errors: &mut Errors) {
    let short = name.strip_suffix('.').unwrap_or(name);
    let before = errors.0.len();
    errors.qualified_domain(path, short, 2, "two");
    if errors.0.len() == before {
        for label in short.split('.') {
            let problems = validation::dns1123_label(label);
            if !problems.is_empty() {
                return errors.invalid(path, label, problems.join(","));
            }
        }
    }
}

fn hints(hints: &Value, path: &Path, errors: &mut Errors) {
    type NameRule = fn(&str) -> Vec<String>;
    let lists: [(&'static str, NameRule); 2] =
        [("forZones", validation::label_value), ("forNodes", validation::dns1123_subdomain)];
    for (field, rule) in lists {
        let (names, path) = (list(hints, field), path.child(field));
        if names.len() > MAX_HINTS {
            return errors.too_many(&path, names.len(), MAX_HINTS);
        }
        let mut seen = std::collections::HashSet::new();
        for (index, name) in names.iter().enumerate() {
            let (name, path) = (text(name, "name"), path.index(index).child("name"));
            if !seen.insert(name) {
                errors.duplicate(&path, name);
            }
            errors.problems(&path, name, rule(name));
        }
    }
}

fn slice_warnings(slice: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out = Vec::new();
    if old.is_none() && text(slice, "addressType") == "FQDN" {
        out.push("spec.addressType: FQDN endpoints are deprecated".into());
    }
    let managers = ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];
    if is_managed(slice, "endpointslice.kubernetes.io/managed-by", &managers) {
        return out;
    }
    for (index, endpoint) in list(slice, "endpoints").iter().enumerate() {
        for (inner, address) in texts(endpoint, "addresses").enumerate() {
            let path = Path::new("endpoints").index(index).child("addresses").index(inner);
            out.extend(values::ip_warning(&path, address));
        }
    }
    out
}
