//! Objects to JSON bytes in the order in which the API prints them: kind, apiVersion, metadata,
//! then the order of the schema. Absent and null fields are left out, maps are sorted, and text
//! is escaped as Go does. No intermediate trees.

use crate::table::{FieldRef, Item, Scalar, Shape, TypeRef, table};
use apimachinery::gvk::parse_api_version;
use serde_json::Value;

/// Encodes an object of the definition. Fields the schema does not know come last, so nothing is
/// lost.
pub fn encode(ty: TypeRef, object: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    encode_into(ty, object, &mut out);
    out
}

/// As [`encode`], appending to `out`.
pub fn encode_into(ty: TypeRef, object: &Value, out: &mut Vec<u8>) {
    Encoder { out, stack: Vec::with_capacity(64) }.object(ty, object);
}

/// Encodes an object of any kind: by its schema if the table knows it, else as it is, with kind,
/// apiVersion and metadata first.
pub fn encode_any(object: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    Encoder { out: &mut out, stack: Vec::with_capacity(64) }.any_object(object);
    out
}

/// The object as YAML with sorted keys, as upstream answers it.
///
/// # Errors
/// The tree nests deeper than YAML's limit.
pub fn encode_yaml(object: &Value) -> Result<String, String> {
    serde_yaml_ng::to_string(object).map_err(|e| e.to_string())
}

