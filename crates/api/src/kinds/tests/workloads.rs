//! What users read of Deployments, ReplicaSets, StatefulSets, DaemonSets and their like.

use super::Good;
use serde_json::{Value, json};

const MISMATCH: &str = "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`";

fn template() -> Value {
    json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

fn good(resource: &'static str, kind: &'static str) -> Good {
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template()});
    let object = json!({"metadata": {"name": "w"}, "spec": spec});
    Good { group: "apps", resource, api_version: "apps/v1", kind, object }
}

#[test]
fn deployments() {
    let deployment = good("deployments", "Deployment");
    deployment.creates(&[
        (
            json!({"spec": {"replicas": -1}}),
            &["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (json!({"spec": {"selector": null}}), &["spec.selector: Required value", MISMATCH]),
        (
            json!({"spec": {"selector": {"matchLabels": null}}}),
            &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
        ),
        (json!({"spec": {"selector": {"matchLabels": {"a": "c"}}}}), &[MISMATCH]),
        (
            json!({"spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}}),
            &[
                "spec.selector.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator",
                "spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Is\"}],\"matchLabels\":{\"a\":\"b\"}}: invalid label selector",
            ],
        ),
        (
            json!({"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [], "activeDeadlineSeconds": 3}}}}),
            &[
                "spec.template.spec.containers: Required value",
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
            ],
        ),
        (
            json!({"spec": {"template": {"spec": {"ephemeralContainers": [{"name": "e", "image": "i"}]}}}}),
            &["spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"],
        ),
        (
            json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}}),
            &["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
        ),
        (
            json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}}),
            &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"],
        ),
        (
            json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": "x", "maxUnavailable": "101%"}}}}),
            &[
                "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"x\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            ],
        ),
        (
            json!({"spec": {"strategy": {"type": "Slow"}}}),
            &["spec.strategy: Unsupported value: {\"type\":\"Slow\"}: supported values: \"Recreate\", \"RollingUpdate\""],
        ),
        (
            json!({"spec": {"minReadySeconds": 600, "revisionHistoryLimit": -1}}),
            &[
                "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
                "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
            ],
        ),
    ]);
    deployment.updates(
        "",
        &[
            (json!({}), json!({"spec": {"replicas": 3, "paused": true}}), &[]),
            (
                json!({}),
                json!({"spec": {"selector": {"matchLabels": {"c": "d"}}, "template": {"metadata": {"labels": {"c": "d"}}}}}),
                &["spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"c\":\"d\"}}: field is immutable"],
            ),
        ],
    );
    deployment.updates(
        "status",
        &[
            (json!({}), json!({"status": {"replicas": 2, "readyReplicas": 1, "availableReplicas": 1}}), &[]),
            (
                json!({"status": {"collisionCount": 2}}),
                json!({"status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": -1, "collisionCount": 1}}),
                &[
                    "status.availableReplicas: Invalid value: -1: must be greater than or equal to 0",
                    "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
                    "status.collisionCount: Invalid value: 1: cannot be decremented",
                ],
            ),
        ],
    );
    deployment.warns(
        &json!({"metadata": {"name": "a.b"}, "spec": {"template": {"spec": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}}}}}),
        &[
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            "spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
        ],
    );
}

#[test]
fn deployments_count_changes_of_spec_and_annotations() {
    let deployment = good("deployments", "Deployment");
    let old = deployment.with(&json!({}));
    for (change, counts) in [
        (json!({"spec": {"replicas": 2}}), true),
        (json!({"metadata": {"annotations": {"a": "b"}}}), true),
        (json!({"metadata": {"labels": {"a": "b"}}}), false),
        (json!({"status": {"replicas": 2}}), false),
    ] {
        let new = deployment.changed("", &old, &change);
        assert_eq!(deployment.strategy().bumps_generation(&new, &old), counts, "{change}");
        assert_eq!(new["status"], old["status"], "the status is written elsewhere");
    }
}

#[test]
fn replica_sets_and_controllers() {
    good("replicasets", "ReplicaSet").creates(&[(
        json!({"spec": {"minReadySeconds": -1, "selector": {"matchLabels": {"a": "c"}}}}),
        &["spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0", MISMATCH],
    )]);
    let controller = Good {
        group: "",
        resource: "replicationcontrollers",
        api_version: "v1",
        kind: "ReplicationController",
        object: json!({"metadata": {"name": "r"}, "spec": {"template": template()}}),
    };
    assert_eq!(controller.with(&json!({}))["spec"]["selector"], json!({"a": "b"}));
    controller.creates(&[
        (
            json!({"spec": {"selector": {"a": "c"}, "replicas": -2}}),
            &["spec.replicas: Invalid value: -2: must be greater than or equal to 0", MISMATCH],
        ),
        (
            json!({"spec": {"template": null}}),
            &["spec.selector: Required value", "spec.template: Required value"],
        ),
    ]);
    controller.updates(
        "status",
        &[(
            json!({}),
            json!({"status": {"replicas": 1, "fullyLabeledReplicas": 2, "availableReplicas": 1}}),
            &[
                "status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas",
            ],
        )],
    );
}

