//! JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386) with the API's limits.
//! Strategic merge patch needs the schema and lives in `schema`.

use serde_json::Value;
use std::fmt;

/// Most operations one JSON Patch may have.
pub const MAX_OPERATIONS: usize = 10_000;

/// Why a patch was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchError {
    /// The body is no patch: answered with 400.
    Malformed(String),
    /// Too many operations: answered with 413.
    TooManyOperations(usize),
    /// The patch does not fit the object (a missing path): answered with 422.
    Unprocessable(String),
    /// An operation `test` found something else: answered with 422.
    TestFailed(String),
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => f.write_str(text),
            Self::TooManyOperations(n) => {
                write!(f, "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {n}")
            }
            Self::Unprocessable(text) | Self::TestFailed(text) => f.write_str(text),
        }
    }
}
impl std::error::Error for PatchError {}

/// Applies a JSON Patch given as its body. The object is untouched on error.
///
/// # Errors
/// See [`PatchError`].
pub fn json_patch(object: &Value, body: &[u8]) -> Result<Value, PatchError> {
    let malformed = |e: serde_json::Error| PatchError::Malformed(format!("error decoding patch: {e}"));
    let raw: Vec<Value> = serde_json::from_slice(body).map_err(malformed)?;
    if raw.len() > MAX_OPERATIONS {
        return Err(PatchError::TooManyOperations(raw.len()));
    }
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(raw)).map_err(malformed)?;
    let mut result = object.clone();
    json_patch::patch(&mut result, &patch).map_err(|error| match error.kind {
        json_patch::PatchErrorKind::TestFailed => PatchError::TestFailed(error.to_string()),
        _ => PatchError::Unprocessable(error.to_string()),
    })?;
    Ok(result)
}

/// Applies a JSON Merge Patch: null deletes, objects merge, everything else replaces.
pub fn merge_patch(object: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *object = patch.clone();
        return;
    };
    let target = crate::meta::as_object_mut(object);
    for (key, change) in changes {
        match change {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(_) => merge_patch(target.entry(key.as_str()).or_insert(Value::Null), change),
            other => {
                target.insert(key.clone(), other.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_patches_apply_whole_or_not_at_all() {
        let object = json!({"a": 1, "l": [1]});
        let body = br#"[{"op":"test","path":"/a","value":1},{"op":"add","path":"/l/-","value":2},{"op":"remove","path":"/a"}]"#;
        assert_eq!(json_patch(&object, body), Ok(json!({"l": [1, 2]})));
        let failing = br#"[{"op":"remove","path":"/a"},{"op":"test","path":"/l/0","value":9}]"#;
        assert!(matches!(json_patch(&object, failing), Err(PatchError::TestFailed(_))));
        let missing = br#"[{"op":"remove","path":"/b"}]"#;
        assert!(matches!(json_patch(&object, missing), Err(PatchError::Unprocessable(_))));
        assert!(matches!(json_patch(&object, b"{}"), Err(PatchError::Malformed(_))));
        let many =
            serde_json::to_vec(&vec![json!({"op": "test", "path": "/a", "value": 1}); MAX_OPERATIONS + 1])
                .unwrap();
        assert_eq!(json_patch(&object, &many), Err(PatchError::TooManyOperations(MAX_OPERATIONS + 1)));
    }

    #[test]
    fn merge_patches_follow_the_rfc() {
        for (object, patch, want) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut result = object;
            merge_patch(&mut result, &patch);
            assert_eq!(result, want);
        }
    }
}
