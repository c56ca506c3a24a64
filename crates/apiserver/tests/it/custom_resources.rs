//! Custom resources, as clients see them: from the definition to its end.

use super::https::Https;
use super::*;
use apimachinery::{Reason, meta};
use client::{Object, Patch, WatchEvent};
use futures_util::StreamExt;
use hyper::Method;
use std::time::Duration;

/// Until what a task of the server does must have been done.
const DEADLINE: Duration = Duration::from_secs(10);

pub fn widgets() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList", "shortNames": ["wd"], "categories": ["all"]},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
            "additionalPrinterColumns": [
                {"name": "Size", "type": "integer", "jsonPath": ".spec.replicas"},
                {"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1}],
            "selectableFields": [{"jsonPath": ".spec.color"}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {
                    "replicas": {"type": "integer", "default": 1, "minimum": 0},
                    "color": {"type": "string"},
                    "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}}},
                }, "x-kubernetes-validations": [
                    {"rule": "!has(self.color) || self.color != 'beige'", "message": "not beige"},
                    {"rule": "!has(oldSelf.color) || has(self.color)", "message": "a color stays"}]},
                "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}},
            }}}}]}})
}

pub fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

fn definitions(cluster: &Cluster) -> Resource {
    cluster.admin().resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

/// Waits until a definition says so.
async fn until(cluster: &Cluster, name: &str, holds: impl Fn(&Value) -> bool) -> Object {
    let mut watch = definitions(cluster).watch("", Options::default()).await.expect("watch");
    let wait = async {
        loop {
            match watch.next().await.expect("the watch goes on") {
                WatchEvent::Added(object) | WatchEvent::Modified(object)
                    if meta::name(&object) == name && holds(&object) =>
                {
                    return object;
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("in time")
}

fn condition(object: &Value, kind: &str) -> String {
    let list = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = list.iter().find(|condition| condition["type"] == kind);
    found.map_or_else(String::new, |found| {
        format!("{} {}", found["status"].as_str().unwrap_or(""), found["reason"].as_str().unwrap_or(""))
    })
}

pub async fn define(cluster: &Cluster, definition: Value) -> Object {
    let name = meta::name(&definition).to_owned();
    definitions(cluster).create("", definition).await.expect("create");
    until(cluster, &name, |object| condition(object, "Established").starts_with("True")).await
}

fn resource(cluster: &Cluster, version: &str) -> Resource {
    cluster.admin().resource("example.com", version, "widgets")
}

async fn gone(cluster: &Cluster, name: &str) {
    let wait = async {
        while definitions(cluster).get_opt("", name).await.expect("get").is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("in time");
}

#[tokio::test]
async fn a_definition_is_served_before_it_says_so() {
    let cluster = Cluster::new().await;
    let defined = define(&cluster, widgets()).await;
    assert_eq!(condition(&defined, "NamesAccepted"), "True NoConflicts");
    assert_eq!(condition(&defined, "Established"), "True InitialNamesAccepted");
    assert_eq!(defined["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(defined["status"]["acceptedNames"]["shortNames"], json!(["wd"]));
    let made = resource(&cluster, "v1")
        .create("default", widget("a", json!({"color": "red"})))
        .await
        .expect("create");
    assert_eq!(made["spec"], json!({"color": "red", "replicas": 1}));
    assert_eq!(meta::generation(&made), 1);
    assert!(made["metadata"]["uid"].is_string() && made["metadata"]["managedFields"].is_array());
    let listed = resource(&cluster, "v1").list("", Options::default()).await.expect("list");
    assert_eq!(listed.items.len(), 1);
    // Nobody else may have the names.
    let mut second = widgets();
    second["metadata"]["name"] = "gadgets.example.com".into();
    second["spec"]["names"] =
        json!({"plural": "gadgets", "singular": "gadget", "kind": "Widget", "listKind": "GadgetList"});
    definitions(&cluster).create("", second).await.expect("create");
    let refused =
        until(&cluster, "gadgets.example.com", |object| !condition(object, "NamesAccepted").is_empty()).await;
    assert_eq!(condition(&refused, "NamesAccepted"), "False KindConflict");
    assert_eq!(condition(&refused, "Established"), "False NotAccepted");
    definitions(&cluster).delete("", "widgets.example.com", Options::default()).await.expect("delete");
    until(&cluster, "gadgets.example.com", |object| condition(object, "Established").starts_with("True"))
        .await;
}

#[tokio::test]
async fn objects_are_what_their_schema_says() {
    let cluster = Cluster::new().await;
    define(&cluster, widgets()).await;
    let widgets = resource(&cluster, "v1");
    let table = [
        (
            json!({"replicas": "x"}),
            r#"Widget.example.com "a" is invalid: [spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string", .spec.replicas: Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected int64, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]"#,
        ),
        (
            json!({"replicas": -1}),
            r#"Widget.example.com "a" is invalid: [spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0, .spec.replicas: Invalid value: -1: should be a non-negative integer]"#,
        ),
        (json!({"color": "beige"}), r#"Widget.example.com "a" is invalid: spec: Invalid value: not beige"#),
        (
            json!({"ports": [{"name": "x"}, {"name": "x"}]}),
            r#"Widget.example.com "a" is invalid: spec.ports[1]: Duplicate value: {"name":"x"}"#,
        ),
    ];
    for (spec, want) in table {
        assert_eq!(failure(widgets.create("default", widget("a", spec)).await), (422, want.to_owned()));
    }
    let made =
        widgets.create("default", widget("a", json!({"color": "red", "bogus": 1}))).await.expect("create");
    assert!(made["spec"].get("bogus").is_none());
    // A status is not the object's to write, and the other way round.
    let mut changed = (*made).clone();
    changed["status"] = json!({"replicas": 3});
    changed["spec"]["replicas"] = json!(2);
    let updated = widgets.update("default", "a", "", changed.clone()).await.expect("update");
    assert_eq!((meta::generation(&updated), updated.get("status")), (2, None));
    let mut status = (*updated).clone();
    status["status"] = json!({"replicas": 3, "selector": "a=b"});
    status["spec"]["replicas"] = json!(9);
    status["metadata"]["labels"] = json!({"a": "b"});
    let updated = widgets.update("default", "a", "status", status).await.expect("status");
    assert_eq!(updated["status"]["replicas"], 3);
    assert_eq!((updated["spec"]["replicas"].as_i64(), meta::generation(&updated)), (Some(2), 2));
    assert!(updated["metadata"].get("labels").is_none());
    let mut unpinned = (*updated).clone();
    meta::set_resource_version(&mut unpinned, None);
    assert_eq!(
        failure(widgets.update("default", "a", "", unpinned).await),
        (422, "Widget.example.com \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update".to_owned())
    );
    // Transitions.
    let patch = json!({"spec": {"color": null}});
    let failed = failure(widgets.patch(Patch::Merge, "default", "a", "", patch).await);
    assert_eq!(
        failed,
        (422, "Widget.example.com \"a\" is invalid: spec: Invalid value: a color stays".to_owned())
    );
    let patch = json!([{"op": "replace", "path": "/spec/color", "value": "blue"}]);
    let patched = widgets.patch(Patch::Json, "default", "a", "", patch).await.expect("patch");
    assert_eq!((patched["spec"]["color"].as_str(), meta::generation(&patched)), (Some("blue"), 3));
    assert_eq!(failure(widgets.patch(Patch::Strategic, "default", "a", "", json!({})).await).0, 415);
    let selected = widgets.list("default", options(|o| o.field_selector = "spec.color=blue".into())).await;
    assert_eq!(selected.expect("list").items.len(), 1);
    let failed = failure(widgets.list("default", options(|o| o.field_selector = "spec.size=1".into())).await);
    assert_eq!(failed, (400, "field label not supported: spec.size".to_owned()));
}

#[tokio::test]
async fn a_scale_is_part_of_it() {
    let cluster = Cluster::new().await;
    define(&cluster, widgets()).await;
    let widgets = resource(&cluster, "v1");
    widgets.create("default", widget("a", json!({"replicas": 2}))).await.expect("create");
    let mut request = widgets.request(client::Verb::Get, "default", "a");
    request.subresource = "scale".into();
    let scale = cluster.admin().transport().call(request).await.expect("scale").object;
    assert_eq!((scale["kind"].as_str(), scale["spec"]["replicas"].as_i64()), (Some("Scale"), Some(2)));
    let patched =
        widgets.patch(Patch::Merge, "default", "a", "scale", json!({"spec": {"replicas": 5}})).await;
    assert_eq!(patched.expect("scale")["spec"]["replicas"], 5);
    let scaled = widgets.get("default", "a").await.expect("get");
    assert_eq!((scaled["spec"]["replicas"].as_i64(), meta::generation(&scaled)), (Some(5), 2));
    let owners = scaled["metadata"]["managedFields"].as_array().expect("entries");
    assert!(owners.iter().any(|entry| entry["subresource"] == "scale"), "{owners:?}");
}

#[tokio::test]
async fn configurations_are_applied_by_the_schema() {
    let cluster = Cluster::new().await;
    define(&cluster, widgets()).await;
    let widgets = resource(&cluster, "v1");
    let apply = async |manager: &str, spec: Value| {
        let mut request = widgets.request(client::Verb::Patch(Patch::Apply), "default", "a");
        request.options.field_manager = manager.into();
        request.body = Some(widget("a", spec));
        cluster.admin().transport().call(request).await.map(|response| response.object)
    };
    let made =
        apply("one", json!({"color": "red", "ports": [{"name": "x", "port": 1}]})).await.expect("apply");
    assert_eq!(made["spec"]["replicas"], 1, "defaults are filled in");
    let merged = apply("two", json!({"ports": [{"name": "y", "port": 2}]})).await.expect("apply");
    assert_eq!(merged["spec"]["ports"].as_array().map(Vec::len), Some(2));
    let conflict = apply("two", json!({"color": "blue"})).await.expect_err("a conflict");
    assert_eq!(
        (conflict.code, conflict.message.as_str()),
        (409, "Apply failed with 1 conflict: conflict with \"one\": .spec.color")
    );
    let left = apply("one", json!({"color": "red"})).await.expect("apply");
    assert_eq!(left["spec"]["ports"], json!([{"name": "y", "port": 2}]));
}

#[tokio::test]
async fn versions_show_the_same_objects() {
    let cluster = Cluster::new().await;
    let mut definition = widgets();
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = "v2".into();
    second["storage"] = false.into();
    second["deprecated"] = true.into();
    second.as_object_mut().expect("a version").remove("selectableFields");
    second["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"] =
        json!({"type": "integer", "default": 7});
    definition["spec"]["versions"].as_array_mut().expect("versions").push(second);
    define(&cluster, definition.clone()).await;
    resource(&cluster, "v1").create("default", widget("a", json!({}))).await.expect("create");
    let seen = resource(&cluster, "v2").get("default", "a").await.expect("get");
    assert_eq!(
        (seen["apiVersion"].as_str(), seen["spec"]["size"].as_i64()),
        (Some("example.com/v2"), Some(7))
    );
    let mut changed = (*seen).clone();
    changed["spec"]["color"] = "red".into();
    resource(&cluster, "v2").update("default", "a", "", changed).await.expect("update");
    let (_, stored) = cluster.store.dump("/registry/example.com/widgets/");
    assert!(
        String::from_utf8_lossy(&stored[0].value)
            .starts_with(r#"{"kind":"Widget","apiVersion":"example.com/v1""#)
    );
    // The other version becomes the stored one; what is stored stays until it is written.
    let fresh = definitions(&cluster).get("", "widgets.example.com").await.expect("get");
    let mut changed = (*fresh).clone();
    changed["spec"]["versions"][0]["storage"] = false.into();
    changed["spec"]["versions"][1]["storage"] = true.into();
    let changed = definitions(&cluster).update("", "widgets.example.com", "", changed).await.expect("update");
    assert_eq!(changed["status"]["storedVersions"], json!(["v1", "v2"]));
    let seen = resource(&cluster, "v1").get("default", "a").await.expect("get");
    assert_eq!(
        (seen["apiVersion"].as_str(), seen["spec"]["color"].as_str()),
        (Some("example.com/v1"), Some("red"))
    );
    resource(&cluster, "v1")
        .patch(Patch::Merge, "default", "a", "", json!({"spec": {"replicas": 3}}))
        .await
        .expect("patch");
    let (_, stored) = cluster.store.dump("/registry/example.com/widgets/");
    assert!(
        String::from_utf8_lossy(&stored[0].value)
            .starts_with(r#"{"kind":"Widget","apiVersion":"example.com/v2""#)
    );
    // A version that is not served any more.
    let mut changed = (*changed).clone();
    changed["spec"]["versions"][0]["served"] = false.into();
    definitions(&cluster).update("", "widgets.example.com", "", changed).await.expect("update");
    let failed = resource(&cluster, "v1").get("default", "a").await.expect_err("it is not served");
    assert!(failed.is(Reason::NotFound));
}

#[tokio::test]
async fn a_definition_goes_after_its_objects() {
    let cluster = Cluster::new().await;
    define(&cluster, widgets()).await;
    let widgets = resource(&cluster, "v1");
    let mut held = widget("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    widgets.create("default", held).await.expect("create");
    widgets.create("other", widget("free", json!({}))).await.expect_err("there is no such namespace");
    widgets.create("default", widget("free", json!({}))).await.expect("create");
    let mut watch = widgets.watch("", Options::default()).await.expect("watch");
    let marked =
        definitions(&cluster).delete("", "widgets.example.com", Options::default()).await.expect("delete");
    assert_eq!(marked["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    assert_eq!(condition(&marked, "Terminating"), "True InstanceDeletionPending");
    until(&cluster, "widgets.example.com", |o| {
        condition(o, "Terminating") == "True InstanceDeletionInProgress"
    })
    .await;
    assert_eq!(
        failure(widgets.create("default", widget("new", json!({}))).await),
        (403, "widgets.example.com \"new\" is forbidden: create not allowed while custom resource definition is terminating".to_owned())
    );
    let deleted = async {
        loop {
            if let Some(WatchEvent::Deleted(object)) = watch.next().await {
                return meta::name(&object).to_owned();
            }
        }
    };
    assert_eq!(tokio::time::timeout(DEADLINE, deleted).await.expect("in time"), "free");
    let held = widgets.get("default", "held").await.expect("it is held");
    assert!(meta::is_deleting(&held));
    let patch = json!({"metadata": {"finalizers": null}});
    widgets.patch(Patch::Merge, "default", "held", "", patch).await.expect("patch");
    gone(&cluster, "widgets.example.com").await;
    assert!(widgets.list("", Options::default()).await.expect_err("it is gone").is(Reason::NotFound));
    // Again, as if nothing had been.
    define(&cluster, super::custom_resources::widgets()).await;
    assert!(widgets.list("", Options::default()).await.expect("list").items.is_empty());
}

#[tokio::test]
async fn expensive_and_wrong_rules_are_refused() {
    let cluster = Cluster::new().await;
    let mut definition = widgets();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] =
        json!([{"rule": "self.nothing > 1"}]);
    let (code, text) = failure(definitions(&cluster).create("", definition).await);
    assert_eq!(code, 422);
    assert!(text.contains("compilation failed: ERROR: <input>:1:5: undefined field 'nothing'"), "{text}");
}

#[tokio::test]
async fn discovery_and_documents_know_at_once() {
    let cluster = Cluster::with(Config::default()).await;
    let admin = Https::new(&cluster.handle, Some(("admin", &["system:masters"])));
    let get = async |path: &str, accept: &str| admin.json(Method::GET, path, &[("accept", accept)], "").await;
    let (_, _, before) = get("/openapi/v3", "*/*").await;
    assert_eq!(get("/apis/example.com/v1", "*/*").await.0, 404);
    let (code, _, none) = get("/apis/example.com/v1/widgets", "*/*").await;
    assert_eq!((code, none), (404, Value::Null), "a plain text, no Status");
    define(&cluster, widgets()).await;
    let (_, _, list) = get("/apis/example.com/v1", "*/*").await;
    let names: Vec<&str> =
        list["resources"].as_array().expect("resources").iter().filter_map(|r| r["name"].as_str()).collect();
    assert_eq!(names, ["widgets", "widgets/status", "widgets/scale"]);
    assert_eq!(list["resources"][0]["shortNames"], json!(["wd"]));
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let (_, _, groups) = get("/apis", aggregated).await;
    let last = groups["items"].as_array().and_then(|items| items.last()).expect("groups").clone();
    assert_eq!(last["metadata"]["name"], "example.com");
    let (_, _, after) = get("/openapi/v3", "*/*").await;
    assert!(before["paths"].get("apis/example.com/v1").is_none());
    let url =
        after["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().expect("a document").to_owned();
    let (_, _, document) = get(&url, "*/*").await;
    let schema = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(schema["properties"]["spec"]["properties"]["replicas"]["default"], 1, "{document}");
    let (_, _, v2) = get("/openapi/v2", "application/json").await;
    assert!(v2["definitions"]["com.example.v1.Widget"].is_object());
    let fresh = definitions(&cluster).get("", "widgets.example.com").await.expect("get");
    let mut changed = (*fresh).clone();
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "What is made.".into();
    definitions(&cluster).update("", "widgets.example.com", "", changed).await.expect("update");
    let (_, _, again) = get("/openapi/v3", "*/*").await;
    assert_ne!(again["paths"]["apis/example.com/v1"]["serverRelativeURL"], url, "another hash");

    let path = "/apis/example.com/v1/namespaces/default/widgets";
    let yaml =
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec: {color: red, bogus: 1}\n";
    let (code, headers, made) =
        admin.json(Method::POST, path, &[("content-type", "application/yaml")], yaml).await;
    assert_eq!((code, made["spec"]["color"].as_str()), (201, Some("red")));
    assert_eq!(headers["warning"], r#"299 - "unknown field \"spec.bogus\"""#);
    let json = r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"b"},"spec":{"color":"a","color":"b","x":1}}"#;
    let (code, _, status) =
        admin.json(Method::POST, &format!("{path}?fieldValidation=Strict"), &[], json).await;
    assert_eq!(
        (code, status["message"].as_str()),
        (
            400,
            Some(
                r#"Widget in version "v1" cannot be handled as a Widget: strict decoding error: duplicate field "spec.color", unknown field "spec.x""#
            )
        )
    );
    let protobuf = [("content-type", "application/vnd.kubernetes.protobuf")];
    assert_eq!(admin.json(Method::POST, path, &protobuf, "k8s\0").await.0, 415);
    let strategic = [("content-type", "application/strategic-merge-patch+json")];
    let (code, _, status) = admin.json(Method::PATCH, &format!("{path}/a"), &strategic, "{}").await;
    assert_eq!(
        (code, status["message"].as_str()),
        (
            415,
            Some(
                "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
            )
        )
    );
    let (_, _, table) = get(path, "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    let columns: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .expect("columns")
        .iter()
        .filter_map(|c| c["name"].as_str())
        .collect();
    assert_eq!(
        (columns, &table["rows"][0]["cells"]),
        (vec!["Name", "Size", "Color"], &json!(["a", 1, "red"]))
    );
    let (code, _, _) = admin.json(Method::DELETE, &format!("{path}/a"), &[], "").await;
    assert_eq!(code, 200);
}

#[tokio::test]
async fn rights_go_by_names() {
    let cluster = Cluster::new().await;
    define(&cluster, widgets()).await;
    let bob = cluster.user("bob", &[]);
    let failed =
        failure(bob.resource("example.com", "v1", "widgets").list("default", Options::default()).await);
    assert_eq!(
        failed,
        (403, "widgets.example.com is forbidden: User \"bob\" cannot list resource \"widgets\" in API group \"example.com\" in the namespace \"default\"".to_owned())
    );
    let admin = cluster.admin();
    let rbac = |resource: &str| admin.resource("rbac.authorization.k8s.io", "v1", resource);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"},
        "rules": [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["list"]}]});
    rbac("roles").create("default", role).await.expect("role");
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "r"},
        "subjects": [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}});
    rbac("rolebindings").create("default", binding).await.expect("binding");
    bob.resource("example.com", "v1", "widgets").list("default", Options::default()).await.expect("list");
}
