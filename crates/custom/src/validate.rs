//! Values against a schema, in the order and the words of upstream's validator. Alternatives (`anyOf`, `oneOf`)
//! report the branch that came closest, counted as upstream counts.

use crate::correlate::{old_entry, old_item, same};
use crate::formats;
use crate::schema::{Limits, Rest, Schema, Type};
use apimachinery::{FieldError, Path, go};
use serde_json::{Number, Value};

/// Errors in a new object.
pub fn create(schema: &Schema, object: &Value) -> Vec<FieldError> {
    check(schema, object, None, "", "")
}

/// Errors in a changed object; what did not change is let through.
pub fn update(schema: &Schema, new: &Value, old: &Value) -> Vec<FieldError> {
    check(schema, new, Some(old), "", "")
}

/// The same for the part of an object below a field.
pub fn update_field(schema: &Schema, field: &str, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    check(schema, new, old, "", field)
}

fn check(schema: &Schema, value: &Value, old: Option<&Value>, name: &str, below: &str) -> Vec<FieldError> {
    let found = node(schema, value, old, name, true);
    found.faults.into_iter().map(|fault| fault.error(below)).collect()
}

/// What is wrong at one place.
#[derive(Debug, Clone)]
struct Fault {
    /// The whole sentence; equal ones are reported once.
    text: String,
    /// The place, below the object that is checked.
    name: String,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Required,
    Enum(Value, Vec<String>),
    TooLong(i64),
    TooMany(usize, i64),
    Type(Value),
    Invalid(Value),
    /// About no field.
    Whole,
}

impl Fault {
    fn error(self, below: &str) -> FieldError {
        let base = if below.is_empty() { Path::root() } else { Path::new(below.to_owned()) };
        let name = self.name.trim_start_matches('.').to_owned();
        let path = if name.is_empty() { base.clone() } else { base.child(name) };
        let max = |max: i64| usize::try_from(max).unwrap_or(0);
        match self.what {
            What::Required => FieldError::required(&path, ""),
            What::Enum(value, known) => FieldError::not_supported(&path, value, &known),
            What::TooLong(limit) => FieldError::too_long(&path, max(limit)),
            What::TooMany(actual, limit) => FieldError::too_many(&path, actual, max(limit)),
            What::Type(value) => FieldError::type_invalid(&path, value, self.text),
            What::Invalid(value) => FieldError::invalid(&path, value, self.text),
            What::Whole => FieldError::invalid(&base, "", self.text),
        }
    }
}

/// What a check found, and how much of it was good.
#[derive(Debug, Default)]
struct Found {
    faults: Vec<Fault>,
    matches: usize,
}

impl Found {
    fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    fn add(&mut self, name: &str, text: String, what: What) {
        if !self.faults.iter().any(|fault| fault.text == text) {
            self.faults.push(Fault { text, name: name.to_owned(), what });
        }
    }

    fn invalid(&mut self, name: &str, value: impl Into<Value>, words: &str) {
        self.add(name, format!("{name} in body {words}"), What::Invalid(value.into()));
    }

    fn wrong_type(&mut self, name: &str, wanted: &str, found: &str) {
        let text = format!("{name} in body must be of type {wanted}: {}", go::quote(found));
        self.add(name, text, What::Type(found.into()));
    }

    fn whole(&mut self, name: &str, words: &str) {
        self.add(name, format!("{} {words}", go::quote(name)), What::Whole);
    }

    fn merge(&mut self, other: Found) {
        self.matches += other.matches;
        for fault in other.faults {
            self.add(&fault.name, fault.text, fault.what);
        }
    }
}

