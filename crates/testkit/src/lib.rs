//! Test helpers: waits with a deadline, and a real cluster in a network namespace of its own.
//! Never shipped.

mod cluster;
pub mod etcd;
mod registry;
mod traces;

pub use cluster::{Cluster, Output, image_archive, kubectl_path, tool_dir};
pub use registry::Registry;
pub use traces::Traces;

use std::time::{Duration, Instant};

/// How long anything in a test may take, unless it says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Between looks at a condition that no event tells of.
const STEP: Duration = Duration::from_millis(20);

/// Waits until `condition` gives a value; panics with `what` at the deadline.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "tests wait in real time")]
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "did not happen within {DEADLINE:?}: {what}");
        std::thread::sleep(STEP);
    }
}

/// Runs checks side by side: most of their time is waiting. The first failure is the outcome.
pub fn side_by_side<C: Sync>(context: &C, checks: &[fn(&C)]) {
    std::thread::scope(|scope| {
        let running: Vec<_> = checks.iter().map(|check| scope.spawn(|| check(context))).collect();
        for check in running {
            if let Err(panic) = check.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}
