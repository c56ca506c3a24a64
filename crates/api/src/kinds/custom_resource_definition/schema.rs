//! Rules of every schema of a definition, structural or not.

use super::super::checks::same;
use super::super::pod::errors::Errors;
use super::{defaults, paths, structural};
use crate::read::{at, flag, has, list, opt_text, text, texts};
use apimachinery::Path;
use serde_json::{Map, Value};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const AT_ROOT: [(&str, &str); 22] = [
    ("Description", "description"),
    ("Type", "type"),
    ("Format", "format"),
    ("Title", "title"),
    ("Maximum", "maximum"),
    ("ExclusiveMaximum", "exclusiveMaximum"),
    ("Minimum", "minimum"),
    ("ExclusiveMinimum", "exclusiveMinimum"),
    ("MaxLength", "maxLength"),
    ("MinLength", "minLength"),
    ("Pattern", "pattern"),
    ("MaxItems", "maxItems"),
    ("MinItems", "minItems"),
    ("UniqueItems", "uniqueItems"),
    ("MultipleOf", "multipleOf"),
    ("Required", "required"),
    ("Items", "items"),
    ("Properties", "properties"),
    ("ExternalDocs", "externalDocs"),
    ("Example", "example"),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields"),
    ("XValidations", "x-kubernetes-validations"),
];
const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// What the rules of a schema need to know of where it is.
#[derive(Clone, Copy)]
struct Place {
    /// Why there may be no default; `None` if there may.
    no_default: Option<&'static str>,
    in_meta: bool,
    root: bool,
}

/// Formats of texts that schemas may name, without dashes.
pub const STRING_FORMATS: [&str; 24] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
];

/// Whether upstream checks a format.
pub(super) fn is_format(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => {
            STRING_FORMATS.contains(&format.replace('-', "").as_str())
                || matches!(format, "k8s-short-name" | "k8s-long-name")
        }
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

/// Lists and maps of schemas below a schema, by field.
pub(super) const LISTS: [&str; 3] = ["allOf", "oneOf", "anyOf"];

/// Visits a schema and all below it.
pub(super) fn each(schema: &Value, visit: &mut dyn FnMut(&Value)) {
    if !schema.is_object() {
        return;
    }
    visit(schema);
    for field in ["properties", "patternProperties", "definitions", "dependencies"] {
        let schemas = schema.get(field).and_then(Value::as_object).into_iter().flatten();
        schemas.for_each(|(_, schema)| each(schema, visit));
    }
    for field in ["additionalProperties", "additionalItems", "not"] {
        each(at(schema, field), visit);
    }
    for field in LISTS {
        list(schema, field).iter().for_each(|schema| each(schema, visit));
    }
    match at(schema, "items") {
        Value::Array(schemas) => schemas.iter().for_each(|schema| each(schema, visit)),
        one => each(one, visit),
    }
}

/// The schema of one version (or of all): `{openAPIV3Schema: …}`.
pub(super) fn validation(validation: &Value, has_status: bool, path: &Path, errors: &mut Errors) {
    let (schema, path) = (at(validation, "openAPIV3Schema"), path.child("openAPIV3Schema"));
    if schema.is_null() {
        return;
    }
    let before = errors.0.len();
    if has_status {
        root_fields(schema, &path, errors);
    }
    if flag(schema, "nullable") {
        errors.forbidden(&path.child("nullable"), "nullable cannot be true at the root");
    }
    let unsupported = structural::unsupported(schema);
    if unsupported.is_none() {
        let found = structural::problems(schema, &path);
        if found.is_empty() {
            defaults::check(schema, &path, errors);
        } else {
            errors.0.extend(found);
        }
    }
    let place = Place { no_default: None, in_meta: false, root: true };
    self::schema(schema, place, &path, errors);
    if let Some(why) = unsupported.filter(|_| errors.0.len() == before) {
        errors.invalid(&path, "", why);
    }
}

fn root_fields(schema: &Value, path: &Path, errors: &mut Errors) {
    let filled = schema.as_object().into_iter().flatten();
    for (field, _) in filled.filter(|(_, value)| !crate::read::is_empty(value)) {
        if field == "type" && text(schema, "type") != "object" {
            let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
            return errors.invalid(&path.child("type"), text(schema, "type"), detail);
        }
        if !AT_ROOT.iter().any(|(_, known)| known == field) {
            let known: Vec<&str> = AT_ROOT.iter().map(|(name, _)| *name).collect();
            let detail = format!(
                "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
                known.join(" ")
            );
            return errors.invalid(path, schema.clone(), detail);
        }
    }
}

fn schema(schema: &Value, place: Place, path: &Path, errors: &mut Errors) {
    if !schema.is_object() {
        return;
    }
    standard(schema, place, path, errors);
    if flag(schema, "uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(&path.child("uniqueItems"), detail);
    }
    let inner = Place { root: false, ..place };
    let (rest, properties) = (at(schema, "additionalProperties"), at(schema, "properties"));
    if !rest.is_null() {
        let path = path.child("additionalProperties");
        let some = properties.as_object().is_some_and(|map| !map.is_empty());
        if some && *rest != Value::Bool(true) {
            errors.forbidden(&path, "additionalProperties and properties are mutual exclusive");
        }
        let why = "inside additionalProperties applying to object metadata";
        let inner = if place.in_meta { Place { no_default: Some(why), ..inner } } else { inner };
        self::schema(rest, inner, &path, errors);
    }
    for (name, property) in properties.as_object().into_iter().flatten() {
        let mut inner = inner;
        if (place.root || flag(schema, "x-kubernetes-embedded-resource"))
            && let Some(why) = top_level(name)
        {
            inner.in_meta = true;
            if place.root {
                inner.no_default = Some(why);
            }
        }
        self::schema(property, inner, &path.child("properties").key(name.as_str()), errors);
    }
    self::schema(at(schema, "not"), inner, &path.child("not"), errors);
    for field in LISTS {
        for (index, clause) in list(schema, field).iter().enumerate() {
            self::schema(clause, inner, &path.child(field).index(index), errors);
        }
    }
    match at(schema, "items") {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                self::schema(item, inner, &path.child("items").index(index), errors);
            }
        }
        item => self::schema(item, inner, &path.child("items"), errors),
    }
    extensions(schema, path, errors);
    list_maps(schema, path, errors);
    for (index, rule) in list(schema, "x-kubernetes-validations").iter().enumerate() {
        self::rule(rule, schema, &path.child("x-kubernetes-validations").index(index), errors);
    }
}

