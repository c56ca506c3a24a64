//! The next actions for one Pod: create or kill the sandbox, start and kill containers. A pure
//! function of the Pod, the runtime's report, the memory of this kubelet and the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::backoff::{self, Backoff};
use crate::observed::{Container, Observed, State};
use crate::restart::should_restart;

/// What a kubelet remembers of a Pod between plans; losing it only makes a back-off start anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Crash back-off by container.
    pub backoff: BTreeMap<String, Backoff>,
    /// Why the last attempt at a container could not start: reason and message of `waiting`.
    pub start_errors: BTreeMap<String, (String, String)>,
    /// When a container whose start failed may be tried again.
    pub retry_at: BTreeMap<String, Timestamp>,
    /// Ids of containers that were killed because their definition changed: they are replaced
    /// whatever the restart policy says, and without back-off.
    pub replaced: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Stop all containers and drop the sandbox.
    KillSandbox {
        id: String,
    },
    CreateSandbox {
        attempt: u32,
    },
    /// Start a container; `backoff` is to be remembered once it is tried.
    Start {
        container: String,
        attempt: u32,
        backoff: Option<Backoff>,
    },
    /// `message` is the text of the Killing event.
    Kill {
        id: String,
        container: String,
        message: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// `waiting` states that the status must show: container to (reason, message).
    pub waiting: BTreeMap<String, (String, String)>,
    /// Containers that do not run and are meant to.
    pub wanted: BTreeSet<String>,
    /// Look again after this long even if nothing happens.
    pub requeue: Option<Duration>,
    /// The old sandbox went away under a Pod that was running (event SandboxChanged).
    pub sandbox_changed: bool,
}

/// What a change of means a container is another one. Only the image can change in place.
pub fn definition_hash(container: &Value) -> String {
    container["image"].as_str().unwrap_or_default().to_string()
}

/// Plans a Pod that is meant to run (not one that is being deleted).
pub fn plan(pod: &Value, observed: &Observed, memory: &Memory, now: Timestamp) -> Plan {
    let spec = &pod["spec"];
    let mut plan = Plan::default();
    let containers: Vec<&Value> = spec["containers"].as_array().into_iter().flatten().collect();
    let sandbox_ready = observed.sandbox.as_ref().is_some_and(|s| s.ready);
    if !sandbox_ready {
        new_sandbox(&mut plan, pod, &containers, observed);
        return plan;
    }
    let mut alive = 0;
    for container in &containers {
        let name = container["name"].as_str().unwrap_or_default();
        match observed.latest(name) {
            Some(current) if current.is_running() => {
                alive += 1;
                if current.hash != definition_hash(container) {
                    plan.actions.push(Action::Kill {
                        id: current.id.clone(),
                        container: name.into(),
                        message: format!("Container {name} definition changed, will be restarted"),
                    });
                }
            }
            latest => {
                if wants_start(pod, container, latest, memory) {
                    alive += 1;
                    plan.wanted.insert(name.into());
                    start(&mut plan, pod, name, latest, memory, now);
                }
            }
        }
    }
    if alive == 0
        && let Some(sandbox) = &observed.sandbox
    {
        plan.actions.push(Action::KillSandbox { id: sandbox.id.clone() });
    }
    plan
}

/// No usable sandbox: make one, unless the Pod has run to its end.
fn new_sandbox(plan: &mut Plan, pod: &Value, containers: &[&Value], observed: &Observed) {
    let spec = &pod["spec"];
    let wanted = containers.iter().any(|container| {
        let name = container["name"].as_str().unwrap_or_default();
        match observed.latest(name).map(|c| &c.state) {
            Some(State::Exited(exit)) => should_restart(spec, container, exit.code),
            // It was running when its sandbox died: it ended with it.
            Some(State::Running { .. }) => should_restart(spec, container, LOST),
            Some(State::Created) => true,
            None => restarts_if_lost(pod, container),
        }
    });
    if let Some(sandbox) = &observed.sandbox {
        plan.actions.push(Action::KillSandbox { id: sandbox.id.clone() });
        plan.sandbox_changed = wanted;
    }
    // Not even a record is left of it after a restart of the machine.
    let ran = |container: &&Value| lost(pod, container["name"].as_str().unwrap_or_default()).is_some();
    if wanted && observed.sandbox.is_none() && containers.iter().any(ran) {
        plan.sandbox_changed = true;
    }
    if wanted {
        let attempt = observed.sandbox.as_ref().map_or(0, |s| s.attempt + 1);
        plan.actions.push(Action::CreateSandbox { attempt });
    }
}

/// Exit code of a container whose end nobody saw (upstream's ContainerStatusUnknown).
const LOST: i32 = 137;

