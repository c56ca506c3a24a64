//! A structural schema, read once from a version of a custom resource definition. The published form is JSON;
//! this is what the walks use. Whether a schema is structural was checked when its definition was written.

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

/// Deepest schema that is read; below it anything goes.
pub const MAX_DEPTH: usize = 64;
/// Larger compiled patterns count as invalid.
const MAX_PATTERN_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Type {
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Type::Any => "",
            Type::Object => "object",
            Type::Array => "array",
            Type::String => "string",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Boolean => "boolean",
        }
    }
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Lists {
    #[default]
    Atomic,
    Set,
    /// Items are told apart by these fields.
    Map(Vec<String>),
}

/// `additionalProperties`.
#[derive(Debug, Clone)]
pub enum Rest {
    Allowed(bool),
    Of(Box<Schema>),
}

/// A pattern as written, and compiled if it can be.
#[derive(Debug, Clone)]
pub struct Pattern {
    pub text: String,
    pub regex: Result<Regex, String>,
}

/// Limits of values; the same everywhere in a schema.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    pub format: String,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub above_minimum: bool,
    pub below_maximum: bool,
    pub multiple_of: Option<f64>,
    pub min_length: Option<i64>,
    pub max_length: Option<i64>,
    pub min_items: Option<i64>,
    pub max_items: Option<i64>,
    pub min_properties: Option<i64>,
    pub max_properties: Option<i64>,
    pub unique_items: bool,
    pub pattern: Option<Pattern>,
    pub allowed: Vec<Value>,
    pub required: Vec<String>,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
}

/// One of `x-kubernetes-validations`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    pub rule: String,
    pub message: String,
    pub message_expression: String,
    pub reason: Option<String>,
    pub field_path: String,
    pub optional_old_self: Option<bool>,
}

#[derive(Debug, Clone, Default)]
pub struct Schema {
    pub ty: Type,
    pub nullable: bool,
    pub int_or_string: bool,
    pub preserves_unknown: bool,
    pub embedded: bool,
    pub lists: Lists,
    pub default: Option<Value>,
    pub properties: BTreeMap<String, Schema>,
    pub rest: Option<Rest>,
    pub items: Option<Box<Schema>>,
    pub limits: Limits,
    pub rules: Vec<Rule>,
}

impl Schema {
    /// Reads an `openAPIV3Schema`.
    pub fn read(json: &Value) -> Schema {
        read(json, 0)
    }

    /// The schema of additional properties.
    pub fn rest_schema(&self) -> Option<&Schema> {
        match &self.rest {
            Some(Rest::Of(schema)) => Some(schema),
            _ => None,
        }
    }

    /// The schema of a field of an object.
    pub fn field(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or_else(|| self.rest_schema())
    }

    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
            || self.items.as_ref().is_some_and(|items| items.has_rules())
            || self.rest_schema().is_some_and(Schema::has_rules)
            || self.properties.values().any(Schema::has_rules)
    }

    /// Whether defaulting may change something.
    pub fn has_defaults(&self) -> bool {
        self.default.is_some()
            || self.items.as_ref().is_some_and(|items| items.has_defaults())
            || self.rest_schema().is_some_and(Schema::has_defaults)
            || self.properties.values().any(Schema::has_defaults)
    }
}

fn flag(json: &Value, field: &str) -> bool {
    json.get(field) == Some(&Value::Bool(true))
}

