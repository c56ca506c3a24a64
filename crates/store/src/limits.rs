//! Every bound of the store, by name.

use std::time::Duration;

/// Largest value of one key, bytes (etcd's default request limit, which clients know).
pub const MAX_VALUE: usize = 3 * 512 * 1024;
/// Longest key, bytes.
pub const MAX_KEY: usize = 1024;
/// Events stay in a ring at least this long, unless a hard bound below is reached. It must exceed the
/// 75 s after which clients that keep an old revision expect to have to start again.
pub const HISTORY: Duration = Duration::from_secs(300);
/// Events a ring keeps however old they are.
pub const MIN_RING_EVENTS: usize = 256;
/// Hard bound on the events of one ring.
pub const MAX_RING_EVENTS: usize = 100_000;
/// Hard bound on the value bytes that one ring keeps alive.
pub const MAX_RING_BYTES: usize = 128 * 1024 * 1024;
/// Events that a watcher takes in one batch.
pub const MAX_WATCH_BATCH: usize = 512;
/// Snapshots at old revisions that are kept for the next page of a list.
pub const MAX_KEPT_SNAPSHOTS: usize = 16;
/// Writes that may wait for the committer; later writers wait for room.
pub const MAX_QUEUED_WRITES: usize = 4096;
/// Bytes that one group commit gathers before it is written.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A log segment is closed when it reaches this size.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// The log is zero-filled ahead in steps of this size, so that a commit only flushes data, not extents.
pub const PREALLOCATE_BYTES: u64 = 2 * 1024 * 1024;
/// A checkpoint is written when the log behind the last one has this size and twice that of the data.
pub const CHECKPOINT_LOG_BYTES: u64 = 64 * 1024 * 1024;
/// Longest time a read waits for a revision that this cache has not seen yet.
pub const MAX_WAIT: Duration = Duration::from_secs(3);
/// After this long a read that waits asks the authority for a sign.
pub const NUDGE_AFTER: Duration = Duration::from_millis(25);
/// Expired keys that are deleted in one round.
pub const MAX_EXPIRIES_PER_ROUND: usize = 500;
