//! MutatingAdmissionPolicy and ValidatingAdmissionPolicy.

use super::Phase;
use super::again::Again;
use super::configurations::Bound;
use super::params;
use super::rights::authorizers;
use super::subject::{Subject, namespace};
use crate::context::{Call, Result};
use crate::fields;
use crate::server::Server;
use admission::{Action, Binding, Decision, Inputs, Matched, Note, Operation, Policy, Validated};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::status::Cause;
use apimachinery::{Reason, Status, meta};
use cel::Authorizer;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

static NULL: Value = Value::Null;
const GROUP: &str = "admissionregistration.k8s.io";

/// Policies judge neither themselves nor what nothing works without.
fn exempt(subject: &Subject<'_>) -> bool {
    let resource = &subject.request.resource;
    let policies = resource.group == GROUP
        && (resource.resource.ends_with("policies") || resource.resource.ends_with("policybindings"));
    policies || subject.request.is_review()
}

/// A policy with a binding and a parameter that concern the request.
struct Invocation<'c> {
    policy: &'c Policy,
    binding: &'c Binding,
    matched: Matched,
    params: Arc<Value>,
}

/// A policy that could not be configured; without a binding, all of it.
struct Misconfigured<'c> {
    policy: &'c Policy,
    binding: Option<&'c Binding>,
    text: String,
}

/// What of the policies concerns the request, or should have.
async fn invocations<'c>(
    server: &Server,
    policies: &'c [Bound],
    subject: &Subject<'_>,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Vec<std::result::Result<Invocation<'c>, Misconfigured<'c>>> {
    let mut found = Vec::new();
    for Bound { policy, bindings } in policies {
        let broken = |binding: Option<&'c Binding>, text: &dyn std::fmt::Display| {
            let what = if binding.is_some() { "binding" } else { "policy" };
            Err(Misconfigured { policy, binding, text: format!("failed to configure {what}: {text}") })
        };
        let matched = match subject.concerned(server, &policy.criteria, object, old) {
            Ok(Some(matched)) => matched,
            Ok(None) => continue,
            Err(status) => {
                found.push(broken(None, &status));
                continue;
            }
        };
        let resource = match params::resource(server, policy) {
            Ok(resource) => resource,
            Err(text) => {
                found.push(broken(None, &text));
                continue;
            }
        };
        for binding in bindings {
            let concerned = binding.criteria.as_ref().map_or(Ok(true), |criteria| {
                subject.concerned(server, criteria, object, old).map(|matched| matched.is_some())
            });
            match concerned {
                Ok(true) => {}
                Ok(false) => continue,
                Err(status) => {
                    found.push(broken(Some(binding), &status));
                    continue;
                }
            }
            let namespace = &subject.request.namespace;
            match params::collect(server, resource.as_ref(), binding.params.as_ref(), namespace).await {
                Err(text) => found.push(broken(Some(binding), &text)),
                Ok(all) => found.extend(
                    all.into_iter()
                        .map(|params| Ok(Invocation { policy, binding, matched: matched.clone(), params })),
                ),
            }
        }
    }
    found
}

/// What is the same for all evaluations about one request.
struct Surroundings {
    namespace: Arc<Value>,
    authorizers: (Authorizer, Authorizer),
}

impl Surroundings {
    fn of(server: &Server, call: &Call, subject: &Subject<'_>) -> Result<Surroundings> {
        let request = &subject.request;
        let about_namespace = request.kind.group.is_empty() && request.kind.kind == "Namespace";
        let namespace = match request.namespace.as_str() {
            "" => Arc::new(Value::Null),
            _ if about_namespace => Arc::new(Value::Null),
            name => namespace(server, name)?,
        };
        Ok(Surroundings { namespace, authorizers: authorizers(server, call, request) })
    }

    fn inputs<'a>(
        &'a self,
        (object, old): (Option<&'a Value>, Option<&'a Value>),
        request: &'a Value,
        params: &'a Value,
    ) -> Inputs<'a> {
        Inputs {
            object: object.unwrap_or(&NULL),
            old: old.unwrap_or(&NULL),
            request,
            params,
            namespace: &self.namespace,
            authorizer: Some(self.authorizers.clone()),
        }
    }
}

