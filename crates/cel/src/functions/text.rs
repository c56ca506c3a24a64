//! Strings: tests, the string extension, regular expressions.

use super::{boolean, int, texts};
use crate::eval::{Error, Outcome, fail, no_overload};
use crate::program::Program;
use crate::table::Sig::{Bool, Int, List, String as Text};
use crate::table::{Overload, global, member};
use crate::value::Value;
use regex::{Regex, RegexBuilder};
use std::borrow::Cow;

/// Larger compiled patterns are refused.
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Longer results of `replace` and `join` are refused; a request cannot be larger either.
const MAX_TEXT_BYTES: usize = 8 << 20;

pub(super) static FUNCTIONS: &[Overload] = &[
    member("contains", "contains_string", &[Text, Text], Bool, |_, args| {
        texts(args).and_then(|[text, part]: [&str; 2]| boolean(text.contains(part)))
    }),
    member("startsWith", "starts_with_string", &[Text, Text], Bool, |_, args| {
        texts(args).and_then(|[text, part]: [&str; 2]| boolean(text.starts_with(part)))
    }),
    member("endsWith", "ends_with_string", &[Text, Text], Bool, |_, args| {
        texts(args).and_then(|[text, part]: [&str; 2]| boolean(text.ends_with(part)))
    }),
    member("matches", "matches_string", &[Text, Text], Bool, matches),
    global("matches", "matches", &[Text, Text], Bool, matches),
    member("find", "string_find_string", &[Text, Text], Text, |program, args| {
        let [text, wanted] = texts(args)?;
        let found = regex(program, wanted)?.find(text).map(|found| found.as_str().to_string());
        Ok(Value::text(found.unwrap_or_default()))
    }),
    member("findAll", "string_find_all_string", &[Text, Text], List(&Text), |program, args| {
        find_all(program, args, -1)
    }),
    member("findAll", "string_find_all_string_int", &[Text, Text, Int], List(&Text), |program, args| {
        find_all(program, args, int(args.get(2))?)
    }),
    member("charAt", "string_char_at_int", &[Text, Int], Text, |_, args| {
        let ([text], at) = (texts(args)?, int(args.get(1))?);
        let count = text.chars().count();
        match usize::try_from(at) {
            Ok(at) if at <= count => {
                Ok(Value::text(text.chars().nth(at).map(String::from).unwrap_or_default()))
            }
            _ => fail(format!("index out of range: {at}")),
        }
    }),
    member("indexOf", "string_index_of_string", &[Text, Text], Int, |_, args| index_of(args, 0)),
    member("indexOf", "string_index_of_string_int", &[Text, Text, Int], Int, |_, args| {
        index_of(args, int(args.get(2))?)
    }),
    member("lastIndexOf", "string_last_index_of_string", &[Text, Text], Int, |_, args| {
        last_index_of(args, None)
    }),
    member("lastIndexOf", "string_last_index_of_string_int", &[Text, Text, Int], Int, |_, args| {
        last_index_of(args, Some(int(args.get(2))?))
    }),
    member("join", "list_join", &[List(&Text)], Text, join),
    member("join", "list_join_string", &[List(&Text), Text], Text, join),
    member("lowerAscii", "string_lower_ascii", &[Text], Text, |_, args| {
        texts(args).map(|[text]| Value::text(text.to_ascii_lowercase()))
    }),
    member("upperAscii", "string_upper_ascii", &[Text], Text, |_, args| {
        texts(args).map(|[text]| Value::text(text.to_ascii_uppercase()))
    }),
    member("replace", "string_replace_string_string", &[Text, Text, Text], Text, |_, args| replace(args, -1)),
    member("replace", "string_replace_string_string_int", &[Text, Text, Text, Int], Text, |_, args| {
        replace(args, int(args.get(3))?)
    }),
    member("split", "string_split_string", &[Text, Text], List(&Text), |_, args| split(args, -1)),
    member("split", "string_split_string_int", &[Text, Text, Int], List(&Text), |_, args| {
        split(args, int(args.get(2))?)
    }),
    member("substring", "string_substring_int", &[Text, Int], Text, |_, args| {
        substring(args, int(args.get(1))?, None)
    }),
    member("substring", "string_substring_int_int", &[Text, Int, Int], Text, |_, args| {
        substring(args, int(args.get(1))?, Some(int(args.get(2))?))
    }),
    member("trim", "string_trim", &[Text], Text, |_, args| {
        texts(args).map(|[text]| Value::text(text.trim()))
    }),
    global("strings.quote", "strings_quote", &[Text], Text, |_, args| {
        texts(args).map(|[text]| Value::text(quote(text)))
    }),
    global("jsonpatch.escapeKey", "string_jsonpatch_escapeKey_string", &[Text], Text, |_, args| {
        texts(args).map(|[text]| Value::text(text.replace('~', "~0").replace('/', "~1")))
    }),
];

