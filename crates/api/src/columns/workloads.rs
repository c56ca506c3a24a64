//! Rows of workloads: what makes Pods.

use super::{Cells, age, count, labels, or, selector, selector_or_none, since};
use crate::read::{at, has, int, list, opt_flag, opt_text, quantity, text, time};
use apimachinery::{Time, meta};
use serde_json::Value;

pub(super) const CELLS: &[(&str, &str, Cells)] = &[
    ("", "podtemplates", pod_template),
    ("", "replicationcontrollers", replication_controller),
    ("apps", "controllerrevisions", controller_revision),
    ("apps", "daemonsets", daemon_set),
    ("apps", "deployments", deployment),
    ("apps", "replicasets", replica_set),
    ("apps", "statefulsets", stateful_set),
    ("autoscaling", "horizontalpodautoscalers", autoscaler),
    ("batch", "cronjobs", cron_job),
    ("batch", "jobs", job),
    ("policy", "poddisruptionbudgets", disruption_budget),
];

/// The names and images of the containers of a Pod template.
fn containers(template: &Value) -> [Value; 2] {
    let all = list(at(template, "spec"), "containers");
    ["name", "image"].map(|field| all.iter().map(|c| text(c, field)).collect::<Vec<_>>().join(",").into())
}

fn pod_template(object: &Value, _: Time) -> Vec<Value> {
    let template = at(object, "template");
    let [names, images] = containers(template);
    vec![meta::name(object).into(), names, images, labels(at(at(template, "metadata"), "labels")).into()]
}

fn replicas(object: &Value, now: Time, selector: String) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let [names, images] = containers(at(spec, "template"));
    vec![
        meta::name(object).into(),
        count(spec, "replicas"),
        count(status, "replicas"),
        count(status, "readyReplicas"),
        age(object, now),
        names,
        images,
        selector.into(),
    ]
}

fn replication_controller(object: &Value, now: Time) -> Vec<Value> {
    replicas(object, now, labels(at(at(object, "spec"), "selector")))
}

fn replica_set(object: &Value, now: Time) -> Vec<Value> {
    replicas(object, now, selector_or_none(at(at(object, "spec"), "selector")))
}

fn controller_revision(object: &Value, now: Time) -> Vec<Value> {
    let controller = meta::controller(object).map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let kind = owner.kind().to_lowercase();
            let kind = if owner.group().is_empty() { kind } else { format!("{kind}.{}", owner.group()) };
            format!("{kind}/{}", owner.name())
        },
    );
    vec![meta::name(object).into(), controller.into(), count(object, "revision"), age(object, now)]
}

fn daemon_set(object: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let template = at(spec, "template");
    let [names, images] = containers(template);
    vec![
        meta::name(object).into(),
        count(status, "desiredNumberScheduled"),
        count(status, "currentNumberScheduled"),
        count(status, "numberReady"),
        count(status, "updatedNumberScheduled"),
        count(status, "numberAvailable"),
        labels(at(at(template, "spec"), "nodeSelector")).into(),
        age(object, now),
        names,
        images,
        selector_or_none(at(spec, "selector")).into(),
    ]
}

fn deployment(object: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let [names, images] = containers(at(spec, "template"));
    let chosen = selector(at(spec, "selector")).unwrap_or_else(|| "<invalid>".into());
    vec![
        meta::name(object).into(),
        ready_of(spec, status).into(),
        count(status, "updatedReplicas"),
        count(status, "availableReplicas"),
        age(object, now),
        names,
        images,
        chosen.into(),
    ]
}

fn ready_of(spec: &Value, status: &Value) -> String {
    format!("{}/{}", count(status, "readyReplicas"), count(spec, "replicas"))
}

fn stateful_set(object: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let [names, images] = containers(at(spec, "template"));
    vec![meta::name(object).into(), ready_of(spec, status).into(), age(object, now), names, images]
}

fn job(object: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let succeeded = count(status, "succeeded");
    let parallelism = int(spec, "parallelism").unwrap_or(0);
    let completions = match int(spec, "completions") {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    };
    let started = time(status, "startTime");
    let duration = started.map(|start| since(Some(start), time(status, "completionTime").unwrap_or(now)));
    let [names, images] = containers(at(spec, "template"));
    vec![
        meta::name(object).into(),
        job_status(object).into(),
        completions.into(),
        duration.unwrap_or_default().into(),
        age(object, now),
        names,
        images,
        selector_or_none(at(spec, "selector")).into(),
    ]
}

