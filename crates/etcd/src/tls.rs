//! TLS towards etcd from PEM files, as kube-apiserver's `--etcd-cafile`, `--etcd-certfile` and
//! `--etcd-keyfile` name them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Who signed etcd's certificates.
    pub ca: Option<PathBuf>,
    /// The client certificate and its key, for clusters that want one.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// # Errors
    /// One sentence about the file that cannot be used.
    pub(crate) fn config(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        let ca =
            self.ca.as_deref().ok_or("https:// endpoints need the file of their certificate authority")?;
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| format!("{}: {error}", ca.display()))?;
        }
        if roots.is_empty() {
            return Err(format!("{} holds no certificate", ca.display()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let mut config = match (&self.certificate, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let text = read(key)?;
                let parsed = rustls_pemfile::private_key(&mut text.as_slice());
                let parsed =
                    parsed.ok().flatten().ok_or_else(|| format!("{} holds no private key", key.display()))?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, parsed)
                    .map_err(|error| format!("{}: {error}", certificate.display()))?
            }
            _ => return Err("a client certificate and its key must be given together".into()),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, String> {
    let text = read(path)?;
    rustls_pemfile::certs(&mut text.as_slice())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: {error}", path.display()))
}