fn top_level(name: &str) -> Option<&'static str> {
    match name {
        "metadata" => Some("in top-level metadata"),
        "kind" => Some("in top-level kind"),
        "apiVersion" => Some("in top-level apiVersion"),
        _ => None,
    }
}

fn standard(schema: &Value, place: Place, path: &Path, errors: &mut Errors) {
    let kind = text(schema, "type");
    if !kind.is_empty() {
        errors.known(&path.child("type"), kind, &TYPES);
    }
    if let (Some(why), true) = (place.no_default, schema.get("default").is_some()) {
        errors.forbidden(&path.child("default"), format!("must not be set {why}"));
    }
    for field in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if schema.get(field).is_some_and(|value| !crate::read::is_empty(value)) {
            errors.forbidden(&path.child(field), format!("{field} is not supported"));
        }
    }
    if kind == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.forbidden(&path.child("type"), detail);
    }
    if !list(schema, "items").is_empty() {
        errors.forbidden(&path.child("items"), "items must be a schema object and not an array");
    }
    if place.in_meta && flag(schema, "x-kubernetes-embedded-resource") {
        let detail = "must not be used inside of resource meta";
        errors.forbidden(&path.child("x-kubernetes-embedded-resource"), detail);
    }
}

/// A type that an extension asks for.
fn wanted_type(schema: &Value, wanted: &str, extension: &str, path: &Path, errors: &mut Errors) -> bool {
    let detail = format!("must be {wanted} if {extension} is specified");
    match text(schema, "type") {
        "" => errors.required(&path.child("type"), &detail),
        kind if kind != wanted => errors.invalid(&path.child("type"), kind, detail),
        _ => return true,
    }
    false
}

fn extensions(schema: &Value, path: &Path, errors: &mut Errors) {
    const OPEN: &str = "x-kubernetes-preserve-unknown-fields";
    const MAP_TYPE: &str = "x-kubernetes-map-type";
    const LIST_TYPE: &str = "x-kubernetes-list-type";
    const KEYS: &str = "x-kubernetes-list-map-keys";
    if schema.get(OPEN) == Some(&Value::Bool(false)) {
        errors.invalid(&path.child(OPEN), false, "must be true or undefined");
    }
    if let Some(kind) = opt_text(schema, MAP_TYPE) {
        wanted_type(schema, "object", MAP_TYPE, path, errors);
        errors.known(&path.child(MAP_TYPE), kind, &["atomic", "granular"]);
    }
    let items = at(schema, "items");
    if let Some(kind) = opt_text(schema, LIST_TYPE) {
        let is_list = wanted_type(schema, "array", LIST_TYPE, path, errors);
        if is_list && kind == "set" && items.is_object() {
            let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
            let (inner, at_items) = (opt_text(items, LIST_TYPE), path.child("items"));
            let map = opt_text(items, MAP_TYPE);
            match text(items, "type") {
                "array" if inner.is_some_and(|inner| inner != "atomic") => {
                    errors.invalid(&at_items.child(LIST_TYPE), at(items, LIST_TYPE).clone(), detail);
                }
                "object" if map != Some("atomic") => {
                    errors.invalid(&at_items.child(MAP_TYPE), at(items, LIST_TYPE).clone(), detail);
                }
                _ => {}
            }
        }
        errors.known(&path.child(LIST_TYPE), kind, &["atomic", "set", "map"]);
    }
    if !list(schema, KEYS).is_empty() {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        match opt_text(schema, LIST_TYPE) {
            None => errors.required(&path.child(LIST_TYPE), detail),
            Some(kind) if kind != "map" => errors.invalid(&path.child(LIST_TYPE), kind, detail),
            Some(_) => {}
        }
    }
    if opt_text(schema, LIST_TYPE) == Some("map") {
        map_keys(schema, items, path, errors);
    }
}

