//! From nothing to a first Pod: the program is started on an empty directory, and a client that
//! knows only its kubeconfig creates a Pod as soon as it is let.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use client::{Change, Client, Https, Kubeconfig, Options, Reflector};
use env::Env;
use serde_json::json;

/// Between looks at what no event tells of: the kubeconfig's file, an API that does not listen yet.
const STEP: Duration = Duration::from_millis(1);
const DEADLINE: Duration = Duration::from_secs(60);

/// Milliseconds from the program's start to Running in a watch. The daemon is left to the caller.
pub fn first_pod(program: &Path, dir: &Path) -> Result<(f64, Child), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let env = Env::system();
        let start = env.instant();
        let mut up = Command::new(program);
        up.args(["up", "--log", "error", "--data-dir"]).arg(dir);
        up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = up.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let running = tokio::time::timeout(DEADLINE, running(&env, &dir.join("admin.kubeconfig"))).await;
        running.map_err(|_| "the first Pod does not run".to_string())??;
        Ok((start.elapsed().as_secs_f64() * 1e3, child))
    })
}

async fn running(env: &Env, kubeconfig: &Path) -> Result<(), String> {
    while !kubeconfig.exists() {
        env.sleep(STEP).await;
    }
    let config = Kubeconfig::read(kubeconfig, None)?;
    let client = Client::new(Arc::new(Https::new(env, &config)?), "bench");
    let mut pods = Reflector::start(env, client.pods(), "default", Options::default());
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "first"},
        "spec": {"containers": [{"name": "c", "image": "minke.local/toolbox", "args": ["sleep", "infinity"]}]},
    });
    // Refused until the namespace has its service account.
    while client.pods().create("default", pod.clone()).await.is_err() {
        env.sleep(STEP).await;
    }
    while let Some(change) = pods.changes.recv().await {
        if matches!(&change, Change::Set { new, .. } if new["status"]["phase"] == "Running") {
            return Ok(());
        }
    }
    Err("the watch ended".into())
}
