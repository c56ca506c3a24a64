//! The small JSON paths of definitions: `.spec.replicas`, and for rules also `.spec['a.b']`.

use super::super::pod::errors::Errors;
use crate::read::at;
use apimachinery::Path;
use serde_json::Value;

/// A path of printer columns and scale: only that it begins with a dot. Answers whether it is good.
pub(super) fn simple(text: &str, path: &Path, errors: &mut Errors) -> bool {
    if text.starts_with('.') {
        return true;
    }
    errors.invalid(path, text, "must be a simple json path starting with .");
    false
}

/// Steps and delimiters.
fn tokens(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = if rest.starts_with('\'') {
            let bytes = rest.as_bytes();
            (1..bytes.len()).find(|at| bytes[*at] == b'\'' && bytes[at - 1] != b'\\').map(|at| at + 1)
        } else {
            rest.find(['.', '[', ']']).map(|at| at.max(1))
        };
        let (token, after) = rest.split_at(end.unwrap_or(rest.len()));
        out.push(token);
        rest = after;
    }
    out
}

/// Follows a path through a schema; answers its steps and the schema there.
pub(super) fn follow<'a>(
    text: &str,
    schema: &'a Value,
    arrays: bool,
) -> Result<(Vec<String>, &'a Value), String> {
    let nowhere = || "does not refer to a valid field".to_owned();
    let cut = || "unexpected end of JSON path".to_owned();
    let mut steps = Vec::new();
    let mut schema = schema;
    let mut step = |name: &str, schema: &mut &'a Value| -> Result<(), String> {
        let properties = at(schema, "properties");
        let inner = at(schema, "additionalProperties");
        let next = if properties.as_object().is_some_and(|map| !map.is_empty()) {
            properties.get(name).ok_or_else(nowhere)?
        } else if inner.is_null() {
            return Err(nowhere());
        } else {
            inner
        };
        steps.push(name.to_owned());
        *schema = next;
        Ok(())
    };
    let all = tokens(text);
    let mut tokens = all.iter().copied();
    while let Some(token) = tokens.next() {
        match token {
            "." => step(tokens.next().ok_or_else(cut)?, &mut schema)?,
            "[" if !arrays => return Err("array notation is not allowed".into()),
            "[" => {
                let token = tokens.next().ok_or_else(cut)?;
                let inner = token.strip_prefix('\'').and_then(|token| token.strip_suffix('\''));
                let inner = inner.ok_or_else(|| format!("expected single quoted string but got {token}"))?;
                step(&inner.replace("\\'", "'"), &mut schema)?;
                match tokens.next().ok_or_else(cut)? {
                    "]" => {}
                    other => return Err(format!("expected ] but got {other}")),
                }
            }
            other => return Err(format!("expected [ or . but got: {other}")),
        }
    }
    Ok((steps, schema))
}
