//! Having the image of a container: pull policy, credentials, back-off and the events that tell
//! of it, in upstream's words.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use client::{Object, ObjectRef, Recorder};
use env::Env;
use jiff::Timestamp;
use pod_lifecycle::backoff::{self, Backoff};
use serde_json::Value;

use crate::runtime::{Credentials, Image, PodRuntime, PullError};

/// Pulls under way at once on a node; further ones wait.
const PARALLEL_PULLS_MAX: usize = 5;

/// Reason and message of `waiting`, and when to try again.
#[derive(Clone, Debug)]
pub struct Failure {
    pub reason: &'static str,
    pub message: String,
    pub retry: Retry,
}

#[derive(Clone, Copy, Debug)]
pub enum Retry {
    /// The pull failed just now: tell of it, then back off.
    Soon,
    At(Timestamp),
    /// Not before something changes.
    Never,
}

/// What to have.
pub struct Wanted<'a> {
    pub object: ObjectRef,
    pub pod_uid: &'a str,
    /// As the Pod writes it.
    pub image: &'a str,
    pub policy: &'a str,
    /// Contents of the Pod's imagePullSecrets.
    pub secrets: Vec<Object>,
}

type Failures = HashMap<(String, String), (Backoff, PullError)>;

/// Cheap to clone.
#[derive(Clone)]
pub struct Images {
    env: Env,
    runtime: Arc<dyn PodRuntime>,
    recorder: Recorder,
    /// Back-off and last error by Pod and image.
    failures: Arc<Mutex<Failures>>,
    pulls: Arc<tokio::sync::Semaphore>,
}

impl Images {
    pub fn new(env: &Env, runtime: Arc<dyn PodRuntime>, recorder: Recorder) -> Images {
        Images {
            env: env.clone(),
            runtime,
            recorder,
            failures: Arc::default(),
            pulls: Arc::new(tokio::sync::Semaphore::new(PARALLEL_PULLS_MAX)),
        }
    }

    /// Forgets a Pod that is gone.
    pub fn forget(&self, pod_uid: &str) {
        self.failures.lock().expect("no holder of the map panics").retain(|(uid, _), _| uid != pod_uid);
    }

    pub async fn ensure(&self, wanted: Wanted<'_>) -> Result<Image, Failure> {
        let name = match image::Reference::parse(wanted.image) {
            Ok(reference) => reference.to_string(),
            Err(error) => {
                let message = format!("Failed to apply default image tag {:?}: {error}", wanted.image);
                self.recorder.warning(wanted.object.clone(), "InspectFailed", message.clone());
                return Err(self.failed(&wanted, "InvalidImageName", message, Retry::Never));
            }
        };
        let present = match self.runtime.image_status(&name).await {
            Ok(present) => present,
            Err(error) => {
                let message = format!("Failed to inspect image {:?}: {error}", wanted.image);
                self.recorder.warning(wanted.object.clone(), "InspectFailed", message.clone());
                return Err(self.failed(&wanted, "ImageInspectError", message, Retry::Soon));
            }
        };
        match (wanted.policy, present) {
            ("Always", _) | ("IfNotPresent", None) => self.pull(&wanted, &name).await,
            (_, Some(image)) => {
                let message = format!("Container image {:?} already present on machine", wanted.image);
                self.recorder.normal(wanted.object.clone(), "Pulled", message);
                Ok(image)
            }
            (_, None) => {
                let message =
                    format!("Container image {:?} is not present with pull policy of Never", wanted.image);
                self.recorder.warning(wanted.object.clone(), "ErrImageNeverPull", message.clone());
                Err(self.failed(&wanted, "ErrImageNeverPull", message, Retry::Soon))
            }
        }
    }

    fn failed(&self, wanted: &Wanted<'_>, reason: &'static str, message: String, retry: Retry) -> Failure {
        self.recorder.warning(wanted.object.clone(), "Failed", format!("Error: {reason}"));
        Failure { reason, message, retry }
    }

