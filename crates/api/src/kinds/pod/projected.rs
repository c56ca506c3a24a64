//! Projected volumes: several sources in one directory, whose files must not collide.

use super::Context;
use super::affinity::label_selector;
use super::env::downward_file;
use super::errors::Errors;
use super::volumes::key_to_path;
use crate::read::{at, has, int, list, opt_text, text};
use apimachinery::{FieldError, Path, validation};
use serde_json::Value;
use std::collections::HashSet;

const SOURCES: [&str; 6] =
    ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];
const CLASH: &str = "conflicting duplicate paths";
const KEY_TYPES: [&str; 6] = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
const HOUR: i64 = 3600;

pub(super) fn volume(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    errors.mode(path, source, "defaultMode");
    let mut files = HashSet::new();
    for (index, source) in list(source, "sources").iter().enumerate() {
        let at_source = path.child("sources").index(index);
        let there: Vec<&'static str> = SOURCES.into_iter().filter(|field| has(source, field)).collect();
        for field in &there {
            let (one, inner) = (at(source, field), at_source.child(*field));
            match *field {
                "secret" | "configMap" => keys(one, &inner, path, &mut files, errors),
                "downwardAPI" => downward(one, &inner, path, &mut files, errors),
                "serviceAccountToken" => token(one, &inner, path, errors),
                "clusterTrustBundle" => trust_bundle(one, &inner, path, &mut files, errors),
                _ => certificate(one, &inner, path, &mut files, errors),
            }
        }
        if there.len() > 1 {
            errors.forbidden(&at_source, "may not specify more than 1 volume type per source");
        }
    }
}

type Files<'a> = HashSet<&'a str>;

fn keys<'a>(source: &'a Value, inner: &Path, path: &Path, files: &mut Files<'a>, errors: &mut Errors) {
    errors.need(inner, source, "name");
    for (index, item) in list(source, "items").iter().enumerate() {
        key_to_path(item, &inner.child("items").index(index), errors);
        let file = text(item, "path");
        if !file.is_empty() && !files.insert(file) {
            errors.invalid(path, text(source, "name"), CLASH);
        }
    }
}

fn downward<'a>(source: &'a Value, inner: &Path, path: &Path, files: &mut Files<'a>, errors: &mut Errors) {
    for item in list(source, "items") {
        downward_file(item, inner, errors);
        let file = text(item, "path");
        if !file.is_empty() && !files.insert(file) {
            errors.invalid(path, file, CLASH);
        }
    }
}

fn token(source: &Value, inner: &Path, path: &Path, errors: &mut Errors) {
    let at_seconds = inner.child("expirationSeconds");
    let seconds = int(source, "expirationSeconds").unwrap_or(0);
    if seconds < 600 {
        errors.invalid(&at_seconds, seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > 1 << 32 {
        errors.invalid(&at_seconds, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    if errors.need(path, source, "path") {
        errors.local_path(&path.child("path"), text(source, "path"));
    }
}

fn trust_bundle<'a>(
    source: &'a Value,
    inner: &Path,
    path: &Path,
    files: &mut Files<'a>,
    errors: &mut Errors,
) {
    match (opt_text(source, "name"), opt_text(source, "signerName")) {
        (Some(_), Some(_)) => {
            errors.invalid(inner, source.clone(), "only one of name and signerName may be used")
        }
        (Some(name), None) => {
            if name.is_empty() {
                errors.required(&inner.child("name"), "must be a valid object name");
            }
            let own = name.rsplit_once(':').map_or(name, |(_, own)| own);
            for problem in validation::dns1123_subdomain(own) {
                let detail = format!("not a valid clustertrustbundlename: {problem}");
                errors.invalid(&inner.child("name"), name, detail);
            }
            if has(source, "labelSelector") {
                let selector = at(source, "labelSelector").clone();
                let detail = "labelSelector must be unset if name is specified";
                errors.invalid(&inner.child("labelSelector"), selector, detail);
            }
        }
        (None, Some(signer)) => {
            if signer.is_empty() {
                errors.required(&inner.child("signerName"), "must be a valid signer name");
            }
            signer_name(signer, &inner.child("signerName"), errors);
            label_selector(at(source, "labelSelector"), &inner.child("labelSelector"), errors);
        }
        (None, None) => errors.required(inner, "either name or signerName must be specified"),
    }
    let file = text(source, "path");
    errors.need(inner, source, "path");
    errors.local_path(&inner.child("path"), file);
    if !files.insert(file) {
        errors.invalid(path, file, CLASH);
    }
}

/// `domain.example/name`.
fn signer_name(name: &str, path: &Path, errors: &mut Errors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    let segments: Vec<&str> = name.split('/').collect();
    let [domain, own] = segments.as_slice() else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.invalid(path, name, detail);
        return;
    };
    if domain.len() > validation::MAX_SUBDOMAIN {
        errors.push(FieldError::too_long(path, validation::MAX_SUBDOMAIN));
    }
    labels(domain, validation::dns1123_label, path, errors);
    if !domain.contains('.') {
        errors.invalid(path, *domain, "should be a domain with at least two segments separated by dots");
    }
    labels(own, validation::dns1123_subdomain, path, errors);
}

fn labels(text: &str, rule: fn(&str) -> Vec<String>, path: &Path, errors: &mut Errors) {
    for label in text.split('.') {
        for problem in rule(label) {
            let label = apimachinery::go::quote(label);
            errors.invalid(path, text, format!("validating label {label}: {problem}"));
        }
    }
}

fn certificate<'a>(source: &'a Value, inner: &Path, path: &Path, files: &mut Files<'a>, errors: &mut Errors) {
    let signer = text(source, "signerName");
    signer_name(signer, &inner.child("signerName"), errors);
    if let Some(notes) = source.get("userAnnotations").and_then(Value::as_object) {
        errors.0.extend(validation::annotations(notes, &inner.child("userAnnotations")));
    }
    errors.known(&inner.child("keyType"), text(source, "keyType"), &KEY_TYPES);
    if let Some(seconds) = int(source, "maxExpirationSeconds") {
        let at_seconds = inner.child("maxExpirationSeconds");
        let host = signer.split('/').next().unwrap_or_default();
        let own = host == "kubernetes.io" || host.ends_with(".kubernetes.io");
        let most = if own { 24 * HOUR } else { 91 * 24 * HOUR };
        if seconds < HOUR {
            errors.invalid(&at_seconds, seconds, "if provided, maxExpirationSeconds must be >= 3600");
        }
        if seconds > most {
            errors.invalid(
                &at_seconds,
                seconds,
                format!("if provided, maxExpirationSeconds must be <= {most}"),
            );
        }
    }
    let mut count = 0;
    for field in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
        let file = text(source, field);
        if file.is_empty() {
            continue;
        }
        count += 1;
        errors.local_path(&inner.child(field), file);
        if !files.insert(file) {
            errors.invalid(path, file, CLASH);
        }
    }
    if count == 0 {
        errors.required(
            inner,
            "specify at least one of credentialBundlePath, keyPath, and certificateChainPath",
        );
    }
}
