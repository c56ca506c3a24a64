//! Emits the typed read-only views of `schema::view`: one wrapper per definition that our own
//! logic touches, and for everything reachable from there.

use super::facts::{Facts, Field};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The kinds whose views exist; definitions they refer to come along.
const ROOTS: &[&str] = &[
    "io.k8s.api.apps.v1.ControllerRevision",
    "io.k8s.api.apps.v1.DaemonSet",
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.apps.v1.ReplicaSet",
    "io.k8s.api.apps.v1.StatefulSet",
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "io.k8s.api.batch.v1.CronJob",
    "io.k8s.api.batch.v1.Job",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.core.v1.Binding",
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Endpoints",
    "io.k8s.api.core.v1.Event",
    "io.k8s.api.core.v1.LimitRange",
    "io.k8s.api.core.v1.Namespace",
    "io.k8s.api.core.v1.Node",
    "io.k8s.api.core.v1.PersistentVolume",
    "io.k8s.api.core.v1.PersistentVolumeClaim",
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.core.v1.ReplicationController",
    "io.k8s.api.core.v1.ResourceQuota",
    "io.k8s.api.core.v1.Secret",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.core.v1.ServiceAccount",
    "io.k8s.api.discovery.v1.EndpointSlice",
    "io.k8s.api.networking.v1.NetworkPolicy",
    "io.k8s.api.node.v1.RuntimeClass",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
    "io.k8s.api.rbac.v1.ClusterRole",
    "io.k8s.api.rbac.v1.ClusterRoleBinding",
    "io.k8s.api.rbac.v1.Role",
    "io.k8s.api.rbac.v1.RoleBinding",
    "io.k8s.api.scheduling.v1.PriorityClass",
    "io.k8s.api.storage.v1.StorageClass",
];

pub fn generate(facts: &Facts) -> String {
    let names = view_names(facts);
    let mut out = String::new();
    for (definition, view) in &names {
        let _ =
            writeln!(out, "view!(/// A read-only view of `{definition}`.\n {view});\nimpl<'a> {view}<'a> {{");
        for field in &facts[*definition].fields {
            let (kind, body) = accessor(field, &names);
            let _ = writeln!(
                out,
                "    /// `{}`\n    pub fn {}(self) -> {kind} {{ {body} }}",
                field.name,
                method(&field.name)
            );
        }
        out.push_str("}\n");
    }
    out
}

/// Definition to view name: the last part, with the package's group in front where two collide.
fn view_names(facts: &Facts) -> BTreeMap<&str, String> {
    let mut reached = BTreeSet::new();
    let mut queue: Vec<&str> = ROOTS.to_vec();
    while let Some(name) = queue.pop() {
        let (name, definition) = facts.get_key_value(name).unwrap_or_else(|| panic!("no facts about {name}"));
        if reached.insert(name.as_str()) {
            queue.extend(definition.fields.iter().map(Field::target).filter(|t| facts.contains_key(*t)));
        }
    }
    let mut short: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in &reached {
        short.entry(name.rsplit('.').next().expect("a name").to_owned()).or_default().push(name);
    }
    let mut names = BTreeMap::new();
    for (short, definitions) in short {
        for (i, definition) in definitions.iter().enumerate() {
            let group = definition.rsplit('.').nth(2).expect("a package");
            // The core group keeps the plain name (definitions are sorted, and a collision
            // without core is settled by the order of groups).
            let plain = definitions.len() == 1
                || group == "core"
                || (i == 0 && !definitions.iter().any(|d| d.contains(".core.")));
            names.insert(
                *definition,
                if plain { short.clone() } else { format!("{}{short}", capital(group)) },
            );
        }
    }
    names
}

fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// Return type and body of a field's accessor.
fn accessor(field: &Field, names: &BTreeMap<&str, String>) -> (String, String) {
    let key = format!("{:?}", field.name);
    let view = names.get(field.target());
    let must = field.has("required") || !field.flags.contains('o');
    match (field.shape(), field.target(), view) {
        ("[]", _, Some(view)) => (format!("List<'a, {view}<'a>>"), format!("list(self.0, {key})")),
        ("{}", _, Some(view)) => (format!("Map<'a, {view}<'a>>"), format!("map(self.0, {key})")),
        ("", _, Some(view)) if !field.flags.contains('p') => {
            (format!("{view}<'a>"), format!("{view}(object(self.0, {key}).unwrap_or(&Value::Null))"))
        }
        ("", _, Some(view)) => (format!("Option<{view}<'a>>"), format!("object(self.0, {key}).map({view})")),
        (shape, scalar, _) => {
            let item = match scalar {
                "string" | "duration" | "bytes" => "&'a str",
                "int32" | "int64" => "i64",
                "bool" => "bool",
                "double" => "f64",
                "quantity" => "Quantity",
                "time" | "microtime" => "Time",
                "intstr" => "IntOrString<'a>",
                _ => "&'a Value",
            };
            match shape {
                "[]" | "*[]" => (format!("List<'a, {item}>"), format!("list(self.0, {key})")),
                "{}" => (format!("Map<'a, {item}>"), format!("map(self.0, {key})")),
                "{}*[]" => (format!("Map<'a, List<'a, {item}>>"), format!("map(self.0, {key})")),
                _ if scalar == "string" && must => {
                    (item.to_owned(), format!("scalar(self.0, {key}).unwrap_or_default()"))
                }
                _ => (format!("Option<{item}>"), format!("scalar(self.0, {key})")),
            }
        }
    }
}

/// `podCIDRs` -> `pod_cidrs`, `clusterIP` -> `cluster_ip`, `type` -> `type_`.
fn method(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        if c.is_uppercase() && i > 0 {
            let after_lower = !chars[i - 1].is_uppercase();
            let plural = chars.get(i + 1) == Some(&'s') && chars.get(i + 2).is_none_or(|c| c.is_uppercase());
            let starts_word = chars.get(i + 1).is_some_and(|c| c.is_lowercase()) && !plural;
            if after_lower || starts_word {
                out.push('_');
            }
        }
        out.extend(c.to_lowercase());
    }
    let out = out.replace(['-', '$'], "_");
    if matches!(
        out.as_str(),
        "type" | "ref" | "match" | "continue" | "static" | "as" | "in" | "loop" | "enum" | "use"
    ) {
        out + "_"
    } else {
        out
    }
}
