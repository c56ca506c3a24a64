//! Services: ports, addresses and traffic policies. Cluster addresses and node ports are allocated by the
//! API server after validation, so what it fills in (`healthCheckNodePort`) may still be missing here.

use super::pod::values;
use crate::read::{at, copy, has, int, list, opt_text, some, text, texts};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Path, go, meta, validation};
use serde_json::{Value, json};
use std::collections::HashSet;

const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const MODE: &str = "service.kubernetes.io/topology-mode";
const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const POLICIES: [&str; 2] = ["Cluster", "Local"];
const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameZone", "PreferSameNode"];
const MAX_AFFINITY_SECONDS: i64 = 86_400;
const ONLY_LB: &str = "may only be used when `type` is 'LoadBalancer'";

pub(super) struct Service;

impl Strategy for Service {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({"loadBalancer": {}});
        first_address(object);
    }

    fn validate(&self, service: &Value) -> Vec<FieldError> {
        let mut errors: Vec<FieldError> = topology(service).into_iter().collect();
        let spec = at(service, "spec");
        errors.extend(by_type(spec));
        errors.extend(ports(spec));
        if let Some(selector) = spec.get("selector").and_then(Value::as_object) {
            errors.extend(validation::labels(selector, &path("selector")));
        }
        errors.extend(affinity(spec));
        errors.extend(addresses(spec));
        errors.extend(external_addresses(spec));
        errors.extend(service_type(spec));
        errors.extend(repeated_ports(spec));
        errors.extend(source_ranges(service, spec));
        errors.extend(load_balancer(spec));
        errors.extend(traffic(spec));
        errors
    }

    fn prepare_update(&self, subresource: &str, new: &mut Value, old: &Value) {
        if subresource == "status" {
            copy(new, old, "spec");
            return;
        }
        copy(new, old, "status");
        drop_by_type(new, old);
        let changed = text(at(new, "spec"), "clusterIP") != text(at(old, "spec"), "clusterIP");
        if changed && at(at(new, "spec"), "clusterIPs") == at(at(old, "spec"), "clusterIPs") {
            meta::object_at(meta::as_object_mut(new), "spec").remove("clusterIPs");
        }
        first_address(new);
    }

    fn validate_update(&self, subresource: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        if subresource == "status" {
            return ingress_errors(new);
        }
        let (spec, before) = (at(new, "spec"), at(old, "spec"));
        let mut errors = address_changes(spec, before);
        errors.extend(family_changes(spec, before));
        let both = |kind: &str| text(spec, "type") == kind && text(before, "type") == kind;
        if both("LoadBalancer") && some(spec, "loadBalancerClass") != some(before, "loadBalancerClass") {
            let class = at(spec, "loadBalancerClass").clone();
            errors.push(FieldError::invalid(&path("loadBalancerClass"), class, "may not change once set"));
        }
        let port = |spec: &Value| int(spec, "healthCheckNodePort").unwrap_or(0);
        if needs_health_check(spec)
            && needs_health_check(before)
            && port(spec) != 0
            && port(spec) != port(before)
        {
            errors.push(FieldError::forbidden(&path("healthCheckNodePort"), "field is immutable"));
        }
        errors.extend(self.validate(new));
        errors
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        warnings(new)
    }

    /// Services may have the names of DNS labels that start with a digit since 1.36 (KEP-5311).
    fn validate_name(&self, name: &str) -> Vec<String> {
        validation::dns1123_label(name)
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["spec.clusterIP", "spec.type"]
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn delete_returns_object(&self) -> bool {
        true
    }
}

fn path(field: &'static str) -> Path {
    Path::new("spec").child(field)
}

fn is_headless(spec: &Value) -> bool {
    text(spec, "type") == "ClusterIP" && text(spec, "clusterIP") == "None"
}

