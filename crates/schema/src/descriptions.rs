//! What fields are for, in the words of the API documentation: shown by `kubectl explain`. The
//! texts come out of the `k8s-openapi` crate when the program is built with the feature
//! `descriptions`; they are not kept in this project.

use crate::table::{FieldRef, TypeRef};

/// The description of a definition.
pub fn of_type(ty: TypeRef) -> Option<&'static str> {
    texts::find(ty.name())
}

/// The description of a field.
pub fn of_field(ty: TypeRef, field: FieldRef) -> Option<&'static str> {
    texts::find(&format!("{}#{}", ty.name(), field.name()))
}

/// Whether the program carries descriptions.
pub const AVAILABLE: bool = cfg!(feature = "descriptions");

#[cfg(not(feature = "descriptions"))]
mod texts {
    pub fn find(_: &str) -> Option<&'static str> {
        None
    }
}

#[cfg(feature = "descriptions")]
mod texts {
    use std::collections::HashMap;
    use std::io::Read;
    use std::sync::OnceLock;

    /// Lines of key, tab, text; line ends inside a text are written as unit separators (0x1f).
    static BLOB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.zlib"));
    static TEXTS: OnceLock<HashMap<String, String>> = OnceLock::new();

    pub fn find(key: &str) -> Option<&'static str> {
        TEXTS.get_or_init(load).get(key).map(String::as_str)
    }

    fn load() -> HashMap<String, String> {
        let mut text = String::new();
        if flate2::read::ZlibDecoder::new(BLOB).read_to_string(&mut text).is_err() {
            return HashMap::new();
        }
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        lines.map(|(key, text)| (key.to_owned(), text.replace('\u{1f}', "\n"))).collect()
    }
}
