//! Statuses of hand-made observations.

use super::*;
use crate::observed::{Exit, Sandbox};

fn at(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_767_225_600 + seconds).expect("in range")
}

fn pod(policy: &str) -> Value {
    json!({"metadata": {"name": "p", "namespace": "default", "uid": "u", "generation": 1},
        "spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Pending"}})
}

fn container(attempt: u32, state: State) -> Container {
    Container {
        id: format!("id{attempt}"),
        name: "c".into(),
        attempt,
        image: "i".into(),
        image_ref: "i@sha256:1".into(),
        hash: "i".into(),
        created: at(0),
        state,
        user: None,
    }
}

fn exited(attempt: u32, code: i32) -> Container {
    let reason = if code == 0 { "Completed" } else { "Error" };
    let exit = Exit { code, reason: reason.into(), message: String::new(), started: at(1), finished: at(2) };
    container(attempt, State::Exited(exit))
}

fn observed(containers: Vec<Container>) -> Observed {
    let sandbox = Sandbox { id: "s".into(), ready: true, attempt: 0, ips: vec!["10.0.0.2".into()] };
    Observed { sandbox: Some(sandbox), containers }
}

fn status(pod: &Value, observed: &Observed, context: &Context) -> Value {
    pod_status(pod, observed, context, "minke", at(3))
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    status["conditions"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|c| c["type"] == kind)
        .expect("the kubelet sets it")
}

#[test]
fn before_the_first_start_the_pod_is_pending_and_creating() {
    let status = status(&pod("Always"), &Observed::default(), &Context::default());
    assert_eq!(status["phase"], "Pending");
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
    assert_eq!(condition(&status, "Ready")["message"], "containers with unready status: [c]");
    assert_eq!(condition(&status, "PodReadyToStartContainers")["status"], "False");
}

#[test]
fn running_is_ready_and_has_addresses() {
    let context = Context { host_ips: vec!["192.0.2.1".into()], ..Context::default() };
    let status =
        status(&pod("Always"), &observed(vec![container(0, State::Running { started: at(1) })]), &context);
    assert_eq!(status["phase"], "Running");
    assert_eq!((&status["podIP"], &status["hostIP"]), (&json!("10.0.0.2"), &json!("192.0.2.1")));
    assert_eq!(status["containerStatuses"][0]["containerID"], "minke://id0");
    assert_eq!(condition(&status, "Ready")["status"], "True");
}

#[test]
fn phases_by_policy_and_exit_code() {
    let cases = [
        ("Never", 0, "Succeeded"),
        ("Never", 3, "Failed"),
        ("OnFailure", 0, "Succeeded"),
        ("OnFailure", 3, "Running"),
        ("Always", 0, "Running"),
    ];
    for (policy, code, phase) in cases {
        let status = status(&pod(policy), &observed(vec![exited(0, code)]), &Context::default());
        assert_eq!(status["phase"], phase, "{policy} {code}");
    }
}

#[test]
fn a_crash_loop_shows_the_last_run_and_keeps_running() {
    let waiting = [("c".to_string(), ("CrashLoopBackOff".to_string(), "back-off 10s".to_string()))].into();
    let context = Context { waiting, ..Context::default() };
    let status = status(&pod("Always"), &observed(vec![exited(0, 1), exited(1, 1)]), &context);
    let container = &status["containerStatuses"][0];
    assert_eq!(status["phase"], "Running");
    assert_eq!(container["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(container["lastState"]["terminated"]["containerID"], "minke://id1");
    assert_eq!(container["restartCount"], 1);
}

#[test]
fn a_terminal_phase_is_never_left() {
    let mut pod = pod("Never");
    pod["status"]["phase"] = json!("Failed");
    let status = status(&pod, &observed(vec![exited(0, 0)]), &Context::default());
    assert_eq!(status["phase"], "Failed");
}

#[test]
fn transition_times_stay_while_the_condition_stays() {
    let mut pod = pod("Always");
    pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}, {"type": "Other", "status": "True"}]);
    let status =
        status(&pod, &observed(vec![container(0, State::Running { started: at(1) })]), &Context::default());
    assert_eq!(condition(&status, "Ready")["lastTransitionTime"], "2020-01-01T00:00:00Z");
    assert_eq!(condition(&status, "Other")["status"], "True");
}

#[test]
fn a_rejected_pod_says_why_and_nothing_of_containers() {
    let failed = Some(("UnexpectedAdmissionError".to_string(), "Pod was rejected: no".to_string()));
    let status = status(&pod("Always"), &Observed::default(), &Context { failed, ..Context::default() });
    assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("UnexpectedAdmissionError")));
    assert!(status.get("containerStatuses").is_none());
}