/// Whether something outside the cluster reaches the Service.
fn is_external(spec: &Value) -> bool {
    match text(spec, "type") {
        "LoadBalancer" | "NodePort" => true,
        kind => kind == "ClusterIP" && !list(spec, "externalIPs").is_empty(),
    }
}

fn needs_health_check(spec: &Value) -> bool {
    text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
}

/// `clusterIPs` holds `clusterIP` where a client only knows the one address.
fn first_address(service: &mut Value) {
    let spec = meta::object_at(meta::as_object_mut(service), "spec");
    let empty = spec.get("clusterIPs").is_none_or(crate::read::is_empty);
    if let Some(ip) = spec.get("clusterIP").and_then(Value::as_str).filter(|ip| empty && !ip.is_empty()) {
        let all = json!([ip]);
        spec.insert("clusterIPs".into(), all);
    }
}

/// A change of type wipes what no longer applies, if the client did not change it as well.
fn drop_by_type(new: &mut Value, old: &Value) {
    let before = at(old, "spec");
    let spec = at(new, "spec").clone();
    let kept = |field: &str| some(&spec, field) == some(before, field);
    let is = |spec: &Value, kind: &str| text(spec, "type") == kind;
    let has_ports = |spec: &Value| is(spec, "NodePort") || is(spec, "LoadBalancer");
    let mut gone: Vec<&str> = Vec::new();
    if !is(before, "ExternalName") && is(&spec, "ExternalName") {
        if kept("clusterIP") && kept("clusterIPs") {
            gone.extend(["clusterIP", "clusterIPs"]);
        }
        gone.extend(["ipFamilies", "ipFamilyPolicy"].into_iter().filter(|field| kept(field)));
    }
    if needs_health_check(before) && !needs_health_check(&spec) && kept("healthCheckNodePort") {
        gone.push("healthCheckNodePort");
    }
    if is(before, "LoadBalancer") && !is(&spec, "LoadBalancer") {
        gone.extend(
            ["allocateLoadBalancerNodePorts", "loadBalancerClass"].into_iter().filter(|field| kept(field)),
        );
        new["status"] = json!({"loadBalancer": {}});
    }
    if is_external(before) && !is_external(&spec) && kept("externalTrafficPolicy") {
        gone.push("externalTrafficPolicy");
    }
    let numbers = |spec: &Value| -> HashSet<i64> {
        list(spec, "ports")
            .iter()
            .filter_map(|port| int(port, "nodePort"))
            .filter(|port| *port != 0)
            .collect()
    };
    let wipe_ports = has_ports(before) && !has_ports(&spec) && numbers(before).is_superset(&numbers(&spec));
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for field in gone {
        spec.remove(field);
    }
    if wipe_ports {
        let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
        ports.filter_map(Value::as_object_mut).for_each(|port| drop(port.remove("nodePort")));
    }
}

fn topology(service: &Value) -> Option<FieldError> {
    let (hints, mode) = (meta::annotation(service, HINTS)?, meta::annotation(service, MODE)?);
    let path = Path::new("metadata").child("annotations").key(MODE);
    let detail = format!("must match annotations[{HINTS}] when both are specified");
    (hints != mode).then(|| FieldError::invalid(&path, mode, detail))
}

fn by_type(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = text(spec, "type");
    if list(spec, "ports").is_empty() && !is_headless(spec) && kind != "ExternalName" {
        errors.push(FieldError::required(&path("ports"), ""));
    }
    if kind != "ExternalName" {
        if matches!(kind, "LoadBalancer" | "NodePort") && text(spec, "clusterIP") == "None" {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid(&path("clusterIPs").index(0), "None", detail));
        }
        return errors;
    }
    for field in ["clusterIPs", "ipFamilies"] {
        if !list(spec, field).is_empty() {
            errors.push(FieldError::forbidden(&path(field), "may not be set for ExternalName services"));
        }
    }
    if has(spec, "ipFamilyPolicy") {
        errors
            .push(FieldError::forbidden(&path("ipFamilyPolicy"), "may not be set for ExternalName services"));
    }
    let name = text(spec, "externalName");
    match name.strip_suffix('.').unwrap_or(name) {
        "" => errors.push(FieldError::required(&path("externalName"), "")),
        name => {
            errors.extend(values::invalid(&path("externalName"), name, validation::dns1123_subdomain(name)))
        }
    }
    errors
}

