//! Volumes of a Pod: exactly one source each, and what every source asks for.

use super::env::downward_file;
use super::errors::Errors;
use super::{Context, claims, projected};
use crate::read::{at, flag, has, int, list, map, opt_text, quantity, text};
use apimachinery::{Path, validation};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

const TOO_LONG_INITIATOR: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";

/// A source: its field, how errors call it, and its rule.
type Source = (&'static str, &'static str, fn(&Value, &Context<'_>, &Path, &mut Errors));

/// In the order in which upstream looks at them; a second source is forbidden.
static SOURCES: &[Source] = &[
    ("emptyDir", "emptyDir", empty_dir),
    ("hostPath", "hostPath", host_path),
    ("gitRepo", "gitRepo", git_repo),
    ("gcePersistentDisk", "persistentDisk", |v, _, p, e| {
        e.need(p, v, "pdName");
        partition(v, p, e);
    }),
    ("awsElasticBlockStore", "awsElasticBlockStore", |v, _, p, e| {
        e.need(p, v, "volumeID");
        partition(v, p, e);
    }),
    ("secret", "secret", |v, _, p, e| key_files(v, "secretName", p, e)),
    ("nfs", "nfs", nfs),
    ("iscsi", "iscsi", iscsi),
    ("glusterfs", "glusterfs", |v, _, p, e| needs(v, &["endpoints", "path"], p, e)),
    ("flocker", "flocker", flocker),
    ("persistentVolumeClaim", "persistentVolumeClaim", |v, _, p, e| needs(v, &["claimName"], p, e)),
    ("rbd", "rbd", |v, _, p, e| {
        if list(v, "monitors").is_empty() {
            e.required(&p.child("monitors"), "");
        }
        e.need(p, v, "image");
    }),
    ("cinder", "cinder", |v, _, p, e| {
        e.need(p, v, "volumeID");
        secret_ref(v, p, e);
    }),
    ("cephfs", "cephfs", |v, _, p, e| {
        if list(v, "monitors").is_empty() {
            e.required(&p.child("monitors"), "");
        }
    }),
    ("quobyte", "quobyte", quobyte),
    ("downwardAPI", "downwardAPI", |v, _, p, e| {
        e.mode(p, v, "defaultMode");
        list(v, "items").iter().for_each(|file| downward_file(file, p, e));
    }),
    ("fc", "fc", fibre_channel),
    ("flexVolume", "flexVolume", flex),
    ("configMap", "configMap", |v, _, p, e| key_files(v, "name", p, e)),
    ("azureFile", "azureFile", |v, _, p, e| needs(v, &["secretName", "shareName"], p, e)),
    ("vsphereVolume", "vsphereVolume", |v, _, p, e| needs(v, &["volumePath"], p, e)),
    ("photonPersistentDisk", "photonPersistentDisk", |v, _, p, e| needs(v, &["pdID"], p, e)),
    ("portworxVolume", "portworxVolume", |v, _, p, e| needs(v, &["volumeID"], p, e)),
    ("azureDisk", "azureDisk", azure_disk),
    ("storageos", "storageos", storage_os),
    ("projected", "projected", projected::volume),
    ("scaleIO", "scaleIO", |v, _, p, e| needs(v, &["gateway", "system", "volumeName"], p, e)),
    ("csi", "csi", csi),
    ("ephemeral", "ephemeral", ephemeral),
    ("image", "image", |v, context, p, e| {
        if context.is_pod {
            e.need(p, v, "reference");
        }
        e.one_of(&p.child("pullPolicy"), text(v, "pullPolicy"), &super::containers::PULL_POLICIES);
    }),
];

/// Checks all volumes; answers with those that are good, by name.
pub(super) fn volumes<'a>(
    spec: &'a Value,
    context: &Context<'_>,
    path: &Path,
    errors: &mut Errors,
) -> HashMap<&'a str, &'a Value> {
    let path = path.child("volumes");
    let mut good = HashMap::new();
    let all = list(spec, "volumes");
    let made: HashSet<String> = all
        .iter()
        .filter(|volume| has(volume, "ephemeral") && !context.name.is_empty())
        .map(|volume| format!("{}-{}", context.name, text(volume, "name")))
        .collect();
    for (index, volume) in all.iter().enumerate() {
        let path = path.index(index);
        let name = text(volume, "name");
        let before = errors.0.len();
        source(volume, context, &path, errors);
        if errors.need(&path, volume, "name") {
            errors.label(&path.child("name"), name);
        }
        if good.contains_key(name) {
            errors.duplicate(&path.child("name"), name);
        }
        if errors.0.len() == before {
            good.insert(name, volume);
        }
        let claim = text(at(volume, "persistentVolumeClaim"), "claimName");
        if made.contains(claim) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            errors.invalid(&path.child("persistentVolumeClaim").child("claimName"), claim, detail);
        }
    }
    good
}

