//! Admission webhooks as clients see them, called over TLS.

pub mod server;

use super::https::Https;
use super::*;
use client::{Patch, Request, Response, Verb};
use hyper::Method;
use server::{Reply, Webhook, allow, deny, patch};
use std::sync::atomic::{AtomicUsize, Ordering};

fn rule(operations: &[&str], groups: &[&str], resources: &[&str]) -> Value {
    json!({"operations": operations, "apiGroups": groups, "apiVersions": ["*"], "resources": resources})
}

/// A webhook of a configuration; `more` replaces or adds fields.
fn hook(name: &str, webhook: &Webhook, more: Value) -> Value {
    let mut hook = json!({"name": name, "clientConfig": webhook.client(), "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "rules": [rule(&["*"], &[""], &["configmaps"])]});
    let fields = more.as_object().cloned().unwrap_or_default();
    hook.as_object_mut().expect("a map").extend(fields);
    hook
}

async fn configure(cluster: &Cluster, kind: &str, name: &str, hooks: Vec<Value>) {
    let resource = format!("{}webhookconfigurations", kind.to_lowercase());
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": format!("{kind}WebhookConfiguration"), "metadata": {"name": name}, "webhooks": hooks});
    let configurations = cluster.admin().resource("admissionregistration.k8s.io", "v1", &resource);
    configurations.create("", configuration).await.expect("configuration");
}

async fn send(
    cluster: &Cluster,
    verb: Verb,
    name: &str,
    body: Option<Value>,
    change: impl FnOnce(&mut Request),
) -> Result<Response, Box<Status>> {
    let client = cluster.admin();
    let mut request = client.resource("", "v1", "configmaps").request(verb, "default", name);
    request.body = body;
    change(&mut request);
    client.transport().call(request).await
}

async fn create(cluster: &Cluster, name: &str) -> Result<Response, Box<Status>> {
    send(cluster, Verb::Create, "", Some(config_map(name)), |_| {}).await
}

#[tokio::test]
async fn objects_are_mutated_validated_and_stored_as_mutated() {
    let cluster = Cluster::new().await;
    let mutating = Webhook::start(|request| match request["operation"].as_str() {
        Some("CREATE") => patch(json!([
            {"op": "add", "path": "/data/added", "value": "yes"},
            {"op": "add", "path": "/metadata/labels", "value": {"by": "webhook"}},
        ])),
        _ => allow(),
    })
    .await;
    let validating = Webhook::start(|request| match request["object"]["data"]["bad"].as_str() {
        None => Reply::Response(json!({"allowed": true, "warnings": ["mind the gap"]})),
        Some(_) => deny("bad data"),
    })
    .await;
    configure(&cluster, "Mutating", "m", vec![hook("m.example.com", &mutating, json!({}))]).await;
    configure(&cluster, "Validating", "v", vec![hook("v.example.com", &validating, json!({}))]).await;

    let made = create(&cluster, "a").await.expect("create");
    assert_eq!(made.object["data"], json!({"x": "1", "added": "yes"}));
    assert_eq!(made.warnings, ["mind the gap"]);
    let stored = cluster.config_maps().get("default", "a").await.expect("get");
    assert_eq!(stored["metadata"]["labels"], json!({"by": "webhook"}));
    // Nobody owns what a webhook adds.
    let entries = stored["metadata"]["managedFields"].as_array().expect("entries");
    assert_eq!(entries[0]["fieldsV1"], json!({"f:data": {".": {}, "f:x": {}}}));

    // Mutating ones see what was sent, validating ones what will be stored.
    let first = &mutating.asked()[0];
    assert_eq!(first["object"]["data"], json!({"x": "1"}));
    assert_eq!(first["object"]["metadata"].get("uid"), None);
    assert_eq!(first["oldObject"], Value::Null);
    assert_eq!(first["uri"], "/review?timeout=10s");
    assert_eq!((&first["name"], &first["namespace"]), (&json!("a"), &json!("default")));
    assert_eq!(first["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!(first["userInfo"]["username"], "admin");
    assert_eq!(first["options"]["kind"], "CreateOptions");
    let seen = &validating.asked()[0];
    assert_eq!(seen["object"]["data"]["added"], "yes");
    assert!(seen["object"]["metadata"]["uid"].is_string());

    let bad = json!({"data": {"bad": "1"}});
    let refused = send(&cluster, Verb::Patch(Patch::Merge), "a", Some(bad), |_| {}).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (403, "admission webhook \"v.example.com\" denied the request: bad data")
    );
    let last = validating.asked().pop().expect("asked");
    assert_eq!(
        (last["operation"].as_str(), &last["options"]["kind"]),
        (Some("UPDATE"), &json!("UpdateOptions"))
    );
    assert_eq!(last["oldObject"]["data"]["added"], "yes");
    // One connection carries all of them.
    assert_eq!((mutating.connections(), validating.connections()), (1, 1));
}

#[tokio::test]
async fn deletions_collections_and_subresources_are_reviewed() {
    let cluster = Cluster::new().await;
    let webhook = Webhook::start(|request| match request["oldObject"]["metadata"]["name"].as_str() {
        Some("kept") if request["operation"] == "DELETE" => deny("kept"),
        _ => allow(),
    })
    .await;
    let rules = json!({"rules": [rule(&["DELETE"], &[""], &["configmaps"]), rule(&["*"], &["*"], &["*/*"])]});
    configure(&cluster, "Validating", "v", vec![hook("v.example.com", &webhook, rules)]).await;
    for name in ["kept", "gone"] {
        create(&cluster, name).await.expect("create");
    }
    let refused = send(&cluster, Verb::Delete, "kept", None, |_| {}).await;
    let text = "admission webhook \"v.example.com\" denied the request: kept";
    assert_eq!(failure(refused), (403, text.into()));
    let asked = webhook.asked().pop().expect("asked");
    assert_eq!((&asked["object"], &asked["name"]), (&Value::Null, &json!("kept")));
    assert_eq!(asked["options"]["kind"], "DeleteOptions");
    let gone = cluster.admin().resource("", "v1", "configmaps");
    let mut request = gone.request(Verb::DeleteCollection, "default", "");
    request.options.label_selector = "none=such".into();
    cluster.admin().transport().call(request).await.expect("nothing to delete");
    let request = gone.request(Verb::DeleteCollection, "default", "");
    assert_eq!(failure(cluster.admin().transport().call(request).await), (403, text.into()));
    assert!(gone.get("default", "gone").await.is_err(), "it came first and was not kept");
    assert_eq!(webhook.asked().pop().expect("asked").get("name"), None);

    with_service_account(&cluster).await;
    let pods = cluster.admin().resource("", "v1", "pods");
    pods.create("default", pod("p")).await.expect("pod");
    let mut binding = pods.request(Verb::Create, "default", "p");
    binding.subresource = "binding".into();
    binding.body = Some(json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n"}}));
    cluster.admin().transport().call(binding).await.expect("binding");
    let asked = webhook.asked().pop().expect("asked");
    assert_eq!((&asked["subResource"], &asked["kind"]["kind"]), (&json!("binding"), &json!("Binding")));
    assert_eq!(asked["object"]["target"]["name"], "n");
    let mut token =
        cluster.admin().resource("", "v1", "serviceaccounts").request(Verb::Create, "default", "default");
    token.subresource = "token".into();
    token.body = Some(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}));
    cluster.admin().transport().call(token).await.expect("token");
    assert_eq!(webhook.asked().pop().expect("asked")["kind"]["kind"], "TokenRequest");
}

#[tokio::test]
async fn scales_are_reviewed_as_scales() {
    let cluster = Cluster::new().await;
    let webhook =
        Webhook::start(|_| patch(json!([{"op": "replace", "path": "/spec/replicas", "value": 7}]))).await;
    let rules = json!({"rules": [rule(&["UPDATE"], &["apps"], &["deployments/scale"])]});
    configure(&cluster, "Mutating", "m", vec![hook("m.example.com", &webhook, rules)]).await;
    let deployments = cluster.admin().resource("apps", "v1", "deployments");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    deployments.create("default", deployment).await.expect("deployment");
    let mut scale = deployments.request(Verb::Patch(Patch::Merge), "default", "d");
    scale.subresource = "scale".into();
    scale.body = Some(json!({"spec": {"replicas": 3}}));
    cluster.admin().transport().call(scale).await.expect("scale");
    assert_eq!(deployments.get("default", "d").await.expect("get")["spec"]["replicas"], 7);
    let asked = webhook.asked().pop().expect("asked");
    assert_eq!(asked["kind"], json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}));
    assert_eq!(
        (&asked["object"]["spec"]["replicas"], &asked["oldObject"]["spec"]["replicas"]),
        (&json!(3), &json!(1))
    );
}

