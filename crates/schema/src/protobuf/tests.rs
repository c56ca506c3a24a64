//! Protobuf round trips and the rules of presence.

use super::*;
use crate::decode::decode_value;
use proptest::prelude::*;
use serde_json::json;

fn kind(group: &str, version: &str, kind: &str) -> TypeRef {
    table().kind(group, version, kind).unwrap()
}

#[test]
fn zero_is_absent_only_without_a_pointer() {
    // generateName "" and hostNetwork false are written by Go although empty; replicas 0 is set.
    let mut meta = Vec::new();
    put_bytes(&mut meta, 1, b"d");
    put_bytes(&mut meta, 2, b"");
    let mut spec = Vec::new();
    wire::put_integer(&mut spec, 1, 0);
    wire::put_integer(&mut spec, 7, 0);
    let mut message = Vec::new();
    put_bytes(&mut message, 1, &meta);
    put_bytes(&mut message, 2, &spec);
    let object = decode_message(kind("apps", "v1", "Deployment"), &message).unwrap();
    assert_eq!(object["metadata"], json!({"name": "d"}));
    assert_eq!(object["spec"]["replicas"], json!(0));
    // What Go always prints is there as well.
    assert_eq!((&object["spec"]["strategy"], &object["status"]), (&json!({}), &json!({})));
}

#[test]
fn objects_survive_a_round_trip() {
    for (ty, object) in [
        (
            kind("", "v1", "Pod"),
            json!({"kind": "Pod", "apiVersion": "v1",
                "metadata": {"name": "p", "creationTimestamp": "2026-11-20T09:39:00Z", "labels": {"a": "b", "e": ""},
                    "managedFields": [{"manager": "m", "fieldsV1": {"f:x": {}}}]},
                "spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}], "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "c", "resources": {"limits": {"cpu": "250m"}},
                        "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 3}, "readinessProbe": {"tcpSocket": {"port": 80}}}]},
                "status": {"podIPs": [{"ip": "10.0.0.1"}]}}),
        ),
        (
            kind("", "v1", "Secret"),
            json!({"kind": "Secret", "apiVersion": "v1", "metadata": {}, "data": {"a": "AP8=", "b": ""}}),
        ),
        (
            kind("coordination.k8s.io", "v1", "Lease"),
            json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {}, "spec": {"renewTime": "2026-11-20T09:39:00.123456Z", "leaseTransitions": 0}}),
        ),
        (
            kind("authentication.k8s.io", "v1", "TokenReview"),
            json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "spec": {}, "status": {"user": {"extra": {"k": ["a", "b"]}}}}),
        ),
        (
            kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
            json!({"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1", "metadata": {},
                "spec": {"group": "g", "scope": "Namespaced", "names": {"plural": "ps", "kind": "P"}, "versions": [{"name": "v1", "served": true, "storage": false,
                    "schema": {"openAPIV3Schema": {"additionalProperties": false, "items": {"type": "string"}, "default": {"a": [1]},
                        "x-kubernetes-validations": [{"rule": "true"}], "properties": {"a": {"additionalProperties": {"type": "x"}}}, "dependencies": {"d": ["x"]}}}}]},
                "status": {"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": null}}),
        ),
    ] {
        let object = decode_value(ty, object).unwrap().object;
        let (gvk, decoded) = decode_protobuf(&encode_protobuf(ty, &object)).unwrap();
        assert_eq!(gvk.kind, object["kind"].as_str().unwrap());
        assert_eq!(decoded, object);
    }
}

#[test]
fn documents_inside_documents_are_decoded() {
    let pod = encode_protobuf(
        kind("", "v1", "Pod"),
        &json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}}),
    );
    let mut raw = Vec::new();
    put_bytes(&mut raw, 1, &pod);
    let mut event = Vec::new();
    put_bytes(&mut event, 1, b"ADDED");
    put_bytes(&mut event, 2, &raw);
    let ty = table().definition("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent").unwrap();
    let decoded = decode_message(ty, &event).unwrap();
    assert_eq!(
        decoded,
        json!({"type": "ADDED", "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {}, "status": {}}})
    );
}

#[test]
fn broken_documents_are_refused() {
    for body in [&b"{}"[..], b"k8s\0\x0a\xff", b"k8s\0\x12\x05abc", b"k8s\0\x07", b"k8s\0\x0a\x04\x0a\x02v1"]
    {
        assert!(decode_protobuf(body).is_err(), "{body:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_message(kind("", "v1", "Pod"), &bytes);
        let mut body = MAGIC.to_vec();
        body.extend(bytes);
        let _ = decode_protobuf(&body);
    }
}
