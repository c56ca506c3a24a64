//! From what a client sent to an object the registry takes: decoding by the schema, strict or lenient,
//! and what patches make of an object. The words of failures are upstream's.

use crate::context::Result;
use crate::custom::Custom;
use crate::resources::Target;
use apimachinery::gvk::{GroupVersionKind, parse_api_version};
use apimachinery::patch::PatchError;
use apimachinery::{FieldError, GroupKind, Path, Reason, Status, go, meta};
use schema::{DecodeError, Format, StrictProblem, TypeRef};
use serde_json::Value;

/// The patches that resources without a type of their own take.
pub(crate) const CUSTOM_PATCHES: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
/// Bytes of a body that error messages quote.
const SUMMARY: usize = 30;

fn bad(text: String) -> Box<Status> {
    Box::new(Status::bad_request(text))
}

fn type_of(gvk: &GroupVersionKind) -> Option<TypeRef> {
    schema::table().kind(&gvk.group, &gvk.version, &gvk.kind)
}

/// Warnings, or nothing, or a refusal, by the `fieldValidation` of the request.
fn judge(
    problems: &[StrictProblem],
    validation: &str,
    refuse: impl FnOnce(String) -> Box<Status>,
) -> Result<Vec<String>> {
    match validation {
        "Ignore" => Ok(Vec::new()),
        "Strict" if !problems.is_empty() => Err(refuse(schema::strict_message(problems))),
        "Strict" => Ok(Vec::new()),
        _ => Ok(problems.iter().map(ToString::to_string).collect()),
    }
}

/// Reads a body that should be of this kind. Gives the object and the warnings. An object of another
/// kind is decoded as what it is; the caller tells the difference.
pub(crate) fn body(
    target: &Target,
    expected: &GroupVersionKind,
    format: Format,
    bytes: &[u8],
    validation: &str,
) -> Result<(Value, Vec<String>)> {
    let unrecognized = |error: &DecodeError| {
        bad(format!(
            "the object provided is unrecognized (must be of type {}): {error} ({})",
            expected.kind,
            summary(bytes)
        ))
    };
    let sniffed = schema::sniff(format, bytes).map_err(|error| unrecognized(&error))?;
    let mut gvk = expected.clone();
    if !sniffed.api_version.is_empty() {
        let (group, version) = parse_api_version(&sniffed.api_version)
            .ok_or_else(|| bad(format!("unexpected GroupVersion string: {}", sniffed.api_version)))?;
        (gvk.group, gvk.version) = (group.to_owned(), version.to_owned());
    }
    if !sniffed.kind.is_empty() {
        gvk.kind = sniffed.kind;
    }
    let unhandled = |error: String| {
        bad(format!(
            "{} in version {} cannot be handled as a {}: {error}",
            gvk.kind,
            go::quote(&gvk.version),
            expected.kind
        ))
    };
    if let Some(custom) = custom_of(target, expected) {
        return custom_body(custom, expected, &gvk, format, bytes, validation, unhandled);
    }
    let Some(ty) = type_of(&gvk) else {
        let (kind, version) = (go::quote(&gvk.kind), go::quote(&gvk.api_version()));
        return Err(unhandled(format!("no kind {kind} is registered for version {version}")));
    };
    let decoded = match format {
        Format::Json => schema::decode_json(ty, bytes),
        Format::Yaml => schema::decode_yaml(ty, bytes),
        Format::Protobuf => schema::decode_protobuf(bytes)
            .map(|(_, object)| schema::decode::Decoded { object, problems: Vec::new() }),
    };
    let mut decoded = decoded.map_err(|error| unhandled(error.to_string()))?;
    let warnings = judge(&decoded.problems, validation, unhandled)?;
    meta::set_gvk(&mut decoded.object, &gvk);
    Ok((decoded.object, warnings))
}

/// What decodes the objects of a custom resource; its Scale is decoded like any.
fn custom_of<'t>(target: &'t Target, expected: &GroupVersionKind) -> Option<&'t Custom> {
    target.custom.as_deref().filter(|_| *expected == target.info.gvk())
}

fn custom_body(
    custom: &Custom,
    expected: &GroupVersionKind,
    gvk: &GroupVersionKind,
    format: Format,
    bytes: &[u8],
    validation: &str,
    unhandled: impl Fn(String) -> Box<Status>,
) -> Result<(Value, Vec<String>)> {
    if format == Format::Protobuf {
        return Err(Box::new(Status::unsupported_media_type(&["application/json", "application/yaml"])));
    }
    let mut decoded = schema::decode_untyped(format, bytes).map_err(|error| unhandled(error.to_string()))?;
    if !decoded.object.is_object() {
        return Err(unhandled("the object is no map".into()));
    }
    meta::set_gvk(&mut decoded.object, gvk);
    // An object of another kind is told so; what its fields are is not known here.
    if gvk == expected {
        let unknown = custom.version.settle(&mut decoded.object);
        let unknown = unknown.map_err(|error| unhandled(error.to_string()))?;
        decoded.problems.extend(unknown.into_iter().map(StrictProblem::Unknown));
    }
    let warnings = judge(&decoded.problems, validation, unhandled)?;
    Ok((decoded.object, warnings))
}

