//! PersistentVolumes: exactly one source, a capacity, and little that may change. Also the inline volumes
//! of VolumeAttachments.

use super::checks::{IMMUTABLE, same};
use super::plain::{Kind, Plain};
use super::pod::{affinity, diff, errors::Errors, volumes, warnings};
use crate::read::{at, has, list, map, opt_text, quantity, text, texts};
use apimachinery::{Path, Time, meta};
use serde_json::{Value, json};

pub(super) const ACCESS_MODES: [&str; 4] =
    ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
pub(super) const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";
const INLINE: &str = "may not be specified in the context of inline volumes";
/// Sources that take mount options.
const MOUNTED: [&str; 13] = [
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "cinder",
    "cephfs",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
];
/// In the order in which upstream looks at them, and how a second one is called.
const SOURCES: [(&str, &str); 22] = [
    ("hostPath", "hostPath"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("nfs", "nfs"),
    ("rbd", "rbd"),
    ("quobyte", "quobyte"),
    ("cephfs", "cephFS"),
    ("iscsi", "iscsi"),
    ("cinder", "cinder"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("scaleIO", "scaleIO"),
    ("local", "local"),
    ("storageos", "storageos"),
    ("csi", "csi"),
];

pub(super) static KINDS: &[Kind] = &[(
    "",
    "persistentvolumes",
    Plain::of()
        .status()
        .returns_deleted()
        .created(|volume| volume["status"] = json!({"phase": "Pending"}))
        .stamp(stamp)
        .rules(volume)
        .update(update)
        .warn(|volume, _| warnings_of(volume)),
)];

/// Says since when the volume is in its phase.
fn stamp(subresource: &str, new: &mut Value, old: Option<&Value>, now: Time) {
    const FIELD: &str = "lastPhaseTransitionTime";
    let before = old.map_or(&Value::Null, |old| at(old, "status"));
    let status = at(new, "status");
    let (phase, since) = (text(status, "phase") != text(before, "phase"), at(status, FIELD));
    let value = match (subresource, old) {
        ("", None) => json!(now.truncated().to_string()),
        ("status", Some(_)) if phase && (since.is_null() || since == at(before, FIELD)) => {
            json!(now.truncated().to_string())
        }
        ("status", Some(_)) if !phase && since.is_null() && has(before, FIELD) => at(before, FIELD).clone(),
        _ => return,
    };
    new["status"][FIELD] = value;
}

fn volume(object: &Value, errors: &mut Errors) {
    spec(at(object, "spec"), meta::name(object), false, &Path::new("spec"), errors);
    let mounted = MOUNTED.iter().any(|field| has(at(object, "spec"), field));
    if !mounted && meta::annotation(object, MOUNT_OPTIONS).is_some() {
        let path = Path::new("metadata").child("annotations").child(MOUNT_OPTIONS);
        errors.forbidden(&path, "may not specify mount options for this volume type");
    }
}

/// The modes of a volume or a claim that are known.
pub(super) fn access_modes(spec: &Value, path: &Path, errors: &mut Errors) {
    let modes: Vec<&str> = texts(spec, "accessModes").collect();
    let path = path.child("accessModes");
    for mode in &modes {
        errors.known(&path, mode, &ACCESS_MODES);
    }
    let others = modes.iter().any(|mode| ACCESS_MODES.contains(mode) && *mode != "ReadWriteOncePod");
    if modes.contains(&"ReadWriteOncePod") && others {
        errors.forbidden(&path, "may not use ReadWriteOncePod with other access modes");
    }
}

/// `inline`: the volume is part of a VolumeAttachment.
pub(super) fn spec(spec: &Value, name: &str, inline: bool, path: &Path, errors: &mut Errors) {
    if inline {
        if has(spec, "claimRef") {
            errors.forbidden(&path.child("claimRef"), INLINE);
        }
        if map(spec, "capacity").next().is_some() {
            errors.forbidden(&path.child("capacity"), INLINE);
        }
        if !has(spec, "csi") {
            errors.required(&path.child("csi"), "has to be specified in the context of inline volumes");
        }
    }
    if list(spec, "accessModes").is_empty() {
        errors.required(&path.child("accessModes"), "");
    }
    access_modes(spec, path, errors);
    if !inline {
        capacity(spec, &path.child("capacity"), errors);
    }
    let (policy, at_policy) =
        (text(spec, "persistentVolumeReclaimPolicy"), path.child("persistentVolumeReclaimPolicy"));
    if inline && !matches!(policy, "" | "Retain") {
        errors.forbidden(&at_policy, "may only be Retain in the context of inline volumes");
    } else if !inline && !policy.is_empty() {
        errors.known(&at_policy, policy, &["Delete", "Recycle", "Retain"]);
    }
    let (nodes, at_nodes) = (at(spec, "nodeAffinity"), path.child("nodeAffinity"));
    if !nodes.is_null() && inline {
        errors.forbidden(&at_nodes, INLINE);
    } else if !nodes.is_null() && !has(nodes, "required") {
        errors.required(&at_nodes.child("required"), "must specify required node constraints");
    } else if !nodes.is_null() {
        affinity::node_selector(at(nodes, "required"), &at_nodes.child("required"), errors);
    }
    sources(spec, name, !inline && !nodes.is_null(), path, errors);
    let root = text(at(spec, "hostPath"), "path");
    let is_root = !root.is_empty()
        && root.starts_with('/')
        && root.split('/').all(|part| matches!(part, "" | "." | ".."));
    if has(spec, "hostPath") && is_root && policy == "Recycle" {
        errors.forbidden(&at_policy, "may not be 'recycle' for a hostPath mount of '/'");
    }
    classes(spec, inline, path, errors);
}

fn capacity(spec: &Value, path: &Path, errors: &mut Errors) {
    let capacity = at(spec, "capacity");
    let amounts = capacity.as_object();
    if amounts.is_none_or(serde_json::Map::is_empty) {
        errors.required(path, "");
    }
    if !has(capacity, "storage") || amounts.is_some_and(|amounts| amounts.len() > 1) {
        errors.push(apimachinery::FieldError::not_supported(path, capacity.clone(), &["storage"]));
    }
    for (name, amount) in amounts.into_iter().flatten() {
        let Some(amount) = quantity(amount) else { continue };
        let path = path.key(name.as_str());
        if amount.signum() < 0 {
            errors.invalid(&path, amount.value(), "must be a valid resource quantity");
        }
        if amount.signum() <= 0 {
            errors.invalid(&path, amount.to_string(), "must be greater than zero");
        }
    }
}

fn classes(spec: &Value, inline: bool, path: &Path, errors: &mut Errors) {
    let class = text(spec, "storageClassName");
    if !class.is_empty() && inline {
        errors.forbidden(&path.child("storageClassName"), INLINE);
    } else if !class.is_empty() {
        errors.subdomain(&path.child("storageClassName"), class);
    }
    match opt_text(spec, "volumeMode") {
        Some(mode) if inline && mode != "Filesystem" => {
            let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
            errors.forbidden(&path.child("volumeMode"), detail);
        }
        Some(mode) if !inline => errors.known(&path.child("volumeMode"), mode, &VOLUME_MODES),
        _ => {}
    }
    let Some(class) = opt_text(spec, "volumeAttributesClassName").filter(|_| !inline) else { return };
    let path_class = path.child("volumeAttributesClassName");
    if class.is_empty() {
        errors.required(&path_class, "an empty string is disallowed");
    } else {
        errors.subdomain(&path_class, class);
    }
    if !has(spec, "csi") {
        errors.required(&path.child("csi"), "has to be specified when using volumeAttributesClassName");
    }
}

fn sources(spec: &Value, name: &str, placed: bool, path: &Path, errors: &mut Errors) {
    let mut count = 0;
    for (field, called) in SOURCES.iter().filter(|(field, _)| has(spec, field)) {
        count += 1;
        if count > 1 && *field != "flexVolume" {
            errors.forbidden(&path.child(*called), "may not specify more than 1 volume type");
            continue;
        }
        let source = at(spec, field);
        source_rules(field, source, name, path, errors);
        if *field == "local" && !placed {
            errors.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
        }
    }
    if count == 0 {
        errors.required(path, "must specify a volume type");
    }
}

/// Most sources are those of Pods; some of volumes say in which namespace a Secret is.
fn source_rules(field: &'static str, source: &Value, name: &str, spec_path: &Path, errors: &mut Errors) {
    let path = spec_path.child(field);
    match field {
        "glusterfs" => {
            errors.needs(&path, source, &["endpoints", "path"]);
            let at_namespace = path.child("endpointsNamespace");
            match opt_text(source, "endpointsNamespace") {
                Some("") => {
                    let detail = "if the endpointnamespace is set, it must be a valid namespace name";
                    errors.invalid(&at_namespace, "", detail);
                }
                Some(namespace) => errors.label(&at_namespace, namespace),
                None => {}
            }
        }
        "iscsi" => {
            volumes::iscsi_persistent(source, name, &path, errors);
        }
        "cinder" => {
            errors.need(&path, source, "volumeID");
            named_secret(source, &path, errors);
        }
        "azureFile" => {
            errors.needs(&path, source, &["secretName", "shareName"]);
            if opt_text(source, "secretNamespace") == Some("") {
                errors.required(&path.child("secretNamespace"), "");
            }
        }
        "local" => {
            if errors.need(&path, source, "path") {
                errors.no_backsteps(&path.child("path"), text(source, "path"));
            }
        }
        "storageos" => {
            if errors.need(&path, source, "volumeName") {
                errors.label(&path.child("volumeName"), text(source, "volumeName"));
            }
            let namespace = text(source, "volumeNamespace");
            if !namespace.is_empty() {
                errors.label(&path.child("volumeNamespace"), namespace);
            }
            named_secret(source, &path, errors);
        }
        "csi" => csi(source, &path, errors),
        other => volumes::source_of(other, source, spec_path, errors),
    }
}

fn named_secret(source: &Value, path: &Path, errors: &mut Errors) {
    let secret = at(source, "secretRef");
    if !secret.is_null() {
        errors.needs(&path.child("secretRef"), secret, &["name", "namespace"]);
    }
}

/// The name of a CSI driver, where something names one.
pub(super) fn csi_driver(driver: &str, path: &Path, errors: &mut Errors) {
    if driver.is_empty() {
        return errors.required(path, "");
    }
    errors.max_bytes(path, driver, 63);
    let problems = apimachinery::validation::dns1123_subdomain(&driver.to_lowercase());
    errors.problems(path, driver, problems);
}

fn csi(source: &Value, path: &Path, errors: &mut Errors) {
    csi_driver(text(source, "driver"), &path.child("driver"), errors);
    errors.need(path, source, "volumeHandle");
    let secrets = [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ];
    for field in secrets {
        let (secret, path) = (at(source, field), path.child(field));
        if secret.is_null() {
            continue;
        }
        if errors.need(&path, secret, "name") {
            errors.subdomain(&path.child("name"), text(secret, "name"));
        }
        if errors.need(&path, secret, "namespace") {
            errors.label(&path.child("namespace"), text(secret, "namespace"));
        }
    }
}

fn update(new: &Value, old: &Value, errors: &mut Errors) {
    volume(new, errors);
    // Upstream checks the volume once more.
    spec(at(new, "spec"), meta::name(new), false, &Path::new("spec"), errors);
    let (spec, before) = (at(new, "spec"), at(old, "spec"));
    let expand = "controllerExpandSecretRef";
    let mut now = source_of(spec);
    if has(before, "csi")
        && !has(at(before, "csi"), expand)
        && let Some(csi) = now.get_mut("csi").and_then(Value::as_object_mut)
    {
        csi.remove(expand);
    }
    let then = source_of(before);
    if !same(&now, &then) {
        let diff = diff::of("PersistentVolumeSpec", &then, &now);
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{diff}");
        errors.forbidden(&Path::new("spec").child("persistentvolumesource"), detail);
    }
    errors.immutable(&Path::new("volumeMode"), at(spec, "volumeMode"), at(before, "volumeMode"));
    let (nodes, kept) = (at(spec, "nodeAffinity"), at(before, "nodeAffinity"));
    if !kept.is_null() && !same(&with_stable_labels(nodes), &with_stable_labels(kept)) {
        let detail = format!("{IMMUTABLE}, except for updating from beta label to GA");
        errors.invalid(&Path::new("nodeAffinity"), nodes.clone(), detail);
    }
    if has(before, "volumeAttributesClassName") && !has(spec, "volumeAttributesClassName") {
        let path = Path::new("spec").child("volumeAttributesClassName");
        errors.forbidden(&path, "update from non-nil value to nil is forbidden");
    }
}

fn source_of(spec: &Value) -> Value {
    SOURCES.iter().filter(|(field, _)| has(spec, field)).map(|(f, _)| (*f, at(spec, f).clone())).collect()
}

/// Labels of old by the names they have now.
fn with_stable_labels(affinity: &Value) -> Value {
    const STABLE: [(&str, &str); 5] = [
        ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
        ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
        ("beta.kubernetes.io/os", "kubernetes.io/os"),
        ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
        ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    ];
    let mut affinity = affinity.clone();
    let terms = affinity.pointer_mut("/required/nodeSelectorTerms").and_then(Value::as_array_mut);
    for term in terms.into_iter().flatten() {
        let expressions = term.get_mut("matchExpressions").and_then(Value::as_array_mut);
        for expression in expressions.into_iter().flatten() {
            let key = text(expression, "key");
            if let Some((_, stable)) = STABLE.iter().find(|(old, _)| *old == key) {
                expression["key"] = json!(stable);
            }
        }
    }
    affinity
}

fn warnings_of(volume: &Value) -> Vec<String> {
    const NOTES: [(&str, &str); 2] = [
        (
            "volume.beta.kubernetes.io/storage-class",
            "deprecated since v1.8; use \"storageClassName\" attribute instead",
        ),
        (MOUNT_OPTIONS, "deprecated since v1.31; use \"mountOptions\" attribute instead"),
    ];
    const OLD: [(&str, &str, &str); 6] = [
        ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
        ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ];
    let (spec, path) = (at(volume, "spec"), Path::new("spec"));
    let mut out = Vec::new();
    for (key, text) in NOTES {
        if meta::annotation(volume, key).is_some() {
            out.push(format!("metadata.annotations[{key}]: {text}"));
        }
    }
    if text(spec, "persistentVolumeReclaimPolicy") == "Recycle" {
        out.push("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".into());
    }
    let required = at(at(spec, "nodeAffinity"), "required");
    let at_terms = path.child("nodeAffinity").child("required").child("nodeSelectorTerms");
    for (index, term) in list(required, "nodeSelectorTerms").iter().enumerate() {
        warnings::node_term(term, false, &at_terms.index(index), &mut out);
    }
    for (field, printed, text) in OLD {
        if has(spec, field) {
            out.push(format!("{}: {text}", path.child(printed)));
        }
    }
    out
}
