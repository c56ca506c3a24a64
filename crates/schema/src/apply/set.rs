//! Sets of fields. A set is the tree that is stored as FieldsV1 and nothing else, so that what is
//! found out about an object is what is written, without a second form in between.
//!
//! Invariants: the root has no `.`; a node with nothing below is a member; a node with something
//! below is a member if it has `.`; there are no other nodes.

use super::element::{self, SELF};
use serde_json::{Map, Value};
use std::fmt;

pub(super) type Node = Map<String, Value>;

/// A set of fields of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Set(pub(super) Node);

/// A path from the root of an object; each step as its key.
pub type Path = Vec<String>;

/// A path as messages show it: `.spec.containers[name="c"].image`.
pub fn shown_path(path: &[String]) -> String {
    path.iter().map(|step| element::shown(step)).collect()
}

pub(super) fn is_member(node: &Node) -> bool {
    node.is_empty() || node.contains_key(SELF)
}

/// The steps below a node.
pub(super) fn children(node: &Node) -> impl Iterator<Item = (&String, &Node)> {
    node.iter().filter(|(key, _)| *key != SELF).filter_map(|(key, value)| Some((key, value.as_object()?)))
}

fn child<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    if key == SELF { None } else { node.get(key)?.as_object() }
}

/// A node; `None` if it is neither a member nor has anything below.
pub(super) fn node(member: bool, mut below: Node) -> Option<Value> {
    if below.is_empty() {
        return member.then(|| Value::Object(Map::new()));
    }
    if member {
        below.insert(SELF.into(), Value::Object(Map::new()));
    }
    Some(Value::Object(below))
}

impl Set {
    /// A set of paths of field names, separated by dots: for tables.
    pub fn of_fields(paths: &[&str]) -> Set {
        let mut set = Set::default();
        for path in paths {
            let steps: Vec<String> = path.split('.').map(element::field).collect();
            set.insert(&steps);
        }
        set
    }

    /// Reads a stored set, whoever wrote it. Steps of unknown kinds are dropped.
    ///
    /// # Errors
    /// It is no set.
    pub fn decode(fields: &Value) -> Result<Set, String> {
        match fields {
            Value::Null => Ok(Set::default()),
            Value::Object(map) => Ok(Set(decode_node(map)?.0)),
            _ => Err("expected an object of fields".into()),
        }
    }

    /// The tree to store.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a path; its parents are not added. The root is no member of any set.
    pub fn insert<S: AsRef<str>>(&mut self, path: &[S]) {
        self.put(path, Value::Object(Map::new()));
    }

