//! MutatingAdmissionWebhook and ValidatingAdmissionWebhook.

use super::Phase;
use super::again::Again;
use super::configurations::Caller;
use super::rights::authorizers;
use super::subject::Subject;
use crate::context::{Call, Result};
use crate::limits;
use crate::server::Server;
use admission::{Answer, Hook, Inputs, Matched};
use apimachinery::{Status, go, patch};
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Why a webhook did not consent.
enum Failure {
    /// It could not be asked; its policy decides what that means.
    Calling(String),
    Refused(Box<Status>),
}

impl Failure {
    /// The refusal, unless the failure is to be ignored.
    fn judge(self, call: &mut Call, hook: &Hook, note: &str, deadline: Instant, now: Instant) -> Result<()> {
        let text = match self {
            Failure::Refused(status) => return Err(status),
            Failure::Calling(text) => format!("failed calling webhook {}: {text}", go::quote(&hook.name)),
        };
        if !hook.ignores_failure {
            tracing::warn!(webhook = hook.name, "failing closed: {text}");
            return Err(Box::new(Status::internal(text)));
        }
        tracing::warn!(webhook = hook.name, "failing open: {text}");
        call.annotate(note, hook.name.as_str());
        if now >= deadline {
            return Err(late());
        }
        Ok(())
    }
}

fn late() -> Box<Status> {
    Box::new(Status::timeout("request did not complete within requested timeout", 0))
}

/// What is asked: the review, its version and its uid.
struct Question {
    matched: Matched,
    body: Bytes,
    version: &'static str,
    uid: String,
    timeout: Duration,
}

