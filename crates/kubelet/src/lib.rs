//! Makes the Pods of one node real: Pod workers, status, Node object, node service.
//!
//! The flow of one Pod: [`workers`] watches the Pods bound to this node and runs one [`worker`]
//! each; the worker asks the [`runtime`] what is there, `pod_lifecycle` what to do, does it, and
//! hands the status to its [`publish`]er.

pub mod config;
pub mod container;
pub mod embedded;
pub mod facts;
pub mod images;
pub mod node;
pub mod objects;
pub mod publish;
pub mod pull_records;
mod pull_secrets;
pub mod runtime;
pub mod security;
pub mod server;
pub mod shared;
pub mod tokens;
mod volumes;
pub mod worker;
pub mod workers;

use std::sync::Arc;

use client::{Client, Options, Recorder, Reflector};
use env::Env;
use pod_lifecycle::files::Dns;
use tokio::sync::mpsc;

pub use config::Config;
use facts::Facts;
use images::Images;
use objects::Objects;
use pull_records::PullRecords;
use runtime::PodRuntime;
use shared::Shared;
use workers::Pods;

/// A running kubelet.
pub struct Kubelet {
    pub shared: Shared,
    pub pods: Pods,
}

impl Kubelet {
    /// Registers the node and starts its workers. Returns once the node is registered.
    pub async fn start(
        env: &Env,
        config: Config,
        client: Client,
        runtime: Arc<dyn PodRuntime>,
        tls: &server::Tls,
    ) -> std::io::Result<Kubelet> {
        let address = std::net::SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, config.port));
        let (listener, acceptor) = server::bind(address, tls).await?;
        let port = listener.local_addr()?.port();
        let config = Arc::new(config);
        let recorder = Recorder::start(env, &client, "kubelet", &config.node_name);
        let facts = Facts::read(&config.data_dir);
        let records = PullRecords::open(&config.data_dir.join("image-pulls"))?;
        let present = runtime.images().await.map_err(std::io::Error::other)?;
        records.keep_only(&present.into_iter().map(|image| image.id).collect());
        let (wake, object_events) = mpsc::unbounded_channel();
        let services = keep_services(env, &client).await;
        let shared = Shared {
            env: env.clone(),
            images: Images::new(env, runtime.clone(), recorder.clone(), records),
            objects: Objects::new(env, &client, wake),
            volumes: volume::Volumes::open(&config.data_dir)?,
            tokens: tokens::Tokens::default(),
            services,
            allocatable: Arc::new(facts.capacity(config.max_pods)),
            memory_bytes: facts.memory_bytes,
            host_dns: Arc::new(Dns::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())),
            client: client.clone(),
            recorder: recorder.clone(),
            runtime: runtime.clone(),
            config: config.clone(),
        };
        let pods = Pods::default();
        let node = node::NodeStatus { env: env.clone(), client, recorder, config, facts, runtime, port };
        let object = node.register().await;
        env.spawn(node.run(object));
        let server = server::Server { shared: shared.clone(), pods: pods.clone() };
        env.spawn(server::run(server, listener, acceptor));
        env.spawn(workers::run(shared.clone(), pods.clone(), shared.runtime.events(), object_events));
        Ok(Kubelet { shared, pods })
    }
}

/// A copy of all Services that keeps itself current; returns once it is complete.
async fn keep_services(env: &Env, client: &Client) -> client::Cache {
    let mut reflector = Reflector::start(env, client.resource("", "v1", "services"), "", Options::default());
    let cache = reflector.cache.clone();
    reflector.wait_synced().await;
    env.spawn(async move { while reflector.changes.recv().await.is_some() {} });
    cache
}
