//! The files of configMap, secret, downwardAPI and projected volumes, computed from API objects.
//! Pure; the caller fetches the objects that [`references`] names and the tokens that
//! [`tokens`] asks for.

use std::collections::BTreeMap;

use base64::Engine;
use pod_lifecycle::environment::{Kind, Sources, field_value, resource_value};
use serde_json::Value;

/// Mode of files unless the volume says otherwise.
const MODE_DEFAULT: u32 = 0o644;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub bytes: Vec<u8>,
    pub mode: u32,
}

/// Relative path to content.
pub type Payload = BTreeMap<String, File>;

/// One service-account token to ask the API for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// Where it goes, relative to the volume.
    pub path: String,
    /// Empty: the API server's own audience.
    pub audience: String,
    pub expiration_seconds: i64,
    pub mode: u32,
}

/// Whether a volume is one of those made of API data.
pub fn is_payload(volume: &Value) -> bool {
    ["configMap", "secret", "downwardAPI", "projected"].iter().any(|kind| volume.get(kind).is_some())
}

/// The ConfigMaps and Secrets a volume names.
pub fn references(volume: &Value) -> Vec<(Kind, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let mut all = Vec::new();
    if let Some(source) = volume.get("configMap") {
        all.push((Kind::ConfigMap, text(&source["name"])));
    }
    if let Some(source) = volume.get("secret") {
        all.push((Kind::Secret, text(&source["secretName"])));
    }
    for source in projected(volume) {
        if let Some(source) = source.get("configMap") {
            all.push((Kind::ConfigMap, text(&source["name"])));
        }
        if let Some(source) = source.get("secret") {
            all.push((Kind::Secret, text(&source["name"])));
        }
    }
    all
}

/// The tokens a projected volume asks for.
pub fn tokens(volume: &Value) -> Vec<TokenRequest> {
    let mode = default_mode(&volume["projected"]);
    projected(volume)
        .filter_map(|source| source.get("serviceAccountToken"))
        .map(|token| TokenRequest {
            path: token["path"].as_str().unwrap_or_default().into(),
            audience: token["audience"].as_str().unwrap_or_default().into(),
            expiration_seconds: token["expirationSeconds"].as_i64().unwrap_or(3600),
            mode,
        })
        .collect()
}

/// The files of a volume; `tokens` holds the answers to [`tokens`] by path. The error is what
/// follows `MountVolume.SetUp failed for volume "x" : `.
pub fn payload(
    pod: &Value,
    volume: &Value,
    sources: &Sources,
    tokens: &BTreeMap<String, String>,
) -> Result<Payload, String> {
    let mut files = Payload::new();
    if let Some(source) = volume.get("configMap") {
        object_files(&mut files, Kind::ConfigMap, source, "name", default_mode(source), sources)?;
    }
    if let Some(source) = volume.get("secret") {
        object_files(&mut files, Kind::Secret, source, "secretName", default_mode(source), sources)?;
    }
    if let Some(source) = volume.get("downwardAPI") {
        downward_files(&mut files, pod, source, default_mode(source), sources)?;
    }
    let mode = default_mode(&volume["projected"]);
    for source in projected(volume) {
        if let Some(source) = source.get("configMap") {
            object_files(&mut files, Kind::ConfigMap, source, "name", mode, sources)?;
        }
        if let Some(source) = source.get("secret") {
            object_files(&mut files, Kind::Secret, source, "name", mode, sources)?;
        }
        if let Some(source) = source.get("downwardAPI") {
            downward_files(&mut files, pod, source, mode, sources)?;
        }
        if let Some(token) = source.get("serviceAccountToken") {
            let path = token["path"].as_str().unwrap_or_default();
            let text = tokens.get(path).ok_or_else(|| format!("failed to fetch token for {path:?}"))?;
            files.insert(path.into(), File { bytes: text.clone().into_bytes(), mode });
        }
    }
    Ok(files)
}

fn projected(volume: &Value) -> impl Iterator<Item = &Value> {
    volume["projected"]["sources"].as_array().into_iter().flatten()
}

fn default_mode(source: &Value) -> u32 {
    source["defaultMode"].as_u64().map_or(MODE_DEFAULT, |mode| mode as u32)
}

