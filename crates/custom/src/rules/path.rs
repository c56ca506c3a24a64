//! The `fieldPath` of a rule: `.a.b['c.d']` as a path in error messages.

use crate::schema::Schema;
use apimachinery::Path;

/// The path, if it leads through the schema.
pub(super) fn normalized(text: &str, schema: &Schema) -> Option<String> {
    let mut path = Path::root();
    let mut schema = schema;
    let mut rest = text;
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[', ']']).unwrap_or(after.len());
            (name, rest) = (after[..end].to_owned(), &after[end..]);
        } else {
            let quoted = rest.strip_prefix("['")?;
            let end = closing_quote(quoted)?;
            name = unescaped(&quoted[..end])?;
            rest = quoted[end + 1..].strip_prefix(']')?;
        }
        if name.is_empty() {
            return None;
        }
        match (schema.properties.is_empty(), schema.rest_schema()) {
            (true, Some(inner)) => (path, schema) = (path.key(name), inner),
            _ => {
                schema = schema.properties.get(&name)?;
                path = path.child(name);
            }
        }
    }
    Some(path.to_string()).filter(|_| !text.is_empty())
}

fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|at| bytes[*at] == b'\'' && (*at == 0 || bytes[at - 1] != b'\\'))
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                other @ ('\'' | '\\') => other,
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}
