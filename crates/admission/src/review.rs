//! The review that a webhook is sent, and its answer.

use crate::matching::Matched;
use crate::request::Request;
use apimachinery::{Status, go, meta};
use base64::Engine;
use serde_json::{Map, Value, json};

const GROUP: &str = "admission.k8s.io";
/// Versions of the review that are spoken.
const VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// The review in the first version that the webhook takes, and that version.
///
/// # Errors
/// It takes none that is known.
pub fn review(
    versions: &[String],
    uid: &str,
    request: &Request,
    matched: &Matched,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<(Value, &'static str), String> {
    let version = versions.iter().find_map(|wanted| VERSIONS.into_iter().find(|known| known == wanted));
    let version = version.ok_or("webhook does not accept known AdmissionReview versions (v1, v1beta1)")?;
    let mut map = request.to_map(matched);
    map.insert("uid".into(), uid.into());
    map.insert("object".into(), object.cloned().unwrap_or(Value::Null));
    map.insert("oldObject".into(), old.cloned().unwrap_or(Value::Null));
    let review =
        json!({"kind": "AdmissionReview", "apiVersion": format!("{GROUP}/{version}"), "request": map});
    Ok((review, version))
}

/// What a webhook answered.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub allowed: bool,
    /// A JSON patch; empty if there is none.
    pub patch: Vec<u8>,
    /// `JSONPatch`, or something that is not supported.
    pub patch_type: String,
    /// What [`denied`] says, if it is not allowed.
    pub result: Value,
    pub annotations: Vec<(String, String)>,
    pub warnings: Vec<String>,
}

impl Answer {
    /// Reads the answer to a review of this version and uid.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(review: &Value, version: &str, uid: &str, mutating: bool) -> Result<Answer, String> {
        let Some(response) = review.get("response").and_then(Value::as_object) else {
            return Err("webhook response was absent".into());
        };
        if version == "v1" {
            verify(review, response, uid)?;
        }
        let patch = match response.get("patch").and_then(Value::as_str) {
            None => Vec::new(),
            Some(text) => base64::engine::general_purpose::STANDARD
                .decode(text)
                .map_err(|error| format!("illegal base64 data in response.patch: {error}"))?,
        };
        let kind = response.get("patchType").and_then(Value::as_str);
        if version == "v1" {
            verify_patch(&patch, kind, mutating)?;
        }
        let texts = |name: &str| response.get(name).and_then(Value::as_array).into_iter().flatten();
        let notes = response.get("auditAnnotations").and_then(Value::as_object).into_iter().flatten();
        Ok(Answer {
            allowed: response.get("allowed").and_then(Value::as_bool).unwrap_or(false),
            // Before v1 nobody had to say what kind of patch it is.
            patch_type: if version == "v1" { kind.unwrap_or_default() } else { "JSONPatch" }.to_owned(),
            patch: if mutating { patch } else { Vec::new() },
            result: response.get("status").cloned().unwrap_or(Value::Null),
            annotations: notes.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect(),
            warnings: texts("warnings").filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        })
    }
}

fn verify(review: &Value, response: &Map<String, Value>, uid: &str) -> Result<(), String> {
    let found = response.get("uid").and_then(Value::as_str).unwrap_or_default();
    if found != uid {
        return Err(format!("expected response.uid={}, got {}", go::quote(uid), go::quote(found)));
    }
    let (version, kind) = (meta::api_version(review), meta::kind(review));
    let wanted = format!("{GROUP}/v1");
    if version != wanted || kind != "AdmissionReview" {
        // As Go prints a group and a version of which one is missing.
        let shown = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
        return Err(format!(
            "expected webhook response of {wanted}, Kind=AdmissionReview, got {shown}, Kind={kind}"
        ));
    }
    Ok(())
}

fn verify_patch(patch: &[u8], kind: Option<&str>, mutating: bool) -> Result<(), String> {
    let text = match (mutating, patch.is_empty(), kind) {
        (true, false, None) => "webhook returned response.patch but not response.patchType",
        (true, true, Some(_)) => "webhook returned response.patchType but not response.patch",
        (true, false, Some("")) => "webhook returned invalid response.patchType of \"\"",
        (false, false, _) => "validating webhook may not return response.patch",
        (false, true, Some(_)) => "validating webhook may not return response.patchType",
        _ => return Ok(()),
    };
    Err(text.into())
}

const LEAST_FAILURE: u64 = 400;

/// The refusal of a webhook, as the user sees it.
pub fn denied(hook: &str, result: &Value) -> Box<Status> {
    let by = format!("admission webhook {} denied the request", go::quote(hook));
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{by} without explanation"),
        ("", reason) => format!("{by}: {reason}"),
        (message, _) => format!("{by}: {message}"),
    };
    let code = result.get("code").and_then(Value::as_u64).unwrap_or(0).max(LEAST_FAILURE);
    let mut body = if result.is_object() { result.clone() } else { json!({}) };
    body["kind"] = "Status".into();
    body["status"] = "Failure".into();
    body["code"] = code.into();
    body["message"] = message.as_str().into();
    Box::new(Status::from_value(&body).unwrap_or_else(|| Status::bad_request(message)))
}
