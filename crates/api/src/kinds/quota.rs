//! ResourceQuotas and LimitRanges: amounts of resources a namespace may use, and a Pod may ask for.

use super::checks::IMMUTABLE;
use super::plain::{Kind, Plain};
use super::pod::{amounts, errors::Errors, values};
use crate::read::{at, has, list, map, quantity, text, texts};
use crate::resources::is_huge_page;
use apimachinery::quantity::Quantity;
use apimachinery::{Path, validation};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(super) static KINDS: &[Kind] = &[
    (
        "",
        "resourcequotas",
        Plain::of()
            .status()
            .returns_deleted()
            .rules(|quota, errors| spec(at(quota, "spec"), errors))
            .update(quota_update)
            .status_rules(|quota, _, errors| {
                for field in ["hard", "used"] {
                    all_amounts(at(quota, "status"), field, &Path::new("status"), errors);
                }
            })
            .warn(|quota, old| if old.is_some() { Vec::new() } else { quota_warnings(at(quota, "spec")) }),
    ),
    ("", "limitranges", Plain::of().create_on_update().rules(limit_range)),
];

/// Resources that quotas know without a domain: all standard ones but `storage`.
fn is_standard(name: &str) -> bool {
    const OBJECTS: [&str; 9] = [
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "persistentvolumeclaims",
        "configmaps",
        "services.nodeports",
        "services.loadbalancers",
    ];
    let compute = |name: &str| matches!(name, "cpu" | "memory" | "ephemeral-storage");
    let (requests, limits) = (name.strip_prefix("requests."), name.strip_prefix("limits."));
    OBJECTS.contains(&name)
        || compute(name)
        || requests.is_some_and(|name| compute(name) || name == "storage" || is_huge_page(name))
        || limits.is_some_and(compute)
        || is_huge_page(name)
}

fn all_amounts(object: &Value, field: &'static str, path: &Path, errors: &mut Errors) {
    for (name, amount) in map(object, field) {
        let path = path.child(field).key(name.as_str());
        amounts::resource_name(name, &path, errors);
        if !name.contains('/') && !is_standard(name) {
            errors.invalid(&path, name.as_str(), "must be a standard resource for quota");
        }
        values::amount(name, amount, &path, &mut errors.0);
    }
}

fn spec(spec: &Value, errors: &mut Errors) {
    let path = Path::new("spec");
    all_amounts(spec, "hard", &path, errors);
    let hard: BTreeSet<&str> = map(spec, "hard").map(|(name, _)| name.as_str()).collect();
    let scopes: BTreeSet<&str> = texts(spec, "scopes").collect();
    let at_scopes = path.child("scopes");
    let whole = || at(spec, "scopes").clone();
    for scope in texts(spec, "scopes") {
        if !is_scope(scope) {
            errors.invalid(&at_scopes, whole(), "unsupported scope");
        }
        for _ in hard.iter().filter(|name| is_standard(name) && !counts(scope, name)) {
            errors.invalid(&at_scopes, whole(), "unsupported scope applied to resource");
        }
    }
    for _ in conflicts(&scopes) {
        errors.invalid(&at_scopes, whole(), "conflicting scopes");
    }
    scope_selector(spec, &hard, &path.child("scopeSelector").child("matchExpressions"), errors);
}

fn is_scope(scope: &str) -> bool {
    matches!(
        scope,
        "Terminating"
            | "NotTerminating"
            | "BestEffort"
            | "NotBestEffort"
            | "PriorityClass"
            | "VolumeAttributesClass"
            | "CrossNamespacePodAffinity"
    )
}

/// Whether a scope makes sense for a resource.
fn counts(scope: &str, name: &str) -> bool {
    let compute =
        ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"].contains(&name);
    match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
        scope if is_scope(scope) => name == "pods" || compute,
        _ => true,
    }
}

fn conflicts<'a>(scopes: &'a BTreeSet<&str>) -> impl Iterator<Item = ()> + 'a {
    let pairs = [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")];
    pairs.into_iter().filter(|(a, b)| scopes.contains(a) && scopes.contains(b)).map(|_| ())
}

fn scope_selector(spec: &Value, hard: &BTreeSet<&str>, path: &Path, errors: &mut Errors) {
    let selector = at(spec, "scopeSelector");
    let mut scopes = BTreeSet::new();
    for requirement in list(selector, "matchExpressions") {
        let (scope, operator) = (text(requirement, "scopeName"), text(requirement, "operator"));
        let values = list(requirement, "values");
        if !is_scope(scope) {
            errors.invalid(&path.child("scopeName"), scope, "unsupported scope");
        }
        for _ in hard.iter().filter(|name| is_standard(name) && !counts(scope, name)) {
            errors.invalid(path, selector.clone(), "unsupported scope applied to resource");
        }
        let plain = is_scope(scope) && !matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        if plain && operator != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.invalid(&path.child("operator"), operator, detail);
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail =
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.required(&path.child("values"), detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail =
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.invalid(&path.child("values"), values.to_vec(), detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
        }
        scopes.insert(scope);
    }
    for _ in conflicts(&scopes) {
        errors.invalid(path, at(spec, "scopes").clone(), "conflicting scopes");
    }
}

fn quota_update(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, before) = (at(new, "spec"), at(old, "spec"));
    spec(now, errors);
    let scopes = |spec: &Value| -> BTreeSet<String> { texts(spec, "scopes").map(str::to_owned).collect() };
    if scopes(now) != scopes(before) {
        errors.invalid(&Path::new("spec").child("scopes"), at(now, "scopes").clone(), IMMUTABLE);
    }
}