    /// Adds a subtree below a path.
    pub(super) fn put<S: AsRef<str>>(&mut self, path: &[S], below: Value) {
        let Some((last, parents)) = path.split_last() else {
            if let Value::Object(below) = below {
                unite(&mut self.0, below);
                self.0.remove(SELF);
            }
            return;
        };
        let mut at = &mut self.0;
        for step in parents {
            let missing = !at.contains_key(step.as_ref());
            let next = at.entry(step.as_ref()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(next) = next else { return };
            // A leaf that gets something below stays a member.
            if !missing && next.is_empty() {
                next.insert(SELF.into(), Value::Object(Map::new()));
            }
            at = next;
        }
        unite_child(at, last.as_ref().to_owned(), below);
    }

    pub fn has<S: AsRef<str>>(&self, path: &[S]) -> bool {
        let mut at = &self.0;
        for step in path {
            match child(at, step.as_ref()) {
                Some(next) => at = next,
                None => return false,
            }
        }
        !path.is_empty() && is_member(at)
    }

    /// The members of either.
    pub fn unite(&mut self, other: Set) {
        unite(&mut self.0, other.0);
    }

    /// Removes the members of `other`; what lies below them stays.
    pub fn subtract(&mut self, other: &Set) {
        if !other.0.is_empty() {
            subtract(&mut self.0, &other.0);
        }
    }

    /// Removes the members of `other` with all that lies below them.
    pub fn subtract_trees(&mut self, other: &Set) {
        if !other.0.is_empty() {
            subtract_trees(&mut self.0, &other.0);
        }
    }

    /// The members of both.
    pub fn intersection(&self, other: &Set) -> Set {
        Set(intersection(&self.0, &other.0))
    }

    /// Removes what a path of field names, separated by dots, leads to.
    pub fn cut(&mut self, path: &str) {
        cut(&mut self.0, path);
    }

    /// Keeps what a pattern leads to: paths of field names, `*` for any step, with all below.
    pub fn keep_only(&mut self, patterns: &[&str]) {
        let patterns: Vec<Vec<&str>> = patterns.iter().map(|p| p.split('.').collect()).collect();
        let patterns: Vec<&[&str]> = patterns.iter().map(Vec::as_slice).collect();
        self.0 = keep_only(std::mem::take(&mut self.0), &patterns);
    }

    /// All members: of each level first those on it, then those below, in listing order.
    pub fn paths(&self) -> Vec<Path> {
        let mut found = Vec::new();
        list(&self.0, &mut Vec::new(), &mut found);
        found
    }
}

impl fmt::Display for Set {
    /// One path a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.paths().iter().map(|path| shown_path(path)).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// The steps below, and whether the node itself is a member.
fn decode_node(map: &Node) -> Result<(Node, bool), String> {
    let mut member = map.is_empty();
    let mut below = Node::new();
    for (key, value) in map {
        if key == SELF {
            member = true;
            continue;
        }
        let Some(key) = element::canonical(key)? else { continue };
        let (inner, is_member) = match value {
            Value::Null => (Node::new(), true),
            Value::Object(inner) => decode_node(inner)?,
            _ => return Err(format!("expected an object below {key}")),
        };
        if let Some(node) = node(is_member, inner) {
            unite_child(&mut below, key, node);
        }
    }
    let empty = below.is_empty();
    Ok((below, member || empty))
}

fn unite(node: &mut Node, other: Node) {
    if node.is_empty() {
        *node = other;
        return;
    }
    for (key, value) in other {
        unite_child(node, key, value);
    }
}

fn unite_child(parent: &mut Node, key: String, value: Value) {
    let (Some(Value::Object(mine)), Value::Object(theirs)) = (parent.get_mut(&key), &value) else {
        parent.insert(key, value);
        return;
    };
    let member = is_member(mine) || is_member(theirs);
    let Value::Object(theirs) = value else { return };
    unite(mine, theirs);
    if member && !mine.is_empty() {
        mine.insert(SELF.into(), Value::Object(Map::new()));
        if mine.len() == 1 {
            mine.clear();
        }
    }
}

fn subtract(node: &mut Node, other: &Node) {
    node.retain(|key, value| match (value, child(other, key)) {
        (_, None) => true,
        (Value::Object(mine), Some(theirs)) => {
            let member = is_member(mine) && !is_member(theirs);
            mine.remove(SELF);
            subtract(mine, theirs);
            settle(mine, member)
        }
        (_, Some(_)) => false,
    });
}

fn subtract_trees(node: &mut Node, other: &Node) {
    node.retain(|key, value| match (value, child(other, key)) {
        (_, None) => true,
        (_, Some(theirs)) if is_member(theirs) => false,
        (Value::Object(mine), Some(theirs)) => {
            let member = is_member(mine);
            mine.remove(SELF);
            subtract_trees(mine, theirs);
            settle(mine, member)
        }
        (_, Some(_)) => false,
    });
}

/// Restores the invariant of a node; whether it stays at all.
fn settle(node: &mut Node, member: bool) -> bool {
    if node.is_empty() {
        return member;
    }
    if member {
        node.insert(SELF.into(), Value::Object(Map::new()));
    }
    true
}

fn intersection(a: &Node, b: &Node) -> Node {
    let mut both = Node::new();
    for (key, mine) in children(a) {
        let Some(theirs) = child(b, key) else { continue };
        if let Some(node) = node(is_member(mine) && is_member(theirs), intersection(mine, theirs)) {
            both.insert(key.clone(), node);
        }
    }
    both
}

fn cut(node: &mut Node, path: &str) {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let step = element::field(step);
    match (rest, node.get_mut(&step)) {
        (None, _) => {
            node.remove(&step);
        }
        (Some(rest), Some(Value::Object(inner))) => {
            let member = is_member(inner);
            inner.remove(SELF);
            cut(inner, rest);
            if !settle(inner, member) {
                node.remove(&step);
            }
        }
        (Some(_), _) => {}
    }
}

fn keep_only(node: Node, patterns: &[&[&str]]) -> Node {
    let mut kept = Node::new();
    for (key, value) in node {
        let matches = |step: &str| step == "*" || key.strip_prefix("f:") == Some(step);
        let rests: Vec<&[&str]> = patterns
            .iter()
            .filter_map(|pattern| pattern.split_first())
            .filter(|(step, _)| matches(step))
            .map(|(_, rest)| rest)
            .collect();
        let Value::Object(inner) = value else { continue };
        if rests.iter().any(|rest| rest.is_empty()) {
            kept.insert(key, Value::Object(inner));
        } else if !rests.is_empty() {
            let member = is_member(&inner);
            let mut inner = inner;
            inner.remove(SELF);
            if let Some(node) = self::node(member, keep_only(inner, &rests)) {
                kept.insert(key, node);
            }
        }
    }
    kept
}

fn list(node: &Node, at: &mut Path, found: &mut Vec<Path>) {
    let mut steps: Vec<(&String, &Node)> = children(node).collect();
    steps.sort_by(|a, b| element::order(a.0, b.0));
    for (key, _) in steps.iter().filter(|(_, node)| is_member(node)) {
        found.push(at.iter().cloned().chain([(*key).clone()]).collect());
    }
    for (key, node) in steps {
        at.push(key.clone());
        list(node, at, found);
        at.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(value: Value) -> Set {
        Set::decode(&value).unwrap()
    }

    #[test]
    fn sets_are_read_and_written() {
        for (written, stored) in [
            (json!({}), json!({})),
            (Value::Null, json!({})),
            (json!({"f:a": {".": {}}}), json!({"f:a": {}})),
            (json!({"f:a": null, "x:new": {}, "f:b": {"x:new": {}}}), json!({"f:a": {}, "f:b": {}})),
            (json!({"f:a": {".": {}, "v: 1": {}}}), json!({"f:a": {".": {}, "v:1": {}}})),
        ] {
            assert_eq!(set(written).into_value(), stored);
        }
        for bad in [json!([]), json!({"f:a": 1}), json!({"": {}}), json!({"k:{": {}})] {
            assert!(Set::decode(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parents_and_children_are_different_members() {
        let mut built = Set::default();
        built.insert(&["f:a"]);
        built.insert(&["f:a", "f:b"]);
        built.insert(&["f:c", "f:d"]);
        assert_eq!(built.clone().into_value(), json!({"f:a": {".": {}, "f:b": {}}, "f:c": {"f:d": {}}}));
        assert!(built.has(&["f:a"]) && built.has(&["f:a", "f:b"]) && !built.has(&["f:c"]));
        assert_eq!(built.to_string(), ".a\n.a.b\n.c.d");
        let subtract = |other: Value| {
            let mut rest = built.clone();
            rest.subtract(&set(other));
            rest.into_value()
        };
        assert_eq!(subtract(json!({"f:a": {}})), json!({"f:a": {"f:b": {}}, "f:c": {"f:d": {}}}));
        assert_eq!(subtract(json!({"f:a": {"f:b": {}}})), json!({"f:a": {}, "f:c": {"f:d": {}}}));
        assert_eq!(subtract(json!({"f:c": {"f:d": {}}})), json!({"f:a": {".": {}, "f:b": {}}}));
        assert_eq!(subtract(json!({"f:c": {}})), built.clone().into_value());
        let mut rest = built.clone();
        rest.subtract_trees(&set(json!({"f:a": {}, "f:c": {"f:e": {}}})));
        assert_eq!(rest.into_value(), json!({"f:c": {"f:d": {}}}));
        let both = built.intersection(&set(json!({"f:a": {"f:b": {}}, "f:c": {}})));
        assert_eq!(both.into_value(), json!({"f:a": {"f:b": {}}}));
    }

    #[test]
    fn patterns_keep_what_they_lead_to() {
        let mut found = set(json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}":
            {".": {}, "f:resources": {"f:limits": {}}, "f:image": {}}}, "f:nodeName": {}}, "f:status": {}}));
        found.keep_only(&["spec.containers.*.resources", "spec.other"]);
        assert_eq!(
            found.into_value(),
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:resources": {"f:limits": {}}}}}})
        );
    }
}
