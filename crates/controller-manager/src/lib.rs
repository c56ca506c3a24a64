//! Drives the scheduler and the controllers: watch, plan, apply. No decision is made here; a task
//! per controller turns events into keys, asks its pure plan and carries it out.

mod election;
mod namespaces;
mod nodes;
mod pod_gc;
mod policy_status;
mod scheduler;

pub use election::Leadership;

use std::sync::Arc;

use client::Client;
use env::Env;

/// Makes the client of a controller: each acts as a service account of its own in `kube-system`,
/// with the rights of its bootstrap role.
pub type ClientFor = Arc<dyn Fn(&str) -> Client + Send + Sync>;

pub struct Config {
    /// What `kube-root-ca.crt` holds.
    pub ca_pem: String,
    /// Who we are among those who may lead: host name and something unique, as upstream.
    pub identity: String,
    /// The store is this process's own, so that nobody else can be at work.
    pub alone: bool,
}

/// The scheduler and the controllers, each led by whoever holds its Lease.
pub struct Leaders(Vec<Leadership>);

impl Leaders {
    /// Ends them and leaves the lead to others at once.
    pub async fn resign(self) {
        for leadership in self.0 {
            leadership.resign().await;
        }
    }
}

/// Starts the scheduler and all controllers, as soon as (and as long as) this process leads.
///
/// `informers` only reads: all controllers see the cluster through it.
pub fn start(
    env: &Env,
    scheduler: Client,
    informers: Client,
    client_for: ClientFor,
    config: Config,
) -> Leaders {
    let Config { ca_pem, identity, alone } = config;
    let candidate = |client: &Client, name, start: election::Start| {
        let (client, identity) = (client.clone(), identity.clone());
        election::Candidate { env: env.clone(), client, name, identity, alone, start }.run()
    };
    let schedule = scheduler.clone();
    let schedule = move |env: &Env| drop(env.spawn(scheduler::run(env.clone(), schedule.clone())));
    let (see, ca_pem) = (informers.clone(), Arc::<str>::from(ca_pem));
    let control = move |env: &Env| controllers(env, &see, &*client_for, &ca_pem);
    Leaders(vec![
        candidate(&scheduler, "kube-scheduler", Box::new(schedule)),
        candidate(&informers, "kube-controller-manager", Box::new(control)),
    ])
}

/// All controllers, until their environment's tasks end.
fn controllers(env: &Env, informers: &Client, client_for: &dyn Fn(&str) -> Client, ca_pem: &str) {
    let clients = namespaces::Clients {
        content: client_for("namespace-controller"),
        accounts: client_for("service-account-controller"),
        bundles: client_for("root-ca-cert-publisher"),
    };
    env.spawn(namespaces::run(env.clone(), informers.clone(), clients, ca_pem.into()));
    env.spawn(nodes::run(env.clone(), informers.clone(), client_for("node-controller")));
    let policies = client_for("validatingadmissionpolicy-status-controller");
    env.spawn(policy_status::run(env.clone(), informers.clone(), policies));
    env.spawn(pod_gc::run(env.clone(), informers.clone(), client_for("pod-garbage-collector")));
}
