//! What fields are for, in the words of the API documentation: shown by `kubectl explain`. The
//! texts come out of the `k8s-openapi` crate when the program is built with the feature
//! `descriptions`; they are not kept in this project.

use crate::table::{FieldRef, TypeRef};

/// Whether the program carries descriptions.
pub const AVAILABLE: bool = cfg!(feature = "descriptions");

/// The descriptions, unpacked (about 2 MB). Load them for a piece of work and drop them after it.
#[derive(Debug, Default)]
pub struct Descriptions {
    /// Lines of key, tab, text, sorted; line ends inside a text are unit separators (0x1f).
    text: String,
    /// Where the lines start.
    lines: Vec<u32>,
}

impl Descriptions {
    /// Unpacks the descriptions; without the feature there are none.
    pub fn load() -> Self {
        let text = unpack();
        let mut lines = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            lines.push(at);
            at += line.len() as u32;
        }
        Self { text, lines }
    }

    /// The description of a definition.
    pub fn of_type(&self, ty: TypeRef) -> Option<String> {
        self.find(ty.name())
    }

    /// The description of a field.
    pub fn of_field(&self, ty: TypeRef, field: FieldRef) -> Option<String> {
        self.find(&format!("{}#{}", ty.name(), field.name()))
    }

    fn find(&self, key: &str) -> Option<String> {
        let line = |start: &u32| self.text[*start as usize..].lines().next().unwrap_or_default();
        let split = |start: &u32| line(start).split_once('\t').unwrap_or_default();
        let found = self.lines.binary_search_by(|start| split(start).0.cmp(key)).ok()?;
        Some(split(&self.lines[found]).1.replace('\u{1f}', "\n"))
    }
}

#[cfg(not(feature = "descriptions"))]
fn unpack() -> String {
    String::new()
}

#[cfg(feature = "descriptions")]
fn unpack() -> String {
    use std::io::Read;
    static BLOB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.zlib"));
    let mut text = String::new();
    // The blob was written by the build script: it can be read.
    match flate2::read::ZlibDecoder::new(BLOB).read_to_string(&mut text) {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

#[cfg(all(test, feature = "descriptions"))]
mod tests {
    use super::*;
    use crate::table::table;

    #[test]
    fn most_definitions_and_fields_are_described() {
        let texts = Descriptions::load();
        let (mut all, mut described) = (0, 0);
        for ty in table().definitions() {
            for field in ty.fields().filter(|f| !matches!(f.name(), "kind" | "apiVersion" | "metadata")) {
                all += 1;
                described += usize::from(texts.of_field(ty, field).is_some());
            }
        }
        assert!(described * 100 > all * 85, "{described} of {all}");
        let pod = table().kind("", "v1", "Pod").unwrap();
        assert!(texts.of_type(pod).is_some_and(|text| text.starts_with("Pod is a collection of containers")));
    }
}
