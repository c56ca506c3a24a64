//! Priority and fairness: flow schemas and priority levels; two of each are as they must be.

use super::checks::same;
use super::plain::{Kind, Plain};
use super::pod::errors::Errors;
use crate::read::{at, flag, has, int, list, opt_text, text, texts};
use apimachinery::{FieldError, Path, meta, validation};
use serde_json::{Value, json};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const ZERO_SHARES: &str = "flowcontrol.k8s.io/preserve-zero-concurrency-shares";
const MAX_PRECEDENCE: i64 = 10_000;
const MAX_QUEUES: i64 = 10_000_000;
/// Bits of the hash that deals hands of queues.
const MAX_HASH_BITS: i64 = 60;
const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

const fn kind() -> Plain {
    Plain::of().status().generation().status_rules(|object, _, errors| status(at(object, "status"), errors))
}

pub(super) static KINDS: &[Kind] = &[
    (GROUP, "flowschemas", kind().rules(flow_schema)),
    (GROUP, "prioritylevelconfigurations", kind().rules(priority_level)),
];

fn status(status: &Value, errors: &mut Errors) {
    let path = Path::new("status").child("conditions");
    let mut seen = Vec::new();
    for (index, condition) in list(status, "conditions").iter().enumerate() {
        let (kind, path) = (text(condition, "type"), path.index(index).child("type"));
        if seen.contains(&kind) {
            errors.duplicate(&path, kind);
        }
        seen.push(kind);
        if kind.is_empty() {
            errors.required(&path, "");
        }
    }
}

fn flow_schema(object: &Value, errors: &mut Errors) {
    let (spec, path, name) = (at(object, "spec"), Path::new("spec"), meta::name(object));
    let (precedence, at_precedence) =
        (int(spec, "matchingPrecedence").unwrap_or(0), path.child("matchingPrecedence"));
    if precedence <= 0 {
        errors.invalid(&at_precedence, precedence, "must be a positive value");
    }
    if precedence > MAX_PRECEDENCE {
        let detail = format!("must not be greater than {MAX_PRECEDENCE}");
        errors.invalid(&at_precedence, precedence, detail);
    }
    if precedence == 1 && name != "exempt" {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.invalid(&at_precedence, precedence, detail);
    }
    let method = at(spec, "distinguisherMethod");
    if !method.is_null() && !matches!(text(method, "type"), "ByNamespace" | "ByUser") {
        let path = path.child("distinguisherMethod").child("type");
        errors.push(FieldError::not_supported(&path, method.clone(), &["ByNamespace", "ByUser"]));
    }
    let level = text(at(spec, "priorityLevelConfiguration"), "name");
    let at_level = path.child("priorityLevelConfiguration").child("name");
    if level.is_empty() {
        errors.required(&at_level, "must reference a priority level");
    } else {
        errors.subdomain(&at_level, level);
    }
    for (index, rule) in list(spec, "rules").iter().enumerate() {
        self::rule(rule, &path.child("rules").index(index), errors);
    }
    if mandatory_schema(name).is_some_and(|fixed| !same(&fixed, spec)) {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.invalid(&path, spec.clone(), detail);
    }
    status(at(object, "status"), errors);
}

