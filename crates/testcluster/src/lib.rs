//! A Kubernetes API for a test, in its own process: what envtest is for, without etcd, without
//! downloads, in a fraction of a second.
//!
//! ```ignore
//! #[tokio::test]
//! async fn my_controller_makes_its_config_map() {
//!     let cluster = minke_testcluster::TestCluster::start().await.unwrap();
//!     // Any client: kube-rs, client-go in a child process, kubectl, through a kubeconfig …
//!     std::fs::write("kubeconfig", cluster.kubeconfig()).unwrap();
//!     // … or the client of this workspace, without a socket in between.
//!     let pods = cluster.client("my-controller", &["system:masters"]).pods();
//!     assert!(pods.list("default", Default::default()).await.unwrap().items.is_empty());
//!     cluster.stop().await;
//! }
//! ```
//!
//! (`tests/example.rs` is this example as a test.) What runs: the API server over TLS on a loopback port
//! of its own, with authentication, RBAC and admission as in a real cluster; the scheduler and every
//! controller there is. What does not: nodes. A Pod stays Pending unless the test binds it and writes its
//! status. Several clusters may run side by side in one process; each ends with its owner.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use apiserver::{ApiServer, Config, Handle};
use client::{Client, UserInfo};
use controller_manager::Leaders;
use env::{Env, Group};
use store::{Clock, Embedded, Memory, Store};

/// How long [`TestCluster::stop`] waits for the last user of the store: a client of this process that is
/// kept holds it.
const RELEASE_WAIT: Duration = Duration::from_secs(5);
const RELEASE_STEP: Duration = Duration::from_millis(1);

/// What is different from the default: everything in memory, all controllers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keep the objects here, durably; a later cluster finds them again. `None`: in memory.
    pub data_dir: Option<PathBuf>,
    /// Run the scheduler and the controllers. Without them namespaces have no default service account,
    /// and namespaces that are deleted stay.
    pub controllers: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { data_dir: None, controllers: true }
    }
}

/// A running cluster. Dropping it ends it; [`TestCluster::stop`] also waits.
pub struct TestCluster {
    api: Option<Handle>,
    leaders: Option<Leaders>,
    tasks: Group,
    env: Env,
    store: Weak<Store>,
    kubeconfig: String,
    address: SocketAddr,
}

impl TestCluster {
    /// Starts one in memory, with all controllers.
    ///
    /// # Errors
    /// One sentence: no port, no directory.
    pub async fn start() -> Result<TestCluster, String> {
        TestCluster::with(Options::default()).await
    }

    /// Starts one. Needs a tokio runtime with time and IO.
    ///
    /// # Errors
    /// As [`TestCluster::start`].
    pub async fn with(options: Options) -> Result<TestCluster, String> {
        let world = Env::system();
        let (env, tasks) = world.group();
        let clock: Clock = {
            let env = env.clone();
            Arc::new(move || env.now().as_millisecond())
        };
        let store = match &options.data_dir {
            None => Store::new(Memory::new(clock.clone()), clock),
            Some(dir) => {
                let fatal = Arc::new(|error: &store::Error| panic!("the store lost its disk: {error}"));
                let authority = Embedded::open(store::embedded::Config::new(dir, clock.clone(), fatal));
                Store::new(authority.map_err(|error| error.to_string())?, clock)
            }
        };
        let store = store.map_err(|error| error.to_string())?;
        let config = Config {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            pki: options.data_dir.as_ref().map(|dir| dir.join("pki")),
            ..Config::default()
        };
        let held = Arc::downgrade(&store);
        let api = ApiServer::start(config, store, env.clone()).await?;
        let address = api.local_addr().ok_or("the API server does not listen")?;
        let kubeconfig = api.kubeconfig("kubernetes-admin", &["system:masters"])?;
        let leaders = options.controllers.then(|| start_controllers(&env, &api));
        Ok(TestCluster { api: Some(api), leaders, tasks, env: world, store: held, kubeconfig, address })
    }

    /// An administrator's kubeconfig (YAML), for any client.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// A client in this process, as any user: authorization and admission are those of that user.
    pub fn client(&self, user: &str, groups: &[&str]) -> Client {
        let api = self.api.as_ref().expect("it is there until it stops");
        Client::new(api.transport_for(UserInfo::new(user, groups)), user)
    }

    /// A kubeconfig for another user, with a certificate of its own.
    ///
    /// # Errors
    /// When the name cannot be in a certificate.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<String, String> {
        self.api.as_ref().expect("it is there until it stops").kubeconfig(user, groups)
    }

    /// Ends it in order; a data directory is free afterwards.
    pub async fn stop(mut self) {
        if let Some(leaders) = self.leaders.take() {
            leaders.resign().await;
        }
        if let Some(api) = self.api.take() {
            api.stop().await;
        }
        self.tasks.end();
        // Tasks that were ended let go of the store when they are next looked at.
        let deadline = self.env.instant() + RELEASE_WAIT;
        while self.store.strong_count() > 0 && self.env.instant() < deadline {
            self.env.sleep(RELEASE_STEP).await;
        }
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        self.tasks.end();
    }
}

fn start_controllers(env: &Env, api: &Handle) -> Leaders {
    let transports = api.transports();
    let client = move |name: &str, groups: &[&str], agent: &str| {
        Client::new(transports.for_user(UserInfo::new(name, groups)), agent)
    };
    let scheduler = client("system:kube-scheduler", &[], "kube-scheduler");
    let informers = client("system:kube-controller-manager", &[], "kube-controller-manager");
    let config = controller_manager::Config {
        ca_pem: api.ca_pem().to_string(),
        identity: format!("testcluster_{}", env.uuid()),
        alone: true,
    };
    let controller = Arc::new(move |name: &str| {
        let user = format!("system:serviceaccount:kube-system:{name}");
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system"];
        client(&user, &groups, "kube-controller-manager")
    });
    controller_manager::start(env, scheduler, informers, controller, config)
}
