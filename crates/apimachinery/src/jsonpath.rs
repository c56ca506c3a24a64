//! JSONPath as kubectl has it, the part that people use: fields, `[0]`, `[*]`, `[?(@.a=="b")]`,
//! `['a']`, `range`/`end`, and text between braces.

use serde_json::Value;

/// Prints a template such as `{.status.podIP}` or `{range .items[*]}{.metadata.name}{"\n"}{end}`.
pub fn print(template: &str, value: &Value) -> Result<String, String> {
    let parts = split(template)?;
    let mut out = String::new();
    let mut at = 0;
    evaluate(&parts, &mut at, value, &mut out)?;
    Ok(out)
}

enum Part {
    Text(String),
    Path(String),
    Range(String),
    End,
}

fn split(template: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            parts.push(Part::Text(rest[..open].to_string()));
        }
        let close = rest[open..].find('}').ok_or_else(|| format!("unclosed action in {template:?}"))? + open;
        let inner = rest[open + 1..close].trim();
        parts.push(if let Some(path) = inner.strip_prefix("range ") {
            Part::Range(path.trim().into())
        } else if inner == "end" {
            Part::End
        } else if let Some(text) = inner.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
            Part::Text(text.replace("\\n", "\n").replace("\\t", "\t"))
        } else {
            Part::Path(inner.into())
        });
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    Ok(parts)
}

fn evaluate(parts: &[Part], at: &mut usize, value: &Value, out: &mut String) -> Result<(), String> {
    while let Some(part) = parts.get(*at) {
        *at += 1;
        match part {
            Part::Text(text) => out.push_str(text),
            Part::End => return Ok(()),
            Part::Path(path) => {
                let found: Vec<String> = select(path, value)?.into_iter().map(text).collect();
                out.push_str(&found.join(" "));
            }
            Part::Range(path) => {
                let start = *at;
                let found = select(path, value)?;
                let mut end = start;
                for item in &found {
                    *at = start;
                    evaluate(parts, at, item, out)?;
                    end = *at;
                }
                *at = if found.is_empty() { skip(parts, start) } else { end };
            }
        }
    }
    Ok(())
}

fn skip(parts: &[Part], from: usize) -> usize {
    let mut depth = 1;
    for (i, part) in parts.iter().enumerate().skip(from) {
        match part {
            Part::Range(_) => depth += 1,
            Part::End => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    parts.len()
}

/// A value as templates print it.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// All values a path leads to; what is absent leads nowhere.
pub fn select<'a>(path: &str, value: &'a Value) -> Result<Vec<&'a Value>, String> {
    let mut current = vec![value];
    let mut rest = path.trim_start_matches(['$', '@']);
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let close = inner.find(']').ok_or_else(|| format!("unclosed [ in {path:?}"))?;
            let close =
                if inner.starts_with("?(") { inner.find(")]").map_or(close, |i| i + 1) } else { close };
            current = index(&inner[..close], &current)?;
            rest = &inner[close + 1..];
        } else {
            let after = rest.strip_prefix('.').unwrap_or(rest);
            let (name, tail) = field_name(after);
            if !name.is_empty() {
                current = match name.as_str() {
                    "*" => current.into_iter().flat_map(children).collect(),
                    name => current.into_iter().filter_map(|v| v.get(name)).collect(),
                };
            }
            rest = tail;
        }
    }
    Ok(current)
}

/// Up to the next unescaped `.` or `[`.
fn field_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[i..]),
            c => name.push(c),
        }
    }
    (name, "")
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn index<'a>(inside: &str, current: &[&'a Value]) -> Result<Vec<&'a Value>, String> {
    if inside == "*" {
        return Ok(current.iter().flat_map(|v| children(v)).collect());
    }
    if let Some(key) = inside.strip_prefix(['\'', '"']).and_then(|k| k.strip_suffix(['\'', '"'])) {
        return Ok(current.iter().filter_map(|v| v.get(key)).collect());
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        return filter_items(filter, current);
    }
    let number: i64 = inside.parse().map_err(|_| format!("cannot read index [{inside}]"))?;
    let item = |v: &&'a Value| -> Option<&'a Value> {
        let items = v.as_array()?;
        let at = if number < 0 { items.len() as i64 + number } else { number };
        items.get(usize::try_from(at).ok()?)
    };
    Ok(current.iter().filter_map(item).collect())
}

fn filter_items<'a>(filter: &str, current: &[&'a Value]) -> Result<Vec<&'a Value>, String> {
    let (path, wanted, equal) = match (filter.split_once("=="), filter.split_once("!=")) {
        (Some((path, wanted)), _) => (path, wanted, true),
        (None, Some((path, wanted))) => (path, wanted, false),
        _ => return Err(format!("cannot read filter {filter:?}")),
    };
    let wanted = wanted.trim().trim_matches(['"', '\'']);
    let mut found = Vec::new();
    for item in current.iter().flat_map(|v| children(v)) {
        let is = select(path.trim(), item)?.first().is_some_and(|v| text(v) == wanted);
        if is == equal {
            found.push(item);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_people_use() {
        let value = json!({"items": [
            {"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "x"}}, "n": 1, "c": [{"type": "Ready", "status": "True"}]},
            {"metadata": {"name": "b"}, "n": 2},
        ]});
        let cases = [
            ("{.items[0].metadata.name}", "a"),
            ("{.items[*].metadata.name}", "a b"),
            ("{.items[-1].n}", "2"),
            ("{range .items[*]}{.metadata.name}={.n}{\"\\n\"}{end}", "a=1\nb=2\n"),
            ("{.items[0].c[?(@.type==\"Ready\")].status}", "True"),
            ("{.items[0].metadata.labels['app.kubernetes.io/name']}", "x"),
            ("{.items[0].metadata.labels.app\\.kubernetes\\.io/name}", "x"),
            ("{.missing}", ""),
            ("name: {.items[1].metadata.name}!", "name: b!"),
        ];
        for (template, want) in cases {
            assert_eq!(print(template, &value).expect(template), want, "{template}");
        }
        assert!(print("{.a", &value).is_err());
    }
}
