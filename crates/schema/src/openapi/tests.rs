//! What clients read out of the OpenAPI documents.

use super::*;

fn pods() -> OpenApiResource {
    let verbs = |list: &[&str]| list.iter().map(|v| (*v).to_owned()).collect::<Vec<String>>();
    OpenApiResource {
        version: "v1".into(),
        kind: "Pod".into(),
        resource: "pods".into(),
        namespaced: true,
        verbs: verbs(&["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]),
        subresources: vec![
            OpenApiSubresource {
                name: "status".into(),
                version: "v1".into(),
                kind: "Pod".into(),
                verbs: verbs(&["get", "update", "patch"]),
                ..Default::default()
            },
            OpenApiSubresource {
                name: "eviction".into(),
                group: "policy".into(),
                version: "v1".into(),
                kind: "Eviction".into(),
                verbs: verbs(&["create"]),
            },
        ],
        ..Default::default()
    }
}

fn custom() -> OpenApiResource {
    OpenApiResource {
        group: "stable.example.com".into(),
        version: "v1".into(),
        kind: "CronTab".into(),
        resource: "crontabs".into(),
        namespaced: true,
        verbs: vec!["patch".into(), "list".into()],
        schema: Some(
            json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}]}}}}}),
        ),
        ..Default::default()
    }
}

/// Every reference in the document leads somewhere.
fn check_references(document: &Value, at: &Value) {
    match at {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                let pointer = target.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{target}");
            }
            map.values().for_each(|v| check_references(document, v));
        }
        Value::Array(list) => list.iter().for_each(|v| check_references(document, v)),
        _ => {}
    }
}

#[test]
fn v2_says_what_kubectl_reads() {
    let document = v2(&[pods(), custom()]);
    check_references(&document, &document);
    let containers = &document["definitions"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["items"]["$ref"], "#/definitions/io.k8s.api.core.v1.Container");
    assert_eq!(
        (&containers["x-kubernetes-patch-merge-key"], &containers["x-kubernetes-patch-strategy"]),
        (&json!("name"), &json!("merge"))
    );
    assert_eq!(
        (&containers["x-kubernetes-list-type"], &containers["x-kubernetes-list-map-keys"]),
        (&json!("map"), &json!(["name"]))
    );
    let pod = &document["definitions"]["io.k8s.api.core.v1.Pod"];
    assert_eq!(
        pod["x-kubernetes-group-version-kind"],
        json!([{"group": "", "version": "v1", "kind": "Pod"}])
    );
    let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    let names: Vec<&str> =
        patch["parameters"].as_array().unwrap().iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["body", "dryRun", "fieldManager", "fieldValidation", "force"]);
    assert_eq!(patch["operationId"], "patchCoreV1NamespacedPod");
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "", "version": "v1", "kind": "Pod"})
    );
    assert_eq!(document["paths"]["/api/v1/pods"]["get"]["operationId"], "listCoreV1PodForAllNamespaces");
    assert_eq!(
        document["paths"]["/api/v1/namespaces/{namespace}/pods"]["delete"]["operationId"],
        "deleteCoreV1CollectionNamespacedPod"
    );
    assert_eq!(
        document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/eviction"]["post"]["operationId"],
        "createCoreV1NamespacedPodEviction"
    );
    let crontab = &document["definitions"]["com.example.stable.v1.CronTab"];
    assert_eq!(crontab["properties"]["spec"]["properties"]["n"], json!({"x-kubernetes-int-or-string": true}));
    assert_eq!(
        crontab["properties"]["metadata"]["$ref"],
        "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
}

#[test]
fn v3_documents_stand_alone() {
    let document: Value = serde_json::from_slice(&v3_document(&[pods()])).unwrap();
    check_references(&document, &document);
    let schemas = &document["components"]["schemas"];
    let port = &schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"];
    assert_eq!((&port["default"], &port["type"]), (&json!("TCP"), &json!("string")));
    let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    assert!(
        patch["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["name"] == "fieldValidation" && p["in"] == "query")
    );
    assert!(patch["requestBody"]["content"]["application/apply-patch+yaml"]["schema"]["$ref"].is_string());
    let index: Value = serde_json::from_slice(&v3_index([("api/v1", "AB"), ("apis/apps/v1", "CD")])).unwrap();
    assert_eq!(index["paths"]["apis/apps/v1"]["serverRelativeURL"], "/openapi/v3/apis/apps/v1?hash=CD");
}

#[test]
fn gnostic_messages_can_be_walked() {
    use crate::protobuf::wire::{Reader, Wire};
    let bytes = v2_protobuf(&[pods()]);
    let mut reader = Reader::new(&bytes);
    let mut definitions = 0;
    while let Some((number, value)) = reader.next().unwrap() {
        if let (9, Wire::Bytes(all)) = (number, value) {
            let mut all = Reader::new(all);
            while let Some((1, Wire::Bytes(entry))) = all.next().unwrap() {
                let mut entry = Reader::new(entry);
                let (_, name) = entry.next().unwrap().unwrap();
                assert!(name.text().unwrap().starts_with("io.k8s."));
                definitions += 1;
            }
        }
    }
    assert!(definitions > 100, "{definitions}");
}