/// Next attempt and last exit code of a container that ran according to the API while the runtime
/// knows nothing of it: the machine was restarted, or its state was removed.
fn lost(pod: &Value, name: &str) -> Option<(u32, i32)> {
    let mut statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let status = statuses.find(|status| status["name"] == name)?;
    let has_id = |value: &Value| value["containerID"].as_str().is_some_and(|id| !id.is_empty());
    let (known, last) = (has_id(status), &status["lastState"]["terminated"]);
    if !known && !last.is_object() {
        return None;
    }
    // The status may have said already that it was lost, and counted that restart.
    let counted = !known && !has_id(last);
    let code = |terminated: &Value| terminated["exitCode"].as_i64().map(|code| code as i32);
    let state = &status["state"];
    let waits = state.get("running").is_none();
    let code = code(&state["terminated"]).or(waits.then(|| code(last)).flatten()).unwrap_or(LOST);
    let restarts = status["restartCount"].as_u64().unwrap_or(0) as u32;
    Some((restarts + u32::from(!counted), code))
}

fn restarts_if_lost(pod: &Value, container: &Value) -> bool {
    let name = container["name"].as_str().unwrap_or_default();
    lost(pod, name).is_none_or(|(_, code)| should_restart(&pod["spec"], container, code))
}

fn wants_start(pod: &Value, container: &Value, latest: Option<&Container>, memory: &Memory) -> bool {
    let Some(latest) = latest else { return restarts_if_lost(pod, container) };
    let spec = &pod["spec"];
    match &latest.state {
        State::Created => true,
        State::Running { .. } => false,
        State::Exited(exit) => {
            memory.replaced.contains(&latest.id) || should_restart(spec, container, exit.code)
        }
    }
}

fn start(
    plan: &mut Plan,
    pod: &Value,
    name: &str,
    latest: Option<&Container>,
    memory: &Memory,
    now: Timestamp,
) {
    if let Some(at) = memory.retry_at.get(name).filter(|at| **at > now) {
        if let Some(error) = memory.start_errors.get(name) {
            plan.waiting.insert(name.into(), error.clone());
        }
        wait_until(plan, *at, now);
        return;
    }
    let attempt = match latest {
        Some(latest) => latest.attempt + 1,
        None => lost(pod, name).map_or(0, |(next, _)| next),
    };
    let crashed = latest.filter(|c| !memory.replaced.contains(&c.id)).and_then(Container::exit);
    let Some(exit) = crashed else {
        plan.actions.push(Action::Start { container: name.into(), attempt, backoff: None });
        return;
    };
    let entry = memory.backoff.get(name);
    match backoff::blocked_until(entry, exit.finished, now) {
        Some(until) => {
            let delay = backoff::go_duration(entry.map_or(backoff::INITIAL, |e| e.delay));
            let message =
                format!("back-off {delay} restarting failed container={name} pod={}", pod_text(pod));
            plan.waiting.insert(name.into(), ("CrashLoopBackOff".into(), message));
            wait_until(plan, until, now);
        }
        None => {
            let backoff = Some(backoff::next(entry, exit.finished, now));
            plan.actions.push(Action::Start { container: name.into(), attempt, backoff });
        }
    }
}

fn wait_until(plan: &mut Plan, at: Timestamp, now: Timestamp) {
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    plan.requeue = Some(plan.requeue.map_or(wait, |old| old.min(wait)));
}

