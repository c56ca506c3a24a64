//! Warnings about files of one volume that would lie on or below each other.

use crate::read::{at, has, list, opt_text, text};
use apimachinery::go;
use serde_json::Value;

/// A path in the volume, and where it comes from (empty where the volume has one source).
#[derive(Clone, PartialEq)]
struct File {
    path: String,
    source: String,
}

impl std::fmt::Display for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&go::quote(&self.path))?;
        if self.source.is_empty() { Ok(()) } else { write!(f, " ({})", self.source) }
    }
}

pub(super) fn overlaps(spec: &Value, out: &mut Vec<String>) {
    for volume in list(spec, "volumes") {
        let name = go::quote(text(volume, "name"));
        for (field, kind, name_field) in [
            ("configMap", "ConfigMap ", "name"),
            ("secret", "Secret ", "secretName"),
            ("downwardAPI", "DownwardAPI", ""),
        ] {
            let source = at(volume, field);
            let quoted =
                if name_field.is_empty() { String::new() } else { go::quote(text(source, name_field)) };
            let mut files = Vec::new();
            for file in items(source, "") {
                add(&mut files, file, &name, &format!("{kind}{quoted}"), out);
            }
        }
        let mut files = Vec::new();
        for source in list(at(volume, "projected"), "sources") {
            if source.as_object().is_none_or(serde_json::Map::is_empty) {
                out.push(format!("volume {name} (Projected) has no sources provided"));
            }
            for file in projected(source) {
                add(&mut files, file, &name, "Projected", out);
            }
        }
    }
}

fn items(source: &Value, from: &str) -> Vec<File> {
    let file = |item: &Value| File { path: text(item, "path").to_owned(), source: from.to_owned() };
    list(source, "items").iter().map(file).collect()
}

fn projected(source: &Value) -> Vec<File> {
    let one = |path: &str, from: String| vec![File { path: path.to_owned(), source: from }];
    for (field, kind) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
        if has(source, field) {
            let inner = at(source, field);
            return items(inner, &format!("{kind} {}", go::quote(text(inner, "name"))));
        }
    }
    if has(source, "downwardAPI") {
        return items(at(source, "downwardAPI"), "DownwardAPI");
    }
    if has(source, "serviceAccountToken") {
        return one(text(at(source, "serviceAccountToken"), "path"), "ServiceAccountToken".into());
    }
    if has(source, "clusterTrustBundle") {
        let bundle = at(source, "clusterTrustBundle");
        let name = opt_text(bundle, "name").unwrap_or_else(|| text(bundle, "signerName"));
        return one(text(bundle, "path"), format!("ClusterTrustBundle {}", go::quote(name)));
    }
    let certificate = at(source, "podCertificate");
    let parts = [
        ("certificateChainPath", "PodCertificate chain"),
        ("keyPath", "PodCertificate key"),
        ("credentialBundlePath", "PodCertificate credential bundle"),
    ];
    let given = parts.into_iter().filter(|(field, _)| !text(certificate, field).is_empty());
    given
        .map(|(field, from)| File { path: text(certificate, field).to_owned(), source: from.to_owned() })
        .collect()
}

fn add(files: &mut Vec<File>, mut file: File, volume: &str, kind: &str, out: &mut Vec<String>) {
    file.path = file.path.trim_end_matches('/').to_owned();
    let below = |a: &str, b: &str| format!("{a}/").starts_with(&format!("{b}/"));
    for other in files.iter().filter(|other| !other.path.is_empty() && !file.path.is_empty()) {
        if below(&other.path, &file.path) || below(&file.path, &other.path) {
            out.push(format!("volume {volume} ({kind}): overlapping paths: {file} with {other}"));
        }
    }
    files.push(file);
}
