//! The REST facts of every built-in resource: names, scope, verbs, subresources, storage prefix.
//! Read from `facts/resources.txt`; discovery, routing, RBAC and OpenAPI all ask this one table.
//! What a kind *means* (defaults, validation, columns) is its [`crate::Strategy`], not here.

use std::collections::HashMap;
use std::sync::LazyLock;

use apimachinery::gvk::{GroupKind, GroupResource, GroupVersionKind, GroupVersionResource};

/// One subresource, e.g. `status` of `pods`.
#[derive(Debug)]
pub struct SubresourceInfo {
    pub name: &'static str,
    /// The kind of its body, which may live in another group (`autoscaling/v1` Scale).
    pub kind: GroupVersionKind,
    pub verbs: Vec<&'static str>,
}

/// One resource in one served version.
#[derive(Debug)]
pub struct ResourceInfo {
    pub group: &'static str,
    pub version: &'static str,
    pub resource: &'static str,
    pub singular: String,
    pub kind: &'static str,
    pub namespaced: bool,
    pub verbs: Vec<&'static str>,
    pub short_names: Vec<&'static str>,
    pub categories: Vec<&'static str>,
    /// Below `/registry/`, e.g. `minions` for nodes. `None`: never stored (reviews, bindings).
    pub storage_prefix: Option<&'static str>,
    pub subresources: Vec<SubresourceInfo>,
    /// Alpha and beta versions are served on request only, as upstream does since 1.24 (KEP-3136).
    pub served_by_default: bool,
}

impl ResourceInfo {
    pub fn gvr(&self) -> GroupVersionResource {
        GroupVersionResource::new(self.group, self.version, self.resource)
    }

    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.group, self.version, self.kind)
    }

    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.group, self.resource)
    }

    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.group, self.kind)
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    pub fn subresource(&self, name: &str) -> Option<&SubresourceInfo> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// `/registry/pods/<namespace>/<name>`; without a name the prefix that lists use, ending in `/`.
    pub fn storage_key(&self, namespace: &str, name: &str) -> String {
        let mut key = format!("/registry/{}/", self.storage_prefix.unwrap_or(self.resource));
        if self.namespaced && !namespace.is_empty() {
            key.push_str(namespace);
            key.push('/');
        }
        key.push_str(name);
        key
    }
}

const ALL_VERBS: &str = "create,delete,deletecollection,get,list,patch,update,watch";

struct Table {
    resources: Vec<ResourceInfo>,
    by_gvr: HashMap<(&'static str, &'static str, &'static str), usize>,
    by_gvk: HashMap<(&'static str, &'static str, &'static str), usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let resources: Vec<_> = include_str!("../facts/resources.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(parse_line)
        .collect();
    let by_gvr = resources.iter().enumerate().map(|(i, r)| ((r.group, r.version, r.resource), i)).collect();
    let by_gvk = resources.iter().enumerate().map(|(i, r)| ((r.group, r.version, r.kind), i)).collect();
    Table { resources, by_gvr, by_gvk }
});

/// Every built-in resource, in discovery order, those not served by default included.
pub fn resources() -> &'static [ResourceInfo] {
    &TABLE.resources
}

pub fn find(group: &str, version: &str, resource: &str) -> Option<&'static ResourceInfo> {
    TABLE.by_gvr.get(&(group, version, resource)).map(|i| &TABLE.resources[*i])
}

pub fn find_kind(group: &str, version: &str, kind: &str) -> Option<&'static ResourceInfo> {
    TABLE.by_gvk.get(&(group, version, kind)).map(|i| &TABLE.resources[*i])
}

/// The version that is stored and preferred: the first one listed in discovery order.
pub fn preferred(group: &str, resource: &str) -> Option<&'static ResourceInfo> {
    resources().iter().find(|r| r.group == group && r.resource == resource)
}

fn parse_line(line: &'static str) -> ResourceInfo {
    let mut columns = line.split(' ');
    let mut next = || columns.next().expect("facts/resources.txt has nine columns");
    let (group, version) = split_group_version(next());
    let (resource, kind, scope) = (next(), next(), next());
    let verbs = match next() {
        "all" => ALL_VERBS,
        verbs => verbs,
    };
    let (short_names, categories) = (list(next(), ','), list(next(), ','));
    let storage_prefix = Some(next()).filter(|prefix| *prefix != "-");
    let subresources = list(next(), ';').into_iter().map(|s| parse_subresource(group, version, s)).collect();
    ResourceInfo {
        group,
        version,
        resource,
        singular: kind.to_lowercase(),
        kind,
        namespaced: scope == "namespaced",
        verbs: verbs.split(',').collect(),
        short_names,
        categories,
        storage_prefix,
        subresources,
        served_by_default: !version.contains("alpha") && !version.contains("beta"),
    }
}

fn parse_subresource(group: &str, version: &str, text: &'static str) -> SubresourceInfo {
    let mut parts = text.split('=');
    let mut next = || parts.next().expect("a subresource is name=Kind=verbs");
    let (name, kind, verbs) = (next(), next(), next());
    let kind = match kind.rsplit_once('.') {
        Some((group_version, kind)) => {
            let (group, version) = split_group_version(group_version);
            GroupVersionKind::new(group, version, kind)
        }
        None => GroupVersionKind::new(group, version, kind),
    };
    SubresourceInfo { name, kind, verbs: verbs.split('+').collect() }
}

fn split_group_version(text: &'static str) -> (&'static str, &'static str) {
    text.split_once('/').unwrap_or(("", text))
}

fn list(text: &'static str, separator: char) -> Vec<&'static str> {
    if text == "-" { Vec::new() } else { text.split(separator).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_what_clients_expect() {
        let pods = find("", "v1", "pods").expect("pods are built in");
        assert_eq!(pods.kind, "Pod");
        assert!(pods.namespaced && pods.has_verb("watch"));
        assert_eq!(pods.short_names, ["po"]);
        assert_eq!(pods.storage_key("default", "nginx"), "/registry/pods/default/nginx");
        assert_eq!(pods.subresource("eviction").expect("eviction").kind.group, "policy");
        assert_eq!(find_kind("", "v1", "Node").expect("nodes").storage_key("", "n1"), "/registry/minions/n1");
    }

    #[test]
    fn only_stable_versions_are_served_by_default() {
        assert!(find("apps", "v1", "deployments").expect("deployments").served_by_default);
        assert!(!find("resource.k8s.io", "v1beta1", "deviceclasses").expect("beta").served_by_default);
    }
}