/// The rules of one source outside a Pod.
pub(in crate::kinds) fn source_of(field: &str, source: &Value, path: &Path, errors: &mut Errors) {
    let context = Context {
        name: "",
        is_pod: false,
        volumes: HashMap::new(),
        claims: std::collections::BTreeSet::new(),
        grace: None,
        os: None,
        host_users: true,
        restart_policy: "",
    };
    if let Some((_, called, rule)) = SOURCES.iter().find(|(known, ..)| *known == field) {
        rule(source, &context, &path.child(*called), errors);
    }
}

fn source(volume: &Value, context: &Context<'_>, path: &Path, errors: &mut Errors) {
    let mut count = 0;
    for (field, called, rule) in SOURCES.iter().filter(|(field, ..)| has(volume, field)) {
        count += 1;
        if count > 1 {
            errors.forbidden(&path.child(*field), "may not specify more than 1 volume type");
            continue;
        }
        rule(at(volume, field), context, &path.child(*called), errors);
        let name = text(volume, "name");
        if *field == "ephemeral" && !context.name.is_empty() && !name.is_empty() {
            let claim = format!("{}-{name}", context.name);
            for problem in validation::dns1123_subdomain(&claim) {
                let detail = format!("PVC name {}: {problem}", apimachinery::go::quote(&claim));
                errors.invalid(&path.child("name"), name, detail);
            }
        }
        let iscsi = at(volume, "iscsi");
        if *field == "iscsi"
            && has(iscsi, "initiatorName")
            && name.len() + 1 + text(iscsi, "targetPortal").len() > 64
        {
            errors.invalid(&path.child("name"), name, TOO_LONG_INITIATOR);
        }
    }
    if count == 0 {
        errors.required(path, "must specify a volume type");
    }
}

