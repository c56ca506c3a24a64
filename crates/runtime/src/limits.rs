//! The named limits of this crate.

/// Largest message on the supervisor's socket, either way.
pub const MESSAGE_BYTES: usize = 8 << 20;
/// Messages up to this size travel inline, larger ones in a memfd.
pub const INLINE_BYTES: usize = 32 << 10;
/// Descriptors in one message.
pub const MESSAGE_FDS: usize = 8;
/// Opaque labels of one sandbox or container.
pub const LABELS_BYTES: usize = 256 << 10;
/// Replies and events the supervisor queues for a slow client before it drops the client.
pub const CLIENT_QUEUE: usize = 4096;
/// Events a slow consumer may leave unread before it is told to list again.
pub const EVENT_QUEUE: usize = 4096;
/// Longest log line before it is split into partial ones (as containerd and CRI-O do).
pub const LOG_LINE_BYTES: usize = 16 << 10;
/// Streams attached to one container at the same time.
pub const ATTACHMENTS: usize = 32;
/// Descriptors the supervisor keeps free for its own work.
pub const FD_RESERVE: u64 = 64;
/// Descriptors one container may take: stdout, stderr or terminal, stdin, log, OOM notice.
pub const FDS_PER_CONTAINER: u64 = 6;
/// Descriptors one sandbox may take: its namespaces.
pub const FDS_PER_SANDBOX: u64 = 5;
/// Symbolic links followed while a mount's destination is created.
pub const SYMLINKS: usize = 40;
