//! Writing and reading objects: the rules that every kind shares.

use super::*;
use apimachinery::meta;
use client::Patch;

#[tokio::test]
async fn creates_fill_metadata_and_refuse_duplicates() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    let mut sent = config_map("a");
    sent["metadata"]["uid"] = "chosen".into();
    sent["metadata"]["generation"] = 7.into();
    let made = maps.create("default", sent).await.expect("create");
    assert_eq!(meta::uid(&made).len(), 36);
    assert!(meta::resource_version(&made).is_some() && meta::creation_timestamp(&made).is_some());
    assert_eq!((meta::namespace(&made), meta::generation(&made)), ("default", 0));
    let again = failure(maps.create("default", config_map("a")).await);
    assert_eq!(again, (409, "configmaps \"a\" already exists".into()));
    for (object, namespace, code, text) in [
        (
            config_map(""),
            "default",
            422,
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        (config_map("x"), "nope", 404, "namespaces \"nope\" not found"),
        (
            pod("x"),
            "default",
            400,
            "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion",
        ),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "other"}}),
            "default",
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ] {
        assert_eq!(failure(maps.create(namespace, object).await), (code, text.to_owned()));
    }
    let generated = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "gen-"}});
    let made = maps.create("default", generated).await.expect("create");
    assert!(meta::name(&made).starts_with("gen-") && meta::name(&made).len() == 9);
}

#[tokio::test]
async fn updates_need_the_current_revision_and_skip_no_ops() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    let first = maps.create("default", config_map("a")).await.expect("create");
    let same = maps.update("default", "a", "", (*first).clone()).await.expect("update");
    assert_eq!(meta::resource_version(&same), meta::resource_version(&first), "a no-op writes nothing");
    let mut changed = (*first).clone();
    changed["data"]["x"] = "2".into();
    let second = maps.update("default", "a", "", changed.clone()).await.expect("update");
    assert!(meta::resource_version(&second) > meta::resource_version(&first));
    changed["data"]["x"] = "3".into();
    let (code, text) = failure(maps.update("default", "a", "", changed.clone()).await);
    assert_eq!(code, 409);
    assert!(
        text.starts_with("Operation cannot be fulfilled on configmaps \"a\": the object has been modified")
    );
    meta::set_resource_version(&mut changed, None);
    let third = maps.update("default", "a", "", changed.clone()).await.expect("unconditional");
    assert_eq!(third["data"]["x"], "3");
    meta::set_uid(&mut changed, "other");
    assert_eq!(failure(maps.update("default", "a", "", changed).await).0, 409);
    assert_eq!(failure(maps.update("default", "b", "", config_map("b")).await).0, 404);
    assert_eq!(
        failure(maps.update("default", "a", "", config_map("b")).await),
        (400, "the name of the object (b) does not match the name on the URL (a)".into())
    );
}

#[tokio::test]
async fn patches_of_every_type() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    maps.create("default", config_map("a")).await.expect("create");
    let patch = async |kind, patch| maps.patch(kind, "default", "a", "", patch).await;
    let merged = patch(Patch::Merge, json!({"data": {"y": "2", "x": null}})).await.expect("merge");
    assert_eq!(merged["data"], json!({"y": "2"}));
    let operations = json!([{"op": "add", "path": "/data/z", "value": "3"}]);
    let patched = patch(Patch::Json, operations).await.expect("json");
    assert_eq!(patched["data"], json!({"y": "2", "z": "3"}));
    let test = json!([{"op": "test", "path": "/data/z", "value": "9"}]);
    assert_eq!(failure(patch(Patch::Json, test).await).0, 422);
    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {"q": "1"}});
    assert_eq!(failure(patch(Patch::Merge, stale).await).0, 409);
    assert_eq!(failure(patch(Patch::Merge, json!({"metadata": {"name": "b"}})).await).0, 400);
    with_service_account(&cluster).await;
    let pods = cluster.admin().pods();
    pods.create("default", pod("p")).await.expect("pod");
    let strategic = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    let patched = pods.patch(Patch::Strategic, "default", "p", "", strategic).await.expect("strategic");
    assert_eq!(patched["spec"]["containers"].as_array().map(Vec::len), Some(1));
    assert_eq!(patched["spec"]["containers"][0]["image"], "j");
}

