//! Defaults of Pods, their spec, containers and volumes.

use super::Rule;
use crate::read::{fill, fill_empty, flag, object_at};
use crate::resources;
use serde_json::{Map, Value, json};

pub(super) const RULES: &[(&str, Rule)] = &[
    ("core.v1.Pod", pod),
    ("core.v1.PodSpec", pod_spec),
    ("core.v1.Container", container),
    ("core.v1.EphemeralContainer", container),
    ("core.v1.ResourceRequirements", resource_lists),
    ("core.v1.VolumeResourceRequirements", resource_lists),
    ("core.v1.Probe", probe),
    ("core.v1.HTTPGetAction", http_get),
    ("core.v1.GRPCAction", |grpc| fill(grpc, "service", "")),
    ("core.v1.ObjectFieldSelector", |field| fill_empty(field, "apiVersion", "v1")),
    ("core.v1.FileKeySelector", |key| fill(key, "optional", false)),
    ("core.v1.Volume", volume),
    ("core.v1.HostPathVolumeSource", |v| fill(v, "type", "")),
    ("core.v1.SecretVolumeSource", default_mode),
    ("core.v1.ConfigMapVolumeSource", default_mode),
    ("core.v1.DownwardAPIVolumeSource", default_mode),
    ("core.v1.ProjectedVolumeSource", default_mode),
    ("core.v1.ServiceAccountTokenProjection", |v| fill(v, "expirationSeconds", 3600)),
    ("core.v1.ISCSIVolumeSource", iscsi),
    ("core.v1.ISCSIPersistentVolumeSource", iscsi),
    ("core.v1.RBDVolumeSource", rbd),
    ("core.v1.RBDPersistentVolumeSource", rbd),
    ("core.v1.AzureDiskVolumeSource", azure_disk),
    ("core.v1.ScaleIOVolumeSource", scale_io),
    ("core.v1.ScaleIOPersistentVolumeSource", scale_io),
];

/// What holds for Pods only, not for Pod templates.
fn pod(pod: &mut Map<String, Value>) {
    let Some(spec) = pod.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    for field in ["containers", "initContainers"] {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            requests_from_limits(container);
        }
    }
    resources::default_pod_level(spec);
    let host_network = flag(spec, "hostNetwork");
    let Some(map) = spec.as_object_mut() else { return };
    fill(map, "enableServiceLinks", true);
    if !host_network {
        return;
    }
    for field in ["containers", "initContainers"] {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                let number = port.get("containerPort").cloned().unwrap_or(0.into());
                if let Some(port) = port.as_object_mut().filter(|_| number != 0) {
                    fill_empty(port, "hostPort", number);
                }
            }
        }
    }
}

fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container.pointer("/resources/limits").and_then(Value::as_object).cloned() else {
        return;
    };
    if limits.is_empty() {
        return;
    }
    let requests = apimachinery::meta::object_at(object_at(container, "resources"), "requests");
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

fn pod_spec(spec: &mut Map<String, Value>) {
    fill_empty(spec, "dnsPolicy", "ClusterFirst");
    fill_empty(spec, "restartPolicy", "Always");
    fill(spec, "securityContext", json!({}));
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill_empty(spec, "schedulerName", "default-scheduler");
    service_account(spec);
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are always printed alike.
fn service_account(spec: &mut Map<String, Value>) {
    let text = |field: &str| {
        spec.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let name = text("serviceAccountName").or_else(|| text("serviceAccount"));
    for field in ["serviceAccountName", "serviceAccount"] {
        match &name {
            Some(name) => spec.insert(field.into(), name.clone().into()),
            None => spec.remove(field),
        };
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = pull_policy(image);
    fill_empty(container, "imagePullPolicy", policy);
    fill_empty(container, "terminationMessagePath", "/dev/termination-log");
    fill_empty(container, "terminationMessagePolicy", "File");
}

/// `Always` for the tag `latest`, which is meant where neither tag nor digest is given.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or_default();
    let latest = match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !digest && is_reference(name),
    };
    if latest { "Always" } else { "IfNotPresent" }
}

/// Whether upstream can read this as an image's name; it defaults the tag only then.
fn is_reference(name: &str) -> bool {
    let path = name.split_once('/').filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost");
    let path = path.map_or(name, |(_, path)| path);
    !path.is_empty()
        && path.split('/').all(|part| {
            let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
            let (Some(first), Some(last)) = (part.bytes().next(), part.bytes().last()) else { return false };
            good(first) && good(last) && part.bytes().all(|c| good(c) || matches!(c, b'.' | b'_' | b'-'))
        })
}

/// Amounts are kept to a thousandth, rounded up.
fn resource_lists(resources: &mut Map<String, Value>) {
    for field in ["limits", "requests"] {
        if let Some(Value::Object(list)) = resources.get_mut(field) {
            super::core::round_up(list);
        }
    }
}

fn probe(probe: &mut Map<String, Value>) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        fill_empty(probe, field, value);
    }
}

fn http_get(get: &mut Map<String, Value>) {
    fill_empty(get, "path", "/");
    fill_empty(get, "scheme", "HTTP");
}

fn volume(volume: &mut Map<String, Value>) {
    if volume.iter().all(|(field, value)| field == "name" || value.is_null()) {
        volume.insert("emptyDir".into(), json!({}));
    }
    if let Some(Value::Object(image)) = volume.get_mut("image") {
        let policy = pull_policy(image.get("reference").and_then(Value::as_str).unwrap_or_default());
        fill_empty(image, "pullPolicy", policy);
    }
}

fn default_mode(source: &mut Map<String, Value>) {
    fill(source, "defaultMode", 0o644);
}

fn iscsi(source: &mut Map<String, Value>) {
    fill_empty(source, "iscsiInterface", "default");
}

fn rbd(source: &mut Map<String, Value>) {
    for (field, value) in [("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")] {
        fill_empty(source, field, value);
    }
}

fn azure_disk(source: &mut Map<String, Value>) {
    fill(source, "cachingMode", "ReadWrite");
    fill(source, "fsType", "ext4");
    fill(source, "readOnly", false);
    fill(source, "kind", "Shared");
}

fn scale_io(source: &mut Map<String, Value>) {
    fill_empty(source, "storageMode", "ThinProvisioned");
    fill_empty(source, "fsType", "xfs");
}