    async fn pull(&self, wanted: &Wanted<'_>, name: &str) -> Result<Image, Failure> {
        let key = (wanted.pod_uid.to_string(), wanted.image.to_string());
        let before = self.failures.lock().expect("no holder of the map panics").get(&key).cloned();
        if let Some((entry, error)) = &before
            && let Some(until) = backoff::blocked_until(Some(entry), entry.updated, self.env.now())
        {
            let text = format!("Back-off pulling image {:?}", wanted.image);
            self.recorder.normal(wanted.object.clone(), "BackOff", text.clone());
            let (reason, cause) = match error {
                PullError::Failed(cause) => ("ErrImagePull", cause),
                PullError::Unreachable(cause) => ("RegistryUnavailable", cause),
            };
            let message = format!("{text}: {reason}: {cause}");
            return Err(self.failed(wanted, "ImagePullBackOff", message, Retry::At(until)));
        }
        self.recorder.normal(wanted.object.clone(), "Pulling", format!("Pulling image {:?}", wanted.image));
        let asked = self.env.instant();
        let Ok(_permit) = self.pulls.acquire().await else {
            return Err(self.failed(wanted, "ErrImagePull", "the node is shutting down".into(), Retry::Soon));
        };
        let started = self.env.instant();
        match self.pull_with_credentials(wanted, name).await {
            Ok(image) => {
                self.failures.lock().expect("no holder of the map panics").remove(&key);
                let message = format!(
                    "Successfully pulled image {:?} in {} ({} including waiting). Image size: {} bytes.",
                    wanted.image,
                    go_duration(started.elapsed()),
                    go_duration(asked.elapsed()),
                    image.size
                );
                self.recorder.normal(wanted.object.clone(), "Pulled", message);
                Ok(image)
            }
            Err(error) => {
                let now = self.env.now();
                let entry = backoff::next(before.as_ref().map(|(b, _)| b), now, now);
                self.failures
                    .lock()
                    .expect("no holder of the map panics")
                    .insert(key, (entry, error.clone()));
                let (reason, cause) = match error {
                    PullError::Failed(cause) => ("ErrImagePull", cause),
                    PullError::Unreachable(cause) => ("RegistryUnavailable", cause),
                };
                let event = format!("Failed to pull image {:?}: {cause}", wanted.image);
                self.recorder.warning(wanted.object.clone(), "Failed", event);
                Err(self.failed(wanted, reason, cause, Retry::Soon))
            }
        }
    }

    /// Tries each credential set that matches the registry, or none.
    async fn pull_with_credentials(&self, wanted: &Wanted<'_>, name: &str) -> Result<Image, PullError> {
        let all = credentials(name, &wanted.secrets);
        if all.is_empty() {
            return self.runtime.pull_image(name, None).await;
        }
        let mut last = PullError::Failed("no credentials".into());
        for credentials in all {
            match self.runtime.pull_image(name, Some(credentials)).await {
                Ok(image) => return Ok(image),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// As Go prints a duration that was cut to milliseconds.
fn go_duration(duration: Duration) -> String {
    backoff::go_duration(Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}

/// The credentials in image pull secrets (both formats) whose registry is the image's; the
/// longest match first.
pub fn credentials(image: &str, secrets: &[Object]) -> Vec<Credentials> {
    let mut found: Vec<(usize, Credentials)> = Vec::new();
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
                found.push((registry.len(), credentials));
            }
        }
    }
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, credentials)| credentials).collect()
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
            credentials(image, &[Arc::new(secret.clone())]).into_iter().map(|c| c.username).collect()
        };
        assert_eq!(names("registry.local:5000/app:1"), ["alice"]);
        assert_eq!(names("docker.io/library/nginx:1"), ["bob"]);
        assert!(names("evil.example/app:1").is_empty());
    }
}
