//! Every bound of the API server, by name.

use std::time::Duration;

/// Largest request body, bytes.
pub const MAX_BODY: usize = 3 * 1024 * 1024;
/// Answers at least this long are compressed where the client asks for it, bytes.
pub const GZIP_FROM: usize = 128 * 1024;
/// Requests that only read and run at the same time (watches count until they have started).
pub const MAX_READS_IN_FLIGHT: usize = 400;
/// Requests that write and run at the same time.
pub const MAX_WRITES_IN_FLIGHT: usize = 200;
/// Seconds after which a refused client should come again.
pub const RETRY_AFTER_SECONDS: u32 = 1;
/// Tries to find a free name for `generateName`.
pub const MAX_NAME_TRIES: usize = 8;
/// Tries of a write that must win against others before the client is told to try again.
pub const MAX_CONFLICT_TRIES: usize = 100;
/// Interval of bookmarks on a quiet watch.
pub const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A last bookmark goes out this long before a watch times out.
pub const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// Shortest duration of a watch whose client named none; the longest is twice that.
pub const MIN_WATCH: Duration = Duration::from_secs(30 * 60);
/// How long events are kept.
pub const EVENT_TTL: Duration = Duration::from_secs(3600);
/// Objects that one collection delete lists at a time.
pub const DELETE_PAGE: usize = 500;
/// Time for a TLS handshake.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
/// How often the serving certificate's age is looked at.
pub const CERTIFICATE_CHECK: Duration = Duration::from_secs(12 * 3600);
/// Open connections.
pub const MAX_CONNECTIONS: usize = 16_384;
/// Concurrent streams on one HTTP/2 connection, as upstream.
pub const MAX_STREAMS: u32 = 100;
/// Service account tokens whose signature is known to be good.
pub const MAX_CACHED_TOKENS: usize = 4096;
/// Time to reach a kubelet.
pub const KUBELET_CONNECT: Duration = Duration::from_secs(10);
/// Time that open requests get to finish when the server stops.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// Longest answer of a webhook, bytes.
pub const MAX_CALLEE_ANSWER: usize = 8 * 1024 * 1024;
/// Idle connections kept to one webhook.
pub const MAX_IDLE_CALLEE_CONNECTIONS: usize = 25;
/// Time that a conversion webhook has, as upstream's client.
pub const CONVERSION_TIME: Duration = Duration::from_secs(30);
/// Bytes of objects in one call of a conversion webhook.
pub const MAX_CONVERSION_BATCH: usize = 2 * 1024 * 1024;
/// Converted objects that are kept, for each definition.
pub const MAX_CONVERTED: usize = 1000;
/// Time for a webhook whose configuration names none.
pub const CALLEE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that webhooks and policies together have for one request, as upstream bounds writes.
pub const ADMISSION_TIME: Duration = Duration::from_secs(34);
/// How often an API server says that it is there, where several share a store ...
pub const ENDPOINTS_INTERVAL: Duration = Duration::from_secs(10);
/// ... and how long it counts as there after it said so.
pub const ENDPOINT_TTL: Duration = Duration::from_secs(15);
