//! Defaulting. The rules hang on definitions of the schema ([`rules`]), so that they hold wherever a
//! definition occurs: a Pod template of a CronJob gets what a Pod gets. One walk from the root finds
//! them: first the rule of an object, then those of what it contains, as upstream's generated
//! `SetObjectDefaults_*` do. Defaulting twice changes nothing.

mod core;
mod pod;
mod rest;

use apimachinery::meta;
use schema::{FieldRef, Shape, TypeRef, table};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Fills what is absent in one object of one definition.
type Rule = fn(&mut Map<String, Value>);

struct Node {
    rule: Option<Rule>,
    /// The fields below which there are rules or defaults, and the definition there.
    fields: Vec<(FieldRef, TypeRef)>,
    /// Plain defaults of fields, from the schema.
    plain: Vec<(&'static str, Value)>,
}

static NODES: LazyLock<HashMap<TypeRef, Node>> = LazyLock::new(build);

/// Fills what the client left out of an object whose `kind` and `apiVersion` are set.
pub fn apply(object: &mut Value) {
    let Some(gvk) = meta::gvk(object) else { return };
    if let Some(definition) = table().kind(&gvk.group, &gvk.version, &gvk.kind) {
        apply_to(definition, object);
    }
}

/// Fills what is absent in an object of one definition.
pub fn apply_to(definition: TypeRef, object: &mut Value) {
    let (Some(node), Some(map)) = (NODES.get(&definition), object.as_object_mut()) else { return };
    if let Some(rule) = node.rule {
        rule(map);
    }
    for (field, value) in &node.plain {
        crate::read::fill_empty(map, field, value.clone());
    }
    for (field, inner) in &node.fields {
        match (map.get_mut(field.name()), field.shape()) {
            (Some(value), Shape::One) => apply_to(*inner, value),
            (Some(Value::Array(items)), Shape::List | Shape::WrappedList) => {
                items.iter_mut().for_each(|item| apply_to(*inner, item));
            }
            (Some(Value::Object(items)), Shape::Map) => {
                items.values_mut().for_each(|item| apply_to(*inner, item));
            }
            _ => {}
        }
    }
}

/// Definitions that have rules, found upwards: a definition matters if it has a rule or if a field
/// leads to one that does.
fn build() -> HashMap<TypeRef, Node> {
    let rules: HashMap<TypeRef, Rule> = core::RULES
        .iter()
        .chain(pod::RULES)
        .chain(rest::RULES)
        .filter_map(|(name, rule)| Some((table().definition(&full_name(name))?, *rule)))
        .collect();
    let mut nodes: HashMap<TypeRef, Node> = table()
        .definitions()
        .map(|definition| {
            (
                definition,
                Node { rule: rules.get(&definition).copied(), fields: Vec::new(), plain: plain(definition) },
            )
        })
        .collect();
    let mut matters: Vec<TypeRef> = nodes
        .iter()
        .filter(|(_, node)| node.rule.is_some() || !node.plain.is_empty())
        .map(|(d, _)| *d)
        .collect();
    let mut known: std::collections::HashSet<TypeRef> = matters.iter().copied().collect();
    let mut users: HashMap<TypeRef, Vec<TypeRef>> = HashMap::new();
    for definition in table().definitions() {
        for target in definition.fields().filter_map(FieldRef::target) {
            users.entry(target).or_default().push(definition);
        }
    }
    while let Some(definition) = matters.pop() {
        for user in users.get(&definition).into_iter().flatten() {
            if known.insert(*user) {
                matters.push(*user);
            }
        }
    }
    for (definition, node) in &mut nodes {
        let targets = definition.fields().filter_map(|field| Some((field, field.target()?)));
        node.fields = targets.filter(|(_, target)| known.contains(target)).collect();
    }
    nodes.retain(|definition, _| known.contains(definition));
    nodes
}

/// Names of definitions in the tables of rules leave out what most begin with.
fn full_name(name: &str) -> String {
    if name.starts_with("io.k8s.") { name.to_owned() } else { format!("io.k8s.api.{name}") }
}

fn plain(definition: TypeRef) -> Vec<(&'static str, Value)> {
    let with = definition.fields().filter_map(|field| Some((field.name(), field.default_json()?)));
    with.filter_map(|(name, json)| Some((name, serde_json::from_str(json).ok()?))).collect()
}

#[cfg(test)]
mod tests;
