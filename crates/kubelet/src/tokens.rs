//! Service-account tokens in use on this node, until it is time for new ones: after 80 % of
//! their life, or 24 hours (KEP-1205).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

/// Shortest wait before a renewal that failed is tried again.
const SECOND: Duration = Duration::from_secs(1);
/// No token is used longer than this without renewal.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey {
    pub pod: String,
    pub path: String,
    pub audience: String,
}

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Tokens {
    held: Arc<Mutex<HashMap<TokenKey, (String, Timestamp)>>>,
}

impl Tokens {
    pub fn get(&self, key: &TokenKey, now: Timestamp) -> Option<String> {
        let held = self.held.lock().expect("no holder of the map panics");
        held.get(key).filter(|(_, renew)| *renew > now).map(|(token, _)| token.clone())
    }

    pub fn put(&self, key: TokenKey, token: String, now: Timestamp, seconds: i64) {
        let age = Duration::from_secs(seconds.max(0) as u64).mul_f64(0.8).min(AGE_MAX);
        let renew = now.checked_add(age).unwrap_or(now);
        self.held.lock().expect("no holder of the map panics").insert(key, (token, renew));
    }

    /// How long until some token of the Pod must be renewed.
    pub fn renewal(&self, pod: &str, now: Timestamp) -> Option<Duration> {
        let held = self.held.lock().expect("no holder of the map panics");
        let next = held.iter().filter(|(key, _)| key.pod == pod).map(|(_, (_, renew))| *renew).min()?;
        Some(Duration::try_from(next.duration_since(now)).unwrap_or_default().max(SECOND))
    }

    pub fn forget(&self, pod: &str) {
        self.held.lock().expect("no holder of the map panics").retain(|key, _| key.pod != pod);
    }
}