/// `name_namespace(uid)`, as events and messages print a Pod.
pub fn pod_text(pod: &Value) -> String {
    let metadata = &pod["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    format!("{}_{}({})", text("name"), text("namespace"), text("uid"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{Exit, Sandbox};
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().expect("a timestamp")
    }

    fn pod(policy: &str) -> Value {
        json!({"metadata": {"name": "p", "namespace": "default", "uid": "u"},
            "spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]}})
    }

    fn sandbox() -> Option<Sandbox> {
        Some(Sandbox { id: "s".into(), ready: true, attempt: 0, ips: vec!["10.0.0.2".into()] })
    }

    fn container(attempt: u32, state: State) -> Container {
        Container {
            id: format!("c{attempt}"),
            name: "c".into(),
            attempt,
            image: "i".into(),
            image_ref: "i@sha256:1".into(),
            hash: "i".into(),
            created: now(),
            state,
            user: None,
        }
    }

    fn exited(attempt: u32, code: i32) -> Container {
        let reason = if code == 0 { "Completed" } else { "Error" };
        container(
            attempt,
            State::Exited(Exit {
                code,
                reason: reason.into(),
                message: String::new(),
                started: now(),
                finished: now(),
            }),
        )
    }

    #[test]
    fn a_new_pod_gets_a_sandbox_then_its_containers() {
        let memory = Memory::default();
        let first = plan(&pod("Always"), &Observed::default(), &memory, now());
        assert_eq!(first.actions, [Action::CreateSandbox { attempt: 0 }]);
        let observed = Observed { sandbox: sandbox(), containers: vec![] };
        let second = plan(&pod("Always"), &observed, &memory, now());
        assert_eq!(second.actions, [Action::Start { container: "c".into(), attempt: 0, backoff: None }]);
        let observed = Observed {
            sandbox: sandbox(),
            containers: vec![container(0, State::Running { started: now() })],
        };
        assert_eq!(plan(&pod("Always"), &observed, &memory, now()), Plan::default());
    }

    #[test]
    fn the_first_crash_restarts_at_once_the_second_waits_ten_seconds() {
        let mut memory = Memory::default();
        let observed = Observed { sandbox: sandbox(), containers: vec![exited(0, 1)] };
        let first = plan(&pod("Always"), &observed, &memory, now());
        let [Action::Start { attempt: 1, backoff: Some(entry), .. }] = &first.actions[..] else {
            panic!("{first:?}")
        };
        memory.backoff.insert("c".into(), entry.clone());
        let observed = Observed { sandbox: sandbox(), containers: vec![exited(0, 1), exited(1, 1)] };
        let second = plan(&pod("Always"), &observed, &memory, now());
        assert!(second.actions.is_empty());
        assert_eq!(
            second.waiting["c"],
            ("CrashLoopBackOff".into(), "back-off 10s restarting failed container=c pod=p_default(u)".into())
        );
        assert_eq!(second.requeue, Some(Duration::from_secs(10)));
        let later = plan(&pod("Always"), &observed, &memory, now() + Duration::from_secs(10));
        assert!(matches!(&later.actions[..], [Action::Start { attempt: 2, .. }]));
    }

    #[test]
    fn a_finished_pod_loses_its_sandbox_and_gets_no_new_one() {
        let memory = Memory::default();
        let observed = Observed { sandbox: sandbox(), containers: vec![exited(0, 0)] };
        assert_eq!(
            plan(&pod("Never"), &observed, &memory, now()).actions,
            [Action::KillSandbox { id: "s".into() }]
        );
        let observed = Observed { sandbox: None, containers: vec![exited(0, 0)] };
        assert_eq!(plan(&pod("OnFailure"), &observed, &memory, now()), Plan::default());
    }

    #[test]
    fn a_dead_sandbox_is_replaced() {
        let mut observed = Observed { sandbox: sandbox(), containers: vec![exited(0, 137)] };
        observed.sandbox.as_mut().expect("set above").ready = false;
        let plan = plan(&pod("Always"), &observed, &Memory::default(), now());
        assert!(plan.sandbox_changed);
        assert_eq!(
            plan.actions,
            [Action::KillSandbox { id: "s".into() }, Action::CreateSandbox { attempt: 1 }]
        );
    }

    #[test]
    fn a_new_image_replaces_the_container() {
        let mut changed = pod("Never");
        changed["spec"]["containers"][0]["image"] = json!("i2");
        let observed = Observed {
            sandbox: sandbox(),
            containers: vec![container(0, State::Running { started: now() })],
        };
        let killed = plan(&changed, &observed, &Memory::default(), now());
        let [Action::Kill { message, .. }] = &killed.actions[..] else { panic!("{killed:?}") };
        assert_eq!(message, "Container c definition changed, will be restarted");
        let observed = Observed { sandbox: sandbox(), containers: vec![exited(0, 137)] };
        let memory = Memory { replaced: ["c0".to_string()].into(), ..Memory::default() };
        assert_eq!(
            plan(&changed, &observed, &memory, now()).actions,
            [Action::Start { container: "c".into(), attempt: 1, backoff: None }]
        );
    }

    #[test]
    fn containers_lost_with_the_machine_restart_by_policy_and_are_counted() {
        let ran = |policy: &str| {
            let mut pod = pod(policy);
            pod["status"]["containerStatuses"] =
                json!([{"name": "c", "restartCount": 2, "containerID": "minke://old"}]);
            pod
        };
        let observed = Observed { sandbox: sandbox(), containers: vec![] };
        let plan_of = |pod: &Value, observed: &Observed| plan(pod, observed, &Memory::default(), now());
        let start = |attempt| [Action::Start { container: "c".into(), attempt, backoff: None }];
        assert_eq!(plan_of(&ran("Always"), &observed).actions, start(3));
        assert!(plan_of(&ran("Always"), &Observed::default()).sandbox_changed);
        let ended = plan_of(&ran("Never"), &Observed::default());
        assert_eq!(ended, Plan::default(), "it ran, and is not to run again");
        // The status said so before the container was there again: this restart is counted.
        let mut told = pod("Always");
        told["status"]["containerStatuses"] = json!([{"name": "c", "restartCount": 3,
            "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 137}}}]);
        assert_eq!(plan_of(&told, &observed).actions, start(3));
        // It waited for its restart when it was lost.
        told["status"]["containerStatuses"] = json!([{"name": "c", "restartCount": 3,
            "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 1, "containerID": "minke://x"}}}]);
        assert_eq!(plan_of(&told, &observed).actions, start(4));
    }
}
