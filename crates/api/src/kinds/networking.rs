//! Ingresses and their classes, network policies, and the objects behind Service addresses.

use super::checks::IMMUTABLE;
use super::plain::{Kind, Plain};
use super::pod::{affinity::label_selector, errors::Errors, values};
use crate::read::{at, has, int, list, opt_text, text, texts};
use apimachinery::{Path, go, meta, validation};
use serde_json::{Value, json};
use std::net::IpAddr;

const GROUP: &str = "networking.k8s.io";
const CLASS_NOTE: &str = "kubernetes.io/ingress.class";
const MAX_CONTROLLER: usize = 250;
const MAX_RANGES: usize = 2;

pub(super) static KINDS: &[Kind] = &[
    (
        GROUP,
        "ingresses",
        Plain::of()
            .status()
            .generation()
            .rules(ingress_create)
            .update(|new, old, errors| ingress(new, Some(old), errors))
            .status_rules(ingress_status)
            .warn(ingress_warnings),
    ),
    (
        GROUP,
        "ingressclasses",
        Plain::of().generation().rules(class).update(|new, old, errors| {
            let path = Path::new("spec").child("controller");
            let controller = |class: &Value| at(at(class, "spec"), "controller").clone();
            errors.immutable(&path, &controller(new), &controller(old));
            class(new, errors);
        }),
    ),
    (
        GROUP,
        "networkpolicies",
        Plain::of()
            .generation()
            .rules(|policy, errors| self::policy(policy, &[], errors))
            .update(|new, old, errors| policy(new, &ranges(old), errors))
            .warn(|policy, _| policy_warnings(policy)),
    ),
    (
        GROUP,
        "ipaddresses",
        Plain::of().name(validation::ip).rules(address).update(|new, old, errors| {
            address(new, errors);
            let path = Path::new("spec").child("parentRef");
            let parent = |object: &Value| at(at(object, "spec"), "parentRef").clone();
            errors.immutable(&path, &parent(new), &parent(old));
        }),
    ),
    (
        GROUP,
        "servicecidrs",
        Plain::of()
            .status()
            .rules(|object, errors| service_ranges(at(object, "spec"), errors))
            .update(service_ranges_update),
    ),
];

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn ingress_create(object: &Value, errors: &mut Errors) {
    ingress(object, None, errors);
    let class = opt_text(at(object, "spec"), "ingressClassName");
    if let (Some(note), Some(class)) = (meta::annotation(object, CLASS_NOTE), class)
        && note != class
    {
        let detail = "must match `ingressClassName` when both are specified";
        errors.invalid(&Path::new("annotations").child(CLASS_NOTE), note, detail);
    }
}

/// What the old object did wrong already is let through.
struct Known {
    secret_names: bool,
    wildcard_rules: bool,
}

fn ingress(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    let before = old.map_or(&Value::Null, |old| at(old, "spec"));
    let bad_secret = |tls: &Value| {
        let name = text(tls, "secretName");
        !name.is_empty() && !validation::dns1123_subdomain(name).is_empty()
    };
    let bad_rule = |rule: &Value| {
        let mut errors = Errors::default();
        rule_value(rule, &Path::root(), &mut errors);
        text(rule, "host").contains('*') && !errors.0.is_empty()
    };
    let known = Known {
        secret_names: list(before, "tls").iter().any(bad_secret),
        wildcard_rules: list(before, "rules").iter().any(bad_rule),
    };
    let (rules, default) = (list(spec, "rules"), at(spec, "defaultBackend"));
    if rules.is_empty() && default.is_null() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.invalid(&path, at(spec, "rules").clone(), detail);
    }
    if !default.is_null() {
        backend(default, &path.child("defaultBackend"), errors);
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.child("rules").index(index);
        let host = text(rule, "host");
        if is_address(host) {
            errors.invalid(&path.child("host"), host, "must be a DNS name, not an IP address");
        }
        self::host(host, &path.child("host"), errors);
        if !(host.contains('*') && known.wildcard_rules) {
            rule_value(rule, &path, errors);
        }
    }
    for (index, tls) in list(spec, "tls").iter().enumerate() {
        let path = path.child("tls").index(index);
        for (index, host) in texts(tls, "hosts").enumerate() {
            let path = path.child("hosts").index(index);
            if host.is_empty() {
                errors.subdomain(&path, host);
            }
            self::host(host, &path, errors);
        }
        let name = text(tls, "secretName");
        if !known.secret_names && !name.is_empty() {
            errors.subdomain(&path.child("secretName"), name);
        }
    }
    if let Some(class) = opt_text(spec, "ingressClassName") {
        errors.subdomain(&path.child("ingressClassName"), class);
    }
}

