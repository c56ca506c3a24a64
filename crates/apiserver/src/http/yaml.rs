//! YAML answers: block style, keys sorted, and every string that YAML could read as something else
//! quoted (times, numbers, words like `yes`).

use serde_json::Value;

pub(crate) fn write(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(value, 0, &mut out),
        Value::Array(items) if !items.is_empty() => block(value, 0, &mut out),
        _ => {
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
    out
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', depth * 2));
}

fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            for (index, (key, inner)) in map.iter().enumerate() {
                // The first key of a list item follows its dash.
                if index > 0 || !out.ends_with("- ") {
                    indent(depth, out);
                }
                out.push_str(&text(key));
                out.push(':');
                entry(inner, depth, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                indent(depth, out);
                out.push_str("- ");
                if is_block(item) {
                    if item.is_array() {
                        out.pop();
                        out.push('\n');
                    }
                    block(item, depth + 1, out);
                } else {
                    out.push_str(&scalar(item));
                    out.push('\n');
                }
            }
        }
        _ => {}
    }
}

fn entry(value: &Value, depth: usize, out: &mut String) {
    if is_block(value) {
        out.push('\n');
        // Lists stand at the level of their key, as Go's writer has it.
        block(value, if value.is_array() { depth } else { depth + 1 }, out);
        return;
    }
    out.push(' ');
    match value.as_str() {
        Some(lines) if is_literal(lines) => literal(lines, depth + 1, out),
        _ => {
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

/// Several lines of plain text are shown as such.
fn is_literal(lines: &str) -> bool {
    lines.trim_end_matches('\n').contains('\n')
        && !lines.starts_with([' ', '\n', '\t'])
        && !lines.ends_with("\n\n")
        && lines.chars().all(|c| c == '\n' || c == '\t' || !c.is_control())
        && lines.lines().all(|line| !line.ends_with([' ', '\t']))
}

fn literal(lines: &str, depth: usize, out: &mut String) {
    out.push_str(if lines.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in lines.lines() {
        if !line.is_empty() {
            indent(depth, out);
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        Value::Object(_) => "{}".into(),
        Value::Array(_) => "[]".into(),
        other => other.to_string(),
    }
}

/// A string, quoted (as JSON, which YAML reads) unless it can only be itself.
fn text(string: &str) -> String {
    if is_plain(string) { string.to_owned() } else { Value::String(string.to_owned()).to_string() }
}

fn is_plain(string: &str) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "~"];
    let letters = |c: char| c.is_ascii_alphanumeric() || "-_./@%+()[]{}'*&!, =\\<>$;^|#:".contains(c);
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '/' || c == '(' || c == '$';
    string.starts_with(starts)
        && !string.ends_with([' ', ':'])
        && !string.contains(": ")
        && !string.contains(" #")
        && string.chars().all(letters)
        && !words.contains(&string.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_back_as_written() {
        let value = json!({
            "a": "2026-11-20T11:54:23Z", "b": "159", "c": "yes", "d": "plain text", "e": {}, "f": [], "g": null,
            "h": [{"x": 1, "z": ["p", "q: r"]}, "s", [1, [2]]], "i": "line 1\n  line 2\n", "j": "a\nb", "k": 1.5,
            "l": "- x", "m": "x: y", "n": " x", "o": "", "p": true, "é": "ü", "q": "a #b", "r": "tab\there\nx",
        });
        let yaml = write(&value);
        assert_eq!(serde_yaml_ng::from_str::<Value>(&yaml).unwrap(), value, "{yaml}");
        assert!(yaml.contains("a: \"2026-11-20T11:54:23Z\"\n"));
        assert!(yaml.contains("h:\n- x: 1\n  z:\n  - p\n"));
    }
}