/// Reads a configuration to apply, and the warnings about it. Keys given twice are all that is checked:
/// whether it fits the kind is told when it is applied.
pub(crate) fn apply_patch(bytes: &[u8], validation: &str) -> Result<(Value, Vec<String>)> {
    let config = schema::yaml_value(bytes).map_err(|error| bad(format!("error decoding YAML: {error}")))?;
    let repeated = match type_of(&meta::gvk(&config).unwrap_or_default()) {
        _ if validation == "Ignore" => Vec::new(),
        Some(ty) => {
            let decoded = schema::decode_yaml(ty, bytes).map(|decoded| decoded.problems).unwrap_or_default();
            decoded.into_iter().filter(|problem| matches!(problem, StrictProblem::Duplicate(_))).collect()
        }
        None => {
            let decoded = schema::decode_untyped(Format::Yaml, bytes);
            decoded.map(|decoded| decoded.problems).unwrap_or_default()
        }
    };
    let refuse = |_| {
        let list: Vec<String> = repeated.iter().map(ToString::to_string).collect();
        bad(format!("error strict decoding YAML: {}", list.join(", ")))
    };
    let warnings = judge(&repeated, validation, refuse)?;
    Ok((config, warnings))
}

/// Reads DeleteOptions, which come under any group and version.
pub(crate) fn delete_options(format: Format, bytes: &[u8]) -> Result<Value> {
    let decoded =
        match (format, schema::table().definition("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")) {
            (_, None) => return Err(Box::new(Status::internal("the schema table lacks DeleteOptions"))),
            (Format::Json, Some(ty)) => schema::decode_json(ty, bytes).map(|decoded| decoded.object),
            (Format::Yaml, Some(ty)) => schema::decode_yaml(ty, bytes).map(|decoded| decoded.object),
            (Format::Protobuf, Some(ty)) => schema::protobuf::Envelope::read(bytes)
                .and_then(|envelope| schema::protobuf::decode_message(ty, envelope.raw)),
        };
    decoded.map_err(|error| bad(format!("the DeleteOptions could not be read: {error} ({})", summary(bytes))))
}

/// The start of a body for an error message: text if it looks like JSON, hex otherwise.
fn summary(bytes: &[u8]) -> String {
    let text = bytes.first() == Some(&b'{');
    let start = &bytes[..bytes.len().min(SUMMARY)];
    let shown = if text {
        String::from_utf8_lossy(start).into_owned()
    } else {
        start.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    if bytes.len() > SUMMARY { format!("{shown} ...") } else { shown }
}

/// Checks an object that a patch made, or that comes from this process: wrong types are refused,
/// unknown fields are dropped and reported.
pub(crate) fn check(
    target: &Target,
    gvk: &GroupVersionKind,
    object: &mut Value,
    validation: &str,
) -> Result<Vec<String>> {
    let shown = if validation == "Strict" { object.to_string() } else { String::new() };
    let invalid = |shown: &str, text: String| {
        let error = FieldError::invalid(&Path::new("patch"), shown, text);
        Box::new(Status::invalid(&GroupKind::default(), "", &[error]))
    };
    if let Some(custom) = custom_of(target, gvk) {
        let unknown = custom.version.settle(object).map_err(|error| invalid("", error.to_string()))?;
        let problems: Vec<StrictProblem> = unknown.into_iter().map(StrictProblem::Unknown).collect();
        return judge(&problems, validation, |text| invalid(&shown, text));
    }
    let Some(ty) = type_of(gvk) else { return Ok(Vec::new()) };
    let taken = std::mem::take(object);
    let decoded = schema::decode_value(ty, taken).map_err(|error| invalid("", error.to_string()))?;
    *object = decoded.object;
    judge(&decoded.problems, validation, |text| invalid(&shown, text))
}

/// Applies a strategic merge patch.
pub(crate) fn strategic_merge(target: &Target, old: &Value, patch: &Value) -> Result<Value> {
    let Some(ty) = type_of(&target.info.gvk()) else {
        return Err(Box::new(Status::unsupported_media_type(&CUSTOM_PATCHES)));
    };
    schema::strategic_merge(ty, old.clone(), patch).map_err(patch_status)
}

/// What a client sees of a patch that cannot be applied.
pub(crate) fn patch_status(error: PatchError) -> Box<Status> {
    Box::new(match error {
        PatchError::Malformed(text) => Status::bad_request(text),
        PatchError::TooManyOperations(_) => Status::new(Reason::RequestEntityTooLarge, error.to_string()),
        PatchError::Unprocessable(_) | PatchError::TestFailed(_) => Status::unprocessable(),
    })
}
