//! Nobody grants rights they do not have: roles and bindings are checked against the rights of the
//! user who writes them, unless the verbs `escalate` (roles) or `bind` (bindings) allow more.

use crate::authz::Attributes;
use crate::authz::rbac::Rule;
use crate::codec;
use crate::context::{Call, Result};
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{GroupResource, Status, go, meta};
use serde_json::Value;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Checks a role or binding that is created or changed; `old` is what was there.
pub(super) fn check(
    server: &Server,
    call: &Call,
    target: &Target,
    object: &Value,
    old: Option<&Value>,
) -> Result<()> {
    if target.info.group != GROUP || call.user.groups.iter().any(|group| group == "system:masters") {
        return Ok(());
    }
    let namespace = meta::namespace(object);
    match target.info.resource {
        "roles" | "clusterroles" => {
            if old.is_some_and(|old| {
                old["rules"] == object["rules"] && old.get("aggregationRule") == object.get("aggregationRule")
            }) {
                return Ok(());
            }
            let name = meta::name(object);
            if may(server, call, "escalate", target.info.resource, namespace, name) {
                return Ok(());
            }
            // What an aggregated role will contain is up to others: it takes every right.
            let mut rules = rules_of(object);
            if object.get("aggregationRule").is_some_and(|rule| !rule.is_null()) {
                rules.push(everything());
            }
            held(server, call, &target.group_resource(), name, namespace, &rules)
        }
        _ => {
            if old.is_some_and(|old| {
                old["roleRef"] == object["roleRef"] && old["subjects"] == object["subjects"]
            }) {
                return Ok(());
            }
            let cluster_wide = object["roleRef"]["kind"] == "ClusterRole";
            let role = object["roleRef"]["name"].as_str().unwrap_or_default();
            let resource = if cluster_wide { "clusterroles" } else { "roles" };
            if may(server, call, "bind", resource, namespace, role) {
                return Ok(());
            }
            let roles = Target::of(api::find(GROUP, "v1", resource).expect("roles are in the table"));
            let entry = server.store.get(&roles.key(if cluster_wide { "" } else { namespace }, role));
            let entry = entry.ok_or_else(|| Box::new(Status::not_found(&roles.group_resource(), role)))?;
            let rules = rules_of(&codec::tree(&entry));
            held(server, call, &target.group_resource(), meta::name(object), namespace, &rules)
        }
    }
}

fn everything() -> Rule {
    let all = || vec!["*".to_owned()];
    Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() }
}

fn rules_of(role: &Value) -> Vec<Rule> {
    role["rules"].as_array().into_iter().flatten().map(Rule::parse).collect()
}

fn may(server: &Server, call: &Call, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
    let attributes =
        Attributes { group: GROUP, resource, namespace, name, ..Attributes::of_path(&call.user, verb, "") };
    server.authz.decide(server, &attributes).allowed
}

fn held(
    server: &Server,
    call: &Call,
    resource: &GroupResource,
    name: &str,
    namespace: &str,
    wanted: &[Rule],
) -> Result<()> {
    let own = server.authz.rbac.rules(&server.store, &call.user, namespace);
    let missing: Vec<String> = wanted.iter().filter(|rule| !covered(rule, &own)).map(show).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let groups = apimachinery::go::quote_list(&call.user.groups);
    let text = format!(
        "user {} (groups={groups}) is attempting to grant RBAC permissions not currently held:\n{}",
        go::quote(&call.user.name),
        missing.join("\n")
    );
    Err(Box::new(Status::forbidden(resource, name, text)))
}

/// Whether every single right in a rule is in one of the own rules.
fn covered(rule: &Rule, own: &[Rule]) -> bool {
    let has = |list: &[String], item: &str| list.iter().any(|x| x == "*" || x == item);
    let by_urls = rule.verbs.iter().all(|verb| {
        rule.urls.iter().all(|url| {
            own.iter().any(|o| {
                has(&o.verbs, verb)
                    && o.urls.iter().any(|u| {
                        u == "*" || u == url || u.strip_suffix('*').is_some_and(|p| url.starts_with(p))
                    })
            })
        })
    });
    let names: Vec<Option<&str>> = if rule.names.is_empty() {
        vec![None]
    } else {
        rule.names.iter().map(|n| Some(n.as_str())).collect()
    };
    let one = |verb: &str, group: &str, resource: &str, name: Option<&str>| {
        own.iter().any(|o| {
            let resources = o.resources.iter().any(|r| {
                r == "*"
                    || r == resource
                    || r.strip_prefix("*/").is_some_and(|sub| resource.ends_with(&format!("/{sub}")))
            });
            let named = o.names.is_empty() || name.is_some_and(|name| o.names.iter().any(|n| n == name));
            has(&o.verbs, verb) && has(&o.groups, group) && resources && named
        })
    };
    let by_resources = rule.verbs.iter().all(|verb| {
        rule.groups.iter().all(|group| {
            rule.resources.iter().all(|resource| names.iter().all(|name| one(verb, group, resource, *name)))
        })
    });
    by_urls && by_resources
}

/// A rule as upstream prints it.
fn show(rule: &Rule) -> String {
    let fields = [
        ("APIGroups", &rule.groups),
        ("Resources", &rule.resources),
        ("ResourceNames", &rule.names),
        ("NonResourceURLs", &rule.urls),
        ("Verbs", &rule.verbs),
    ];
    let quoted = |list: &[String]| list.iter().map(|item| go::quote(item)).collect::<Vec<_>>().join(", ");
    let shown = fields.iter().filter(|(_, list)| !list.is_empty());
    let parts: Vec<String> = shown.map(|(name, list)| format!("{name}:[{}]", quoted(list))).collect();
    format!("{{{}}}", parts.join(", "))
}
