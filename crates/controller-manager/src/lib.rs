//! Drives the scheduler and the controllers: watch, plan, apply. No decision is made here; a task
//! per controller turns events into keys, asks its pure plan and carries it out.

mod namespaces;
mod pod_gc;
mod scheduler;

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
pub fn start(env: &Env, clients: Clients, config: Config) {
    env.spawn(scheduler::run(env.clone(), clients.scheduler));
    env.spawn(namespaces::run(env.clone(), clients.controllers.clone(), config.ca_pem));
    env.spawn(pod_gc::run(env.clone(), clients.controllers));
}
