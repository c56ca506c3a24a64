//! Probes, lifecycle hooks and stop signals.

use super::errors::Errors;
use super::values;
use crate::read::{at, has, int, list, text};
use apimachinery::{Path, validation};
use serde_json::Value;

/// A Pod's grace period bounds what its hooks may sleep.
type Grace = Option<i64>;

pub(super) fn probes(container: &Value, grace: Grace, path: &Path, errors: &mut Errors) {
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = at(container, field);
        if probe.is_null() {
            continue;
        }
        let path = path.child(field);
        one_probe(probe, grace, &path, errors);
        if field == "readinessProbe" {
            if let Some(seconds) = int(probe, "terminationGracePeriodSeconds") {
                let detail = "must not be set for readinessProbes";
                errors.invalid(&path.child("terminationGracePeriodSeconds"), seconds, detail);
            }
        } else {
            let threshold = int(probe, "successThreshold").unwrap_or(0);
            if threshold != 1 {
                errors.invalid(&path.child("successThreshold"), threshold, "must be 1");
            }
        }
    }
}

fn one_probe(probe: &Value, grace: Grace, path: &Path, errors: &mut Errors) {
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], grace, path, errors);
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        errors.not_negative(path, probe, field);
    }
    if let Some(seconds) = int(probe, "terminationGracePeriodSeconds").filter(|seconds| *seconds <= 0) {
        errors.invalid(&path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0");
    }
}

fn handler(value: &Value, kinds: &[&'static str], grace: Grace, path: &Path, errors: &mut Errors) {
    let mut count = 0;
    for kind in kinds.iter().filter(|kind| has(value, kind)) {
        let (action, path) = (at(value, kind), path.child(*kind));
        count += 1;
        if count > 1 {
            errors.forbidden(&path, "may not specify more than 1 handler type");
            continue;
        }
        match *kind {
            "exec" if list(action, "command").is_empty() => errors.required(&path.child("command"), ""),
            "httpGet" => http_get(action, &path, errors),
            "tcpSocket" | "grpc" => {
                errors.0.extend(values::port_or_name(at(action, "port"), &path.child("port")));
            }
            "sleep" => sleep(action, grace, &path, errors),
            _ => {}
        }
    }
    if count == 0 {
        errors.required(path, "must specify a handler type");
    }
}

fn http_get(action: &Value, path: &Path, errors: &mut Errors) {
    errors.need(path, action, "path");
    errors.0.extend(values::port_or_name(at(action, "port"), &path.child("port")));
    errors.known(&path.child("scheme"), text(action, "scheme"), &["HTTP", "HTTPS"]);
    for header in list(action, "httpHeaders") {
        let name = text(header, "name");
        errors.problems(&path.child("httpHeaders"), name, validation::http_header_name(name));
    }
}

fn sleep(action: &Value, grace: Grace, path: &Path, errors: &mut Errors) {
    let seconds = int(action, "seconds").unwrap_or(0);
    let Some(grace) = grace else { return };
    if seconds < 0 || seconds > grace {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.invalid(path, seconds, detail);
    }
}

/// Hooks and the stop signal of a container that may have them.
pub(super) fn lifecycle(container: &Value, os: Option<&str>, grace: Grace, path: &Path, errors: &mut Errors) {
    let hooks = at(container, "lifecycle");
    let path = path.child("lifecycle");
    for field in ["postStart", "preStop"] {
        if has(hooks, field) {
            let kinds = ["exec", "httpGet", "tcpSocket", "sleep"];
            handler(at(hooks, field), &kinds, grace, &path.child(field), errors);
        }
    }
    if has(hooks, "stopSignal") {
        let (signal, path) = (text(hooks, "stopSignal"), path.child("stopSignal"));
        match os {
            None => errors.forbidden(&path, "may not be set for containers with empty `spec.os.name`"),
            Some("windows") => errors.known(&path, signal, &["SIGKILL", "SIGTERM"]),
            Some("linux") => {
                let known = linux_signals();
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                errors.known(&path, signal, &known);
            }
            Some(_) => {}
        }
    }
}

/// Every signal a Linux container can be stopped with, sorted.
fn linux_signals() -> Vec<String> {
    const NAMED: &str = "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV \
        STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX";
    let mut all: Vec<String> = NAMED.split_whitespace().map(|name| format!("SIG{name}")).collect();
    all.extend((1..=15).map(|n| format!("SIGRTMIN+{n}")));
    all.extend((1..=14).map(|n| format!("SIGRTMAX-{n}")));
    all.sort_unstable();
    all
}
