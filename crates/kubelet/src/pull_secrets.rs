//! Image pull secrets: which of their credentials are for an image's registry.

use base64::Engine;
use client::Object;
use serde_json::Value;

use crate::pull_records::PullSecret;
use crate::runtime::Credentials;

/// Credentials, and the secret they are from.
#[derive(Clone)]
pub struct Found {
    pub credentials: Credentials,
    pub secret: PullSecret,
}

/// The credentials in image pull secrets (both formats) whose registry is the image's; the
/// longest match first.
pub fn credentials(image: &str, secrets: &[Object]) -> Vec<Found> {
    let mut found: Vec<(usize, Found)> = Vec::new();
    for secret in secrets {
        let (key, nested) = match secret["type"].as_str() {
            Some("kubernetes.io/dockerconfigjson") => (".dockerconfigjson", true),
            Some("kubernetes.io/dockercfg") => (".dockercfg", false),
            _ => continue,
        };
        let Some(config) = decode(&secret["data"][key]) else { continue };
        let registries = if nested { &config["auths"] } else { &config };
        for (registry, entry) in registries.as_object().into_iter().flatten() {
            let registry = normalize(registry);
            if matches(image, &registry)
                && let Some(credentials) = entry_credentials(entry)
            {
                found.push((registry.len(), Found { secret: identity(secret, &credentials), credentials }));
            }
        }
    }
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, found)| found).collect()
}

fn identity(secret: &Value, credentials: &Credentials) -> PullSecret {
    let text = |field: &str| secret["metadata"][field].as_str().unwrap_or_default().to_string();
    let both = serde_json::json!([credentials.username, credentials.password]).to_string();
    PullSecret {
        uid: text("uid"),
        namespace: text("namespace"),
        name: text("name"),
        hash: image::Digest::of(both.as_bytes()),
    }
}

fn decode(value: &Value) -> Option<Value> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str()?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// `https://index.docker.io/v1/` and `registry:5000/` as `docker.io` and `registry:5000`.
fn normalize(registry: &str) -> String {
    let text = registry.trim_start_matches("https://").trim_start_matches("http://");
    let text = text.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
    match text {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".into(),
        text => text.to_string(),
    }
}

/// Whether the image lies below the registry (and path) an entry names; `*.` matches one label.
fn matches(image: &str, registry: &str) -> bool {
    let (host, path) = registry.split_once('/').unwrap_or((registry, ""));
    let Some((image_host, image_path)) = image.split_once('/') else { return false };
    let labels: Vec<_> = host.split('.').collect();
    let image_labels: Vec<_> = image_host.split('.').collect();
    let same_host = labels.len() == image_labels.len()
        && labels.iter().zip(&image_labels).all(|(l, i)| *l == "*" || l == i);
    same_host && image_path.starts_with(path)
}

fn entry_credentials(entry: &Value) -> Option<Credentials> {
    if let (Some(username), Some(password)) = (entry["username"].as_str(), entry["password"].as_str()) {
        return Some(Credentials { username: username.into(), password: password.into() });
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(entry["auth"].as_str()?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Credentials { username: username.into(), password: password.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn credentials_go_to_their_own_registry_only() {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let config = json!({"auths": {
            "registry.local:5000": {"auth": encode("alice:secret")},
            "https://index.docker.io/v1/": {"username": "bob", "password": "hidden"},
        }});
        let secret = json!({"type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": encode(&config.to_string())}});
        let names = |image: &str| -> Vec<String> {
            credentials(image, &[Arc::new(secret.clone())])
                .into_iter()
                .map(|c| c.credentials.username)
                .collect()
        };
        assert_eq!(names("registry.local:5000/app:1"), ["alice"]);
        assert_eq!(names("docker.io/library/nginx:1"), ["bob"]);
        assert!(names("evil.example/app:1").is_empty());
    }
}
