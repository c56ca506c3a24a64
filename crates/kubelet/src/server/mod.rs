//! The node service (port 10250): logs, exec, attach, port-forward, the Pods of this node. TLS
//! with client certificates of the cluster; who is not in `system:masters` is asked about at the
//! API server (nodes/log, nodes/proxy, nodes/metrics).

mod authorize;
mod commands;
mod logs;
mod route;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::status::Status;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::shared::Shared;
use crate::workers::Pods;

/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections open at once.
const CONNECTIONS_MAX: usize = 2048;

pub type Body = UnsyncBoxBody<Bytes, Infallible>;
pub type Answer = Response<Body>;

/// The node's serving certificate and the authority of its clients, in PEM.
#[derive(Clone)]
pub struct Tls {
    pub certificate: String,
    pub key: String,
    pub client_ca: String,
}

#[derive(Clone)]
pub struct Server {
    pub shared: Shared,
    pub pods: Pods,
}

/// Binds the port; what is wrong with the certificates or the port is said at once.
pub async fn bind(address: SocketAddr, tls: &Tls) -> std::io::Result<(TcpListener, TlsAcceptor)> {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(tls).map_err(std::io::Error::other)?));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        std::io::Error::new(error.kind(), format!("port {} of the node service: {error}", address.port()))
    })?;
    Ok((listener, acceptor))
}

fn server_config(tls: &Tls) -> Result<rustls::ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut tls.client_ca.as_bytes()) {
        roots.add(certificate?)?;
    }
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()?;
    let chain = rustls_pemfile::certs(&mut tls.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = rustls_pemfile::private_key(&mut tls.key.as_bytes())?.ok_or("no private key")?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until the process ends.
pub async fn run(server: Server, listener: TcpListener, acceptor: TlsAcceptor) {
    let slots = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (server, acceptor) = (server.clone(), acceptor.clone());
        let env = server.shared.env.clone();
        env.spawn(async move {
            let _slot = slot;
            let _ = stream.set_nodelay(true);
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await
            else {
                return;
            };
            let user = Arc::new(authorize::user_of(stream.get_ref().1.peer_certificates()));
            let service = service_fn(move |request| {
                let (server, user) = (server.clone(), user.clone());
                async move { Ok::<_, Infallible>(server.answer(request, &user).await) }
            });
            let connection = auto::Builder::new(TokioExecutor::new());
            let serving = connection.serve_connection_with_upgrades(TokioIo::new(stream), service);
            if let Err(error) = serving.await {
                tracing::debug!(%error, "connection of the node service ended");
            }
        });
    }
}

impl Server {
    async fn answer(&self, request: Request<Incoming>, user: &client::UserInfo) -> Answer {
        let route = match route::parse(request.method(), request.uri()) {
            Some(route) => route,
            None => return text(StatusCode::NOT_FOUND, "404 page not found\n"),
        };
        if let Err(status) = self.authorize(user, &route).await {
            return failure(&status);
        }
        let result = match route {
            route::Route::Healthz => Ok(text(StatusCode::OK, "ok")),
            route::Route::Pods => Ok(self.pod_list()),
            route::Route::Metrics => Ok(self.metrics()),
            route::Route::Logs(target, options) => self.logs(&target, &options).await,
            route::Route::Exec(target, options) => self.exec(request, &target, options).await,
            route::Route::Attach(target, options) => self.attach(request, &target, options).await,
            route::Route::PortForward(target, ports) => self.port_forward(request, &target, &ports).await,
        };
        result.unwrap_or_else(|status| failure(&status))
    }

    fn pod_list(&self) -> Answer {
        let items: Vec<serde_json::Value> = self.pods.all().iter().map(|pod| (**pod).clone()).collect();
        let list = serde_json::json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items});
        let mut answer = text(StatusCode::OK, &list.to_string());
        answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        answer
    }

    fn metrics(&self) -> Answer {
        let running = self.pods.all().iter().filter(|pod| pod["status"]["phase"] == "Running").count();
        let body = format!(
            "# HELP kubelet_running_pods [STABLE] Number of pods that have a running pod sandbox\n\
             # TYPE kubelet_running_pods gauge\nkubelet_running_pods {running}\n"
        );
        text(StatusCode::OK, &body)
    }
}

/// A small text answer.
pub fn text(code: StatusCode, body: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())).boxed_unsync());
    *answer.status_mut() = code;
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain"));
    answer
}

/// A Status as the API server would answer it.
pub fn failure(status: &Status) -> Answer {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = Response::new(Full::new(Bytes::from(status.to_json())).boxed_unsync());
    *answer.status_mut() = code;
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    answer
}
