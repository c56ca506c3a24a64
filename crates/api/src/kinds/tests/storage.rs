//! What users read of volumes, claims and classes.

use super::Good;
use serde_json::{Value, json};

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

fn of_group(resource: &'static str, kind: &'static str, object: Value) -> Good {
    Good { group: "storage.k8s.io", resource, api_version: "storage.k8s.io/v1", kind, object }
}

#[test]
fn volumes() {
    let volume = Good {
        group: "",
        resource: "persistentvolumes",
        api_version: "v1",
        kind: "PersistentVolume",
        object: json!({"metadata": {"name": "v"}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}}),
    };
    volume.creates(&[
        (
            spec(json!({"capacity": null, "accessModes": null})),
            &[
                "spec.accessModes: Required value",
                "spec.capacity: Required value",
                "spec.capacity: Unsupported value: null: supported values: \"storage\"",
            ],
        ),
        (
            spec(json!({"capacity": {"storage": "0"}, "accessModes": ["All"]})),
            &[
                "spec.accessModes: Unsupported value: \"All\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
                "spec.capacity[storage]: Invalid value: \"0\": must be greater than zero",
            ],
        ),
        (spec(json!({"hostPath": null})), &["spec: Required value: must specify a volume type"]),
        (
            spec(json!({"nfs": {"server": "s", "path": "/p"}})),
            &["spec.nfs: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            spec(json!({"hostPath": null, "local": {"path": "/a"}})),
            &["spec.nodeAffinity: Required value: Local volume requires node affinity"],
        ),
        (
            spec(json!({"persistentVolumeReclaimPolicy": "Recycle", "hostPath": {"path": "/"}})),
            &["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
        ),
        (
            spec(json!({"hostPath": null, "csi": {"driver": "d", "controllerExpandSecretRef": {"name": "s"}}})),
            &[
                "spec.csi.volumeHandle: Required value",
                "spec.csi.controllerExpandSecretRef.namespace: Required value",
            ],
        ),
    ]);
    let old = volume.with(&json!({}));
    let moved = volume.changed("", &old, &spec(json!({"hostPath": {"path": "/other"}})));
    let errors = super::texts(&volume.strategy().validate_update("", &moved, &old));
    assert_eq!(errors.len(), 1);
    let start =
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n@@";
    assert!(errors[0].starts_with(start), "{errors:?}");
    volume.updates("", &[(json!({}), spec(json!({"capacity": {"storage": "2Gi"}})), &[])]);
    volume.warns(
        &spec(json!({"persistentVolumeReclaimPolicy": "Recycle"})),
        &["spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."],
    );
}

#[test]
fn claims() {
    let claim = Good {
        group: "",
        resource: "persistentvolumeclaims",
        api_version: "v1",
        kind: "PersistentVolumeClaim",
        object: json!({"metadata": {"name": "c"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
    };
    claim.creates(&[
        (
            spec(json!({"accessModes": ["ReadWriteOncePod", "ReadWriteOnce"], "volumeMode": "Tape"})),
            &[
                "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
                "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"",
            ],
        ),
        (
            spec(json!({"resources": {"requests": {"storage": "-1"}}})),
            &["spec.resources[storage]: Invalid value: \"-1\": must be greater than zero"],
        ),
    ]);
    let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
    let size = |size: &str| spec(json!({"resources": {"requests": {"storage": size}}}));
    claim.updates(
        "",
        &[
            (bound.clone(), size("2Gi"), &[]),
            (
                json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}),
                size("2Gi"),
                &[],
            ),
            (
                bound,
                size("500Mi"),
                &["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"],
            ),
            (json!({}), spec(json!({"volumeName": "v"})), &[]),
            (json!({}), spec(json!({"storageClassName": "fast"})), &[]),
        ],
    );
    let old = claim.with(&json!({}));
    let grown = claim.changed("", &old, &size("2Gi"));
    let errors = super::texts(&claim.strategy().validate_update("", &grown, &old));
    let start = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n@@";
    assert!(errors.len() == 1 && errors[0].starts_with(start), "{errors:?}");
}

#[test]
fn classes() {
    let class = of_group(
        "storageclasses",
        "StorageClass",
        json!({"metadata": {"name": "c"}, "provisioner": "example.com/p"}),
    );
    let topologies = |terms: Value| json!({"allowedTopologies": terms});
    class.creates(&[
        (json!({"provisioner": ""}), &["provisioner: Required value"]),
        (
            json!({"reclaimPolicy": "Recycle", "volumeBindingMode": "Later"}),
            &[
                "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
                "volumeBindingMode: Unsupported value: \"Later\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
            ],
        ),
        (
            topologies(json!([{"matchLabelExpressions": [{"key": "a", "values": ["x", "x"]}, {"key": "a", "values": []}]}])),
            &[
                "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"x\"",
                "allowedTopologies[0].matchLabelExpressions[1].values: Required value",
                "allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"a\"",
            ],
        ),
    ]);
    class.updates(
        "",
        &[
            (json!({}), json!({"allowVolumeExpansion": true}), &[]),
            (
                json!({}),
                json!({"parameters": {"a": "b"}, "reclaimPolicy": "Retain"}),
                &[
                    "parameters: Invalid value: {\"a\":\"b\"}: field is immutable",
                    "reclaimPolicy: Invalid value: \"Retain\": field is immutable",
                ],
            ),
        ],
    );
    let attributes = of_group(
        "volumeattributesclasses",
        "VolumeAttributesClass",
        json!({"metadata": {"name": "c"}, "driverName": "d.example.com", "parameters": {"a": "b"}}),
    );
    attributes.creates(&[(
        json!({"parameters": null}),
        &["parameters: Required value: must contain at least one key/value pair"],
    )]);
    attributes.updates(
        "",
        &[(
            json!({}),
            json!({"parameters": {"a": "c"}}),
            &["parameters: Forbidden: updates to parameters are forbidden."],
        )],
    );
}

#[test]
fn container_storage_interface() {
    let driver = of_group("csidrivers", "CSIDriver", json!({"metadata": {"name": "d"}, "spec": {}}));
    driver.creates(&[
        (
            spec(json!({"fsGroupPolicy": "Some", "volumeLifecycleModes": ["Short"]})),
            &[
                "spec.fsGroupPolicy: Unsupported value: \"Some\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
                "spec.volumeLifecycleModes: Unsupported value: \"Short\": supported values: \"Persistent\", \"Ephemeral\"",
            ],
        ),
        (
            spec(json!({"tokenRequests": [{"audience": "a", "expirationSeconds": 60}, {"audience": "a"}]})),
            &[
                "spec.tokenRequests[0].expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes",
                "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
            ],
        ),
    ]);
    driver.updates(
        "",
        &[(
            json!({}),
            spec(json!({"attachRequired": false})),
            &["spec.attachedRequired: Invalid value: false: field is immutable"],
        )],
    );
    let node = of_group(
        "csinodes",
        "CSINode",
        json!({"metadata": {"name": "n"}, "spec": {"drivers": [{"name": "d", "nodeID": "i", "topologyKeys": []}]}}),
    );
    node.creates(&[(
        spec(json!({"drivers": [{"name": "", "nodeID": "", "topologyKeys": ["a", "a"], "allocatable": {"count": -1}}]})),
        &[
            "spec.drivers[0].name: Required value",
            "spec.drivers[0].nodeID: Required value",
            "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
            "spec.drivers[0]: Duplicate value: \"a\"",
        ],
    )]);
    node.updates(
        "",
        &[
            (json!({}), spec(json!({"drivers": [{"name": "d", "nodeID": "i", "topologyKeys": [], "allocatable": {"count": 3}}]})), &[]),
            (json!({}), spec(json!({"drivers": []})), &[]),
            (
                json!({}),
                spec(json!({"drivers": [{"name": "d", "nodeID": "j", "topologyKeys": []}]})),
                &["spec.drivers: Invalid value: {\"name\":\"d\",\"nodeID\":\"j\",\"topologyKeys\":[]}: field is immutable"],
            ),
        ],
    );
    let attachment = of_group(
        "volumeattachments",
        "VolumeAttachment",
        json!({"metadata": {"name": "a"}, "spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}),
    );
    attachment.creates(&[
        (
            spec(json!({"source": {"persistentVolumeName": null}})),
            &["spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"],
        ),
        (
            spec(json!({"source": {"persistentVolumeName": null, "inlineVolumeSpec": {"accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/"}}}})),
            &["spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes"],
        ),
    ]);
    attachment.updates(
        "",
        &[(
            json!({}),
            spec(json!({"nodeName": "m"})),
            &["spec: Invalid value: {\"attacher\":\"d\",\"nodeName\":\"m\",\"source\":{\"persistentVolumeName\":\"v\"}}: field is immutable"],
        )],
    );
    let capacity = of_group(
        "csistoragecapacities",
        "CSIStorageCapacity",
        json!({"metadata": {"name": "c"}, "storageClassName": "s", "capacity": "1Gi"}),
    );
    capacity.creates(&[(
        json!({"capacity": "-1"}),
        &["capacity: Invalid value: \"-1\": must be greater than or equal to 0"],
    )]);
    capacity.updates(
        "",
        &[(
            json!({}),
            json!({"storageClassName": "t"}),
            &["storageClassName: Invalid value: \"t\": field is immutable"],
        )],
    );
}
