//! kube-rs, the Rust client that others wrote, creates, watches, execs into and deletes a Pod.
//! Needs `--features kube-rs`.

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, DeleteParams, LogParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use testkit::Cluster;
use tokio::io::AsyncReadExt;

#[test]
fn kube_rs_creates_watches_execs_and_deletes() {
    let cluster = Cluster::start("kube-rs", &[]);
    let kubeconfig = Kubeconfig::read_from(cluster.dir().join("admin.kubeconfig")).expect("a kubeconfig");
    cluster.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let config =
                kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
            let client = kube::Client::try_from(config.expect("a configuration")).expect("a client");
            use_kube_rs(Api::default_namespaced(client)).await.expect("kube-rs");
        });
    });
}

async fn use_kube_rs(pods: Api<Pod>) -> kube::Result<()> {
    let container = json!({"name": "app", "image": "minke.local/toolbox", "imagePullPolicy": "IfNotPresent", "args": ["web"]});
    let spec = json!({"containers": [container], "terminationGracePeriodSeconds": 1});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "rust"}, "spec": spec});
    let pod: Pod = serde_json::from_value(pod).expect("a Pod");
    let created = pods.create(&PostParams::default(), &pod).await?;
    let version = created.metadata.resource_version.expect("a resource version");

    let params = WatchParams::default().fields("metadata.name=rust").timeout(30);
    let mut events = pods.watch(&params, &version).await?.boxed();
    let mut phases = Vec::new();
    while let Some(WatchEvent::Modified(pod)) = events.try_next().await? {
        phases.extend(pod.status.and_then(|status| status.phase));
        if phases.last().is_some_and(|phase| phase == "Running") {
            break;
        }
    }
    assert_eq!(phases.last().map(String::as_str), Some("Running"), "{phases:?}");

    let mut session = pods
        .exec("rust", ["/toolbox", "echo", "over websocket"], &AttachParams::default().stderr(false))
        .await?;
    let mut text = String::new();
    session.stdout().expect("attached").read_to_string(&mut text).await.expect("readable");
    assert_eq!(text, "over websocket\n");
    let status = session.take_status().expect("a status").await.expect("an end");
    assert_eq!(status.status.as_deref(), Some("Success"), "{status:?}");
    assert!(pods.logs("rust", &LogParams::default()).await?.contains("serving on port 8080"));

    pods.delete("rust", &DeleteParams::default()).await?;
    while let Some(event) = events.try_next().await? {
        if matches!(event, WatchEvent::Deleted(_)) {
            break;
        }
    }
    assert!(pods.get_opt("rust").await?.is_none());
    Ok(())
}