fn ports(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let all = list(spec, "ports");
    let mut names = HashSet::new();
    for (index, port) in all.iter().enumerate() {
        let at_port = path("ports").index(index);
        let name = text(port, "name");
        if name.is_empty() {
            if all.len() > 1 {
                errors.push(FieldError::required(&at_port.child("name"), ""));
            }
        } else {
            errors.extend(values::invalid(&at_port.child("name"), name, validation::dns1123_label(name)));
            if !names.insert(name) {
                errors.push(FieldError::duplicate(&at_port.child("name"), name));
            }
        }
        let number = int(port, "port").unwrap_or(0);
        errors.extend(values::invalid(&at_port.child("port"), number, validation::port_number(number)));
        values::one_of(text(port, "protocol"), &PROTOCOLS, &at_port.child("protocol"), &mut errors);
        errors.extend(values::port_or_name(at(port, "targetPort"), &at_port.child("targetPort")));
        if let Some(protocol) = opt_text(port, "appProtocol") {
            let problems = validation::qualified_name(protocol);
            errors.extend(values::invalid(&at_port.child("appProtocol"), protocol, problems));
        }
    }
    errors
}

fn affinity(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let affinity = text(spec, "sessionAffinity");
    values::one_of(affinity, &["ClientIP", "None"], &path("sessionAffinity"), &mut errors);
    let (config, at_config) = (at(spec, "sessionAffinityConfig"), path("sessionAffinityConfig"));
    if affinity == "None" && !config.is_null() {
        errors.push(FieldError::forbidden(&at_config, "must not be set when session affinity is None"));
    }
    if affinity != "ClientIP" {
        return errors;
    }
    let at_seconds = at_config.child("clientIP").child("timeoutSeconds");
    match config.pointer("/clientIP/timeoutSeconds").and_then(Value::as_i64) {
        None => errors.push(FieldError::required(&at_seconds, "when session affinity type is ClientIP")),
        Some(seconds) if !(1..=MAX_AFFINITY_SECONDS).contains(&seconds) => {
            let detail = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
            errors.push(FieldError::invalid(&at_seconds, seconds, detail));
        }
        Some(_) => {}
    }
    errors
}

fn addresses(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if text(spec, "type") == "ExternalName" {
        return errors;
    }
    let ips: Vec<&str> = texts(spec, "clusterIPs").collect();
    let at_ips = path("clusterIPs");
    let whole = |detail: &str| FieldError::invalid(&at_ips, json!(ips), detail);
    match (text(spec, "clusterIP"), ips.first()) {
        ("", Some(_)) => errors.push(whole("must be empty when `clusterIP` is not specified")),
        (ip, Some(first)) if ip != *first => errors.push(whole("first value must match `clusterIP`")),
        ("", None) | (_, Some(_)) => {}
        (_, None) => errors.push(FieldError::required(&at_ips, "")),
    }
    let families: Vec<&str> = texts(spec, "ipFamilies").collect();
    for (index, family) in families.iter().enumerate() {
        let at_family = path("ipFamilies").index(index);
        if !matches!(*family, "IPv4" | "IPv6") {
            errors.push(FieldError::not_supported(&at_family, *family, &["IPv4", "IPv6"]));
        }
        if families[..index].contains(family) {
            errors.push(FieldError::duplicate(&at_family, *family));
        }
    }
    if let Some(policy) = opt_text(spec, "ipFamilyPolicy") {
        let known = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        values::one_of(policy, &known, &path("ipFamilyPolicy"), &mut errors);
    }
    let before = errors.len();
    for (index, ip) in ips.iter().enumerate() {
        if index == 0 && *ip == "None" {
            if ips.len() > 1 {
                errors.push(whole("'None' must be the first and only value"));
            }
            continue;
        }
        errors.extend(values::invalid(&at_ips.index(index), *ip, values::ip(ip)));
    }
    let bad = errors.len() > before;
    if ips.len() > 2 {
        errors.push(whole("may only hold up to 2 values"));
    }
    if bad {
        return errors;
    }
    if ips.len() > 1 && ips.iter().map(|ip| ip.contains(':')).collect::<HashSet<_>>().len() < 2 {
        errors.push(whole("may specify no more than one IP for each IP family"));
    }
    if !is_headless(spec) {
        for (index, (ip, family)) in ips.iter().zip(&families).enumerate() {
            let wrong = *family == "IPv4" && ip.contains(':') || *family == "IPv6" && !ip.contains(':');
            if wrong {
                let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
                errors.push(FieldError::invalid(&at_ips.index(index), *ip, detail));
            }
        }
    }
    errors
}

