//! Tables and laws of strategic merge.

use super::*;
use crate::table::table;
use proptest::prelude::*;
use serde_json::json;

fn pod() -> TypeRef {
    table().kind("", "v1", "Pod").unwrap()
}

fn spec(spec: Value, patch: Value) -> Value {
    strategic_merge(pod(), json!({"spec": spec}), &json!({"spec": patch})).unwrap()["spec"].take()
}

#[test]
fn objects_merge() {
    for (original, patch, want) in [
        (
            json!({"nodeName": "a"}),
            json!({"nodeName": "b", "hostname": "h"}),
            json!({"nodeName": "b", "hostname": "h"}),
        ),
        (
            json!({"nodeName": "a", "hostname": "h"}),
            json!({"nodeName": null, "subdomain": null}),
            json!({"hostname": "h"}),
        ),
        (
            json!({"nodeSelector": {"a": "1", "b": "2"}}),
            json!({"nodeSelector": {"a": "3", "b": null}}),
            json!({"nodeSelector": {"a": "3"}}),
        ),
        (
            json!({"nodeSelector": {"a": "1"}}),
            json!({"nodeSelector": {"$patch": "replace", "b": "2"}}),
            json!({"nodeSelector": {"b": "2"}}),
        ),
        (
            json!({"nodeSelector": {"a": "1"}}),
            json!({"nodeSelector": {"$patch": "delete"}}),
            json!({"nodeSelector": {}}),
        ),
        (json!({}), json!({"nodeSelector": {"$patch": "delete"}}), json!({})),
        (
            json!({}),
            json!({"securityContext": {"runAsUser": null, "fsGroup": 1}}),
            json!({"securityContext": {"fsGroup": 1}}),
        ),
        (json!({"nodeSelector": {"a": "1"}}), json!({"nodeSelector": "x"}), json!({"nodeSelector": "x"})),
    ] {
        assert_eq!(spec(original, patch.clone()), want, "{patch}");
    }
}

#[test]
fn lists_merge_by_key() {
    let containers = json!([{"name": "a", "image": "1", "ports": [{"containerPort": 80, "protocol": "TCP"}]}, {"name": "b", "image": "1"}]);
    for (patch, want) in [
        (
            json!([{"name": "b", "image": "2"}]),
            json!([{"name": "a", "image": "1", "ports": [{"containerPort": 80, "protocol": "TCP"}]}, {"name": "b", "image": "2"}]),
        ),
        (json!([{"name": "a", "$patch": "delete"}]), json!([{"name": "b", "image": "1"}])),
        (json!([{"name": "c"}, {"$patch": "replace"}]), json!([{"name": "c"}])),
        // Merged by containerPort alone, although the list's keys are port and protocol.
        (
            json!([{"name": "a", "ports": [{"containerPort": 80, "protocol": "UDP"}]}]),
            json!([{"name": "a", "image": "1", "ports": [{"containerPort": 80, "protocol": "UDP"}]}, {"name": "b", "image": "1"}]),
        ),
        (
            json!([{"name": "c", "args": null, "$retainKeys": ["name"]}]),
            json!([{"name": "c"}, {"name": "a", "image": "1", "ports": [{"containerPort": 80, "protocol": "TCP"}]}, {"name": "b", "image": "1"}]),
        ),
    ] {
        assert_eq!(
            spec(json!({"containers": containers}), json!({"containers": patch})),
            json!({"containers": want}),
            "{patch}"
        );
    }
    // Lists without the merge strategy are replaced.
    assert_eq!(
        spec(json!({"tolerations": [{"key": "a"}]}), json!({"tolerations": [{"key": "b"}]})),
        json!({"tolerations": [{"key": "b"}]})
    );
}

