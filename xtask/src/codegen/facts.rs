//! The facts text: reading, writing, checking. One file per API package, definitions sorted by
//! name, fields in the order in which the API prints them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

/// One definition (a Go struct) as the facts have it.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// `gvk=…`, `map=…`, as written.
    pub attributes: Vec<String>,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    /// `0` if not in protobuf, `a.b` for a field of an embedded message.
    pub number: String,
    pub kind: String,
    /// Sorted letters of `p`, `o`, `z`, or `-`.
    pub flags: String,
    pub attributes: Vec<String>,
}

/// What OpenAPI does not say, per definition: order, numbers, types and presence.
#[derive(Debug, Default)]
pub struct GoFields(pub BTreeMap<String, Vec<Field>>);

#[derive(Debug, Default)]
pub struct Facts(pub BTreeMap<String, Definition>);

/// Types that are no definitions.
pub const SCALARS: &[&str] = &[
    "any",
    "bool",
    "bytes",
    "double",
    "duration",
    "fields",
    "int32",
    "int64",
    "intstr",
    "json",
    "microtime",
    "propsOrArray",
    "propsOrBool",
    "propsOrStrings",
    "quantity",
    "raw",
    "string",
    "time",
];

impl Facts {
    pub fn read(dir: &Path) -> Result<Self, String> {
        let mut facts = Self::default();
        let Ok(entries) = std::fs::read_dir(dir) else { return Ok(facts) };
        for path in entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "txt"))
        {
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            facts.parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(facts)
    }

    fn parse(&mut self, text: &str) -> Result<(), String> {
        let mut current: Option<&mut Definition> = None;
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let mut words = line.split(' ').filter(|w| !w.is_empty());
            let Some(first) = words.next() else { continue };
            if !line.starts_with(' ') {
                let attributes = words.map(str::to_owned).collect();
                self.0.insert(first.to_owned(), Definition { attributes, fields: Vec::new() });
                current = self.0.get_mut(first);
                continue;
            }
            let mut word = || words.next().map(str::to_owned).ok_or_else(|| format!("short line: {line}"));
            let (number, kind, flags) = (word()?, word()?, word()?);
            let field = Field {
                name: first.to_owned(),
                number,
                kind,
                flags,
                attributes: words.map(str::to_owned).collect(),
            };
            current.as_mut().ok_or("field before the first definition")?.fields.push(field);
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn go_fields(&self) -> GoFields {
        GoFields(self.0.iter().map(|(name, d)| (name.clone(), d.fields.clone())).collect())
    }

    /// Every referenced definition exists, names and numbers are unique.
    pub fn check(&self) -> Result<(), String> {
        for (name, definition) in &self.0 {
            let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
            for field in &definition.fields {
                if !names.insert(&field.name) || (field.number != "0" && !numbers.insert(&field.number)) {
                    return Err(format!(
                        "{name}.{}: name or protobuf number {} used twice",
                        field.name, field.number
                    ));
                }
                let target = field.kind.trim_start_matches(['[', ']', '{', '}', '*']);
                if !SCALARS.contains(&target) && !self.0.contains_key(target) {
                    return Err(format!("{name}.{}: unknown type {target}", field.name));
                }
            }
        }
        Ok(())
    }

    /// File name and text of every package.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for (name, definition) in &self.0 {
            let package = name.rsplit_once('.').map_or(name.as_str(), |(package, _)| package);
            let text = files.entry(format!("{package}.txt")).or_default();
            let line: Vec<&str> = std::iter::once(name.as_str())
                .chain(definition.attributes.iter().map(String::as_str))
                .collect();
            let _ = writeln!(text, "{}", line.join(" "));
            for f in &definition.fields {
                let _ = write!(text, "  {} {} {} {}", f.name, f.number, f.kind, f.flags);
                for attribute in &f.attributes {
                    let _ = write!(text, " {attribute}");
                }
                text.push('\n');
            }
        }
        files
    }
}

impl GoFields {
    /// Reads the JSON form and flattens embedded structs.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: Raw = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let all =
            raw.iter().map(|(name, fields)| (definition_name(name), flatten(&raw, fields, ""))).collect();
        Ok(Self(all))
    }
}

type Raw = BTreeMap<String, Vec<(String, u32, String, String)>>;

/// The fields with those of embedded structs in place; `prefix` is the path of numbers so far.
fn flatten(raw: &Raw, fields: &[(String, u32, String, String)], prefix: &str) -> Vec<Field> {
    let mut flat = Vec::new();
    for (json, number, kind, flags) in fields {
        if !flags.contains('i') {
            let number = if *number == 0 { "0".to_owned() } else { format!("{prefix}{number}") };
            flat.push(field(json, number, kind, flags));
        } else if kind.ends_with("meta/v1.TypeMeta") {
            flat.extend(["kind", "apiVersion"].map(|n| field(n, "0".into(), "string", "o")));
        } else if let Some(embedded) = raw.get(kind) {
            let prefix = if *number == 0 { prefix.to_owned() } else { format!("{prefix}{number}.") };
            flat.extend(flatten(raw, embedded, &prefix));
        }
    }
    flat
}

fn field(name: &str, number: String, kind: &str, flags: &str) -> Field {
    let flags: String = ['p', 'o', 'z'].into_iter().filter(|c| flags.contains(*c)).collect();
    let flags = if flags.is_empty() { "-".to_owned() } else { flags };
    Field { name: name.to_owned(), number, kind: type_name(kind), flags, attributes: Vec::new() }
}

/// `api/core/v1.Pod` -> `io.k8s.api.core.v1.Pod`.
fn definition_name(go: &str) -> String {
    format!("io.k8s.{}", go.replace('/', "."))
}

fn type_name(go: &str) -> String {
    if let Some(item) = go.strip_prefix("wrap[]") {
        return format!("*[]{}", type_name(item));
    }
    if let Some(item) = go.strip_prefix("[]") {
        return format!("[]{}", type_name(item));
    }
    if let Some(item) = go.strip_prefix("map<").and_then(|m| m.strip_suffix('>')) {
        return format!("{{}}{}", type_name(item));
    }
    let (package, name) = go.rsplit_once('.').unwrap_or(("", go));
    let scalar = match (package, name) {
        ("", "float64") => "double",
        ("", "int") => "int64",
        ("", other) => other,
        (_, "Quantity") => "quantity",
        ("apimachinery/pkg/apis/meta/v1", "Time") => "time",
        ("apimachinery/pkg/apis/meta/v1", "MicroTime") => "microtime",
        ("apimachinery/pkg/apis/meta/v1", "Duration") | ("time", "Duration") => "duration",
        ("apimachinery/pkg/apis/meta/v1", "FieldsV1") => "fields",
        (_, "IntOrString") => "intstr",
        (_, "RawExtension" | "Object") if package == "apimachinery/pkg/runtime" => "raw",
        (_, "JSON") => "json",
        (_, "JSONSchemaPropsOrArray") => "propsOrArray",
        (_, "JSONSchemaPropsOrBool") => "propsOrBool",
        (_, "JSONSchemaPropsOrStringArray") => "propsOrStrings",
        _ => return definition_name(go),
    };
    scalar.to_owned()
}