/// How a JSON value is called, and its format.
fn kind_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(number) if number.is_i64() => ("integer", "int64"),
        Value::Number(_) => ("number", "float64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

/// One value; `settles` is false for the branches of alternatives, which are judged as a whole.
fn node(schema: &Schema, value: &Value, old: Option<&Value>, name: &str, settles: bool) -> Found {
    let mut found = Found::default();
    let limits = &schema.limits;
    if value.is_null() {
        found.merge(types(schema, value, name));
        enumerated(limits, value, name, &mut found);
    } else {
        if schema.ty != Type::Any || schema.int_or_string || !limits.format.is_empty() {
            found.merge(types(schema, value, name));
            found.matches += 1;
        }
        found.merge(alternatives(limits, value, old, name));
        found.matches += 1;
        match value {
            Value::String(text) => {
                strings(limits, text, name, &mut found);
                found.matches += 1;
                if !limits.format.is_empty() && matches!(schema.ty, Type::Any | Type::String) {
                    if !formats::fits(&limits.format, text) {
                        found.wrong_type(name, &limits.format, text);
                    }
                    found.matches += 1;
                }
            }
            Value::Number(number) => {
                numbers(schema, number, name, &mut found);
                found.matches += 2;
            }
            Value::Array(items) => {
                list(schema, items, old, name, &mut found);
                found.matches += 2;
            }
            _ => {}
        }
        enumerated(limits, value, name, &mut found);
        found.matches += 1;
        if let Value::Object(map) = value {
            object(schema, map, old, name, &mut found);
            found.matches += 1;
        }
        found.matches += 1;
    }
    if settles && !found.is_good() && old.is_some_and(|old| same(Some(schema), value, old)) {
        found.faults.clear();
    }
    found
}

fn types(schema: &Schema, value: &Value, name: &str) -> Found {
    let mut found = Found::default();
    let wanted = if schema.int_or_string { "integer,string" } else { schema.ty.name() };
    let (is, is_format) = kind_of(value);
    let format = schema.limits.format.as_str();
    if value.is_null() {
        if !wanted.is_empty() && !schema.nullable {
            found.wrong_type(name, wanted, is);
        } else {
            found.matches += 1;
        }
        return found;
    }
    let one_of = |kind: &str| wanted.split(',').any(|wanted| wanted == kind);
    let whole = matches!(value, Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() == 0.0));
    let whole_float = is == "number" && whole && one_of("integer");
    let int_as_number = is == "integer" && one_of("number");
    let textual = matches!(value, Value::String(_) | Value::Array(_));
    if !format.is_empty() {
        if !(textual || one_of(is) || is_format == format || whole_float || int_as_number) {
            found.wrong_type(name, format, is_format);
            return found;
        }
        if textual && !one_of("number") && !one_of("integer") {
            found.matches += 1;
            return found;
        }
    }
    if one_of(is) || whole_float || int_as_number {
        found.matches += 1;
    } else {
        found.wrong_type(name, wanted, is);
    }
    found
}

fn strings(limits: &Limits, text: &str, name: &str, found: &mut Found) {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(max) = limits.max_length.filter(|max| length > *max) {
        let words = format!("{name} in body should be at most {max} chars long");
        return found.add(name, words, What::TooLong(max));
    }
    if let Some(min) = limits.min_length.filter(|min| length < *min) {
        return found.invalid(name, text, &format!("should be at least {min} chars long"));
    }
    let Some(pattern) = &limits.pattern else { return };
    match &pattern.regex {
        Ok(regex) if regex.is_match(text) => {}
        Ok(_) => found.invalid(name, text, &format!("should match '{}'", pattern.text)),
        Err(why) => {
            let words = format!("should match '{}, but pattern is invalid: {why}'", pattern.text);
            found.invalid(name, text, &words);
        }
    }
}

/// A number as Go prints it.
pub(crate) fn shown(number: f64) -> String {
    if number != 0.0 && !(1e-4..1e21).contains(&number.abs()) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    number.to_string()
}