#[tokio::test]
async fn concurrent_patches_all_win() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    maps.create("default", config_map("a")).await.expect("create");
    let patches = (0..20).map(|n| {
        let maps = maps.clone();
        async move {
            let patch = json!({"data": {format!("k{n}"): "v"}});
            maps.patch(Patch::Merge, "default", "a", "", patch).await.expect("patch");
        }
    });
    futures_util::future::join_all(patches).await;
    let end = maps.get("default", "a").await.expect("get");
    assert_eq!(end["data"].as_object().map(serde_json::Map::len), Some(21));
}

#[tokio::test]
async fn finalizers_hold_deletion() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    let mut object = config_map("a");
    object["metadata"]["finalizers"] = json!(["example.com/f"]);
    maps.create("default", object).await.expect("create");
    let marked = maps.delete("default", "a", Options::default()).await.expect("delete");
    assert!(meta::is_deleting(&marked));
    assert_eq!(meta::deletion_grace_period(&marked), Some(0));
    let more = json!({"metadata": {"finalizers": ["example.com/f", "example.com/g"]}});
    let (code, text) = failure(maps.patch(Patch::Merge, "default", "a", "", more).await);
    assert_eq!(code, 422);
    assert!(text.contains("no new finalizers can be added if the object is being deleted, found new finalizers []string{\"example.com/g\"}"));
    let none = json!({"metadata": {"finalizers": null}});
    maps.patch(Patch::Merge, "default", "a", "", none).await.expect("patch");
    assert_eq!(failure(maps.get("default", "a").await).0, 404);
}

#[tokio::test]
async fn deletes_check_preconditions_and_propagate() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    maps.create("default", config_map("a")).await.expect("create");
    let wrong = options(|o| o.precondition_uid = Some("x".into()));
    let (code, text) = failure(maps.delete("default", "a", wrong).await);
    assert_eq!(code, 409);
    assert!(text.starts_with(
        "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (x) does not match"
    ));
    let foreground = options(|o| o.propagation_policy = Some("Foreground".into()));
    let marked = maps.delete("default", "a", foreground).await.expect("delete");
    assert!(meta::has_finalizer(&marked, "foregroundDeletion"));
    let both = options(|o| {
        o.propagation_policy = Some("Orphan".into());
        o.orphan_dependents = Some(true);
    });
    assert_eq!(failure(maps.delete("default", "a", both).await).0, 422);
    let dry = options(|o| o.dry_run = vec!["All".into()]);
    maps.create("default", config_map("b")).await.expect("create");
    maps.delete("default", "b", dry).await.expect("dry run");
    let gone = maps.delete("default", "b", Options::default()).await.expect("delete");
    assert_eq!((gone["kind"].as_str(), gone["status"].as_str()), (Some("Status"), Some("Success")));
    let (code, text) = failure(
        cluster.admin().resource("", "v1", "namespaces").delete("", "default", Options::default()).await,
    );
    assert_eq!(
        (code, text.as_str()),
        (403, "namespaces \"default\" is forbidden: this namespace may not be deleted")
    );
}

#[tokio::test]
async fn lists_select_and_page_at_one_revision() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    for name in ["a", "b", "c", "d", "e"] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"odd": (name.as_bytes()[0] % 2 == 1).to_string()});
        maps.create("default", object).await.expect("create");
    }
    let names = |list: &client::List| list.items.iter().map(|o| meta::name(o).to_owned()).collect::<Vec<_>>();
    let first = maps.list("default", options(|o| o.limit = 2)).await.expect("list");
    assert_eq!((names(&first), first.remaining), (vec!["a".into(), "b".into()], Some(3)));
    maps.delete("default", "c", Options::default()).await.expect("delete");
    maps.create("default", config_map("aa")).await.expect("create");
    let next = options(|o| {
        o.limit = 2;
        o.continue_token.clone_from(&first.continue_token);
    });
    let second = maps.list("default", next).await.expect("second page");
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second.resource_version, first.resource_version);
    let odd = maps.list("default", options(|o| o.label_selector = "odd=true".into())).await.expect("list");
    assert_eq!(names(&odd), ["a", "e"]);
    let by_name = options(|o| o.field_selector = "metadata.name=b".into());
    assert_eq!(names(&maps.list("", by_name).await.expect("list")), ["b"]);
    let exact = options(|o| {
        o.resource_version = first.resource_version.to_string();
        o.resource_version_match = "Exact".into();
    });
    assert_eq!(names(&maps.list("default", exact).await.expect("exact")).len(), 5);
    for (change, code) in [
        (options(|o| o.field_selector = "data.x=1".into()), 400),
        (options(|o| o.label_selector = "!!".into()), 400),
        (options(|o| o.resource_version_match = "Exact".into()), 422),
        (options(|o| o.resource_version = "abc".into()), 400),
        (options(|o| o.continue_token = "abc".into()), 400),
    ] {
        assert_eq!(failure(maps.list("default", change).await).0, code);
    }
}

