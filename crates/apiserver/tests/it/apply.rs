//! Server-side apply and managed fields, as clients see them.

use super::*;
use apimachinery::meta;
use client::{Patch, Request, Response, Verb};

/// One resource of a cluster, written to by many managers.
struct Field {
    resource: Resource,
    client: Client,
}

impl Field {
    fn new(client: Client, group: &str, version: &str, resource: &str) -> Field {
        Field { resource: client.resource(group, version, resource), client }
    }

    async fn send(
        &self,
        verb: Verb,
        (name, subresource): (&str, &str),
        body: Value,
        change: impl FnOnce(&mut Options),
    ) -> Result<Response, Box<Status>> {
        let name = if verb == Verb::Create { "" } else { name };
        let mut request: Request = self.resource.request(verb, "default", name);
        request.subresource = subresource.into();
        request.body = Some(body);
        change(&mut request.options);
        self.client.transport().call(request).await
    }

    async fn apply(&self, manager: &str, force: bool, config: Value) -> Result<Response, Box<Status>> {
        let name = config["metadata"]["name"].as_str().unwrap_or("d").to_owned();
        self.send(Verb::Patch(Patch::Apply), (&name, ""), config, |o| {
            o.field_manager = manager.into();
            o.force = force.then_some(true);
        })
        .await
    }

    async fn patch(&self, manager: &str, at: (&str, &str), kind: Patch, patch: Value) -> Value {
        let sent = self.send(Verb::Patch(kind), at, patch, |o| o.field_manager = manager.into()).await;
        (*sent.expect("patch").object).clone()
    }
}

/// `manager operation/subresource: field field`, the set as JSON.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let line = |e: Value| {
        let text = |name: &str| e[name].as_str().unwrap_or_default().to_owned();
        let slash = if text("subresource").is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}: {}", text("manager"), text("operation"), text("subresource"), e["fieldsV1"])
    };
    entries.into_iter().map(line).collect()
}

fn deployment(replicas: Option<i64>) -> Value {
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}}}});
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = replicas.into();
    }
    object
}

const REST: &str = r#""f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}"#;