fn numbers(schema: &Schema, number: &Number, name: &str, found: &mut Found) {
    let limits = &schema.limits;
    let int = number.as_i64();
    let value = || Value::Number(number.clone());
    let float = number.as_f64().unwrap_or_default();
    let ty = if schema.int_or_string { Type::Any } else { schema.ty };
    if let Some(words) = out_of_range(ty, &limits.format, int, float) {
        found.add(name, format!("Checked value must be of type {words} in {name}"), What::Whole);
    }
    // Limits are compared as integers where the value is one.
    let bound = |bound: f64| if int.is_some() { (bound as i64).to_string() } else { shown(bound) };
    if let Some(of) = limits.multiple_of {
        let good = match int {
            Some(int) => of as i64 > 0 && int % (of as i64) == 0,
            None => {
                let times = if of < 1.0 { 1.0 / of * float } else { float / of };
                (times - times.round()).abs() < 1e-9
            }
        };
        if !good {
            found.invalid(name, value(), &format!("should be a multiple of {}", bound(of)));
        }
    }
    if let Some(max) = limits.maximum {
        let order = int.map_or_else(|| float.total_cmp(&max), |int| int.cmp(&(max as i64)));
        if order.is_gt() || limits.below_maximum && order.is_eq() {
            let words = if limits.below_maximum { "less than" } else { "less than or equal to" };
            found.invalid(name, value(), &format!("should be {words} {}", bound(max)));
        }
    }
    if let Some(min) = limits.minimum {
        let order = int.map_or_else(|| float.total_cmp(&min), |int| int.cmp(&(min as i64)));
        if order.is_lt() || limits.above_minimum && order.is_eq() {
            let words = if limits.above_minimum { "greater than" } else { "greater than or equal to" };
            found.invalid(name, value(), &format!("should be {words} {}", bound(min)));
        }
    }
}

/// What a number should be, if the type is too small for it.
fn out_of_range(ty: Type, format: &str, int: Option<i64>, float: f64) -> Option<String> {
    let good = match (ty, format) {
        (Type::Integer, "int32") => int.is_some_and(|int| i32::try_from(int).is_ok()),
        (Type::Integer, _) => int.is_some() || float.fract() == 0.0 && float.abs() < 1e18,
        (Type::Number, "float") => float.abs() <= f64::from(f32::MAX),
        _ => true,
    };
    let format = if format.is_empty() { "(default format)".into() } else { format!("with format {format}") };
    (!good).then(|| format!("{} {format}", ty.name()))
}

fn enumerated(limits: &Limits, value: &Value, name: &str, found: &mut Found) {
    let equal = |known: &Value| match (known, value) {
        (Value::Number(known), Value::Number(value)) => known == value || known.as_f64() == value.as_f64(),
        (known, value) => known == value,
    };
    if limits.allowed.is_empty() || !value.is_null() && limits.allowed.iter().any(equal) {
        return;
    }
    let text = |known: &Value| known.as_str().map_or_else(|| known.to_string(), str::to_owned);
    let known: Vec<String> = limits.allowed.iter().map(text).collect();
    let words = format!("{name} in body should be one of [{}]", known.join(" "));
    found.add(name, words, What::Enum(value.clone(), known));
}

fn list(schema: &Schema, items: &[Value], old: Option<&Value>, name: &str, found: &mut Found) {
    let limits = &schema.limits;
    if let Some(below) = &schema.items {
        for (index, item) in items.iter().enumerate() {
            let old = old_item(schema, old, item);
            found.merge(node(below, item, old, &format!("{name}[{index}]"), true));
        }
    }
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(min) = limits.min_items.filter(|min| length < *min) {
        found.invalid(name, length, &format!("should have at least {min} items"));
    }
    if let Some(max) = limits.max_items.filter(|max| length > *max) {
        let words = format!("{name} in body should have at most {max} items");
        found.add(name, words, What::TooMany(items.len(), max));
    }
    let twice = |(index, item): (usize, &Value)| items[..index].contains(item);
    if limits.unique_items && items.iter().enumerate().any(twice) {
        found.invalid(name, "", "shouldn't contain duplicates");
    }
}

