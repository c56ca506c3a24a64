//! Structural schemas: every field has one type, and clauses (`allOf`, `anyOf`, `oneOf`, `not`) only narrow
//! what the structure says.

use super::super::pod::errors::Errors;
use super::schema::{LISTS, is_int_or_string};
use crate::read::{at, flag, list, text};
use apimachinery::{FieldError, Path};
use serde_json::Value;

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

const OPEN: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";

/// Why a schema cannot be read as a structural one at all.
pub(super) fn unsupported(schema: &Value) -> Option<String> {
    const FIELDS: [&str; 7] =
        ["id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions"];
    if !schema.is_object() {
        return None;
    }
    let bad = FIELDS.iter().find(|field| schema.get(**field).is_some_and(|v| !crate::read::is_empty(v)));
    if let Some(field) = bad {
        let field = if *field == "$schema" { "schema" } else { field };
        return Some(format!("OpenAPIV3Schema '{field}' is not supported"));
    }
    if schema.get(OPEN) == Some(&Value::Bool(false)) {
        return Some(format!("internal error: '{OPEN}' must be true or undefined"));
    }
    if !list(schema, "items").is_empty() {
        return Some("OpenAPIV3Schema 'items' must be a schema, but is an array".into());
    }
    let clauses = LISTS.iter().flat_map(|field| list(schema, field));
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let others = ["not", "items", "additionalProperties"].iter().map(|field| at(schema, field));
    clauses.chain(properties.map(|(_, property)| property)).chain(others).find_map(unsupported)
}

/// All that is not structural, sorted as upstream sorts it.
pub(super) fn problems(schema: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Errors::default();
    invariants(schema, Level::Root, path, &mut errors);
    complete(schema, Some(schema), path, path, &mut errors);
    errors.0.sort_by_key(ToString::to_string);
    errors.0
}

fn filled(schema: &Value, field: &str) -> bool {
    schema.get(field).is_some_and(|value| !crate::read::is_empty(value))
}

fn invariants(schema: &Value, level: Level, path: &Path, errors: &mut Errors) {
    if !schema.is_object() {
        return;
    }
    let (kind, items, properties) = (text(schema, "type"), at(schema, "items"), at(schema, "properties"));
    if kind == "array" && items.is_null() {
        errors.required(&path.child("items"), "must be specified");
    }
    invariants(items, Level::Item, &path.child("items"), errors);
    for (name, property) in properties.as_object().into_iter().flatten() {
        invariants(property, Level::Field, &path.child("properties").key(name.as_str()), errors);
    }
    let rest = at(schema, "additionalProperties");
    let at_rest = path.child("additionalProperties");
    if !rest.is_null() && level == Level::Root {
        errors.forbidden(&at_rest, "must not be used at the root");
    }
    invariants(rest, Level::Field, &at_rest, errors);
    let [open, embedded, mixed] = [OPEN, EMBEDDED, INT_OR_STRING].map(|field| flag(schema, field));
    for (field, set) in [(OPEN, open), (EMBEDDED, embedded)] {
        if mixed && set {
            let detail = format!("must be false if {INT_OR_STRING} is true");
            errors.invalid(&path.child(field), true, detail);
        }
    }
    let clauses = list(schema, "allOf");
    let skip_first = clauses.first().is_some_and(|first| is_int_or_string(list(first, "anyOf")));
    values(schema, is_int_or_string(list(schema, "anyOf")), skip_first, path, errors);
    let at_type = path.child("type");
    if embedded && kind != "object" {
        let detail = format!("must be object if {EMBEDDED} is true");
        if kind.is_empty() {
            errors.required(&at_type, &detail);
        } else {
            errors.invalid(&at_type, kind, detail);
        }
    } else if kind.is_empty() && !mixed && !open {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.required(&at_type, detail);
    }
    if embedded && !rest.is_null() {
        errors.forbidden(&at_rest, format!("must not be used if {EMBEDDED} is set"));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.invalid(&at_type, kind, "must be object at the root");
    }
    metadata(properties, level, embedded, path, errors);
    if embedded && !open && !filled(schema, "properties") {
        let detail = format!("must not be empty if {EMBEDDED} is true without {OPEN}");
        errors.required(&path.child("properties"), &detail);
    }
}

/// `kind`, `apiVersion` and `metadata` of objects are what they always are.
fn metadata(properties: &Value, level: Level, embedded: bool, path: &Path, errors: &mut Errors) {
    let checked = level == Level::Root || embedded;
    for field in ["kind", "apiVersion"] {
        if let Some(property) = properties.get(field).filter(|property| text(property, "type") != "string")
            && checked
        {
            let path = path.child("properties").key(field).child("type");
            errors.invalid(&path, text(property, "type"), "must be string");
        }
    }
    let Some(property) = properties.get("metadata") else { return };
    let path = path.child("properties").key("metadata");
    if checked && text(property, "type") != "object" {
        errors.invalid(&path.child("type"), text(property, "type"), "must be object");
    }
    if level != Level::Root {
        return;
    }
    let names_only = at(property, "properties")
        .as_object()
        .is_none_or(|inner| inner.keys().all(|name| matches!(name.as_str(), "name" | "generateName")));
    let others = property.as_object().into_iter().flatten().any(|(field, value)| {
        !matches!(field.as_str(), "type" | "default" | "properties") && !crate::read::is_empty(value)
    });
    if !names_only || others {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.forbidden(&path, detail);
    }
}