#[tokio::test]
async fn deletecollection_deletes_what_is_selected() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    for name in ["a", "b", "c"] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"name": name});
        maps.create("default", object).await.expect("create");
    }
    let some = options(|o| o.label_selector = "name!=b".into());
    let deleted = maps.delete_collection("default", some).await.expect("delete");
    assert_eq!(deleted["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(maps.list("default", Options::default()).await.expect("list").items.len(), 1);
}

#[tokio::test]
async fn pods_get_what_admission_adds() {
    let cluster = Cluster::new().await;
    let pods = cluster.admin().pods();
    let (code, text) = failure(pods.create("default", pod("p")).await);
    assert_eq!(code, 403);
    assert_eq!(
        text,
        "pods \"p\" is forbidden: error looking up service account default/default: serviceaccount \"default\" not found"
    );
    with_service_account(&cluster).await;
    let made = pods.create("default", pod("p")).await.expect("create");
    let spec = &made["spec"];
    assert_eq!((spec["serviceAccountName"].as_str(), spec["priority"].as_i64()), (Some("default"), Some(0)));
    assert_eq!(spec["tolerations"].as_array().map(Vec::len), Some(2));
    assert!(
        spec["volumes"][0]["name"]
            .as_str()
            .is_some_and(|n| n.starts_with("kube-api-access-") && n.len() == 21)
    );
    assert_eq!(
        spec["containers"][0]["volumeMounts"][0]["mountPath"],
        "/var/run/secrets/kubernetes.io/serviceaccount"
    );
    let mut unknown = pod("q");
    unknown["spec"]["priorityClassName"] = "none".into();
    assert!(
        failure(pods.create("default", unknown).await)
            .1
            .ends_with("no PriorityClass with name none was found")
    );
}

#[tokio::test]
async fn binding_happens_once() {
    let cluster = Cluster::new().await;
    with_service_account(&cluster).await;
    let pods = cluster.admin().pods();
    pods.create("default", pod("p")).await.expect("create");
    let node = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z"}}});
    cluster.admin().nodes().create("", node).await.expect("node");
    let binding = |node: &str| json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    pods.create_sub("default", "p", "binding", binding("n1")).await.expect("bind");
    let bound = pods.get("default", "p").await.expect("get");
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(meta::label(&bound, "topology.kubernetes.io/zone"), Some("z"));
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let (code, text) = failure(pods.create_sub("default", "p", "binding", binding("n2")).await);
    assert_eq!(code, 409);
    assert!(text.ends_with("pod p is already assigned to node \"n1\""), "{text}");
    let (code, text) = failure(pods.create_sub("default", "p", "binding", binding("")).await);
    assert_eq!((code, text.contains("target.name: Required value")), (422, true));
}

#[tokio::test]
async fn service_addresses_are_claimed_once() {
    let cluster = Cluster::new().await;
    let services = cluster.admin().resource("", "v1", "services");
    let kubernetes = services.get("default", "kubernetes").await.expect("get");
    assert_eq!(kubernetes["spec"]["clusterIP"], "10.96.0.1");
    let service = |name: &str, spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    let ports = json!([{"port": 80, "protocol": "TCP"}]);
    let node_port = json!({"type": "NodePort", "ports": ports, "selector": {"a": "b"}});
    let made = services.create("default", service("a", node_port)).await.expect("create");
    let (address, port) = (made["spec"]["clusterIP"].clone(), made["spec"]["ports"][0]["nodePort"].clone());
    assert!((30000..=32767).contains(&port.as_i64().expect("a port")));
    let same = json!({"clusterIP": address, "ports": ports});
    let (code, text) = failure(services.create("default", service("b", same.clone())).await);
    assert_eq!(code, 422);
    assert!(text.contains("provided IP is already allocated"), "{text}");
    // An update that leaves the allocations out keeps them.
    let update = service("a", json!({"type": "NodePort", "ports": ports, "selector": {"a": "c"}}));
    let kept = services.update("default", "a", "", update).await.expect("update");
    assert_eq!((&kept["spec"]["clusterIP"], &kept["spec"]["ports"][0]["nodePort"]), (&address, &port));
    services.delete("default", "a", Options::default()).await.expect("delete");
    services.create("default", service("b", same)).await.expect("the address is free again");
}

#[tokio::test]
async fn events_are_one_object_in_two_views() {
    let cluster = Cluster::new().await;
    let core = cluster.admin().resource("", "v1", "events");
    let other = cluster.admin().resource("events.k8s.io", "v1", "events");
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}, "message": "m", "count": 2});
    core.create("default", event).await.expect("create");
    let seen = other.get("default", "e").await.expect("get");
    assert_eq!(
        (&seen["note"], &seen["deprecatedCount"], &seen["regarding"]["name"]),
        (&json!("m"), &json!(2), &json!("p"))
    );
    let series = json!({"series": {"count": 5, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}});
    let patched = other.patch(Patch::Merge, "default", "e", "", series).await.expect("patch");
    assert_eq!(patched["apiVersion"], "events.k8s.io/v1");
    assert_eq!(core.get("default", "e").await.expect("get")["series"]["count"], 5);
    assert!(cluster.store.get("/registry/events/default/e").is_some());
}

