//! What the listener's TLS decides per connection: which serving certificate it shows (the current one,
//! also after a renewal) and what a client certificate is worth.
//!
//! A client certificate that cannot be verified does not break the connection: the request is answered
//! 401, which clients can explain, or its token counts.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::{Arc, PoisonError, RwLock};

/// The serving certificate; can be exchanged while connections are open.
#[derive(Debug)]
pub(crate) struct Serving(RwLock<Arc<CertifiedKey>>);

fn certified(
    certificates: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, String> {
    let key = rustls::crypto::ring::sign::any_supported_type(key);
    let key = key.map_err(|error| format!("the serving key is not usable: {error}"))?;
    Ok(Arc::new(CertifiedKey::new(certificates, key)))
}

impl Serving {
    pub fn new(
        certificates: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<Arc<Serving>, String> {
        Ok(Arc::new(Serving(RwLock::new(certified(certificates, key)?))))
    }

    pub fn replace(
        &self,
        certificates: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<(), String> {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified(certificates, key)?;
        Ok(())
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Takes any client certificate whose key the client holds; [`ClientCertificates::trusted`] says later
/// whether our authority signed it.
#[derive(Debug)]
pub(crate) struct ClientCertificates(Arc<dyn ClientCertVerifier>);

impl ClientCertificates {
    pub fn new(strict: Arc<dyn ClientCertVerifier>) -> Arc<ClientCertificates> {
        Arc::new(ClientCertificates(strict))
    }

    /// Whether this chain leads to our authority and is valid now.
    pub fn trusted(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((first, rest)) = chain.split_first() else { return false };
        self.0.verify_client_cert(first, rest, UnixTime::now()).is_ok()
    }
}

impl ClientCertVerifier for ClientCertificates {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