/// The clauses of a schema.
fn values(schema: &Value, skip_any: bool, skip_first: bool, path: &Path, errors: &mut Errors) {
    if !skip_any {
        for (index, clause) in list(schema, "anyOf").iter().enumerate() {
            nested(clause, false, &path.child("anyOf").index(index), errors);
        }
    }
    for (index, clause) in list(schema, "allOf").iter().enumerate() {
        nested(clause, skip_first && index == 0, &path.child("allOf").index(index), errors);
    }
    for (index, clause) in list(schema, "oneOf").iter().enumerate() {
        nested(clause, false, &path.child("oneOf").index(index), errors);
    }
    nested(at(schema, "not"), false, &path.child("not"), errors);
    let pattern = text(schema, "pattern");
    if let Err(why) = regex_syntax::Parser::new().parse(pattern) {
        let why = go_words(&why, pattern);
        let detail = format!("must be a valid regular expression, but isn't: error parsing regexp: {why}");
        errors.invalid(&path.child("pattern"), pattern, detail);
    }
}

/// Go's words for what is wrong with a regular expression.
fn go_words(error: &regex_syntax::Error, pattern: &str) -> String {
    use regex_syntax::ast::ErrorKind as Kind;
    let regex_syntax::Error::Parse(error) = error else { return format!("invalid syntax: `{pattern}`") };
    let from = error.span().start.offset;
    let part = pattern.get(from..error.span().end.offset).filter(|part| !part.is_empty());
    let rest = pattern.get(from..).unwrap_or(pattern);
    match error.kind() {
        Kind::GroupUnclosed => format!("missing closing ): `{pattern}`"),
        Kind::GroupUnopened => format!("unexpected ): `{pattern}`"),
        Kind::ClassUnclosed => format!("missing closing ]: `{rest}`"),
        Kind::RepetitionMissing => {
            format!("missing argument to repetition operator: `{}`", part.unwrap_or(rest))
        }
        Kind::RepetitionCountInvalid | Kind::RepetitionCountUnclosed => {
            format!("invalid repeat count: `{}`", part.unwrap_or(rest))
        }
        Kind::EscapeUnrecognized => format!("invalid escape sequence: `{}`", part.unwrap_or(rest)),
        Kind::EscapeUnexpectedEof => "trailing backslash at end of expression: ``".into(),
        Kind::ClassRangeInvalid => format!("invalid character class range: `{}`", part.unwrap_or(rest)),
        Kind::UnsupportedLookAround => {
            format!("invalid or unsupported Perl syntax: `{}`", part.unwrap_or(rest))
        }
        _ => format!("invalid syntax: `{}`", part.unwrap_or(rest)),
    }
}

/// A clause may not add structure.
fn nested(clause: &Value, skip_any: bool, path: &Path, errors: &mut Errors) {
    if !clause.is_object() {
        return;
    }
    values(clause, skip_any, false, path, errors);
    nested(at(clause, "items"), false, &path.child("items"), errors);
    for (name, property) in at(clause, "properties").as_object().into_iter().flatten() {
        nested(property, false, &path.child("properties").key(name.as_str()), errors);
    }
    let forbidden = [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        (OPEN, "must be false to be structural"),
        (EMBEDDED, "must be false to be structural"),
        (INT_OR_STRING, "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ];
    for (field, detail) in forbidden {
        let there = match field {
            "default" => clause.get(field).is_some_and(|value| !value.is_null()),
            "additionalProperties" => {
                clause.get(field).is_some_and(|value| value.is_object() || *value == Value::Bool(true))
            }
            _ => filled(clause, field),
        };
        if there {
            errors.forbidden(&path.child(field), detail);
        }
    }
    if at(clause, "properties").get("metadata").is_some() {
        let path = path.child("properties").key("metadata");
        errors.forbidden(&path, "must not be specified in a nested context");
    }
}

/// What clauses speak of must be there in the structure.
fn complete(
    clause: &Value,
    structure: Option<&Value>,
    at_structure: &Path,
    at_clause: &Path,
    errors: &mut Errors,
) {
    nested_complete(at(clause, "not"), structure, at_structure, &at_clause.child("not"), errors);
    for field in ["allOf", "anyOf", "oneOf"] {
        for (index, inner) in list(clause, field).iter().enumerate() {
            let at_clause = at_clause.child(field).index(index);
            nested_complete(inner, structure, at_structure, &at_clause, errors);
        }
    }
}

fn nested_complete(
    clause: &Value,
    structure: Option<&Value>,
    at_structure: &Path,
    at_clause: &Path,
    errors: &mut Errors,
) {
    if !clause.is_object() {
        return;
    }
    let Some(known) = structure else {
        return errors.required(at_structure, &format!("because it is defined in {at_clause}"));
    };
    complete(clause, structure, at_structure, at_clause, errors);
    let items = known.get("items").filter(|items| items.is_object());
    let (at_items, at_inner) = (at_structure.child("items"), at_clause.child("items"));
    nested_complete(at(clause, "items"), items, &at_items, &at_inner, errors);
    for (name, property) in at(clause, "properties").as_object().into_iter().flatten() {
        let at_structure = at_structure.child("properties").key(name.as_str());
        let at_clause = at_clause.child("properties").key(name.as_str());
        let known = at(known, "properties").get(name);
        nested_complete(property, known, &at_structure, &at_clause, errors);
    }
}
