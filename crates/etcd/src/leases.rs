//! Leases for keys that go by themselves. One lease serves the keys of some time: thousands of events
//! are not thousands of leases.

use std::collections::HashMap;
use std::time::Duration;

use env::Env;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::channel::{Channel, Repeat};
use crate::grpc::Failure;
use crate::limits;
use crate::messages::{LEASE_GRANT, field, lease_grant};

struct Lease {
    id: u64,
    expires: Instant,
    keys: usize,
}

/// The lease in use for each time to live.
#[derive(Default)]
pub struct Leases(Mutex<HashMap<Duration, Lease>>);

/// How much longer than asked a key may live, so that leases can be shared.
fn slack(ttl: Duration) -> Duration {
    (ttl / 20).min(limits::LEASE_REUSE)
}

/// Whole seconds, at least one.
fn seconds(ttl: Duration) -> u64 {
    (ttl + slack(ttl)).as_millis().div_ceil(1000).max(1) as u64
}

impl Leases {
    pub async fn lease(&self, env: &Env, channel: &Channel, ttl: Duration) -> Result<u64, Failure> {
        let mut leases = self.0.lock().await;
        let now = env.instant();
        leases.retain(|_, lease| lease.expires > now);
        if let Some(lease) = leases.get_mut(&ttl)
            && lease.expires >= now + ttl
            && lease.keys < limits::LEASE_KEYS
        {
            lease.keys += 1;
            return Ok(lease.id);
        }
        let seconds = seconds(ttl);
        let answer = channel.call(LEASE_GRANT, lease_grant(seconds), Repeat::Freely).await?;
        let id = field(answer, 2)?.map_or(0, crate::wire::Value::number);
        if id == 0 {
            return Err(Failure::from(crate::wire::Malformed));
        }
        leases.insert(ttl, Lease { id, expires: now + Duration::from_secs(seconds), keys: 1 });
        Ok(id)
    }

    /// etcd does not know one of them any more.
    pub async fn forget(&self) {
        self.0.lock().await.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_live_little_longer_than_asked() {
        let lives = |millis| seconds(Duration::from_millis(millis));
        assert_eq!([lives(20), lives(15_000), lives(3_600_000)], [1, 16, 3660]);
    }
}
