//! Collects Pods that nobody else will: see `controllers::pod_gc`. Looks every 20 s, as upstream;
//! what it waits for (time passing, a number of Pods) is no event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use apimachinery::meta;
use apimachinery::status::Reason;
use apimachinery::time::Time;
use client::{Cache, Client, Options, Patch, Reflector};
use controllers::pod_gc::{Delete, TERMINATED_MAX, plan};
use env::Env;
use jiff::Timestamp;
use serde_json::json;

const PERIOD: Duration = Duration::from_secs(20);

pub async fn run(env: Env, informers: Client, client: Client) {
    let pods = keep(&env, &informers, "pods").await;
    let nodes = keep(&env, &informers, "nodes").await;
    let mut missing: BTreeMap<String, Timestamp> = BTreeMap::new();
    loop {
        env.sleep(PERIOD).await;
        let now = env.now();
        let known: BTreeSet<String> = nodes.all().iter().map(|node| meta::name(node).to_string()).collect();
        let all = pods.all();
        let named = all.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).filter(|n| !n.is_empty());
        let gone: BTreeSet<String> = named.filter(|n| !known.contains(*n)).map(str::to_string).collect();
        missing.retain(|name, _| gone.contains(name));
        for name in gone {
            missing.entry(name).or_insert(now);
        }
        let since = |name: &str| missing.get(name).copied();
        for delete in plan(all.iter().map(|pod| &**pod), &known, since, TERMINATED_MAX, now) {
            if let Err(status) = apply(&client, &delete, now).await {
                tracing::debug!(pod = delete.name, %status, "pod not collected");
            }
        }
    }
}

async fn keep(env: &Env, client: &Client, resource: &str) -> Cache {
    let mut reflector = Reflector::start(env, client.resource("", "v1", resource), "", Options::default());
    let cache = reflector.cache.clone();
    reflector.wait_synced().await;
    env.spawn(async move { while reflector.changes.recv().await.is_some() {} });
    cache
}

async fn apply(client: &Client, delete: &Delete, now: Timestamp) -> client::Result<()> {
    if delete.mark_failed {
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists",
            "lastTransitionTime": Time(now).to_string(),
        });
        let patch = json!({"metadata": {"uid": delete.uid}, "status": {"phase": "Failed", "conditions": [condition]}});
        client.pods().patch(Patch::Strategic, &delete.namespace, &delete.name, "status", patch).await?;
    }
    let options = Options {
        grace_period_seconds: Some(0),
        precondition_uid: Some(delete.uid.clone()),
        ..Options::default()
    };
    match client.pods().delete(&delete.namespace, &delete.name, options).await {
        Err(status) if !status.is(Reason::NotFound) => Err(status),
        _ => Ok(()),
    }
}