/// All keys, or the listed items.
fn object_files(
    files: &mut Payload,
    kind: Kind,
    source: &Value,
    name_field: &str,
    mode: u32,
    sources: &Sources,
) -> Result<(), String> {
    let name = source[name_field].as_str().unwrap_or_default();
    let optional = source["optional"].as_bool().unwrap_or(false);
    let Some(object) = sources.objects.get(&(kind, name.to_string())) else {
        return if optional { Ok(()) } else { Err(format!("{} {name:?} not found", kind.word())) };
    };
    let data = data(kind, object);
    let items = source["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        files.extend(data.into_iter().map(|(key, bytes)| (key, File { bytes, mode })));
        return Ok(());
    }
    for item in items {
        let key = item["key"].as_str().unwrap_or_default();
        let path = item["path"].as_str().unwrap_or_default();
        let mode = item["mode"].as_u64().map_or(mode, |mode| mode as u32);
        match data.get(key) {
            Some(bytes) => {
                files.insert(path.into(), File { bytes: bytes.clone(), mode });
            }
            None if optional => {}
            None => return Err(format!("references non-existent {} key: {key}", kind_word(kind))),
        }
    }
    Ok(())
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::ConfigMap => "config",
        Kind::Secret => "secret",
    }
}

/// `data` (base64 in Secrets) and `binaryData`.
fn data(kind: Kind, object: &Value) -> BTreeMap<String, Vec<u8>> {
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    let mut all = BTreeMap::new();
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        all.insert(key.clone(), if kind == Kind::Secret { decode(text) } else { text.as_bytes().to_vec() });
    }
    for (key, value) in object["binaryData"].as_object().into_iter().flatten() {
        all.insert(key.clone(), decode(value.as_str().unwrap_or_default()));
    }
    all
}

fn downward_files(
    files: &mut Payload,
    pod: &Value,
    source: &Value,
    mode: u32,
    sources: &Sources,
) -> Result<(), String> {
    for item in source["items"].as_array().into_iter().flatten() {
        let text = if let Some(field) = item.get("fieldRef") {
            field_value(pod, field["fieldPath"].as_str().unwrap_or_default(), sources)?
        } else {
            resource_value(pod, &Value::Null, &item["resourceFieldRef"], &sources.node_allocatable)?
        };
        let mode = item["mode"].as_u64().map_or(mode, |mode| mode as u32);
        files.insert(
            item["path"].as_str().unwrap_or_default().into(),
            File { bytes: text.into_bytes(), mode },
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn sources() -> Sources {
        let mut sources = Sources::default();
        sources.objects.insert(
            (Kind::ConfigMap, "cm".into()),
            Arc::new(json!({"data": {"a": "1", "b": "2"}, "binaryData": {"c": "AAE="}})),
        );
        sources
            .objects
            .insert((Kind::Secret, "s".into()), Arc::new(json!({"data": {"password": "czNjcmV0"}})));
        sources
    }

    fn files(volume: Value) -> Result<Vec<(String, String, u32)>, String> {
        let pod = json!({"metadata": {"name": "p", "namespace": "default", "labels": {"x": "y"}}});
        let tokens = [("token".to_string(), "jwt".to_string())].into();
        let payload = payload(&pod, &volume, &sources(), &tokens)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(payload.into_iter().map(|(path, file)| (path, text(&file.bytes), file.mode)).collect())
    }

    #[test]
    fn all_keys_or_the_listed_ones() {
        let all = files(json!({"name": "v", "configMap": {"name": "cm"}})).expect("exists");
        assert_eq!(all.len(), 3);
        assert_eq!(all[0], ("a".into(), "1".into(), 0o644));
        let some =
            files(json!({"configMap": {"name": "cm", "items": [{"key": "b", "path": "x/y", "mode": 256}]}}));
        assert_eq!(some, Ok(vec![("x/y".into(), "2".into(), 0o400)]));
    }

    #[test]
    fn missing_objects_and_keys_are_named() {
        let missing =
            |optional: bool| files(json!({"configMap": {"name": "app-config", "optional": optional}}));
        assert_eq!(missing(false), Err("configmap \"app-config\" not found".into()));
        assert_eq!(missing(true), Ok(vec![]));
        let key = files(json!({"secret": {"secretName": "s", "items": [{"key": "nope", "path": "p"}]}}));
        assert_eq!(key, Err("references non-existent secret key: nope".into()));
    }

    #[test]
    fn projected_volumes_join_their_sources() {
        let volume = json!({"projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "cm", "items": [{"key": "a", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]}});
        assert_eq!(tokens(&volume)[0].expiration_seconds, 3607);
        let names: Vec<_> = files(volume).expect("all exist").into_iter().map(|f| (f.0, f.1)).collect();
        let text = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(names, [text("ca.crt", "1"), text("namespace", "default"), text("token", "jwt")]);
    }
}