/// A host, which may begin with `*.`; none is fine.
fn host(host: &str, path: &Path, errors: &mut Errors) {
    if host.contains('*') {
        errors.problems(path, host, validation::wildcard_dns1123_subdomain(host));
    } else if !host.is_empty() {
        errors.subdomain(path, host);
    }
}

fn rule_value(rule: &Value, path: &Path, errors: &mut Errors) {
    let http = at(rule, "http");
    if http.is_null() {
        return;
    }
    let (paths, at_paths) = (list(http, "paths"), path.child("http").child("paths"));
    if paths.is_empty() {
        errors.required(&at_paths, "");
    }
    for (index, one) in paths.iter().enumerate() {
        http_path(one, &at_paths.index(index), errors);
    }
}

fn http_path(rule: &Value, path: &Path, errors: &mut Errors) {
    const SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
    let (place, at_place) = (text(rule, "path"), path.child("path"));
    let kind = match opt_text(rule, "pathType") {
        None => return errors.required(&path.child("pathType"), "pathType must be specified"),
        Some(kind) => kind,
    };
    let literal = matches!(kind, "Exact" | "Prefix");
    errors.known(&path.child("pathType"), kind, &["Exact", "ImplementationSpecific", "Prefix"]);
    let rooted = place.starts_with('/');
    if literal && !rooted || kind == "ImplementationSpecific" && !place.is_empty() && !rooted {
        errors.invalid(&at_place, place, "must be an absolute path");
    }
    if literal {
        for sequence in SEQUENCES.iter().filter(|sequence| place.contains(**sequence)) {
            errors.invalid(&at_place, place, format!("must not contain '{sequence}'"));
        }
        for end in ["/..", "/."].iter().filter(|end| place.ends_with(**end)) {
            errors.invalid(&at_place, place, format!("cannot end with '{end}'"));
        }
    }
    backend(at(rule, "backend"), &path.child("backend"), errors);
}

fn backend(backend: &Value, path: &Path, errors: &mut Errors) {
    let (resource, service) = (at(backend, "resource"), at(backend, "service"));
    match (resource.is_null(), service.is_null()) {
        (false, false) => errors.invalid(path, "", "cannot set both resource and service backends"),
        (false, true) => reference(resource, &path.child("resource"), errors),
        (true, true) => errors.invalid(path, "", "resource or service backend is required"),
        (true, false) => {
            let at_service = path.child("service");
            if errors.need(&at_service, service, "name") {
                errors.label(&at_service.child("name"), text(service, "name"));
            }
            let port = at(service, "port");
            let (name, number) = (text(port, "name"), int(port, "number").unwrap_or(0));
            let at_port = at_service.child("port");
            match (name, number) {
                ("", 0) => errors.required(path, "port name or number is required"),
                ("", number) => {
                    let problems = validation::port_number(number);
                    errors.problems(&at_port.child("number"), number, problems);
                }
                (name, 0) => {
                    errors.problems(&at_port.child("name"), name, validation::port_name(name));
                }
                _ => errors.invalid(path, "", "cannot set both port name & port number"),
            }
        }
    }
}

/// An object by group, kind and name.
fn reference(target: &Value, path: &Path, errors: &mut Errors) {
    if let Some(group) = opt_text(target, "apiGroup") {
        errors.subdomain(&path.child("apiGroup"), group);
    }
    for field in ["kind", "name"] {
        if errors.need(path, target, field) {
            let value = text(target, field);
            errors.problems(&path.child(field), value, validation::path_segment_name(value));
        }
    }
}

fn ingress_status(new: &Value, old: &Value, errors: &mut Errors) {
    let entries = |ingress: &Value| -> Vec<Value> {
        list(at(at(ingress, "status"), "loadBalancer"), "ingress").to_vec()
    };
    let before = entries(old);
    let path = Path::new("status").child("loadBalancer").child("ingress");
    for (index, entry) in entries(new).iter().enumerate() {
        let (ip, host, path) = (text(entry, "ip"), text(entry, "hostname"), path.index(index));
        if !ip.is_empty() && !before.iter().any(|entry| text(entry, "ip") == ip) {
            errors.problems(&path.child("ip"), ip, values::ip(ip));
        }
        if !host.is_empty() {
            errors.subdomain(&path.child("hostname"), host);
            if is_address(host) {
                errors.invalid(&path.child("hostname"), host, "must be a DNS name, not an IP address");
            }
        }
    }
}

