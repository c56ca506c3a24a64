//! RBAC: roles and bindings, compiled from the stored objects whenever one of them has changed.

use super::Attributes;
use client::UserInfo;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use store::Store;
use tokio::sync::watch;

const GROUP: &str = "rbac.authorization.k8s.io";

/// One rule of a role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub names: Vec<String>,
    pub urls: Vec<String>,
}

impl Rule {
    pub fn parse(rule: &Value) -> Rule {
        let list = |field: &str| {
            let items = rule[field].as_array().into_iter().flatten();
            items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        Rule {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            urls: list("nonResourceURLs"),
        }
    }

    pub fn allows(&self, a: &Attributes<'_>) -> bool {
        let has = |list: &[String], item: &str| list.iter().any(|x| x == "*" || x == item);
        if !has(&self.verbs, a.verb) {
            return false;
        }
        if !a.path.is_empty() {
            return self.urls.iter().any(|url| url_matches(url, a.path));
        }
        has(&self.groups, a.group)
            && self.resources.iter().any(|resource| resource_matches(resource, a.resource, a.subresource))
            && (self.names.is_empty() || self.names.iter().any(|name| name == a.name))
    }

    pub fn to_value(&self) -> Value {
        let mut map = serde_json::Map::new();
        map.insert("verbs".into(), self.verbs.clone().into());
        let others = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (field, list) in others {
            if !list.is_empty() {
                map.insert(field.into(), list.clone().into());
            }
        }
        Value::Object(map)
    }
}

fn url_matches(rule: &str, path: &str) -> bool {
    rule == "*" || rule == path || rule.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => subresource.is_empty() && rule == resource,
        Some(("*", sub)) => sub == subresource,
        Some((name, "*")) => name == resource && !subresource.is_empty(),
        Some((name, sub)) => name == resource && sub == subresource,
    }
}

/// What a subject may do, and where.
#[derive(Clone)]
struct Grant {
    /// `None`: everywhere.
    namespace: Option<Arc<str>>,
    rules: Arc<Vec<Rule>>,
    /// How messages name the binding.
    reason: Arc<str>,
}

#[derive(Default)]
struct Compiled {
    users: HashMap<String, Vec<Grant>>,
    groups: HashMap<String, Vec<Grant>>,
}

impl Compiled {
    fn grants<'a>(&'a self, user: &'a UserInfo) -> impl Iterator<Item = &'a Grant> {
        let own = self.users.get(&user.name).into_iter().flatten();
        own.chain(user.groups.iter().flat_map(|group| self.groups.get(group).into_iter().flatten()))
    }
}

pub(crate) struct Rbac {
    compiled: RwLock<Arc<Compiled>>,
    changed: Mutex<Vec<watch::Receiver<u64>>>,
}

fn prefix(resource: &str) -> String {
    let info = api::preferred(GROUP, resource).expect("RBAC resources are in the table");
    info.storage_key("", "")
}

const RESOURCES: [&str; 4] = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"];

impl Rbac {
    pub fn new(store: &Store) -> Rbac {
        let mut changed: Vec<_> = RESOURCES.iter().map(|resource| store.changes(&prefix(resource))).collect();
        changed.iter_mut().for_each(watch::Receiver::mark_changed);
        Rbac { compiled: RwLock::default(), changed: Mutex::new(changed) }
    }

    /// The rules as of now: a binding works as soon as its creation was answered.
    fn current(&self, store: &Store) -> Arc<Compiled> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.iter().any(|receiver| receiver.has_changed().unwrap_or(false)) {
            changed.iter_mut().for_each(|receiver| {
                receiver.borrow_and_update();
            });
            let fresh = Arc::new(compile(store));
            *self.compiled.write().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
            return fresh;
        }
        drop(changed);
        self.compiled.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The reason why it is allowed, if it is.
    pub fn decide(&self, store: &Store, attributes: &Attributes<'_>) -> Option<String> {
        let compiled = self.current(store);
        let mut grants = compiled.grants(attributes.user);
        let grant = grants.find(|grant| {
            let here = grant.namespace.as_ref().is_none_or(|namespace| {
                attributes.path.is_empty()
                    && !attributes.namespace.is_empty()
                    && **namespace == *attributes.namespace
            });
            here && grant.rules.iter().any(|rule| rule.allows(attributes))
        })?;
        Some(format!("RBAC: allowed by {}", grant.reason))
    }

    /// Every rule a user has in a namespace.
    pub fn rules(&self, store: &Store, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        let compiled = self.current(store);
        let here = compiled.grants(user).filter(|g| g.namespace.as_ref().is_none_or(|ns| **ns == *namespace));
        here.flat_map(|grant| grant.rules.iter().cloned()).collect()
    }
}