/// A refusal in the making: what to tell, and why.
struct Denial {
    text: String,
    reason: Option<Reason>,
}

pub(super) async fn mutate(
    server: &Server,
    call: &Call,
    phase: &Phase,
    subject: &Subject<'_>,
    mut object: Option<&mut Value>,
    old: Option<&Value>,
    again: &mut Again,
) -> Result<()> {
    if exempt(subject) || subject.request.operation == Operation::Delete {
        return Ok(());
    }
    let found = invocations(server, &phase.current.mutating_policies, subject, object.as_deref(), old).await;
    if found.is_empty() {
        return Ok(());
    }
    let around = Surroundings::of(server, call, subject)?;
    let mut denials = Vec::new();
    let mut deny = |policy: &Policy, binding: Option<&Binding>, text: &str, reason| {
        if policy.ignores_failure {
            return;
        }
        let name = &policy.name;
        let text = match binding {
            Some(binding) => {
                format!("policy '{name}' with binding '{}' denied request: {text}", binding.name)
            }
            None => format!("policy \"{name}\" denied request: {text}"),
        };
        denials.push(Denial { text, reason });
    };
    again.policies.begin(again.second, object.as_deref());
    // What cannot be configured is told before what fails.
    let mut ready = Vec::new();
    for one in found {
        match one {
            Ok(invocation) => ready.push(invocation),
            Err(broken) => deny(broken.policy, broken.binding, &broken.text, None),
        }
    }
    for invocation in &ready {
        let Invocation { policy, binding, .. } = invocation;
        for text in apply(server, subject, &around, invocation, object.as_deref_mut(), old, again).await? {
            deny(policy, Some(binding), &text, Some(Reason::Invalid));
        }
    }
    again.policies.end(object.as_deref());
    let Some(first) = denials.first() else { return Ok(()) };
    let mut status = subject.forbidden(object.as_deref(), "");
    status.message.clone_from(&first.text);
    status.reason = first.reason.unwrap_or(status.reason);
    Err(Box::new(with_causes(status, denials.iter().map(|denial| denial.text.clone()))))
}

fn with_causes(mut status: Status, texts: impl Iterator<Item = String>) -> Status {
    let details = status.details.get_or_insert_default();
    details.causes.extend(texts.map(|message| Cause { message, ..Cause::default() }));
    status
}

/// Applies the mutations of one policy in turn. Gives what failed.
async fn apply(
    server: &Server,
    subject: &Subject<'_>,
    around: &Surroundings,
    invocation: &Invocation<'_>,
    object: Option<&mut Value>,
    old: Option<&Value>,
    again: &mut Again,
) -> Result<Vec<String>> {
    let Invocation { policy, binding, matched, params } = invocation;
    let request = Value::Object(subject.request.to_map(matched));
    let (now, old) = subject.both_versioned(server, (object.as_deref(), old), matched).await?;
    let mut now = now.map(Cow::into_owned);
    let inputs = around.inputs((now.as_ref(), old.as_deref()), &request, params);
    match policy.conditions_hold(&inputs) {
        Ok(true) => {}
        Ok(false) => return Ok(Vec::new()),
        Err(text) => return Ok(vec![text]),
    }
    let param = format!("{}/{}", meta::namespace(params), meta::name(params));
    let key = format!("{}/{}/{param}", policy.name, binding.name);
    if again.second && !again.policies.is_pending(&key) {
        return Ok(Vec::new());
    }
    let mut failed = Vec::new();
    let mut settled = None;
    for mutation in &policy.mutations {
        let Some(before) = &now else { continue };
        let Some(ty) = fields::type_as(subject.target_of(matched), &matched.kind) else {
            return Err(unknown(&matched.kind));
        };
        let inputs = around.inputs((Some(before), old.as_deref()), &request, params);
        match admission::mutate::mutate(policy, mutation, &inputs, ty) {
            Ok(new) => {
                let new = subject.settle(server, new, matched, mutation.is_strict()).await?;
                now = Some(subject.versioned(server, &new, matched).await?.into_owned());
                settled = Some(new);
            }
            Err(text) => failed.push(text),
        }
    }
    if let (Some(object), Some(new)) = (object, settled)
        && *object != new
    {
        *object = new;
        again.policies.require();
        again.wanted = true;
    }
    if policy.reinvoked {
        again.policies.remember(&key);
    }
    Ok(failed)
}

