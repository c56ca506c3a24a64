//! Names of properties as expressions write them: what is not a name of the language is escaped.

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether a word is kept for the language itself and cannot name anything.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// The name in expressions; `None` if the property cannot be named in one.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if is_reserved(name) {
        return Some(format!("__{name}__"));
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let (piece, length) = match c {
            '_' if rest.starts_with("__") => ("__underscores__", 2),
            '.' => ("__dot__", 1),
            '-' => ("__dash__", 1),
            '/' => ("__slash__", 1),
            c if c.is_ascii_alphanumeric() || c == '_' => (&rest[..1], 1),
            _ => return None,
        };
        out.push_str(piece);
        rest = &rest[length..];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_escaped_as_documented() {
        let table = [
            ("a", Some("a")),
            ("namespace", Some("__namespace__")),
            ("a.b-c/d", Some("a__dot__b__dash__c__slash__d")),
            ("a__b_c", Some("a__underscores__b_c")),
            ("1a", None),
            ("", None),
            ("ä", None),
            ("a$", None),
        ];
        for (name, want) in table {
            assert_eq!(super::escape(name).as_deref(), want, "{name}");
        }
    }
}
