//! CustomResourceDefinitions: names, versions, schemas, and how versions become each other. Errors name
//! fields as upstream's internal type has them: what is equal in all versions stands at `spec` itself
//! (`spec.validation.openAPIV3Schema`). Rules of schemas are in `schema`, of structural ones in `structural`,
//! of their defaults in `defaults`. Expressions are only looked at for their form; see `kinds::expressions`.

mod defaults;
mod paths;
mod schema;

pub use schema::STRING_FORMATS;
mod structural;

use super::checks::{is_true, same};
use super::plain::{Kind, Plain};
use super::pod::errors::Errors;
use super::webhooks;
use crate::read::{at, flag, has, list, object_at, opt_text, text, texts};
use apimachinery::{Path, go, meta, validation};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const APPROVAL: &str = "api-approved.kubernetes.io";
const APPROVAL_HELP: &str = "see https://github.com/kubernetes/enhancements/pull/1111";
const MAX_WARNING: usize = 256;
const MAX_SELECTABLE: usize = 8;

pub(super) static KINDS: &[Kind] = &[(
    "apiextensions.k8s.io",
    "customresourcedefinitions",
    Plain::of()
        .status()
        .generation()
        .needs_version()
        .created(keep_storage_version)
        .changed(|object, _| keep_storage_version(object))
        .rules(|object, errors| definition(object, None, errors))
        .update(|new, old, errors| definition(new, Some(old), errors))
        .status_rules(|object, _, errors| {
            let accepted = at(at(object, "status"), "acceptedNames");
            names(accepted, &Path::new("status").child("acceptedNames"), errors);
        })
        .warn(warnings),
)];

/// The version objects are stored in is one they may be found in.
fn keep_storage_version(object: &mut Value) {
    let versions = list(at(object, "spec"), "versions");
    let stored = versions.iter().find(|version| flag(version, "storage"));
    let Some(name) = stored.map(|version| text(version, "name").to_owned()) else { return };
    let versions = object_at(object, "status").entry("storedVersions").or_insert(Value::Null);
    match versions {
        Value::Array(known) if known.iter().any(|known| known == &name) => {}
        Value::Array(known) => known.push(name.into()),
        other => *other = json!([name]),
    }
}

fn definition(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, path) = (at(object, "spec"), Path::new("spec"));
    let (group, own) = (text(spec, "group"), at(spec, "names"));
    let wanted = format!("{}.{group}", text(own, "plural"));
    if old.is_none() && meta::name(object) != wanted {
        let path = Path::new("metadata").child("name");
        errors.invalid(&path, meta::name(object), "must be spec.names.plural+\".\"+spec.group");
    }
    self::spec(spec, &path, errors);
    if let Some(old) = old {
        let before = at(old, "spec");
        let at_names = path.child("names");
        if is_true(at(old, "status"), "Established") {
            errors.immutable_fields(&path, spec, before, &["scope"]);
            errors.immutable_fields(&at_names, own, at(before, "names"), &["kind"]);
        }
        errors.immutable_fields(&path, spec, before, &["group"]);
        errors.immutable_fields(&at_names, own, at(before, "names"), &["plural"]);
    }
    let (status, at_status) = (at(object, "status"), Path::new("status"));
    names(at(status, "acceptedNames"), &at_status.child("acceptedNames"), errors);
    stored_versions(status, spec, &at_status.child("storedVersions"), errors);
    approval(object, old, errors);
    let was_open = old.is_some_and(|old| flag(at(old, "spec"), "preserveUnknownFields"));
    if flag(spec, "preserveUnknownFields") && !was_open {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.invalid(&path.child("preserveUnknownFields"), true, detail);
    }
}

/// What of a version is the same in all versions.
struct Shared<'a> {
    schema: Option<&'a Value>,
    subresources: Option<&'a Value>,
    columns: Option<&'a Value>,
    selectable: Option<&'a Value>,
}

