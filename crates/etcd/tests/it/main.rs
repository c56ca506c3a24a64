//! The store's suite on real etcd clusters, and what only etcd does: members that die, history that is
//! cut, others that write beside us, several API servers. Needs `etcd` (`cargo xtask prepare`).

mod cluster;

use std::sync::Arc;
use std::time::Duration;

use env::Env;
use etcd::{Config, Etcd, TlsFiles};
use store::{Clock, Store};
use testkit::etcd::Etcd as Cluster;

pub fn clock(env: &Env) -> Clock {
    let env = env.clone();
    Arc::new(move || env.now().as_millisecond())
}

pub fn config(cluster: &Cluster) -> Config {
    let mut config = Config::new(cluster.endpoints());
    config.root = "/".into();
    if cluster.tls {
        config.tls = TlsFiles {
            ca: Some(cluster.file("ca.crt")),
            certificate: Some(cluster.file("client.crt")),
            key: Some(cluster.file("client.key")),
        };
    }
    config
}

pub async fn open(config: Config) -> Arc<Store> {
    let env = Env::system();
    let authority = Etcd::open(&env, config).await.expect("etcd answers");
    Store::new(authority, clock(&env)).expect("connect")
}

/// Waits for a condition, at most 20 s.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_passes_the_suite() {
    store::suite::run(async || {
        let cluster = Cluster::start(1, false);
        (open(config(&cluster)).await, cluster)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_with_tls_pass_the_suite() {
    store::suite::run(async || {
        let cluster = Cluster::start(3, true);
        (open(config(&cluster)).await, cluster)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_expire_by_lease() {
    let cluster = Cluster::start(1, false);
    store::suite::expiry(open(config(&cluster)).await, |_| {}).await;
}
