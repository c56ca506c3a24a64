//! Security contexts of Pods and containers: users and groups, profiles, sysctls, Windows options.

use super::errors::Errors;
use crate::read::{at, flag, has, int, list, opt_flag, opt_text, text, texts};
use apimachinery::{Path, meta, validation};
use serde_json::Value;
use std::collections::HashSet;

const SYSCTL_MAX: usize = 253;
const SYSCTL_RULE: &str = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const MAX_PROFILE: usize = 4095;
const MAX_GMSA_KIB: usize = 64;
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

fn id(context: &Value, field: &'static str, path: &Path, errors: &mut Errors) {
    if let Some(id) = int(context, field) {
        errors.problems(&path.child(field), id, validation::user_id(id));
    }
}

pub(super) fn pod(spec: &Value, path: &Path, errors: &mut Errors) {
    let context = at(spec, "securityContext");
    if context.is_null() {
        return;
    }
    let path = path.child("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(context, field, &path, errors);
    }
    for (index, group) in list(context, "supplementalGroups").iter().enumerate() {
        let group = group.as_i64().unwrap_or(-1);
        errors.problems(&path.child("supplementalGroups").index(index), group, validation::user_id(group));
    }
    if flag(spec, "shareProcessNamespace") && flag(spec, "hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&path.child("shareProcessNamespace"), true, detail);
    }
    sysctls(spec, context, &path.child("sysctls"), errors);
    let choices: [(&'static str, &[&str]); 1] = [("fsGroupChangePolicy", &["Always", "OnRootMismatch"])];
    for (field, known) in choices {
        if let Some(value) = opt_text(context, field) {
            errors.known(&path.child(field), value, known);
        }
    }
    seccomp(context, &path, errors);
    windows_options(context, &path, errors);
    app_armor(context, &path, errors);
    if let Some(policy) = opt_text(context, "supplementalGroupsPolicy") {
        errors.known(&path.child("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    }
    if let Some(policy) = opt_text(context, "seLinuxChangePolicy") {
        errors.known(&path.child("seLinuxChangePolicy"), policy, &["MountOption", "Recursive"]);
    }
}

fn is_sysctl(name: &str) -> bool {
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= SYSCTL_MAX
        && name.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            !bytes.is_empty()
                && good(bytes[0])
                && good(bytes[bytes.len() - 1])
                && bytes.iter().all(|c| good(*c) || matches!(c, b'-' | b'_'))
        })
}

fn sysctls(spec: &Value, context: &Value, path: &Path, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for (index, sysctl) in list(context, "sysctls").iter().enumerate() {
        let (name, path) = (text(sysctl, "name"), path.index(index).child("name"));
        if name.is_empty() {
            errors.required(&path, "");
        } else if !is_sysctl(name) {
            errors.invalid(&path, name, SYSCTL_RULE);
        } else if !seen.insert(name) {
            errors.duplicate(&path, name);
        }
        let name = name.replace('/', ".");
        let ipc = ["kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."];
        if flag(spec, "hostNetwork") && name.starts_with("net.") {
            errors.invalid(&path, text(sysctl, "name"), "may not be specified when 'hostNetwork' is true");
        } else if flag(spec, "hostIPC") && ipc.iter().any(|prefix| name.starts_with(prefix)) {
            errors.invalid(&path, text(sysctl, "name"), "may not be specified when 'hostIPC' is true");
        }
    }
}

fn seccomp(context: &Value, path: &Path, errors: &mut Errors) {
    let profile = at(context, "seccompProfile");
    if profile.is_null() {
        return;
    }
    let path = path.child("seccompProfile");
    let (kind, file) = (text(profile, "type"), opt_text(profile, "localhostProfile"));
    let at_file = path.child("localhostProfile");
    if kind.is_empty() {
        errors.required(&path.child("type"), "type is required when seccompProfile is set");
    } else {
        errors.known(&path.child("type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]);
    }
    match (kind, file) {
        ("Localhost", None) => errors.required(&at_file, "must be set when seccomp type is Localhost"),
        ("Localhost", Some(file)) => errors.descending(&at_file, file),
        (_, Some(_)) => {
            errors.invalid(&at_file, profile.clone(), "can only be set when seccomp type is Localhost");
        }
        (_, None) => {}
    }
}

fn app_armor(context: &Value, path: &Path, errors: &mut Errors) {
    let profile = at(context, "appArmorProfile");
    if profile.is_null() {
        return;
    }
    let path = path.child("appArmorProfile");
    let at_name = path.child("localhostProfile");
    let name = opt_text(profile, "localhostProfile");
    match (text(profile, "type"), name) {
        ("Localhost", None) => errors.required(&at_name, "must be set when AppArmor type is Localhost"),
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.invalid(&at_name, name, "must not be padded with whitespace");
            } else if name.is_empty() {
                errors.required(&at_name, "must be set when AppArmor type is Localhost");
            }
            if name.len() > MAX_PROFILE {
                errors.push(apimachinery::FieldError::too_long(&at_name, MAX_PROFILE));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.invalid(&at_name, name, "can only be set when AppArmor type is Localhost");
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => errors.required(&path.child("type"), "type is required when appArmorProfile is set"),
        (kind, _) => {
            errors.not_supported(&path.child("type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]);
        }
    }
}

pub(super) fn container(container: &Value, host_users: bool, path: &Path, errors: &mut Errors) {
    let context = at(container, "securityContext");
    if context.is_null() {
        return;
    }
    let path = path.child("securityContext");
    for field in ["runAsUser", "runAsGroup"] {
        id(context, field, &path, errors);
    }
    if let Some(mount) = opt_text(context, "procMount") {
        errors.known(&path.child("procMount"), mount, &["Default", "Unmasked"]);
        if host_users && mount == "Unmasked" {
            errors.invalid(&path.child("procMount"), mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    seccomp(context, &path, errors);
    if opt_flag(context, "allowPrivilegeEscalation") == Some(false) {
        if flag(context, "privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(&path, context.clone(), detail);
        }
        let admin = texts(at(context, "capabilities"), "add").filter(|name| *name == "CAP_SYS_ADMIN").count();
        for _ in 0..admin {
            let detail =
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(&path, context.clone(), detail);
        }
    }
    windows_options(context, &path, errors);
    app_armor(context, &path, errors);
}

fn windows_options(context: &Value, path: &Path, errors: &mut Errors) {
    let options = at(context, "windowsOptions");
    if options.is_null() {
        return;
    }
    let path = path.child("windowsOptions");
    if let Some(name) = opt_text(options, "gmsaCredentialSpecName") {
        errors.subdomain(&path.child("gmsaCredentialSpecName"), name);
    }
    if let Some(credential) = opt_text(options, "gmsaCredentialSpec") {
        let path = path.child("gmsaCredentialSpec");
        if credential.is_empty() {
            errors.invalid(&path, credential, "gmsaCredentialSpec cannot be an empty string");
        } else if credential.len() > MAX_GMSA_KIB * 1024 {
            errors.invalid(
                &path,
                credential,
                format!("gmsaCredentialSpec size must be under {MAX_GMSA_KIB} KiB"),
            );
        }
    }
    if let Some(name) = opt_text(options, "runAsUserName") {
        let path = path.child("runAsUserName");
        for problem in user_name(name) {
            errors.invalid(&path, name, problem);
        }
    }
}

/// `DOMAIN\user` or `user`, as Windows has them.
fn user_name(name: &str) -> Vec<String> {
    if name.is_empty() {
        return vec!["runAsUserName cannot be an empty string".into()];
    }
    if name.chars().any(|c| c.is_ascii_control()) {
        return vec!["runAsUserName cannot contain control characters".into()];
    }
    let parts: Vec<&str> = name.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return vec!["runAsUserName cannot contain more than one backslash".into()],
    };
    let mut problems = Vec::new();
    if let Some(domain) = domain {
        if domain.len() >= 256 {
            problems.push("runAsUserName's Domain length must be under 256 characters".to_owned());
        }
        if !is_netbios(domain) && !is_dns(domain) {
            problems.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format".to_owned());
        }
    }
    if user.is_empty() {
        problems.push("runAsUserName's User cannot be empty".to_owned());
    } else if user.len() > 104 {
        problems.push("runAsUserName's User length must not be longer than 104 characters".to_owned());
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        problems.push("runAsUserName's User cannot contain only periods or spaces".to_owned());
    }
    if user.contains(|c: char| "\"/\\:;|=,+*?<>@[]".contains(c)) {
        let text = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]";
        problems.push(text.to_owned());
    }
    problems
}

fn is_netbios(domain: &str) -> bool {
    (1..=15).contains(&domain.chars().count())
        && !domain.starts_with('.')
        && !domain.contains(|c: char| "\\/:*?\"<>|".contains(c))
}

fn is_dns(domain: &str) -> bool {
    domain.split('.').all(|part| {
        part.len() <= 63
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
    })
}

/// Windows host processes: all containers or none, and on the host's network.
pub(super) fn host_process(spec: &Value, path: &Path, errors: &mut Errors) {
    let of = |object: &Value| opt_flag(at(at(object, "securityContext"), "windowsOptions"), "hostProcess");
    let whole = of(spec);
    let (mut containers, mut processes) = (0, 0);
    super::each_container(spec, path, |container, path| {
        containers += 1;
        let own = of(container);
        if let (Some(whole), Some(own)) = (whole, own)
            && whole != own
        {
            let path = path.child("securityContext").child("windowsOptions").child("hostProcess");
            let detail =
                format!("pod hostProcess value must be identical if both are specified, was {whole}");
            errors.invalid(&path, own, detail);
        }
        processes += u32::from(own.or(whole) == Some(true));
    });
    if processes == 0 {
        return;
    }
    if processes != containers {
        let detail =
            "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.invalid(path, "", detail);
    }
    if !flag(spec, "hostNetwork") {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.invalid(&path.child("hostNetwork"), false, detail);
    }
}

/// What a Pod made for one operating system may not say.
pub(super) fn operating_system(spec: &Value, path: &Path, errors: &mut Errors) {
    let os = at(spec, "os");
    if os.is_null() {
        return;
    }
    match text(os, "name") {
        "" => errors.required(&path.child("os").child("name"), ""),
        "linux" => linux(spec, path, errors),
        "windows" => windows(spec, path, errors),
        other => errors.not_supported(&path.child("os"), other, &["linux", "windows"]),
    }
}

fn linux(spec: &Value, path: &Path, errors: &mut Errors) {
    let mut check = |object: &Value, path: &Path| {
        if has(at(object, "securityContext"), "windowsOptions") {
            let path = path.child("securityContext").child("windowsOptions");
            errors.forbidden(&path, "windows options cannot be set for a linux pod");
        }
    };
    check(spec, path);
    super::each_container(spec, path, |container, path| check(container, path));
}

fn windows(spec: &Value, path: &Path, errors: &mut Errors) {
    const TEXT: &str = "cannot be set for a windows pod";
    const CONTAINER: [&str; 10] = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "privileged",
        "allowPrivilegeEscalation",
        "procMount",
        "runAsUser",
        "runAsGroup",
    ];
    let context = at(spec, "securityContext");
    let in_context = path.child("securityContext");
    let set = |field: &str| has(context, field);
    let rules: [(&'static str, bool, bool); 15] = [
        ("appArmorProfile", true, set("appArmorProfile")),
        ("seLinuxOptions", true, set("seLinuxOptions")),
        ("hostUsers", false, has(spec, "hostUsers")),
        ("hostPID", false, flag(spec, "hostPID")),
        ("hostIPC", false, flag(spec, "hostIPC")),
        ("seccompProfile", true, set("seccompProfile")),
        ("fsGroup", true, set("fsGroup")),
        ("fsGroupChangePolicy", true, set("fsGroupChangePolicy")),
        ("sysctls", true, !list(context, "sysctls").is_empty()),
        ("shareProcessNamespace", false, has(spec, "shareProcessNamespace")),
        ("runAsUser", true, set("runAsUser")),
        ("runAsGroup", true, set("runAsGroup")),
        ("supplementalGroups", true, set("supplementalGroups")),
        ("supplementalGroupsPolicy", true, set("supplementalGroupsPolicy")),
        ("seLinuxChangePolicy", true, set("seLinuxChangePolicy")),
    ];
    for (field, inside, _) in rules.into_iter().filter(|(_, _, broken)| *broken) {
        let path = if inside { &in_context } else { path };
        errors.forbidden(&path.child(field), TEXT);
    }
    super::each_container(spec, path, |container, path| {
        let context = at(container, "securityContext");
        let path = path.child("securityContext");
        for field in CONTAINER.into_iter().filter(|field| has(context, field)) {
            errors.forbidden(&path.child(field), TEXT);
        }
    });
}

/// Annotations of old that name profiles.
pub(super) fn annotations(pod: &Value, path: &Path, errors: &mut Errors) {
    let notes = || meta::annotations(pod).into_iter().flatten().filter_map(|(k, v)| Some((k, v.as_str()?)));
    for (key, profile) in notes().filter(|(key, _)| *key == SECCOMP_POD) {
        seccomp_note(&path.child(key.clone()), profile, errors);
    }
    for (key, profile) in notes().filter(|(key, _)| key.starts_with(SECCOMP_CONTAINER)) {
        seccomp_note(&path.child(key.clone()), profile, errors);
    }
    let mut names = HashSet::new();
    super::each_container(at(pod, "spec"), path, |container, _| {
        names.insert(text(container, "name").to_owned());
    });
    for (key, profile) in notes() {
        let Some(name) = key.strip_prefix(APP_ARMOR) else { continue };
        if !names.contains(name) {
            errors.invalid(&path.key(key.as_str()), name, "container not found");
        }
        let good =
            matches!(profile, "" | "runtime/default" | "unconfined") || profile.starts_with("localhost/");
        if !good {
            let detail = format!("invalid AppArmor profile name: {}", apimachinery::go::quote(profile));
            errors.invalid(&path.key(key.as_str()), profile, detail);
        }
    }
}

fn seccomp_note(path: &Path, profile: &str, errors: &mut Errors) {
    match profile.strip_prefix("localhost/") {
        Some(file) => errors.descending(path, file),
        None if matches!(profile, "runtime/default" | "docker/default" | "unconfined") => {}
        None => errors.invalid(path, profile, "must be a valid seccomp profile"),
    }
}

/// Fields and the annotations that stood for them must agree on a new Pod.
pub(super) fn annotations_match(pod: &Value, path: &Path, errors: &mut Errors) {
    let spec = at(pod, "spec");
    let check = |profile: &Value, note: Option<&str>, path: &Path, what: &str, errors: &mut Errors| {
        let (Some(note), false) = (note, profile.is_null()) else { return };
        let file = opt_text(profile, "localhostProfile");
        let type_differs = match text(profile, "type") {
            "Unconfined" => note != "unconfined",
            "RuntimeDefault" => note != "runtime/default" && !(what == "seccomp" && note == "docker/default"),
            "Localhost" => !note.starts_with("localhost/"),
            _ => false,
        };
        if type_differs {
            errors.forbidden(&path.child("type"), format!("{what} type in annotation and field must match"));
        } else if text(profile, "type") == "Localhost" && file != note.strip_prefix("localhost/") {
            let detail = format!("{what} profile in annotation and field must match");
            errors.forbidden(&path.child("localhostProfile"), detail);
        }
    };
    let context = at(spec, "securityContext");
    let at_seccomp = path.child("securityContext").child("seccompProfile");
    check(at(context, "seccompProfile"), meta::annotation(pod, SECCOMP_POD), &at_seccomp, "seccomp", errors);
    super::each_container(spec, path, |container, path| {
        let note = meta::annotation(pod, &format!("{SECCOMP_CONTAINER}{}", text(container, "name")));
        let path = path.child("securityContext").child("seccompProfile");
        check(at(at(container, "securityContext"), "seccompProfile"), note, &path, "seccomp", errors);
    });
    if text(at(spec, "os"), "name") == "windows" {
        return;
    }
    super::each_container(spec, path, |container, path| {
        let note = meta::annotation(pod, &format!("{APP_ARMOR}{}", text(container, "name")));
        let own = at(at(container, "securityContext"), "appArmorProfile");
        let profile = if own.is_null() { at(context, "appArmorProfile") } else { own };
        let path = path.child("securityContext").child("appArmorProfile");
        check(profile, note, &path, "apparmor", errors);
    });
}

/// Annotations that may be neither added, changed nor removed.
pub(super) fn annotation_updates(new: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    let kind = |key: &str| match key {
        MIRROR => Some("mirror pod annotation"),
        key if key.starts_with(APP_ARMOR) => Some("AppArmor annotations"),
        _ => None,
    };
    let keys = |pod: &Value| -> Vec<String> {
        meta::annotations(pod).map(|notes| notes.keys().cloned().collect()).unwrap_or_default()
    };
    for key in keys(old) {
        if let Some(what) = kind(&key).filter(|_| meta::annotation(new, &key) != meta::annotation(old, &key))
        {
            errors.forbidden(&path.key(key.as_str()), format!("may not remove or update {what}"));
        }
    }
    for key in keys(new) {
        if let Some(what) = kind(&key).filter(|_| meta::annotation(old, &key).is_none()) {
            errors.forbidden(&path.key(key.as_str()), format!("may not add {what}"));
        }
    }
}
