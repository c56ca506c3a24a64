//! Reading manifests: files, directories or standard input, YAML or JSON, several documents.

use std::io::Read;
use std::path::{Path, PathBuf};

use api::ResourceInfo;
use apimachinery::meta;
use serde_json::Value;

/// Largest file that is read.
const BYTES_MAX: u64 = 64 << 20;

pub struct Document {
    pub info: &'static ResourceInfo,
    pub object: Value,
}

/// All objects of `-f` arguments (`-` is standard input).
pub fn read(files: &[PathBuf]) -> Result<Vec<Document>, String> {
    let mut documents = Vec::new();
    for file in files {
        if file.is_dir() {
            let mut entries: Vec<PathBuf> = std::fs::read_dir(file)
                .map_err(|error| format!("{}: {error}", file.display()))?
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json"))
                .collect();
            entries.sort();
            for entry in entries {
                documents.extend(parse(&text(&entry)?, &entry)?);
            }
        } else {
            documents.extend(parse(&text(file)?, file)?);
        }
    }
    if documents.is_empty() { Err("no objects passed".into()) } else { Ok(documents) }
}

fn text(path: &Path) -> Result<String, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(BYTES_MAX).read_to_string(&mut text).map_err(fail)?;
    } else {
        std::fs::File::open(path).map_err(fail)?.take(BYTES_MAX).read_to_string(&mut text).map_err(fail)?;
    }
    Ok(text)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Document>, String> {
    let mut documents = Vec::new();
    for part in split(text) {
        let value = schema::yaml_value(part.as_bytes())
            .map_err(|error| format!("error parsing {}: {error}", path.display()))?;
        let items = match value {
            Value::Null => continue,
            list if list["kind"] == "List" => list["items"].as_array().cloned().unwrap_or_default(),
            object => vec![object],
        };
        for object in items {
            documents.push(Document { info: info(&object, path)?, object });
        }
    }
    Ok(documents)
}

/// Documents between `---` lines.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        if line == "---" || line.starts_with("--- ") {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts
}

fn info(object: &Value, path: &Path) -> Result<&'static ResourceInfo, String> {
    let (version, kind) = (meta::api_version(object), meta::kind(object));
    let shown = path.display();
    if kind.is_empty() {
        return Err(format!("error validating {shown:?}: kind not set"));
    }
    if version.is_empty() {
        return Err(format!("error validating {shown:?}: apiVersion not set"));
    }
    let (group, version_only) = apimachinery::gvk::parse_api_version(version).unwrap_or(("", version));
    api::find_kind(group, version_only, kind).ok_or_else(|| {
        format!("unable to recognize {shown:?}: no matches for kind {kind:?} in version {version:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_documents_and_lists() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n";
        let documents = parse(text, Path::new("x.yaml")).expect("good");
        let names: Vec<_> = documents.iter().map(|d| (d.info.resource, meta::name(&d.object))).collect();
        assert_eq!(names, [("pods", "a"), ("secrets", "b")]);
        let error = parse("apiVersion: v2\nkind: Pod\n", Path::new("x.yaml")).err().expect("unknown");
        assert_eq!(error, "unable to recognize \"x.yaml\": no matches for kind \"Pod\" in version \"v2\"");
    }
}
