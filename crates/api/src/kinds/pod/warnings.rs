//! Warnings of new Pods and Pod templates: valid, but hardly meant. They go to the client as `Warning` headers.

use crate::read::{at, has, int, list, map, opt_text, quantity, text, texts};
use apimachinery::{Path, go, meta, validation};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

const NODE_LABELS: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];
const ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];
const VOLUMES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";

pub(super) fn of_new(pod: &Value) -> Vec<String> {
    let mut out = Vec::new();
    host_name(pod, &mut out);
    of(pod, &Path::root(), &mut out);
    out
}

pub(super) fn of_template(template: &Value, path: &Path) -> Vec<String> {
    let mut out = Vec::new();
    of(template, path, &mut out);
    out
}

/// Warnings of a Pod or of a template at a path.
fn of(pod: &Value, base: &Path, out: &mut Vec<String>) {
    let (spec, path) = (at(pod, "spec"), base.child("spec"));
    node_labels(spec, &path, out);
    annotations(pod, base, out);
    volumes(spec, &path, out);
    super::overlaps::overlaps(spec, out);
    repeated(spec, &path, out);
    fractions(at(spec, "overhead"), &path.child("overhead"), out);
    profiles(pod, base, out);
    super::each_container(spec, &path, |container, path| {
        for field in ["limits", "requests"] {
            fractions(at(at(container, "resources"), field), &path.child("resources").child(field), out);
        }
        environment(container, path, out);
    });
    ports(spec, &path, out);
    if int(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let path = path.child("terminationGracePeriodSeconds");
        out.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    pod_affinity(spec, &path.child("affinity"), out);
    for (index, server) in texts(at(spec, "dnsConfig"), "nameservers").enumerate() {
        let path = path.child("dnsConfig").child("nameservers").index(index);
        out.extend(super::values::ip_warning(&path, server));
    }
    for (index, alias) in list(spec, "hostAliases").iter().enumerate() {
        let path = path.child("hostAliases").index(index).child("ip");
        out.extend(super::values::ip_warning(&path, text(alias, "ip")));
    }
}

fn host_name(pod: &Value, out: &mut Vec<String>) {
    let problems = validation::dns1123_label(meta::name(pod));
    if !problems.is_empty() {
        out.push(format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]",
            problems.join(" ")
        ));
    }
}

/// What to use instead of a node label of old.
pub(in crate::kinds) fn deprecated(key: &str) -> Option<&'static str> {
    NODE_LABELS.iter().find(|(label, _)| *label == key).map(|(_, text)| *text)
}

fn node_labels(spec: &Value, path: &Path, out: &mut Vec<String>) {
    for (key, _) in map(spec, "nodeSelector") {
        if let Some(text) = deprecated(key) {
            out.push(format!("{}: {text}", path.child("nodeSelector").key(key.as_str())));
        }
    }
    let affinity = at(at(spec, "affinity"), "nodeAffinity");
    let path_affinity = path.child("affinity").child("nodeAffinity");
    for (index, term) in list(at(affinity, REQUIRED), "nodeSelectorTerms").iter().enumerate() {
        node_term(term, false, &path_affinity.child(REQUIRED).child("nodeSelectorTerms").index(index), out);
    }
    for (index, term) in list(affinity, PREFERRED).iter().enumerate() {
        node_term(
            at(term, "preference"),
            true,
            &path_affinity.child(PREFERRED).index(index).child("preference"),
            out,
        );
    }
    for (index, constraint) in list(spec, "topologySpreadConstraints").iter().enumerate() {
        let path = path.child("topologySpreadConstraints").index(index);
        let key = text(constraint, "topologyKey");
        if let Some(text) = deprecated(key) {
            out.push(format!("{}: {key} is {text}", path.child("topologyKey")));
        }
        if !has(constraint, "labelSelector") {
            out.push(format!("{}: {NO_SELECTOR}", path.child("labelSelector")));
        }
    }
}

/// Labels of old in a term of a node selector.
pub(in crate::kinds) fn node_term(term: &Value, check_values: bool, path: &Path, out: &mut Vec<String>) {
    for (index, requirement) in list(term, "matchExpressions").iter().enumerate() {
        let key = text(requirement, "key");
        if let Some(text) = deprecated(key) {
            out.push(format!(
                "{}: {key} is {text}",
                path.child("matchExpressions").index(index).child("key")
            ));
        }
        for (value_index, value) in texts(requirement, "values").enumerate().filter(|_| check_values) {
            for problem in validation::label_value(value) {
                let path = path.child("matchExpressions").index(index).child("values").index(value_index);
                out.push(format!("{path}: {value} is invalid, {problem}"));
            }
        }
    }
}

fn annotations(pod: &Value, base: &Path, out: &mut Vec<String>) {
    for (key, text) in ANNOTATIONS {
        if meta::annotation(pod, key).is_some() {
            out.push(format!("{}: {text}", base.child("metadata").child("annotations").key(key)));
        }
    }
}

fn volumes(spec: &Value, path: &Path, out: &mut Vec<String>) {
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        for (field, printed, text) in VOLUMES {
            if has(volume, field) {
                out.push(format!("{}: {text}", path.child("volumes").index(index).child(printed)));
            }
        }
        let claim = at(at(at(volume, "ephemeral"), "volumeClaimTemplate"), "spec");
        let path = path.child("volumes").index(index).child("ephemeral").child("volumeClaimTemplate");
        claim_fractions(claim, &path.child("spec"), out);
    }
}

