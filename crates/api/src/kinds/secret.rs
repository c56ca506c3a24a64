//! Secrets: `stringData` is folded into `data`; what a type needs must be there; the type never changes.
//! Nothing here repeats a secret's content in a message.

use super::config_map::{MAX_SIZE, decoded_len, immutable, key_errors};
use crate::read::{map, text};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Path, meta};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const ACCOUNT: &str = "kubernetes.io/service-account.name";
const REDACTED: &str = "<secret contents redacted>";

pub(super) struct Secret;

impl Strategy for Secret {
    fn default(&self, object: &mut Value) {
        fold_string_data(object);
        defaults::apply(object);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let data = Path::new("data");
        let mut errors = Vec::new();
        let mut size = 0;
        for (key, value) in map(object, "data") {
            errors.extend(key_errors(&data, key));
            size += decoded_len(value);
        }
        if size > MAX_SIZE {
            errors.push(FieldError::too_long(&data, MAX_SIZE));
        }
        errors.extend(validate_type(object, &data));
        errors
    }

    fn prepare_update(&self, _: &str, new: &mut Value, old: &Value) {
        if text(new, "type").is_empty() {
            crate::read::copy(new, old, "type");
        }
    }

    fn validate_update(&self, _: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if text(new, "type") != text(old, "type") {
            errors.push(FieldError::invalid(&Path::new("type"), text(new, "type"), "field is immutable"));
        }
        errors.extend(immutable(new, old, &["data"]));
        errors.extend(self.validate(new));
        errors
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["type"]
    }

    fn has_status(&self) -> bool {
        false
    }
}

fn fold_string_data(object: &mut Value) {
    let object = meta::as_object_mut(object);
    let Some(Value::Object(plain)) = object.remove("stringData") else { return };
    if plain.is_empty() {
        return;
    }
    let data = meta::object_at(object, "data");
    for (key, value) in plain {
        data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
    }
}

fn validate_type(object: &Value, data: &Path) -> Vec<FieldError> {
    let value = |key: &str| object.get("data").and_then(|data| data.get(key));
    let required = |key: &str| FieldError::required(&data.key(key), "");
    let missing =
        |keys: &[&str]| keys.iter().filter(|key| value(key).is_none()).map(|key| required(key)).collect();
    match text(object, "type") {
        "kubernetes.io/service-account-token"
            if meta::annotation(object, ACCOUNT).unwrap_or_default().is_empty() =>
        {
            vec![FieldError::required(&Path::new("metadata").child("annotations").key(ACCOUNT), "")]
        }
        "kubernetes.io/dockercfg" => json_key(value(".dockercfg"), data, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => json_key(value(".dockerconfigjson"), data, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if value("username").is_none() => match value("password") {
            None => missing(&["username", "password"]),
            Some(_) => Vec::new(),
        },
        "kubernetes.io/ssh-auth" if value("ssh-privatekey").is_none_or(|key| decoded_len(key) == 0) => {
            vec![required("ssh-privatekey")]
        }
        "kubernetes.io/tls" => missing(&["tls.crt", "tls.key"]),
        _ => Vec::new(),
    }
}

/// Must be there and be a JSON object.
fn json_key(value: Option<&Value>, data: &Path, key: &str) -> Vec<FieldError> {
    let path = data.key(key);
    let Some(value) = value else { return vec![FieldError::required(&path, "")] };
    let bytes = schema::view::decode_base64(value.as_str().unwrap_or_default()).unwrap_or_default();
    let problem = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(_) | Value::Null) => return Vec::new(),
        Ok(other) => format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            go_kind(&other)
        ),
        Err(_) if bytes.is_empty() => "unexpected end of JSON input".to_owned(),
        Err(error) if error.is_eof() => "unexpected end of JSON input".to_owned(),
        // The text of the error may hold bytes of the content.
        Err(_) => "invalid character in JSON".to_owned(),
    };
    vec![FieldError::invalid(&path, REDACTED, problem)]
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null | Value::Object(_) => "object",
    }
}