fn object(
    schema: &Schema,
    map: &serde_json::Map<String, Value>,
    old: Option<&Value>,
    name: &str,
    found: &mut Found,
) {
    let limits = &schema.limits;
    let count = i64::try_from(map.len()).unwrap_or(i64::MAX);
    if let Some(min) = limits.min_properties.filter(|min| count < *min) {
        found.invalid(name, count, &format!("should have at least {min} properties"));
    }
    if let Some(max) = limits.max_properties.filter(|max| count > *max) {
        let words = format!("{name} in body should have at most {max} properties");
        found.add(name, words, What::TooMany(map.len(), max));
    }
    for (key, value) in map.iter().filter(|(key, _)| !schema.properties.contains_key(*key)) {
        match &schema.rest {
            Some(Rest::Allowed(false)) => {
                let words = format!("{name}.{key} in body is a forbidden property");
                found.add(name, words, What::Invalid(key.as_str().into()));
            }
            Some(Rest::Of(below)) => {
                found.merge(node(below, value, old_entry(old, key), &format!("{name}.{key}"), true));
            }
            _ => {}
        }
    }
    for (key, below) in &schema.properties {
        let Some(value) = map.get(key) else { continue };
        let place = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        // These two look the same in old and new whatever version was asked for.
        let hidden = name.is_empty() && matches!(key.as_str(), "kind" | "apiVersion");
        let old = old_entry(old, key).filter(|_| !hidden);
        found.merge(node(below, value, old, &place, true));
    }
    for key in limits.required.iter().filter(|key| !map.contains_key(*key)) {
        let place = format!("{name}.{key}");
        found.add(&place, format!("{place} in body is required"), What::Required);
    }
}

fn alternatives(limits: &Limits, value: &Value, old: Option<&Value>, name: &str) -> Found {
    let mut found = Found::default();
    let try_out = |schema: &Schema| node(schema, value, old, name, false);
    if !limits.any_of.is_empty() {
        let mut best: Option<Found> = None;
        let mut good = None;
        for schema in &limits.any_of {
            let tried = try_out(schema);
            if tried.is_good() {
                good = Some(tried);
                break;
            }
            closer(&mut best, tried);
        }
        if good.is_none() {
            found.whole(name, "must validate at least one schema (anyOf)");
        }
        if let Some(tried) = good.or(best) {
            found.merge(tried);
        }
    }
    if !limits.one_of.is_empty() {
        let mut best: Option<Found> = None;
        let mut good = Vec::new();
        for schema in &limits.one_of {
            let tried = try_out(schema);
            if tried.is_good() {
                best = None;
                good.push(tried);
            } else if good.is_empty() {
                closer(&mut best, tried);
            }
        }
        let count = good.len();
        if count == 1 {
            good.into_iter().for_each(|tried| found.merge(tried));
        } else {
            let how = if count == 0 {
                "Found none valid".into()
            } else {
                format!("Found {count} valid alternatives")
            };
            found.whole(name, &format!("must validate one and only one schema (oneOf). {how}"));
            if let Some(tried) = best {
                found.merge(tried);
            }
        }
    }
    if !limits.all_of.is_empty() {
        let mut good = 0;
        for schema in &limits.all_of {
            let tried = try_out(schema);
            good += usize::from(tried.is_good());
            found.merge(tried);
        }
        if good != limits.all_of.len() {
            let none = if good == 0 { ". None validated" } else { "" };
            found.whole(name, &format!("must validate all the schemas (allOf){none}"));
        }
    }
    if limits.not.as_ref().is_some_and(|schema| try_out(schema).is_good()) {
        found.whole(name, "must not validate the schema (not)");
    }
    found.matches += 1;
    found
}

fn closer(best: &mut Option<Found>, tried: Found) {
    if best.as_ref().is_none_or(|best| tried.matches > best.matches) {
        *best = Some(tried);
    }
}

#[cfg(test)]
mod tests;