#[test]
fn stateful_sets() {
    let set = good("statefulsets", "StatefulSet");
    let claims = json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    let mount = json!({"spec": {"volumeClaimTemplates": claims, "template": {"spec": {"containers": [
        {"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]}}}});
    set.creates(&[
        (mount, &[]),
        (
            json!({"spec": {"podManagementPolicy": "Fast", "updateStrategy": {"type": "Soon"}}}),
            &[
                "spec.podManagementPolicy: Invalid value: \"Fast\": must be 'OrderedReady' or 'Parallel'",
                "spec.updateStrategy: Invalid value: {\"type\":\"Soon\"}: must be 'RollingUpdate' or 'OnDelete'",
            ],
        ),
        (
            json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}}}),
            &["spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'"],
        ),
        (
            json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": -1}}, "ordinals": {"start": -1}}}),
            &[
                "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
                "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Keep"}}}),
            &["spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: \"Keep\": supported values: \"Retain\", \"Delete\""],
        ),
        (
            json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}}),
            &[
                "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
                "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
            ],
        ),
        (
            json!({"spec": {"serviceName": "a.b"}}),
            &["spec.serviceName: Invalid value: \"a.b\": must not contain dots"],
        ),
        (
            json!({"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}),
            &["spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\""],
        ),
    ]);
    let forbidden = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    set.updates(
        "",
        &[
            (json!({}), json!({"spec": {"replicas": 2, "minReadySeconds": 3}}), &[]),
            (json!({}), json!({"spec": {"serviceName": "other"}}), &[forbidden]),
            (json!({}), json!({"spec": {"podManagementPolicy": "Parallel"}}), &[forbidden]),
        ],
    );
    set.updates(
        "status",
        &[(
            json!({}),
            json!({"status": {"replicas": 1, "updatedReplicas": 2}}),
            &["status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas"],
        )],
    );
    assert_eq!(set.strategy().validate_name("a.b"), ["must not contain dots"]);
}

#[test]
fn daemon_sets() {
    const COUNT: &str = "deprecated.daemonset.template.generation";
    let set = good("daemonsets", "DaemonSet");
    let rolling = |rolling: Value| json!({"spec": {"updateStrategy": {"rollingUpdate": rolling}}});
    set.creates(&[
        (rolling(json!({"maxSurge": 1, "maxUnavailable": 0})), &[]),
        (
            rolling(json!({"maxSurge": 1})),
            &["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"],
        ),
        (
            rolling(json!({"maxUnavailable": 0})),
            &["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
        ),
        (
            json!({"spec": {"updateStrategy": {"type": "Soon"}}}),
            &["spec.updateStrategy: Unsupported value: {\"type\":\"Soon\"}: supported values: \"RollingUpdate\", \"OnDelete\""],
        ),
        (
            json!({"spec": {"selector": {"matchLabels": null}}}),
            &["spec.selector: Invalid value: {}: empty selector is invalid for daemonset"],
        ),
    ]);
    let old = set.with(&json!({}));
    assert_eq!(old["metadata"]["annotations"][COUNT], "1");
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "other"}]}}}});
    assert_eq!(set.changed("", &old, &image)["metadata"]["annotations"][COUNT], "2");
    assert_eq!(set.changed("", &old, &json!({"metadata": {"annotations": null}})), old);
    set.updates(
        "status",
        &[(
            json!({}),
            json!({"status": {"numberReady": -1}}),
            &["status.numberReady: Invalid value: -1: must be greater than or equal to 0"],
        )],
    );
}

#[test]
fn revisions_and_templates() {
    let revision = Good {
        group: "apps",
        resource: "controllerrevisions",
        api_version: "apps/v1",
        kind: "ControllerRevision",
        object: json!({"metadata": {"name": "r"}, "revision": 1, "data": {"spec": 1}}),
    };
    revision.creates(&[
        (json!({"data": null}), &["data: Required value: data is mandatory"]),
        (json!({"revision": -1}), &["revision: Invalid value: -1: must be greater than or equal to 0"]),
    ]);
    revision.updates(
        "",
        &[
            (json!({}), json!({"revision": 2}), &[]),
            (json!({}), json!({"data": {"spec": 2}}), &["data: Invalid value: {}: field is immutable"]),
        ],
    );
    let template = Good {
        group: "",
        resource: "podtemplates",
        api_version: "v1",
        kind: "PodTemplate",
        object: json!({"metadata": {"name": "t"}, "template": template()}),
    };
    template.creates(&[(
        json!({"template": {"metadata": {"labels": {"a b": "c"}}}}),
        &["template.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"],
    )]);
}
