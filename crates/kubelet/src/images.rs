//! Having the image of a container: pull policy, credentials, back-off and the events that tell
//! of it, in upstream's words.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{Object, ObjectRef, Recorder};
use env::Env;
use jiff::Timestamp;
use pod_lifecycle::backoff::{self, Backoff};

use crate::pull_records::{PullRecords, PullSecret};
use crate::pull_secrets::{Found, credentials};
use crate::runtime::{Image, PodRuntime, PullError};

/// Pulls under way at once on a node; further ones wait.
const PARALLEL_PULLS_MAX: usize = 5;
/// Also where no registry answers: containerd tells a kubelet no difference.
const PULL_FAILED: &str = "ErrImagePull";

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
    records: PullRecords,
    /// Back-off and last error by Pod and image.
    failures: Arc<Mutex<Failures>>,
    pulls: Arc<tokio::sync::Semaphore>,
}

impl Images {
    pub fn new(env: &Env, runtime: Arc<dyn PodRuntime>, recorder: Recorder, records: PullRecords) -> Images {
        Images {
            env: env.clone(),
            runtime,
            recorder,
            records,
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
        let found = credentials(&name, &wanted.secrets);
        let usable = present.filter(|image| !self.must_pull(&name, image, &found));
        match (wanted.policy, usable) {
            ("Always", _) | ("IfNotPresent", None) => self.pull(&wanted, &name, &found).await,
            (_, Some(image)) => {
                let message = format!(
                    "Container image {:?} already present on machine and can be accessed by the pod",
                    wanted.image
                );
                self.recorder.normal(wanted.object.clone(), "Pulled", message);
                Ok(image)
            }
            // Whether it is there is none of the business of a Pod that may not have it.
            (_, None) => {
                let message =
                    format!("Container image {:?} is not present with pull policy of Never", wanted.image);
                self.recorder.warning(wanted.object.clone(), "ErrImageNeverPull", message.clone());
                Err(self.failed(&wanted, "ErrImageNeverPull", message, Retry::Soon))
            }
        }
    }

    fn must_pull(&self, name: &str, image: &Image, found: &[Found]) -> bool {
        let secrets: Vec<PullSecret> = found.iter().map(|found| found.secret.clone()).collect();
        !self.runtime.provides(name) && self.records.must_pull(name, &image.id, &secrets)
    }

    fn failed(&self, wanted: &Wanted<'_>, reason: &'static str, message: String, retry: Retry) -> Failure {
        self.recorder.warning(wanted.object.clone(), "Failed", format!("Error: {reason}"));
        Failure { reason, message, retry }
    }

    async fn pull(&self, wanted: &Wanted<'_>, name: &str, found: &[Found]) -> Result<Image, Failure> {
        let key = (wanted.pod_uid.to_string(), wanted.image.to_string());
        let before = self.failures.lock().expect("no holder of the map panics").get(&key).cloned();
        if let Some((entry, error)) = &before
            && let Some(until) = backoff::blocked_until(Some(entry), entry.updated, self.env.now())
        {
            let text = format!("Back-off pulling image {:?}", wanted.image);
            self.recorder.normal(wanted.object.clone(), "BackOff", text.clone());
            let message = format!("{text}: {PULL_FAILED}: {}", error.0);
            return Err(self.failed(wanted, "ImagePullBackOff", message, Retry::At(until)));
        }
        self.recorder.normal(wanted.object.clone(), "Pulling", format!("Pulling image {:?}", wanted.image));
        let asked = self.env.instant();
        let Ok(_permit) = self.pulls.acquire().await else {
            return Err(self.failed(wanted, PULL_FAILED, "the node is shutting down".into(), Retry::Soon));
        };
        let started = self.env.instant();
        match self.pull_recorded(name, found).await {
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
                let event = format!("Failed to pull image {:?}: {}", wanted.image, error.0);
                self.recorder.warning(wanted.object.clone(), "Failed", event);
                Err(self.failed(wanted, PULL_FAILED, error.0, Retry::Soon))
            }
        }
    }

    /// Pulls, and notes with what.
    async fn pull_recorded(&self, name: &str, found: &[Found]) -> Result<Image, PullError> {
        if self.runtime.provides(name) {
            return self.runtime.pull_image(name, None).await;
        }
        let noted = self.records.begin(name);
        noted.map_err(|error| PullError(format!("the pull cannot be recorded: {error}")))?;
        match self.pull_with_credentials(name, found).await {
            Ok((image, secret)) => {
                self.records.succeeded(name, &image.id, secret.as_ref());
                Ok(image)
            }
            Err(error) => {
                self.records.failed(name);
                Err(error)
            }
        }
    }

    /// Tries each credential set that matches the registry, or none; tells which one was right.
    async fn pull_with_credentials(
        &self,
        name: &str,
        found: &[Found],
    ) -> Result<(Image, Option<PullSecret>), PullError> {
        if found.is_empty() {
            return Ok((self.runtime.pull_image(name, None).await?, None));
        }
        let mut last = PullError("no credentials".into());
        for Found { credentials, secret } in found {
            match self.runtime.pull_image(name, Some(credentials.clone())).await {
                Ok(image) => return Ok((image, Some(secret.clone()))),
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