fn external_addresses(spec: &Value) -> Vec<FieldError> {
    let all = texts(spec, "externalIPs").enumerate();
    all.flat_map(|(index, ip)| {
        let at_ip = path("externalIPs").index(index);
        let problems = values::ip(ip);
        let problems = if problems.is_empty() { values::special_address(ip) } else { problems };
        values::invalid(&at_ip, ip, problems)
    })
    .collect()
}

fn service_type(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    values::one_of(text(spec, "type"), &TYPES, &path("type"), &mut errors);
    if text(spec, "type") == "ClusterIP" {
        for (index, port) in list(spec, "ports").iter().enumerate() {
            if int(port, "nodePort").unwrap_or(0) != 0 {
                let at_port = path("ports").index(index).child("nodePort");
                errors.push(FieldError::forbidden(&at_port, "may not be used when `type` is 'ClusterIP'"));
            }
        }
    }
    errors
}

fn repeated_ports(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (mut nodes, mut own) = (HashSet::new(), HashSet::new());
    for (index, port) in list(spec, "ports").iter().enumerate() {
        let node = int(port, "nodePort").unwrap_or(0);
        if node != 0 && !nodes.insert((text(port, "protocol"), node)) {
            errors.push(FieldError::duplicate(&path("ports").index(index).child("nodePort"), node));
        }
    }
    for (index, port) in list(spec, "ports").iter().enumerate() {
        let number = int(port, "port").unwrap_or(0);
        if !own.insert((text(port, "protocol"), number)) {
            let value = json!({"protocol": text(port, "protocol"), "port": number, "targetPort": 0});
            errors.push(FieldError::duplicate(&path("ports").index(index), value));
        }
    }
    errors
}

fn source_ranges(service: &Value, spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let balanced = text(spec, "type") == "LoadBalancer";
    let ranges: Vec<&str> = texts(spec, "loadBalancerSourceRanges").collect();
    if !ranges.is_empty() {
        let at_ranges = path("LoadBalancerSourceRanges");
        if !balanced {
            errors.push(FieldError::forbidden(&at_ranges, ONLY_LB));
        }
        for (index, range) in ranges.iter().enumerate() {
            errors.extend(values::cidr(range.trim(), &at_ranges.index(index)));
        }
    } else if let Some(value) = meta::annotation(service, RANGES) {
        let at_ranges = Path::new("metadata").child("annotations").key(RANGES);
        if !balanced {
            errors.push(FieldError::forbidden(&at_ranges, ONLY_LB));
        }
        let ranges = value.trim().split(',').map(str::trim).filter(|_| !value.trim().is_empty());
        errors.extend(ranges.flat_map(|range| values::cidr(range, &at_ranges)));
    }
    errors
}

