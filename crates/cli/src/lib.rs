//! The command line: kubectl-shaped verbs and their output, for hosts without kubectl. Every verb is
//! a client like any other: it reads a kubeconfig and speaks HTTPS.

mod apply;
mod delete;
mod describe;
mod events;
mod exec;
mod get;
mod logs;
mod manifest;
mod port_forward;
mod resource;
mod run;
mod session;
mod table;
mod wait;
mod websocket;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use session::Session;

/// Where the cluster is, and in which namespace.
#[derive(Args, Clone)]
pub struct Target {
    /// Path to the kubeconfig [default: $KUBECONFIG, then the local cluster's, then ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Namespace
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Show resources
    Get(get::Get),
    /// Show details of a resource, with its events
    Describe(describe::Describe),
    /// Create or update what manifests say
    Apply(apply::Apply),
    /// Delete resources and wait until they are gone
    Delete(delete::Delete),
    /// Print the log of a container
    Logs(logs::Logs),
    /// Run a command in a container
    Exec(exec::Exec),
    /// Forward local ports to a Pod
    PortForward(port_forward::PortForward),
    /// Run an image in a Pod
    Run(run::Run),
    /// List events
    Events(events::Events),
    /// Wait for a condition, or until a resource is deleted
    Wait(wait::Wait),
}

/// Runs one verb. The error is one sentence; a command that ran and failed ends the process with
/// its own exit code.
pub fn run(verb: Verb) -> Result<(), String> {
    match verb {
        Verb::Get(verb) => Session::run(&verb.target.clone(), async |session| get::run(session, verb).await),
        Verb::Describe(verb) => {
            Session::run(&verb.target.clone(), async |session| describe::run(session, verb).await)
        }
        Verb::Apply(verb) => {
            Session::run(&verb.target.clone(), async |session| apply::run(session, verb).await)
        }
        Verb::Delete(verb) => {
            Session::run(&verb.target.clone(), async |session| delete::run(session, verb).await)
        }
        Verb::Logs(verb) => {
            Session::run(&verb.target.clone(), async |session| logs::run(session, verb).await)
        }
        Verb::Exec(verb) => {
            let code = Session::run(&verb.target.clone(), async |session| exec::run(session, verb).await)?;
            std::process::exit(code);
        }
        Verb::PortForward(verb) => {
            Session::run(&verb.target.clone(), async |session| port_forward::run(session, verb).await)
        }
        Verb::Run(verb) => Session::run(&verb.target.clone(), async |session| run::run(session, verb).await),
        Verb::Events(verb) => {
            Session::run(&verb.target.clone(), async |session| events::run(session, verb).await)
        }
        Verb::Wait(verb) => {
            Session::run(&verb.target.clone(), async |session| wait::run(session, verb).await)
        }
    }
}
