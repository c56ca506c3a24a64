//! Flow control: at most so many reads and so many writes at the same time; the rest is told to come
//! again (upstream's max-in-flight limits). Watches count until they have started.

use crate::context::Result;
use crate::limits;
use apimachinery::Status;
use client::{UserInfo, Verb};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) struct Flow {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl Flow {
    pub fn new() -> Flow {
        Flow {
            reads: Arc::new(Semaphore::new(limits::MAX_READS_IN_FLIGHT)),
            writes: Arc::new(Semaphore::new(limits::MAX_WRITES_IN_FLIGHT)),
        }
    }

    /// Room for one request, until the permit is dropped; administrators are never refused.
    pub fn enter(&self, user: &UserInfo, verb: Verb) -> Result<Option<OwnedSemaphorePermit>> {
        if user.groups.iter().any(|group| group == "system:masters") {
            return Ok(None);
        }
        let reads = matches!(verb, Verb::Get | Verb::List | Verb::Watch);
        let room = if reads { &self.reads } else { &self.writes };
        room.clone().try_acquire_owned().map(Some).map_err(|_| {
            let text = "Too many requests, please try again later.";
            Box::new(Status::too_many_requests(text, limits::RETRY_AFTER_SECONDS))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_clients_come_again_later() {
        let flow = Flow::new();
        let user = UserInfo::new("u", &[]);
        let held: Vec<_> =
            (0..limits::MAX_WRITES_IN_FLIGHT).map(|_| flow.enter(&user, Verb::Create)).collect();
        assert!(held.iter().all(Result::is_ok));
        let refused = flow.enter(&user, Verb::Delete).unwrap_err();
        assert_eq!((refused.code, refused.retry_after_seconds()), (429, Some(limits::RETRY_AFTER_SECONDS)));
        assert!(flow.enter(&user, Verb::Get).is_ok(), "reads have their own room");
        assert!(flow.enter(&UserInfo::new("a", &["system:masters"]), Verb::Create).is_ok());
        drop(held);
        assert!(flow.enter(&user, Verb::Create).is_ok());
    }
}
