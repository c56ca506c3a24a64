//! Authentication: who is asking. Client certificates, static and bootstrap tokens, service account tokens;
//! without any of them a request is anonymous. Impersonation is decided by the caller's rights.

mod bootstrap;
pub(crate) mod impersonate;
pub(crate) mod tokens;
pub(crate) mod x509;

use crate::config::StaticToken;
use crate::context::Result;
use crate::server::Server;
use apimachinery::Status;
use client::UserInfo;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use tokens::Signer;

pub(crate) struct Authn {
    pub signer: Signer,
    /// By the hash of the token, so that comparing takes the same time whatever was sent.
    fixed: HashMap<[u8; 32], UserInfo>,
}

impl Authn {
    pub fn new(signer: Signer, tokens: &[StaticToken]) -> Authn {
        let fixed = tokens.iter().map(|token| (hash(&token.token), token.user.clone())).collect();
        Authn { signer, fixed }
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

pub(crate) fn anonymous() -> UserInfo {
    UserInfo {
        name: "system:anonymous".into(),
        groups: vec!["system:unauthenticated".into()],
        ..UserInfo::default()
    }
}

/// Every authenticated user is in one more group.
fn authenticated(mut user: UserInfo) -> UserInfo {
    let group = "system:authenticated";
    if user.name != "system:anonymous" && !user.groups.iter().any(|g| g == group) {
        user.groups.push(group.into());
    }
    user
}

/// What the client certificate of a connection is worth.
pub(crate) enum Certificate {
    None,
    Of(UserInfo),
    /// Expired, or not signed by our authority, or without a name.
    Bad,
}

/// The user of an HTTP request.
///
/// # Errors
/// 401 for a certificate or token that is not valid; 403 for an impersonation that is not allowed.
pub(crate) fn authenticate(
    server: &Server,
    headers: &HeaderMap,
    certificate: &Certificate,
) -> Result<UserInfo> {
    let bearer = headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .or_else(|| websocket_token(headers));
    let user = match (certificate, bearer) {
        (Certificate::Of(user), _) => user.clone(),
        (_, Some(token)) if !token.is_empty() => {
            token_user(server, token, &[]).ok_or_else(|| Box::new(Status::unauthorized()))?
        }
        (Certificate::Bad, _) => return Err(Box::new(Status::unauthorized())),
        (Certificate::None, _) => anonymous(),
    };
    impersonate::apply(server, headers, authenticated(user))
}

/// Browsers cannot set headers on WebSockets; the token comes as a subprotocol, base64url encoded.
fn websocket_token(headers: &HeaderMap) -> Option<&str> {
    let protocols = headers.get("sec-websocket-protocol")?.to_str().ok()?;
    protocols.split(',').find_map(|p| p.trim().strip_prefix("base64url.bearer.authorization.k8s.io."))
}

/// The user a token stands for, if it is valid for one of the audiences (none: the server's own).
pub(crate) fn token_user(server: &Server, token: &str, audiences: &[String]) -> Option<UserInfo> {
    if let Some(user) = server.authn.fixed.get(&hash(token)) {
        return Some(user.clone());
    }
    if let Some(user) = bootstrap::user(server, token) {
        return Some(user);
    }
    tokens::verify(server, token, audiences).or_else(|| {
        use base64::Engine;
        let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).ok()?;
        tokens::verify(server, std::str::from_utf8(&decoded).ok()?, audiences)
    })
}
