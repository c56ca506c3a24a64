//! Which Pod is scheduled next: by priority, then by age. A Pod that found no node waits until an
//! event could help it ([`Hint`]). Then it is tried at once if nobody else is to be scheduled
//! (upstream's SchedulerPopFromBackoffQ), otherwise after its back-off of 1 s to 10 s.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::pod::PodInfo;

/// First and longest back-off (upstream's podInitialBackoffDuration, podMaxBackoffDuration).
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A Pod that no event helped is tried again after this long all the same.
const FLUSH: Duration = Duration::from_secs(300);

/// What happened that may make room for waiting Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// A node came, or changed its labels, taints, size or cordon.
    Node,
    /// A placed Pod went away or ended.
    PodGone,
}

impl Hint {
    /// Whether a Pod refused by this plugin may pass now.
    fn helps(self, plugin: &str) -> bool {
        match self {
            Hint::Node => true,
            Hint::PodGone => plugin == "NodeResourcesFit",
        }
    }
}

#[derive(Clone, Debug)]
struct Waiting {
    pod: PodInfo,
    queued: Timestamp,
    attempts: u32,
    /// Plugins that refused it; empty before the first attempt.
    plugins: BTreeSet<&'static str>,
    not_before: Timestamp,
    parked: bool,
    /// The last attempt failed for a reason of ours: the back-off is waited for in any case.
    failed: bool,
}

/// Pods without a node, by uid. Its size is the number of such Pods.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<String, Waiting>,
}

impl Queue {
    /// Adds a Pod, or takes over its new spec (which may help it).
    pub fn set(&mut self, pod: PodInfo, now: Timestamp) {
        match self.waiting.get_mut(&pod.uid) {
            Some(entry) => {
                if entry.pod.pod["spec"] != pod.pod["spec"]
                    || entry.pod.pod["metadata"]["labels"] != pod.pod["metadata"]["labels"]
                {
                    entry.parked = false;
                }
                entry.pod = pod;
            }
            None => {
                let plugins = BTreeSet::new();
                let entry = Waiting {
                    pod,
                    queued: now,
                    attempts: 0,
                    plugins,
                    not_before: now,
                    parked: false,
                    failed: false,
                };
                self.waiting.insert(entry.pod.uid.clone(), entry);
            }
        }
    }

    pub fn remove(&mut self, uid: &str) {
        self.waiting.remove(uid);
    }

    pub fn contains(&self, uid: &str) -> bool {
        self.waiting.contains_key(uid)
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next Pod to try; it stays in the queue until removed or refused.
    pub fn next(&self, now: Timestamp) -> Option<PodInfo> {
        let first = |tried: &dyn Fn(&&Waiting) -> bool| {
            let candidates = self.waiting.values().filter(tried);
            candidates.min_by_key(|w| (std::cmp::Reverse(w.pod.priority), w.queued, w.pod.uid.clone()))
        };
        let next = first(&|w| w.is_ready(now)).or_else(|| first(&|w| !w.parked && !w.failed));
        next.map(|w| w.pod.clone())
    }

    /// How long until some Pod is ready, if nothing happens.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let next = self.waiting.values().map(Waiting::ready_at).min()?;
        Some(Duration::try_from(next.duration_since(now)).unwrap_or_default())
    }

    /// No node took it.
    pub fn refused(&mut self, uid: &str, plugins: BTreeSet<&'static str>, now: Timestamp) {
        if let Some(entry) = self.waiting.get_mut(uid) {
            entry.back_off(now);
            entry.plugins = plugins;
            entry.parked = true;
            entry.failed = false;
        }
    }

    /// The attempt failed for a reason of ours (a conflict, no answer): try again after a while.
    pub fn failed(&mut self, uid: &str, now: Timestamp) {
        if let Some(entry) = self.waiting.get_mut(uid) {
            entry.back_off(now);
            entry.parked = false;
            entry.failed = true;
        }
    }

    /// Something happened: Pods that it may help are tried again.
    pub fn hint(&mut self, hint: Hint) {
        for entry in self.waiting.values_mut() {
            if entry.plugins.is_empty() || entry.plugins.iter().any(|plugin| hint.helps(plugin)) {
                entry.parked = false;
            }
        }
    }
}

impl Waiting {
    fn back_off(&mut self, now: Timestamp) {
        let delay = BACKOFF_FIRST.saturating_mul(1 << self.attempts.min(10)).min(BACKOFF_MAX);
        self.attempts += 1;
        self.not_before = now.checked_add(delay).unwrap_or(now);
    }

    fn ready_at(&self) -> Timestamp {
        if self.parked {
            self.not_before.checked_add(FLUSH).unwrap_or(self.not_before)
        } else {
            self.not_before
        }
    }

    fn is_ready(&self, now: Timestamp) -> bool {
        self.ready_at() <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn pod(uid: &str, priority: i64) -> PodInfo {
        PodInfo::new(Arc::new(
            json!({"metadata": {"name": uid, "uid": uid}, "spec": {"priority": priority, "containers": []}}),
        ))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + seconds).expect("in range")
    }

    #[test]
    fn priority_first_then_age() {
        let mut queue = Queue::default();
        queue.set(pod("old", 0), at(0));
        queue.set(pod("new", 0), at(1));
        queue.set(pod("high", 10), at(2));
        let mut order = Vec::new();
        while let Some(next) = queue.next(at(3)) {
            queue.remove(&next.uid);
            order.push(next.uid);
        }
        assert_eq!(order, ["high", "old", "new"]);
    }

    #[test]
    fn a_refused_pod_waits_for_something_that_helps() {
        let mut queue = Queue::default();
        queue.set(pod("p", 0), at(0));
        queue.refused("p", ["NodeAffinity"].into(), at(0));
        queue.hint(Hint::PodGone);
        assert!(queue.next(at(10)).is_none(), "another Pod's end does not change labels");
        queue.hint(Hint::Node);
        queue.set(pod("fresh", -1), at(0));
        let next = |queue: &Queue, second| queue.next(at(second)).map(|pod| pod.uid);
        assert_eq!(next(&queue, 0).as_deref(), Some("fresh"), "others first, during its back-off");
        assert_eq!(next(&queue, 1).as_deref(), Some("p"));
        queue.remove("fresh");
        assert_eq!(next(&queue, 0).as_deref(), Some("p"), "nobody else: at once");
        queue.failed("p", at(0));
        assert_eq!(next(&queue, 1), None, "after an error of ours the back-off counts");
        assert_eq!(next(&queue, 2).as_deref(), Some("p"));
        queue.refused("p", ["NodeAffinity"].into(), at(1));
        assert!(queue.next(at(304)).is_none() && queue.next(at(305)).is_some(), "flushed after five minutes");
    }
}
