//! Environment of containers and the downward API: what may be read from the Pod itself.

use super::errors::Errors;
use crate::read::{at, has, list, quantity, text};
use apimachinery::{Path, validation};
use serde_json::Value;

pub(super) const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const SOURCES: [&str; 5] = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
const SIZES: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

pub(super) fn variables(container: &Value, path: &Path, errors: &mut Errors) {
    for (index, variable) in list(container, "env").iter().enumerate() {
        let path = path.index(index);
        let name = text(variable, "name");
        if errors.need(&path, variable, "name") {
            errors.problems(&path.child("name"), name, validation::env_var_name(name));
        }
        if has(variable, "valueFrom") {
            value_from(variable, &path.child("valueFrom"), errors);
        }
    }
}

fn value_from(variable: &Value, path: &Path, errors: &mut Errors) {
    let from = at(variable, "valueFrom");
    let sources: Vec<&'static str> = SOURCES.into_iter().filter(|source| has(from, source)).collect();
    for source in &sources {
        let (value, path) = (at(from, source), path.child(*source));
        match *source {
            "fieldRef" => field_ref(value, &ENV_FIELDS, &path, errors),
            "resourceFieldRef" => resource_ref(value, &path, false, errors),
            "fileKeyRef" => file_key(value, &path, errors),
            _ => key_of(value, &path, errors),
        }
    }
    let detail = match sources.len() {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !text(variable, "value").is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.invalid(path, "", detail);
}

fn key_of(selector: &Value, path: &Path, errors: &mut Errors) {
    errors.subdomain(&path.child("name"), text(selector, "name"));
    if errors.need(path, selector, "key") {
        let key = text(selector, "key");
        errors.problems(&path.child("key"), key, validation::config_map_key(key));
    }
}

fn file_key(selector: &Value, path: &Path, errors: &mut Errors) {
    if errors.need(path, selector, "key") {
        let key = text(selector, "key");
        errors.problems(&path.child("key"), key, validation::env_var_name(key));
    }
    if errors.need(path, selector, "volumeName") {
        errors.label(&path.child("volumeName"), text(selector, "volumeName"));
    }
    if errors.need(path, selector, "path") {
        errors.no_backsteps(&path.child("path"), text(selector, "path"));
    }
}

/// A field of the Pod, with a key in brackets for labels and annotations.
pub(super) fn field_ref(selector: &Value, known: &[&str], path: &Path, errors: &mut Errors) {
    if !errors.need(path, selector, "apiVersion") || !errors.need(path, selector, "fieldPath") {
        return;
    }
    let (version, field) = (text(selector, "apiVersion"), text(selector, "fieldPath"));
    let at_field = path.child("fieldPath");
    if version != "v1" {
        let detail = format!("error converting fieldPath: unsupported pod version: {version}");
        errors.invalid(&at_field, field, detail);
        return;
    }
    if let Some((base, key)) = field.strip_suffix("']").and_then(|rest| rest.split_once("['")) {
        match base {
            "metadata.annotations" => errors.qualified(path, &key.to_lowercase()),
            "metadata.labels" => errors.qualified(path, key),
            base if is_field(base) => errors.invalid(path, base, "does not support subscript"),
            _ => unknown_field(&at_field, field, errors),
        }
        return;
    }
    let field = if field == "spec.host" { "spec.nodeName" } else { field };
    if !is_field(field) {
        unknown_field(&at_field, field, errors);
    } else if !known.contains(&field) {
        errors.not_supported(&at_field, field, known);
    }
}

fn is_field(field: &str) -> bool {
    const OTHERS: [&str; 5] = [
        "spec.restartPolicy",
        "spec.schedulerName",
        "status.phase",
        "metadata.labels",
        "metadata.annotations",
    ];
    ENV_FIELDS.contains(&field) || OTHERS.contains(&field)
}

fn unknown_field(path: &Path, field: &str, errors: &mut Errors) {
    errors.invalid(path, field, format!("error converting fieldPath: field label not supported: {field}"));
}

/// A file of the downward API.
pub(super) fn downward_file(file: &Value, path: &Path, errors: &mut Errors) {
    let name = text(file, "path");
    errors.need(path, file, "path");
    errors.local_path(&path.child("path"), name);
    let (field, resource) = (has(file, "fieldRef"), has(file, "resourceFieldRef"));
    if field {
        field_ref(at(file, "fieldRef"), &VOLUME_FIELDS, &path.child("fieldRef"), errors);
        if resource {
            errors.invalid(
                path,
                "resource",
                "fieldRef and resourceFieldRef can not be specified simultaneously",
            );
        }
    } else if resource {
        resource_ref(at(file, "resourceFieldRef"), &path.child("resourceFieldRef"), true, errors);
    } else {
        errors.required(path, "one of fieldRef and resourceFieldRef is required");
    }
    errors.mode(path, file, "mode");
}

fn resource_ref(selector: &Value, path: &Path, volume: bool, errors: &mut Errors) {
    let name = text(selector, "resource");
    let huge = name.starts_with("requests.hugepages-") || name.starts_with("limits.hugepages-");
    if volume && text(selector, "containerName").is_empty() {
        errors.required(&path.child("containerName"), "");
    } else if errors.need(path, selector, "resource") && !RESOURCES.contains(&name) && !huge {
        errors.not_supported(&path.child("resource"), name, &RESOURCES);
    }
    let Some(divisor) = quantity(at(selector, "divisor")).filter(|divisor| !divisor.is_zero()) else {
        return;
    };
    let (known, what): (&[&str], _) = match name.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => {
            if !["1m", "1"].contains(&divisor.to_string().as_str()) {
                let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
                errors.invalid(&path.child("divisor"), name, detail);
            }
            return;
        }
        "memory" => (&SIZES, "memory"),
        "ephemeral-storage" => (&SIZES, "local ephemeral storage"),
        _ if huge => (&SIZES, "hugepages"),
        _ => return,
    };
    if !known.contains(&divisor.to_string().as_str()) {
        let detail =
            format!("only divisor's values {} are supported with the {what} resource", known.join(", "));
        errors.invalid(&path.child("divisor"), name, detail);
    }
}

