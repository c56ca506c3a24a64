//! `PodStatus` from observation: phase, conditions, container statuses. The phase algorithm is
//! upstream's getPhase; a terminal phase is never left.

use std::collections::BTreeMap;

use api::qos::qos_class;
use apimachinery::time::Time;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::observed::{Container, Observed, State};
use crate::restart::should_restart;

/// What the status needs besides the Pod and the runtime's report.
#[derive(Clone, Debug, Default)]
pub struct Context {
    pub host_ips: Vec<String>,
    /// `waiting` reason and message by container.
    pub waiting: BTreeMap<String, (String, String)>,
    /// The Pod is being stopped for good: its containers will not be restarted.
    pub terminating: bool,
    /// Reason and message of the Pod itself (rejection, eviction, deadline); makes it Failed.
    pub failed: Option<(String, String)>,
}

/// The new status, built on the one the API has. `runtime` prefixes container ids (`minke`).
pub fn pod_status(
    pod: &Value,
    observed: &Observed,
    context: &Context,
    runtime: &str,
    now: Timestamp,
) -> Value {
    let old = &pod["status"];
    let spec = &pod["spec"];
    let statuses = container_statuses(pod, observed, context, runtime);
    let mut status = Map::new();
    let old_phase = old["phase"].as_str().unwrap_or("Pending");
    let terminal = matches!(old_phase, "Failed" | "Succeeded");
    let phase = match &context.failed {
        _ if terminal => old_phase,
        Some(_) => "Failed",
        None => phase(spec, &statuses, context.terminating),
    };
    status.insert("phase".into(), json!(phase));
    if let Some((reason, message)) = &context.failed {
        status.insert("reason".into(), json!(reason));
        status.insert("message".into(), json!(message));
    } else if phase == old_phase {
        for field in ["reason", "message"] {
            if let Some(value) = old.get(field) {
                status.insert(field.into(), value.clone());
            }
        }
    }
    for field in ["startTime", "nominatedNodeName", "resize", "resourceClaimStatuses"] {
        if let Some(value) = old.get(field) {
            status.insert(field.into(), value.clone());
        }
    }
    status.entry("startTime").or_insert_with(|| json!(Time(now).to_string()));
    let generation = pod["metadata"]["generation"].as_i64();
    if let Some(generation) = generation {
        status.insert("observedGeneration".into(), json!(generation));
    }
    status.insert("qosClass".into(), json!(qos_class(spec).as_str()));
    if context.failed.is_some() && observed.containers.is_empty() {
        // Rejected before anything ran: there is nothing to say of containers (upstream's rejectPod).
        return Value::Object(status);
    }
    addresses(&mut status, pod, observed, context);
    let statuses: Vec<Value> = statuses.into_values().collect();
    status.insert("conditions".into(), conditions(pod, observed, &statuses, phase, now));
    // A Pod that was turned away never had containers: its reason is all there is to show.
    let nothing = observed.sandbox.is_none() && observed.containers.is_empty();
    let turned_away =
        (context.failed.is_some() || terminal) && nothing && old.get("containerStatuses").is_none();
    if !turned_away {
        status.insert("containerStatuses".into(), Value::Array(statuses));
    }
    Value::Object(status)
}

fn addresses(status: &mut Map<String, Value>, pod: &Value, observed: &Observed, context: &Context) {
    let old = &pod["status"];
    if let Some(first) = context.host_ips.first() {
        status.insert("hostIP".into(), json!(first));
        let all: Vec<_> = context.host_ips.iter().map(|ip| json!({"ip": ip})).collect();
        status.insert("hostIPs".into(), json!(all));
    }
    let own = observed.sandbox.as_ref().map(|s| s.ips.as_slice()).unwrap_or_default();
    let host_network = pod["spec"]["hostNetwork"] == true;
    let ips: &[String] = if host_network && observed.sandbox.is_some() { &context.host_ips } else { own };
    if let Some(first) = ips.first() {
        status.insert("podIP".into(), json!(first));
        status.insert("podIPs".into(), json!(ips.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>()));
    } else {
        // The address stays in the status after the sandbox is gone.
        for field in ["podIP", "podIPs"] {
            if let Some(value) = old.get(field) {
                status.insert(field.into(), value.clone());
            }
        }
    }
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["containers"].as_array().into_iter().flatten()
}

fn name_of(container: &Value) -> &str {
    container["name"].as_str().unwrap_or_default()
}

