//! SPDY/3.1, as much of it as Kubernetes clients speak: streams opened by the client, data both
//! ways, pings. Neither side does flow control (client-go never did); queues are bounded instead.

mod dictionary;
mod frame;
mod headers;
mod session;

pub use session::{Session, Stream, StreamSender};
