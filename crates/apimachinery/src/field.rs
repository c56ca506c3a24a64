//! Paths to fields and the errors that name them.
//! `Display` of both is what upstream's `field` package prints; Status bodies depend on it.

use crate::go;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// A path such as `spec.containers[0].name` or `data[a]`. Cheap to extend and to clone.
#[derive(Debug, Clone, Default)]
pub struct Path(Option<Arc<Node>>);

#[derive(Debug)]
struct Node {
    parent: Path,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Child(Cow<'static, str>),
    Index(usize),
    Key(String),
}

impl Path {
    /// The empty path: the object itself.
    pub const fn root() -> Self {
        Self(None)
    }

    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self::root().child(name)
    }

    #[must_use]
    pub fn child(&self, name: impl Into<Cow<'static, str>>) -> Self {
        self.step(Step::Child(name.into()))
    }

    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.step(Step::Key(key.into()))
    }

    fn step(&self, step: Step) -> Self {
        Self(Some(Arc::new(Node { parent: self.clone(), step })))
    }

    fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(node) = &self.0 else { return Ok(()) };
        node.parent.print(f)?;
        match &node.step {
            // An empty name prints as upstream's `field.NewPath("")` does.
            Step::Child(name) if name.is_empty() => f.write_str("[]"),
            Step::Child(name) if node.parent.0.is_none() => f.write_str(name),
            Step::Child(name) => write!(f, ".{name}"),
            Step::Index(i) => write!(f, "[{i}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("<nil>"),
            Some(_) => self.print(f),
        }
    }
}

/// The kinds of field errors. [`ErrorType::reason`] is the machine-readable cause in a Status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooShort,
    TooMany,
    TooFew,
    Internal,
    TypeInvalid,
}

impl ErrorType {
    /// The cause's `reason` (upstream's CauseType).
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooShort => "FieldValueTooShort",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooShort => "Too short",
            Self::TooMany => "Too many",
            Self::TooFew => "Too few",
            Self::Internal => "Internal error",
        }
    }

    const fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden | Self::TooLong | Self::TooShort | Self::Internal)
    }
}

/// One thing wrong with one field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    pub kind: ErrorType,
    pub field: String,
    /// `None`: the value is not shown.
    pub value: Option<Value>,
    pub detail: String,
}

impl FieldError {
    fn make(kind: ErrorType, path: &Path, value: Option<Value>, detail: impl Into<String>) -> Self {
        Self { kind, field: path.to_string(), value, detail: detail.into() }
    }

