//! One run of a verb: the client, the namespace, and errors as kubectl words them.

use std::path::PathBuf;
use std::sync::Arc;

use apimachinery::status::{Reason, Status};
use client::{Client, Https, Kubeconfig};
use env::Env;

use crate::Target;

/// Where `minke up` leaves the kubeconfig of the default cluster.
const LOCAL: &str = "/var/lib/minke/admin.kubeconfig";

pub struct Session {
    pub env: Env,
    pub https: Https,
    pub client: Client,
    pub config: Kubeconfig,
    pub namespace: String,
}

impl Session {
    pub fn run<R>(
        target: &Target,
        work: impl AsyncFnOnce(&Session) -> Result<R, String>,
    ) -> Result<R, String> {
        let path = kubeconfig_path(target)?;
        let config = Kubeconfig::read(&path, target.context.as_deref())?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let result = runtime.block_on(async {
            let env = Env::system();
            let https = Https::new(&env, &config)?;
            let client = Client::new(Arc::new(https.clone()), concat!("minke/", env!("CARGO_PKG_VERSION")));
            let namespace = target.namespace.clone().unwrap_or_else(|| config.namespace.clone());
            work(&Session { env, https, client, config, namespace }).await
        });
        // Reads of standard input that are still under way are not waited for.
        runtime.shutdown_background();
        result
    }
}

fn kubeconfig_path(target: &Target) -> Result<PathBuf, String> {
    if let Some(path) = &target.kubeconfig {
        return Ok(path.clone());
    }
    if let Some(paths) = std::env::var_os("KUBECONFIG").filter(|p| !p.is_empty()) {
        return std::env::split_paths(&paths).next().ok_or_else(|| "KUBECONFIG names no file".into());
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    [Some(PathBuf::from(LOCAL)), home].into_iter().flatten().find(|path| path.exists()).ok_or_else(|| {
        "no cluster: start one with `minke up`, or name its kubeconfig with --kubeconfig".into()
    })
}

/// `Error from server (NotFound): pods "x" not found`, as kubectl prints it.
pub fn server_error(status: impl AsRef<Status>) -> String {
    let status = status.as_ref();
    match status.reason {
        Reason::Unknown | Reason::ServiceUnavailable => status.message.clone(),
        reason => format!("Error from server ({reason:?}): {}", status.message),
    }
}
