//! Conversions between types, `size`, `type` and `dyn`.

use super::time;
use crate::eval::{Outcome, fail, no_overload};
use crate::table::Sig::{
    self, A, Bool, Bytes, Double, Duration, Dyn, Int, List, Map, String as Text, Timestamp, Type, Uint,
};
use crate::table::{Overload, global, member};
use crate::value::Value;

const LIST: Sig = List(&A);
const MAP: Sig = Map(&A, &Sig::B);

pub(super) static FUNCTIONS: &[Overload] = &[
    global("size", "size_string", &[Text], Int, |_, args| size(args)),
    global("size", "size_bytes", &[Bytes], Int, |_, args| size(args)),
    global("size", "size_list", &[LIST], Int, |_, args| size(args)),
    global("size", "size_map", &[MAP], Int, |_, args| size(args)),
    member("size", "string_size", &[Text], Int, |_, args| size(args)),
    member("size", "bytes_size", &[Bytes], Int, |_, args| size(args)),
    member("size", "list_size", &[LIST], Int, |_, args| size(args)),
    member("size", "map_size", &[MAP], Int, |_, args| size(args)),
    global("type", "type", &[A], Type, |_, args| Ok(Value::Type(args[0].type_name().into_owned().into()))),
    global("dyn", "to_dyn", &[A], Dyn, |_, args| Ok(args[0].clone())),
    global("bool", "bool_to_bool", &[Bool], Bool, |_, args| Ok(args[0].clone())),
    global("bool", "string_to_bool", &[Text], Bool, |_, args| match args[0].as_text() {
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Value::Bool(true)),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Value::Bool(false)),
        _ => fail("type conversion error from 'string' to 'bool'"),
    }),
    global("int", "int64_to_int64", &[Int], Int, |_, args| to_int(args)),
    global("int", "uint64_to_int64", &[Uint], Int, |_, args| to_int(args)),
    global("int", "double_to_int64", &[Double], Int, |_, args| to_int(args)),
    global("int", "string_to_int64", &[Text], Int, |_, args| to_int(args)),
    global("int", "timestamp_to_int64", &[Timestamp], Int, |_, args| to_int(args)),
    global("uint", "uint64_to_uint64", &[Uint], Uint, |_, args| to_uint(args)),
    global("uint", "int64_to_uint64", &[Int], Uint, |_, args| to_uint(args)),
    global("uint", "double_to_uint64", &[Double], Uint, |_, args| to_uint(args)),
    global("uint", "string_to_uint64", &[Text], Uint, |_, args| to_uint(args)),
    global("double", "double_to_double", &[Double], Double, |_, args| to_double(args)),
    global("double", "int64_to_double", &[Int], Double, |_, args| to_double(args)),
    global("double", "uint64_to_double", &[Uint], Double, |_, args| to_double(args)),
    global("double", "string_to_double", &[Text], Double, |_, args| to_double(args)),
    global("string", "string_to_string", &[Text], Text, |_, args| to_text(args)),
    global("string", "bool_to_string", &[Bool], Text, |_, args| to_text(args)),
    global("string", "int64_to_string", &[Int], Text, |_, args| to_text(args)),
    global("string", "uint64_to_string", &[Uint], Text, |_, args| to_text(args)),
    global("string", "double_to_string", &[Double], Text, |_, args| to_text(args)),
    global("string", "bytes_to_string", &[Bytes], Text, |_, args| to_text(args)),
    global("string", "timestamp_to_string", &[Timestamp], Text, |_, args| to_text(args)),
    global("string", "duration_to_string", &[Duration], Text, |_, args| to_text(args)),
    global("bytes", "bytes_to_bytes", &[Bytes], Bytes, |_, args| Ok(args[0].clone())),
    global("bytes", "string_to_bytes", &[Text], Bytes, |_, args| match args[0].as_text() {
        Some(text) => Ok(Value::Bytes(text.as_bytes().into())),
        None => no_overload(),
    }),
];

fn size<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int(args[0].size() as i64))
}

fn to_int<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let value = match &args[0] {
        Value::Int(value) => Some(*value),
        Value::Uint(value) => i64::try_from(*value).ok(),
        Value::Double(value) if value.is_finite() && value.abs() < 9_223_372_036_854_775_807.0 => {
            Some(*value as i64)
        }
        Value::Double(_) => None,
        Value::Timestamp(moment) => Some(moment.at.as_second()),
        Value::String(text) => {
            return match text.parse() {
                Ok(value) => Ok(Value::Int(value)),
                Err(_) => fail(format!(
                    "strconv.ParseInt: parsing {}: invalid syntax",
                    apimachinery::go::quote(text)
                )),
            };
        }
        _ => return no_overload(),
    };
    value.map_or_else(|| fail("integer overflow"), |value| Ok(Value::Int(value)))
}

fn to_uint<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let value = match &args[0] {
        Value::Uint(value) => Some(*value),
        Value::Int(value) => u64::try_from(*value).ok(),
        Value::Double(value) if (0.0..18_446_744_073_709_551_615.0).contains(value) => Some(*value as u64),
        Value::Double(_) => None,
        Value::String(text) => {
            return match text.parse() {
                Ok(value) => Ok(Value::Uint(value)),
                Err(_) => fail(format!(
                    "strconv.ParseUint: parsing {}: invalid syntax",
                    apimachinery::go::quote(text)
                )),
            };
        }
        _ => return no_overload(),
    };
    value.map_or_else(|| fail("unsigned integer overflow"), |value| Ok(Value::Uint(value)))
}

fn to_double<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Double(match &args[0] {
        Value::Double(value) => *value,
        Value::Int(value) => *value as f64,
        Value::Uint(value) => *value as f64,
        Value::String(text) => match text.parse() {
            Ok(value) => value,
            Err(_) => {
                return fail(format!(
                    "strconv.ParseFloat: parsing {}: invalid syntax",
                    apimachinery::go::quote(text)
                ));
            }
        },
        _ => return no_overload(),
    }))
}

fn to_text<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::text(match &args[0] {
        Value::String(_) => return Ok(args[0].clone()),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => print_double(*value),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_string(),
            Err(_) => return fail("invalid UTF-8 in bytes, cannot convert to string"),
        },
        Value::Timestamp(at) => time::print_timestamp(*at),
        Value::Duration(nanos) => time::print_duration(*nanos),
        _ => return no_overload(),
    }))
}

/// As Go's `%g` does: an exponent for very large and very small numbers.
pub(super) fn print_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}