fn unknown(GroupVersionKind { group, version, kind }: &GroupVersionKind) -> Box<Status> {
    Box::new(Status::service_unavailable(format!(
        "Resource kind {group}/{version}, Kind={kind} not found. There can be a delay between when CustomResourceDefinitions are created and when they are available."
    )))
}

pub(super) async fn validate(
    server: &Server,
    call: &mut Call,
    phase: &Phase,
    subject: &Subject<'_>,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<()> {
    if exempt(subject) {
        return Ok(());
    }
    let found = invocations(server, &phase.current.validating_policies, subject, object, old).await;
    if found.is_empty() {
        return Ok(());
    }
    let around = Surroundings::of(server, call, subject)?;
    let mut denials = Vec::new();
    let mut notes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in found {
        let Invocation { policy, binding, matched, params } = match one {
            Ok(invocation) => invocation,
            Err(broken) => {
                if !broken.policy.ignores_failure {
                    denials.push(denial(broken.policy, broken.binding, &broken.text, None));
                }
                continue;
            }
        };
        let request = Value::Object(subject.request.to_map(&matched));
        let (object, old) = subject.both_versioned(server, (object, old), &matched).await?;
        let inputs = around.inputs((object.as_deref(), old.as_deref()), &request, &params);
        let Validated { decisions, notes: published } = policy.validate(&inputs);
        for decision in &decisions {
            act(call, policy, binding, decision, &mut denials);
        }
        for note in published {
            match note {
                Note::Failed(text) => denials.push(denial(policy, Some(binding), &text, None)),
                Note::Publish { key, value } => {
                    let values = notes.entry(format!("{}/{key}", policy.name)).or_default();
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
            }
        }
    }
    for (key, values) in notes {
        call.annotate(key, values.join(", "));
    }
    let Some(first) = denials.into_iter().next() else { return Ok(()) };
    let mut status = subject.forbidden(object, &first.text);
    status.reason = first.reason.unwrap_or(Reason::Invalid);
    status.code = status.reason.code();
    Err(Box::new(with_causes(status, std::iter::once(first.text))))
}

fn denial(policy: &Policy, binding: Option<&Binding>, text: &str, reason: Option<Reason>) -> Denial {
    let name = &policy.name;
    let text = match binding {
        Some(binding) => {
            let binding = &binding.name;
            format!("ValidatingAdmissionPolicy '{name}' with binding '{binding}' denied request: {text}")
        }
        None => format!("ValidatingAdmissionPolicy '{name}' denied request: {text}"),
    };
    Denial { text, reason }
}

/// Does what the binding says about something that is not consented to.
fn act(call: &mut Call, policy: &Policy, binding: &Binding, decision: &Decision, denials: &mut Vec<Denial>) {
    for action in &binding.actions {
        match action {
            Action::Deny => {
                denials.push(denial(policy, Some(binding), &decision.message, decision.reason));
            }
            Action::Warn => call.warn(format!(
                "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                policy.name, binding.name, decision.message
            )),
            Action::Audit => {
                let actions: Vec<&str> = binding.actions.iter().map(|action| action.as_str()).collect();
                let value = json!([{
                    "message": decision.message, "policy": binding.policy, "binding": binding.name,
                    "expressionIndex": decision.index, "validationActions": actions,
                }]);
                call.annotate("validation.policy.admission.k8s.io/validation_failure", value.to_string());
            }
        }
    }
}
