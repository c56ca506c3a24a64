//! The cluster's own certificate authority and the certificates the server needs: made once (ECDSA
//! P-256), kept in files that only the owner reads, used again after a restart.

use crate::config::Config;
use crate::connection_tls::{ClientCertificates, Serving};
use crate::limits;
use env::Env;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Years a certificate is valid; the authority lives longer than what it signs.
const CA_YEARS: i32 = 10;
const CERTIFICATE_YEARS: i32 = 1;

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

/// TLS of a listener, and the parts of it that are asked again later.
pub(crate) struct ListenerTls {
    pub config: ServerConfig,
    pub clients: Arc<ClientCertificates>,
    pub serving: Arc<Serving>,
}

/// The authority. Cheap to share by `Arc`.
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca: String,
    dir: Option<PathBuf>,
    env: Env,
}

impl Pki {
    /// Reads the authority from its directory, or makes one.
    ///
    /// # Errors
    /// One sentence about the file that cannot be read, written or understood.
    pub fn open(dir: Option<&Path>, env: &Env) -> Result<Arc<Pki>, String> {
        if let Some(dir) = dir {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
        }
        let identity = match load(dir, "ca")? {
            Some(identity) => identity,
            None => {
                let identity = new_ca(env)?;
                save(dir, "ca", &identity)?;
                identity
            }
        };
        let key =
            KeyPair::from_pem(&identity.key).map_err(|error| format!("the CA key is not usable: {error}"))?;
        let issuer = Issuer::from_ca_cert_pem(&identity.certificate, key);
        let issuer = issuer.map_err(|error| format!("the CA certificate is not usable: {error}"))?;
        Ok(Arc::new(Pki { issuer, ca: identity.certificate, dir: dir.map(Path::to_owned), env: env.clone() }))
    }

    /// The authority's certificate (PEM), for kubeconfigs and `kube-root-ca.crt`.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// A certificate for a client: the common name is the user, the organizations are its groups.
    ///
    /// # Errors
    /// When the name cannot be in a certificate.
    pub fn issue_client(&self, user: &str, groups: &[&str]) -> Result<Identity, String> {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, user, groups)
    }

    /// A certificate for a server with these names and addresses; it may also be used as a client's.
    ///
    /// # Errors
    /// When a name cannot be in a certificate.
    pub fn issue_server(&self, user: &str, groups: &[&str], names: &[String]) -> Result<Identity, String> {
        let params = CertificateParams::new(names.to_vec());
        let mut params = params.map_err(|error| format!("a name cannot be in a certificate: {error}"))?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, user, groups)
    }

    fn issue(&self, mut params: CertificateParams, user: &str, groups: &[&str]) -> Result<Identity, String> {
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, user);
        // A distinguished name holds one value per type here, so groups beyond the first need the
        // multi-valued form that rcgen writes for custom types.
        for group in groups {
            name.push(DnType::OrganizationName, *group);
        }
        params.distinguished_name = name;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        set_validity(&mut params, &self.env, CERTIFICATE_YEARS);
        let failed = |error: rcgen::Error| format!("a certificate for {user} could not be made: {error}");
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// The service account key (PKCS#8, DER).
    pub(crate) fn service_account_key(&self) -> Result<Vec<u8>, String> {
        let path = self.dir.as_ref().map(|dir| dir.join("sa.key"));
        if let Some(path) = path.as_deref().filter(|path| path.exists()) {
            let pem =
                std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
            let key =
                KeyPair::from_pem(&pem).map_err(|e| format!("{} is not usable: {e}", path.display()))?;
            return Ok(key.serialize_der());
        }
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        if let Some(path) = path {
            write_private(&path, &key.serialize_pem())?;
        }
        Ok(key.serialize_der())
    }

    /// The serving certificate; made again when its names have changed or half a year is left.
    pub(crate) fn serving(&self, config: &Config) -> Result<Identity, String> {
        let names = serving_names(config);
        if let Some(identity) = load(self.dir.as_deref(), "apiserver")?
            && still_good(&identity, &names, &self.env)
        {
            return Ok(identity);
        }
        let identity = self.issue_server("kube-apiserver", &[], &names)?;
        save(self.dir.as_deref(), "apiserver", &identity)?;
        Ok(identity)
    }

    /// TLS for the listener: client certificates are welcome, not required.
    pub(crate) fn listener(&self, config: &Config) -> Result<ListenerTls, String> {
        let identity = self.serving(config)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let strict = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| format!("client certificates cannot be verified: {error}"))?;
        let (certificates, key) = parse(&identity)?;
        let (clients, serving) = (ClientCertificates::new(strict), Serving::new(certificates, &key)?);
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(clients.clone())
            .with_cert_resolver(serving.clone());
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(ListenerTls { config: tls, clients, serving })
    }

    /// Looks at the serving certificate from time to time and renews it before it ends.
    pub(crate) async fn keep_serving(self: Arc<Self>, config: Config, serving: Arc<Serving>) {
        loop {
            self.env.sleep(limits::CERTIFICATE_CHECK).await;
            let renewed = self.serving(&config).and_then(|identity| {
                let (certificates, key) = parse(&identity)?;
                serving.replace(certificates, &key)
            });
            if let Err(error) = renewed {
                tracing::error!("the serving certificate could not be renewed: {error}");
            }
        }
    }

    /// TLS towards kubelets, with the server's own client certificate.
    pub(crate) fn kubelet_client(&self) -> Result<ClientConfig, String> {
        let identity = self.issue_client("kube-apiserver-kubelet-client", &["system:masters"])?;
        let (certificates, key) = parse(&identity)?;
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(certificates, key)
            .map_err(|error| error.to_string())
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for certificate in rustls_pemfile::certs(&mut self.ca.as_bytes()) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| format!("the CA certificate is not usable: {error}"))?;
        }
        Ok(roots)
    }
}

