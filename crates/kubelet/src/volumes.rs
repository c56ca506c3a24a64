//! Sets up the volumes of a Pod and keeps those made of API data current.

use std::collections::BTreeMap;
use std::path::PathBuf;

use api::qos::quantity;
use pod_lifecycle::environment::Sources;
use serde_json::{Value, json};
use volume::payload::{self, TokenRequest};
use volume::{EmptyDir, Volumes};

use crate::container::VolumePaths;
use crate::shared::Shared;
use crate::tokens::TokenKey;

/// What went wrong with one volume: the text of the FailedMount event.
pub struct MountError {
    pub message: String,
}

impl Shared {
    /// Host paths of all volumes. Run again, it updates what is made of API data.
    pub async fn set_up_volumes(&self, pod: &Value, pod_ips: &[String]) -> Result<VolumePaths, MountError> {
        let mut paths = VolumePaths::new();
        let volumes: Vec<&Value> = pod["spec"]["volumes"].as_array().into_iter().flatten().collect();
        if volumes.is_empty() {
            return Ok(paths);
        }
        let sources = self.sources(pod, pod_ips).await;
        for volume in volumes {
            let name = volume["name"].as_str().unwrap_or_default();
            let path = self.set_up_volume(pod, volume, name, &sources).await.map_err(|error| MountError {
                message: format!("MountVolume.SetUp failed for volume {name:?} : {error}"),
            })?;
            paths.insert(name.into(), path);
        }
        Ok(paths)
    }

    async fn set_up_volume(
        &self,
        pod: &Value,
        volume: &Value,
        name: &str,
        sources: &Sources,
    ) -> Result<PathBuf, String> {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_string();
        let group = pod["spec"]["securityContext"]["fsGroup"].as_u64().map(|gid| gid as u32);
        let (volumes, name) = (self.volumes.clone(), name.to_string());
        if payload::is_payload(volume) {
            let tokens = self.tokens(pod, &payload::tokens(volume)).await?;
            let files = payload::payload(pod, volume, sources, &tokens)?;
            let stamp = format!("{}.{}", self.env.now().as_millisecond(), self.env.hex(4));
            return self
                .blocking(move || {
                    volumes.payload(&uid, &name, &files, &stamp, group).map_err(|error| error.to_string())
                })
                .await;
        }
        if let Some(host_path) = volume.get("hostPath") {
            let path = host_path["path"].as_str().unwrap_or_default().to_string();
            let kind = host_path["type"].as_str().unwrap_or_default().to_string();
            return self.blocking(move || volumes.host_path(&path, &kind)).await;
        }
        let options = empty_dir_options(&volume["emptyDir"]);
        self.blocking(move || empty_dir(&volumes, &uid, &name, options, group)).await
    }

    async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<R, String> + Send + 'static,
    ) -> Result<R, String> {
        self.env.spawn_blocking(work).await.map_err(|error| error.to_string())?
    }

    /// Tokens bound to the Pod; a new one is asked for once most of the old one's life is over.
    async fn tokens(&self, pod: &Value, wanted: &[TokenRequest]) -> Result<BTreeMap<String, String>, String> {
        let mut tokens = BTreeMap::new();
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
        for request in wanted {
            let key =
                TokenKey { pod: uid.into(), path: request.path.clone(), audience: request.audience.clone() };
            if let Some(token) = self.tokens.get(&key, self.env.now()) {
                tokens.insert(request.path.clone(), token);
                continue;
            }
            let audiences: Vec<&str> =
                if request.audience.is_empty() { Vec::new() } else { vec![&request.audience] };
            let body = json!({
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {
                    "audiences": audiences,
                    "expirationSeconds": request.expiration_seconds,
                    "boundObjectRef": {
                        "kind": "Pod",
                        "apiVersion": "v1",
                        "name": pod["metadata"]["name"],
                        "uid": pod["metadata"]["uid"],
                    },
                },
            });
            let accounts = self.client.resource("", "v1", "serviceaccounts");
            let answer = accounts
                .create_sub(namespace, account, "token", body)
                .await
                .map_err(|status| format!("failed to fetch token: {status}"))?;
            let token = answer["status"]["token"].as_str().unwrap_or_default().to_string();
            self.tokens.put(key, token.clone(), self.env.now(), request.expiration_seconds);
            tokens.insert(request.path.clone(), token);
        }
        Ok(tokens)
    }
}

fn empty_dir_options(source: &Value) -> EmptyDir {
    EmptyDir {
        memory: source["medium"] == "Memory",
        size_limit_bytes: quantity(source, "sizeLimit")
            .and_then(|q| u64::try_from(q.value()).ok())
            .filter(|b| *b > 0),
    }
}

fn empty_dir(
    volumes: &Volumes,
    uid: &str,
    name: &str,
    options: EmptyDir,
    group: Option<u32>,
) -> Result<PathBuf, String> {
    volumes.empty_dir(uid, name, options, group).map_err(|error| error.to_string())
}
