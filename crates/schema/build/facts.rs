//! Reads the facts text; its format is described in `facts/README.md`.

use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Default)]
pub struct Definition {
    pub attributes: Vec<String>,
    pub fields: Vec<Field>,
}

#[derive(Debug)]
pub struct Field {
    pub name: String,
    /// Path of protobuf numbers; empty if not in protobuf.
    pub numbers: Vec<u8>,
    pub kind: String,
    pub flags: String,
    pub attributes: Vec<String>,
}

impl Field {
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find_map(|a| a.strip_prefix(key)?.strip_prefix('='))
    }

    pub fn has(&self, word: &str) -> bool {
        self.attributes.iter().any(|a| a == word)
    }

    /// The type without list and map marks.
    pub fn target(&self) -> &str {
        self.kind.trim_start_matches(['[', ']', '{', '}', '*'])
    }

    /// The list and map marks.
    pub fn shape(&self) -> &str {
        &self.kind[..self.kind.len() - self.target().len()]
    }
}

pub type Facts = BTreeMap<String, Definition>;

pub fn read(dir: &Path) -> Facts {
    let mut facts = Facts::new();
    for entry in std::fs::read_dir(dir).expect("facts directory") {
        let path = entry.expect("facts directory entry").path();
        if path.extension().is_some_and(|e| e == "txt") {
            parse(&std::fs::read_to_string(&path).expect("facts file"), &mut facts);
        }
    }
    facts
}

fn parse(text: &str, facts: &mut Facts) {
    let mut current = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        match words.as_slice() {
            [] => {}
            [name, attributes @ ..] if !line.starts_with(' ') => {
                current = (*name).to_owned();
                facts.insert(
                    current.clone(),
                    Definition { attributes: owned(attributes), fields: Vec::new() },
                );
            }
            [name, numbers, kind, flags, attributes @ ..] => {
                let numbers = if *numbers == "0" {
                    Vec::new()
                } else {
                    numbers.split('.').map(|n| n.parse().expect("protobuf number")).collect()
                };
                let field = Field {
                    name: (*name).to_owned(),
                    numbers,
                    kind: (*kind).to_owned(),
                    flags: (*flags).to_owned(),
                    attributes: owned(attributes),
                };
                facts.get_mut(&current).expect("a definition before its fields").fields.push(field);
            }
            _ => panic!("short line in facts: {line}"),
        }
    }
}
