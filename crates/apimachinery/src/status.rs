//! `Status`: the one error (and sometimes success) body of the API, in upstream's words.
//! Not a transport: the shells turn it into an HTTP answer, the client reads it back.

use crate::field::{self, FieldError};
use crate::go;
use crate::gvk::{GroupKind, GroupResource};
use serde_json::{Map, Value, json};
use std::fmt;

macro_rules! reasons {
    ($($name:ident => $code:literal),+ $(,)?) => {
        /// Why a request failed. `Unknown` prints as the empty string, as upstream does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($name),+ }
        impl Reason {
            /// The HTTP status code that goes with the reason.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code),+ }
            }
            pub const fn as_str(self) -> &'static str {
                match self { Self::Unknown => "", $(Self::$name => stringify!($name)),+ }
            }
            pub fn parse(text: &str) -> Option<Self> {
                match text { "" => Some(Self::Unknown), $(stringify!($name) => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

#[allow(unreachable_patterns)]
mod reason {
    reasons! {
        Unknown => 500,
        BadRequest => 400,
        Unauthorized => 401,
        Forbidden => 403,
        NotFound => 404,
        MethodNotAllowed => 405,
        NotAcceptable => 406,
        AlreadyExists => 409,
        Conflict => 409,
        Gone => 410,
        Expired => 410,
        RequestEntityTooLarge => 413,
        UnsupportedMediaType => 415,
        Invalid => 422,
        TooManyRequests => 429,
        InternalError => 500,
        ServerTimeout => 500,
        StoreReadError => 500,
        ServiceUnavailable => 503,
        Timeout => 504,
    }
}
pub use reason::Reason;

/// One entry of `details.causes`. Empty parts are not printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause {
    pub reason: String,
    pub message: String,
    pub field: String,
}

/// What the failure is about. Empty parts are not printed; an all-empty one prints `{}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// The resource (or, for `Invalid`, the kind).
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_seconds: u32,
}

/// A failure of an API request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub reason: Reason,
    /// HTTP status code; usually [`Reason::code`].
    pub code: u16,
    pub message: String,
    pub details: Option<Box<Details>>,
    /// `metadata.continue`: the inconsistent-continue token of an `Expired` list.
    pub continue_token: Option<Box<str>>,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Status {}

impl Status {
    /// A failure with the reason's code and no details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, code: reason.code(), message: message.into(), details: None, continue_token: None }
    }

    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    #[must_use]
    pub fn with_continue(mut self, token: impl Into<Box<str>>) -> Self {
        self.continue_token = Some(token.into());
        self
    }

    fn about(reason: Reason, resource: &GroupResource, name: &str, message: String) -> Self {
        Self::new(reason, message).with_details(Details {
            name: name.to_owned(),
            group: resource.group.clone(),
            kind: resource.resource.clone(),
            ..Details::default()
        })
    }

    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::about(Reason::NotFound, resource, name, format!("{resource} {} not found", go::quote(name)))
    }

    /// No such path or resource type; what a client sees as "could not find the requested resource".
    pub fn resource_not_found() -> Self {
        Self::new(Reason::NotFound, "the server could not find the requested resource")
            .with_details(Details::default())
    }

    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::about(
            Reason::AlreadyExists,
            resource,
            name,
            format!("{resource} {} already exists", go::quote(name)),
        )
    }

    /// Every generated name was taken.
    pub fn generate_name_conflict(resource: &GroupResource, name: &str, retry_after_seconds: u32) -> Self {
        let text = format!(
            "{resource} {} already exists, the server was not able to generate a unique name for the object",
            go::quote(name)
        );
        let mut status = Self::about(Reason::AlreadyExists, resource, name, text);
        status.details_mut().retry_after_seconds = retry_after_seconds;
        status
    }

    pub fn conflict(resource: &GroupResource, name: &str, error: impl fmt::Display) -> Self {
        Self::about(
            Reason::Conflict,
            resource,
            name,
            format!("Operation cannot be fulfilled on {resource} {}: {error}", go::quote(name)),
        )
    }

    /// The optimistic-lock failure of an update whose resourceVersion is stale.
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// Server-side apply conflicts: the message and one cause per field.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        Self::new(Reason::Conflict, message).with_details(Details { causes, ..Details::default() })
    }

    pub fn invalid(kind: &GroupKind, name: &str, errors: &[FieldError]) -> Self {
        let mut message = format!("{kind} {} is invalid", go::quote(name));
        if !errors.is_empty() {
            message.push_str(": ");
            message.push_str(&field::aggregate(errors));
        }
        let causes = errors
            .iter()
            .map(|e| Cause { reason: e.kind.reason().into(), message: e.body(), field: e.field.clone() })
            .collect();
        Self::new(Reason::Invalid, message).with_details(Details {
            name: name.to_owned(),
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            causes,
            ..Details::default()
        })
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    pub fn unauthorized() -> Self {
        Self::new(Reason::Unauthorized, "Unauthorized")
    }

    /// `resource` may be empty (non-resource paths), `name` too (lists and creates).
    pub fn forbidden(resource: &GroupResource, name: &str, error: impl fmt::Display) -> Self {
        let message = if resource.group.is_empty() && resource.resource.is_empty() {
            format!("forbidden: {error}")
        } else if name.is_empty() {
            format!("{resource} is forbidden: {error}")
        } else {
            format!("{resource} {} is forbidden: {error}", go::quote(name))
        };
        Self::about(Reason::Forbidden, resource, name, message)
    }

    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(Reason::Gone, message)
    }

    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, message)
    }

    /// A watch started before the oldest event still kept.
    pub fn too_old_resource_version(asked: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    /// A read at a revision the server has not reached; clients retry on this exact cause.
    pub fn timeout_rv_too_large(wanted: u64, current: u64) -> Self {
        let cause = Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            field: String::new(),
        };
        Self::new(
            Reason::Timeout,
            format!("Timeout: Too large resource version: {wanted}, current: {current}"),
        )
        .with_details(Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() })
    }

    pub fn timeout(message: impl fmt::Display, retry_after_seconds: u32) -> Self {
        Self::new(Reason::Timeout, format!("Timeout: {message}"))
            .with_details(Details { retry_after_seconds, ..Details::default() })
    }

    pub fn server_timeout(resource: &GroupResource, operation: &str, retry_after_seconds: u32) -> Self {
        let text = format!(
            "The {operation} operation against {resource} could not be completed at this time, please try again."
        );
        let mut status = Self::about(Reason::ServerTimeout, resource, operation, text);
        status.details_mut().retry_after_seconds = retry_after_seconds;
        status
    }

    /// A verb the resource does not have, as the router answers it.
    pub fn method_not_allowed() -> Self {
        Self::new(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource")
            .with_details(Details::default())
    }

    /// A verb the storage of a resource does not implement.
    pub fn method_not_supported(resource: &GroupResource, action: &str) -> Self {
        Self::about(
            Reason::MethodNotAllowed,
            resource,
            "",
            format!("{action} is not supported on resources of kind {}", go::quote(&resource.to_string())),
        )
    }

    /// `available`: the media types the server could have answered with.
    pub fn not_acceptable(available: &[&str]) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {}", available.join(", "));
        Self::new(Reason::NotAcceptable, message).with_details(Details::default())
    }

    /// A request body of an unknown format; `accepted` are the formats understood.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::new(
            Reason::UnsupportedMediaType,
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// A patch type the resource does not take.
    pub fn unsupported_patch_type() -> Self {
        Self::new(Reason::UnsupportedMediaType, "415: Unsupported Media Type")
            .with_details(Details::default())
    }

    /// A patch that cannot be applied (failed `test`, missing path).
    pub fn unprocessable() -> Self {
        Self::new(Reason::Invalid, "the server rejected our request due to an error in our request")
            .with_details(Details::default())
    }

    /// `limit` in bytes.
    pub fn request_entity_too_large(limit: usize) -> Self {
        Self::new(Reason::RequestEntityTooLarge, format!("Request entity too large: limit is {limit}"))
    }

    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(Reason::TooManyRequests, message)
            .with_details(Details { retry_after_seconds, ..Details::default() })
    }

    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(Reason::ServiceUnavailable, message)
    }

    pub fn internal(error: impl fmt::Display) -> Self {
        let text = error.to_string();
        let cause = Cause { message: text.clone(), ..Cause::default() };
        Self::new(Reason::InternalError, format!("Internal error occurred: {text}"))
            .with_details(Details { causes: vec![cause], ..Details::default() })
    }

    fn details_mut(&mut self) -> &mut Details {
        self.details.get_or_insert_with(Box::default)
    }

    pub fn is(&self, reason: Reason) -> bool {
        self.reason == reason
    }

    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0)
    }

    /// True if a cause has this machine-readable reason.
    pub fn has_cause(&self, reason: &str) -> bool {
        self.details.as_ref().is_some_and(|d| d.causes.iter().any(|c| c.reason == reason))
    }

    pub fn to_value(&self) -> Value {
        let mut body = Map::new();
        body.insert("kind".into(), "Status".into());
        body.insert("apiVersion".into(), "v1".into());
        body.insert(
            "metadata".into(),
            self.continue_token.as_ref().map_or_else(|| json!({}), |t| json!({"continue": &**t})),
        );
        body.insert("status".into(), "Failure".into());
        insert(&mut body, "message", &self.message);
        insert(&mut body, "reason", self.reason.as_str());
        if let Some(details) = &self.details {
            body.insert("details".into(), details.to_value());
        }
        body.insert("code".into(), self.code.into());
        Value::Object(body)
    }

    /// The body in upstream's field order.
    pub fn to_json(&self) -> Vec<u8> {
        ordered(
            &self.to_value(),
            &["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"],
        )
    }

    /// Reads a failure body; `None` if it is no Status or reports success.
    pub fn from_value(body: &Value) -> Option<Self> {
        if body.get("kind")?.as_str()? != "Status"
            || body.get("status").and_then(Value::as_str) == Some("Success")
        {
            return None;
        }
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
        let code = body.get("code").and_then(Value::as_u64).and_then(|c| u16::try_from(c).ok());
        let reason = Reason::parse(text("reason")).unwrap_or(Reason::Unknown);
        Some(Self {
            reason,
            code: code.unwrap_or(reason.code()),
            message: text("message").to_owned(),
            details: body.get("details").filter(|d| d.is_object()).map(|d| Box::new(Details::from_value(d))),
            continue_token: body.pointer("/metadata/continue").and_then(Value::as_str).map(Into::into),
        })
    }
}

