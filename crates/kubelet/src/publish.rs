//! Writes the status of one Pod to the API: always the latest, one write at a time, so that the
//! worker never waits for it and a burst of changes costs one patch.

use client::{Client, Patch};
use env::Env;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::watch;

/// Wait between attempts while the API does not take a status.
const RETRY: Duration = Duration::from_millis(500);

/// Which Pod.
#[derive(Clone, Debug)]
pub struct Target {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

pub struct Publisher {
    wanted: watch::Sender<Option<Value>>,
    written: watch::Receiver<Option<Value>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Publisher {
    /// `known` is the status that the API has.
    pub fn start(env: &Env, client: &Client, target: Target, known: Value) -> Publisher {
        let (wanted, wanted_out) = watch::channel(None);
        let (written_in, written) = watch::channel(None);
        let run = Run { env: env.clone(), client: client.clone(), target, known };
        Publisher { wanted, written, task: env.spawn(run.run(wanted_out, written_in)) }
    }

    /// Hands over the status; it is written soon.
    pub fn set(&self, status: Value) {
        self.wanted.send_if_modified(|current| {
            let changed = current.as_ref() != Some(&status);
            if changed {
                *current = Some(status);
            }
            changed
        });
    }

    /// Waits until the latest status is written (or the Pod is gone).
    pub async fn flush(&mut self) {
        let wanted = self.wanted.borrow().clone();
        let _ = self.written.wait_for(|written| *written == wanted).await;
    }
}

struct Run {
    env: Env,
    client: Client,
    target: Target,
    known: Value,
}

impl Run {
    async fn run(
        mut self,
        mut wanted: watch::Receiver<Option<Value>>,
        written: watch::Sender<Option<Value>>,
    ) {
        loop {
            let Some(status) = wanted.borrow_and_update().clone() else {
                if wanted.changed().await.is_err() {
                    return;
                }
                continue;
            };
            if !self.write(&status).await {
                // Something newer may have come meanwhile; it is taken up after the wait.
                self.env.sleep(RETRY).await;
                continue;
            }
            written.send_replace(Some(status));
            if wanted.changed().await.is_err() {
                return;
            }
        }
    }

    /// False if it must be tried again.
    async fn write(&mut self, status: &Value) -> bool {
        let patch = patch(&self.known, status);
        if patch.as_object().is_some_and(serde_json::Map::is_empty) {
            return true;
        }
        let body = json!({"metadata": {"uid": self.target.uid}, "status": patch});
        let pods = self.client.pods();
        match pods.patch(Patch::Strategic, &self.target.namespace, &self.target.name, "status", body).await {
            Ok(_) => {
                self.known = status.clone();
                true
            }
            // Gone, or another Pod of the same name: there is nothing left to tell.
            Err(error) if matches!(error.code, 404 | 409) => {
                tracing::debug!(pod = self.target.name, %error, "status not written");
                true
            }
            // The same again would be refused again; what comes next may be better.
            Err(error) if error.code == 422 => {
                tracing::warn!(pod = self.target.name, %error, "status refused");
                true
            }
            Err(error) => {
                tracing::debug!(pod = self.target.name, %error, "status not written, will retry");
                false
            }
        }
    }
}

/// What turns `old` into `new`, top-level field by field. Conditions are merged by the server by
/// their type, so that those of others stay.
fn patch(old: &Value, new: &Value) -> Value {
    let mut out = serde_json::Map::new();
    let empty = serde_json::Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    for (field, value) in new {
        if old.get(field) != Some(value) {
            let value = match field.as_str() {
                "conditions" => with_nulls(value),
                "podIPs" | "hostIPs" => replacing(value),
                _ => value.clone(),
            };
            out.insert(field.clone(), value);
        }
    }
    for field in ["reason", "message", "resize"] {
        if old.contains_key(field) && !new.contains_key(field) {
            out.insert(field.into(), Value::Null);
        }
    }
    Value::Object(out)
}

/// Addresses are merged by themselves: without this a new sandbox's would join the old one's.
fn replacing(addresses: &Value) -> Value {
    let directive = std::iter::once(json!({"$patch": "replace"}));
    directive.chain(addresses.as_array().into_iter().flatten().cloned()).collect()
}

/// A condition is merged field by field: what it no longer says must be taken away.
fn with_nulls(conditions: &Value) -> Value {
    let mut conditions = conditions.clone();
    for condition in conditions.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        for field in ["reason", "message"] {
            condition.entry(field).or_insert(Value::Null);
        }
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_sent() {
        let old = json!({"phase": "Pending", "reason": "x", "podIP": "1"});
        let new = json!({"phase": "Running", "podIP": "1"});
        assert_eq!(patch(&old, &new), json!({"phase": "Running", "reason": null}));
        assert_eq!(patch(&new, &new), json!({}));
        let (old, new) = (json!({"podIPs": [{"ip": "1"}]}), json!({"podIPs": [{"ip": "2"}]}));
        assert_eq!(patch(&old, &new), json!({"podIPs": [{"$patch": "replace"}, {"ip": "2"}]}));
    }
}
