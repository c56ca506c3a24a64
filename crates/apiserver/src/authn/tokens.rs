//! Service account tokens: JSON Web Tokens signed with the cluster's own ES256 key, bound to the
//! account and, if asked, to a Pod, Node or Secret that must still exist.

use crate::codec;
use crate::limits;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::meta;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use client::UserInfo;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The key that signs and verifies.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
    /// Claims of tokens whose signature was good, by the token's hash. Only the signature is
    /// remembered: expiry and bound objects are looked at every time.
    good: Mutex<HashMap<[u8; 32], Arc<Value>>>,
}

impl Signer {
    /// # Errors
    /// When the bytes are no PKCS#8 P-256 key.
    pub fn new(pkcs8: &[u8]) -> Result<Signer, String> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random);
        let key = key.map_err(|error| format!("the service account key is not usable: {error}"))?;
        let key_id = BASE64.encode(Sha256::digest(key.public_key().as_ref()));
        Ok(Signer { key, key_id, random, good: Mutex::default() })
    }

    /// A signed token.
    pub fn sign(&self, claims: &Value) -> Result<String, String> {
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let text = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature = self.key.sign(&self.random, text.as_bytes());
        let signature = signature.map_err(|_| "signing the token failed".to_owned())?;
        Ok(format!("{text}.{}", BASE64.encode(signature.as_ref())))
    }

    /// The claims of a token with a good signature; nothing else is checked.
    fn open(&self, token: &str) -> Option<Arc<Value>> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = good.get(&hash) {
            return Some(claims.clone());
        }
        let claims = Arc::new(self.check(token)?);
        if good.len() >= limits::MAX_CACHED_TOKENS {
            good.clear();
        }
        good.insert(hash, claims.clone());
        Some(claims)
    }

    fn check(&self, token: &str) -> Option<Value> {
        let (text, signature) = token.rsplit_once('.')?;
        let (header, claims) = text.split_once('.')?;
        let header: Value = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
        if header["alg"] != "ES256" || header["kid"].as_str().is_some_and(|kid| kid != self.key_id) {
            return None;
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        key.verify(text.as_bytes(), &BASE64.decode(signature).ok()?).ok()?;
        serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()
    }

    /// The public key as a JSON Web Key Set.
    pub fn jwks(&self) -> Value {
        // An uncompressed point: 4, then 32 bytes each of x and y.
        let point = self.key.public_key().as_ref();
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "alg": "ES256", "crv": "P-256",
            "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..65]),
        }]})
    }
}

/// The user of a token that is valid now for one of these audiences (none: the server's own).
pub(crate) fn verify(server: &Server, token: &str, audiences: &[String]) -> Option<UserInfo> {
    let claims = server.authn.signer.open(token)?;
    let issuer = &server.config.issuer;
    let now = server.env.now().as_second();
    if claims["iss"].as_str() != Some(issuer)
        || claims["exp"].as_i64()? <= now
        || claims["nbf"].as_i64()? > now
    {
        return None;
    }
    let own = [issuer.clone()];
    let wanted = if audiences.is_empty() { &own } else { audiences };
    let meant_for_us = claims["aud"].as_array()?.iter().any(|aud| wanted.iter().any(|w| aud == w));
    if !meant_for_us {
        return None;
    }
    bound_user(server, &claims)
}

/// Checks that the account and what the token is bound to still exist with the same uid.
fn bound_user(server: &Server, claims: &Value) -> Option<UserInfo> {
    let bound = &claims["kubernetes.io"];
    let namespace = bound["namespace"].as_str()?;
    let alive = |resource: &str, reference: &Value, namespace: &str| {
        let key = Target::core(resource).key(namespace, reference["name"].as_str().unwrap_or_default());
        let entry = server.store.get(&key)?;
        let tree = codec::tree(&entry);
        (meta::uid(&tree) == reference["uid"].as_str()?).then_some(())
    };
    let account = &bound["serviceaccount"];
    alive("serviceaccounts", account, namespace)?;
    let name = account["name"].as_str()?;
    let mut user = UserInfo {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        uid: account["uid"].as_str()?.to_owned(),
        groups: vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")],
        ..UserInfo::default()
    };
    let mut extra = |key: &str, value: &Value| {
        if let Some(text) = value.as_str() {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![text.to_owned()]);
        }
    };
    if let Some(id) = claims["jti"].as_str() {
        extra("credential-id", &json!(format!("JTI={id}")));
    }
    if let Some(pod) = bound.get("pod") {
        alive("pods", pod, namespace)?;
        extra("pod-name", &pod["name"]);
        extra("pod-uid", &pod["uid"]);
    }
    if let Some(secret) = bound.get("secret") {
        alive("secrets", secret, namespace)?;
    }
    if let Some(node) = bound.get("node") {
        if bound.get("pod").is_none() {
            alive("nodes", node, "")?;
        }
        extra("node-name", &node["name"]);
        extra("node-uid", &node["uid"]);
    }
    Some(user)
}