/// As what a webhook is to be asked about the request, if it is.
async fn concerned(
    server: &Server,
    call: &Call,
    subject: &Subject<'_>,
    hook: &Hook,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<Option<Matched>> {
    let Some(matched) = subject.concerned(server, &hook.criteria, object, old)? else { return Ok(None) };
    if !hook.has_conditions() {
        return Ok(Some(matched));
    }
    let request = Value::Object(subject.request.to_map(&matched));
    let (object, old) = subject.both_versioned(server, (object, old), &matched).await?;
    let holds = hook.conditions_hold(&Inputs {
        object: object.as_deref().unwrap_or(&Value::Null),
        old: old.as_deref().unwrap_or(&Value::Null),
        request: &request,
        params: &Value::Null,
        namespace: &Value::Null,
        authorizer: Some(authorizers(server, call, &subject.request)),
    });
    match holds {
        Ok(holds) => Ok(holds.then_some(matched)),
        Err(text) => {
            let (resource, name) = (subject.target.group_resource(), &subject.request.name);
            Err(Box::new(Status::forbidden(&resource, name, text)))
        }
    }
}

async fn question(
    server: &Server,
    subject: &Subject<'_>,
    hook: &Hook,
    matched: Matched,
    (object, old): (Option<&Value>, Option<&Value>),
    deadline: Instant,
) -> std::result::Result<Question, Failure> {
    if subject.request.dry_run {
        match hook.bears_dry_run() {
            Some(true) => {}
            None => return Err(Failure::Calling("Webhook SideEffects is nil".into())),
            Some(false) => {
                let name = go::quote(&hook.name);
                let text = format!("admission webhook {name} does not support dry run");
                return Err(Failure::Refused(Box::new(Status::bad_request(text))));
            }
        }
    }
    let uid = server.env.uuid();
    let versioned = subject.both_versioned(server, (object, old), &matched).await;
    let (object, old) = versioned.map_err(Failure::Refused)?;
    let (review, version) = admission::review(
        &hook.review_versions,
        &uid,
        &subject.request,
        &matched,
        object.as_deref(),
        old.as_deref(),
    )
    .map_err(|text| Failure::Calling(format!("could not create admission objects: {text}")))?;
    let own = hook.timeout_seconds.map_or(limits::CALLEE_TIMEOUT, Duration::from_secs);
    let timeout = own.min(deadline.saturating_duration_since(server.env.instant()));
    Ok(Question { matched, body: crate::codec::to_json(&review).into(), version, uid, timeout })
}

async fn ask(
    server: &Server,
    caller: &Caller,
    question: &Question,
    mutating: bool,
) -> std::result::Result<Answer, Failure> {
    let sent = caller.callee.post(server, question.body.clone(), question.timeout).await;
    let bytes = sent.map_err(|text| Failure::Calling(format!("failed to call webhook: {text}")))?;
    let review: Value = serde_json::from_slice(&bytes).map_err(|error| {
        let text = format!("couldn't get version/kind; json parse error: {error}");
        Failure::Calling(format!("failed to call webhook: {text}"))
    })?;
    Answer::read(&review, question.version, &question.uid, mutating)
        .map_err(|text| Failure::Calling(format!("received invalid webhook response: {text}")))
}

/// Warnings and notes, then the refusal if it is one.
fn heed(call: &mut Call, hook: &Hook, answer: &Answer) -> std::result::Result<(), Failure> {
    for (key, value) in &answer.annotations {
        call.annotate(format!("{}/{key}", hook.name), value.as_str());
    }
    answer.warnings.iter().for_each(|text| call.warn(text.as_str()));
    if answer.allowed { Ok(()) } else { Err(Failure::Refused(admission::denied(&hook.name, &answer.result))) }
}

/// Asks the mutating webhooks one after the other.
pub(super) async fn mutate(
    server: &Server,
    call: &mut Call,
    phase: &Phase,
    subject: &Subject<'_>,
    mut object: Option<&mut Value>,
    old: Option<&Value>,
    again: &mut Again,
) -> Result<()> {
    if subject.request.configures_admission() {
        return Ok(());
    }
    again.hooks.begin(again.second, object.as_deref());
    let round = usize::from(again.second);
    for (index, caller) in phase.current.mutating_hooks.iter().enumerate() {
        let hook = &caller.hook;
        let matched = concerned(server, call, subject, hook, object.as_deref(), old).await?;
        let Some(matched) = matched else { continue };
        if again.second && !again.hooks.is_pending(&hook.uid) {
            continue;
        }
        let question =
            question(server, subject, hook, matched, (object.as_deref(), old), phase.deadline).await;
        let outcome = match question {
            Ok(question) => one(server, call, caller, subject, &question, object.as_deref_mut()).await,
            Err(failure) => Err(failure),
        };
        let changed = matches!(outcome, Ok(true));
        let place = format!("round_{round}_index_{index}");
        let note = json!({"configuration": hook.configuration, "webhook": hook.name, "mutated": changed});
        call.annotate(format!("mutation.webhook.admission.k8s.io/{place}"), note.to_string());
        if changed {
            again.hooks.require();
            again.wanted = true;
        }
        if hook.reinvoked {
            again.hooks.remember(&hook.uid);
        }
        if let Err(failure) = outcome {
            let note = format!("failed-open.mutation.webhook.admission.k8s.io/{place}");
            failure.judge(call, hook, &note, phase.deadline, server.env.instant())?;
        }
    }
    again.hooks.end(object.as_deref());
    Ok(())
}

/// Asks one mutating webhook; whether it changed the object.
async fn one(
    server: &Server,
    call: &mut Call,
    caller: &Caller,
    subject: &Subject<'_>,
    question: &Question,
    object: Option<&mut Value>,
) -> std::result::Result<bool, Failure> {
    let hook = &caller.hook;
    let answer = ask(server, caller, question, true).await?;
    heed(call, hook, &answer)?;
    let operations = match serde_json::from_slice::<Value>(&answer.patch) {
        _ if answer.patch.is_empty() => return Ok(false),
        Ok(Value::Array(operations)) => operations,
        Ok(_) => return Err(undecodable(&"it is no list of operations")),
        Err(error) => return Err(undecodable(&error)),
    };
    if operations.is_empty() {
        return Ok(false);
    }
    let internal = |text: String| Failure::Refused(Box::new(Status::internal(text)));
    let Some(object) = object else {
        let name = go::quote(&hook.name);
        return Err(internal(format!(
            "admission webhook {name} attempted to modify the object, which is not supported for this operation"
        )));
    };
    if answer.patch_type != "JSONPatch" {
        let kind = go::quote(&answer.patch_type);
        return Err(Failure::Calling(format!("unsupported patch type {kind}")));
    }
    let before = subject.versioned(server, object, &question.matched).await.map_err(Failure::Refused)?;
    let patched = patch::json_patch(&before, &answer.patch).map_err(|error| match error {
        patch::PatchError::Malformed(text) => undecodable(&text),
        error => internal(error.to_string()),
    })?;
    let new = subject.settle(server, patched, &question.matched, false).await.map_err(Failure::Refused)?;
    let changed = *object != new;
    *object = new;
    Ok(changed)
}

fn undecodable(error: &dyn std::fmt::Display) -> Failure {
    Failure::Calling(format!("received undecodable patch in webhook response: {error}"))
}

/// Asks all validating webhooks at the same time.
pub(super) async fn validate(
    server: &Server,
    call: &mut Call,
    phase: &Phase,
    subject: &Subject<'_>,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<()> {
    if subject.request.configures_admission() {
        return Ok(());
    }
    let mut asked: Vec<(&Arc<Caller>, std::result::Result<Question, Failure>)> = Vec::new();
    for caller in &phase.current.validating_hooks {
        if let Some(matched) = concerned(server, call, subject, &caller.hook, object, old).await? {
            let question =
                question(server, subject, &caller.hook, matched, (object, old), phase.deadline).await;
            asked.push((caller, question));
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    if server.env.instant() >= phase.deadline {
        return Err(late());
    }
    let answers = join_all(asked.into_iter().map(|(caller, question)| async move {
        let answer = match question {
            Ok(question) => ask(server, caller, &question, false).await,
            Err(failure) => Err(failure),
        };
        (caller, answer)
    }))
    .await;
    let mut refusal = Ok(());
    for (index, (caller, answer)) in answers.into_iter().enumerate() {
        let hook = &caller.hook;
        let heeded = answer.and_then(|answer| heed(call, hook, &answer));
        let judged = heeded.or_else(|failure| {
            let note = format!("failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}");
            failure.judge(call, hook, &note, phase.deadline, server.env.instant())
        });
        // Everybody is heard; the first refusal is the answer.
        refusal = refusal.and(judged);
    }
    refusal
}
