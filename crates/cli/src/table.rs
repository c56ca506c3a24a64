//! Printing Tables as the server sends them, in columns.

use serde_json::Value;

#[derive(Clone, Copy, Default)]
pub struct Style {
    pub wide: bool,
    pub namespaces: bool,
    pub no_headers: bool,
    pub labels: bool,
}

/// Columns to show: (index, title).
pub fn columns(table: &Value, style: Style) -> Vec<(usize, String)> {
    let definitions = table["columnDefinitions"].as_array().into_iter().flatten();
    definitions
        .enumerate()
        .filter(|(_, column)| style.wide || column["priority"].as_i64().unwrap_or(0) == 0)
        .map(|(i, column)| (i, column["name"].as_str().unwrap_or_default().to_uppercase()))
        .collect()
}

pub fn rows(table: &Value, columns: &[(usize, String)], style: Style) -> Vec<Vec<String>> {
    let rows = table["rows"].as_array().into_iter().flatten();
    rows.map(|row| {
        let metadata = &row["object"]["metadata"];
        let mut cells = Vec::new();
        if style.namespaces {
            cells.push(metadata["namespace"].as_str().unwrap_or_default().to_string());
        }
        cells.extend(columns.iter().map(|(i, _)| cell(&row["cells"][*i])));
        if style.labels {
            let labels: Vec<String> = metadata["labels"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            cells.push(if labels.is_empty() { "<none>".into() } else { labels.join(",") });
        }
        cells
    })
    .collect()
}

pub fn headers(columns: &[(usize, String)], style: Style) -> Vec<String> {
    let mut titles = Vec::new();
    if style.namespaces {
        titles.push("NAMESPACE".to_string());
    }
    titles.extend(columns.iter().map(|(_, title)| title.clone()));
    if style.labels {
        titles.push("LABELS".into());
    }
    titles
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<none>".into(),
        other => other.to_string(),
    }
}

/// Lines with columns three blanks apart.
pub fn align(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (i, text) in row.iter().enumerate() {
            line.push_str(text);
            if i + 1 < row.len() {
                line.push_str(&" ".repeat(widths[i] - text.chars().count() + 3));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wide_columns_are_hidden_until_asked_for() {
        let table = json!({
            "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["web", "10.0.0.2"], "object": {"metadata": {"namespace": "default"}}}],
        });
        let show = |style: Style| {
            let columns = columns(&table, style);
            let mut all = vec![headers(&columns, style)];
            all.extend(rows(&table, &columns, style));
            align(&all)
        };
        assert_eq!(show(Style::default()), "NAME\nweb\n");
        let wide = Style { wide: true, namespaces: true, ..Style::default() };
        assert_eq!(show(wide), "NAMESPACE   NAME   IP\ndefault     web    10.0.0.2\n");
    }
}
