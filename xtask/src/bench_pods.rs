//! Pods one after another, as a client sees them: create to Running in a watch, delete to gone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::{Change, Client, Https, Kubeconfig, Options, Reflector};
use env::Env;
use serde_json::json;

use crate::bench::report;

/// Running is told when the program is executed; the kernel drops a SIGTERM for the first process
/// of a container that has not installed its handler yet, which is not what is measured here.
const HANDLERS: Duration = Duration::from_millis(100);

pub fn one_by_one(kubeconfig: &Path, count: usize) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(run(kubeconfig, count))
}

async fn run(kubeconfig: &Path, count: usize) -> Result<(), String> {
    let env = Env::system();
    let config = Kubeconfig::read(kubeconfig, None)?;
    let client = Client::new(Arc::new(Https::new(&env, &config)?), "bench");
    let mut pods = Reflector::start(&env, client.pods(), "default", Options::default());
    pods.wait_synced().await;
    let (mut created, mut deleted) = (Vec::new(), Vec::new());
    for i in 0..count {
        let name = format!("bench-{i}");
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "minke.local/toolbox", "imagePullPolicy": "IfNotPresent",
                "args": ["sleep", "infinity"]}]},
        });
        let start = env.instant();
        client.pods().create("default", pod).await.map_err(|status| status.to_string())?;
        until(&mut pods, |change| {
            matches!(change, Change::Set { new, .. }
            if new["metadata"]["name"] == name.as_str() && new["status"]["phase"] == "Running")
        })
        .await?;
        created.push(start.elapsed().as_secs_f64() * 1e3);
        env.sleep(HANDLERS).await;
        let start = env.instant();
        client
            .pods()
            .delete("default", &name, Options::default())
            .await
            .map_err(|status| status.to_string())?;
        until(
            &mut pods,
            |change| matches!(change, Change::Gone(pod) if pod["metadata"]["name"] == name.as_str()),
        )
        .await?;
        deleted.push(start.elapsed().as_secs_f64() * 1e3);
    }
    report("Pod create -> Running", &mut created);
    report("Pod delete -> gone", &mut deleted);
    Ok(())
}

async fn until(pods: &mut Reflector, wanted: impl Fn(&Change) -> bool) -> Result<(), String> {
    while let Some(change) = pods.changes.recv().await {
        if wanted(&change) {
            return Ok(());
        }
    }
    Err("the watch ended".into())
}