async fn in_namespace(cluster: &Cluster, labels: Value) -> Resource {
    let admin = cluster.admin();
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": labels}});
    admin.resource("", "v1", "namespaces").create("", namespace).await.expect("namespace");
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    admin.resource("", "v1", "serviceaccounts").create("n", account).await.expect("service account");
    admin.pods()
}

#[tokio::test]
async fn namespaces_enforce_pod_security() {
    let cluster = Cluster::new().await;
    let pods = in_namespace(&cluster, json!({"pod-security.kubernetes.io/enforce": "baseline"})).await;
    let mut bad = pod("p");
    bad["spec"]["hostNetwork"] = true.into();
    let want = "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)";
    assert_eq!(failure(pods.create("n", bad).await), (403, want.into()));
    pods.create("n", pod("p")).await.expect("a plain pod is baseline");
}

#[tokio::test]
async fn limit_ranges_set_defaults_and_bounds() {
    let cluster = Cluster::new().await;
    let pods = in_namespace(&cluster, json!({})).await;
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}, "max": {"cpu": "1"}}]}});
    cluster.admin().resource("", "v1", "limitranges").create("n", range).await.expect("range");
    let made = pods.create("n", pod("p")).await.expect("create");
    assert_eq!(
        made["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}})
    );
    let note = "LimitRanger plugin set: cpu request for container c; cpu limit for container c";
    assert_eq!(meta::annotation(&made, "kubernetes.io/limit-ranger"), Some(note));
    let mut large = pod("q");
    large["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
    let (code, text) = failure(pods.create("n", large).await);
    assert_eq!(
        (code, text.as_str()),
        (403, "pods \"q\" is forbidden: maximum cpu usage per Container is 1, but limit is 2")
    );
}

#[tokio::test]
async fn quotas_hold_also_against_many_at_once() {
    let cluster = Cluster::new().await;
    let pods = in_namespace(&cluster, json!({})).await;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "3"}}});
    cluster.admin().resource("", "v1", "resourcequotas").create("n", quota).await.expect("quota");
    let all = (0..10).map(|n| {
        let pods = pods.clone();
        async move { pods.create("n", pod(&format!("p{n}"))).await.is_ok() }
    });
    let made = futures_util::future::join_all(all).await.into_iter().filter(|made| *made).count();
    assert_eq!(made, 3);
    let want = "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3";
    assert_eq!(failure(pods.create("n", pod("x")).await), (403, want.into()));
}

#[tokio::test]
async fn classes_have_defaults() {
    let cluster = Cluster::new().await;
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "p",
        "metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
    cluster
        .admin()
        .resource("storage.k8s.io", "v1", "storageclasses")
        .create("", class)
        .await
        .expect("class");
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let claims = cluster.admin().resource("", "v1", "persistentvolumeclaims");
    assert_eq!(claims.create("default", claim).await.expect("claim")["spec"]["storageClassName"], "fast");
}