#[tokio::test]
async fn the_recorded_story_of_two_managers() {
    let cluster = Cluster::new().await;
    let field = Field::new(cluster.admin(), "apps", "v1", "deployments");
    let with = |manager: &str| format!(r#"{manager} Apply: {{"f:spec":{{"f:replicas":{{}},{REST}}}}}"#);
    let without = |manager: &str| format!(r#"{manager} Apply: {{"f:spec":{{{REST}}}}}"#);

    let made = field.apply("m1", false, deployment(Some(3))).await.expect("create");
    assert_eq!(made.code, 201);
    assert_eq!(owners(&made.object), [with("m1")]);
    let entry = &made.object["metadata"]["managedFields"][0];
    assert_eq!((&entry["apiVersion"], &entry["fieldsType"]), (&json!("apps/v1"), &json!("FieldsV1")));
    assert_eq!(entry["time"], made.object["metadata"]["creationTimestamp"]);

    let conflict = field.apply("m2", false, deployment(Some(5))).await.expect_err("conflict");
    assert_eq!((conflict.code, conflict.reason), (409, apimachinery::Reason::Conflict));
    assert_eq!(conflict.message, r#"Apply failed with 1 conflict: conflict with "m1": .spec.replicas"#);
    assert_eq!(
        conflict.to_value()["details"],
        json!({"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"m1\"", "field": ".spec.replicas"}]})
    );

    let forced = field.apply("m2", true, deployment(Some(5))).await.expect("forced");
    assert_eq!((forced.code, owners(&forced.object)), (200, vec![without("m1"), with("m2")]));
    assert_eq!(meta::generation(&forced.object), 2);
    let same = field.apply("m2", true, deployment(Some(5))).await.expect("the same");
    assert_eq!(same.object, forced.object, "nothing is written");

    let dropped = field.apply("m2", true, deployment(None)).await.expect("drop");
    assert_eq!((&dropped.object["spec"]["replicas"], meta::generation(&dropped.object)), (&json!(1), 3));
    assert_eq!(owners(&dropped.object), [without("m1"), without("m2")]);
    // Nobody owns the replicas, so nobody comes to own them by scaling.
    field.patch("k", ("d", "scale"), Patch::Merge, json!({"spec": {"replicas": 7}})).await;
    let now = field.resource.get("default", "d").await.expect("get");
    assert_eq!((&now["spec"]["replicas"], owners(&now)), (&json!(7), owners(&dropped.object)));
}

#[tokio::test]
async fn what_apply_refuses() {
    let cluster = Cluster::new().await;
    let field = Field::new(cluster.admin(), "apps", "v1", "deployments");
    field.apply("m", false, deployment(Some(3))).await.expect("create");
    let base = || deployment(Some(3));
    let with = |pointer: &str, value: Value| {
        let mut config = base();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value;
        config
    };
    let twice = json!([{"name": "c", "image": "i"}, {"name": "c", "image": "j"}]);
    for (config, code, text) in [
        (with("/metadata/managedFields", json!([])), 400, "metadata.managedFields must be nil"),
        (with("/kind", json!("Foo")), 400, "invalid object type: apps/v1, Kind=Foo"),
        (json!(null), 400, "invalid object type: /, Kind="),
        (
            with("/spec/template/spec/containers", twice),
            500,
            "failed to create typed patch object (/d; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name=\"c\"]",
        ),
        (
            with("/spec/bogus", json!(1)),
            500,
            "failed to create typed patch object (/d; apps/v1, Kind=Deployment): .spec.bogus: field not declared in schema",
        ),
        (
            with("/metadata/resourceVersion", json!("1")),
            409,
            "Operation cannot be fulfilled on deployments.apps \"d\": the object has been modified; please apply your changes to the latest version and try again",
        ),
        (
            with("/metadata/namespace", json!("other")),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ] {
        let sent = field.send(Verb::Patch(Patch::Apply), ("d", ""), config, |o| o.field_manager = "m".into());
        assert_eq!(failure(sent.await), (code, text.to_owned()));
    }
    let new = |pointer: &str, value: Value| {
        let mut config = with(pointer, value);
        config["metadata"]["name"] = "new".into();
        config
    };
    for (config, code, text) in [
        (
            new("/metadata/uid", json!("xx")),
            409,
            "Operation cannot be fulfilled on deployments.apps \"new\": uid mismatch: the provided object specified uid xx, and no existing object was found",
        ),
        (base(), 400, "the name of the object (d) does not match the name on the URL (new)"),
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
            400,
            "the name of the object (new based on URL) was undeterminable: name must be provided",
        ),
    ] {
        let sent =
            field.send(Verb::Patch(Patch::Apply), ("new", ""), config, |o| o.field_manager = "m".into());
        assert_eq!(failure(sent.await), (code, text.to_owned()));
    }
    let long = "x".repeat(129);
    for (verb, manager, force, text) in [
        (
            Patch::Apply,
            "",
            None,
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ),
        (
            Patch::Merge,
            "",
            Some(true),
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
        ),
        (
            Patch::Merge,
            long.as_str(),
            None,
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes",
        ),
        (
            Patch::Apply,
            "a\u{7}",
            None,
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\a\": invalid character U+0007 (at position 1)",
        ),
    ] {
        let sent = field.send(Verb::Patch(verb), ("d", ""), base(), |o| {
            o.field_manager = manager.into();
            o.force = force;
        });
        assert_eq!(failure(sent.await), (422, text.to_owned()));
    }
}

#[tokio::test]
async fn every_write_has_a_manager() {
    let cluster = Cluster::new().await;
    let field = Field::new(cluster.admin(), "apps", "v1", "deployments");
    let made = field.send(Verb::Create, ("d", ""), deployment(Some(3)), |_| {}).await.expect("create").object;
    let created = owners(&made);
    assert_eq!(created.len(), 1);
    assert!(created[0].starts_with("test Update: "), "{created:?}");
    // Defaults are the creator's, too; what the server keeps (status, uid, generation) is nobody's.
    let set = &made["metadata"]["managedFields"][0]["fieldsV1"];
    assert!(set.as_object().is_some_and(|s| s.keys().eq(["f:spec"])), "{set}");
    assert!(set["f:spec"].get("f:progressDeadlineSeconds").is_some() && set["f:spec"].get(".").is_none());
    let container = &set["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"];
    assert_eq!((&container["."], &container["f:resources"]), (&json!({}), &json!({})));

    let patched =
        field.patch("labeler", ("d", ""), Patch::Merge, json!({"metadata": {"labels": {"x": "y"}}})).await;
    assert_eq!(owners(&patched)[..1], [r#"labeler Update: {"f:metadata":{"f:labels":{".":{},"f:x":{}}}}"#]);
    let status = json!({"metadata": {"labels": {"x": "z"}}, "spec": {"replicas": 9}, "status": {"observedGeneration": 1, "replicas": 3}});
    let patched = field.patch("controller", ("d", "status"), Patch::Merge, status).await;
    assert_eq!(
        owners(&patched)[..1],
        [r#"controller Update/status: {"f:status":{"f:observedGeneration":{},"f:replicas":{}}}"#]
    );
    field.patch("scaler", ("d", "scale"), Patch::Merge, json!({"spec": {"replicas": 5}})).await;
    let now = field.resource.get("default", "d").await.expect("get");
    // As upstream, entries of a scale have no time and so come first.
    assert_eq!(owners(&now)[0], r#"scaler Update/scale: {"f:spec":{"f:replicas":{}}}"#);
    assert!(now["metadata"]["managedFields"][0].get("time").is_none());
    let creators =
        now["metadata"]["managedFields"].as_array().unwrap().iter().find(|e| e["manager"] == "test").unwrap();
    assert!(creators["fieldsV1"]["f:spec"].get("f:replicas").is_none());

    let conflict = field.apply("m", false, {
        let mut config = deployment(Some(6));
        config["spec"]["template"]["spec"]["containers"][0]["image"] = "j".into();
        config
    });
    assert_eq!(
        failure(conflict.await),
        (409, "Apply failed with 2 conflicts: conflicts with \"scaler\" with subresource \"scale\" using apps/v1:\n- .spec.replicas\nconflicts with \"test\" using apps/v1:\n- .spec.template.spec.containers[name=\"c\"].image".into())
    );
    // The same again from the same client: nothing changes, the time neither.
    let same = field.send(Verb::Update, ("d", ""), (*now).clone(), |_| {}).await.expect("update");
    assert_eq!(same.object, now);
    // A client that knows nothing of managed fields does not lose them.
    let mut plain = (*now).clone();
    plain["metadata"].as_object_mut().unwrap().remove("managedFields");
    let same = field.send(Verb::Update, ("d", ""), plain, |_| {}).await.expect("update");
    assert_eq!(same.object, now);
}

#[tokio::test]
async fn scale_is_applied_and_conflicts_like_everything() {
    let cluster = Cluster::new().await;
    let field = Field::new(cluster.admin(), "apps", "v1", "deployments");
    field.apply("m", false, deployment(Some(3))).await.expect("create");
    let scale = |replicas: i64, force: Option<bool>| {
        let config = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": replicas}});
        field.send(Verb::Patch(Patch::Apply), ("d", "scale"), config, move |o| {
            o.field_manager = "hpa".into();
            o.force = force;
        })
    };
    assert_eq!(
        failure(scale(4, None).await),
        (409, "Apply failed with 1 conflict: conflict with \"m\": .spec.replicas".into())
    );
    let scaled = scale(4, Some(true)).await.expect("scale").object;
    assert_eq!((&scaled["kind"], &scaled["spec"]["replicas"]), (&json!("Scale"), &json!(4)));
    let now = field.resource.get("default", "d").await.expect("get");
    assert_eq!(owners(&now)[0], r#"hpa Apply/scale: {"f:spec":{"f:replicas":{}}}"#);
    assert!(!owners(&now)[1].contains("replicas"));
}

#[tokio::test]
async fn what_clients_may_do_to_the_entries() {
    let cluster = Cluster::new().await;
    let field = Field::new(cluster.admin(), "", "v1", "configmaps");
    field.apply("m", false, config_map("a")).await.expect("create");
    let at = ("a", "");
    for reset in [json!([]), json!([{}])] {
        let forgotten =
            field.patch("x", at, Patch::Merge, json!({"metadata": {"managedFields": reset}})).await;
        assert_eq!(owners(&forgotten), Vec::<String>::new());
        let untracked = field.patch("x", at, Patch::Merge, json!({"data": {"y": "1"}})).await;
        assert_eq!(owners(&untracked), Vec::<String>::new());
        let applied = field.apply("m", false, config_map("a")).await.expect("apply").object;
        assert_eq!(
            owners(&applied),
            [
                r#"m Apply: {"f:data":{"f:x":{}}}"#,
                r#"before-first-apply Update: {"f:data":{".":{},"f:x":{},"f:y":{}}}"#
            ]
        );
    }
    let operations = json!([{"op": "replace", "path": "/metadata/managedFields", "value": [{"manager": "n", "operation": "Apply",
        "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:x": {}}}}]}]);
    let moved = field.patch("x", at, Patch::Json, operations).await;
    assert_eq!(owners(&moved), [r#"n Apply: {"f:data":{"f:x":{}}}"#]);
    let bad = json!([{"op": "replace", "path": "/metadata/managedFields", "value": [{"manager": "n", "operation": "Steal",
        "apiVersion": "v1"}]}]);
    let kept = field.patch("x", at, Patch::Json, bad).await;
    assert_eq!(owners(&kept), owners(&moved), "what cannot be read is ignored");
    let long = json!({"metadata": {"managedFields": [{"manager": "x".repeat(129), "operation": "Apply", "apiVersion": "v1",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:x": {}}}}]}});
    let sent = field.send(Verb::Patch(Patch::Merge), at, long, |_| {});
    assert_eq!(
        failure(sent.await),
        (422, "ConfigMap \"a\" is invalid: metadata.managedFields[0].manager: Too long: may not be more than 128 bytes".into())
    );
    // Somebody creates what was exported elsewhere: the entries come along.
    let mut exported = moved.clone();
    exported["metadata"]["name"] = "b".into();
    let made = field.send(Verb::Create, ("b", ""), exported, |_| {}).await.expect("create").object;
    assert_eq!(owners(&made), [r#"test Update: {"f:data":{".":{},"f:x":{},"f:y":{}}}"#]);
}

#[tokio::test]
async fn dry_runs_and_deletions_write_no_ownership() {
    let cluster = Cluster::new().await;
    let field = Field::new(cluster.admin(), "", "v1", "configmaps");
    let dry = field.send(Verb::Patch(Patch::Apply), ("a", ""), config_map("a"), |o| {
        o.field_manager = "m".into();
        o.dry_run = vec!["All".into()];
    });
    let dry = dry.await.expect("dry run");
    assert_eq!((dry.code, owners(&dry.object)), (201, vec![r#"m Apply: {"f:data":{"f:x":{}}}"#.to_owned()]));
    assert_eq!(failure(field.resource.get("default", "a").await).0, 404);
    let mut held = config_map("a");
    held["metadata"]["finalizers"] = json!(["example.com/f"]);
    let made = field.apply("m", false, held).await.expect("create").object;
    assert_eq!(
        owners(&made),
        [r#"m Apply: {"f:data":{"f:x":{}},"f:metadata":{"f:finalizers":{"v:\"example.com/f\"":{}}}}"#]
    );
    let marked = field.resource.delete("default", "a", Options::default()).await.expect("delete");
    assert_eq!(owners(&marked), owners(&made), "a deletion is nobody's change");
    field.apply("m", false, config_map("a")).await.expect("drop the finalizer");
    assert_eq!(failure(field.resource.get("default", "a").await).0, 404, "the last finalizer is gone");
}

#[tokio::test]
async fn binding_and_admission_are_nobodys() {
    let cluster = Cluster::new().await;
    with_service_account(&cluster).await;
    let pods = Field::new(cluster.admin(), "", "v1", "pods");
    pods.send(Verb::Create, ("p", ""), pod("p"), |_| {}).await.expect("create");
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    pods.resource.create_sub("default", "p", "binding", binding).await.expect("bind");
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}], "podIPs": [{"ip": "10.0.0.1"}]}});
    let now = pods.patch("kubelet", ("p", "status"), Patch::Strategic, status).await;
    assert_eq!(now["spec"]["nodeName"], "n");
    assert!(now["spec"]["volumes"].is_array(), "admission adds a token");
    assert_eq!(
        owners(&now),
        [
            r#"kubelet Update/status: {"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"f:podIPs":{".":{},"k:{\"ip\":\"10.0.0.1\"}":{".":{},"f:ip":{}}}}}"#,
            r#"test Update: {"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}"#,
        ]
    );
    // The server's own objects have a manager as well.
    let role =
        cluster.admin().resource("rbac.authorization.k8s.io", "v1", "clusterroles").get("", "view").await;
    assert!(owners(&role.expect("role"))[0].starts_with("kube-apiserver Update: "));
}

#[tokio::test]
async fn versions_of_one_object_keep_their_own_fields() {
    let cluster = Cluster::new().await;
    let name = "horizontalpodautoscalers";
    let (v1, v2) = (
        Field::new(cluster.admin(), "autoscaling", "v1", name),
        Field::new(cluster.admin(), "autoscaling", "v2", name),
    );
    let scaled = json!({"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"});
    let old = |percent: i64| {
        json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
            "spec": {"maxReplicas": 3, "scaleTargetRef": scaled, "targetCPUUtilizationPercentage": percent}})
    };
    let new = |percent: i64| {
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}});
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
            "spec": {"maxReplicas": 3, "scaleTargetRef": scaled, "metrics": [metric]}})
    };
    v1.apply("one", false, old(50)).await.expect("create");
    assert_eq!(
        failure(v2.apply("two", false, new(60)).await),
        (
            409,
            "Apply failed with 1 conflict: conflict with \"one\": .spec.targetCPUUtilizationPercentage"
                .into()
        )
    );
    v2.apply("two", true, new(60)).await.expect("force");
    let seen = v1.resource.get("default", "h").await.expect("get");
    assert_eq!(seen["spec"]["targetCPUUtilizationPercentage"], 60);
    let versions: Vec<_> = seen["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["apiVersion"].clone())
        .collect();
    assert_eq!(versions, ["autoscaling/v1", "autoscaling/v2"]);
}

#[tokio::test]
async fn creating_by_apply_needs_the_right_to_create() {
    let cluster = Cluster::new().await;
    let admin = cluster.admin();
    let roles = admin.resource("rbac.authorization.k8s.io", "v1", "roles");
    let role = |verbs: Value| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]})
    };
    roles.create("default", role(json!(["patch"]))).await.expect("role");
    let bindings = admin.resource("rbac.authorization.k8s.io", "v1", "rolebindings");
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}]});
    bindings.create("default", binding).await.expect("binding");
    let field = Field::new(cluster.user("ann", &[]), "", "v1", "configmaps");
    assert_eq!(
        failure(field.apply("m", false, config_map("a")).await),
        (403, "configmaps \"a\" is forbidden: User \"ann\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"default\"".into())
    );
    roles.update("default", "r", "", role(json!(["patch", "create"]))).await.expect("role");
    field.apply("m", false, config_map("a")).await.expect("create");
}

#[tokio::test]
async fn appliers_at_once_all_win() {
    let cluster = Cluster::new().await;
    let field = &Field::new(cluster.admin(), "", "v1", "configmaps");
    let work = (0..20).map(|n| async move {
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {format!("k{n}"): "v"}});
        field.apply(&format!("m{n}"), false, config).await.expect("apply").code
    });
    let codes = futures_util::future::join_all(work).await;
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 1);
    let end = field.resource.get("default", "a").await.expect("get");
    assert_eq!(end["data"].as_object().map(serde_json::Map::len), Some(20));
    assert_eq!(owners(&end).len(), 20, "appliers are not capped");
}