fn quota_warnings(spec: &Value) -> Vec<String> {
    let hard = at(spec, "hard");
    let amount = |name: &str| quantity(at(hard, name));
    let mut out = Vec::new();
    for name in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let mut requested = format!("requests.{name}");
        if !has(hard, &requested) && matches!(name, "cpu" | "memory") {
            requested = name.to_owned();
        }
        let limited = format!("limits.{name}");
        if let (Some(request), Some(limit)) = (amount(&requested), amount(&limited))
            && request > limit
        {
            out.push(format!(
                "ResourceQuota {requested} ({request}) should be less than {limited} ({limit})"
            ));
        }
    }
    out
}

fn limit_range(object: &Value, errors: &mut Errors) {
    let path = Path::new("spec").child("limits");
    let mut types = BTreeSet::new();
    for (index, limit) in list(at(object, "spec"), "limits").iter().enumerate() {
        let (kind, path) = (text(limit, "type"), path.index(index));
        let problems = validation::qualified_name(kind);
        let good = problems.is_empty();
        errors.problems(&path.child("type"), kind, problems);
        if good && !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
            let detail = "must be a standard limit type or fully qualified";
            errors.invalid(&path.child("type"), kind, detail);
        }
        if !types.insert(kind) {
            errors.duplicate(&path.child("type"), kind);
        }
        item(limit, kind, &path, errors);
    }
}

fn item(limit: &Value, kind: &str, path: &Path, errors: &mut Errors) {
    let of_pods = kind == "Pod";
    let name_rule = |name: &str, path: &Path, errors: &mut Errors| {
        if matches!(kind, "Pod" | "Container") {
            amounts::container_resource(name, path, errors);
        } else {
            amounts::resource_name(name, path, errors);
        }
    };
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut check = |field: &'static str, errors: &mut Errors| {
        for (name, _) in map(limit, field) {
            name_rule(name, &path.child(field).key(name.as_str()), errors);
            names.insert(name);
        }
    };
    check("max", errors);
    check("min", errors);
    for field in ["default", "defaultRequest"] {
        if !of_pods {
            check(field, errors);
        } else if map(limit, field).next().is_some() {
            errors.forbidden(&path.child(field), "may not be specified when `type` is 'Pod'");
        }
    }
    let storage = |field: &str| has(at(limit, field), "storage");
    if kind == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&path.child("limits"), detail);
    }
    check("maxLimitRequestRatio", errors);
    for name in names {
        let fields = ["min", "max", "default", "defaultRequest", "maxLimitRequestRatio"];
        let amounts: BTreeMap<&str, Quantity> = fields
            .into_iter()
            .filter(|field| !(of_pods && field.starts_with("default")))
            .filter_map(|field| Some((field, quantity(at(at(limit, field), name))?)))
            .collect();
        compare(name, &amounts, path, errors);
    }
}

/// Which amount must not be less than which other, whose path and value are named, and in which words.
const ORDERS: [(&str, &str, &str, &str, &str); 6] = [
    ("min", "max", "min", "min", "min value {a} is greater than max value {b}"),
    (
        "min",
        "defaultRequest",
        "defaultRequest",
        "defaultRequest",
        "min value {a} is greater than default request value {b}",
    ),
    (
        "defaultRequest",
        "max",
        "defaultRequest",
        "defaultRequest",
        "default request value {a} is greater than max value {b}",
    ),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "defaultRequest",
        "default request value {a} is greater than default limit value {b}",
    ),
    ("min", "default", "default", "min", "min value {a} is greater than default value {b}"),
    ("default", "max", "default", "max", "default value {a} is greater than max value {b}"),
];

fn compare(name: &str, amounts: &BTreeMap<&str, Quantity>, path: &Path, errors: &mut Errors) {
    for (low, high, named, shown, words) in ORDERS {
        if let (Some(a), Some(b)) = (amounts.get(low), amounts.get(high))
            && a > b
        {
            let detail = words.replace("{a}", &a.to_string()).replace("{b}", &b.to_string());
            errors.invalid(&path.child(named).key(name), amounts[shown].to_string(), detail);
        }
    }
    if let Some(ratio) = amounts.get("maxLimitRequestRatio") {
        let path = path.child("maxLimitRequestRatio").key(name);
        if ratio.as_f64() < 1.0 {
            errors.invalid(&path, ratio.to_string(), format!("ratio {ratio} is less than 1"));
        }
        if let (Some(min), Some(max)) = (amounts.get("min"), amounts.get("max")) {
            let limit = max.as_f64() / min.as_f64();
            if ratio.as_f64() > limit {
                let detail = format!("ratio {ratio} is greater than max/min = {limit:.6}");
                errors.invalid(&path, ratio.to_string(), detail);
            }
        }
    }
    if let (false, Some(limit), Some(request)) =
        (amounts::may_overcommit(name), amounts.get("default"), amounts.get("defaultRequest"))
        && limit != request
    {
        let detail = format!("default value {limit} must equal to defaultRequest value {request} in {name}");
        errors.invalid(&path.child("defaultRequest").key(name), request.to_string(), detail);
    }
}