fn repeated(spec: &Value, path: &Path, out: &mut Vec<String>) {
    for (list_name, field) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let mut seen = HashSet::new();
        for (index, item) in list(spec, list_name).iter().enumerate() {
            if !seen.insert(text(item, field)) {
                let path = path.child(list_name).index(index).child(field);
                out.push(format!("{path}: duplicate {field} {}", go::quote(text(item, field))));
            }
        }
    }
    for (index, item) in list(spec, "imagePullSecrets").iter().enumerate() {
        if text(item, "name").is_empty() {
            let path = path.child("imagePullSecrets").index(index).child("name");
            out.push(format!("{path}: invalid empty name \"\""));
        }
    }
}

/// Bytes of a claim come whole.
pub(in crate::kinds) fn claim_fractions(claim: &Value, path: &Path, out: &mut Vec<String>) {
    for field in ["requests", "limits"] {
        let amounts = at(at(claim, "resources"), field);
        whole(amounts, &["storage"], &path.child("resources").child(field), out);
    }
}

/// Bytes come whole.
fn fractions(amounts: &Value, path: &Path, out: &mut Vec<String>) {
    whole(amounts, &["memory", "ephemeral-storage"], path, out);
}

fn whole(amounts: &Value, names: &[&str], path: &Path, out: &mut Vec<String>) {
    for name in names {
        if let Some(amount) = quantity(at(amounts, name)).filter(|amount| amount.milli_value() % 1000 != 0) {
            let value = go::quote(&amount.to_string());
            out.push(format!(
                "{}: fractional byte value {value} is invalid, must be an integer",
                path.key(*name)
            ));
        }
    }
}

fn profiles(pod: &Value, base: &Path, out: &mut Vec<String>) {
    let (spec, path) = (at(pod, "spec"), &base.child("spec"));
    let notes = base.child("metadata").child("annotations");
    let old_seccomp = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
    let mut seccomp = |context: &Value, key: &str| {
        if !has(context, "seccompProfile") && meta::annotation(pod, key).is_some() {
            out.push(format!("{}: {old_seccomp}", notes.key(key)));
        }
    };
    seccomp(at(spec, "securityContext"), SECCOMP_POD);
    super::each_container(spec, path, |container, _| {
        let key = format!("{SECCOMP_CONTAINER}{}", text(container, "name"));
        seccomp(at(container, "securityContext"), &key);
    });
    super::each_container(spec, path, |container, _| {
        let key = format!("{APP_ARMOR}{}", text(container, "name"));
        if meta::annotation(pod, &key).is_some() {
            out.push(format!(
                "{}: deprecated since v1.30; use the \"appArmorProfile\" field instead",
                notes.key(key)
            ));
        }
    });
}

fn environment(container: &Value, path: &Path, out: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for (index, variable) in list(container, "env").iter().enumerate() {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        if seen.insert(name) {
            continue;
        }
        let reference = format!("$({name})");
        if has(variable, "valueFrom") || value == reference || !value.contains(&reference) {
            let path = path.child("env").index(index);
            let name = go::quote(name);
            out.push(format!(
                "{path}: hides previous definition of {name}, which may be dropped when using apply"
            ));
        }
    }
}

/// A port's path, host port and host address.
type Taken = (Path, i64, String);

fn ports(spec: &Value, path: &Path, out: &mut Vec<String>) {
    let mut known: HashMap<(i64, String), Vec<Taken>> = HashMap::new();
    super::each_container(spec, path, |container, path| {
        for (index, port) in list(container, "ports").iter().enumerate() {
            let path = path.child("ports").index(index);
            let (number, host) =
                (int(port, "containerPort").unwrap_or(0), int(port, "hostPort").unwrap_or(0));
            let (ip, protocol) = (text(port, "hostIP"), text(port, "protocol"));
            if !ip.is_empty() && host == 0 {
                let name = text(port, "name");
                out.push(format!(
                    "{path}: hostIP set without hostPort: {{Name:{name} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{ip}}}"
                ));
            }
            let others = known.entry((number, protocol.to_owned())).or_default();
            for (other, other_host, other_ip) in others.iter() {
                let what = if ip == other_ip && host == *other_host {
                    "duplicate"
                } else if host == 0 || *other_host == 0 {
                    "overlapping"
                } else if host == *other_host && ip.is_empty() != other_ip.is_empty() {
                    "dangerously ambiguous"
                } else {
                    continue;
                };
                out.push(format!("{path}: {what} port definition with {other}"));
            }
            others.push((path, host, ip.to_owned()));
        }
    });
    let mut names: HashMap<String, Path> = HashMap::new();
    super::each_container(spec, path, |container, path| {
        for (index, port) in list(container, "ports").iter().enumerate() {
            let Some(name) = opt_text(port, "name").filter(|name| !name.is_empty()) else { continue };
            let path = path.child("ports").index(index);
            if let Some(other) = names.get(name) {
                let name = go::quote(name);
                out.push(format!(
                    "{path}: duplicate port name {name} with {other}, services and probes that select ports by name will use {other}"
                ));
            } else {
                names.insert(name.to_owned(), path);
            }
        }
    });
}

fn pod_affinity(spec: &Value, path: &Path, out: &mut Vec<String>) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (terms, path) = (at(at(spec, "affinity"), kind), path.child(kind));
        for (index, term) in list(terms, REQUIRED).iter().enumerate() {
            if !has(term, "labelSelector") {
                out.push(format!(
                    "{}: {NO_SELECTOR}",
                    path.child(REQUIRED).index(index).child("labelSelector")
                ));
            }
        }
        for (index, term) in list(terms, PREFERRED).iter().enumerate() {
            if !has(at(term, "podAffinityTerm"), "labelSelector") {
                let path = path.child(PREFERRED).index(index).child("podAffinityTerm").child("labelSelector");
                out.push(format!("{path}: {NO_SELECTOR}"));
            }
        }
    }
}
