//! The API server from outside: typed requests in this process, and HTTPS.

mod access;
mod apply;
mod connect;
mod conversion;
mod custom_resources;
mod https;
mod objects;
mod policies;
mod surface;
mod watching;
mod webhooks;

use apimachinery::Status;
use apiserver::{ApiServer, Config, Handle};
use client::{Client, Options, Resource, UserInfo};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{Memory, Store};

pub struct Cluster {
    pub handle: Handle,
    pub store: Arc<Store>,
}

impl Cluster {
    pub async fn new() -> Cluster {
        Cluster::with(Config { listen: None, ..Config::default() }).await
    }

    pub async fn with(config: Config) -> Cluster {
        let env = env::Env::system();
        let clock_env = env.clone();
        let clock: store::Clock = Arc::new(move || clock_env.now().as_millisecond());
        let store = Store::new(Memory::new(clock.clone()), clock).expect("store");
        let handle = ApiServer::start(config, store.clone(), env).await.expect("start");
        Cluster { handle, store }
    }

    pub fn user(&self, name: &str, groups: &[&str]) -> Client {
        Client::new(self.handle.transport_for(UserInfo::new(name, groups)), "test")
    }

    pub fn admin(&self) -> Client {
        self.user("admin", &["system:masters"])
    }

    pub fn config_maps(&self) -> Resource {
        self.admin().resource("", "v1", "configmaps")
    }
}

pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": "1"}})
}

pub fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

pub async fn with_service_account(cluster: &Cluster) {
    let accounts = cluster.admin().resource("", "v1", "serviceaccounts");
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    accounts.create("default", account).await.expect("service account");
}

#[track_caller]
pub fn failure<T>(result: Result<T, Box<Status>>) -> (u16, String) {
    match result {
        Ok(_) => panic!("it should have failed"),
        Err(status) => (status.code, status.message),
    }
}

pub fn options(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    change(&mut options);
    options
}