fn job_status(job: &Value) -> &'static str {
    let conditions = list(at(job, "status"), "conditions");
    let is = |kind: &str| {
        conditions.iter().find(|c| text(c, "type") == kind).is_some_and(|c| text(c, "status") == "True")
    };
    if is("Complete") {
        "Complete"
    } else if is("Failed") {
        "Failed"
    } else if meta::is_deleting(job) {
        "Terminating"
    } else {
        ["Suspended", "FailureTarget", "SuccessCriteriaMet"]
            .into_iter()
            .find(|kind| is(kind))
            .unwrap_or("Running")
    }
}

fn cron_job(object: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let inner = at(at(spec, "jobTemplate"), "spec");
    let [names, images] = containers(at(inner, "template"));
    let last = time(status, "lastScheduleTime").map_or_else(|| "<none>".to_owned(), |t| since(Some(t), now));
    let suspend = match opt_flag(spec, "suspend") {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    vec![
        meta::name(object).into(),
        text(spec, "schedule").into(),
        opt_text(spec, "timeZone").unwrap_or("<none>").into(),
        suspend.into(),
        list(status, "active").len().into(),
        last.into(),
        age(object, now),
        names,
        images,
        selector_or_none(at(inner, "selector")).into(),
    ]
}

fn disruption_budget(object: &Value, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    let amount = |field: &str| match at(spec, field) {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => "N/A".into(),
    };
    vec![
        meta::name(object).into(),
        amount("minAvailable").into(),
        amount("maxUnavailable").into(),
        count(at(object, "status"), "disruptionsAllowed"),
        age(object, now),
    ]
}

fn autoscaler(object: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let target = at(spec, "scaleTargetRef");
    vec![
        meta::name(object).into(),
        format!("{}/{}", text(target, "kind"), text(target, "name")).into(),
        metrics(spec, status).into(),
        int(spec, "minReplicas").map_or_else(|| "<unset>".into(), |n| n.to_string()).into(),
        count(spec, "maxReplicas"),
        count(status, "currentReplicas"),
        age(object, now),
    ]
}

/// Two metrics at most, each as `current/target`.
fn metrics(spec: &Value, status: &Value) -> String {
    let percent =
        |value: Option<i64>, other: &str| value.map_or_else(|| other.to_owned(), |n| format!("{n}%"));
    if let Some(wanted) = int(spec, "targetCPUUtilizationPercentage") {
        let current = percent(int(status, "currentCPUUtilizationPercentage"), "<unknown>");
        return format!("cpu: {current}/{wanted}%");
    }
    let (wanted, current) = (list(spec, "metrics"), list(status, "currentMetrics"));
    if wanted.is_empty() {
        return "<none>".into();
    }
    let one =
        |(index, metric): (usize, &Value)| metric_text(metric, current.get(index).unwrap_or(&Value::Null));
    let all: Vec<String> = wanted.iter().enumerate().map(one).collect();
    match all.len() {
        0..=2 => all.join(", "),
        more => format!("{} + {} more...", all[..2].join(", "), more - 2),
    }
}

fn metric_text(metric: &Value, current: &Value) -> String {
    let (field, named) = match text(metric, "type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".into(),
    };
    let (wanted, now) = (at(at(metric, field), "target"), at(at(current, field), "current"));
    let amount = |value: &Value, field: &str| quantity(at(value, field)).map(|q| q.to_string());
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "<unknown>".into());
    let percent = |value: &Value| int(value, "averageUtilization").map(|n| format!("{n}%"));
    let average = has(wanted, "averageValue");
    let text = match (named, average) {
        (true, false) => {
            format!("{}/{}", or_unknown(percent(now)), percent(wanted).unwrap_or_else(|| "<auto>".into()))
        }
        (_, true) => format!(
            "{}/{}",
            or_unknown(amount(now, "averageValue")),
            amount(wanted, "averageValue").unwrap_or_default()
        ),
        (false, false) => {
            format!("{}/{}", or_unknown(amount(now, "value")), amount(wanted, "value").unwrap_or_default())
        }
    };
    if named {
        return format!("{}: {text}", or(crate::read::text(at(metric, field), "name"), "<none>"));
    }
    if average && field != "pods" { format!("{text} (avg)") } else { text }
}