fn load_balancer(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let balanced = text(spec, "type") == "LoadBalancer";
    match (has(spec, "allocateLoadBalancerNodePorts"), balanced) {
        (true, false) => errors.push(FieldError::forbidden(&path("allocateLoadBalancerNodePorts"), ONLY_LB)),
        (false, true) => errors.push(FieldError::required(&Path::new("allocateLoadBalancerNodePorts"), "")),
        _ => {}
    }
    if let Some(class) = opt_text(spec, "loadBalancerClass") {
        let at_class = path("loadBalancerClass");
        if balanced {
            errors.extend(values::invalid(&at_class, class, validation::qualified_name(class)));
        } else {
            errors.push(FieldError::forbidden(&at_class, ONLY_LB));
        }
    }
    errors
}

fn traffic(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let outside = text(spec, "externalTrafficPolicy");
    if is_external(spec) {
        values::one_of(outside, &POLICIES, &path("externalTrafficPolicy"), &mut errors);
    } else if !outside.is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid(&path("externalTrafficPolicy"), outside, detail));
    }
    let port = int(spec, "healthCheckNodePort").unwrap_or(0);
    let at_port = path("healthCheckNodePort");
    if port != 0 && needs_health_check(spec) {
        errors.extend(values::invalid(&at_port, port, validation::port_number(port)));
    } else if port != 0 {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(FieldError::invalid(&at_port, port, detail));
    }
    let at_inside = path("internalTrafficPolicy");
    match opt_text(spec, "internalTrafficPolicy") {
        Some(inside) if !POLICIES.contains(&inside) => {
            errors.push(FieldError::not_supported(&at_inside, inside, &POLICIES));
        }
        None if matches!(text(spec, "type"), "NodePort" | "LoadBalancer" | "ClusterIP") => {
            errors.push(FieldError::required(&at_inside, ""));
        }
        _ => {}
    }
    if let Some(way) = opt_text(spec, "trafficDistribution").filter(|way| !DISTRIBUTIONS.contains(way)) {
        errors.push(FieldError::not_supported(&path("trafficDistribution"), way, &DISTRIBUTIONS));
    }
    errors
}

fn is_external_name(spec: &Value) -> bool {
    text(spec, "type") == "ExternalName"
}

fn address_changes(spec: &Value, before: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if is_external_name(spec) || is_external_name(before) || is_headless(spec) && is_headless(before) {
        return errors;
    }
    let (new, old) = (list(spec, "clusterIPs"), list(before, "clusterIPs"));
    let at_ip = |index: usize| path("clusterIPs").index(index);
    let mut push =
        |index: usize, detail: &str| errors.push(FieldError::invalid(&at_ip(index), json!(new), detail));
    if new.len() == old.len() {
        for index in (0..old.len()).filter(|index| new[*index] != old[*index]) {
            push(index, "may not change once set");
        }
        return errors;
    }
    if old.len() > new.len() && new.is_empty() {
        push(0, "primary clusterIP can not be unset");
    }
    if new.first().zip(old.first()).is_some_and(|(new, old)| new != old) {
        push(0, "may not change once set");
    }
    if old.len() > new.len() && new.len() == 1 && text(spec, "ipFamilyPolicy") != "SingleStack" {
        let detail = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        errors.push(FieldError::invalid(&path("ipFamilyPolicy"), at(spec, "ipFamilyPolicy").clone(), detail));
    }
    errors
}

fn family_changes(spec: &Value, before: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if is_external_name(spec) || is_external_name(before) || is_headless(spec) || is_headless(before) {
        return errors;
    }
    let (new, old) = (list(spec, "ipFamilies"), list(before, "ipFamilies"));
    let at_first = path("ipFamilies").index(0);
    if new.len() == old.len() {
        let changed = (0..old.len()).filter(|index| new[*index] != old[*index]);
        errors.extend(changed.map(|_| FieldError::invalid(&at_first, json!(new), "may not change once set")));
        return errors;
    }
    if new.first().zip(old.first()).is_some_and(|(new, old)| new != old) {
        errors.push(FieldError::invalid(
            &at_first,
            at(spec, "clusterIPs").clone(),
            "may not change once set",
        ));
    }
    if old.len() > new.len() && new.len() == 1 && text(spec, "ipFamilyPolicy") != "SingleStack" {
        let detail = "must be set to 'SingleStack' when releasing the secondary ipFamily";
        errors.push(FieldError::invalid(&path("ipFamilyPolicy"), at(spec, "ipFamilyPolicy").clone(), detail));
    }
    errors
}

