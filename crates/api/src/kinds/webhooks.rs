//! Configurations of admission webhooks, and what they share with others that call webhooks or match
//! requests: clients, review versions, rules, match conditions.

use super::plain::{Kind, Plain};
use super::pod::{affinity::label_selector, errors::Errors};
use crate::read::{at, int, list, opt_text, text, texts};
use apimachinery::{Path, meta, validation};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) const GROUP: &str = "admissionregistration.k8s.io";
const MAX_CONDITIONS: usize = 64;
const MAX_TIMEOUT: i64 = 30;
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const HARMLESS: [&str; 2] = ["None", "NoneOnDryRun"];
const SIDE_EFFECTS: [&str; 4] = ["None", "NoneOnDryRun", "Some", "Unknown"];
const STATIC: &str = ".static.k8s.io";

const fn configuration() -> Plain {
    Plain::of().generation_of_all().needs_version().warn(|object, _| static_name(object))
}

pub(super) static KINDS: &[Kind] = &[
    (
        GROUP,
        "validatingwebhookconfigurations",
        configuration()
            .rules(|object, errors| webhooks(object, None, false, errors))
            .update(|new, old, errors| webhooks(new, Some(old), false, errors)),
    ),
    (
        GROUP,
        "mutatingwebhookconfigurations",
        configuration()
            .rules(|object, errors| webhooks(object, None, true, errors))
            .update(|new, old, errors| webhooks(new, Some(old), true, errors)),
    ),
];

/// Names of configurations that come from files.
pub(super) fn static_name(object: &Value) -> Vec<String> {
    let name = meta::name(object);
    if !name.ends_with(STATIC) {
        return Vec::new();
    }
    vec![format!(
        "metadata.name: names ending with \"{STATIC}\" are reserved for static manifest-based configurations and cannot be managed via the API"
    )]
}

/// What all old webhooks obeyed, and new ones must.
struct Strict {
    side_effects: bool,
    versions: bool,
    names: bool,
}

fn webhooks(object: &Value, old: Option<&Value>, mutating: bool, errors: &mut Errors) {
    let before = old.map(|old| list(old, "webhooks"));
    let obeyed = |rule: &dyn Fn(&[Value]) -> bool| before.is_none_or(rule);
    let strict = Strict {
        side_effects: obeyed(&|hooks| hooks.iter().all(|hook| HARMLESS.contains(&text(hook, "sideEffects")))),
        versions: obeyed(&|hooks| {
            hooks.iter().all(|hook| {
                let mut versions = texts(hook, "admissionReviewVersions").peekable();
                versions.peek().is_none() || versions.any(|version| REVIEW_VERSIONS.contains(&version))
            })
        }),
        names: obeyed(&|hooks| {
            hooks.iter().map(|hook| text(hook, "name")).collect::<BTreeSet<_>>().len() == hooks.len()
        }),
    };
    let conditions =
        |hooks: &[Value]| hooks.iter().map(|hook| at(hook, "matchConditions").clone()).collect::<Vec<_>>();
    let hooks = list(object, "webhooks");
    let same_conditions = before.is_some_and(|before| conditions(before) == conditions(hooks));
    let mut names = BTreeSet::new();
    for (index, hook) in hooks.iter().enumerate() {
        let path = Path::new("webhooks").index(index);
        webhook(hook, &strict, mutating, same_conditions, &path, errors);
        let field = "admissionReviewVersions";
        let known: &[&str] = if strict.versions { &REVIEW_VERSIONS } else { &[] };
        if list(hook, field).is_empty() {
            let detail = format!("must specify one of {}", REVIEW_VERSIONS.join(", "));
            errors.required(&path.child(field), &detail);
        } else {
            review_versions(hook, field, known, &path.child(field), errors);
        }
        let name = text(hook, "name");
        if strict.names && !name.is_empty() && !names.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
    }
}