fn ingress_warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let class = opt_text(at(object, "spec"), "ingressClassName");
    if old.is_some() || class.is_some() || meta::annotation(object, CLASS_NOTE).is_none() {
        return Vec::new();
    }
    let note = go::quote(CLASS_NOTE);
    vec![format!("annotation {note} is deprecated, please use 'spec.ingressClassName' instead")]
}

fn class(class: &Value, errors: &mut Errors) {
    let (spec, path) = (at(class, "spec"), Path::new("spec"));
    let controller = text(spec, "controller");
    errors.max_bytes(&path.child("controller"), controller, MAX_CONTROLLER);
    errors.domain_prefixed_path(&path.child("controller"), controller);
    let (parameters, path) = (at(spec, "parameters"), path.child("parameters"));
    if parameters.is_null() {
        return;
    }
    reference(parameters, &path, errors);
    let namespace = opt_text(parameters, "namespace");
    let at_namespace = path.child("namespace");
    match (opt_text(parameters, "scope"), namespace) {
        (None, _) => errors.required(&path.child("scope"), ""),
        (Some("Namespace"), None) => {
            errors.required(&at_namespace, "`parameters.scope` is set to 'Namespace'");
        }
        (Some("Namespace"), Some(namespace)) => errors.label(&at_namespace, namespace),
        (Some("Cluster"), Some(_)) => {
            errors.forbidden(&at_namespace, "`parameters.scope` is set to 'Cluster'");
        }
        (Some(scope), _) => errors.known(&path.child("scope"), scope, &["Cluster", "Namespace"]),
    }
}

const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

/// Visits every peer of a policy that is a range of addresses.
fn each_range(policy: &Value, mut visit: impl FnMut(&Path, &str)) {
    for (direction, peers) in DIRECTIONS {
        for (index, rule) in list(at(policy, "spec"), direction).iter().enumerate() {
            for (inner, peer) in list(rule, peers).iter().enumerate() {
                let block = at(peer, "ipBlock");
                let path = Path::new("spec").child(direction).index(index).child(peers).index(inner);
                let path = path.child("ipBlock");
                if !block.is_null() {
                    visit(&path.child("cidr"), text(block, "cidr"));
                }
                for (index, except) in texts(block, "except").enumerate() {
                    visit(&path.child("except").index(index), except);
                }
            }
        }
    }
}

fn ranges(policy: &Value) -> Vec<String> {
    let mut found = Vec::new();
    each_range(policy, |_, range| found.push(range.to_owned()));
    found
}

fn policy_warnings(policy: &Value) -> Vec<String> {
    let mut out = Vec::new();
    each_range(policy, |path, range| out.extend(values::cidr_warning(path, range)));
    out
}

fn policy(policy: &Value, known: &[String], errors: &mut Errors) {
    let (spec, path) = (at(policy, "spec"), Path::new("spec"));
    label_selector(at(spec, "podSelector"), &path.child("podSelector"), errors);
    for (direction, peers) in DIRECTIONS {
        for (index, rule) in list(spec, direction).iter().enumerate() {
            let path = path.child(direction).index(index);
            for (index, port) in list(rule, "ports").iter().enumerate() {
                policy_port(port, &path.child("ports").index(index), errors);
            }
            for (index, peer) in list(rule, peers).iter().enumerate() {
                policy_peer(peer, known, &path.child(peers).index(index), errors);
            }
        }
    }
    let (types, at_types) = (list(spec, "policyTypes"), path.child("policyTypes"));
    if types.len() > DIRECTIONS.len() {
        return errors.invalid(&at_types, types.to_vec(), "may not specify more than two policyTypes");
    }
    for (index, kind) in texts(spec, "policyTypes").enumerate() {
        errors.known(&at_types.index(index), kind, &["Ingress", "Egress"]);
    }
}

