//! Drives the scheduler and the controllers: watch, plan, apply. No decision is made here; a task
//! per controller turns events into keys, asks its pure plan and carries it out.

mod namespaces;
mod nodes;
mod pod_gc;
mod policy_status;
mod scheduler;

use client::Client;
use env::Env;

/// Makes the client of a controller: each acts as a service account of its own in `kube-system`,
/// with the rights of its bootstrap role.
pub type ClientFor<'a> = &'a dyn Fn(&str) -> Client;

pub struct Config {
    /// What `kube-root-ca.crt` holds.
    pub ca_pem: String,
}

/// Starts the scheduler and all controllers.
///
/// `informers` only reads: all controllers see the cluster through it.
pub fn start(env: &Env, scheduler: Client, informers: Client, client_for: ClientFor<'_>, config: Config) {
    env.spawn(scheduler::run(env.clone(), scheduler));
    let clients = namespaces::Clients {
        content: client_for("namespace-controller"),
        accounts: client_for("service-account-controller"),
        bundles: client_for("root-ca-cert-publisher"),
    };
    env.spawn(namespaces::run(env.clone(), informers.clone(), clients, config.ca_pem));
    env.spawn(nodes::run(env.clone(), informers.clone(), client_for("node-controller")));
    let policies = client_for("validatingadmissionpolicy-status-controller");
    env.spawn(policy_status::run(env.clone(), informers.clone(), policies));
    env.spawn(pod_gc::run(env.clone(), informers, client_for("pod-garbage-collector")));
}
