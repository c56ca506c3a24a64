//! Reading a kubeconfig: the server, its authority and who we are, of the current context.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

#[derive(Clone, Debug, Default)]
pub struct Kubeconfig {
    /// `https://host:port`.
    pub server: String,
    /// PEM.
    pub certificate_authority: String,
    pub client_certificate: String,
    pub client_key: String,
    pub token: Option<String>,
    pub namespace: String,
    pub insecure: bool,
}

impl Kubeconfig {
    /// # Errors
    /// What is wrong with the file, in one sentence.
    pub fn read(path: &Path, context: Option<&str>) -> Result<Kubeconfig, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Kubeconfig::parse(&text, context, path.parent().unwrap_or(Path::new(".")))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str, context: Option<&str>, dir: &Path) -> Result<Kubeconfig, String> {
        let config: Value = schema::yaml_value(text.as_bytes()).map_err(|error| error.to_string())?;
        let named = |list: &str, name: &str, field: &str| -> Result<Value, String> {
            let found = config[list].as_array().into_iter().flatten().find(|entry| entry["name"] == name);
            found.map(|entry| entry[field].clone()).ok_or_else(|| format!("has no {field} {name:?}"))
        };
        let current = context.or(config["current-context"].as_str()).unwrap_or_default();
        let context = named("contexts", current, "context")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let cluster = named("clusters", &text(&context["cluster"]), "cluster")?;
        let user = named("users", &text(&context["user"]), "user")?;
        let pem = |object: &Value, field: &str| -> Result<String, String> {
            if let Some(data) = object[format!("{field}-data")].as_str() {
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(data)
                    .map_err(|error| format!("{field}-data: {error}"))?;
                return String::from_utf8(bytes).map_err(|error| format!("{field}-data: {error}"));
            }
            match object[field].as_str() {
                Some(path) => {
                    let path = dir.join(path);
                    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
                }
                None => Ok(String::new()),
            }
        };
        Ok(Kubeconfig {
            server: text(&cluster["server"]),
            certificate_authority: pem(&cluster, "certificate-authority")?,
            client_certificate: pem(&user, "client-certificate")?,
            client_key: pem(&user, "client-key")?,
            token: user["token"].as_str().map(str::to_string),
            namespace: context["namespace"].as_str().unwrap_or("default").into(),
            insecure: cluster["insecure-skip-tls-verify"] == true,
        })
    }

    /// TLS settings for this server; `alpn` in order of preference.
    ///
    /// # Errors
    /// If a certificate or key cannot be used.
    pub fn tls(&self, alpn: &[&[u8]]) -> Result<rustls::ClientConfig, String> {
        if self.insecure {
            return Err("insecure-skip-tls-verify is not supported: give the certificate authority".into());
        }
        let mut roots = rustls::RootCertStore::empty();
        for certificate in certificates(&self.certificate_authority)? {
            roots.add(certificate).map_err(|error| format!("certificate-authority: {error}"))?;
        }
        let builder =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(roots);
        let mut config = if self.client_certificate.is_empty() {
            builder.with_no_client_auth()
        } else {
            let key: PrivateKeyDer<'static> = rustls_pemfile::private_key(&mut self.client_key.as_bytes())
                .map_err(|error| format!("client-key: {error}"))?
                .ok_or("client-key: no private key")?;
            builder
                .with_client_auth_cert(certificates(&self.client_certificate)?, key)
                .map_err(|error| format!("client-certificate: {error}"))?
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    rustls_pemfile::certs(&mut pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_context_counts() {
        let text = "
current-context: b
clusters: [{name: c, cluster: {server: 'https://10.0.0.1:6443'}}]
users: [{name: u, user: {token: secret}}]
contexts:
- {name: a, context: {cluster: nope, user: u}}
- {name: b, context: {cluster: c, user: u, namespace: prod}}
";
        let config = Kubeconfig::parse(text, None, Path::new(".")).expect("good");
        assert_eq!((config.server.as_str(), config.namespace.as_str()), ("https://10.0.0.1:6443", "prod"));
        assert_eq!(config.token.as_deref(), Some("secret"));
        assert_eq!(
            Kubeconfig::parse(text, Some("a"), Path::new(".")).unwrap_err(),
            "has no cluster \"nope\""
        );
    }
}