    pub fn required(path: &Path, detail: impl Into<String>) -> Self {
        Self::make(ErrorType::Required, path, None, detail)
    }
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::make(ErrorType::Invalid, path, Some(value.into()), detail)
    }
    pub fn type_invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::make(ErrorType::TypeInvalid, path, Some(value.into()), detail)
    }
    /// `supported` is printed in the order given.
    pub fn not_supported<S: AsRef<str>>(path: &Path, value: impl Into<Value>, supported: &[S]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|s| go::quote(s.as_ref())).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        Self::make(ErrorType::NotSupported, path, Some(value.into()), detail)
    }
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::make(ErrorType::Duplicate, path, Some(value.into()), "")
    }
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::make(ErrorType::NotFound, path, Some(value.into()), "")
    }
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Self {
        Self::make(ErrorType::Forbidden, path, None, detail)
    }
    /// `max` in bytes.
    pub fn too_long(path: &Path, max: usize) -> Self {
        Self::make(
            ErrorType::TooLong,
            path,
            None,
            format!("may not be more than {max} {}", plural(max, "byte")),
        )
    }
    pub fn too_long_characters(path: &Path, max: usize) -> Self {
        Self::make(
            ErrorType::TooLong,
            path,
            None,
            format!("may not be more than {max} {}", plural(max, "character")),
        )
    }
    pub fn too_short(path: &Path, min: usize) -> Self {
        Self::make(
            ErrorType::TooShort,
            path,
            None,
            format!("must be at least {min} {}", plural(min, "character")),
        )
    }
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Self {
        Self::make(
            ErrorType::TooMany,
            path,
            Some(actual.into()),
            format!("must have at most {max} {}", plural(max, "item")),
        )
    }
    pub fn too_few(path: &Path, actual: usize, min: usize) -> Self {
        Self::make(
            ErrorType::TooFew,
            path,
            Some(actual.into()),
            format!("must have at least {min} {}", plural(min, "item")),
        )
    }
    pub fn internal(path: &Path, detail: impl Into<String>) -> Self {
        Self::make(ErrorType::Internal, path, None, detail)
    }
    /// Hides the bad value (secrets, or values too long to print).
    #[must_use]
    pub fn without_value(mut self) -> Self {
        self.value = None;
        self
    }

    /// The message without the field's path, as Status causes carry it.
    pub fn body(&self) -> String {
        let mut text = self.kind.words().to_owned();
        if let (true, Some(value)) = (self.kind.shows_value(), &self.value) {
            text.push_str(": ");
            match value {
                Value::String(s) => text.push_str(&go::quote(s)),
                other => text.push_str(&go::json(other)),
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

fn plural(n: usize, noun: &str) -> String {
    if n == 1 { noun.to_owned() } else { format!("{noun}s") }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}
impl std::error::Error for FieldError {}

/// Several errors as one text: equal messages once, brackets when more than one is left.
pub fn aggregate(errors: &[FieldError]) -> String {
    let mut seen = HashSet::new();
    let messages: Vec<String> =
        errors.iter().map(ToString::to_string).filter(|m| seen.insert(m.clone())).collect();
    match messages.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_print_as_upstream() {
        let spec = Path::new("spec");
        assert_eq!(spec.child("containers").index(0).child("name").to_string(), "spec.containers[0].name");
        assert_eq!(Path::new("data").key("a").to_string(), "data[a]");
        assert_eq!(Path::new("").to_string(), "[]");
        assert_eq!(Path::root().to_string(), "<nil>");
    }

    #[test]
    fn errors_print_as_upstream() {
        let p = Path::new("spec").child("x");
        for (error, want) in [
            (FieldError::invalid(&p, "y", "detail"), r#"spec.x: Invalid value: "y": detail"#),
            (FieldError::invalid(&p, 3, "must be less"), "spec.x: Invalid value: 3: must be less"),
            (FieldError::invalid(&p, json!({"a": 1}), ""), r#"spec.x: Invalid value: {"a":1}"#),
            (FieldError::required(&p, ""), "spec.x: Required value"),
            (FieldError::forbidden(&p, "no"), "spec.x: Forbidden: no"),
            (
                FieldError::not_supported(&p, "b", &["", "Ignore"]),
                r#"spec.x: Unsupported value: "b": supported values: "", "Ignore""#,
            ),
            (
                FieldError::not_supported(&p, json!(["x"]), &["All"]),
                r#"spec.x: Unsupported value: ["x"]: supported values: "All""#,
            ),
            (FieldError::duplicate(&p, "a"), r#"spec.x: Duplicate value: "a""#),
            (FieldError::too_long(&p, 1), "spec.x: Too long: may not be more than 1 byte"),
            (FieldError::too_many(&p, 4, 3), "spec.x: Too many: 4: must have at most 3 items"),
            (FieldError::not_found(&p, "v"), r#"spec.x: Not found: "v""#),
        ] {
            assert_eq!(error.to_string(), want);
        }
    }

    #[test]
    fn aggregates_drop_repeated_messages() {
        let p = Path::new("a");
        let one = FieldError::required(&p, "");
        assert_eq!(aggregate(&[one.clone(), one.clone()]), "a: Required value");
        assert_eq!(aggregate(&[one, FieldError::forbidden(&p, "x")]), "[a: Required value, a: Forbidden: x]");
    }
}
