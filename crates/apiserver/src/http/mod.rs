//! HTTP: connections, and everything that is about bytes rather than objects.

mod connect;
mod connect_options;
pub(crate) mod gzip;
pub(crate) mod negotiate;
mod pretty;
pub(crate) mod query;
pub(crate) mod respond;
mod route;
pub(crate) mod service;
mod table;
mod websocket;
mod yaml;

use crate::authn::Certificate;
use crate::config::Config;
use crate::connection_tls::{ClientCertificates, Serving};
use crate::server::Server;
use crate::tls::{ListenerTls, Pki};
use crate::{authn, limits};
use connect::Kubelets;
use futures_util::future::BoxFuture;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use service::Connection;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

pub(crate) use negotiate::{Encoding, Form, Shape};

/// For fuzzing: any query string, as options.
pub(crate) fn options_of(query: &str) -> bool {
    query::Query::parse(query).options().is_ok()
}

/// A bound socket that does not answer yet: its port is known before the first request is served.
pub(crate) struct Listener {
    /// The first is the address others are told.
    sockets: Vec<TcpListener>,
    address: SocketAddr,
    tls: TlsAcceptor,
    clients: Arc<ClientCertificates>,
    serving: Arc<Serving>,
}

impl Listener {
    pub async fn bind(address: SocketAddr, pki: &Pki, config: &Config) -> Result<Listener, String> {
        let mut sockets = Vec::new();
        for address in std::iter::once(&address).chain(&config.also) {
            let socket = TcpListener::bind(*address).await;
            sockets.push(socket.map_err(|error| format!("cannot listen on {address}: {error}"))?);
        }
        let address = sockets[0].local_addr().map_err(|error| error.to_string())?;
        let ListenerTls { config, clients, serving } = pki.listener(config)?;
        let tls = TlsAcceptor::from(Arc::new(config));
        Ok(Listener { sockets, address, tls, clients, serving })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate it shows, to be renewed.
    pub fn serving(&self) -> Arc<Serving> {
        self.serving.clone()
    }

    /// Serves until told to stop.
    pub async fn run(
        self,
        server: Arc<Server>,
        kubelet: rustls::ClientConfig,
        stopping: watch::Receiver<bool>,
    ) {
        let shared = Arc::new(service::Shared {
            server,
            kubelets: Kubelets::new(kubelet),
            clients: self.clients.clone(),
        });
        let room = Arc::new(Semaphore::new(limits::MAX_CONNECTIONS));
        let serve = |socket| accept(socket, self.tls.clone(), shared.clone(), room.clone(), stopping.clone());
        futures_util::future::join_all(self.sockets.into_iter().map(serve)).await;
    }
}

/// Takes connections until told to stop.
async fn accept(
    socket: TcpListener,
    tls: TlsAcceptor,
    shared: Arc<service::Shared>,
    room: Arc<Semaphore>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return,
            accepted = socket.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, most likely: the next connection may find some.
            shared.server.env.sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let (tls, shared, stopping) = (tls.clone(), shared.clone(), stopping.clone());
        let env = shared.server.env.clone();
        env.spawn(async move {
            connection(tls, stream, peer, shared, stopping).await;
            drop(permit);
        });
    }
}

type Served = Result<http::Response<respond::ResponseBody>, std::convert::Infallible>;

fn boxed(answer: impl Future<Output = Served> + Send + 'static) -> BoxFuture<'static, Served> {
    Box::pin(answer)
}

/// One connection from its handshake to its end. Errors are the peer's business.
async fn connection(
    tls: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<service::Shared>,
    mut stopping: watch::Receiver<bool>,
) {
    let _best_effort = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(limits::TLS_HANDSHAKE, tls.accept(stream)).await else {
        return;
    };
    let certificate = match stream.get_ref().1.peer_certificates() {
        None | Some([]) => Certificate::None,
        Some(chain) if !shared.clients.trusted(chain) => Certificate::Bad,
        Some(chain) => authn::x509::user(&chain[0]).map_or(Certificate::Bad, Certificate::Of),
    };
    let connection = Arc::new(Connection { shared, certificate, peer });
    let service = service_fn(move |request| {
        let connection = connection.clone();
        boxed(async move { Ok(service::handle(connection, request).await) })
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::MAX_STREAMS)
        .adaptive_window(true)
        .keep_alive_interval(std::time::Duration::from_secs(30));
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        biased;
        _ = serving.as_mut() => return,
        _ = stopping.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
    }
    let _ended_or_cut_off = tokio::time::timeout(limits::SHUTDOWN_GRACE, serving).await;
}
