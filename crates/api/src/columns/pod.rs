//! The row of a Pod. STATUS is worked out from the phase and the states of the containers, as people
//! know it from `kubectl get pods`.

use super::{age, or, since};
use crate::read::{at, flag, has, int, list, text, time};
use crate::resources::is_sidecar;
use apimachinery::{Time, meta};
use serde_json::Value;

/// What a Pod's container statuses come to.
#[derive(Debug, Default, PartialEq)]
struct Summary {
    reason: String,
    ready: usize,
    restarts: i64,
    last_restart: Option<Time>,
}

pub(super) fn cells(pod: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(pod, "spec"), at(pod, "status"));
    let summary = summary(pod);
    let sidecars = list(spec, "initContainers").iter().filter(|c| is_sidecar(c)).count();
    let total = list(spec, "containers").len() + sidecars;
    let restarts = match summary.last_restart {
        Some(_) if summary.restarts != 0 => {
            format!("{} ({} ago)", summary.restarts, since(summary.last_restart, now))
        }
        _ => summary.restarts.to_string(),
    };
    let ip = list(status, "podIPs").first().map_or("", |ip| text(ip, "ip"));
    vec![
        meta::name(pod).into(),
        format!("{}/{total}", summary.ready).into(),
        summary.reason.into(),
        restarts.into(),
        age(pod, now),
        or(ip, "<none>").into(),
        or(text(spec, "nodeName"), "<none>").into(),
        or(text(status, "nominatedNodeName"), "<none>").into(),
        readiness_gates(spec, status).into(),
    ]
}

fn readiness_gates(spec: &Value, status: &Value) -> String {
    let gates = list(spec, "readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let good =
        gates.iter().filter(|gate| condition(status, text(gate, "conditionType")) == Some("True")).count();
    format!("{good}/{}", gates.len())
}

/// The status of the first condition of a type.
fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a str> {
    list(status, "conditions").iter().find(|c| text(c, "type") == kind).map(|c| text(c, "status"))
}

fn summary(pod: &Value) -> Summary {
    let status = at(pod, "status");
    let phase = text(status, "phase");
    let mut summary = Summary { reason: or(text(status, "reason"), phase).to_owned(), ..Summary::default() };
    let gated = |c: &Value| text(c, "type") == "PodScheduled" && text(c, "reason") == "SchedulingGated";
    if list(status, "conditions").iter().any(gated) {
        summary.reason = "SchedulingGated".into();
    }
    let (initializing, sidecars) = init_containers(pod, &mut summary);
    if !initializing || condition(status, "Initialized") == Some("True") {
        (summary.restarts, summary.last_restart) = sidecars;
        app_containers(status, &mut summary);
    }
    if meta::is_deleting(pod) {
        if text(status, "reason") == "NodeLost" {
            summary.reason = "Unknown".into();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            summary.reason = "Terminating".into();
        }
    }
    summary
}

fn last_finished(status: &Value) -> Option<Time> {
    time(at(at(status, "lastState"), "terminated"), "finishedAt")
}

/// Walks the init containers up to the first that is not done. Answers whether there is one, and the
/// restarts of sidecars alone.
fn init_containers(pod: &Value, summary: &mut Summary) -> (bool, (i64, Option<Time>)) {
    let specs = list(at(pod, "spec"), "initContainers");
    let mut sidecars = (0, None);
    for (index, status) in list(at(pod, "status"), "initContainerStatuses").iter().enumerate() {
        let sidecar = specs.iter().any(|c| text(c, "name") == text(status, "name") && is_sidecar(c));
        let restarts = int(status, "restartCount").unwrap_or(0);
        summary.restarts += restarts;
        summary.last_restart = summary.last_restart.max(last_finished(status));
        if sidecar {
            sidecars = (sidecars.0 + restarts, sidecars.1.max(last_finished(status)));
        }
        let state = at(status, "state");
        let (terminated, waiting) = (at(state, "terminated"), text(at(state, "waiting"), "reason"));
        let over = has(state, "terminated");
        if over && int(terminated, "exitCode").unwrap_or(0) == 0 {
            continue;
        }
        if sidecar && flag(status, "started") {
            summary.ready += usize::from(flag(status, "ready"));
            continue;
        }
        summary.reason = if over {
            format!("Init:{}", ending(terminated))
        } else if !matches!(waiting, "" | "PodInitializing") {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", specs.len())
        };
        return (true, sidecars);
    }
    (false, sidecars)
}

/// Why a container ended: its reason, else its signal, else its exit code.
fn ending(terminated: &Value) -> String {
    let signal = int(terminated, "signal").unwrap_or(0);
    match text(terminated, "reason") {
        "" if signal != 0 => format!("Signal:{signal}"),
        "" => format!("ExitCode:{}", int(terminated, "exitCode").unwrap_or(0)),
        reason => reason.to_owned(),
    }
}

fn app_containers(status: &Value, summary: &mut Summary) {
    let mut running = false;
    let mut error = String::new();
    for container in list(status, "containerStatuses").iter().rev() {
        summary.restarts += int(container, "restartCount").unwrap_or(0);
        summary.last_restart = summary.last_restart.max(last_finished(container));
        let state = at(container, "state");
        let waiting = text(at(state, "waiting"), "reason");
        if !waiting.is_empty() {
            summary.reason = waiting.to_owned();
        } else if has(state, "terminated") {
            let terminated = at(state, "terminated");
            summary.reason = ending(terminated);
            if int(terminated, "exitCode").unwrap_or(0) != 0 {
                error.clone_from(&summary.reason);
            }
        } else if flag(container, "ready") && has(state, "running") {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" {
        let pod_ready = list(status, "conditions")
            .iter()
            .any(|c| text(c, "type") == "Ready" && text(c, "status") == "True");
        if running && pod_ready {
            summary.reason = "Running".into();
        } else if !error.is_empty() {
            summary.reason = error;
        } else if running {
            summary.reason = "NotReady".into();
        }
    }
}
