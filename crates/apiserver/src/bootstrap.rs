//! What every cluster starts with: namespaces, roles and bindings, priority classes, the `kubernetes`
//! Service. Made when missing; roles and bindings also get back rules they have lost.

use crate::authz::rbac::Rule;
use crate::config::Config;
use crate::context::Result;
use crate::server::Server;
use apimachinery::{GroupVersionResource, Reason, meta};
use client::{Options, Request, UserInfo, Verb};
use serde_json::{Value, json};
use std::sync::Arc;

const FACTS: &str = include_str!("../facts/rbac.txt");
const RBAC: &str = "rbac.authorization.k8s.io";

/// A block of the facts: its first line's words, and the lines below it.
struct Block {
    head: Vec<&'static str>,
    lines: Vec<&'static str>,
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in FACTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        match (line.strip_prefix("  "), blocks.last_mut()) {
            (Some(rule), Some(block)) => block.lines.push(rule),
            _ => blocks.push(Block { head: line.split(' ').collect(), lines: Vec::new() }),
        }
    }
    blocks
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|item| if item == "core" { String::new() } else { item.to_owned() }).collect()
}

fn rule(line: &str) -> Option<Rule> {
    let words: Vec<&str> = line.split(' ').collect();
    let verbs = words.first().map(|verbs| list(verbs))?;
    match words.as_slice() {
        [first, ..] if *first == "aggregate" => None,
        [_, "url", urls] => Some(Rule { verbs, urls: list(urls), ..Rule::default() }),
        [_, groups, resources, names @ ..] => Some(Rule {
            verbs,
            groups: list(groups),
            resources: list(resources),
            names: names.first().map(|names| list(names)).unwrap_or_default(),
            urls: Vec::new(),
        }),
        _ => None,
    }
}

/// Names and rules of the cluster roles.
pub(crate) fn cluster_roles() -> Vec<(String, Vec<Rule>)> {
    let roles = blocks().into_iter().filter(|block| block.head[0] == "clusterrole");
    roles
        .map(|block| (block.head[1].to_owned(), block.lines.iter().filter_map(|line| rule(line)).collect()))
        .collect()
}

/// The roles and bindings as objects, with their resources.
fn rbac_objects() -> Vec<(&'static str, Value)> {
    blocks().iter().map(rbac_object).collect()
}

fn rbac_object(block: &Block) -> (&'static str, Value) {
    let (namespace, name) = match block.head[1].split_once('/') {
        Some((namespace, name)) => (namespace, name),
        None => ("", block.head[1]),
    };
    let mut object = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        },
    });
    meta::set_namespace(&mut object, namespace);
    let rules: Vec<Value> = block.lines.iter().filter_map(|line| rule(line)).map(|r| r.to_value()).collect();
    let resource = match block.head[0] {
        "clusterrole" | "role" => {
            for label in &block.head[2..] {
                let (key, value) = label.split_once('=').unwrap_or((label, ""));
                meta::set_label(&mut object, key, value);
            }
            object["rules"] = rules.into();
            let selectors: Vec<Value> = block
                .lines
                .iter()
                .filter_map(|line| line.strip_prefix("aggregate ")?.split_once('='))
                .map(|(key, value)| json!({"matchLabels": {key: value}}))
                .collect();
            if !selectors.is_empty() {
                object["aggregationRule"] = json!({"clusterRoleSelectors": selectors});
            }
            if block.head[0] == "role" { "roles" } else { "clusterroles" }
        }
        "clusterbind" => {
            object["roleRef"] = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": block.head[2]});
            object["subjects"] = block.head[3..].iter().map(|subject| self::subject(subject)).collect();
            "clusterrolebindings"
        }
        _ => {
            let kind = if block.head[2] == "role" { "Role" } else { "ClusterRole" };
            object["roleRef"] = json!({"apiGroup": RBAC, "kind": kind, "name": block.head[3]});
            object["subjects"] = block.head[4..].iter().map(|subject| self::subject(subject)).collect();
            "rolebindings"
        }
    };
    let kind = api::find(RBAC, "v1", resource).map_or("", |info| info.kind);
    object["kind"] = kind.into();
    (resource, object)
}

fn subject(text: &str) -> Value {
    let (kind, name) = text.split_once(':').unwrap_or(("User", text));
    match (kind, name.split_once('/')) {
        ("ServiceAccount", Some((namespace, name))) => {
            json!({"kind": kind, "name": name, "namespace": namespace})
        }
        _ => json!({"kind": kind, "apiGroup": RBAC, "name": name}),
    }
}

/// The user that does what the server itself needs.
pub(crate) fn loopback_user() -> UserInfo {
    UserInfo::new("system:apiserver", &["system:masters"])
}

