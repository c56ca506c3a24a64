//! Drives the scheduler and the controllers: watch, plan, apply.

use client::Client;
use env::Env;

/// Who acts: each component has an identity of its own.
pub struct Clients {
    pub scheduler: Client,
    pub controllers: Client,
}

pub struct Config {
    /// What `kube-root-ca.crt` holds.
    pub ca_pem: String,
}

/// Starts the scheduler and all controllers.
pub fn start(_env: &Env, _clients: Clients, _config: Config) {}