fn webhook(
    hook: &Value,
    strict: &Strict,
    mutating: bool,
    same_conditions: bool,
    path: &Path,
    errors: &mut Errors,
) {
    errors.qualified_domain(&path.child("name"), text(hook, "name"), 3, "three");
    for (index, rule) in list(hook, "rules").iter().enumerate() {
        operations(rule, &path.child("rules").index(index), errors);
    }
    if let Some(policy) = opt_text(hook, "failurePolicy") {
        errors.known(&path.child("failurePolicy"), policy, &["Fail", "Ignore"]);
    }
    if let Some(policy) = opt_text(hook, "matchPolicy") {
        errors.known(&path.child("matchPolicy"), policy, &["Equivalent", "Exact"]);
    }
    let allowed: &[&str] = if strict.side_effects { &HARMLESS } else { &SIDE_EFFECTS };
    match opt_text(hook, "sideEffects") {
        None => {
            let detail = format!("must specify one of {}", allowed.join(", "));
            errors.required(&path.child("sideEffects"), &detail);
        }
        Some(effects) => errors.known(&path.child("sideEffects"), effects, allowed),
    }
    if let Some(seconds) = int(hook, "timeoutSeconds").filter(|seconds| !(1..=MAX_TIMEOUT).contains(seconds))
    {
        let detail = format!("the timeout value must be between 1 and {MAX_TIMEOUT} seconds");
        errors.invalid(&path.child("timeoutSeconds"), seconds, detail);
    }
    for field in ["namespaceSelector", "objectSelector"] {
        label_selector(at(hook, field), &path.child(field), errors);
    }
    if let Some(policy) = opt_text(hook, "reinvocationPolicy").filter(|_| mutating) {
        errors.known(&path.child("reinvocationPolicy"), policy, &["IfNeeded", "Never"]);
    }
    client(at(hook, "clientConfig"), &path.child("clientConfig"), errors);
    if !same_conditions {
        match_conditions(hook, path, errors);
    }
}

/// Who is called: by URL or as a Service.
pub(super) fn client(client: &Value, path: &Path, errors: &mut Errors) {
    let (url, service) = (opt_text(client, "url"), at(client, "service"));
    match (url, service.is_null()) {
        (Some(url), true) => self::url(url, &path.child("url"), errors),
        (None, false) => self::service(service, &path.child("service"), errors),
        _ => errors.required(path, "exactly one of url or service is required"),
    }
}

fn url(url: &str, path: &Path, errors: &mut Errors) {
    const FORM: &str = "; desired format: https://host[/path]";
    if let Some(bad) = url.chars().find(|c| c.is_control() || *c == ' ') {
        let quoted = apimachinery::go::quote(url);
        let detail = if bad == ' ' {
            format!("url must be a valid URL: parse {quoted}: invalid character \" \" in host name{FORM}")
        } else {
            let what = "net/url: invalid control character in URL";
            format!("url must be a valid URL: parse {quoted}: {what}{FORM}")
        };
        return errors.required(path, &detail);
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once("://").unwrap_or(("", rest));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if scheme != "https" {
        errors.invalid(path, scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        errors.invalid(path, host, format!("host must be specified{FORM}"));
    }
    for (part, text) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !part.is_empty() {
            errors.invalid(path, part, text);
        }
    }
}

fn service(service: &Value, path: &Path, errors: &mut Errors) {
    // Upstream hands name and namespace over in the wrong order.
    for (field, called) in [("namespace", "name"), ("name", "namespace")] {
        if text(service, field).is_empty() {
            errors.required(&path.child(called), "");
        }
    }
    let port = int(service, "port").unwrap_or(0);
    let problems = validation::port_number(port);
    if !problems.is_empty() {
        let detail = format!("port is not valid: {}", problems.join(", "));
        errors.invalid(&path.child("port"), port, detail);
    }
    let Some(place) = opt_text(service, "path").filter(|place| !matches!(*place, "" | "/")) else { return };
    let path = path.child("path");
    if place == "//" {
        return errors.invalid(&path, place, "segment[0] may not be empty");
    }
    if !place.starts_with('/') {
        errors.invalid(&path, place, "must start with a '/'");
    }
    let rest = place.get(1..).unwrap_or_default();
    for (index, step) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if step.is_empty() {
            errors.invalid(&path, place, format!("segment[{index}] may not be empty"));
            continue;
        }
        for problem in validation::dns1123_subdomain(step) {
            errors.invalid(&path, place, format!("segment[{index}]: {problem}"));
        }
    }
}

