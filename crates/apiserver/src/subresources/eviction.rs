//! Eviction: a deletion that respects disruption budgets.

use crate::context::{Answer, Body, Call, Result};
use crate::handlers::delete::{self, Reviewed};
use crate::registry::{Place, store_status};
use crate::resources::Target;
use crate::server::Server;
use crate::{admission, codec};
use apimachinery::labels::Selector;
use apimachinery::status::{Cause, Details};
use apimachinery::{Status, meta};
use client::Verb;
use serde_json::{Value, json};
use std::sync::Arc;
use store::Entry;

/// Entries of `disruptedPods` before the budget's controller must catch up (upstream's limit).
const MAX_DISRUPTED: usize = 2000;

pub(super) async fn evict(server: &Server, call: &mut Call, target: &Target) -> Result<Answer> {
    let mut eviction = call.take_body()?;
    let place = Place::new(target, &call.request.namespace, &call.request.name);
    admission::admit_action(server, call, target, &place.name, &mut eviction).await?;
    if meta::name(&eviction) != place.name && !meta::name(&eviction).is_empty() {
        let text = "name in URL does not match name in Eviction object";
        return Err(Box::new(Status::bad_request(text)));
    }
    let entry = server.current(&place).await?;
    let pod = codec::tree(&entry);
    if needs_budget(&pod) {
        spend(server, call, &place, &pod).await?;
    }
    let options = &mut call.request.options;
    let asked = &eviction["deleteOptions"];
    options.grace_period_seconds = asked["gracePeriodSeconds"].as_i64().or(options.grace_period_seconds);
    options.precondition_uid = asked.pointer("/preconditions/uid").and_then(Value::as_str).map(str::to_owned);
    options.precondition_resource_version =
        asked.pointer("/preconditions/resourceVersion").and_then(Value::as_str).map(str::to_owned);
    options.propagation_policy = asked["propagationPolicy"].as_str().map(str::to_owned);
    if let Some(dry_run) = asked["dryRun"].as_array() {
        options.dry_run = dry_run.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
    }
    let mut request = call.request.clone();
    request.verb = Verb::Delete;
    request.subresource = String::new();
    let mut deletion = call.derive(request);
    delete::delete_reviewed(server, &mut deletion, target, Reviewed::Before).await?;
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(Answer { code: 201, body: Body::object(status) })
}

/// Pods that do not run, or are already going, disturb nobody.
fn needs_budget(pod: &Value) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    !meta::is_deleting(pod) && !matches!(phase, "Succeeded" | "Failed" | "Pending" | "")
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn budgets_target() -> Target {
    Target::of(api::find("policy", "v1", "poddisruptionbudgets").expect("budgets are in the table"))
}

async fn spend(server: &Server, call: &Call, place: &Place, pod: &Value) -> Result<()> {
    let target = budgets_target();
    let all = server.store.list(&target.prefix(&place.namespace));
    let matching: Vec<Arc<Entry>> =
        all.iter().filter(|entry| selects(&codec::tree(entry), pod)).cloned().collect();
    match matching.as_slice() {
        [] => Ok(()),
        [budget] => spend_one(server, call, place, pod, budget).await,
        _ => Err(Box::new(Status::internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ))),
    }
}

fn selects(budget: &Value, pod: &Value) -> bool {
    Selector::from_label_selector(budget.pointer("/spec/selector"))
        .is_ok_and(|s| !s.is_nothing() && s.matches_object(pod))
}

fn refused(budget: &Value, message: String) -> Box<Status> {
    let name = meta::name(budget);
    let cause = Cause { reason: "DisruptionBudget".into(), message, field: String::new() };
    let text = "Cannot evict pod as it would violate the pod's disruption budget.";
    let _named_in_the_cause = name;
    Box::new(
        Status::too_many_requests(text, 0)
            .with_details(Details { causes: vec![cause], ..Details::default() }),
    )
}

/// Takes one disruption from the budget, or says why there is none.
async fn spend_one(
    server: &Server,
    call: &Call,
    place: &Place,
    pod: &Value,
    budget: &Arc<Entry>,
) -> Result<()> {
    let object = codec::tree(budget);
    let status = |field: &str| object["status"][field].as_i64().unwrap_or(0);
    // A Pod that is not ready may go where the budget says so, or as long as enough others are healthy.
    let policy = object.pointer("/spec/unhealthyPodEvictionPolicy").and_then(Value::as_str);
    let enough = status("currentHealthy") >= status("desiredHealthy") && status("desiredHealthy") > 0;
    if !is_ready(pod) && (policy == Some("AlwaysAllow") || enough) {
        return Ok(());
    }
    let name = meta::name(&object);
    if status("observedGeneration") < meta::generation(&object) {
        let text = format!("The disruption budget {name} is still being processed by the server.");
        return Err(Box::new(
            Status::too_many_requests(
                "Cannot evict pod as it would violate the pod's disruption budget.",
                10,
            )
            .with_details(Details {
                causes: vec![Cause {
                    reason: "DisruptionBudget".into(),
                    message: text,
                    field: String::new(),
                }],
                retry_after_seconds: 10,
                ..Details::default()
            }),
        ));
    }
    if status("disruptionsAllowed") <= 0 {
        return Err(refused(
            &object,
            format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                status("desiredHealthy"),
                status("currentHealthy")
            ),
        ));
    }
    let mut new = (*object).clone();
    let left = status("disruptionsAllowed") - 1;
    let status = meta::object_at(meta::as_object_mut(&mut new), "status");
    status.insert("disruptionsAllowed".into(), left.into());
    let disrupted = meta::object_at(status, "disruptedPods");
    if disrupted.len() > MAX_DISRUPTED {
        let resource = budgets_target().group_resource();
        return Err(Box::new(Status::forbidden(
            &resource,
            name,
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        )));
    }
    disrupted.insert(place.name.clone(), call.now.truncated().to_string().into());
    crate::fields::track_own(call, &budgets_target(), &mut new, &object);
    if call.dry_run() {
        return Ok(());
    }
    let budget_place = Place::new(&budgets_target(), &place.namespace, name);
    let written =
        server.store.update(&budget_place.key(), codec::encode(&new), budget.mod_revision, None).await;
    written.map(|_| ()).map_err(|error| match error {
        // Another eviction was first; the client tries again and sees what is left.
        store::Error::Conflict(_) => Box::new(Status::too_many_requests(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            1,
        )),
        error => store_status(&budget_place, &error),
    })
}