fn policy_port(port: &Value, path: &Path, errors: &mut Errors) {
    if let Some(protocol) = opt_text(port, "protocol") {
        errors.known(&path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    let (end, at_end, at_port) = (int(port, "endPort"), path.child("endPort"), path.child("port"));
    match at(port, "port") {
        Value::Null => {
            if let Some(end) = end {
                errors.invalid(&at_end, end, "may not be specified when `port` is not specified");
            }
        }
        Value::String(name) => {
            if let Some(end) = end {
                errors.invalid(&at_end, end, "may not be specified when `port` is non-numeric");
            }
            errors.problems(&at_port, name.as_str(), validation::port_name(name));
        }
        number => {
            let number = number.as_i64().unwrap_or(0);
            errors.problems(&at_port, number, validation::port_number(number));
            let Some(end) = end else { return };
            if end < number {
                errors.invalid(&at_end, number, "must be greater than or equal to `port`");
            }
            errors.problems(&at_end, end, validation::port_number(end));
        }
    }
}

fn policy_peer(peer: &Value, known: &[String], path: &Path, errors: &mut Errors) {
    let selectors = ["podSelector", "namespaceSelector"];
    for field in selectors {
        label_selector(at(peer, field), &path.child(field), errors);
    }
    let selected = selectors.iter().any(|field| has(peer, field));
    let block = at(peer, "ipBlock");
    if !block.is_null() {
        ip_block(block, known, &path.child("ipBlock"), errors);
        if selected {
            errors.forbidden(path, "may not specify both ipBlock and another peer");
        }
    } else if !selected {
        errors.required(path, "must specify a peer");
    }
}

/// An address and how many of its bits count.
fn parsed(range: &str) -> Option<(IpAddr, u32)> {
    let (ip, bits) = range.split_once('/')?;
    Some((ip.parse().ok()?, bits.parse().ok()?))
}

fn bits(ip: IpAddr) -> (u128, u32) {
    match ip {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (v6.into(), 128),
    }
}

/// Whether the second range lies in the first and is smaller.
fn is_strict_subset(whole: (IpAddr, u32), part: (IpAddr, u32)) -> bool {
    let ((a, width), (b, _)) = (bits(whole.0), bits(part.0));
    let shift = |number: u128| number.checked_shr(width - whole.1.min(width)).unwrap_or(0);
    whole.0.is_ipv4() == part.0.is_ipv4() && whole.1 < part.1 && shift(a) == shift(b)
}

fn ip_block(block: &Value, known: &[String], path: &Path, errors: &mut Errors) {
    let range = text(block, "cidr");
    if range.is_empty() {
        return errors.required(&path.child("cidr"), "");
    }
    let check = |range: &str, path: &Path, errors: &mut Errors| {
        if !known.iter().any(|known| known == range) {
            errors.0.extend(values::cidr(range, path));
        }
    };
    check(range, &path.child("cidr"), errors);
    let Some(whole) = parsed(range) else { return };
    for (index, except) in texts(block, "except").enumerate() {
        let path = path.child("except").index(index);
        check(except, &path, errors);
        if parsed(except).is_some_and(|part| !is_strict_subset(whole, part)) {
            let detail = "must be a strict subset of `cidr`";
            errors.invalid(&path, except, detail);
        }
    }
}

fn address(object: &Value, errors: &mut Errors) {
    let (parent, path) = (at(at(object, "spec"), "parentRef"), Path::new("spec").child("parentRef"));
    if parent.is_null() {
        return errors.required(&path, "");
    }
    let group = text(parent, "group");
    if !group.is_empty() {
        errors.subdomain(&path.child("group"), group);
    }
    for (field, needed) in [("resource", true), ("name", true), ("namespace", false)] {
        let value = text(parent, field);
        if value.is_empty() && needed {
            errors.required(&path.child(field), "");
        } else if !value.is_empty() {
            errors.problems(&path.child(field), value, validation::path_segment_name(value));
        }
    }
}

fn service_ranges(spec: &Value, errors: &mut Errors) {
    let path = Path::new("spec").child("cidrs");
    let ranges: Vec<&str> = texts(spec, "cidrs").collect();
    if ranges.is_empty() {
        return errors.required(&path, "at least one CIDR required");
    }
    if ranges.len() > MAX_RANGES {
        return errors.invalid(&path, json!({"CIDRs": ranges}), "may only hold up to 2 values");
    }
    for (index, range) in ranges.iter().enumerate() {
        errors.problems(&path.index(index), *range, validation::cidr(range));
    }
    let families: Vec<Option<bool>> =
        ranges.iter().map(|range| parsed(range).map(|(ip, _)| ip.is_ipv4())).collect();
    if let [Some(first), Some(second)] = families.as_slice()
        && first == second
    {
        let detail =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.invalid(&path, json!(ranges), detail);
    }
}

fn service_ranges_update(new: &Value, old: &Value, errors: &mut Errors) {
    let path = Path::new("spec").child("cidrs");
    let (now, before) = (at(new, "spec"), at(old, "spec"));
    let (ranges, kept) = (list(now, "cidrs"), list(before, "cidrs"));
    match (kept.len(), ranges.len()) {
        (kept_length, length) if kept_length == length || (kept_length, length) == (1, 2) => {
            for (index, (range, _)) in
                ranges.iter().zip(kept).enumerate().filter(|(_, (range, kept))| range != kept)
            {
                errors.invalid(&path.index(index), range.clone(), IMMUTABLE);
            }
            if kept_length != length {
                service_ranges(now, errors);
            }
        }
        _ => errors.invalid(&path, ranges.to_vec(), IMMUTABLE),
    }
}
