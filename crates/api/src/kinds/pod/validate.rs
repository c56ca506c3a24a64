//! The rules of a whole Pod, in upstream's order, which is the order in which users read the errors.

use super::errors::Errors;
use super::{Context, affinity, amounts, containers, env, security, values, volumes};
use crate::read::{at, flag, has, int, list, opt_flag, opt_text, text, texts};
use apimachinery::{FieldError, Path, meta, validation};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};

const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// What libc takes.
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARACTERS: usize = 2048;
const MAX_HOSTNAME: usize = 64;

/// A new Pod.
pub(super) fn create(pod: &Value, errors: &mut Errors) {
    pod_and_spec(pod, errors);
    let (spec, path) = (at(pod, "spec"), Path::new("spec"));
    if !list(spec, "ephemeralContainers").is_empty() {
        errors.forbidden(&path.child("ephemeralContainers"), "cannot be set on create");
    }
    if !text(spec, "nodeName").is_empty() && !list(spec, "schedulingGates").is_empty() {
        errors
            .forbidden(&path.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
    security::annotations_match(pod, &path, errors);
}

/// What holds for a Pod at all times.
pub(super) fn pod_and_spec(pod: &Value, errors: &mut Errors) {
    let (spec, path) = (at(pod, "spec"), Path::new("spec"));
    annotations(pod, &Path::new("metadata").child("annotations"), errors);
    pod_spec(spec, Some(pod), &path, errors);
    if text(spec, "serviceAccountName").is_empty() {
        for (index, volume) in list(spec, "volumes").iter().enumerate() {
            let path = path.child("volumes").index(index).child("projected").child("sources");
            for (index, source) in list(at(volume, "projected"), "sources").iter().enumerate() {
                if has(source, "serviceAccountToken") {
                    let detail = "must not be specified when serviceAccountName is not set";
                    errors.forbidden(&path.index(index).child("serviceAccountToken"), detail);
                }
            }
        }
    }
    for field in ["containers", "initContainers"] {
        for (index, container) in list(spec, field).iter().enumerate() {
            containers::image_spaces(container, &path.child(field).index(index), errors);
        }
    }
}

pub(super) fn annotations(pod: &Value, path: &Path, errors: &mut Errors) {
    if let Some(value) =
        meta::annotation(pod, MIRROR).filter(|_| text(at(pod, "spec"), "nodeName").is_empty())
    {
        errors.invalid(&path.key(MIRROR), value, "must set spec.nodeName if mirror pod annotation is set");
    }
    if let Some(cost) = meta::annotation(pod, DELETION_COST) {
        let plus = cost.starts_with('+') || cost.len() > 1 && cost.starts_with('0');
        if plus || cost.parse::<i32>().is_err() {
            errors.invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer");
        }
    }
    security::annotations(pod, path, errors);
}

/// The spec of a Pod, or of a Pod template where there is no Pod.
pub(super) fn pod_spec(spec: &Value, pod: Option<&Value>, path: &Path, errors: &mut Errors) {
    if !has(spec, "terminationGracePeriodSeconds") {
        errors.required(&path.child("terminationGracePeriodSeconds"), "");
    }
    let mut context = Context {
        name: pod.map_or("", meta::name),
        is_pod: pod.is_some(),
        volumes: HashMap::new(),
        claims: list(spec, "resourceClaims")
            .iter()
            .map(|c| text(c, "name"))
            .filter(|n| !n.is_empty())
            .collect(),
        grace: int(spec, "terminationGracePeriodSeconds"),
        os: has(spec, "os").then(|| text(at(spec, "os"), "name")),
        host_users: opt_flag(spec, "hostUsers").unwrap_or(true),
        restart_policy: text(spec, "restartPolicy"),
    };
    context.volumes = volumes::volumes(spec, &context, path, errors);
    resource_claims(spec, pod, &path.child("resourceClaims"), errors);
    containers::apps(spec, &context, path, errors);
    containers::inits(spec, &context, path, errors);
    containers::ephemerals(spec, &context, path, errors);
    amounts::pod(spec, &context.claims, path, errors);
    host_network(spec, context.is_pod, path, errors);
    errors.one_of(&path.child("restartPolicy"), context.restart_policy, &["Always", "OnFailure", "Never"]);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    errors.one_of(&path.child("dnsPolicy"), text(spec, "dnsPolicy"), &policies);
    if let Some(selector) = spec.get("nodeSelector").and_then(Value::as_object) {
        errors.0.extend(validation::labels(selector, &path.child("nodeSelector")));
    }
    security::pod(spec, path, errors);
    affinity::affinity(spec, path, errors);
    dns(spec, &path.child("dnsConfig"), errors);
    gates(spec, path, errors);
    affinity::spread(spec, path, errors);
    security::host_process(spec, path, errors);
    host_users(spec, path, errors);
    host_name(spec, path, errors);
    names(spec, path, errors);
    if has(spec, "overhead") {
        amounts::overhead(spec, &path.child("overhead"), errors);
    }
    security::operating_system(spec, path, errors);
    scheduling_group(spec, path, errors);
    env::file_volumes(spec, path, errors);
}

fn resource_claims(spec: &Value, pod: Option<&Value>, path: &Path, errors: &mut Errors) {
    const NAMES: [&str; 2] = ["resourceClaimName", "resourceClaimTemplateName"];
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (index, claim) in list(spec, "resourceClaims").iter().enumerate() {
        if pod.is_some_and(|pod| meta::annotation(pod, MIRROR).is_some()) {
            errors.forbidden(&Path::new(""), "static pods do not support resource claims");
            continue;
        }
        let path = path.index(index);
        let name = text(claim, "name");
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else if seen.insert(name) {
            errors.label(&path.child("name"), name);
        } else {
            errors.duplicate(&path.child("name"), name);
        }
        let detail = match NAMES.iter().filter(|field| has(claim, field)).count() {
            0 => Some("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
            1 => None,
            _ => Some("at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
        };
        if let Some(detail) = detail {
            errors.invalid(&path, claim.clone(), detail);
        }
        for field in NAMES {
            if let Some(name) = opt_text(claim, field) {
                errors.subdomain(&path.child(field), name);
            }
        }
    }
}

fn host_network(spec: &Value, is_pod: bool, path: &Path, errors: &mut Errors) {
    if !flag(spec, "hostNetwork") {
        return;
    }
    for (index, container) in list(spec, "containers").iter().enumerate() {
        for (port_index, port) in list(container, "ports").iter().enumerate() {
            let number = |field| int(port, field).unwrap_or(0);
            let (host, own) = (number("hostPort"), number("containerPort"));
            if (is_pod || host != 0) && host != own {
                let path = path.child("containers").index(index).child("ports").index(port_index);
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.invalid(&path.child("hostPort"), host, detail);
            }
        }
    }
}

fn dns(spec: &Value, path: &Path, errors: &mut Errors) {
    let config = at(spec, "dnsConfig");
    let servers = list(config, "nameservers");
    if text(spec, "dnsPolicy") == "None" {
        if config.is_null() {
            errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.required(&path.child("nameservers"), detail);
            return;
        }
    }
    if servers.len() > MAX_NAMESERVERS {
        let detail = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        errors.invalid(&path.child("nameservers"), servers.to_vec(), detail);
    }
    for (index, server) in texts(config, "nameservers").enumerate() {
        errors.problems(&path.child("nameservers").index(index), server, values::ip(server));
    }
    let searches: Vec<&str> = texts(config, "searches").collect();
    let at_searches = path.child("searches");
    let value = || Value::from(searches.clone());
    if searches.len() > MAX_SEARCHES {
        errors.invalid(&at_searches, value(), format!("must not have more than {MAX_SEARCHES} search paths"));
    }
    if searches.join(" ").len() > MAX_SEARCH_CHARACTERS {
        let detail = format!(
            "must not have more than {MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        );
        errors.invalid(&at_searches, value(), detail);
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| **search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        let problems = validation::dns1123_subdomain_with_underscore(search);
        errors.problems(&at_searches.index(index), search, problems);
    }
    for (index, option) in list(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            errors.required(&path.child("options").index(index), "must not be empty");
        }
    }
}

fn gates(spec: &Value, path: &Path, errors: &mut Errors) {
    for (index, gate) in list(spec, "readinessGates").iter().enumerate() {
        let path = path.child("readinessGates").index(index).child("conditionType");
        errors.qualified(&path, text(gate, "conditionType"));
    }
    let mut seen = HashSet::new();
    for (index, gate) in list(spec, "schedulingGates").iter().enumerate() {
        let (name, path) = (text(gate, "name"), path.child("schedulingGates").index(index));
        errors.qualified(&path, name);
        if !seen.insert(name) {
            errors.duplicate(&path, name);
        }
    }
}

/// User namespaces go with no other namespace of the host.
fn host_users(spec: &Value, path: &Path, errors: &mut Errors) {
    const TEXT: &str = "when `hostUsers` is false";
    if opt_flag(spec, "hostUsers") != Some(false) {
        return;
    }
    for (field, printed) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if flag(spec, field) {
            errors.forbidden(&path.child(printed), TEXT);
        }
    }
    super::each_container(spec, path, |container, path| {
        if !list(container, "volumeDevices").is_empty() {
            errors.forbidden(&path.child("volumeDevices"), TEXT);
        }
    });
}

fn host_name(spec: &Value, path: &Path, errors: &mut Errors) {
    let Some(name) = opt_text(spec, "hostnameOverride") else { return };
    let path = path.child("hostnameOverride");
    if flag(spec, "setHostnameAsFQDN") {
        errors.forbidden(&path, "may not be specified when setHostnameAsFQDN is true");
    }
    if flag(spec, "hostNetwork") {
        errors.forbidden(&path, "may not be specified when hostNetwork is true");
    }
    if name.len() > MAX_HOSTNAME {
        errors.push(FieldError::too_long(&path, MAX_HOSTNAME));
    }
    errors.subdomain(&path, name);
}

fn names(spec: &Value, path: &Path, errors: &mut Errors) {
    let given = |field| Some(text(spec, field)).filter(|name| !name.is_empty());
    for field in ["serviceAccountName", "nodeName"] {
        if let Some(name) = given(field) {
            errors.subdomain(&path.child(field), name);
        }
    }
    if let Some(seconds) = int(spec, "activeDeadlineSeconds") {
        errors.in_range(&path.child("activeDeadlineSeconds"), seconds, 1, i64::from(i32::MAX));
    }
    for field in ["hostname", "subdomain"] {
        if let Some(name) = given(field) {
            errors.label(&path.child(field), name);
        }
    }
    affinity::tolerations(spec, path, errors);
    host_aliases(spec, &path.child("hostAliases"), errors);
    if let Some(name) = given("priorityClassName") {
        errors.subdomain(&path.child("priorityClassName"), name);
    }
    if let Some(name) = opt_text(spec, "runtimeClassName") {
        errors.subdomain(&path.child("runtimeClassName"), name);
    }
    if let Some(policy) = opt_text(spec, "preemptionPolicy") {
        errors.one_of(&path.child("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
}

fn host_aliases(spec: &Value, path: &Path, errors: &mut Errors) {
    for (index, alias) in list(spec, "hostAliases").iter().enumerate() {
        let (ip, path) = (text(alias, "ip"), path.index(index));
        errors.problems(&path.child("ip"), ip, values::ip(ip));
        for (index, name) in texts(alias, "hostnames").enumerate() {
            errors.subdomain(&path.child("hostnames").index(index), name);
        }
    }
}

fn scheduling_group(spec: &Value, path: &Path, errors: &mut Errors) {
    let group = at(spec, "schedulingGroup");
    let path = path.child("schedulingGroup").child("podGroupName");
    match opt_text(group, "podGroupName") {
        Some(name) => errors.subdomain(&path, name),
        None if !group.is_null() => errors.invalid(&path, Value::Null, "must specify one of: `podGroupName`"),
        None => {}
    }
}
