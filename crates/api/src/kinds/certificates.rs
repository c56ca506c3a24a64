//! Requests for certificates and bundles of trusted ones.

use super::checks::same;
use super::plain::{Kind, Plain};
use super::pod::{diff, errors::Errors};
use crate::read::{at, int, list, object_at, text, texts};
use crate::strategy::{copy_field, keep_all_but_status, reset_status};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Path, Time, go, meta, validation};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate, X509CertificationRequest};

const GROUP: &str = "certificates.k8s.io";
const LEGACY: &str = "kubernetes.io/legacy-unknown";
const MIN_SECONDS: i64 = 600;
const MAX_BUNDLE: usize = 1024 * 1024;
const MAX_DOMAIN: usize = validation::MAX_SUBDOMAIN;
const MAX_SIGNER: usize = MAX_DOMAIN + 1 + validation::MAX_SUBDOMAIN + validation::MAX_LABEL + 1;
const TERMINAL: [&str; 3] = ["Approved", "Denied", "Failed"];
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

pub(super) static KINDS: &[Kind] = &[(
    GROUP,
    "clustertrustbundles",
    Plain::of()
        .needs_version()
        .name(|_| Vec::new())
        .labels(&["spec.signerName"])
        .rules(|bundle, errors| trust_bundle(bundle, None, errors))
        .update(|new, old, errors| trust_bundle(new, Some(old), errors)),
)];

/// A signer's name: a domain and a path.
pub(super) fn signer_name(name: &str, path: &Path, errors: &mut Errors) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    let segments: Vec<&str> = name.split('/').collect();
    let [domain, rest] = segments.as_slice() else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return errors.invalid(path, name, detail);
    };
    errors.max_bytes(path, domain, MAX_DOMAIN);
    labels(domain, validation::dns1123_label, path, errors);
    if domain.split('.').count() < 2 {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.invalid(path, *domain, detail);
    }
    labels(rest, validation::dns1123_subdomain, path, errors);
    errors.max_bytes(path, name, MAX_SIGNER);
}

/// The problems of the first label that has some.
fn labels(segment: &str, rule: fn(&str) -> Vec<String>, path: &Path, errors: &mut Errors) {
    let bad = segment.split('.').map(|label| (label, rule(label))).find(|(_, bad)| !bad.is_empty());
    let Some((label, problems)) = bad else { return };
    for problem in problems {
        errors.invalid(path, segment, format!("validating label {}: {problem}", go::quote(label)));
    }
}

/// The bytes of a field; none if it is not base64.
fn bytes(object: &Value, field: &str) -> Vec<u8> {
    STANDARD.decode(text(object, field)).unwrap_or_default()
}

fn blocks(data: &[u8]) -> impl Iterator<Item = Pem> + '_ {
    Pem::iter_from_buffer(data).map_while(Result::ok)
}

/// What is wrong with a request: it must be signed by the key it is for.
fn request_problem(data: &[u8]) -> Option<String> {
    let Some(block) = blocks(data).next().filter(|block| block.label == "CERTIFICATE REQUEST") else {
        return Some("PEM block type must be CERTIFICATE REQUEST".into());
    };
    match X509CertificationRequest::from_der(&block.contents) {
        Ok(([], request)) => request
            .verify_signature()
            .err()
            .map(|_| "x509: certificate request signature is not valid".into()),
        _ => Some("asn1: structure error: malformed certificate request".into()),
    }
}

fn certificate_problem(data: &[u8]) -> Option<String> {
    if data.is_empty() {
        return None;
    }
    let mut count = 0;
    for block in blocks(data) {
        if block.label != "CERTIFICATE" {
            let label = go::quote(&block.label);
            return Some(format!("only CERTIFICATE PEM blocks are allowed, found {label}"));
        }
        count += 1;
        if X509Certificate::from_der(&block.contents).is_err() {
            return Some("x509: malformed certificate".into());
        }
    }
    (count == 0).then(|| "must contain at least one CERTIFICATE PEM block".into())
}

fn conditions<'a>(csr: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = list(at(csr, "status"), "conditions").iter();
    all.filter(|condition| text(condition, "type") == kind).collect()
}

fn has_duplicates<'a>(mut items: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = BTreeSet::new();
    !items.all(|item| seen.insert(item))
}

pub(super) struct CertificateSigningRequest;