fn parse(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let certificates: Result<Vec<_>, _> =
        rustls_pemfile::certs(&mut identity.certificate.as_bytes()).collect();
    let certificates = certificates.map_err(|error| error.to_string())?;
    let key = KeyPair::from_pem(&identity.key).map_err(|error| error.to_string())?;
    Ok((certificates, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))))
}

fn serving_names(config: &Config) -> Vec<String> {
    let service = "kubernetes.default.svc";
    let mut names: Vec<String> =
        ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", service]
            .iter()
            .map(ToString::to_string)
            .chain([
                format!("{service}.{}", config.cluster_domain),
                config.advertise.to_string(),
                crate::services::first_address(config.service_range).to_string(),
            ])
            .chain(
                config
                    .listen
                    .iter()
                    .map(|address| address.ip())
                    .filter(|ip| !ip.is_unspecified())
                    .map(|ip| ip.to_string()),
            )
            .chain(config.names.iter().cloned())
            .collect();
    names.sort();
    names.dedup();
    names
}

fn still_good(identity: &Identity, names: &[String], env: &Env) -> bool {
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
    let Ok((certificates, _)) = parse(identity) else { return false };
    let Some(der) = certificates.first() else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let half_a_year = 182 * 24 * 3600;
    if certificate.validity().not_after.timestamp() < env.now().as_second() + half_a_year {
        return false;
    }
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return false };
    let has = |name: &str| {
        alternatives.value.general_names.iter().any(|general| match general {
            GeneralName::DNSName(dns) => *dns == name,
            GeneralName::IPAddress(bytes) => match name.parse() {
                Ok(IpAddr::V4(v4)) => v4.octets() == **bytes,
                Ok(IpAddr::V6(v6)) => v6.octets() == **bytes,
                Err(_) => false,
            },
            _ => false,
        })
    };
    names.iter().all(|name| has(name))
}

fn new_ca(env: &Env) -> Result<Identity, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "kubernetes");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, env, CA_YEARS);
    let failed = |error: rcgen::Error| format!("the certificate authority could not be made: {error}");
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Valid from yesterday (clocks differ) for some years.
fn set_validity(params: &mut CertificateParams, env: &Env, years: i32) {
    let date = jiff::tz::Offset::UTC.to_datetime(env.now()).date();
    let start = date.yesterday().unwrap_or(date);
    let ymd = |date: jiff::civil::Date, year: i32| {
        // The 29th of February does not exist in every year.
        let day = u8::try_from(date.day()).unwrap_or(1).min(28);
        rcgen::date_time_ymd(year, u8::try_from(date.month()).unwrap_or(1), day)
    };
    params.not_before = ymd(start, i32::from(start.year()));
    params.not_after = ymd(date, i32::from(date.year()) + years);
}

fn load(dir: Option<&Path>, name: &str) -> Result<Option<Identity>, String> {
    let Some(dir) = dir else { return Ok(None) };
    let (certificate, key) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
    if !certificate.exists() || !key.exists() {
        return Ok(None);
    }
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
    };
    Ok(Some(Identity { certificate: read(&certificate)?, key: read(&key)? }))
}

fn save(dir: Option<&Path>, name: &str, identity: &Identity) -> Result<(), String> {
    let Some(dir) = dir else { return Ok(()) };
    // The key first: a certificate without its key would be useless, the reverse is made again.
    write_private(&dir.join(format!("{name}.key")), &identity.key)?;
    write_private(&dir.join(format!("{name}.crt")), &identity.certificate)
}

fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|error| format!("cannot write {}: {error}", path.display()))
}
