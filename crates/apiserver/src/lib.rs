//! The API server: HTTP, authentication, authorization, admission, registry and one file per verb.
//!
//! Every request, from a socket or from this process, becomes a [`client::Request`] and takes the same
//! path: authentication fixes the user, then authorization, flow control, admission, the registry and
//! the store. No component of a cluster lives here: the composition root brings them together.

mod admission;
mod authn;
mod authz;
mod bootstrap;
mod callout;
mod codec;
mod config;
mod connection_tls;
mod context;
mod convert;
mod custom;
mod decode;
mod discovery;
mod endpoints;
mod fields;
mod flow;
mod handlers;
mod health;
mod http;
mod identity;
pub mod limits;
mod metadata;
mod metrics;
mod openapi;
mod options;
mod registry;
mod resources;
mod reviews;
mod selectors;
mod server;
mod services;
mod subresources;
mod tls;

/// Decoders of what clients send, for fuzzing; not part of the crate's interface.
#[doc(hidden)]
pub mod fuzzing {
    /// Whether a text is a continue token.
    pub fn continue_token(text: &str) -> bool {
        crate::handlers::list::read_token(text)
    }

    /// Whether a text is a query of options.
    pub fn options(query: &str) -> bool {
        crate::http::options_of(query)
    }
}

pub use config::{Config, Range, StaticToken};
pub use tls::{Identity, Pki};

use client::{Transport, UserInfo};
use env::Env;
use server::{Local, Server};
use std::net::SocketAddr;
use std::sync::Arc;
use store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Starts API servers.
pub struct ApiServer;

/// A running API server. Dropping it stops the listener; [`Handle::stop`] also waits for it.
pub struct Handle {
    server: Arc<Server>,
    pki: Arc<Pki>,
    address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl ApiServer {
    /// Opens the certificates, makes what every cluster starts with, and serves.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub async fn start(config: Config, store: Arc<Store>, env: Env) -> Result<Handle, String> {
        let pki = Pki::open(config.pki.as_deref(), &env)?;
        resources::prefixes().for_each(|prefix| store.register(&prefix));
        store.register("/registry/ranges/servicenodeports/");
        store.register("/registry/masterleases/");
        identity::check(&store, &pki, config.pki.as_deref()).await?;
        let signer = authn::tokens::Signer::new(&pki.service_account_key()?)?;
        let server = Arc::new_cyclic(|me| Server {
            me: me.clone(),
            dynamic: admission::Dynamic::new(&store),
            authn: authn::Authn::new(signer, &config.tokens),
            authz: authz::Authorizer { rbac: authz::rbac::Rbac::new(&store) },
            flow: flow::Flow::new(),
            metrics: metrics::Metrics::default(),
            quota: Arc::default(),
            custom: custom::Catalog::new(store.clone()),
            openapi: openapi::Documents::default(),
            store: store.clone(),
            env: env.clone(),
            config: config.clone(),
        });
        let (stop, stopping) = watch::channel(false);
        let mut handle = Handle { server, pki, address: None, stop, tasks: Vec::new() };
        handle.tasks.push(env.spawn(store.run_expiry()));
        let listener = match config.listen {
            Some(address) => Some(http::Listener::bind(address, &handle.pki, &config).await?),
            None => None,
        };
        handle.address = listener.as_ref().map(http::Listener::address);
        let port = handle.address.map_or(443, |address| address.port());
        bootstrap::run(&handle.server, port)
            .await
            .map_err(|status| format!("the cluster's own objects could not be made: {status}"))?;
        handle.tasks.push(env.spawn(custom::keeper::run(handle.server.clone())));
        if handle.server.store.shared() {
            handle.tasks.push(env.spawn(endpoints::keep(handle.server.clone(), port)));
        }
        if let Some(listener) = listener {
            let kubelet = handle.pki.kubelet_client()?;
            let renewal = handle.pki.clone().keep_serving(config.clone(), listener.serving());
            handle.tasks.push(env.spawn(renewal));
            let serving = listener.run(handle.server.clone(), kubelet, stopping);
            handle.tasks.push(env.spawn(serving));
        }
        Ok(handle)
    }
}

/// Makes the seams of components in this process, also after the handle has gone elsewhere.
#[derive(Clone)]
pub struct Transports(Arc<Server>);

impl Transports {
    /// The seam for one component; its identity is fixed here.
    pub fn for_user(&self, user: UserInfo) -> Arc<dyn Transport> {
        Arc::new(Local { server: self.0.clone(), user })
    }
}

impl Handle {
    /// See [`Transports`].
    pub fn transports(&self) -> Transports {
        Transports(self.server.clone())
    }

    /// The seam for a component in this process; its identity is fixed here.
    pub fn transport_for(&self, user: UserInfo) -> Arc<dyn Transport> {
        Arc::new(Local { server: self.server.clone(), user })
    }

    /// Where it listens, if it does.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The cluster's certificate authority (PEM).
    pub fn ca_pem(&self) -> &str {
        self.pki.ca_pem()
    }

    /// Issues certificates for components and administrators.
    pub fn pki(&self) -> &Arc<Pki> {
        &self.pki
    }

    /// A kubeconfig (YAML) for a user whose certificate it contains.
    ///
    /// # Errors
    /// When the certificate cannot be made, or nothing listens.
    pub fn kubeconfig(&self, user: &str, groups: &[&str]) -> Result<String, String> {
        use base64::Engine;
        let address = self.address.ok_or("the API server does not listen")?;
        let host = SocketAddr::new(self.server.config.advertise, address.port());
        let identity = self.pki.issue_client(user, groups)?;
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        Ok(format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: minke\n  cluster:\n    server: https://{host}\n    \
             certificate-authority-data: {ca}\nusers:\n- name: {user}\n  user:\n    client-certificate-data: {cert}\n    \
             client-key-data: {key}\ncontexts:\n- name: minke\n  context:\n    cluster: minke\n    user: {user}\n\
             current-context: minke\n",
            ca = encode(self.ca_pem()),
            cert = encode(&identity.certificate),
            key = encode(&identity.key),
        ))
    }

    /// Stops listening, lets open requests finish for a moment, and ends the server's tasks.
    pub async fn stop(mut self) {
        // Nobody signs this server in again.
        self.tasks.iter().take(self.endless()).for_each(JoinHandle::abort);
        if let Ok(Err(status)) =
            tokio::time::timeout(limits::SHUTDOWN_GRACE, endpoints::leave(&self.server)).await
        {
            tracing::warn!("this server is still among the endpoints: {status}");
        }
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut self.tasks);
        for task in tasks {
            let _ended_or_aborted = tokio::time::timeout(limits::SHUTDOWN_GRACE * 2, task).await;
        }
    }
}

impl Handle {
    /// Only the listener, the last task, ends by itself.
    fn endless(&self) -> usize {
        self.tasks.len().saturating_sub(usize::from(self.address.is_some()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.tasks.iter().take(self.endless()).for_each(JoinHandle::abort);
    }
}