#[tokio::test]
async fn failures_are_judged_by_policy_in_upstreams_words() {
    let cluster = Cluster::new().await;
    let webhook = Webhook::start(|request| match request["name"].as_str() {
        Some("hangs") => Reply::Never,
        Some("breaks") => Reply::Raw(500, "boom"),
        Some("missing") => Reply::Raw(404, ""),
        Some("empty") => Reply::Raw(200, "{}"),
        Some("patches") => patch(json!([])),
        Some("silent") => Reply::Response(json!({"allowed": false})),
        _ => allow(),
    })
    .await;
    let port = webhook.address.port();
    let closing = json!({"timeoutSeconds": 1, "failurePolicy": "Fail"});
    configure(&cluster, "Validating", "v", vec![hook("v.example.com", &webhook, closing)]).await;
    let internal =
        |text: &str| format!("Internal error occurred: failed calling webhook \"v.example.com\": {text}");
    for (name, code, text) in [
        (
            "hangs",
            500,
            internal(&format!(
                "failed to call webhook: Post \"https://localhost:{port}/review?timeout=1s\": context deadline exceeded"
            )),
        ),
        (
            "breaks",
            500,
            internal(
                "failed to call webhook: an error on the server (\"boom\") has prevented the request from succeeding",
            ),
        ),
        (
            "missing",
            500,
            internal("failed to call webhook: the server could not find the requested resource"),
        ),
        ("empty", 500, internal("received invalid webhook response: webhook response was absent")),
        (
            "patches",
            500,
            internal("received invalid webhook response: validating webhook may not return response.patch"),
        ),
        ("silent", 400, "admission webhook \"v.example.com\" denied the request without explanation".into()),
    ] {
        assert_eq!(failure(create(&cluster, name).await), (code, text), "{name}");
    }
    create(&cluster, "fine").await.expect("create");

    // The same failures of one that may fail are nobody's concern.
    let cluster = Cluster::new().await;
    let opening = json!({"timeoutSeconds": 1, "failurePolicy": "Ignore"});
    configure(&cluster, "Validating", "v", vec![hook("v.example.com", &webhook, opening.clone())]).await;
    configure(&cluster, "Mutating", "m", vec![hook("m.example.com", &webhook, opening)]).await;
    for name in ["breaks", "missing", "empty"] {
        create(&cluster, name).await.expect(name);
    }
    assert!(create(&cluster, "silent").await.is_err(), "a refusal is not a failure");
}