fn text(json: &Value, field: &str) -> String {
    json.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn texts(json: &Value, field: &str) -> Vec<String> {
    let list = json.get(field).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn read(json: &Value, depth: usize) -> Schema {
    if depth >= MAX_DEPTH {
        return Schema { preserves_unknown: true, ..Schema::default() };
    }
    let below = |json: &Value| Box::new(read(json, depth + 1));
    let ty = match json.get("type").and_then(Value::as_str).unwrap_or_default() {
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        _ => Type::Any,
    };
    let lists = match json.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Lists::Set,
        Some("map") => Lists::Map(texts(json, "x-kubernetes-list-map-keys")),
        _ => Lists::Atomic,
    };
    let rest = match json.get("additionalProperties") {
        Some(Value::Bool(allowed)) => Some(Rest::Allowed(*allowed)),
        Some(inner @ Value::Object(_)) => Some(Rest::Of(below(inner))),
        _ => None,
    };
    let properties = json.get("properties").and_then(Value::as_object).into_iter().flatten();
    let rules = json.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
    Schema {
        ty,
        nullable: flag(json, "nullable"),
        int_or_string: flag(json, "x-kubernetes-int-or-string"),
        preserves_unknown: flag(json, "x-kubernetes-preserve-unknown-fields"),
        embedded: flag(json, "x-kubernetes-embedded-resource"),
        lists,
        default: json.get("default").filter(|default| !default.is_null()).cloned(),
        properties: properties.map(|(name, inner)| (name.clone(), read(inner, depth + 1))).collect(),
        rest,
        items: json.get("items").filter(|items| items.is_object()).map(below),
        limits: limits(json, ty, depth),
        rules: rules.map(rule).collect(),
    }
}

fn rule(json: &Value) -> Rule {
    Rule {
        rule: text(json, "rule"),
        message: text(json, "message"),
        message_expression: text(json, "messageExpression"),
        reason: json.get("reason").and_then(Value::as_str).map(str::to_owned),
        field_path: text(json, "fieldPath"),
        optional_old_self: json.get("optionalOldSelf").and_then(Value::as_bool),
    }
}

fn limits(json: &Value, ty: Type, depth: usize) -> Limits {
    let number = |field: &str| json.get(field).and_then(Value::as_f64);
    let count = |field: &str| json.get(field).and_then(Value::as_i64);
    let schemas = |field: &str| {
        let list = json.get(field).and_then(Value::as_array).into_iter().flatten();
        list.map(|inner| read(inner, depth + 1)).collect()
    };
    let format = text(json, "format");
    Limits {
        format: if crate::formats::is_known(ty, &format) { format } else { String::new() },
        minimum: number("minimum"),
        maximum: number("maximum"),
        above_minimum: flag(json, "exclusiveMinimum"),
        below_maximum: flag(json, "exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        unique_items: flag(json, "uniqueItems"),
        pattern: Some(text(json, "pattern")).filter(|text| !text.is_empty()).map(pattern),
        allowed: json.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
        required: texts(json, "required"),
        all_of: schemas("allOf"),
        any_of: schemas("anyOf"),
        one_of: schemas("oneOf"),
        not: json.get("not").filter(|not| not.is_object()).map(|not| Box::new(read(not, depth + 1))),
    }
}

fn pattern(text: String) -> Pattern {
    let built = regex::RegexBuilder::new(&ascii_classes(&text)).size_limit(MAX_PATTERN_BYTES).build();
    Pattern { regex: built.map_err(|error| error.to_string()), text }
}

/// The pattern with `\d`, `\w`, `\s` and `\b` meaning ASCII, as Go has it.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        if c != '\\' {
            match c {
                '[' => in_class = true,
                ']' => in_class = false,
                _ => {}
            }
            out.push(c);
            continue;
        }
        let Some(escaped) = chars.next() else {
            out.push(c);
            break;
        };
        let (class, negated) = match escaped {
            'd' | 'D' => ("0-9", escaped == 'D'),
            'w' | 'W' => ("0-9A-Za-z_", escaped == 'W'),
            's' | 'S' => ("\\t\\n\\f\\r ", escaped == 'S'),
            'b' | 'B' if !in_class => {
                out.push_str(if escaped == 'b' { "(?-u:\\b)" } else { "(?-u:\\B)" });
                continue;
            }
            _ => {
                out.push(c);
                out.push(escaped);
                continue;
            }
        };
        match (in_class, negated) {
            (true, false) => out.push_str(class),
            (_, true) => out.push_str(&format!("[^{class}]")),
            (false, false) => out.push_str(&format!("[{class}]")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_ascii() {
        for (text, subject, want) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١", false),
            (r"^[\w.-]+$", "a_b.c-1", true),
            (r"^[\w]+$", "ä", false),
            (r"^[^\s]+$", "a b", false),
            (r"^\S+\bx\b", "y-x", true),
            (r"^[\[\]]+$", "[]", true),
            (r"^\p{L}+$", "äö", true),
        ] {
            let found = pattern(text.into()).regex.expect("it compiles").is_match(subject);
            assert_eq!(found, want, "{text} {subject}");
        }
        assert!(pattern("(".into()).regex.is_err());
    }
}