/// The body of a successful request that has no object to return (most deletes).
pub fn success(details: &Details) -> Vec<u8> {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details.to_value()});
    ordered(&body, &["kind", "apiVersion", "metadata", "status", "details"])
}

fn ordered(body: &Value, order: &[&str]) -> Vec<u8> {
    let parts: Vec<String> = order
        .iter()
        .filter_map(|key| body.get(*key).map(|v| (key, v)))
        .map(|(key, value)| {
            if *key == "details" {
                format!("\"details\":{}", details_json(value))
            } else {
                format!("\"{key}\":{}", go::json(value))
            }
        })
        .collect();
    format!("{{{}}}", parts.join(",")).into_bytes()
}

fn details_json(details: &Value) -> String {
    let parts: Vec<String> = ["name", "group", "kind", "uid", "causes", "retryAfterSeconds"]
        .iter()
        .filter_map(|key| details.get(*key).map(|v| (key, v)))
        .map(|(key, value)| {
            if *key == "causes" {
                format!("\"causes\":{}", causes_json(value))
            } else {
                format!("\"{key}\":{}", go::json(value))
            }
        })
        .collect();
    format!("{{{}}}", parts.join(","))
}

fn causes_json(causes: &Value) -> String {
    let one = |cause: &Value| {
        let parts: Vec<String> = ["reason", "message", "field"]
            .iter()
            .filter_map(|k| cause.get(*k).map(|v| format!("\"{k}\":{}", go::json(v))))
            .collect();
        format!("{{{}}}", parts.join(","))
    };
    let all: Vec<String> = causes.as_array().map(|list| list.iter().map(one).collect()).unwrap_or_default();
    format!("[{}]", all.join(","))
}

