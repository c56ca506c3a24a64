//! Which cluster a shared store belongs to: servers with other certificates or another service account
//! key are refused, because clients of the one would not be known to the other.

use crate::tls::Pki;
use base64::Engine;
use bytes::Bytes;
use ring::digest;
use serde_json::json;
use std::path::Path;
use store::{Error, Store};

const KEY: &str = "/registry/minke.local/identity";

/// Claims the store for this cluster, or checks that it is this cluster's.
///
/// # Errors
/// One sentence for the operator.
pub(crate) async fn check(store: &Store, pki: &Pki, dir: Option<&Path>) -> Result<(), String> {
    if !store.shared() {
        return Ok(());
    }
    // Digests: they tell apart, and nothing can be made from them.
    let hash = |bytes: &[u8]| {
        let digest = digest::digest(&digest::SHA256, bytes);
        base64::engine::general_purpose::STANDARD.encode(digest)
    };
    let own = json!({"ca": hash(pki.ca_pem().trim().as_bytes()), "serviceAccountKey": hash(&pki.service_account_key()?)});
    let own = Bytes::from(own.to_string());
    let there = match store.create(KEY, own.clone(), None).await {
        Ok(_) => return Ok(()),
        Err(Error::Exists(entry)) => entry,
        Err(error) => return Err(format!("the datastore cannot be used: {error}")),
    };
    if there.value == own {
        return Ok(());
    }
    let dir = dir.map_or_else(|| "the directory of certificates".into(), |dir| dir.display().to_string());
    Err(format!(
        "the datastore belongs to a cluster with another certificate authority or service account key: copy ca.crt, \
         ca.key and sa.key from one of its servers to {dir}, or use another datastore"
    ))
}
