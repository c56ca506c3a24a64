//! Connections to registries: names looked up without the C library (it is not in a static
//! program), TCP, and TLS with the host's root certificates. Not HTTP: that is hyper's.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a connection to one address, and for the TLS handshake on it.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Where distributions keep the bundle of root certificates; the first one that is there is used.
const ROOT_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why there is no connection, in the words of Go's dialer, which people search for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("dial tcp: lookup {host}: {message}")]
    Lookup { host: String, message: String },
    #[error("dial tcp {address}: {message}")]
    Dial { address: SocketAddr, message: String },
    /// The host answered, but is not who it has to be.
    #[error("tls: {0}")]
    Tls(String),
}

/// Makes connections for one pull. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    resolver: OnceLock<Result<TokioResolver, String>>,
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Connector {
    pub(crate) fn new() -> Connector {
        Connector { inner: Arc::default() }
    }

    async fn connect(self, uri: Uri) -> Result<Wire, ConnectError> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_string();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = self.dial(&host, port).await?;
        let _ = stream.set_nodelay(true);
        if !secure {
            return Ok(Wire(TokioIo::new(Box::new(stream))));
        }
        let tls = |message: &dyn std::fmt::Display| ConnectError::Tls(message.to_string());
        let name = ServerName::try_from(host).map_err(|error| tls(&error))?;
        let config = self.inner.tls.get_or_init(|| Arc::new(client_config(roots()))).clone();
        let handshake = tokio_rustls::TlsConnector::from(config).connect(name, stream);
        match timeout(CONNECT_TIME, handshake).await {
            Ok(Ok(stream)) => Ok(Wire(TokioIo::new(Box::new(stream)))),
            Ok(Err(error)) => Err(tls(&error)),
            Err(_) => Err(tls(&"handshake timeout")),
        }
    }

    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let mut last = None;
        for ip in self.addresses(host).await? {
            let address = SocketAddr::new(ip, port);
            let failed = |message| ConnectError::Dial { address, message };
            match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Some(failed(dial_message(&error))),
                Err(_) => last = Some(failed("i/o timeout".into())),
            }
        }
        Err(last.unwrap_or_else(|| no_such_host(host)))
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ConnectError> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        if is_localhost(host) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let lookup = |message: String| ConnectError::Lookup { host: host.into(), message };
        // Made at first use: most pulls on one machine need no look-up, and the file may change.
        let resolver = self.inner.resolver.get_or_init(|| {
            let builder = TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
            builder.build().map_err(|error| error.to_string())
        });
        let resolver = resolver.as_ref().map_err(|message| lookup(message.clone()))?;
        match resolver.lookup_ip(host).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Err(no_such_host(host)),
            Err(error) => Err(lookup(error.to_string())),
        }
    }
}

fn no_such_host(host: &str) -> ConnectError {
    ConnectError::Lookup { host: host.into(), message: "no such host".into() }
}

fn dial_message(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
        _ => format!("connect: {error}"),
    }
}

fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether a host (without port) is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    is_localhost(host) || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn client_config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The host's root certificates, which its administrator may have added to; else Mozilla's.
fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for bundle in ROOT_BUNDLES {
        if let Ok(certificates) = CertificateDer::pem_file_iter(bundle) {
            roots.add_parsable_certificates(certificates.flatten());
        }
        if !roots.is_empty() {
            return roots;
        }
    }
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots
}

impl tower_service::Service<Uri> for Connector {
    type Response = Wire;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, with TLS or without.
pub(crate) struct Wire(TokioIo<Box<dyn Duplex>>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A TLS server for `localhost` that says one word to everybody, and its certificate.
    async fn server() -> (SocketAddr, CertificateDer<'static>, tokio::task::JoinSet<()>) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_string()]).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], signing_key.into())
            .expect("a server");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.write_all(b"hello").await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        (address, cert.der().clone(), tasks)
    }

    async fn hello(connector: Connector, host: &str, port: u16) -> Result<String, ConnectError> {
        let uri = format!("https://{host}:{port}/").parse().expect("a URI");
        let mut stream = connector.connect(uri).await?.0.into_inner();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("what the server says");
        Ok(text)
    }

    #[tokio::test]
    async fn certificates_are_checked() {
        let (address, certificate, _server) = server().await;
        let trusting = || {
            let mut roots = RootCertStore::empty();
            roots.add(certificate.clone()).expect("a root");
            let connector = Connector::new();
            connector.inner.tls.set(Arc::new(client_config(roots))).expect("not yet set");
            connector
        };
        assert_eq!(hello(trusting(), "localhost", address.port()).await.expect("trusted"), "hello");
        let other = hello(trusting(), "127.0.0.1", address.port()).await.expect_err("another name");
        assert!(matches!(other, ConnectError::Tls(_)), "{other}");
        let unknown =
            hello(Connector::new(), "localhost", address.port()).await.expect_err("an unknown root");
        assert!(unknown.to_string().starts_with("tls: invalid peer certificate"), "{unknown}");
    }

    #[test]
    fn there_are_root_certificates() {
        assert!(!roots().is_empty());
    }
}
