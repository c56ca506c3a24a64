//! Conversion webhooks: a server that converts, one that does not, and what clients see of either.

use super::*;
use apimachinery::meta;
use client::{Patch, WatchEvent};
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

const DEADLINE: Duration = Duration::from_secs(10);

/// Makes an answer of the request in a review.
type Convert = fn(&Value) -> Value;

struct Webhook {
    url: String,
    bundle: String,
    calls: Arc<AtomicUsize>,
}

impl Webhook {
    async fn start(convert: Convert) -> Webhook {
        use base64::Engine;
        let (acceptor, pem) = webhooks::server::tls(&["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let port = listener.local_addr().expect("address").port();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let env = env::Env::system();
        let inner = env.clone();
        env.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counted) = (acceptor.clone(), counted.clone());
                inner.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                        counted.fetch_add(1, Ordering::SeqCst);
                        async move {
                            let body = request.into_body().collect().await.expect("body").to_bytes();
                            let review: Value = serde_json::from_slice(&body).expect("JSON");
                            let response = convert(&review["request"]);
                            let answer = json!({"kind": "ConversionReview", "apiVersion": review["apiVersion"], "response": response});
                            Ok::<_, Infallible>(hyper::Response::new(Full::new(bytes::Bytes::from(answer.to_string()))))
                        }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ends_with_the_client = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let bundle = base64::engine::general_purpose::STANDARD.encode(pem);
        Webhook { url: format!("https://localhost:{port}/convert"), bundle, calls }
    }
}

/// `spec.color` of v1 is `spec.colour` of v2.
fn spelling(request: &Value) -> Value {
    let wanted = request["desiredAPIVersion"].as_str().expect("a version");
    let (from, to) = if wanted.ends_with("v2") { ("color", "colour") } else { ("colour", "color") };
    let convert = |object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = wanted.into();
        let spec = object["spec"].as_object_mut().expect("a spec");
        if let Some(value) = spec.remove(from) {
            spec.insert(to.into(), value);
        }
        object["metadata"]["labels"] = json!({"converted-to": wanted.rsplit('/').next()});
        object
    };
    let objects: Vec<Value> = request["objects"].as_array().expect("objects").iter().map(convert).collect();
    json!({"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects})
}

fn fails(request: &Value) -> Value {
    json!({"uid": request["uid"], "result": {"status": "Failed", "message": "no colors today"}})
}

fn renames(request: &Value) -> Value {
    let mut answer = spelling(request);
    answer["convertedObjects"][0]["metadata"]["name"] = "other".into();
    answer
}

async fn define(cluster: &Cluster, webhook: &Webhook) -> Resource {
    let version = |name: &str, field: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {field: {"type": "string"}}}}}}})
    };
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [version("v1", "color", true), version("v2", "colour", false)],
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
                "clientConfig": {"url": webhook.url, "caBundle": webhook.bundle}}}}});
    let definitions = cluster.admin().resource("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    definitions.create("", definition).await.expect("create");
    let mut watch = definitions.watch("", Options::default()).await.expect("watch");
    let established = async {
        while let Some(event) = watch.next().await {
            if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event
                && object.to_string().contains("InitialNamesAccepted")
            {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, established).await.expect("in time");
    definitions
}

fn widget(version: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Widget", "metadata": {"name": "a"}, "spec": spec})
}

#[tokio::test]
async fn a_webhook_converts_both_ways() {
    let (cluster, webhook) = (Cluster::new().await, Webhook::start(spelling).await);
    let definitions = define(&cluster, &webhook).await;
    let of = |version: &str| cluster.admin().resource("example.com", version, "widgets");
    let made = of("v2").create("default", widget("v2", json!({"colour": "red"}))).await.expect("create");
    assert_eq!(
        (made["spec"]["colour"].as_str(), meta::label(&made, "converted-to")),
        (Some("red"), Some("v2"))
    );
    let stored = of("v1").get("default", "a").await.expect("get");
    assert_eq!(
        (stored["spec"]["color"].as_str(), meta::label(&stored, "converted-to")),
        (Some("red"), Some("v1"))
    );
    assert_eq!(stored["metadata"]["uid"], made["metadata"]["uid"]);
    let calls = webhook.calls.load(Ordering::SeqCst);
    for _ in 0..3 {
        let listed = of("v2").list("default", options(|o| o.label_selector = "converted-to=v2".into())).await;
        assert_eq!(listed.expect("list").items[0]["spec"]["colour"], "red");
    }
    assert_eq!(webhook.calls.load(Ordering::SeqCst), calls, "what was converted is kept");
    let mut watch = of("v2").watch("default", Options::default()).await.expect("watch");
    assert!(
        matches!(watch.next().await, Some(WatchEvent::Added(object)) if object["spec"]["colour"] == "red")
    );
    let patch = json!({"spec": {"colour": "blue"}});
    let patched = of("v2").patch(Patch::Merge, "default", "a", "", patch.clone()).await.expect("patch");
    assert_eq!(patched["spec"]["colour"], "blue");
    assert!(
        matches!(watch.next().await, Some(WatchEvent::Modified(object)) if object["spec"]["colour"] == "blue")
    );
    let same = of("v2").patch(Patch::Merge, "default", "a", "", patch).await.expect("patch");
    assert_eq!(meta::resource_version(&same), meta::resource_version(&patched), "nothing changed");
    assert_eq!(of("v1").get("default", "a").await.expect("get")["spec"]["color"], "blue");
    // A watch ends with the definition by which it shows objects.
    let patch =
        json!([{"op": "add", "path": "/spec/versions/1/schema/openAPIV3Schema/description", "value": "x"}]);
    definitions.patch(Patch::Json, "", "widgets.example.com", "", patch).await.expect("patch");
    let end = tokio::time::timeout(DEADLINE, watch.next()).await.expect("in time");
    assert!(end.is_none(), "{end:?}");
    of("v2").delete("default", "a", Options::default()).await.expect("delete");
}

#[tokio::test]
async fn failing_webhooks_are_named() {
    for (convert, want) in [
        (fails as Convert, "conversion webhook for example.com/v2, Kind=Widget failed: no colors today"),
        (
            renames,
            "conversion webhook for example.com/v2, Kind=Widget returned invalid object at index 0: must have the same name: a != other",
        ),
    ] {
        let (cluster, webhook) = (Cluster::new().await, Webhook::start(convert).await);
        define(&cluster, &webhook).await;
        let widgets = cluster.admin().resource("example.com", "v2", "widgets");
        let failed = failure(widgets.create("default", widget("v2", json!({}))).await);
        assert_eq!(failed, (500, want.to_owned()));
    }
    let (cluster, mut webhook) = (Cluster::new().await, Webhook::start(spelling).await);
    webhook.url = "https://127.0.0.1:1/x".into();
    define(&cluster, &webhook).await;
    let widgets = cluster.admin().resource("example.com", "v2", "widgets");
    let failed = failure(widgets.create("default", widget("v2", json!({}))).await);
    let want = "conversion webhook for example.com/v2, Kind=Widget failed: Post \"https://127.0.0.1:1/x?timeout=30s\": dial tcp 127.0.0.1:1: connect: connection refused";
    assert_eq!(failed, (500, want.to_owned()));
    let stored = cluster.admin().resource("example.com", "v1", "widgets");
    stored.create("default", widget("v1", json!({}))).await.expect("the stored version needs nobody");
}