impl CertificateSigningRequest {
    fn rules(csr: &Value, old: Option<&Value>, errors: &mut Errors) {
        let (spec, path) = (at(csr, "spec"), Path::new("spec"));
        let before = old.map_or(&Value::Null, |old| at(old, "spec"));
        if let Some(problem) = request_problem(&bytes(spec, "request")) {
            errors.invalid(&path.child("request"), at(spec, "request").clone(), problem);
        }
        let at_usages = path.child("usages");
        if list(spec, "usages").is_empty() {
            errors.required(&at_usages, "");
        }
        if texts(before, "usages").all(|usage| USAGES.contains(&usage)) {
            for (index, usage) in texts(spec, "usages").enumerate() {
                errors.known(&at_usages.index(index), usage, &USAGES);
            }
        }
        if !has_duplicates(texts(before, "usages")) {
            errors.unique(&at_usages, texts(spec, "usages"));
        }
        let (signer, at_signer) = (text(spec, "signerName"), path.child("signerName"));
        if signer == LEGACY && text(before, "signerName") != LEGACY {
            let detail = "the legacy signerName is not allowed via this API version";
            errors.invalid(&at_signer, signer, detail);
        } else {
            signer_name(signer, &at_signer, errors);
        }
        if let Some(seconds) = int(spec, "expirationSeconds").filter(|seconds| *seconds < MIN_SECONDS) {
            let detail = format!("may not specify a duration less than {MIN_SECONDS} seconds (10 minutes)");
            errors.invalid(&path.child("expirationSeconds"), seconds, detail);
        }
        Self::conditions(csr, old, errors);
        let data = |csr: &Value| bytes(at(csr, "status"), "certificate");
        let kept = old.is_some_and(|old| data(old) == data(csr) || certificate_problem(&data(old)).is_some());
        if let Some(problem) = certificate_problem(&data(csr)).filter(|_| !kept) {
            let path = Path::new("status").child("certificate");
            errors.invalid(&path, "<certificate data>", problem);
        }
    }

    fn conditions(csr: &Value, old: Option<&Value>, errors: &mut Errors) {
        let path = Path::new("status").child("conditions");
        let before = |kind: &str| old.is_some_and(|old| !conditions(old, kind).is_empty());
        let known_empty = before("");
        let known_both = before("Approved") && before("Denied");
        let repeated = old.is_some_and(|old| {
            has_duplicates(list(at(old, "status"), "conditions").iter().map(|c| text(c, "type")))
        });
        let mut seen: Vec<&str> = Vec::new();
        for (index, condition) in list(at(csr, "status"), "conditions").iter().enumerate() {
            let (kind, status) = (text(condition, "type"), text(condition, "status"));
            let at_one = path.index(index);
            if kind.is_empty() && !known_empty {
                errors.required(&at_one.child("type"), "");
            }
            let allowed: &[&str] =
                if TERMINAL.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
            errors.one_of(&at_one.child("status"), status, allowed);
            let other = match kind {
                "Approved" => "Denied",
                "Denied" => "Approved",
                _ => "",
            };
            if !known_both && !other.is_empty() && seen.contains(&other) {
                let detail = "Approved and Denied conditions are mutually exclusive";
                errors.invalid(&path, kind, detail);
            }
            if !repeated && seen.contains(&kind) {
                errors.duplicate(&at_one.child("type"), kind);
            }
            seen.push(kind);
        }
    }

    fn changes(subresource: &str, new: &Value, old: &Value, errors: &mut Errors) {
        let path = Path::new("status").child("conditions");
        let count = |csr, kind| conditions(csr, kind).len();
        for kind in TERMINAL.into_iter().filter(|kind| count(new, kind) < count(old, kind)) {
            let detail = format!("updates may not remove a condition of type {}", go::quote(kind));
            errors.forbidden(&path, detail);
        }
        for kind in ["Approved", "Denied"].into_iter().filter(|_| subresource != "approval") {
            let (now, before) = (conditions(new, kind), conditions(old, kind));
            if now.len() > before.len() {
                let detail = format!("updates may not add a condition of type {}", go::quote(kind));
                errors.forbidden(&path, detail);
            } else if now.len() == before.len() && !same(&json!(now), &json!(before)) {
                let diff = diff::of("", &json!(before), &json!(now));
                let kind = go::quote(kind);
                let detail = format!("updates may not modify a condition of type {kind}\n{diff}");
                errors.forbidden(&path, detail);
            }
        }
        let data = |csr: &Value| bytes(at(csr, "status"), "certificate");
        let path = Path::new("status").child("certificate");
        if data(new) != data(old) && subresource != "status" {
            errors.forbidden(&path, "updates may not set certificate content");
        } else if data(new) != data(old) && !data(old).is_empty() {
            errors.forbidden(&path, "updates may not modify existing certificate content");
        }
    }
}

impl Strategy for CertificateSigningRequest {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn prepare_create(&self, csr: &mut Value) {
        reset_status(csr);
    }

    fn validate(&self, csr: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        Self::rules(csr, None, &mut errors);
        errors.0
    }