/// By name, the order upstream prints.
fn container_statuses(
    pod: &Value,
    observed: &Observed,
    context: &Context,
    runtime: &str,
) -> BTreeMap<String, Value> {
    containers(&pod["spec"])
        .map(|container| {
            let name = name_of(container);
            let old = pod["status"]["containerStatuses"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|s| s["name"] == name);
            (name.to_string(), container_status(container, old, observed, context, runtime))
        })
        .collect()
}

fn container_status(
    container: &Value,
    old: Option<&Value>,
    observed: &Observed,
    context: &Context,
    runtime: &str,
) -> Value {
    let name = name_of(container);
    let latest = observed.latest(name);
    let mut status = match latest {
        Some(current) => status_of(container, current, observed.previous(name), old, runtime),
        None => status_without_container(container, old, context.terminating),
    };
    if let Some((reason, message)) = context.waiting.get(name)
        && status["state"].get("running").is_none()
    {
        if let Some(terminated) = status["state"].get("terminated").cloned() {
            status["lastState"] = json!({"terminated": terminated});
        }
        let mut waiting = json!({"reason": reason});
        if !message.is_empty() {
            waiting["message"] = json!(message);
        }
        status["state"] = json!({"waiting": waiting});
    }
    let running = status["state"].get("running").is_some();
    status["ready"] = json!(running && !context.terminating);
    status["started"] = json!(running);
    status
}

fn status_of(
    container: &Value,
    current: &Container,
    previous: Option<&Container>,
    old: Option<&Value>,
    runtime: &str,
) -> Value {
    let id = |c: &Container| format!("{runtime}://{}", c.id);
    let mut status = json!({
        "name": current.name,
        "image": current.image,
        "imageID": current.image_ref,
        "containerID": id(current),
        "restartCount": current.attempt,
        "state": state_of(current, &id(current)),
        "lastState": {},
    });
    if let Some(previous) = previous.filter(|p| p.exit().is_some()) {
        status["lastState"] = state_of(previous, &id(previous));
    } else if let Some(last) = old.and_then(|o| o["lastState"].get("terminated")) {
        status["lastState"] = json!({"terminated": last});
    }
    if let Some((uid, gid, groups)) = &current.user {
        status["user"] = json!({"linux": {"uid": uid, "gid": gid, "supplementalGroups": groups}});
    }
    resources(&mut status, container);
    mounts(&mut status, container);
    status
}

fn state_of(container: &Container, id: &str) -> Value {
    match &container.state {
        State::Created => json!({"waiting": {}}),
        State::Running { started } => json!({"running": {"startedAt": Time(*started).to_string()}}),
        State::Exited(exit) => {
            let mut terminated = json!({
                "exitCode": exit.code,
                "reason": exit.reason,
                "startedAt": Time(exit.started).to_string(),
                "finishedAt": Time(exit.finished).to_string(),
                "containerID": id,
            });
            if !exit.message.is_empty() {
                terminated["message"] = json!(exit.message);
            }
            json!({"terminated": terminated})
        }
    }
}

/// Nothing in the runtime: not created yet, or its record is gone.
fn status_without_container(container: &Value, old: Option<&Value>, terminating: bool) -> Value {
    let mut status = json!({
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "restartCount": 0,
        "state": {"waiting": {"reason": "ContainerCreating"}},
        "lastState": {},
    });
    if let Some(old) = old {
        if old["state"].get("terminated").is_some() {
            return old.clone();
        }
        status["restartCount"] = old["restartCount"].clone();
        status["lastState"] = old["lastState"].clone();
        if old["state"].get("running").is_some() {
            status["lastState"] = json!({"terminated": {
                "exitCode": 137,
                "reason": "ContainerStatusUnknown",
                "message": "The container could not be located when the pod was deleted.  The container used to be Running",
                "startedAt": null,
                "finishedAt": null,
            }});
            let restarts = old["restartCount"].as_i64().unwrap_or(0);
            status["restartCount"] = json!(restarts + i64::from(!terminating));
        }
    }
    mounts(&mut status, container);
    status
}

fn resources(status: &mut Value, container: &Value) {
    let resources = &container["resources"];
    status["resources"] = if resources.is_null() { json!({}) } else { resources.clone() };
    if let Some(requests) = resources.get("requests") {
        status["allocatedResources"] = requests.clone();
    }
}

fn mounts(status: &mut Value, container: &Value) {
    let mounts: Vec<_> = container["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|mount| {
            let mut out = json!({"name": mount["name"], "mountPath": mount["mountPath"]});
            if mount["readOnly"] == true {
                out["readOnly"] = json!(true);
                let recursive = matches!(mount["recursiveReadOnly"].as_str(), Some("Enabled" | "IfPossible"));
                out["recursiveReadOnly"] = json!(if recursive { "Enabled" } else { "Disabled" });
            }
            out
        })
        .collect();
    if !mounts.is_empty() {
        status["volumeMounts"] = Value::Array(mounts);
    }
}

