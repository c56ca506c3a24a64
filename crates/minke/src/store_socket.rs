//! The store of a running daemon, for `minke store`: a socket in the data directory, which only its
//! owner may enter. It answers a prefix with a snapshot of what is below, at one revision.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use env::Env;
use store::{Ranged, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use crate::snapshot;

/// Longest prefix that is asked for.
const PREFIX_MAX: u64 = 4096;
/// A caller that neither asks nor reads for this long is left.
const PATIENCE: Duration = Duration::from_secs(60);

fn path(dir: &Path) -> PathBuf {
    dir.join("store.sock")
}

/// Answers until the daemon ends.
pub fn serve(env: &Env, dir: &Path, store: Arc<Store>) -> Result<(), String> {
    let path = path(dir);
    let _left_by_a_crash = std::fs::remove_file(&path);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    env.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // One at a time: a snapshot is held in memory.
            let answer = async {
                let mut prefix = String::new();
                (&mut stream).take(PREFIX_MAX).read_to_string(&mut prefix).await?;
                let text = match store.range(&prefix).await {
                    Ok(state) => snapshot::write(&state),
                    Err(error) => format!("error: {error}\n"),
                };
                stream.write_all(text.as_bytes()).await?;
                stream.shutdown().await
            };
            if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, answer).await {
                tracing::debug!("a caller of the store's socket went: {error}");
            }
        }
    });
    Ok(())
}

/// Asks the daemon on a data directory.
pub fn ask(dir: &Path, prefix: &str) -> Result<Ranged, String> {
    let path = path(dir);
    let call = || {
        let mut stream = UnixStream::connect(&path)?;
        stream.write_all(prefix.as_bytes())?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text: String = call().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))?;
    match text.strip_prefix("error: ") {
        Some(error) => Err(error.trim_end().into()),
        None => snapshot::read(&text),
    }
}