impl<'a> Shared<'a> {
    fn of(versions: &'a [Value]) -> Shared<'a> {
        let shared = |field: &str| {
            let first = at(versions.first()?, field);
            versions.iter().all(|version| same(at(version, field), first)).then_some(first)
        };
        Shared {
            schema: shared("schema"),
            subresources: shared("subresources"),
            columns: shared("additionalPrinterColumns"),
            selectable: shared("selectableFields"),
        }
    }
}

fn spec(spec: &Value, path: &Path, errors: &mut Errors) {
    let (group, at_group) = (text(spec, "group"), path.child("group"));
    let problems = validation::dns1123_subdomain(group);
    if group.is_empty() {
        errors.required(&at_group, "");
    } else if !problems.is_empty() {
        errors.invalid(&at_group, group, problems.join(","));
    } else if !group.contains('.') {
        errors.invalid(&at_group, group, "should be a domain with at least one dot");
    }
    errors.one_of(&path.child("scope"), text(spec, "scope"), &["Cluster", "Namespaced"]);
    let (versions, at_versions) = (list(spec, "versions"), path.child("versions"));
    let shared = Shared::of(versions);
    for (index, version) in versions.iter().enumerate() {
        if at(at(version, "schema"), "openAPIV3Schema").is_null() {
            errors.required(&at_versions.index(index).child("schema").child("openAPIV3Schema"), "");
        }
    }
    for (index, version) in versions.iter().enumerate() {
        self::version(version, &shared, &at_versions.index(index), errors);
    }
    version_list(versions, &at_versions, path, errors);
    let (own, at_names) = (at(spec, "names"), path.child("names"));
    errors.needs(&at_names, own, &["plural", "singular", "kind", "listKind"]);
    names(own, &at_names, errors);
    if let Some(schema) = shared.schema {
        let status = versions.iter().any(|version| has(at(version, "subresources"), "status"));
        schema::validation(schema, status, &path.child("validation"), errors);
    }
    if let Some(subresources) = shared.subresources {
        self::subresources(subresources, &path.child("subresources"), errors);
    }
    if let Some(columns) = shared.columns {
        self::columns(columns, &path.child("additionalPrinterColumns"), errors);
    }
    if let Some(fields) = shared.selectable.and_then(Value::as_array).filter(|fields| !fields.is_empty()) {
        let path = path.child("selectableFields");
        match shared.schema.map(|schema| at(schema, "openAPIV3Schema")) {
            Some(schema) if !schema.is_null() => selectable(fields, schema, &path, errors),
            _ => errors.invalid(&path, "", "may only be set when validations.schema is included"),
        }
    }
    conversion(spec, &path.child("conversion"), errors);
}

fn version_list(versions: &[Value], at_versions: &Path, path: &Path, errors: &mut Errors) {
    let names: BTreeSet<&str> = versions.iter().map(|version| text(version, "name")).collect();
    if names.len() != versions.len() {
        errors.invalid(at_versions, versions.to_vec(), "must contain unique version names");
    }
    if versions.iter().filter(|version| flag(version, "storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.invalid(at_versions, versions.to_vec(), detail);
    }
    let first = versions.first().map_or("", |version| text(version, "name"));
    if !first.is_empty() {
        joined(&path.child("version"), first, validation::dns1035_label(first), errors);
    }
}

/// All problems as one error.
fn joined(path: &Path, value: &str, problems: Vec<String>, errors: &mut Errors) {
    if !problems.is_empty() {
        errors.invalid(path, value, problems.join(","));
    }
}

fn version(version: &Value, shared: &Shared<'_>, path: &Path, errors: &mut Errors) {
    let name = text(version, "name");
    joined(&path.child("name"), name, validation::dns1035_label(name), errors);
    if let Some(warning) = opt_text(version, "deprecationWarning") {
        let path = path.child("deprecationWarning");
        if !flag(version, "deprecated") {
            errors.invalid(&path, warning, "can only be set for deprecated versions");
        } else {
            deprecation(warning, &path, errors);
        }
    }
    let (schema, subresources) = (at(version, "schema"), at(version, "subresources"));
    if shared.schema.is_none() && !schema.is_null() {
        schema::validation(schema, has(subresources, "status"), &path.child("schema"), errors);
    }
    if shared.subresources.is_none() {
        self::subresources(subresources, &path.child("subresources"), errors);
    }
    if shared.columns.is_none() {
        columns(at(version, "additionalPrinterColumns"), &path.child("additionalPrinterColumns"), errors);
    }
    let fields = list(version, "selectableFields");
    if shared.selectable.is_none() && !fields.is_empty() {
        let path = path.child("selectableFields");
        match at(schema, "openAPIV3Schema") {
            Value::Null => {
                let detail = "may only be set when `version.schema.openAPIV3Schema` is not included";
                errors.invalid(&path, "", detail);
            }
            schema => selectable(fields, schema, &path, errors),
        }
    }
}

fn deprecation(warning: &str, path: &Path, errors: &mut Errors) {
    if warning.len() > MAX_WARNING {
        errors.invalid(path, warning, format!("must be <= {MAX_WARNING} characters long"));
    }
    if warning.is_empty() {
        errors.invalid(path, warning, "must not be an empty string");
    }
    if let Some((index, _)) = warning.char_indices().find(|(_, c)| c.is_control() || *c == '\u{2028}') {
        let detail = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {index}"
        );
        errors.invalid(path, warning, detail);
    }
}

fn names(names: &Value, path: &Path, errors: &mut Errors) {
    let label = validation::dns1035_label;
    for field in ["plural", "singular"] {
        let name = text(names, field);
        if !name.is_empty() {
            joined(&path.child(field), name, label(name), errors);
        }
    }
    for field in ["kind", "listKind"] {
        let name = text(names, field);
        let problems = label(&name.to_lowercase());
        if !name.is_empty() && !problems.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
            errors.invalid(&path.child(field), name, detail);
        }
    }
    for (index, name) in texts(names, "shortNames").enumerate() {
        joined(&path.child("shortNames").index(index), name, label(name), errors);
    }
    let (kind, list_kind) = (text(names, "kind"), text(names, "listKind"));
    if !kind.is_empty() && kind == list_kind {
        errors.invalid(&path.child("listKind"), list_kind, "kind and listKind may not be the same");
    }
    for (index, name) in texts(names, "categories").enumerate() {
        joined(&path.child("categories").index(index), name, label(name), errors);
    }
}

