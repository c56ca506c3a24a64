//! Semantic versions.

use super::{boolean, opaque, texts, this};
use crate::eval::{Outcome, fail};
use crate::table::Sig::{Bool, Int, Opaque, String as Text};
use crate::table::{Overload, global, member};
use crate::value::Value;
use std::cmp::Ordering;

const NAME: &str = "kubernetes.Semver";

#[derive(Debug, Clone)]
struct Version {
    numbers: [u64; 3],
    pre: Vec<String>,
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.order(other).is_eq()
    }
}

opaque!(Version, NAME);

pub(super) static FUNCTIONS: &[Overload] = &[
    global("semver", "string_to_semver", &[Text], Opaque(NAME), |_, args| make(args, false)),
    global("semver", "string_bool_to_semver", &[Text, Bool], Opaque(NAME), |_, args| {
        make(args, normal(args))
    }),
    global("isSemver", "is_semver_string", &[Text], Bool, |_, args| {
        texts(args).and_then(|[text]| boolean(parse(text).is_ok()))
    }),
    global("isSemver", "is_semver_string_bool", &[Text, Bool], Bool, |_, args| {
        let [text] = texts(args)?;
        boolean(if normal(args) { parse(&normalized(text)).is_ok() } else { parse(text).is_ok() })
    }),
    member("isGreaterThan", "semver_is_greater_than", &[Opaque(NAME), Opaque(NAME)], Bool, |_, args| {
        boolean(this::<Version>(args)?.order(this(&args[1..])?).is_gt())
    }),
    member("isLessThan", "semver_is_less_than", &[Opaque(NAME), Opaque(NAME)], Bool, |_, args| {
        boolean(this::<Version>(args)?.order(this(&args[1..])?).is_lt())
    }),
    member("compareTo", "semver_compare_to", &[Opaque(NAME), Opaque(NAME)], Int, |_, args| {
        Ok(Value::Int(this::<Version>(args)?.order(this(&args[1..])?) as i64))
    }),
    member("major", "semver_major", &[Opaque(NAME)], Int, |_, args| number(args, 0)),
    member("minor", "semver_minor", &[Opaque(NAME)], Int, |_, args| number(args, 1)),
    member("patch", "semver_patch", &[Opaque(NAME)], Int, |_, args| number(args, 2)),
];

fn number<'a>(args: &[Value<'a>], at: usize) -> Outcome<'a> {
    Ok(Value::Int(this::<Version>(args)?.numbers[at] as i64))
}

fn normal(args: &[Value<'_>]) -> bool {
    args.get(1).and_then(Value::as_bool).unwrap_or_default()
}

fn make<'a>(args: &[Value<'a>], normalize: bool) -> Outcome<'a> {
    let [text] = texts(args)?;
    let parsed = if normalize { parse(&normalized(text)) } else { parse(text) };
    parsed.map(Value::opaque).or_else(fail)
}

impl Version {
    fn order(&self, other: &Version) -> Ordering {
        let numbers = self.numbers.cmp(&other.numbers);
        if numbers.is_ne() {
            return numbers;
        }
        match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => return Ordering::Equal,
            // What comes before a release is less.
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            _ => {}
        }
        for (a, b) in self.pre.iter().zip(&other.pre) {
            let order = match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                _ => a.cmp(b),
            };
            if order.is_ne() {
                return order;
            }
        }
        self.pre.len().cmp(&other.pre.len())
    }
}

fn parse(text: &str) -> Result<Version, String> {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let parts: Vec<&str> = core.split('.').collect();
    if parts.len() != 3 {
        return Err("No Major.Minor.Patch elements found".into());
    }
    let mut numbers = [0; 3];
    for (slot, part) in numbers.iter_mut().zip(&parts) {
        *slot = decimal(part)?;
    }
    let identifiers = |text: &str, what: &str| -> Result<Vec<String>, String> {
        let good =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        match text.split('.').all(good) {
            true => Ok(text.split('.').map(str::to_string).collect()),
            false => Err(format!("Invalid character(s) found in {what} {text:?}")),
        }
    };
    let pre = pre.map(|pre| identifiers(pre, "prerelease")).transpose()?.unwrap_or_default();
    for part in pre.iter().filter(|part| part.bytes().all(|b| b.is_ascii_digit())) {
        decimal(part)?;
    }
    build.map(|build| identifiers(build, "build meta data")).transpose()?;
    Ok(Version { numbers, pre })
}

fn decimal(text: &str) -> Result<u64, String> {
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("Version number must not contain leading zeroes {text:?}"));
    }
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().map_err(|_| format!("Invalid number {text:?}")),
        false => Err(format!("Invalid character(s) found in number {text:?}")),
    }
}

/// `v1.2` becomes `1.2.0`: no `v`, no leading zeroes, three numbers.
fn normalized(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let strip = |part: &str| {
        let stripped = part.trim_start_matches('0');
        if stripped.is_empty() && !part.is_empty() { "0".to_string() } else { stripped.to_string() }
    };
    let mut parts: Vec<String> = core.split('.').map(strip).collect();
    while parts.len() < 3 && rest.is_empty() {
        parts.push("0".into());
    }
    format!("{}{rest}", parts.join("."))
}