fn compile(store: &Store) -> Compiled {
    let load = |resource: &str| -> Vec<Arc<Value>> {
        store.list(&prefix(resource)).iter().map(|entry| crate::codec::tree(entry)).collect()
    };
    let cluster_roles = load("clusterroles");
    let mut roles: HashMap<(String, String), Arc<Vec<Rule>>> = HashMap::new();
    for role in &cluster_roles {
        let rules = effective_rules(role, &cluster_roles);
        roles.insert((String::new(), apimachinery::meta::name(role).into()), Arc::new(rules));
    }
    for role in load("roles") {
        let key = (apimachinery::meta::namespace(&role).into(), apimachinery::meta::name(&role).into());
        roles.insert(key, Arc::new(own_rules(&role)));
    }
    let mut compiled = Compiled::default();
    for binding in load("clusterrolebindings").iter().chain(&load("rolebindings")) {
        add_binding(&mut compiled, &roles, binding);
    }
    compiled
}

fn own_rules(role: &Value) -> Vec<Rule> {
    role["rules"].as_array().into_iter().flatten().map(Rule::parse).collect()
}

/// A role's rules and those that its aggregation rule selects; they count before the aggregation
/// controller has written them down.
fn effective_rules(role: &Value, all: &[Arc<Value>]) -> Vec<Rule> {
    let mut rules = own_rules(role);
    let mut seen = vec![apimachinery::meta::name(role).to_owned()];
    let mut pending = vec![role];
    while let Some(role) = pending.pop() {
        let selectors = role.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array);
        for selector in selectors.into_iter().flatten() {
            let Ok(selector) = apimachinery::labels::Selector::from_label_selector(Some(selector)) else {
                continue;
            };
            for other in all.iter().filter(|other| selector.matches_object(other)) {
                let name = apimachinery::meta::name(other);
                if !seen.iter().any(|known| known == name) {
                    seen.push(name.to_owned());
                    rules.extend(own_rules(other));
                    pending.push(other);
                }
            }
        }
    }
    rules
}

fn add_binding(compiled: &mut Compiled, roles: &HashMap<(String, String), Arc<Vec<Rule>>>, binding: &Value) {
    let namespace = apimachinery::meta::namespace(binding);
    let (kind, role) = (binding["roleRef"]["kind"].as_str(), binding["roleRef"]["name"].as_str());
    let (Some(kind), Some(role)) = (kind, role) else { return };
    let scope = if kind == "Role" { namespace } else { "" };
    let Some(rules) = roles.get(&(scope.to_owned(), role.to_owned())) else { return };
    for subject in binding["subjects"].as_array().into_iter().flatten() {
        let name = subject["name"].as_str().unwrap_or_default();
        let quoted = apimachinery::go::quote(&apimachinery::meta::key(binding));
        let binding_kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let reason = format!(
            "{binding_kind} {quoted} of {kind} {} to {} {}",
            apimachinery::go::quote(role),
            subject["kind"].as_str().unwrap_or_default(),
            apimachinery::go::quote(&match subject["namespace"].as_str() {
                Some(namespace) => format!("{name}/{namespace}"),
                None => name.to_owned(),
            }),
        );
        let grant = Grant {
            namespace: (!namespace.is_empty()).then(|| namespace.into()),
            rules: rules.clone(),
            reason: reason.into(),
        };
        match subject["kind"].as_str() {
            Some("User") => compiled.users.entry(name.to_owned()).or_default().push(grant),
            Some("Group") => compiled.groups.entry(name.to_owned()).or_default().push(grant),
            Some("ServiceAccount") => {
                let home = subject["namespace"].as_str().unwrap_or(namespace);
                let user = format!("system:serviceaccount:{home}:{name}");
                compiled.users.entry(user).or_default().push(grant);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_match_as_upstreams() {
        let user = UserInfo::new("u", &[]);
        let ask = |verb, resource: &'static str, name| Attributes {
            subresource: resource.split_once('/').map_or("", |(_, sub)| sub),
            resource: resource.split('/').next().unwrap_or_default(),
            name,
            namespace: "default",
            ..Attributes::of_path(&user, verb, "")
        };
        let rule = |verbs: &str, resources: &str, names: &str| Rule {
            verbs: vec![verbs.into()],
            groups: vec![String::new()],
            resources: vec![resources.into()],
            names: if names.is_empty() { vec![] } else { vec![names.into()] },
            urls: vec![],
        };
        for (rule, attributes, allowed) in [
            (rule("get", "pods", ""), ask("get", "pods", "p"), true),
            (rule("get", "pods", ""), ask("get", "pods/log", "p"), false),
            (rule("get", "pods/log", ""), ask("get", "pods/log", "p"), true),
            (rule("get", "*/log", ""), ask("get", "pods/log", "p"), true),
            (rule("*", "*", ""), ask("delete", "pods/log", "p"), true),
            (rule("get", "pods", "q"), ask("get", "pods", "p"), false),
            (rule("get", "pods", "p"), ask("list", "pods", ""), false),
        ] {
            assert_eq!(rule.allows(&attributes), allowed, "{rule:?} {attributes:?}");
        }
        let urls = Rule { verbs: vec!["get".into()], urls: vec!["/api/*".into()], ..Rule::default() };
        assert!(urls.allows(&Attributes::of_path(&user, "get", "/api/v1")));
        assert!(!urls.allows(&Attributes::of_path(&user, "get", "/apis")));
    }
}
