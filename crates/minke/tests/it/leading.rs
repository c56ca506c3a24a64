//! What several servers decide together: who leads, and which endpoints there are.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use apiserver::{ApiServer, Config, Handle};
use client::{Client, UserInfo};
use env::Env;
use serde_json::Value;
use testkit::etcd::Etcd;

use crate::servers::Servers;

async fn until<T>(env: &Env, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            env.sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}

async fn holder(client: &Client, name: &str) -> Option<String> {
    let leases = client.resource("coordination.k8s.io", "v1", "leases");
    let lease = leases.get("kube-system", name).await.ok()?;
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_string)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_leads_and_the_next_goes_on() {
    let env = Env::system();
    let mut servers = env.spawn_blocking(|| Servers::start(1, 2)).await.expect("started");
    let client = servers.client(&env, 1);
    let mut first = Vec::new();
    for name in ["kube-scheduler", "kube-controller-manager"] {
        first.push(until(&env, "somebody leads", async || holder(&client, name).await).await);
    }
    // The first server was there alone: it leads both. It ends in order and leaves them at once.
    servers.end(0);
    for (name, before) in ["kube-scheduler", "kube-controller-manager"].iter().zip(&first) {
        let next = async || holder(&client, name).await.filter(|now| now != before);
        until(&env, "the other one leads", next).await;
    }
    let namespaces = client.resource("", "v1", "namespaces");
    let namespace =
        serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "later"}});
    namespaces.create("", namespace).await.expect("created");
    let accounts = client.resource("", "v1", "serviceaccounts");
    until(&env, "its controllers work", async || accounts.get_opt("later", "default").await.ok()?).await;
}

async fn server(env: &Env, etcd: &Etcd, pki: &std::path::Path, last: u8) -> Handle {
    let authority = etcd::Etcd::open(env, etcd::Config::new(etcd.endpoints())).await.expect("etcd answers");
    let clock_env = env.clone();
    let clock: store::Clock = Arc::new(move || clock_env.now().as_millisecond());
    let store = store::Store::new(authority, clock).expect("connect");
    let advertise = IpAddr::from(Ipv4Addr::new(192, 0, 2, last));
    // Without a socket: what counts is what it says of itself.
    let config = Config { listen: None, advertise, pki: Some(pki.into()), ..Config::default() };
    ApiServer::start(config, store, env.clone()).await.expect("started")
}

/// The addresses in a list of an object.
fn addresses(list: &Value, address: impl Fn(&Value) -> &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|item| address(item).as_str().map(str::to_string)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_servers_are_endpoints_until_they_end() {
    let env = Env::system();
    let etcd = Etcd::start(1, false);
    let pki = etcd.file("pki");
    let first = server(&env, &etcd, &pki, 1).await;
    let second = server(&env, &etcd, &pki, 2).await;
    let client = Client::new(first.transport_for(UserInfo::new("admin", &["system:masters"])), "test");
    let both = ["192.0.2.1", "192.0.2.2"];
    let seen = async |client: &Client| {
        let endpoints =
            client.resource("", "v1", "endpoints").get("default", "kubernetes").await.expect("there");
        let slices = client.resource("discovery.k8s.io", "v1", "endpointslices");
        let slice = slices.get("default", "kubernetes").await.expect("there");
        let old = addresses(&endpoints["subsets"][0]["addresses"], |item| &item["ip"]);
        let new = addresses(&slice["endpoints"], |item| &item["addresses"][0]);
        assert_eq!(old, new);
        old
    };
    assert_eq!(seen(&client).await, both);
    second.stop().await;
    assert_eq!(seen(&client).await, both[..1]);
    first.stop().await;
}