/// Schemas that are always there.
fn mandatory_schema(name: &str) -> Option<Value> {
    let rules = |groups: &[&str]| {
        let subjects: Vec<Value> =
            groups.iter().map(|name| json!({"kind": "Group", "group": {"name": name}})).collect();
        json!([{
            "subjects": subjects,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                "clusterScope": true, "namespaces": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }])
    };
    match name {
        "exempt" => Some(json!({
            "matchingPrecedence": 1,
            "priorityLevelConfiguration": {"name": "exempt"},
            "rules": rules(&["system:masters"]),
        })),
        "catch-all" => Some(json!({
            "matchingPrecedence": 10000,
            "priorityLevelConfiguration": {"name": "catch-all"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": rules(&["system:unauthenticated", "system:authenticated"]),
        })),
        _ => None,
    }
}

fn rule(rule: &Value, path: &Path, errors: &mut Errors) {
    let subjects = list(rule, "subjects");
    if subjects.is_empty() {
        errors.required(&path.child("subjects"), "subjects must contain at least one value");
    }
    for (index, subject) in subjects.iter().enumerate() {
        self::subject(subject, &path.child("subjects").index(index), errors);
    }
    let (resources, others) = (list(rule, "resourceRules"), list(rule, "nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.required(path, detail);
    }
    for (index, rule) in resources.iter().enumerate() {
        resource_rule(rule, &path.child("resourceRules").index(index), errors);
    }
    for (index, rule) in others.iter().enumerate() {
        let path = path.child("nonResourceRules").index(index);
        verbs(rule, &path, errors);
        urls(rule, &path.child("nonResourceURLs"), errors);
    }
}

fn subject(subject: &Value, path: &Path, errors: &mut Errors) {
    const KINDS: [(&str, &str); 3] =
        [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let kind = text(subject, "kind");
    let Some((_, own)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        return errors.not_supported(&path.child("kind"), kind, &["Group", "ServiceAccount", "User"]);
    };
    let (who, at_who) = (at(subject, own), path.child(*own));
    let name = text(who, "name");
    if who.is_null() {
        errors.required(&at_who, &format!("{own} is required when subject kind is '{kind}'"));
    } else if name.is_empty() {
        errors.required(&at_who.child("name"), "");
    } else if kind == "ServiceAccount" && name != "*" {
        errors.subdomain(&at_who.child("name"), name);
    }
    if kind == "ServiceAccount" && !who.is_null() {
        let namespace = text(who, "namespace");
        if namespace.is_empty() {
            let detail = "must specify namespace for service account";
            errors.required(&at_who.child("namespace"), detail);
        } else {
            errors.label(&at_who.child("namespace"), namespace);
        }
    }
    for (other, field) in KINDS.iter().filter(|(other, field)| *other != kind && has(subject, field)) {
        let detail = format!("{field} is forbidden when subject kind is not '{other}'");
        errors.forbidden(&path.child(*field), detail);
    }
}

/// A list in which a star stands alone; answers whether it has none.
fn listed(
    rule: &Value,
    field: &'static str,
    missing: &str,
    words: &str,
    path: &Path,
    errors: &mut Errors,
) -> bool {
    let items = list(rule, field);
    let star = texts(rule, field).any(|item| item == "*");
    if items.is_empty() {
        errors.required(&path.child(field), missing);
    } else if star && items.len() > 1 {
        let detail = format!("if '*' is present, must not specify other {words}");
        errors.invalid(&path.child(field), items.to_vec(), detail);
    }
    !star && !items.is_empty()
}

fn verbs(rule: &Value, path: &Path, errors: &mut Errors) {
    let missing = "verbs must contain at least one value";
    if listed(rule, "verbs", missing, "verbs", path, errors)
        && !texts(rule, "verbs").all(|verb| VERBS.contains(&verb))
    {
        let path = path.child("verbs");
        errors.push(FieldError::not_supported(&path, at(rule, "verbs").clone(), &VERBS));
    }
}

fn resource_rule(rule: &Value, path: &Path, errors: &mut Errors) {
    verbs(rule, path, errors);
    let missing = "resource rules must supply at least one api group";
    listed(rule, "apiGroups", missing, "api groups", path, errors);
    let missing = "resource rules must supply at least one resource";
    listed(rule, "resources", missing, "resources", path, errors);
    if list(rule, "namespaces").is_empty() && flag(rule, "clusterScope") {
        return;
    }
    let missing = "resource rules that are not cluster scoped must supply at least one namespace";
    if listed(rule, "namespaces", missing, "namespaces", path, errors) {
        for (index, namespace) in texts(rule, "namespaces").enumerate() {
            for problem in validation::dns1123_label(namespace) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {problem}");
                errors.invalid(&path.child("namespaces").index(index), namespace, detail);
            }
        }
    }
}

fn urls(rule: &Value, path: &Path, errors: &mut Errors) {
    let all: Vec<&str> = texts(rule, "nonResourceURLs").collect();
    if all.is_empty() {
        return errors.required(path, "nonResourceURLs must contain at least one value");
    }
    if all.contains(&"*") {
        if all.len() > 1 {
            let detail = "if '*' is present, must not specify other non-resource URLs";
            errors.invalid(path, all, detail);
        }
        return;
    }
    for (index, url) in all.iter().enumerate() {
        let stars = url.matches('*').count();
        let detail = match *url {
            "" => "must not be empty",
            "/" => continue,
            url if !url.starts_with('/') => "must start with slash",
            url if url.contains(' ') => "must not contain white-space",
            url if url.contains("//") => "must not contain double slash",
            url if stars > 1 || stars == 1 && !url.ends_with("/*") => "wildcard can only do suffix matching",
            _ => continue,
        };
        errors.invalid(&path.index(index), *url, detail);
    }
}

fn priority_level(object: &Value, errors: &mut Errors) {
    let (spec, path, name) = (at(object, "spec"), Path::new("spec"), meta::name(object));
    if meta::annotation(object, ZERO_SHARES).is_some() {
        let detail = format!("annotation '{ZERO_SHARES}' is forbidden");
        errors.forbidden(&Path::new("metadata").child("annotations"), detail);
    }
    let kind = text(spec, "type");
    if (name == "exempt") != (kind == "Exempt") {
        let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
        errors.invalid(&path.child("type"), kind, detail);
    }
    let (limited, exempt) = (at(spec, "limited"), at(spec, "exempt"));
    match kind {
        "Exempt" => {
            if !limited.is_null() {
                errors.forbidden(&path.child("limited"), "must be nil if the type is not Limited");
            }
            shares(exempt, &path.child("exempt"), errors);
            lendable(exempt, &path.child("exempt"), errors);
        }
        "Limited" => {
            if !exempt.is_null() {
                errors.forbidden(&path.child("exempt"), "must be nil if the type is Limited");
            }
            if limited.is_null() {
                errors.required(&path.child("limited"), "must not be empty when type is Limited");
            } else {
                self::limited(limited, &path.child("limited"), errors);
            }
        }
        other => errors.known(&path.child("type"), other, &["Exempt", "Limited"]),
    }
    mandatory_level(name, spec, &path, errors);
    status(at(object, "status"), errors);
}

fn mandatory_level(name: &str, spec: &Value, path: &Path, errors: &mut Errors) {
    if name == "exempt" && (text(spec, "type") != "Exempt" || has(spec, "limited")) {
        let detail = format!("spec of '{name}' except the 'spec.exempt' field must equal the fixed value");
        errors.invalid(path, spec.clone(), detail);
    }
    let fixed = json!({"type": "Limited", "limited": {
        "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}}});
    if name == "catch-all" && !same(&fixed, spec) {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.invalid(path, spec.clone(), detail);
    }
}

fn shares(level: &Value, path: &Path, errors: &mut Errors) {
    if let Some(shares) = int(level, "nominalConcurrencyShares").filter(|shares| *shares < 0) {
        let path = path.child("nominalConcurrencyShares");
        errors.invalid(&path, shares, "must be a non-negative integer");
    }
}

fn lendable(level: &Value, path: &Path, errors: &mut Errors) {
    if let Some(percent) = int(level, "lendablePercent") {
        errors.in_range(&path.child("lendablePercent"), percent, 0, 100);
    }
}

fn limited(level: &Value, path: &Path, errors: &mut Errors) {
    shares(level, path, errors);
    let (response, at_response) = (at(level, "limitResponse"), path.child("limitResponse"));
    let (queuing, at_queuing) = (at(response, "queuing"), at_response.child("queuing"));
    match opt_text(response, "type").unwrap_or_default() {
        "Reject" if !queuing.is_null() => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            errors.forbidden(&at_queuing, detail);
        }
        "Queue" if queuing.is_null() => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            errors.required(&at_queuing, detail);
        }
        "Queue" => queues(queuing, &at_queuing, errors),
        other => errors.known(&at_response.child("type"), other, &["Queue", "Reject"]),
    }
    lendable(level, path, errors);
    if let Some(percent) = int(level, "borrowingLimitPercent").filter(|percent| *percent < 0) {
        let path = path.child("borrowingLimitPercent");
        errors.invalid(&path, percent, "if specified, must be a non-negative integer");
    }
}

fn queues(queuing: &Value, path: &Path, errors: &mut Errors) {
    let [length, queues, hand] =
        ["queueLengthLimit", "queues", "handSize"].map(|field| int(queuing, field).unwrap_or(0));
    if length <= 0 {
        errors.invalid(&path.child("queueLengthLimit"), length, "must be positive");
    }
    if queues <= 0 {
        errors.invalid(&path.child("queues"), queues, "must be positive");
    } else if queues > MAX_QUEUES {
        let detail = format!("must not be greater than {MAX_QUEUES}");
        errors.invalid(&path.child("queues"), queues, detail);
    }
    let path = path.child("handSize");
    if hand <= 0 {
        return errors.invalid(&path, hand, "must be positive");
    }
    if hand > queues {
        return errors.invalid(&path, hand, format!("should not be greater than queues ({queues})"));
    }
    let bits = ((queues as f64).log2() * hand as f64).ceil() as i64;
    if bits > MAX_HASH_BITS {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_HASH_BITS}"
        );
        errors.invalid(&path, hand, detail);
    }
}