#[test]
fn order_follows_the_directive() {
    let original = json!({"containers": [{"name": "a"}, {"name": "server"}, {"name": "b"}, {"name": "c"}]});
    let patch = json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}], "containers": [{"name": "c", "image": "i"}]});
    assert_eq!(
        spec(original.clone(), patch),
        json!({"containers": [{"name": "server"}, {"name": "c", "image": "i"}, {"name": "a"}, {"name": "b"}]})
    );
    let order_only = json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]});
    let got = spec(original.clone(), order_only);
    let names: Vec<&str> =
        got["containers"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names, ["server", "b", "a", "c"]);
    let wrong = json!({"spec": {"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "b"}, {"name": "a"}]}});
    assert!(
        matches!(strategic_merge(pod(), json!({"spec": original}), &wrong), Err(PatchError::Unprocessable(e)) if e.starts_with("The order in patch list"))
    );
}

#[test]
fn plain_lists_unite() {
    let meta = |before: Value, patch: Value| {
        strategic_merge(pod(), json!({"metadata": before}), &json!({"metadata": patch})).unwrap()["metadata"]
            .take()
    };
    assert_eq!(
        meta(json!({"finalizers": ["a", "b"]}), json!({"finalizers": ["c", "b"]})),
        json!({"finalizers": ["c", "a", "b"]})
    );
    assert_eq!(
        meta(json!({"finalizers": ["a", "b"]}), json!({"$deleteFromPrimitiveList/finalizers": ["a"]})),
        json!({"finalizers": ["b"]})
    );
    assert_eq!(
        meta(
            json!({"finalizers": ["a", "b"]}),
            json!({"$setElementOrder/finalizers": ["c", "b"], "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]})
        ),
        json!({"finalizers": ["c", "b"]})
    );
}

#[test]
fn retain_keys_clears_the_rest() {
    let deployment = table().kind("apps", "v1", "Deployment").unwrap();
    let original = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(
        strategic_merge(deployment, original.clone(), &patch),
        Ok(json!({"spec": {"strategy": {"type": "Recreate"}}}))
    );
    let bad = json!({"spec": {"strategy": {"$retainKeys": ["x"], "type": "Recreate"}}});
    assert_eq!(
        strategic_merge(deployment, original, &bad),
        Err(PatchError::Malformed("invalid patch format of retainKeys".into()))
    );
}

#[test]
fn volumes_change_their_source() {
    let original = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
    let patch =
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]});
    assert_eq!(spec(original, patch), json!({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}));
}

#[test]
fn bad_patches_are_refused() {
    for patch in [
        json!({"containers": [{"image": "x"}]}),
        json!({"containers": [{"$patch": "delete"}]}),
        json!({"containers": [{"name": "a", "$patch": "what"}]}),
        json!({"nodeSelector": {"$patch": "what"}}),
        json!({"$setElementOrder/containers": 1}),
        json!({"containers": ["x"]}),
    ] {
        let original = json!({"spec": {"containers": [{"name": "a"}], "nodeSelector": {}}});
        assert!(strategic_merge(pod(), original, &json!({"spec": patch})).is_err(), "{patch}");
    }
}

/// Small Pods: containers with unique names, labels, finalizers.
fn pods() -> impl Strategy<Value = Value> {
    let container = ("[a-d]", proptest::option::of("[x-z]"), proptest::collection::btree_set(1..4i64, 0..3));
    (proptest::collection::vec(container, 0..4), proptest::collection::btree_map("[a-c]", "[x-z]", 0..3), proptest::collection::btree_set("[a-c]", 0..3)).prop_map(|(containers, labels, finalizers)| {
        let mut seen = Vec::new();
        let list: Vec<Value> = containers
            .into_iter()
            .filter(|(name, ..)| !seen.contains(name) && { seen.push(name.clone()); true })
            .map(|(name, image, ports)| {
                let mut container = json!({"name": name, "ports": ports.into_iter().map(|p| json!({"containerPort": p})).collect::<Vec<_>>()});
                if let Some(image) = image {
                    container["image"] = image.into();
                }
                container
            })
            .collect();
        json!({"metadata": {"labels": labels, "finalizers": finalizers}, "spec": {"containers": list}})
    })
}

proptest! {
    #[test]
    fn the_empty_patch_changes_nothing(original in pods()) {
        prop_assert_eq!(strategic_merge(pod(), original.clone(), &json!({})), Ok(original));
    }

    #[test]
    fn patching_twice_is_patching_once(original in pods(), patch in pods()) {
        let once = strategic_merge(pod(), original, &patch).unwrap();
        prop_assert_eq!(strategic_merge(pod(), once.clone(), &patch), Ok(once));
    }

    #[test]
    fn an_object_patched_with_itself_stays(original in pods()) {
        prop_assert_eq!(strategic_merge(pod(), original.clone(), &original), Ok(original));
    }
}