#[tokio::test]
async fn who_is_not_to_be_trusted_or_found_is_not_called() {
    let webhook = Webhook::start(|_| allow()).await;
    let stranger = Webhook::named(&["stranger.example.com"], |_| allow()).await;
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        listener.local_addr().expect("address").port()
    };
    let mut unknown = webhook.client();
    unknown["caBundle"] = stranger.client()["caBundle"].clone();
    let mut refused = webhook.client();
    refused["url"] = format!("https://127.0.0.1:{closed}/review").into();
    let service = json!({"service": {"namespace": "default", "name": "hook", "path": "/review"}});
    let port = webhook.address.port();
    for (client, text) in [
        (
            unknown,
            format!(
                "Post \"https://localhost:{port}/review?timeout=10s\": tls: failed to verify certificate: x509: certificate signed by unknown authority"
            ),
        ),
        (
            stranger.client(),
            format!(
                "Post \"https://localhost:{}/review?timeout=10s\": tls: failed to verify certificate: x509: certificate is valid for stranger.example.com, not localhost",
                stranger.address.port()
            ),
        ),
        (
            refused,
            format!(
                "Post \"https://127.0.0.1:{closed}/review?timeout=10s\": dial tcp 127.0.0.1:{closed}: connect: connection refused"
            ),
        ),
        (
            service,
            "Post \"https://hook.default.svc:443/review?timeout=10s\": service \"hook\" not found".into(),
        ),
    ] {
        let cluster = Cluster::new().await;
        let hooks = vec![hook("v.example.com", &webhook, json!({"clientConfig": client}))];
        configure(&cluster, "Validating", "v", hooks).await;
        let text = format!(
            "Internal error occurred: failed calling webhook \"v.example.com\": failed to call webhook: {text}"
        );
        assert_eq!(failure(create(&cluster, "a").await), (500, text));
    }
    assert!(webhook.asked().is_empty() && stranger.asked().is_empty());
}

