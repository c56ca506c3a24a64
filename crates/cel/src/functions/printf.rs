//! `"…".format([…])`: the verbs of the string extension.

use super::convert::print_double;
use super::time;
use crate::eval::{Error, Outcome, fail, no_overload};
use crate::table::Sig::{Dyn, List, String as Text};
use crate::table::{Overload, member};
use crate::value::Value;
use std::fmt::Write;

/// More digits behind the point are refused.
const MAX_PRECISION: usize = 1000;

pub(super) static FUNCTIONS: &[Overload] =
    &[member("format", "string_format", &[Text, List(&Dyn)], Text, |_, args| match args {
        [Value::String(template), Value::List(list)] => format(template, &list.to_vec()),
        _ => no_overload(),
    })];

fn format<'a>(template: &str, args: &[Value<'a>]) -> Outcome<'a> {
    let mut out = String::new();
    let mut rest_of_args = args.iter();
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('%') {
            out.push('%');
            rest = tail;
            continue;
        }
        let mut precision = None;
        if let Some(tail) = rest.strip_prefix('.') {
            let length = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
            match tail[..length].parse() {
                Ok(digits) if digits <= MAX_PRECISION => precision = Some(digits),
                _ => return fail("error while parsing precision"),
            }
            rest = &tail[length..];
        }
        let Some(verb) = rest.chars().next() else { return fail("unexpected end of string") };
        rest = &rest[verb.len_utf8()..];
        if !"sdfebxXo".contains(verb) {
            return fail(format!(
                "could not parse formatting clause: unrecognized formatting clause \"{verb}\""
            ));
        }
        let Some(value) = rest_of_args.next() else {
            return fail(format!("index {} out of range", args.len()));
        };
        match one(verb, precision, value)? {
            Some(text) => out.push_str(&text),
            None => return fail(wrong(verb, value)),
        }
    }
    out.push_str(rest);
    Ok(Value::text(out))
}

fn wrong(verb: char, value: &Value<'_>) -> String {
    let what = match verb {
        'd' => "decimal clause can only be used on integers",
        'f' => "fixed-point clause can only be used on doubles",
        'e' => "scientific clause can only be used on doubles",
        'b' => "only integers and bools can be formatted as binary",
        'o' => "octal clause can only be used on integers",
        _ => "only integers, byte buffers, and strings can be formatted as hex",
    };
    format!("error during formatting: {what}, was given {}", value.type_name())
}

fn one(verb: char, precision: Option<usize>, value: &Value<'_>) -> Result<Option<String>, Error> {
    let hex = |bytes: &[u8], upper: bool| {
        bytes.iter().fold(String::new(), |mut out, byte| {
            let _ = if upper { write!(out, "{byte:02X}") } else { write!(out, "{byte:02x}") };
            out
        })
    };
    Ok(Some(match (verb, value) {
        ('s', value) => text(value)?,
        ('d', Value::Int(value)) => value.to_string(),
        ('d', Value::Uint(value)) => value.to_string(),
        ('f', value) => match number(value) {
            Some(value) => format!("{value:.*}", precision.unwrap_or(6)),
            None => return Ok(None),
        },
        ('e', value) => match number(value) {
            Some(value) => {
                let text = format!("{value:.*e}", precision.unwrap_or(6));
                let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let (sign, exponent) = exponent.strip_prefix('-').map_or(("", exponent), |rest| ("⁻", rest));
                format!("{digits}×10{sign}{}", superscript(&format!("{exponent:0>2}")))
            }
            None => return Ok(None),
        },
        ('b', Value::Bool(value)) => u8::from(*value).to_string(),
        ('b', Value::Int(value)) => signed(*value, format!("{:b}", value.unsigned_abs())),
        ('b', Value::Uint(value)) => format!("{value:b}"),
        ('o', Value::Int(value)) => signed(*value, format!("{:o}", value.unsigned_abs())),
        ('o', Value::Uint(value)) => format!("{value:o}"),
        ('x', Value::Int(value)) => signed(*value, format!("{:x}", value.unsigned_abs())),
        ('X', Value::Int(value)) => signed(*value, format!("{:X}", value.unsigned_abs())),
        ('x', Value::Uint(value)) => format!("{value:x}"),
        ('X', Value::Uint(value)) => format!("{value:X}"),
        ('x' | 'X', Value::String(text)) => hex(text.as_bytes(), verb == 'X'),
        ('x' | 'X', Value::Bytes(bytes)) => hex(bytes, verb == 'X'),
        _ => return Ok(None),
    }))
}

fn superscript(digits: &str) -> String {
    let raised = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    digits.bytes().map(|digit| raised[usize::from(digit - b'0') % 10]).collect()
}

fn signed(value: i64, digits: String) -> String {
    if value < 0 { format!("-{digits}") } else { digits }
}

fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(value) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        Value::Uint(value) => Some(*value as f64),
        _ => None,
    }
}

/// `%s` prints every type of the language.
fn text(value: &Value<'_>) -> Result<String, Error> {
    Ok(match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => print_double(*value),
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Timestamp(at) => time::print_timestamp(*at),
        Value::Duration(nanos) => time::print_duration(*nanos),
        Value::Type(name) => name.to_string(),
        Value::List(list) => {
            let items = list.iter().map(|item| text(&item)).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let mut entries = Vec::new();
            for key in map.keys() {
                if let Some(value) = map.get(&key) {
                    entries.push(format!("{}: {}", text(&key)?, text(&value)?));
                }
            }
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => {
            return fail(format!(
                "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, \
                 lists, types, durations, and timestamps, was given {}",
                other.type_name()
            ));
        }
    })
}