fn insert(map: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        map.insert(key.to_owned(), text.into());
    }
}

impl Details {
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        insert(&mut map, "name", &self.name);
        insert(&mut map, "group", &self.group);
        insert(&mut map, "kind", &self.kind);
        insert(&mut map, "uid", &self.uid);
        if !self.causes.is_empty() {
            map.insert("causes".into(), self.causes.iter().map(Cause::to_value).collect());
        }
        if self.retry_after_seconds > 0 {
            map.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        Value::Object(map)
    }

    fn from_value(value: &Value) -> Self {
        let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let causes = value.get("causes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Self {
            name: text(value, "name"),
            group: text(value, "group"),
            kind: text(value, "kind"),
            uid: text(value, "uid"),
            causes: causes
                .iter()
                .map(|c| Cause {
                    reason: text(c, "reason"),
                    message: text(c, "message"),
                    field: text(c, "field"),
                })
                .collect(),
            retry_after_seconds: value
                .get("retryAfterSeconds")
                .and_then(Value::as_u64)
                .and_then(|s| u32::try_from(s).ok())
                .unwrap_or(0),
        }
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut map = Map::new();
        insert(&mut map, "reason", &self.reason);
        insert(&mut map, "message", &self.message);
        insert(&mut map, "field", &self.field);
        Value::Object(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Path;

    #[test]
    fn bodies_match_a_reference_server() {
        let configmaps = GroupResource::new("", "configmaps");
        let table = [
            (
                Status::already_exists(&configmaps, "a"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps \"a\" already exists","reason":"AlreadyExists","details":{"name":"a","kind":"configmaps"},"code":409}"#,
            ),
            (
                Status::bad_request("no"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":"BadRequest","code":400}"#,
            ),
            (
                Status::method_not_allowed(),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server does not allow this method on the requested resource","reason":"MethodNotAllowed","details":{},"code":405}"#,
            ),
            (
                Status::timeout_rv_too_large(99, 12),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Timeout: Too large resource version: 99, current: 12","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1},"code":504}"#,
            ),
            (
                Status::invalid(
                    &GroupKind::new("meta.k8s.io", "PatchOptions"),
                    "",
                    &[FieldError::required(&Path::new("fieldManager"), "is required for apply patch")],
                ),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch","reason":"Invalid","details":{"group":"meta.k8s.io","kind":"PatchOptions","causes":[{"reason":"FieldValueRequired","message":"Required value: is required for apply patch","field":"fieldManager"}]},"code":422}"#,
            ),
            (
                Status::modified(&GroupResource::new("apps", "deployments"), "d"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Operation cannot be fulfilled on deployments.apps \"d\": the object has been modified; please apply your changes to the latest version and try again","reason":"Conflict","details":{"name":"d","group":"apps","kind":"deployments"},"code":409}"#,
            ),
        ];
        for (status, want) in table {
            assert_eq!(String::from_utf8(status.to_json()).unwrap(), want);
            assert_eq!(Status::from_value(&status.to_value()), Some(status));
        }
    }

    #[test]
    fn success_prints_details() {
        let details =
            Details { name: "a".into(), kind: "configmaps".into(), uid: "u".into(), ..Details::default() };
        assert_eq!(
            String::from_utf8(success(&details)).unwrap(),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"a","kind":"configmaps","uid":"u"}}"#
        );
    }

    #[test]
    fn other_bodies_are_no_status() {
        assert_eq!(Status::from_value(&json!({"kind": "Pod"})), None);
        assert_eq!(Status::from_value(&json!({"kind": "Status", "status": "Success"})), None);
    }
}
