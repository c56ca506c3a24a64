//! Bootstrap tokens: how a new node introduces itself. A Secret in kube-system holds each one (KEP-130).

use crate::codec;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::Time;
use base64::Engine;
use client::UserInfo;
use serde_json::Value;
use sha2::{Digest, Sha256};

const TYPE: &str = "bootstrap.kubernetes.io/token";
const GROUP: &str = "system:bootstrappers";

/// The user of a token `id.secret`, if its Secret allows authentication and has not expired.
pub(super) fn user(server: &Server, token: &str) -> Option<UserInfo> {
    let (id, secret) = token.split_once('.')?;
    let fits = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if !fits(id, 6) || !fits(secret, 16) {
        return None;
    }
    let key = Target::core("secrets").key("kube-system", &format!("bootstrap-token-{id}"));
    let entry = server.store.get(&key)?;
    let object = codec::tree(&entry);
    if object["type"] != TYPE || apimachinery::meta::is_deleting(&object) {
        return None;
    }
    // Hashes are compared: how long it takes says nothing about the secret.
    if Sha256::digest(data(&object, "token-secret")?) != Sha256::digest(secret) {
        return None;
    }
    if data(&object, "token-id")? != id.as_bytes()
        || data(&object, "usage-bootstrap-authentication")? != b"true"
    {
        return None;
    }
    if let Some(expiration) = data(&object, "expiration") {
        let expiration = Time::parse(std::str::from_utf8(&expiration).ok()?).ok()?;
        if expiration.0 <= server.env.now() {
            return None;
        }
    }
    let extra = data(&object, "auth-extra-groups").unwrap_or_default();
    let extra = String::from_utf8(extra).ok()?;
    let extra = extra.split(',').map(str::trim).filter(|group| group.starts_with("system:bootstrappers:"));
    let groups = std::iter::once(GROUP).chain(extra).map(str::to_owned).collect();
    Some(UserInfo { name: format!("system:bootstrap:{id}"), groups, ..UserInfo::default() })
}

fn data(secret: &Value, field: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(secret["data"][field].as_str()?).ok()
}