/// Versions of the review objects a webhook takes; one must be known, unless none is.
pub(super) fn review_versions(hook: &Value, field: &str, known: &[&str], path: &Path, errors: &mut Errors) {
    let versions: Vec<&str> = texts(hook, field).collect();
    if versions.is_empty() {
        return errors.required(path, "");
    }
    for (index, version) in versions.iter().enumerate() {
        if versions[..index].contains(version) {
            errors.invalid(&path.index(index), *version, "duplicate version");
        } else {
            errors.problems(&path.index(index), *version, validation::dns1035_label(version));
        }
    }
    if !known.is_empty() && !versions.iter().any(|version| known.contains(version)) {
        let detail = format!("must include at least one of {}", known.join(", "));
        errors.invalid(path, versions, detail);
    }
}

/// A list in which a star may stand only alone.
fn alone(rule: &Value, field: &'static str, words: &str, path: &Path, errors: &mut Errors) {
    let items = list(rule, field);
    if items.is_empty() {
        errors.required(&path.child(field), "");
    }
    if items.len() > 1 && texts(rule, field).any(|item| item == "*") {
        let detail = format!("if '*' is present, must not specify other {words}");
        errors.invalid(&path.child(field), items.to_vec(), detail);
    }
}

/// A rule with operations, groups, versions, resources and a scope.
pub(super) fn operations(rule: &Value, path: &Path, errors: &mut Errors) {
    alone(rule, "operations", "operations", path, errors);
    for (index, operation) in texts(rule, "operations").enumerate() {
        errors.known(&path.child("operations").index(index), operation, &OPERATIONS);
    }
    alone(rule, "apiGroups", "API groups", path, errors);
    alone(rule, "apiVersions", "API versions", path, errors);
    for (index, version) in texts(rule, "apiVersions").enumerate() {
        if version.is_empty() {
            errors.required(&path.child("apiVersions").index(index), "");
        }
    }
    resources(rule, &path.child("resources"), errors);
    if let Some(scope) = opt_text(rule, "scope") {
        errors.known(&path.child("scope"), scope, &["*", "Cluster", "Namespaced"]);
    }
}

fn resources(rule: &Value, path: &Path, errors: &mut Errors) {
    let all: Vec<&str> = texts(rule, "resources").collect();
    if all.is_empty() {
        errors.required(path, "");
    }
    let (mut whole, mut every) = (BTreeSet::new(), BTreeSet::new());
    let mut plain = false;
    for (index, resource) in all.iter().enumerate() {
        if resource.is_empty() {
            errors.required(&path.index(index), "");
            continue;
        }
        let Some((name, sub)) = resource.split_once('/') else {
            plain = *resource != "*";
            continue;
        };
        if whole.contains(name) {
            let detail = format!("if '{name}/*' is present, must not specify {resource}");
            errors.invalid(&path.index(index), *resource, detail);
        }
        if every.contains(sub) {
            let detail = format!("if '*/{sub}' is present, must not specify {resource}");
            errors.invalid(&path.index(index), *resource, detail);
        }
        if sub == "*" {
            whole.insert(name);
        }
        if name == "*" {
            every.insert(sub);
        }
    }
    if all.len() > 1 && all.contains(&"*/*") {
        errors.invalid(path, all.clone(), "if '*/*' is present, must not specify other resources");
    }
    if all.contains(&"*") && plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.invalid(path, all, detail);
    }
}

/// Conditions by name; their expressions are only looked at for being there.
pub(super) fn match_conditions(hook: &Value, path: &Path, errors: &mut Errors) {
    let (conditions, path) = (list(hook, "matchConditions"), path.child("matchConditions"));
    errors.too_many(&path, conditions.len(), MAX_CONDITIONS);
    let mut names = BTreeSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let (name, path) = (text(condition, "name"), path.index(index));
        if text(condition, "expression").trim().is_empty() {
            errors.required(&path.child("expression"), "");
        }
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            errors.qualified(&path.child("name"), name);
            if !names.insert(name) {
                errors.duplicate(&path.child("name"), name);
            }
        }
    }
}