    fn prepare_update(&self, subresource: &str, new: &mut Value, old: &Value) {
        match subresource {
            "status" => {
                keep_all_but_status(new, old);
                for kind in ["Approved", "Denied"] {
                    keep_conditions(new, old, kind);
                }
            }
            "approval" => {
                let conditions = at(at(new, "status"), "conditions").clone();
                for field in ["spec", "status"] {
                    copy_field(new, old, field);
                }
                object_at(new, "status").insert("conditions".into(), conditions);
            }
            _ => {
                for field in ["spec", "status"] {
                    copy_field(new, old, field);
                }
            }
        }
    }

    /// When conditions were written, and since when they are what they are.
    fn stamp(&self, subresource: &str, new: &mut Value, old: Option<&Value>, now: Time) {
        let (Some(old), "status" | "approval") = (old, subresource) else { return };
        let now = Value::from(now.truncated().to_string());
        let before = list(at(old, "status"), "conditions").to_vec();
        let all = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
        for condition in all.into_iter().flatten() {
            if crate::read::time(condition, "lastUpdateTime").is_none() {
                condition["lastUpdateTime"] = now.clone();
            }
            if crate::read::time(condition, "lastTransitionTime").is_none() {
                let same = |other: &&Value| {
                    ["type", "status"].iter().all(|field| text(other, field) == text(condition, field))
                        && crate::read::time(other, "lastTransitionTime").is_some()
                };
                let since = before.iter().find(same).map(|other| at(other, "lastTransitionTime").clone());
                condition["lastTransitionTime"] = since.unwrap_or_else(|| now.clone());
            }
        }
    }

    fn validate_update(&self, subresource: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        Self::rules(new, Some(old), &mut errors);
        Self::changes(subresource, new, old, &mut errors);
        errors.0
    }

    /// Anything goes that fits into a path.
    fn validate_name(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["spec.signerName"]
    }
}

/// On `/status` decisions stay as they are, if there are as many as before.
fn keep_conditions(new: &mut Value, old: &Value, kind: &str) {
    let kept: Vec<Value> = conditions(old, kind).into_iter().cloned().collect();
    if kept.len() != conditions(new, kind).len() {
        return;
    }
    let all = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    let own = all.into_iter().flatten().filter(|condition| text(condition, "type") == kind);
    own.zip(kept).for_each(|(condition, kept)| *condition = kept);
}

fn trust_bundle(bundle: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, path) = (at(bundle, "spec"), Path::new("spec"));
    let (name, signer) = (meta::name(bundle), text(spec, "signerName"));
    if old.is_none() {
        let at_name = Path::new("metadata").child("name");
        errors.problems(&at_name, name, bundle_name(name, signer));
    }
    if !signer.is_empty() {
        signer_name(signer, &path.child("signerName"), errors);
    }
    let before = old.map(|old| at(old, "spec"));
    let data = text(spec, "trustBundle");
    if before.is_none_or(|before| text(before, "trustBundle") != data) {
        anchors(data, &path.child("trustBundle"), errors);
    }
    if let Some(before) = before {
        errors.immutable_fields(&path, spec, before, &["signerName"]);
    }
}

fn bundle_name(name: &str, signer: &str) -> Vec<String> {
    if signer.is_empty() {
        if name.contains(':') {
            return vec!["ClusterTrustBundle without signer name must not have \":\" in its name".into()];
        }
        return validation::dns1123_subdomain(name);
    }
    let prefix = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&prefix) {
        Some(own) => validation::dns1123_subdomain(own),
        None => {
            vec![format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}")]
        }
    }
}

/// Certificates of authorities, each once.
fn anchors(data: &str, path: &Path, errors: &mut Errors) {
    if data.len() > MAX_BUNDLE {
        return errors.push(FieldError::too_long(path, MAX_BUNDLE));
    }
    let before = errors.0.len();
    let mut bad = |detail: String| errors.invalid(path, "<value omitted>", detail);
    let mut known: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for (index, block) in blocks(data.as_bytes()).enumerate() {
        if block.label != "CERTIFICATE" {
            bad(format!("entry {index} has bad block type: {}", block.label));
            continue;
        }
        match X509Certificate::from_der(&block.contents) {
            Err(_) => bad(format!("entry {index} does not parse as X.509")),
            Ok((_, certificate)) if !certificate.is_ca() => {
                bad(format!("entry {index} does not have the CA bit set"));
            }
            Ok(_) => known.entry(block.contents).or_default().push(index),
        }
    }
    if errors.0.len() > before {
        return;
    }
    if known.is_empty() {
        errors.invalid(path, "<value omitted>", "at least one trust anchor must be provided");
    }
    for indices in known.values().filter(|indices| indices.len() > 1) {
        let listed: Vec<String> = indices.iter().map(usize::to_string).collect();
        let detail = format!("duplicate trust anchor (indices [{}])", listed.join(" "));
        errors.invalid(path, "<value omitted>", detail);
    }
}
