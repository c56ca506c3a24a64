//! `minke store`: looks into the store of a cluster, saves it while it runs, and restores it into an
//! empty one. Certificates are not part of a snapshot: `pki` is copied beside it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use env::Env;
use store::Ranged;

use crate::data_dir::DataDir;
use crate::datastore::Datastore;
use crate::options::Data;
use crate::{snapshot, store_socket};

const ROOT: &str = "/registry/";
/// A restored store goes on well behind the snapshot: what clients saw after it is not used again.
const REVISION_GAP: u64 = 1_000_000;

#[derive(Args)]
pub struct StoreCommand {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    datastore: Datastore,
}

#[derive(Subcommand)]
enum What {
    /// List the keys below a prefix
    List {
        #[arg(default_value = ROOT)]
        prefix: String,
    },
    /// Print the value of a key
    Get {
        // Not "key": that is an option of the datastore.
        #[arg(id = "stored", value_name = "KEY")]
        key: String,
    },
    /// Save or restore everything
    Snapshot {
        #[command(subcommand)]
        what: SnapshotCommand,
    },
}

#[derive(Subcommand)]
enum SnapshotCommand {
    /// Save the store to a file, while the cluster runs or not
    Save { file: PathBuf },
    /// Restore a file into an empty data directory, or into an empty etcd cluster
    Restore { file: PathBuf },
}

pub fn run(command: &StoreCommand) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(command.carry_out())
}

impl StoreCommand {
    async fn carry_out(&self) -> Result<(), String> {
        match &self.what {
            What::List { prefix } => {
                for entry in self.read(prefix).await?.1 {
                    println!("{}", entry.key);
                }
                Ok(())
            }
            What::Get { key } => {
                let (_, found) = self.read(key).await?;
                let entry = found.iter().find(|entry| *entry.key == **key);
                let entry = entry.ok_or_else(|| format!("there is no key {key}"))?;
                let mut out = std::io::stdout().lock();
                let written = out.write_all(&entry.value).and_then(|()| out.write_all(b"\n"));
                written.map_err(|error| error.to_string())
            }
            What::Snapshot { what: SnapshotCommand::Save { file } } => {
                let state = self.read(ROOT).await?;
                save(file, &snapshot::write(&state))?;
                println!("saved {} keys at revision {} to {}", state.1.len(), state.0, file.display());
                Ok(())
            }
            What::Snapshot { what: SnapshotCommand::Restore { file } } => {
                let text =
                    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
                let state = snapshot::read(&text).map_err(|error| format!("{}: {error}", file.display()))?;
                let (revision, count) = (state.0, state.1.len());
                self.restore(state).await?;
                println!("restored {count} keys of revision {revision} from {}", file.display());
                Ok(())
            }
        }
    }

    /// From etcd, from the daemon that runs, or from the files of one that does not.
    async fn read(&self, prefix: &str) -> Result<Ranged, String> {
        let dir = &self.data.data_dir;
        if !self.datastore.shared() {
            if DataDir::holder(dir)?.is_some() {
                return store_socket::ask(dir, prefix);
            }
            if !dir.join("store").exists() {
                return Err(format!("no cluster was started with {}", dir.display()));
            }
        }
        let store = self.datastore.open(dir, &Env::system()).await?;
        store.range(prefix).await.map_err(|error| error.to_string())
    }

    async fn restore(&self, (revision, entries): Ranged) -> Result<(), String> {
        if !self.datastore.shared() {
            let dir = DataDir::take(&self.data.data_dir)?;
            let restored = store::embedded::restore(dir.path(), revision + REVISION_GAP, entries);
            return restored.map_err(|error| error.to_string());
        }
        let env = Env::system();
        let store = self.datastore.open(&self.data.data_dir, &env).await?;
        let there = store.range(ROOT).await.map_err(|error| error.to_string())?.1;
        if let Some(entry) = there.first() {
            return Err(format!("etcd is not empty ({}): restore into an empty cluster", entry.key));
        }
        let now = env.now().as_millisecond();
        for entry in entries {
            let left = entry.expires_ms.map(|at| u64::try_from(at - now).unwrap_or(0));
            if left == Some(0) {
                continue;
            }
            let ttl = left.map(Duration::from_millis);
            let created = store.create(&entry.key, entry.value.clone(), ttl).await;
            created
                .map_err(|error| format!("{}: {error}; etcd now holds a part of the snapshot", entry.key))?;
        }
        Ok(())
    }
}

/// Whole or not at all, and only for its owner: Secrets are in it.
fn save(path: &Path, text: &str) -> Result<(), String> {
    let fresh = path.with_extension("part");
    let write = || {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}