#[tokio::test]
async fn services_lead_to_the_pods_behind_them() {
    let cluster = Cluster::new().await;
    with_service_account(&cluster).await;
    let webhook = Webhook::start(|_| deny("found")).await;
    let services = cluster.admin().resource("", "v1", "services");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"}, "spec": {
        "selector": {"app": "hook"}, "ports": [{"port": 443, "targetPort": "https"}]}});
    let service = services.create("default", service).await.expect("service");
    let client = json!({"service": {"namespace": "default", "name": "hook", "path": "/x"},
        "caBundle": webhook.client()["caBundle"]});
    let hooks = vec![hook("v.example.com", &webhook, json!({"clientConfig": client}))];
    configure(&cluster, "Validating", "v", hooks).await;
    let ip = service["spec"]["clusterIP"].as_str().expect("address").to_owned();
    let refused = format!(
        "Internal error occurred: failed calling webhook \"v.example.com\": failed to call webhook: Post \"https://hook.default.svc:443/x?timeout=10s\": dial tcp {ip}:443: connect: connection refused"
    );
    assert_eq!(failure(create(&cluster, "a").await), (500, refused));

    let pods = cluster.admin().resource("", "v1", "pods");
    let mut pod = pod("hook");
    pod["metadata"]["labels"] = json!({"app": "hook"});
    pod["spec"]["containers"][0]["ports"] =
        json!([{"name": "https", "containerPort": webhook.address.port()}]);
    pods.create("default", pod).await.expect("pod");
    let mut status = pods.request(Verb::Patch(Patch::Merge), "default", "hook");
    status.subresource = "status".into();
    status.body = Some(json!({"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True"}]}}));
    cluster.admin().transport().call(status).await.expect("status");
    let text = "admission webhook \"v.example.com\" denied the request: found";
    assert_eq!(failure(create(&cluster, "a").await), (403, text.into()));
    assert_eq!(webhook.asked()[0]["uri"], "/x?timeout=10s");
}

#[tokio::test]
async fn webhooks_are_asked_again_once_if_something_changed_after_them() {
    let cluster = Cluster::new().await;
    let counted = |operations: fn(usize) -> Value| {
        let count = AtomicUsize::new(0);
        move |_: &Value| match operations(count.fetch_add(1, Ordering::SeqCst)) {
            Value::Null => allow(),
            operations => patch(operations),
        }
    };
    let first = Webhook::start(counted(|_| Value::Null)).await;
    let never = Webhook::start(counted(|_| Value::Null)).await;
    let changing =
        Webhook::start(counted(|n| json!([{"op": "add", "path": "/data/n", "value": n.to_string()}]))).await;
    let again = json!({"reinvocationPolicy": "IfNeeded"});
    configure(
        &cluster,
        "Mutating",
        "a",
        vec![hook("first.example.com", &first, again.clone()), hook("never.example.com", &never, json!({}))],
    )
    .await;
    configure(&cluster, "Mutating", "b", vec![hook("changing.example.com", &changing, again)]).await;
    let made = create(&cluster, "a").await.expect("create");
    assert_eq!((first.asked().len(), never.asked().len(), changing.asked().len()), (2, 1, 1));
    assert_eq!(first.asked()[1]["object"]["data"]["n"], "0");
    assert_eq!(made.object["data"]["n"], "0");
}

