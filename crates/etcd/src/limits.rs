//! Every bound of the etcd client, by name.

use std::time::Duration;

/// Longest time to reach one endpoint, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time one member may take to answer a read before another one is asked.
pub const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest time for a write: etcd itself gives up after about seven seconds.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// A call that may be repeated is repeated for this long.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Pause before a call is tried at the next member.
pub const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Pause before a watch is started again, doubled up to the second one.
pub const WATCH_PAUSE: Duration = Duration::from_millis(10);
pub const WATCH_PAUSE_MAX: Duration = Duration::from_secs(1);
/// A quiet connection is asked for a sign of life this often (etcd allows once in 5 s) ...
pub const KEEPALIVE: Duration = Duration::from_secs(6);
/// ... and is given up when none comes.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(4);
/// Largest message that is read.
pub const MAX_MESSAGE: usize = 512 * 1024 * 1024;
/// Keys of one page when everything is read.
pub const PAGE: u64 = 200;
/// HTTP/2 windows: what may be under way before it is read.
pub const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
pub const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// A lease is used again for keys that fall due within this time after each other.
pub const LEASE_REUSE: Duration = Duration::from_secs(60);
/// Most keys on one lease: they all go in one transaction.
pub const LEASE_KEYS: usize = 1000;
/// How often the history is cut, as kube-apiserver does.
pub const COMPACT_INTERVAL: Duration = Duration::from_secs(300);
/// Signs of progress are not made more often than this.
pub const NUDGE_INTERVAL: Duration = Duration::from_millis(20);
