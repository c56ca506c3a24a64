//! `run`: one image in one Pod.

use apimachinery::validation::dns1123_subdomain;
use clap::Args;
use serde_json::json;

use crate::Target;
use crate::session::{Session, server_error};

#[derive(Args)]
pub struct Run {
    /// Name of the Pod
    name: String,
    /// Image
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Always, IfNotPresent or Never
    #[arg(long, value_name = "POLICY")]
    image_pull_policy: Option<String>,
    /// Always, OnFailure or Never
    #[arg(long, default_value = "Always", value_name = "POLICY")]
    restart: String,
    /// Port the container listens on
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Environment (NAME=VALUE)
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Labels (key=value,...)
    #[arg(short, long, value_name = "LABELS")]
    labels: Option<String>,
    /// The words after -- are the command, not its arguments
    #[arg(long)]
    command: bool,
    /// Arguments for the container
    #[arg(last = true)]
    args: Vec<String>,
    #[command(flatten)]
    pub target: Target,
}

pub async fn run(session: &Session, run: Run) -> Result<(), String> {
    if let Some(problem) = dns1123_subdomain(&run.name).first() {
        return Err(format!("invalid name {:?}: {problem}", run.name));
    }
    let mut container = json!({"name": run.name, "image": run.image});
    if let Some(policy) = &run.image_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    if let Some(port) = run.port {
        container["ports"] = json!([{"containerPort": port}]);
    }
    if !run.args.is_empty() {
        container[if run.command { "command" } else { "args" }] = json!(run.args);
    }
    let mut env = Vec::new();
    for pair in &run.env {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("invalid env: {pair}"))?;
        env.push(json!({"name": name, "value": value}));
    }
    if !env.is_empty() {
        container["env"] = json!(env);
    }
    let mut labels = json!({"run": run.name});
    for pair in run.labels.iter().flat_map(|l| l.split(',')) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("invalid label: {pair}"))?;
        labels[key] = json!(value);
    }
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": run.name, "labels": labels},
        "spec": {"containers": [container], "restartPolicy": run.restart},
    });
    session.client.pods().create(&session.namespace, pod).await.map_err(server_error)?;
    println!("pod/{} created", run.name);
    Ok(())
}