/// Makes what is missing. Runs before the first request is served, and again changes nothing.
pub(crate) async fn run(server: &Arc<Server>, port: u16) -> Result<()> {
    // All at once: the store makes what is written together durable together.
    all(["kube-system", "kube-public", "kube-node-lease", "default"].map(|name| {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ensure(server, "", "namespaces", object)
    }))
    .await?;
    all(rbac_objects().into_iter().map(|(resource, object)| ensure_rbac(server, resource, object))).await?;
    for (name, value, text) in [
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    ] {
        let object = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "description": text, "preemptionPolicy": "PreemptLowerPriority"});
        ensure(server, "scheduling.k8s.io", "priorityclasses", object).await?;
    }
    kubernetes_service(server, port).await
}

async fn all(work: impl IntoIterator<Item = impl Future<Output = Result<()>>>) -> Result<()> {
    futures_util::future::join_all(work).await.into_iter().collect()
}

async fn kubernetes_service(server: &Arc<Server>, port: u16) -> Result<()> {
    let Config { service_range, .. } = &server.config;
    let family = if service_range.base.is_ipv4() { "IPv4" } else { "IPv6" };
    let range = format!("{}/{}", service_range.base, service_range.bits);
    let cidr = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [range]}});
    ensure(server, "networking.k8s.io", "servicecidrs", cidr).await?;
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let address = crate::services::first_address(*service_range).to_string();
    let ports = json!([{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}]);
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": ports,
            "sessionAffinity": "None", "ipFamilies": [family], "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster"}});
    ensure(server, "", "services", service).await?;
    crate::endpoints::reconcile(server, port).await
}

fn request(verb: Verb, group: &str, resource: &str, object: Value) -> Request {
    Request {
        verb,
        resource: GroupVersionResource::new(group, "v1", resource),
        namespace: meta::namespace(&object).into(),
        name: if verb == Verb::Create { String::new() } else { meta::name(&object).into() },
        subresource: String::new(),
        body: Some(object),
        options: Options::default(),
        user_agent: crate::fields::SERVER.into(),
    }
}

async fn ensure(server: &Arc<Server>, group: &str, resource: &str, object: Value) -> Result<()> {
    let target = crate::resources::Target::of(api::find(group, "v1", resource).expect("it is in the table"));
    let place = crate::registry::Place::new(&target, meta::namespace(&object), meta::name(&object));
    if server.store.get(&place.key()).is_some() {
        return Ok(());
    }
    let mut call = server.call(loopback_user(), request(Verb::Create, group, resource, object));
    match server.serve(&mut call).await {
        Ok(_) => Ok(()),
        Err(status) if status.is(Reason::AlreadyExists) => Ok(()),
        Err(status) => Err(status),
    }
}

/// Makes an object what it should be.
pub(crate) async fn replace(server: &Arc<Server>, group: &str, resource: &str, object: Value) -> Result<()> {
    ensure(server, group, resource, object.clone()).await?;
    let mut call = server.call(loopback_user(), request(Verb::Update, group, resource, object));
    server.serve(&mut call).await.map(|_| ())
}

/// Creates a role or binding, or adds the default rules and subjects that it lacks, unless somebody
/// switched that off with the `autoupdate` annotation.
async fn ensure_rbac(server: &Arc<Server>, resource: &str, object: Value) -> Result<()> {
    let target = crate::resources::Target::of(api::find(RBAC, "v1", resource).expect("RBAC is in the table"));
    let place = crate::registry::Place::new(&target, meta::namespace(&object), meta::name(&object));
    let Some(entry) = server.store.get(&place.key()) else {
        return ensure(server, RBAC, resource, object).await;
    };
    let mut there = (*target.tree(&entry)).clone();
    let off = meta::annotation(&there, "rbac.authorization.kubernetes.io/autoupdate") == Some("false");
    let mut missing = false;
    for field in ["rules", "subjects"] {
        let wanted = object[field].as_array().cloned().unwrap_or_default();
        let have = there[field].as_array().cloned().unwrap_or_default();
        let lacking: Vec<Value> = wanted.into_iter().filter(|item| !have.contains(item)).collect();
        if !lacking.is_empty() && there.get("aggregationRule").is_none() {
            missing = true;
            there[field] = have.into_iter().chain(lacking).collect();
        }
    }
    if !missing || off {
        return Ok(());
    }
    let mut call = server.call(loopback_user(), request(Verb::Update, RBAC, resource, there));
    server.serve(&mut call).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_parse() {
        let roles = cluster_roles();
        let admin = roles.iter().find(|(name, _)| name == "cluster-admin").unwrap();
        assert_eq!(admin.1.len(), 2);
        assert!(roles.iter().any(|(name, rules)| name == "system:node" && rules.len() > 20));
        let objects = rbac_objects();
        assert!(objects.len() > 130);
        let binding = objects.iter().find(|(_, o)| meta::name(o) == "system:public-info-viewer").unwrap();
        assert_eq!(binding.0, "clusterroles");
        let view = objects.iter().find(|(r, o)| *r == "clusterroles" && meta::name(o) == "view").unwrap();
        assert!(view.1["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"].is_object());
    }
}
