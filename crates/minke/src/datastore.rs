//! Where the objects of a cluster are: in the data directory, or in an existing etcd cluster that
//! several API servers may share.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use env::Env;
use store::{Clock, Store};

/// An etcd cluster instead of the store in the data directory.
#[derive(Args, Clone, Default)]
pub struct Datastore {
    /// Keep the objects in this etcd cluster (https://HOST:PORT, several with commas)
    #[arg(long = "datastore-endpoints", global = true, value_name = "URLS", value_delimiter = ',')]
    pub endpoints: Vec<String>,
    /// Certificate authority of etcd (PEM)
    #[arg(long = "datastore-cafile", global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Client certificate for etcd (PEM)
    #[arg(long = "datastore-certfile", global = true, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long = "datastore-keyfile", global = true, value_name = "FILE")]
    key: Option<PathBuf>,
    /// User name, where etcd wants one
    #[arg(long = "datastore-username", global = true, value_name = "NAME", requires = "password_file")]
    username: Option<String>,
    /// File with the password of that user
    #[arg(long = "datastore-password-file", global = true, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
}

impl Datastore {
    /// Whether other processes may share it.
    pub fn shared(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// The etcd cluster as its client wants it.
    fn config(&self) -> Result<etcd::Config, String> {
        let mut config = etcd::Config::new(self.endpoints.clone());
        config.tls = etcd::TlsFiles {
            ca: self.ca.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        };
        if let (Some(name), Some(file)) = (&self.username, &self.password_file) {
            let password =
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            config.credentials = Some((name.clone(), password.trim_end_matches(['\n', '\r']).into()));
        }
        config.resolve = Some(Arc::new(|host| Box::pin(resolve(host))));
        Ok(config)
    }

    /// Opens the store that the options name.
    pub async fn open(&self, dir: &Path, env: &Env) -> Result<Arc<Store>, String> {
        let clock: Clock = {
            let env = env.clone();
            Arc::new(move || env.now().as_millisecond())
        };
        if self.shared() {
            let authority = etcd::Etcd::open(env, self.config()?).await.map_err(|error| error.to_string())?;
            return Store::new(authority, clock).map_err(|error| error.to_string());
        }
        let fatal: store::embedded::FatalHook = Arc::new(|error| {
            eprintln!("error: the store lost its disk: {error}");
            std::process::abort();
        });
        let authority = store::Embedded::open(store::embedded::Config::new(dir, clock.clone(), fatal))
            .map_err(|error| error.to_string())?;
        Store::new(authority, clock).map_err(|error| error.to_string())
    }
}

/// By DNS: a static program has no name services of the host's.
async fn resolve(host: String) -> Result<Vec<IpAddr>, String> {
    let builder = hickory_resolver::TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
    let resolver = builder.build().map_err(|error| error.to_string())?;
    let found = resolver.lookup_ip(&host).await.map_err(|error| format!("{host}: {error}"))?;
    Ok(found.iter().collect())
}
