//! What users read of Jobs and CronJobs.

use super::Good;
use serde_json::{Value, json};

fn job() -> Good {
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    Good {
        group: "batch",
        resource: "jobs",
        api_version: "batch/v1",
        kind: "Job",
        object: json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": template}}),
    }
}

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

#[test]
fn jobs() {
    job().creates(&[
        (
            spec(json!({"template": {"spec": {"restartPolicy": "Always"}}})),
            &["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""],
        ),
        (
            spec(json!({"parallelism": -1, "backoffLimit": -1, "ttlSecondsAfterFinished": -1})),
            &[
                "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
                "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0",
                "spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            spec(json!({"completionMode": "Indexed", "parallelism": 1})),
            &["spec.completions: Required value: when completion mode is Indexed"],
        ),
        (
            spec(json!({"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1, "maxFailedIndexes": 3})),
            &["spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions"],
        ),
        (
            spec(json!({"maxFailedIndexes": 1})),
            &[
                "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
                "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
            ],
        ),
        (
            spec(json!({"completionMode": "Other"})),
            &["spec.completionMode: Unsupported value: \"Other\": supported values: \"NonIndexed\", \"Indexed\""],
        ),
        (
            spec(json!({"managedBy": "me"})),
            &["spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")"],
        ),
        (
            spec(json!({"podReplacementPolicy": "Now"})),
            &["spec.podReplacementPolicy: Unsupported value: \"Now\": supported values: \"Failed\", \"TerminatingOrFailed\""],
        ),
        (
            json!({"metadata": {"name": "a".repeat(62)}, "spec": {"completionMode": "Indexed", "completions": 11}}),
            &[&format!(
                "metadata.name: Invalid value: \"{0}\": will not able to create pod with invalid DNS label: {0}-10",
                "a".repeat(62)
            )],
        ),
        (
            spec(json!({"selector": {"matchLabels": {"x": "y"}}})),
            &[
                "spec.selector: Invalid value: {\"matchLabels\":{\"batch.kubernetes.io/controller-uid\":\"u\",\"x\":\"y\"}}: `selector` not auto-generated",
                "spec.template.metadata.labels: Invalid value: {\"batch.kubernetes.io/controller-uid\":\"u\",\"batch.kubernetes.io/job-name\":\"j\",\"controller-uid\":\"u\",\"job-name\":\"j\"}: `selector` does not match template `labels`",
            ],
        ),
    ]);
}

#[test]
fn policies_of_jobs() {
    let rules = |rules: Value| spec(json!({"podFailurePolicy": {"rules": rules}}));
    let success = |rules: Value| {
        spec(json!({"completionMode": "Indexed", "completions": 5, "successPolicy": {"rules": rules}}))
    };
    let codes =
        |values: Value| json!([{"action": "FailJob", "onExitCodes": {"operator": "In", "values": values}}]);
    job().creates(&[
        (rules(codes(json!([1, 42]))), &[]),
        (
            rules(codes(json!([3, 0, 3]))),
            &[
                "spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
                "spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 3",
                "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,0,3]: must be ordered",
            ],
        ),
        (
            rules(json!([{"action": "", "onPodConditions": [{"type": "DisruptionTarget", "status": "Maybe"}]}])),
            &[
                "spec.podFailurePolicy.rules[0].action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]",
                "spec.podFailurePolicy.rules[0].onPodConditions[0].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\"",
            ],
        ),
        (
            rules(json!([{"action": "Ignore"}])),
            &["spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"],
        ),
        (success(json!([{"succeededIndexes": "0,2-4", "succeededCount": 4}])), &[]),
        (
            success(json!([{"succeededIndexes": "0-2", "succeededCount": 4}])),
            &["spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of indexes in the specified succeededIndexes field)"],
        ),
        (
            success(json!([{"succeededIndexes": "5"}, {}])),
            &[
                "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"5\": error parsing succeededIndexes: too large index: \"5\"",
                "spec.successPolicy.rules[1]: Required value: at least one of succeededCount or succeededIndexes must be specified",
            ],
        ),
    ]);
}

#[test]
fn what_may_change_of_a_job() {
    let suspended = json!({"spec": {"suspend": true}});
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "other"}]}}}});
    let place = json!({"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}});
    let job = job();
    let is_immutable = |before: &Value, change: &Value| {
        let mut old = job.with(&json!({}));
        apimachinery::patch::merge_patch(&mut old, before);
        let new = job.changed("", &old, change);
        let errors = super::texts(&job.strategy().validate_update("", &new, &old));
        errors.iter().any(|error| error.ends_with("field is immutable"))
    };
    assert!(is_immutable(&json!({}), &place), "a running Job is where it is");
    assert!(!is_immutable(&suspended, &place), "a suspended Job may still move");
    assert!(is_immutable(&suspended, &image), "but not become another");
    let ran = json!({"spec": {"suspend": true}, "status": {"startTime": "2024-01-01T00:00:00Z"}});
    assert!(is_immutable(&ran, &place));
    let resources = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]}}}});
    assert!(!is_immutable(&suspended, &resources));
    job.updates(
        "",
        &[
            (
                json!({}),
                json!({"spec": {"parallelism": 3, "suspend": true, "ttlSecondsAfterFinished": 1}}),
                &[],
            ),
            (
                json!({}),
                json!({"spec": {"completions": 3}}),
                &["spec.completions: Invalid value: 3: field is immutable"],
            ),
            (
                json!({"spec": {"completionMode": "Indexed", "completions": 2, "parallelism": 2}}),
                json!({"spec": {"completions": 3, "parallelism": 3}}),
                &[],
            ),
            (
                json!({"spec": {"completionMode": "Indexed", "completions": 2, "parallelism": 2}}),
                json!({"spec": {"completions": 3}}),
                &["spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism"],
            ),
        ],
    );
}

