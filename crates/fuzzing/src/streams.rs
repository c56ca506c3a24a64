//! Upgraded connections: any bytes, from a client that then closes.

use env::Env;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Far above what any input needs.
const PATIENCE: Duration = Duration::from_secs(10);
const BUFFER: usize = 1 << 16;

fn serve(bytes: &[u8], work: impl AsyncFnOnce(Env, tokio::io::DuplexStream)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut ours, theirs) = tokio::io::duplex(BUFFER);
    let bytes = bytes.to_vec();
    runtime.block_on(async move {
        let env = Env::system();
        let client = env.spawn(async move {
            let _ = ours.write_all(&bytes).await;
            let _ = ours.shutdown().await;
            // What the server says is read, so that it need not wait.
            let _ = tokio::io::copy(&mut ours, &mut tokio::io::sink()).await;
        });
        tokio::time::timeout(PATIENCE, work(env.clone(), theirs)).await.expect("the connection ends");
        client.abort();
    });
}

pub fn spdy(bytes: &[u8]) {
    serve(bytes, async |env, io| {
        streaming::fuzzing::spdy(&env, io).await;
    });
}

pub fn websocket(bytes: &[u8]) {
    serve(bytes, async |env, io| {
        streaming::fuzzing::channels(&env, io).await;
    });
}