#[tokio::test]
async fn what_is_not_acted_on_is_refused() {
    let cluster = Cluster::new().await;
    let services = cluster.admin().resource("apiregistration.k8s.io", "v1", "apiservices");
    let object = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1.example.com"}, "spec": {"group": "example.com", "version": "v1",
            "groupPriorityMinimum": 1, "versionPriority": 1, "service": {"name": "a", "namespace": "b"}}});
    let (code, text) = failure(services.create("", object).await);
    assert_eq!(
        (code, text.ends_with("aggregated APIs are not served by this version of the API server")),
        (403, true)
    );
}

#[tokio::test]
async fn pods_go_gracefully_and_only_faster() {
    let cluster = Cluster::new().await;
    with_service_account(&cluster).await;
    let pods = cluster.admin().pods();
    let mut bound = pod("p");
    bound["spec"]["nodeName"] = "n1".into();
    let made = pods.create("default", bound).await.expect("create");
    assert_eq!(meta::generation(&made), 1);
    let marked = pods.delete("default", "p", Options::default()).await.expect("delete");
    assert_eq!((meta::deletion_grace_period(&marked), meta::generation(&marked)), (Some(30), 2));
    let again = pods.delete("default", "p", Options::default()).await.expect("delete again");
    assert_eq!(meta::resource_version(&again), meta::resource_version(&marked), "nothing new");
    let shorter =
        pods.delete("default", "p", options(|o| o.grace_period_seconds = Some(5))).await.expect("shorter");
    assert_eq!(meta::deletion_grace_period(&shorter), Some(5));
    assert!(meta::deletion_timestamp(&shorter) < meta::deletion_timestamp(&marked));
    let longer =
        pods.delete("default", "p", options(|o| o.grace_period_seconds = Some(60))).await.expect("longer");
    assert_eq!(meta::deletion_grace_period(&longer), Some(5), "never longer");
    pods.delete("default", "p", options(|o| o.grace_period_seconds = Some(0))).await.expect("now");
    assert_eq!(failure(pods.get("default", "p").await).0, 404);
    pods.create("default", pod("q")).await.expect("create");
    pods.delete("default", "q", Options::default()).await.expect("delete");
    assert_eq!(failure(pods.get("default", "q").await).0, 404, "what runs nowhere goes at once");
}

#[tokio::test]
async fn a_namespace_goes_when_its_finalizers_are_gone() {
    let cluster = Cluster::new().await;
    let namespaces = cluster.admin().resource("", "v1", "namespaces");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    let made = namespaces.create("", namespace).await.expect("create");
    assert_eq!(
        (&made["spec"]["finalizers"], &made["status"]["phase"]),
        (&json!(["kubernetes"]), &json!("Active"))
    );
    let marked = namespaces.delete("", "n", Options::default()).await.expect("delete");
    assert_eq!(marked["status"]["phase"], "Terminating");
    let (code, text) = failure(cluster.config_maps().create("n", config_map("a")).await);
    assert_eq!(code, 403);
    assert!(text.ends_with("unable to create new content in namespace n because it is being terminated"));
    let mut finalized = (*namespaces.get("", "n").await.expect("still there")).clone();
    finalized["spec"]["finalizers"] = json!([]);
    namespaces.update("", "n", "finalize", finalized).await.expect("finalize");
    assert_eq!(failure(namespaces.get("", "n").await).0, 404);
}

#[tokio::test]
async fn status_is_written_by_its_own_endpoint_only() {
    let cluster = Cluster::new().await;
    with_service_account(&cluster).await;
    let pods = cluster.admin().pods();
    let made = pods.create("default", pod("p")).await.expect("create");
    let phase = json!({"status": {"phase": "Running"}, "metadata": {"labels": {"a": "b"}}});
    let main = pods.patch(Patch::Merge, "default", "p", "", phase.clone()).await.expect("patch");
    assert_eq!((&main["status"]["phase"], meta::label(&main, "a")), (&made["status"]["phase"], Some("b")));
    let both =
        json!({"status": {"phase": "Running"}, "spec": {"containers": [{"name": "c", "image": "other"}]}});
    let status = pods.patch(Patch::Strategic, "default", "p", "status", both).await.expect("patch status");
    assert_eq!(
        (&status["status"]["phase"], &status["spec"]["containers"][0]["image"]),
        (&json!("Running"), &json!("i"))
    );
    assert_eq!(meta::generation(&status), 1);
}
