//! Keeps the taints of nodes in line with their conditions: see `controllers::node_taints`.

use apimachinery::meta;
use client::{Cache, Change, Client, Options, Patch, Queue, Reflector};
use controllers::node_taints::plan;
use env::Env;
use serde_json::json;

pub async fn run(env: Env, informers: Client, client: Client) {
    let mut nodes = Reflector::start(&env, informers.nodes(), "", Options::default());
    let queue: Queue<String> = Queue::new();
    let (worker_queue, cache) = (queue.clone(), nodes.cache.clone());
    env.spawn(async move {
        while let Some(name) = worker_queue.next().await {
            match sync(&client, &cache, &name).await {
                Ok(()) => worker_queue.forget(&name),
                Err(status) => {
                    tracing::debug!(node = name, %status, "taints not written");
                    worker_queue.add_rate_limited(name.clone());
                }
            }
            worker_queue.done(&name);
        }
    });
    while let Some(change) = nodes.changes.recv().await {
        if let Change::Set { new, .. } = change {
            queue.add(meta::name(&new).to_string());
        }
    }
    queue.shut_down();
}

async fn sync(client: &Client, cache: &Cache, name: &str) -> client::Result<()> {
    let Some(node) = cache.get("", name) else { return Ok(()) };
    if let Some(taints) = plan(&node) {
        let patch = json!({
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"taints": taints},
        });
        client.nodes().patch(Patch::Merge, "", name, "", patch).await?;
    }
    Ok(())
}
