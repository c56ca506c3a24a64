//! Whom calls trust: the certificates of a configuration alone, or else those of the host.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use std::io;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Where distributions keep the bundle of root certificates; the first one that is there is used.
const ROOT_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(super) async fn connector(bundle: &[u8]) -> Result<TlsConnector, String> {
    let roots = if bundle.is_empty() { of_host().await } else { of_bundle(bundle)? };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // One request at a time on a connection, so that several backends share the load.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn of_bundle(bundle: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle).flatten());
    if roots.is_empty() {
        return Err("unable to load root certificates: unable to parse bytes as PEM block".into());
    }
    Ok(roots)
}

async fn of_host() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for bundle in ROOT_BUNDLES {
        if let Ok(bytes) = tokio::fs::read(bundle).await {
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bytes).flatten());
        }
        if !roots.is_empty() {
            return roots;
        }
    }
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots
}

/// A failed handshake in Go's words.
pub(super) fn failure(error: &io::Error, wanted: &str) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let x509 = |text: String| format!("tls: failed to verify certificate: x509: {text}");
    match inner {
        Some(Error::InvalidCertificate(problem)) => x509(match problem {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "certificate signed by unknown authority".into()
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "certificate has expired or is not yet valid".into()
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
                format!("certificate is valid for {}, not {wanted}", names.join(", "))
            }
            CertificateError::NotValidForName => format!("certificate is not valid for {wanted}"),
            other => other.to_string(),
        }),
        Some(Error::InvalidMessage(_)) => "http: server gave HTTP response to HTTPS client".into(),
        Some(Error::AlertReceived(alert)) => format!("remote error: tls: {alert:?}"),
        Some(other) => format!("tls: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".into(),
        None => error.to_string(),
    }
}

/// `DnsName("a")` without what says that it is one.
fn bare(name: &str) -> &str {
    name.split_once('"').and_then(|(_, rest)| rest.split_once('"')).map_or(name, |(name, _)| name)
}