/// Indents JSON by two spaces without changing the order (`pretty=true`). The input must be JSON
/// as [`encode`] writes it.
pub fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth = 0usize;
    let (mut in_text, mut escaped) = (false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for (i, byte) in json.iter().copied().enumerate() {
        if in_text {
            out.push(byte);
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                if !matches!(json.get(i + 1), Some(b'}' | b']')) {
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !matches!(json.get(i.wrapping_sub(1)), Some(b'{' | b'[')) {
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_text = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

struct Encoder<'o, 'v> {
    out: &'o mut Vec<u8>,
    /// Present fields of the objects being written; each level uses the part above its start.
    stack: Vec<(u8, &'v Value)>,
}

impl<'v> Encoder<'_, 'v> {
    fn object(&mut self, ty: TypeRef, value: &'v Value) {
        let Value::Object(map) = value else { return self.plain(value) };
        let start = self.stack.len();
        let mut unknown = 0;
        // Both sides are sorted by name, so one pass finds every field.
        let mut fields = ty.sorted().peekable();
        for (key, value) in map {
            while fields.next_if(|(_, f)| f.name_bytes() < key.as_bytes()).is_some() {}
            match fields.next_if(|(_, f)| f.name_bytes() == key.as_bytes()) {
                Some((position, _)) if !value.is_null() => self.stack.push((position, value)),
                Some(_) => {}
                None => unknown += 1,
            }
        }
        self.stack[start..].sort_unstable_by_key(|(position, _)| *position);
        self.out.push(b'{');
        let empty = self.out.len();
        for i in start..self.stack.len() {
            let (position, value) = self.stack[i];
            let field = ty.at(position);
            self.key(field.name(), empty);
            self.field(field, value);
        }
        self.stack.truncate(start);
        if unknown > 0 {
            for (key, value) in map.iter().filter(|(key, _)| ty.position(key).is_none()) {
                self.key(key, empty);
                self.plain(value);
            }
        }
        self.out.push(b'}');
    }

    /// Writes a comma unless at `first`, then the key.
    fn key(&mut self, key: &str, first: usize) {
        if self.out.len() > first {
            self.out.push(b',');
        }
        string(key, self.out);
        self.out.push(b':');
    }

    fn field(&mut self, field: FieldRef, value: &'v Value) {
        match (field.shape(), value) {
            (Shape::One, value) => self.item(field, value),
            (Shape::List | Shape::WrappedList, Value::Array(list)) => self.list(field, list),
            (Shape::Map, Value::Object(map)) => {
                self.out.push(b'{');
                let first = self.out.len();
                for (key, value) in map {
                    self.key(key, first);
                    self.item(field, value);
                }
                self.out.push(b'}');
            }
            (_, value) => self.plain(value),
        }
    }

    fn list(&mut self, field: FieldRef, list: &'v [Value]) {
        self.out.push(b'[');
        for (i, value) in list.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.item(field, value);
        }
        self.out.push(b']');
    }

    fn item(&mut self, field: FieldRef, value: &'v Value) {
        match (field.item(), value) {
            (Item::Object(target), value) => self.object(target, value),
            (Item::Scalar(Scalar::Raw), value) => self.any_object(value),
            (Item::Scalar(Scalar::PropsOrBool | Scalar::PropsOrArray), Value::Object(_)) => {
                match field.target() {
                    Some(target) => self.object(target, value),
                    None => self.plain(value),
                }
            }
            (Item::Scalar(Scalar::Fields), Value::Object(fields)) => self.fields(fields),
            (_, value) => self.plain(value),
        }
    }

    /// A set of fields. Its steps are listed by what they hold; numbers are where that is not the
    /// order of the texts.
    fn fields(&mut self, fields: &'v serde_json::Map<String, Value>) {
        let numeric = |key: &str| {
            !key.starts_with("f:") && key.as_bytes().windows(2).any(|w| w[0] == b':' && w[1].is_ascii_digit())
        };
        let mut steps: Vec<(&String, &Value)> = fields.iter().collect();
        if steps.len() > 1 && steps.iter().any(|(key, _)| numeric(key)) {
            steps.sort_by(|a, b| crate::apply::element::order(a.0, b.0));
        }
        self.out.push(b'{');
        let first = self.out.len();
        for (step, below) in steps {
            self.key(step, first);
            match below {
                Value::Object(below) => self.fields(below),
                other => self.plain(other),
            }
        }
        self.out.push(b'}');
    }

    fn any_object(&mut self, value: &'v Value) {
        let Value::Object(map) = value else { return self.plain(value) };
        let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
        let known = parse_api_version(text("apiVersion"))
            .and_then(|(group, version)| table().kind(group, version, text("kind")));
        if let Some(ty) = known {
            return self.object(ty, value);
        }
        self.out.push(b'{');
        let first = self.out.len();
        const HEAD: [&str; 3] = ["kind", "apiVersion", "metadata"];
        let is_object = map.contains_key("kind") && map.contains_key("apiVersion");
        if is_object {
            for key in HEAD {
                if let Some(value) = map.get(key) {
                    self.key(key, first);
                    self.metadata_or_plain(key, value);
                }
            }
        }
        for (key, value) in map.iter().filter(|(key, _)| !is_object || !HEAD.contains(&key.as_str())) {
            self.key(key, first);
            self.plain(value);
        }
        self.out.push(b'}');
    }

    fn metadata_or_plain(&mut self, key: &str, value: &'v Value) {
        match table().definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta") {
            Some(ty) if key == "metadata" => self.object(ty, value),
            _ => self.plain(value),
        }
    }

    fn plain(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Number(number) => {
                // Writing to a Vec cannot fail.
                let _ = serde_json::to_writer(&mut *self.out, number);
            }
            Value::String(text) => string(text, self.out),
            Value::Array(list) => {
                self.out.push(b'[');
                for (i, value) in list.iter().enumerate() {
                    if i > 0 {
                        self.out.push(b',');
                    }
                    self.plain(value);
                }
                self.out.push(b']');
            }
            Value::Object(map) => {
                self.out.push(b'{');
                let first = self.out.len();
                for (key, value) in map {
                    self.key(key, first);
                    self.plain(value);
                }
                self.out.push(b'}');
            }
        }
    }
}

/// Bytes that cannot stand in a JSON text as Go writes it; 0xe2 starts the line separators.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = true;
        i += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'&' as usize] = true;
    table[0xe2] = true;
    table
};

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    let mut i = 0;
    while i < bytes.len() {
        if !SPECIAL[bytes[i] as usize] {
            i += 1;
            continue;
        }
        let separator = matches!(bytes[i..], [0xe2, 0x80, 0xa8 | 0xa9, ..]);
        if bytes[i] == 0xe2 && !separator {
            i += 1;
            continue;
        }
        out.extend_from_slice(&bytes[start..i]);
        escape(&bytes[i..], out);
        i += if separator { 3 } else { 1 };
        start = i;
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match bytes[0] {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        0xe2 if bytes[2] == 0xa8 => out.extend_from_slice(b"\\u2028"),
        0xe2 => out.extend_from_slice(b"\\u2029"),
        b => out.extend_from_slice(&[
            b'\\',
            b'u',
            b'0',
            b'0',
            HEX[usize::from(b >> 4)],
            HEX[usize::from(b & 15)],
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn sets_of_fields_are_listed_by_what_they_hold() {
        let set = serde_json::json!({".": {}, "f:b": {}, "f:a": {}, "k:{\"port\":443}": {}, "k:{\"port\":80}": {}, "v:10": {}, "v:9": {}});
        let pod = serde_json::json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"managedFields": [{"fieldsV1": set}]}});
        let text = String::from_utf8(encode_any(&pod)).unwrap();
        let want =
            r#"{".":{},"f:a":{},"f:b":{},"k:{\"port\":80}":{},"k:{\"port\":443}":{},"v:9":{},"v:10":{}}"#;
        assert!(text.contains(want), "{text}");
    }

    fn text(object: &Value) -> String {
        String::from_utf8(encode_any(object)).unwrap()
    }

    #[test]
    fn fields_stand_in_the_apis_order() {
        let pod = json!({"apiVersion": "v1", "status": {}, "spec": {"containers": [{"image": "i", "name": "c"}], "volumes": []}, "kind": "Pod", "zz": 1, "aa": null,
            "metadata": {"uid": "u", "name": "p", "managedFields": null, "resourceVersion": "5", "creationTimestamp": "t", "namespace": "n", "labels": {"b": "<", "a": "\u{2028}\u{1}é"}}});
        assert_eq!(
            text(&pod),
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","namespace":"n","uid":"u","resourceVersion":"5","creationTimestamp":"t","labels":{"a":"\u2028\u0001é","b":"\u003c"}},"spec":{"volumes":[],"containers":[{"name":"c","image":"i"}]},"status":{},"aa":null,"zz":1}"#
        );
    }

    #[test]
    fn lists_and_unknown_kinds() {
        let list = json!({"kind": "List", "apiVersion": "v1", "items": [{"apiVersion": "v1", "kind": "Secret", "type": "t", "data": {}}, {"kind": "Foo", "apiVersion": "x.io/v1", "spec": {"b": 1, "a": 2}, "metadata": {"uid": "1", "name": "n"}}]});
        assert_eq!(
            text(&list),
            r#"{"kind":"List","apiVersion":"v1","items":[{"kind":"Secret","apiVersion":"v1","data":{},"type":"t"},{"kind":"Foo","apiVersion":"x.io/v1","metadata":{"name":"n","uid":"1"},"spec":{"a":2,"b":1}}]}"#
        );
    }

    #[test]
    fn indented_and_yaml_forms() {
        let value = json!({"a": {}, "b": [], "c": [1, {"d": "x,:{\\\"}"}]});
        let pretty = indent(&encode_any(&value));
        assert_eq!(serde_json::from_slice::<Value>(&pretty).unwrap(), value);
        assert_eq!(String::from_utf8(pretty).unwrap(), serde_json::to_string_pretty(&value).unwrap());
        assert_eq!(
            encode_yaml(&json!({"kind": "A", "apiVersion": "v1"})).unwrap(),
            "apiVersion: v1\nkind: A\n"
        );
    }

    proptest! {
        #[test]
        fn texts_survive(content in any::<String>()) {
            let mut out = Vec::new();
            string(&content, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), content);
        }
    }
}
