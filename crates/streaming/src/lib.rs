//! Exec, attach and port-forward on the wire, server side: WebSocket channels (`v5.channel.k8s.io`
//! and older) and SPDY/3.1, behind one view: [`RemoteCommand`] has stdin, output, resizes and an
//! end; [`PortForward`] has connections. What runs behind them is the caller's.

mod channels;
mod handshake;
mod port_forward;
mod remote_command;
mod spdy;
mod websocket;

pub use handshake::{Negotiated, Refusal, Upgrade, negotiate_command, negotiate_port_forward};
pub use port_forward::{Forward, PortForward};
pub use remote_command::{Output, RemoteCommand, Size, Streams};

/// Bytes of one message to a client (and one read of a process's output).
pub const CHUNK_BYTES: usize = 32 << 10;
/// Messages that may wait in one direction of one stream.
pub(crate) const QUEUE_MAX: usize = 16;
/// How long a client may take to open its streams (client-go's own limit).
pub const STREAM_CREATION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// What clients send on upgraded connections, for fuzzing; not part of the crate's interface.
#[doc(hidden)]
pub mod fuzzing {
    use tokio::io::{AsyncRead, AsyncWrite};

    /// Serves one SPDY connection to its end; the number of streams that the client opened.
    pub async fn spdy(env: &env::Env, io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> usize {
        let mut session = crate::spdy::Session::start(env, io);
        let mut streams = 0;
        while let Some(mut stream) = session.accept().await {
            streams += 1;
            while stream.incoming.recv().await.is_some() {}
        }
        streams
    }

    /// Serves one WebSocket to its end; the number of messages of its channels.
    pub async fn channels(env: &env::Env, io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> usize {
        let mut channels = crate::websocket::channels(env, io, crate::websocket::Encoding::Binary).await;
        let mut messages = 0;
        while channels.incoming.recv().await.is_some() {
            messages += 1;
        }
        messages
    }
}
