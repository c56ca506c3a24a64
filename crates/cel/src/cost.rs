//! What calls cost when they are evaluated: as the API server charges, by the id of the overload.

use crate::table::Overload;
use crate::value::Value;

pub(crate) const TRAVERSAL: f64 = 0.1;
pub(crate) const REGEX: f64 = 0.25;
/// Two authorization checks fit into one expression.
pub(crate) const AUTHORIZATION: u64 = 350_000;
/// The longest pattern behind a named format.
pub(crate) const FORMAT_PATTERN: u64 = 128;

fn part(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

fn traversed(value: Option<&Value<'_>>) -> u64 {
    part(value.map_or(1, Value::size), TRAVERSAL)
}

/// The whole of a list, with the texts in it.
fn whole(value: Option<&Value<'_>>) -> u64 {
    match value {
        Some(Value::List(list)) => list
            .iter()
            .map(|item| match item {
                Value::String(_) | Value::Bytes(_) => traversed(Some(&item)),
                _ => 1,
            })
            .sum(),
        Some(Value::String(_) | Value::Bytes(_)) => traversed(value),
        _ => 1,
    }
}

pub(crate) fn of_call(overload: &Overload, args: &[Value<'_>], result: &Value<'_>) -> u64 {
    let size = |index: usize| args.get(index).map_or(1, Value::size);
    let (first, second) = (args.first(), args.get(1));
    let pattern = |text: u64, pattern: u64| part(text + 1, TRAVERSAL) * part(pattern, REGEX);
    match overload.function {
        "check" => AUTHORIZATION,
        "fieldSelector" | "labelSelector" => 10 + traversed(second) + part(part(size(1), 0.5), 50.0),
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => whole(first),
        "url"
        | "lowerAscii"
        | "upperAscii"
        | "substring"
        | "trim"
        | "jsonpatch.escapeKey"
        | "cidr"
        | "isIP"
        | "isCIDR"
        | "quantity"
        | "isQuantity"
        | "semver"
        | "isSemver" => traversed(first),
        "ip" if overload.id != "cidr_ip" => traversed(first),
        "ip.isCanonical" | "replace" | "split" => part(size(0), 2.0 * TRAVERSAL),
        "join" => part(result.size(), 2.0 * TRAVERSAL),
        "find" | "findAll" => pattern(size(0), size(1)),
        "validate" => pattern(size(1), FORMAT_PATTERN),
        "containsIP" | "containsCIDR" => {
            let base = part(32, TRAVERSAL)
                + u64::from(overload.function == "containsCIDR") * (part(16, TRAVERSAL) + 1);
            base + if overload.id.ends_with("_string") { traversed(second) } else { 0 }
        }
        _ => by_id(overload.id, args, size, pattern),
    }
}

fn by_id(
    id: &str,
    args: &[Value<'_>],
    size: impl Fn(usize) -> u64,
    pattern: impl Fn(u64, u64) -> u64,
) -> u64 {
    match id {
        "starts_with_string" | "ends_with_string" => part(size(1), TRAVERSAL),
        "string_to_bytes" | "bytes_to_string" | "string_format" => part(size(0), TRAVERSAL),
        "in_list" => size(1),
        "equals" | "not_equals" if matches!(args.first(), Some(Value::Opaque(_))) => 1,
        "equals" | "not_equals" | "compare" => part(size(0).min(size(1)), TRAVERSAL),
        "add_string" | "add_bytes" => part(size(0) + size(1), TRAVERSAL),
        "matches_string" | "matches" => pattern(size(0), size(1)),
        "contains_string" => part(size(0), TRAVERSAL) * part(size(1), TRAVERSAL),
        "list_slice" | "list_reverse" | "lists_range" => 10 + size(0),
        "list_distinct" | "list_sort" | "list_sort_by" => 10 + size(0) * size(0),
        "list_flatten" | "list_flatten_int" => 10 + size(0),
        "list_sets_contains" | "list_sets_equivalent" | "list_sets_intersects" => 1 + size(0) * size(1),
        _ => 1,
    }
}