#[tokio::test]
async fn rules_selectors_conditions_and_dry_runs_exempt() {
    let cluster = Cluster::new().await;
    let webhook = Webhook::start(|_| deny("asked")).await;
    let condition = |expression: &str| json!([{"name": "c", "expression": expression}]);
    configure(&cluster, "Validating", "v", vec![
        hook("objects.example.com", &webhook, json!({"objectSelector": {"matchLabels": {"a": "b"}}})),
        hook("namespaces.example.com", &webhook, json!({"namespaceSelector": {"matchLabels": {"a": "b"}}})),
        hook("others.example.com", &webhook, json!({"rules": [rule(&["*"], &["apps"], &["*"])]})),
        hook("conditions.example.com", &webhook, json!({"matchConditions":
            condition("request.userInfo.username == 'nobody' || object.data.x == '2'")})),
        hook("all.example.com", &webhook, json!({"sideEffects": "None",
            "matchConditions": condition("authorizer.requestResource.check('fly').allowed() && has(object.data.fly)")})),
    ])
    .await;
    create(&cluster, "a").await.expect("nobody is asked");
    assert!(webhook.asked().is_empty());
    let mut other = config_map("b");
    other["data"]["x"] = "2".into();
    let text = "admission webhook \"conditions.example.com\" denied the request: asked";
    assert_eq!(failure(send(&cluster, Verb::Create, "", Some(other), |_| {}).await), (403, text.into()));
    let mut other = config_map("b");
    other["data"] = json!({});
    let text = "configmaps \"b\" is forbidden: expression 'request.userInfo.username == 'nobody' || object.data.x == '2'' resulted in error: no such key: data";
    assert_eq!(failure(send(&cluster, Verb::Create, "", Some(other), |_| {}).await), (403, text.into()));

    let cluster = Cluster::new().await;
    configure(&cluster, "Validating", "v", vec![hook("v.example.com", &webhook, json!({}))]).await;
    let dry = |request: &mut Request| request.options.dry_run = vec!["All".into()];
    let refused = send(&cluster, Verb::Create, "", Some(config_map("a")), dry).await;
    assert_eq!(failure(refused).1, "admission webhook \"v.example.com\" denied the request: asked");
    assert_eq!(webhook.asked().pop().expect("asked")["dryRun"], true);
    // Configurations are never judged by what they configure.
    let all = json!({"rules": [rule(&["*"], &["*"], &["*/*"])]});
    configure(&cluster, "Validating", "w", vec![hook("w.example.com", &webhook, all)]).await;
    configure(&cluster, "Mutating", "x", vec![hook("x.example.com", &webhook, json!({}))]).await;
    let configurations =
        cluster.admin().resource("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
    for name in ["v", "w"] {
        let request = configurations.request(Verb::Delete, "", name);
        cluster.admin().transport().call(request).await.expect("delete");
    }
}

#[tokio::test]
async fn other_versions_of_what_is_asked_are_concerned() {
    let cluster = Cluster::new().await;
    let webhook = Webhook::start(|_| {
        patch(json!([{"op": "replace", "path": "/spec/targetCPUUtilizationPercentage", "value": 55}]))
    })
    .await;
    let rules = json!([{"operations": ["CREATE"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"],
        "resources": ["horizontalpodautoscalers"]}]);
    configure(&cluster, "Mutating", "m", vec![hook("m.example.com", &webhook, json!({"rules": rules}))])
        .await;
    let scalers = cluster.admin().resource("autoscaling", "v2", "horizontalpodautoscalers");
    let metric = json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 80}}});
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "metrics": [metric],
        "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}});
    let made = scalers.create("default", scaler).await.expect("scaler");
    assert_eq!(made["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 55);
    let asked = &webhook.asked()[0];
    assert_eq!((&asked["kind"]["version"], &asked["requestKind"]["version"]), (&json!("v1"), &json!("v2")));
    assert_eq!(asked["object"]["spec"]["targetCPUUtilizationPercentage"], 80);
}

#[tokio::test]
async fn connections_are_reviewed_and_refusals_carry_warnings() {
    let cluster = Cluster::with(Config::default()).await;
    with_service_account(&cluster).await;
    let webhook = Webhook::start(|_| {
        Reply::Response(
            json!({"allowed": false, "warnings": ["be careful"], "status": {"message": "no shells"}}),
        )
    })
    .await;
    let rules = json!({"rules": [rule(&["CONNECT"], &[""], &["pods/exec"]), rule(&["CREATE"], &[""], &["configmaps"])]});
    configure(&cluster, "Validating", "v", vec![hook("v.example.com", &webhook, rules)]).await;
    cluster.admin().resource("", "v1", "pods").create("default", pod("p")).await.expect("pod");
    let admin = Https::new(&cluster.handle, Some(("admin", &["system:masters"])));
    let path = "/api/v1/namespaces/default/pods/p/exec?command=sh&command=-c&stdin=true&container=c";
    let (code, _, status) = admin.json(Method::POST, path, &[], "").await;
    let text = "admission webhook \"v.example.com\" denied the request: no shells";
    assert_eq!((code, status["message"].as_str()), (400, Some(text)));
    let asked = webhook.asked().pop().expect("asked");
    assert_eq!((&asked["operation"], &asked["options"]), (&json!("CONNECT"), &Value::Null));
    assert_eq!(asked["kind"]["kind"], "PodExecOptions");
    let options = json!({"kind": "PodExecOptions", "apiVersion": "v1", "stdin": true, "stdout": true, "stderr": true,
        "container": "c", "command": ["sh", "-c"]});
    assert_eq!(asked["object"], options);

    let body = config_map("a").to_string();
    let json = [("content-type", "application/json")];
    let refused = admin.send(Method::POST, "/api/v1/namespaces/default/configmaps", &json, body).await;
    assert_eq!(refused.status().as_u16(), 400);
    assert_eq!(refused.headers()["warning"], "299 - \"be careful\"");
}