fn needs(source: &Value, fields: &[&'static str], path: &Path, errors: &mut Errors) {
    for field in fields {
        errors.need(path, source, field);
    }
}

fn secret_ref(source: &Value, path: &Path, errors: &mut Errors) {
    if has(source, "secretRef") {
        errors.need(&path.child("secretRef"), at(source, "secretRef"), "name");
    }
}

fn empty_dir(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    if quantity(at(source, "sizeLimit")).is_some_and(|limit| limit.signum() < 0) {
        errors.forbidden(&path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
}

fn host_path(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    if !errors.need(path, source, "path") {
        return;
    }
    errors.no_backsteps(&path.child("path"), text(source, "path"));
    if let Some(kind) = opt_text(source, "type") {
        errors.known(&path.child("type"), kind, &TYPES);
    }
}

fn git_repo(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    errors.need(path, source, "repository");
    errors.descending(&path.child("directory"), text(source, "directory"));
}

fn partition(source: &Value, path: &Path, errors: &mut Errors) {
    if let Some(number) = int(source, "partition").filter(|number| !(0..=255).contains(number)) {
        errors.invalid(&path.child("partition"), number, "must be between 0 and 255, inclusive");
    }
}

/// ConfigMaps and Secrets.
fn key_files(source: &Value, name: &'static str, path: &Path, errors: &mut Errors) {
    errors.need(path, source, name);
    errors.mode(path, source, "defaultMode");
    for (index, item) in list(source, "items").iter().enumerate() {
        key_to_path(item, &path.child("items").index(index), errors);
    }
}

pub(super) fn key_to_path(item: &Value, path: &Path, errors: &mut Errors) {
    errors.need(path, item, "key");
    errors.need(path, item, "path");
    errors.local_path(&path.child("path"), text(item, "path"));
    errors.mode(path, item, "mode");
}

fn nfs(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    needs(source, &["server", "path"], path, errors);
    let place = text(source, "path");
    if !place.starts_with('/') {
        errors.invalid(&path.child("path"), place, "must be an absolute path");
    }
}

/// An iSCSI name: `iqn.yyyy-mm.domain[:name]`, `eui.` or `naa.` and hexadecimal digits.
fn is_iscsi_name(name: &str) -> bool {
    let hex = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit())
    };
    if let Some(rest) = name.strip_prefix("eui.") {
        return hex(rest, &[16]);
    }
    if let Some(rest) = name.strip_prefix("naa.") {
        return hex(rest, &[16, 32]);
    }
    let Some(rest) = name.strip_prefix("iqn.") else { return false };
    let (Some(date), Some(authority)) = (rest.get(..8), rest.get(8..)) else { return false };
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let (year, month) = (&date[..4], &date[5..7]);
    digits(year)
        && digits(month)
        && &date[4..5] == "-"
        && &date[7..] == "."
        && authority
            .split(':')
            .next()
            .unwrap_or_default()
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'))
}

fn iscsi_name(name: &str, path: &Path, errors: &mut Errors) {
    if !["iqn", "eui", "naa"].iter().any(|prefix| name.starts_with(prefix)) {
        errors.invalid(path, name, "must be valid format starting with iqn, eui, or naa");
    } else if !name.is_ascii() || !is_iscsi_name(name) {
        errors.invalid(path, name, "must be valid format");
    }
}

fn iscsi(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    errors.need(path, source, "targetPortal");
    if errors.need(path, source, "iqn") {
        iscsi_name(text(source, "iqn"), &path.child("iqn"), errors);
    }
    errors.in_range(&path.child("lun"), int(source, "lun").unwrap_or(0), 0, 255);
    let chap = flag(source, "chapAuthDiscovery") || flag(source, "chapAuthSession");
    if chap && !has(source, "secretRef") {
        errors.required(&path.child("secretRef"), "");
    }
    if let Some(name) = opt_text(source, "initiatorName") {
        iscsi_name(name, &path.child("initiatorname"), errors);
    }
}

/// An iSCSI target of a volume of its own, whose Secret has a namespace.
pub(in crate::kinds) fn iscsi_persistent(source: &Value, name: &str, path: &Path, errors: &mut Errors) {
    errors.need(path, source, "targetPortal");
    let portal = text(source, "targetPortal");
    if has(source, "initiatorName") && name.len() + 1 + portal.len() > 64 {
        errors.invalid(&path.child("targetportal"), portal, TOO_LONG_INITIATOR);
    }
    if errors.need(path, source, "iqn") {
        let name = text(source, "iqn");
        if !name.is_ascii() || !is_iscsi_name(name) {
            errors.invalid(&path.child("iqn"), name, "must be valid format");
        }
    }
    errors.in_range(&path.child("lun"), int(source, "lun").unwrap_or(0), 0, 255);
    let chap = flag(source, "chapAuthDiscovery") || flag(source, "chapAuthSession");
    if chap && !has(source, "secretRef") {
        errors.required(&path.child("secretRef"), "");
    }
    secret_ref(source, path, errors);
    if let Some(name) = opt_text(source, "initiatorName")
        && (!name.is_ascii() || !is_iscsi_name(name))
    {
        errors.invalid(&path.child("initiatorname"), name, "must be valid format");
    }
}

fn flocker(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    let (name, uuid) = (text(source, "datasetName"), text(source, "datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.required(path, "one of datasetName and datasetUUID is required");
    }
    if !name.is_empty() && !uuid.is_empty() {
        errors.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously");
    }
    if name.contains('/') {
        errors.invalid(&path.child("datasetName"), name, "must not contain '/'");
    }
}

fn quobyte(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let (registry, at_registry) = (text(source, "registry"), path.child("registry"));
    if registry.is_empty() {
        errors.required(&at_registry, PAIRS);
    } else if text(source, "tenant").len() >= 65 {
        errors.required(&path.child("tenant"), "must be a UUID and may not exceed a length of 64 characters");
    } else {
        let bad = registry.split(',').filter(|pair| {
            pair.rsplit_once(':')
                .is_none_or(|(host, _)| host.contains(':') && !(host.starts_with('[') && host.ends_with(']')))
        });
        bad.for_each(|_| errors.invalid(&at_registry, registry, PAIRS));
    }
    errors.need(path, source, "volume");
}

fn fibre_channel(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    let (names, ids) = (list(source, "targetWWNs"), list(source, "wwids"));
    let at_names = path.child("targetWWNs");
    if names.is_empty() && ids.is_empty() {
        errors.required(&at_names, "must specify either targetWWNs or wwids, but not both");
    }
    if !names.is_empty() && !ids.is_empty() {
        let detail = "targetWWNs and wwids can not be specified simultaneously";
        errors.invalid(&at_names, names.to_vec(), detail);
    }
    if names.is_empty() {
        return;
    }
    match int(source, "lun") {
        None => errors.required(&path.child("lun"), "lun is required if targetWWNs is specified"),
        Some(lun) => errors.in_range(&path.child("lun"), lun, 0, 255),
    }
}

fn flex(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    errors.need(path, source, "driver");
    for (key, _) in map(source, "options") {
        let domain = key.split_once('/').map_or(key.as_str(), |(domain, _)| domain);
        let domain = format!(".{}", domain.to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.invalid(&path.child("options").key(key.as_str()), key.as_str(), detail);
        }
    }
}

fn azure_disk(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    needs(source, &["diskName", "diskURI"], path, errors);
    if let Some(mode) = opt_text(source, "cachingMode") {
        errors.known(&path.child("cachingMode"), mode, &["None", "ReadOnly", "ReadWrite"]);
    }
    let Some(kind) = opt_text(source, "kind") else { return };
    errors.known(&path.child("kind"), kind, &["Dedicated", "Managed", "Shared"]);
    let uri = text(source, "diskURI");
    let (prefix, example) = if kind == "Managed" { ("/subscriptions/", MANAGED) } else { ("https://", BLOB) };
    if !uri.starts_with(prefix) {
        errors.not_supported(&path.child("diskURI"), uri, &[example]);
    }
}

fn storage_os(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    if errors.need(path, source, "volumeName") {
        errors.label(&path.child("volumeName"), text(source, "volumeName"));
    }
    let namespace = text(source, "volumeNamespace");
    if !namespace.is_empty() {
        errors.label(&path.child("volumeNamespace"), namespace);
    }
    secret_ref(source, path, errors);
}

fn csi(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    let driver = text(source, "driver");
    let at_driver = path.child("driver");
    if errors.need(path, source, "driver") {
        if driver.len() > 63 {
            errors.push(apimachinery::FieldError::too_long(&at_driver, 63));
        }
        errors.problems(&at_driver, driver, validation::dns1123_subdomain(&driver.to_lowercase()));
    }
    let secret = at(source, "nodePublishSecretRef");
    if !secret.is_null() && errors.need(&path.child("nodePublishSecretRef"), secret, "name") {
        errors.subdomain(&path.child("name"), text(secret, "name"));
    }
}

fn ephemeral(source: &Value, _: &Context<'_>, path: &Path, errors: &mut Errors) {
    let path = path.child("volumeClaimTemplate");
    match at(source, "volumeClaimTemplate") {
        Value::Null => errors.required(&path, ""),
        template => claims::template(template, &path, errors),
    }
}
