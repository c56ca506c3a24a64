//! The supervisor outlives daemons, also those of another build: a daemon that finds its supervisor
//! running another program replaces it in place. Containers, their logs and sessions stay.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use ::runtime::{ErrorKind, Supervisor};
use env::Env;

/// While something is being started or removed the supervisor cannot be replaced.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Makes the supervisor run `program`. What does not work is logged: the old one serves as well.
pub async fn bring_up_to_date(env: &Env, supervisor: &Supervisor, program: &Path) {
    let replaced = match supervisor.version().await {
        Ok((_, pid)) => match same_file(Path::new(&format!("/proc/{pid}/exe")), program) {
            Ok(true) => return,
            Ok(false) => replace(env, supervisor, program).await,
            Err(error) => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    };
    match replaced {
        Ok(()) => tracing::info!("the supervisor ran another build and was replaced in place"),
        Err(error) => tracing::warn!(error, "the supervisor of an earlier build stays"),
    }
}

/// Whether both names lead to one file, also where one of them is deleted by now.
fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (fs::metadata(one)?, fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

async fn replace(env: &Env, supervisor: &Supervisor, program: &Path) -> Result<(), String> {
    let mut tries = 0;
    loop {
        let binary = File::open(program).map_err(|error| error.to_string())?;
        match supervisor.upgrade(binary.into()).await {
            Ok(()) => return Ok(()),
            Err(error) if error.kind == ErrorKind::Limit && tries < TRIES => {
                tries += 1;
                env.sleep(PAUSE).await;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
