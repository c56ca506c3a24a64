//! Emits the facts as constant arrays. Texts are offsets into one string, so the arrays need no
//! relocation and cost nothing at startup.

use super::facts::{Definition, Facts, Field};
use std::collections::HashMap;
use std::fmt::Write;

/// Scalars by number; the order is that of `Scalar` in `src/table.rs`.
const SCALARS: &[&str] = &[
    "string",
    "int32",
    "int64",
    "bool",
    "double",
    "bytes",
    "quantity",
    "time",
    "microtime",
    "duration",
    "intstr",
    "raw",
    "any",
    "json",
    "fields",
    "propsOrBool",
    "propsOrArray",
    "propsOrStrings",
];
/// Shapes by number; the order is that of `Shape`.
const SHAPES: &[&str] = &["", "[]", "{}", "*[]", "{}*[]"];
const JSON_SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// One string that holds every text once.
#[derive(Default)]
struct Texts {
    all: String,
    known: HashMap<String, usize>,
}

impl Texts {
    fn add(&mut self, text: &str) -> String {
        let offset = *self.known.entry(text.to_owned()).or_insert_with(|| {
            let offset = self.all.len();
            self.all.push_str(text);
            offset
        });
        format!("Text({offset},{})", text.len())
    }
}

pub fn generate(facts: &Facts) -> String {
    let index: HashMap<&str, usize> = facts.keys().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let mut texts = Texts::default();
    let (mut types, mut fields, mut sorted, mut kinds) =
        (String::new(), String::new(), String::new(), Vec::new());
    let (mut first, mut count) = (0, 0);
    for (name, definition) in facts {
        for field in &definition.fields {
            let _ = writeln!(fields, "{},", field_literal(field, &index, &mut texts));
        }
        let mut order: Vec<usize> = (0..definition.fields.len()).collect();
        order.sort_by(|a, b| definition.fields[*a].name.cmp(&definition.fields[*b].name));
        for i in &order {
            let _ = write!(sorted, "{i},");
        }
        let atomic = definition.attributes.iter().any(|a| a == "map=atomic");
        let _ = writeln!(
            types,
            "RawType{{name:{},first:{first},count:{},atomic:{atomic},always:{}}},",
            texts.add(name),
            order.len(),
            always(definition)
        );
        kinds.extend(kind_names(definition).map(|k| (k, count)));
        first += order.len();
        count += 1;
    }
    kinds.sort();
    let kind_count = kinds.len();
    let mut kind_rows = String::new();
    for ([kind, group, version], target) in &kinds {
        let _ = writeln!(
            kind_rows,
            "RawKind{{kind:{},group:{},version:{},target:{target}}},",
            texts.add(kind),
            texts.add(group),
            texts.add(version)
        );
    }
    format!(
        "static TYPES: [RawType; {count}] = [\n{types}];\nstatic FIELDS: [RawField; {first}] = [\n{fields}];\n\
         static SORTED: [u8; {first}] = [{sorted}];\nstatic KINDS: [RawKind; {kind_count}] = [\n{kind_rows}];\n\
         static TEXTS: &str = {:?};\n",
        texts.all
    )
}

/// The fields that Go prints whatever their value, as bits by position: objects without pointer
/// (`omitempty` does not omit those), and plain scalars without `omitempty`.
fn always(definition: &Definition) -> u128 {
    let plain = |kind: &str| matches!(kind, "string" | "int32" | "int64" | "bool");
    let printed = |f: &Field| {
        let object = f.kind.starts_with("io.k8s.") && !f.flags.contains('z');
        !f.flags.contains('p') && (object || (plain(&f.kind) && !f.flags.contains('o')))
    };
    definition.fields.iter().enumerate().filter(|(_, f)| printed(f)).fold(0, |bits, (i, _)| bits | 1 << i)
}

/// `[kind, group, version]` of every name the definition is served under.
fn kind_names(definition: &Definition) -> impl Iterator<Item = [String; 3]> {
    let list = definition.attributes.iter().find_map(|a| a.strip_prefix("gvk=")).unwrap_or_default();
    list.split(',').filter(|k| !k.is_empty()).map(|k| {
        let mut parts = k.splitn(3, '/').map(str::to_owned);
        let mut next = || parts.next().expect("group/version/Kind");
        let (group, version, kind) = (next(), next(), next());
        [kind, group, version]
    })
}

fn field_literal(field: &Field, index: &HashMap<&str, usize>, texts: &mut Texts) -> String {
    let shape = SHAPES
        .iter()
        .position(|s| *s == field.shape())
        .unwrap_or_else(|| panic!("unknown shape of {}", field.kind));
    let target = field.target();
    let (scalar, target) = match SCALARS.iter().position(|s| *s == target) {
        Some(i) if target.starts_with("props") => (i, index[JSON_SCHEMA]),
        Some(i) => (i, 0),
        None => (SCALARS.len(), index[target]),
    };
    assert!(field.numbers.len() <= 3, "protobuf path of {} is too long", field.name);
    let mut numbers = [0u8; 3];
    numbers[..field.numbers.len()].copy_from_slice(&field.numbers);
    let list = match field.attribute("list") {
        None => 0,
        Some("atomic") => 1,
        Some("set") => 2,
        Some("map") => 3,
        Some(other) => panic!("unknown list type {other}"),
    };
    // The third bit: the field says granular where its type may say atomic.
    let list = list | if field.attribute("map") == Some("granular") { 4 } else { 0 };
    let strategies: Vec<&str> = field.attribute("patch").map(|p| p.split(',').collect()).unwrap_or_default();
    let flags = [
        field.flags.contains('p'),
        field.flags.contains('o'),
        field.flags.contains('z'),
        field.has("required"),
        field.attribute("map") == Some("atomic"),
        strategies.contains(&"merge"),
        strategies.contains(&"replace"),
        strategies.contains(&"retainKeys"),
    ];
    let bits = flags.iter().enumerate().fold(0u8, |bits, (i, on)| bits | u8::from(*on) << i);
    format!(
        "RawField{{name:{},keys:{},merge_key:{},default:{},numbers:{numbers:?},scalar:{scalar},shape:{shape},target:{target},list:{list},flags:{bits}}}",
        texts.add(&field.name),
        texts.add(field.attribute("keys").unwrap_or_default()),
        texts.add(field.attribute("mergekey").unwrap_or_default()),
        texts.add(field.attribute("default").unwrap_or_default()),
    )
}