/// The phase of a Pod without init containers.
fn phase(spec: &Value, statuses: &BTreeMap<String, Value>, terminating: bool) -> &'static str {
    let (mut running, mut waiting, mut stopped, mut restarting, mut succeeded, mut unknown) =
        (0, 0, 0, 0, 0, 0);
    for container in containers(spec) {
        let Some(status) = statuses.get(name_of(container)) else {
            unknown += 1;
            continue;
        };
        let (state, last) = (&status["state"], &status["lastState"]);
        let ended = |terminated: &Value| terminated["exitCode"].as_i64().unwrap_or(0) as i32;
        if state.get("running").is_some() {
            running += 1;
        } else if let Some(terminated) = state.get("terminated") {
            stopped += 1;
            restarting += usize::from(should_restart(spec, container, ended(terminated)));
            succeeded += usize::from(ended(terminated) == 0);
        } else if let Some(terminated) = last.get("terminated") {
            stopped += 1;
            restarting += usize::from(should_restart(spec, container, ended(terminated)));
        } else if state.get("waiting").is_some() {
            waiting += 1;
        } else {
            unknown += 1;
        }
    }
    if waiting > 0 {
        "Pending"
    } else if running > 0 && unknown == 0 {
        "Running"
    } else if running == 0 && stopped > 0 && unknown == 0 {
        let end = if stopped == succeeded { "Succeeded" } else { "Failed" };
        if terminating || restarting == 0 { end } else { "Running" }
    } else {
        "Pending"
    }
}

/// Condition types that the kubelet owns.
const OWNED: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

fn conditions(pod: &Value, observed: &Observed, statuses: &[Value], phase: &str, now: Timestamp) -> Value {
    let old: Vec<&Value> = pod["status"]["conditions"].as_array().into_iter().flatten().collect();
    let mut all: Vec<Value> = old
        .iter()
        .filter(|c| !OWNED.contains(&c["type"].as_str().unwrap_or_default()))
        .map(|c| (*c).clone())
        .collect();
    let ready = containers_ready(&pod["spec"], statuses, phase);
    let initialized = (true, if phase == "Succeeded" { "PodCompleted" } else { "" }, String::new());
    let sandbox = observed.sandbox.as_ref().is_some_and(|s| s.ready);
    let made = [
        ("PodReadyToStartContainers", (sandbox, "", String::new())),
        ("Initialized", initialized),
        ("Ready", ready.clone()),
        ("ContainersReady", ready),
        ("PodScheduled", (true, "", String::new())),
    ];
    for (kind, (status, reason, message)) in made {
        let status = if status { "True" } else { "False" };
        let before = old.iter().find(|c| c["type"] == kind);
        let since = match before {
            Some(before) if before["status"] == status => before["lastTransitionTime"].clone(),
            _ => json!(Time(now).to_string()),
        };
        let mut condition =
            json!({"type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": since});
        if let Some(generation) = pod["metadata"]["generation"].as_i64() {
            condition["observedGeneration"] = json!(generation);
        }
        if !reason.is_empty() {
            condition["reason"] = json!(reason);
        }
        if !message.is_empty() {
            condition["message"] = json!(message);
        }
        all.push(condition);
    }
    Value::Array(all)
}

/// Status, reason and message of ContainersReady (and of Ready, there being no readiness gates).
fn containers_ready(spec: &Value, statuses: &[Value], phase: &str) -> (bool, &'static str, String) {
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    for container in containers(spec) {
        match statuses.iter().find(|s| s["name"] == container["name"]) {
            None => unknown.push(name_of(container)),
            Some(status) if status["ready"] != true => unready.push(name_of(container)),
            Some(_) => {}
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return (false, "PodCompleted", String::new());
    }
    if phase == "Failed" {
        return (false, "PodFailed", String::new());
    }
    let mut messages = Vec::new();
    if !unknown.is_empty() {
        messages.push(format!("containers with unknown status: [{}]", unknown.join(" ")));
    }
    if !unready.is_empty() {
        messages.push(format!("containers with unready status: [{}]", unready.join(" ")));
    }
    if messages.is_empty() {
        (true, "", String::new())
    } else {
        (false, "ContainersNotReady", messages.join(", "))
    }
}

#[cfg(test)]
mod tests;
