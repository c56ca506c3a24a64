//! ServiceAccount: every Pod runs as one; its token, the cluster's CA and the namespace are mounted.

use crate::codec;
use crate::context::Result;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{GroupResource, Status, meta};
use serde_json::{Value, json};

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// An hour and a little: the kubelet renews at 80 %; upstream marks "default" tokens by this number.
const TOKEN_SECONDS: u64 = 3607;
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) fn admit(server: &Server, target: &Target, namespace: &str, pod: &mut Value) -> Result<()> {
    let forbidden = |pod: &Value, text: String| {
        Err(Box::new(Status::forbidden(&target.group_resource(), meta::name(pod), text)))
    };
    if meta::annotation(pod, MIRROR).is_some() {
        if !text(pod, "serviceAccountName").is_empty() {
            return forbidden(pod, "a mirror pod may not reference service accounts".into());
        }
        return Ok(());
    }
    if text(pod, "serviceAccountName").is_empty() {
        pod["spec"]["serviceAccountName"] = "default".into();
    }
    let name = text(pod, "serviceAccountName").to_owned();
    pod["spec"]["serviceAccount"] = name.clone().into();
    let accounts = Target::core("serviceaccounts");
    let Some(entry) = server.store.get(&accounts.key(namespace, &name)) else {
        let missing = Status::not_found(&GroupResource::new("", "serviceaccount"), &name);
        return forbidden(pod, format!("error looking up service account {namespace}/{name}: {missing}"));
    };
    let account = codec::tree(&entry);
    let automount =
        pod.pointer("/spec/automountServiceAccountToken").or(account.get("automountServiceAccountToken"));
    if automount != Some(&Value::Bool(false)) {
        mount_token(server, pod);
    }
    let has_secrets =
        pod.pointer("/spec/imagePullSecrets").and_then(Value::as_array).is_some_and(|s| !s.is_empty());
    if !has_secrets
        && let Some(Value::Array(secrets)) = account.get("imagePullSecrets")
        && !secrets.is_empty()
    {
        pod["spec"]["imagePullSecrets"] = secrets.clone().into();
    }
    Ok(())
}

fn text<'a>(pod: &'a Value, field: &str) -> &'a str {
    pod["spec"][field].as_str().unwrap_or_default()
}

/// Adds the projected volume and mounts it wherever nothing else is mounted there.
fn mount_token(server: &Server, pod: &mut Value) {
    let volumes =
        pod.pointer("/spec/volumes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let there = volumes
        .iter()
        .filter_map(|volume| volume["name"].as_str())
        .find(|n| n.starts_with("kube-api-access-"));
    let name = there.map_or_else(|| format!("kube-api-access-{}", server.env.name_suffix(5)), str::to_owned);
    let mut used = there.is_some();
    let existing = there.is_some();
    for list in ["initContainers", "containers"] {
        let Some(containers) = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut) else {
            continue;
        };
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            let Some(mounts) = mounts.as_array_mut() else { continue };
            if mounts.iter().all(|mount| mount["mountPath"] != MOUNT) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT}));
                used = true;
            }
            if mounts.is_empty() {
                container.remove("volumeMounts");
            }
        }
    }
    if used && !existing {
        let volume = token_volume(&name);
        match pod["spec"].get_mut("volumes").and_then(Value::as_array_mut) {
            Some(volumes) => volumes.push(volume),
            None => pod["spec"]["volumes"] = json!([volume]),
        }
    }
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
    ]}})
}