#[test]
fn the_status_of_jobs() {
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let start = "2024-01-01T00:00:00Z";
    let done = json!({"status": {
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
        "startTime": start, "completionTime": "2024-01-01T00:01:00Z", "succeeded": 1,
    }});
    job().updates(
        "status",
        &[
            (json!({}), done.clone(), &[]),
            (
                json!({}),
                json!({"status": {"conditions": [condition("Complete")], "active": 1}}),
                &[
                    "status.completionTime: Required value: completionTime is required for Complete jobs",
                    "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
                    "status.active: Invalid value: 1: active>0 is invalid for finished job",
                    "status.startTime: Required value: startTime is required for finished job",
                ],
            ),
            (
                done.clone(),
                json!({"status": {"conditions": [], "completionTime": null, "succeeded": 0}}),
                &[
                    "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
                    "status.succeeded: Invalid value: 0: cannot decrease the succeeded counter",
                    "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
                ],
            ),
            (
                json!({}),
                json!({"status": {"conditions": [condition("Failed")], "startTime": start}}),
                &["status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition"],
            ),
            (
                json!({"status": {"startTime": start}}),
                json!({"status": {"startTime": "2024-01-02T00:00:00Z", "ready": 1}}),
                &[
                    "status.ready: Invalid value: 1: cannot set more ready pods than active",
                    "status.startTime: Invalid value: \"2024-01-02T00:00:00Z\": field is immutable for unsuspended job once set",
                ],
            ),
            (
                json!({"spec": {"completionMode": "Indexed", "completions": 5, "backoffLimitPerIndex": 1}}),
                json!({"status": {"completedIndexes": "0-2", "failedIndexes": "2,4"}}),
                &["status.failedIndexes: Invalid value: \"2,4\": failedIndexes and completedIndexes overlap at index: 2"],
            ),
        ],
    );
}

#[test]
fn cron_jobs() {
    let template = json!({"spec": {"template": {"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "i"}]}}}});
    let cron = Good {
        group: "batch",
        resource: "cronjobs",
        api_version: "batch/v1",
        kind: "CronJob",
        object: json!({"metadata": {"name": "c"}, "spec": {"schedule": "*/5 * * * *", "jobTemplate": template}}),
    };
    cron.creates(&[
        (spec(json!({"schedule": "@daily", "timeZone": "Europe/Berlin"})), &[]),
        (spec(json!({"schedule": ""})), &["spec.schedule: Required value"]),
        (
            spec(json!({"schedule": "error"})),
            &["spec.schedule: Invalid value: \"error\": expected exactly 5 fields, found 1: [error]"],
        ),
        (
            spec(json!({"schedule": "TZ=UTC 0 * * * *"})),
            &["spec.schedule: Invalid value: \"TZ=UTC 0 * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead"],
        ),
        (
            spec(json!({"timeZone": "Local"})),
            &["spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"],
        ),
        (
            spec(json!({"timeZone": "Mars/North"})),
            &["spec.timeZone: Invalid value: \"Mars/North\": unknown time zone Mars/North"],
        ),
        (
            spec(json!({"concurrencyPolicy": "Some", "startingDeadlineSeconds": -1, "failedJobsHistoryLimit": -1})),
            &[
                "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.concurrencyPolicy: Unsupported value: \"Some\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
                "spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            spec(json!({"jobTemplate": {"spec": {"manualSelector": true, "selector": {}, "template": {"spec": {"restartPolicy": "Always"}}}}})),
            &[
                "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
                "spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
                "spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"nil\", \"false\"",
            ],
        ),
        (
            json!({"metadata": {"name": "a".repeat(53)}}),
            &[&format!("metadata.name: Invalid value: \"{}\": must be no more than 52 characters", "a".repeat(53))],
        ),
    ]);
}
