//! The example of the crate's documentation, and what a test may rely on.

use std::time::Duration;

use client::{Https, Kubeconfig};
use env::Env;
use minke_testcluster::{Options, TestCluster};
use serde_json::json;

async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_for_one_test() {
    let cluster = TestCluster::start().await.expect("started");
    let client = cluster.client("my-controller", &["system:masters"]);
    let account = client.resource("", "v1", "serviceaccounts");
    until("controllers run", async || account.get_opt("default", "default").await.ok().flatten()).await;
    let leases = client.resource("coordination.k8s.io", "v1", "leases");
    for name in ["kube-scheduler", "kube-controller-manager"] {
        until("it shows who leads", async || leases.get_opt("kube-system", name).await.ok().flatten()).await;
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    client.pods().create("default", pod).await.expect("created");
    until("the scheduler has its say", async || {
        let pod = client.pods().get("default", "p").await.ok()?;
        pod["status"]["conditions"].as_array()?.iter().any(|c| c["reason"] == "Unschedulable").then_some(())
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_side_by_side_over_https_and_one_again() {
    let dir = std::env::temp_dir().join(format!("minke-testcluster-{}", std::process::id()));
    let options = Options { data_dir: Some(dir.clone()), controllers: false };
    let (first, second) = (TestCluster::with(options.clone()).await, TestCluster::start().await);
    let (first, second) = (first.expect("started"), second.expect("started"));
    assert_ne!(first.url(), second.url());
    let file = dir.join("kubeconfig");
    std::fs::write(&file, first.kubeconfig()).expect("writable");
    let config = Kubeconfig::read(&file, None).expect("a kubeconfig");
    let https = std::sync::Arc::new(Https::new(&Env::system(), &config).expect("a server"));
    let maps = client::Client::new(https, "test").resource("", "v1", "configmaps");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    maps.create("default", map).await.expect("created");
    let other = second.client("nobody", &[]).resource("", "v1", "configmaps");
    assert_eq!(other.get("default", "m").await.expect_err("RBAC").code, 403);
    first.stop().await;
    let again = TestCluster::with(options).await.expect("the directory is free");
    let maps = again.client("admin", &["system:masters"]).resource("", "v1", "configmaps");
    maps.get("default", "m").await.expect("kept");
    again.stop().await;
    std::fs::remove_dir_all(dir).expect("removed");
}