pub(super) fn from_sources(container: &Value, path: &Path, errors: &mut Errors) {
    for (index, source) in list(container, "envFrom").iter().enumerate() {
        let each = path.index(index);
        let prefix = text(source, "prefix");
        if !prefix.is_empty() {
            errors.problems(&each.child("prefix"), prefix, validation::env_var_name(prefix));
        }
        let mut count = 0;
        for field in ["configMapRef", "secretRef"] {
            if has(source, field) {
                count += 1;
                let reference = at(source, field);
                if errors.need(&each.child(field), reference, "name") {
                    errors.subdomain(&each.child(field).child("name"), text(reference, "name"));
                }
            }
        }
        match count {
            0 => errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid(path, "", "may not have more than one field specified at a time"),
        }
    }
}

/// Variables read from files: the volume must be there and be an emptyDir.
pub(super) fn file_volumes(spec: &Value, path: &Path, errors: &mut Errors) {
    super::each_container(spec, path, |container, path| {
        for (index, variable) in list(container, "env").iter().enumerate() {
            let reference = at(at(variable, "valueFrom"), "fileKeyRef");
            if reference.is_null() {
                continue;
            }
            let name = text(reference, "volumeName");
            let path =
                path.child("env").index(index).child("valueFrom").child("fileKeyRef").child("volumeName");
            match list(spec, "volumes").iter().find(|volume| text(volume, "name") == name) {
                None => errors.not_found(&path, name),
                Some(volume) if !has(volume, "emptyDir") => {
                    errors.invalid(&path, name, "referenced volume must be of type emptyDir");
                }
                Some(_) => {}
            }
        }
    });
}