pub(crate) fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).build()
}

fn regex<'p>(program: &'p Program, text: &str) -> Result<Cow<'p, Regex>, Error> {
    if let Some(known) = program.regexes.get(text) {
        return Ok(Cow::Borrowed(known));
    }
    match pattern(text) {
        Ok(regex) => Ok(Cow::Owned(regex)),
        Err(error) => {
            let reason = error.to_string();
            fail(format!("error parsing regexp: {}", reason.lines().last().unwrap_or_default()))
        }
    }
}

fn matches<'a>(program: &Program, args: &[Value<'a>]) -> Outcome<'a> {
    let [text, wanted] = texts(args)?;
    boolean(regex(program, wanted)?.is_match(text))
}

fn find_all<'a>(program: &Program, args: &[Value<'a>], limit: i64) -> Outcome<'a> {
    let [text, wanted] = texts(args)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let regex = regex(program, wanted)?;
    let found = regex.find_iter(text).take(limit).map(|found| Value::text(found.as_str()));
    Ok(Value::values(found.collect()))
}

/// The byte offset of a character; the end counts too.
fn offset(text: &str, at: i64) -> Option<usize> {
    let at = usize::try_from(at).ok()?;
    text.char_indices().map(|(offset, _)| offset).chain([text.len()]).nth(at)
}

fn index_of<'a>(args: &[Value<'a>], from: i64) -> Outcome<'a> {
    let [text, part] = texts(args)?;
    let Some(start) = offset(text, from) else {
        return if part.is_empty() || from >= 0 {
            Ok(Value::Int(-1))
        } else {
            fail(format!("index out of range: {from}"))
        };
    };
    let found = text[start..].find(part).map(|at| text[..start + at].chars().count() as i64);
    Ok(Value::Int(found.unwrap_or(-1)))
}

fn last_index_of<'a>(args: &[Value<'a>], from: Option<i64>) -> Outcome<'a> {
    let [text, part] = texts(args)?;
    let end = match from {
        None => text.len(),
        Some(from) => match offset(text, from) {
            // The occurrence begins there at the latest.
            Some(start) => text.len().min(start + part.len()),
            None if from >= 0 => return Ok(Value::Int(-1)),
            None => return fail(format!("index out of range: {from}")),
        },
    };
    let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
    let found = text[..end].rfind(part).map(|at| text[..at].chars().count() as i64);
    Ok(Value::Int(found.unwrap_or(-1)))
}

fn join<'a>(_: &Program, args: &[Value<'a>]) -> Outcome<'a> {
    let Value::List(list) = &args[0] else { return no_overload() };
    let separator = args.get(1).and_then(Value::as_text).unwrap_or_default();
    let mut out = String::new();
    for (at, item) in list.iter().enumerate() {
        let Some(text) = item.as_text() else { return no_overload() };
        if at > 0 {
            out.push_str(separator);
        }
        out.push_str(text);
        if out.len() > MAX_TEXT_BYTES {
            return fail("string size exceeds limit");
        }
    }
    Ok(Value::text(out))
}

fn replace<'a>(args: &[Value<'a>], count: i64) -> Outcome<'a> {
    let [text, from, to] = texts(args)?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let occurrences = if from.is_empty() { text.chars().count() + 1 } else { text.matches(from).count() };
    if occurrences.min(count).saturating_mul(to.len()).saturating_add(text.len()) > MAX_TEXT_BYTES {
        return fail("string size exceeds limit");
    }
    Ok(Value::text(text.replacen(from, to, count)))
}

fn split<'a>(args: &[Value<'a>], limit: i64) -> Outcome<'a> {
    let [text, separator] = texts(args)?;
    let limit = match limit {
        0 => return Ok(Value::values(Vec::new())),
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let parts: Vec<Value<'a>> = if separator.is_empty() {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = if parts.len() + 1 == limit { rest.len() } else { first.len_utf8() };
            parts.push(Value::text(&rest[..length]));
            rest = &rest[length..];
        }
        parts
    } else {
        text.splitn(limit, separator).map(Value::text).collect()
    };
    Ok(Value::values(parts))
}

fn substring<'a>(args: &[Value<'a>], start: i64, end: Option<i64>) -> Outcome<'a> {
    let [text] = texts(args)?;
    let Some(from) = offset(text, start) else { return fail(format!("index out of range: {start}")) };
    let to = match end {
        None => text.len(),
        Some(end) => match offset(text, end) {
            Some(to) => to,
            None => return fail(format!("index out of range: {end}")),
        },
    };
    if from > to {
        return fail(format!("invalid substring range. start: {start}, end: {}", end.unwrap_or_default()));
    }
    Ok(Value::text(&text[from..to]))
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