fn columns(columns: &Value, path: &Path, errors: &mut Errors) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
    for (index, column) in columns.as_array().into_iter().flatten().enumerate() {
        let path = path.index(index);
        errors.need(&path, column, "name");
        let (kind, format) = (text(column, "type"), text(column, "format"));
        let one_of = |known: &[&str]| format!("must be one of {}", known.join(","));
        if kind.is_empty() {
            errors.required(&path.child("type"), &one_of(&TYPES));
        } else if !TYPES.contains(&kind) {
            errors.invalid(&path.child("type"), kind, one_of(&TYPES));
        }
        if !format.is_empty() && !FORMATS.contains(&format) {
            errors.invalid(&path.child("format"), format, one_of(&FORMATS));
        }
        let (place, path) = (text(column, "jsonPath"), path.child("JSONPath"));
        if place.is_empty() {
            errors.required(&path, "");
        } else {
            paths::simple(place, &path, errors);
        }
    }
}

fn subresources(subresources: &Value, path: &Path, errors: &mut Errors) {
    let scale = at(subresources, "scale");
    if scale.is_null() {
        return;
    }
    let rules: [(&str, bool, &[&str], &str); 3] = [
        ("specReplicasPath", true, &[".spec."], ".spec"),
        ("statusReplicasPath", true, &[".status."], ".status"),
        ("labelSelectorPath", false, &[".spec.", ".status."], "either .spec or .status"),
    ];
    for (field, needed, prefixes, words) in rules {
        let (place, path) = (text(scale, field), path.child(format!("scale.{field}")));
        if place.is_empty() {
            if needed {
                errors.required(&path, "");
            }
            continue;
        }
        let simple = paths::simple(place, &path, errors);
        if simple && !prefixes.iter().any(|prefix| place.starts_with(prefix)) {
            errors.invalid(&path, place, format!("should be a json path under {words}"));
        }
    }
}

fn selectable(fields: &[Value], schema: &Value, path: &Path, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, field) in fields.iter().enumerate() {
        let (place, path) = (text(field, "jsonPath"), path.index(index).child("jsonPath"));
        if place.is_empty() {
            errors.required(&path, "");
            continue;
        }
        let (found, schema) = match paths::follow(place, schema, false) {
            Ok(found) => found,
            Err(why) => {
                errors.invalid(&path, place, format!("is an invalid path: {why}"));
                continue;
            }
        };
        if found.first().is_some_and(|first| first == "metadata") {
            errors.invalid(&path, place, "must not point to fields in metadata");
        }
        if !matches!(text(schema, "type"), "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.invalid(&path, place, detail);
        }
        if !seen.insert(found) {
            errors.duplicate(&path, place);
        }
    }
    errors.too_many(path, seen.len(), MAX_SELECTABLE);
}