fn ingress_errors(service: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let ingress = list(at(at(service, "status"), "loadBalancer"), "ingress");
    let at_all = Path::new("status").child("loadBalancer").child("ingress");
    if text(at(service, "spec"), "type") != "LoadBalancer" && !ingress.is_empty() {
        return vec![FieldError::forbidden(&at_all, "may only be used when `spec.type` is 'LoadBalancer'")];
    }
    for (index, entry) in ingress.iter().enumerate() {
        let at_one = at_all.index(index);
        let (ip, mode, host) = (text(entry, "ip"), opt_text(entry, "ipMode"), text(entry, "hostname"));
        if !ip.is_empty() {
            errors.extend(values::invalid(&at_one.child("ip"), ip, values::ip(ip)));
        }
        let at_mode = at_one.child("ipMode");
        match mode {
            None if !ip.is_empty() => {
                errors.push(FieldError::required(&at_mode, "must be specified when `ip` is set"))
            }
            Some(_) if ip.is_empty() => {
                errors.push(FieldError::forbidden(&at_mode, "may not be specified when `ip` is not set"));
            }
            Some(mode) => values::one_of(mode, &["Proxy", "VIP"], &at_mode, &mut errors),
            None => {}
        }
        if !host.is_empty() {
            let at_host = at_one.child("hostname");
            errors.extend(values::invalid(&at_host, host, validation::dns1123_subdomain(host)));
            if host.parse::<std::net::IpAddr>().is_ok() {
                errors.push(FieldError::invalid(&at_host, host, "must be a DNS name, not an IP address"));
            }
        }
    }
    errors
}

fn warnings(service: &Value) -> Vec<String> {
    let spec = at(service, "spec");
    let mut out = Vec::new();
    if meta::annotation(service, HINTS).is_some() {
        out.push(format!("annotation {HINTS} is deprecated, please use {MODE} instead"));
    }
    let each = |field: &'static str, warn: fn(&Path, &str) -> Option<String>| {
        let all = texts(spec, field).enumerate();
        all.filter_map(|(index, value)| warn(&path(field).index(index), value)).collect::<Vec<_>>()
    };
    if !is_external_name(spec) && !is_headless(spec) {
        out.extend(each("clusterIPs", values::ip_warning));
    }
    let external = !list(spec, "externalIPs").is_empty();
    if is_headless(spec) {
        if !text(spec, "loadBalancerIP").is_empty() {
            out.push("spec.loadBalancerIP is ignored for headless services".into());
        }
        if external {
            out.push("spec.externalIPs is ignored for headless services".into());
        }
        if text(spec, "sessionAffinity") != "None" {
            out.push("spec.SessionAffinity is ignored for headless services".into());
        }
    }
    out.extend(each("externalIPs", values::ip_warning));
    if external && !is_headless(spec) && !is_external_name(spec) {
        out.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".into());
    }
    out.extend(values::ip_warning(&path("loadBalancerIP"), text(spec, "loadBalancerIP")));
    out.extend(each("loadBalancerSourceRanges", values::cidr_warning));
    if is_external_name(spec) && external {
        out.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".into());
    }
    if !is_external_name(spec) && !text(spec, "externalName").is_empty() {
        out.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".into());
    }
    if text(spec, "trafficDistribution") == "PreferClose" {
        let (old, new) = (go::quote("PreferClose"), go::quote("PreferSameZone"));
        out.push(format!("spec.trafficDistribution: {old} is deprecated; use {new}"));
    }
    out
}