fn map_keys(schema: &Value, items: &Value, path: &Path, errors: &mut Errors) {
    const KEYS: &str = "x-kubernetes-list-map-keys";
    let (at_keys, at_items) = (path.child(KEYS), path.child("items"));
    let keys: Vec<&str> = texts(schema, KEYS).collect();
    if keys.is_empty() {
        errors.required(&at_keys, "must not be empty if x-kubernetes-list-type is map");
    }
    match items {
        Value::Null => {
            return errors.required(&at_items, "must have a schema if x-kubernetes-list-type is map");
        }
        Value::Array(_) => {
            let detail = "must only have a single schema if x-kubernetes-list-type is map";
            return errors.invalid(&at_items, items.clone(), detail);
        }
        _ => {}
    }
    let kind = text(items, "type");
    if kind != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        return errors.invalid(&at_items.child("type"), kind, detail);
    }
    for (index, key) in keys.iter().enumerate() {
        match at(items, "properties").get(key) {
            Some(property) if matches!(text(property, "type"), "array" | "object") => {
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.invalid(&at_items.child("properties").key(*key).child("type"), kind, detail);
            }
            Some(_) => {}
            None => {
                let detail = "entries must all be names of item properties";
                errors.invalid(&at_keys, at(schema, KEYS).clone(), detail);
            }
        }
        if keys[..index].contains(key) {
            errors.invalid(&at_keys, at(schema, KEYS).clone(), "must not contain duplicate entries");
        }
    }
}

/// Keys of a list are always there, and its items never null.
fn list_maps(schema: &Value, path: &Path, errors: &mut Errors) {
    let (kind, items) = (text(schema, "x-kubernetes-list-type"), at(schema, "items"));
    if !items.is_object() || !matches!(kind, "set" | "map") {
        return;
    }
    let path = path.child("items");
    if flag(items, "nullable") {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {kind}");
        errors.forbidden(&path.child("nullable"), detail);
    }
    let keys = texts(schema, "x-kubernetes-list-map-keys").filter(|_| kind == "map");
    for key in keys {
        let Some(property) = at(items, "properties").get(key) else { continue };
        let path = path.child("properties").key(key);
        if !texts(items, "required").any(|name| name == key) && !has(property, "default") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.required(&path.child("default"), detail);
        }
        if flag(property, "nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.forbidden(&path.child("nullable"), detail);
        }
    }
}

fn rule(rule: &Value, schema: &Value, path: &Path, errors: &mut Errors) {
    let lines = |text: &str| text.contains(['\n', '\r']);
    let (expression, message) = (text(rule, "rule").trim(), text(rule, "message"));
    let at_message = path.child("message");
    if expression.is_empty() {
        errors.required(&path.child("rule"), "rule is not specified");
    } else if !message.is_empty() && message.trim().is_empty() {
        errors.invalid(&at_message, message, "must be non-empty if specified");
    } else if lines(message.trim()) {
        errors.invalid(&at_message, message, "must not contain line breaks");
    } else if lines(expression) && message.is_empty() {
        errors.required(&at_message, "message must be specified if rule contains line breaks");
    }
    let made = text(rule, "messageExpression");
    if !made.is_empty() && made.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.required(&path.child("messageExpression"), detail);
    }
    if let Some(reason) = opt_text(rule, "reason") {
        errors.known(&path.child("reason"), reason, &REASONS);
    }
    let (field, at_field) = (text(rule, "fieldPath"), path.child("fieldPath"));
    if field.is_empty() {
        return;
    }
    if field.trim().is_empty() {
        errors.invalid(&at_field, field, "must be non-empty if specified");
    }
    if lines(field) {
        errors.invalid(&at_field, field, "must not contain line breaks");
    }
    if paths::follow(field, schema, true).is_err() {
        errors.invalid(&at_field, field, "must be a valid path");
    }
}

/// Whether a schema is one of an integer or a text, as `x-kubernetes-int-or-string` writes it.
pub(super) fn is_int_or_string(clauses: &[Value]) -> bool {
    let is = |clause: &Value, kind: &str| {
        let mut only = Map::new();
        only.insert("type".into(), kind.into());
        same(clause, &Value::Object(only))
    };
    matches!(clauses, [first, second] if is(first, "integer") && is(second, "string"))
}