fn conversion(spec: &Value, path: &Path, errors: &mut Errors) {
    let conversion = at(spec, "conversion");
    if conversion.is_null() {
        return;
    }
    let strategy = text(conversion, "strategy");
    if strategy != "None" && flag(spec, "preserveUnknownFields") {
        let detail = "must be None if spec.preserveUnknownFields is true";
        errors.invalid(&path.child("strategy"), strategy, detail);
    }
    errors.one_of(&path.child("strategy"), strategy, &["None", "Webhook"]);
    let webhook = at(conversion, "webhook");
    let (client, versions) = (at(webhook, "clientConfig"), list(webhook, "conversionReviewVersions"));
    let (at_client, at_versions) =
        (path.child("webhookClientConfig"), path.child("conversionReviewVersions"));
    if strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if !client.is_null() {
            errors.forbidden(&at_client, detail);
        }
        if !versions.is_empty() {
            errors.forbidden(&at_versions, detail);
        }
        return;
    }
    if client.is_null() {
        errors.required(&at_client, "required when strategy is set to Webhook");
    } else {
        webhooks::client(client, &at_client, errors);
    }
    webhooks::review_versions(webhook, "conversionReviewVersions", &["v1", "v1beta1"], &at_versions, errors);
}

fn stored_versions(status: &Value, spec: &Value, path: &Path, errors: &mut Errors) {
    let stored: Vec<&str> = texts(status, "storedVersions").collect();
    if stored.is_empty() {
        let detail = "must have at least one stored version";
        return errors.invalid(path, at(status, "storedVersions").clone(), detail);
    }
    let versions = list(spec, "versions");
    for version in versions.iter().filter(|version| flag(version, "storage")) {
        let name = text(version, "name");
        if !stored.contains(&name) {
            errors.invalid(path, json!(stored), format!("must have the storage version {name}"));
        }
    }
    for (index, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| text(version, "name") == *name) {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.invalid(&path.index(index), *name, detail);
        }
    }
}

#[derive(PartialEq)]
enum Approval {
    Missing,
    Given,
    Bad,
}

fn approval_of(object: &Value) -> Approval {
    let is_url = |note: &str| {
        let rest = note.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).map(|(_, rest)| rest);
        rest.is_some_and(|rest| !rest.split('/').next().unwrap_or_default().is_empty())
    };
    match meta::annotation(object, APPROVAL).unwrap_or_default() {
        "" => Approval::Missing,
        note if note.starts_with("unapproved") || is_url(note) => Approval::Given,
        _ => Approval::Bad,
    }
}

/// Groups of the Kubernetes community need somebody's approval.
fn approval(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let group = text(at(object, "spec"), "group");
    let ours = |domain: &str| group == domain || group.ends_with(&format!(".{domain}"));
    if !ours("k8s.io") && !ours("kubernetes.io") {
        return;
    }
    let state = approval_of(object);
    if old.is_some_and(|old| approval_of(old) == state) {
        return;
    }
    let path = Path::new("metadata").child("annotations").key(APPROVAL);
    let name = go::quote(APPROVAL);
    match state {
        Approval::Given => {}
        Approval::Missing => {
            let detail = format!("protected groups must have approval annotation {name}, {APPROVAL_HELP}");
            errors.required(&path, &detail);
        }
        Approval::Bad => {
            let detail = format!(
                "protected groups must have approval annotation {name} with either a URL or a reason starting with \"unapproved\", {APPROVAL_HELP}"
            );
            errors.invalid(&path, meta::annotation(object, APPROVAL).unwrap_or_default(), detail);
        }
    }
}

fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let formats = |object: &Value| {
        let mut found: Vec<String> = Vec::new();
        for version in list(at(object, "spec"), "versions") {
            schema::each(at(at(version, "schema"), "openAPIV3Schema"), &mut |schema| {
                let format = text(schema, "format");
                if !format.is_empty() && !schema::is_format(text(schema, "type"), format) {
                    found.push(format.to_owned());
                }
            });
        }
        found
    };
    let known = old.map(formats).unwrap_or_default();
    let mut out: Vec<String> = Vec::new();
    for format in formats(new).into_iter().filter(|format| !known.contains(format)) {
        let text = format!("unrecognized format {}", go::quote(&format));
        if !out.contains(&text) {
            out.push(text);
        }
    }
    out
}
