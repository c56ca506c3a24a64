//! Three API servers on three members of etcd; clients write and watch through all of them while one
//! process after the other is killed. `MINKE_ROBUSTNESS_SECONDS` makes it longer.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::meta;
use client::{Client, Object, Options, Resource, WatchEvent};
use env::Env;
use futures_util::StreamExt;
use serde_json::json;
use tokio::sync::watch;

use crate::checker::{Final, Seen, Write, check};
use crate::servers::Servers;

const SERVERS: usize = 3;
const WRITERS: usize = 6;
/// Longest wait for an answer; then nobody knows.
const PATIENCE: Duration = Duration::from_secs(15);
const LAST: &str = "the-last-one";

fn maps(client: &Client) -> Resource {
    client.resource("", "v1", "configmaps")
}

fn object(name: &str, value: u64) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"robust": "yes"}},
        "data": {"value": value.to_string()}})
}

fn value(object: &Object) -> u64 {
    object["data"]["value"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn ours() -> Options {
    Options { label_selector: "robust=yes".into(), ..Options::default() }
}

/// The revision of a good answer; `Err(true)`: refused for sure, `Err(false)`: nobody knows.
async fn told(call: impl Future<Output = client::Result<Object>>) -> Result<u64, bool> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(object)) => Ok(meta::resource_version(&object).unwrap_or(0)),
        Ok(Err(status)) => Err(matches!(status.code, 404 | 409 | 422)),
        Err(_) => Err(false),
    }
}

/// Creates, updates and deletes through one server, and reads what it wrote through the next one.
async fn write(clients: Arc<Vec<Client>>, me: usize, stop: watch::Receiver<bool>, env: Env) -> Vec<Write> {
    let (near, far) = (maps(&clients[me % SERVERS]), maps(&clients[(me + 1) % SERVERS]));
    let mut history = Vec::new();
    let mut n = 0u64;
    while !*stop.borrow() {
        n += 1;
        let name = format!("w{me}-{n}");
        let mut note = |value, outcome: Result<u64, bool>| {
            if outcome != Err(true) {
                history.push(Write { name: name.clone(), value, revision: outcome.ok() });
            }
            outcome
        };
        let created = note(Some(n), told(near.create("default", object(&name, n))).await);
        let Ok(revision) = created else {
            // Its server may be away.
            env.sleep(Duration::from_millis(50)).await;
            continue;
        };
        // What one server acknowledged every other one shows.
        match tokio::time::timeout(PATIENCE, far.get("default", &name)).await {
            Ok(Ok(read)) => assert!(meta::resource_version(&read) >= Some(revision), "{name} is old"),
            Ok(Err(status)) => assert_ne!(status.code, 404, "{name} was acknowledged at {revision}"),
            Err(_) => {}
        }
        let mut changed = object(&name, n + 1_000_000);
        meta::set_resource_version(&mut changed, Some(revision));
        let updated = note(Some(n + 1_000_000), told(far.update("default", &name, "", changed)).await);
        if updated.is_ok() && n.is_multiple_of(3) {
            // The answer to a deletion is the object that was there; the watch tells its revision.
            let gone = told(near.delete("default", &name, Options::default())).await;
            let _ = note(None, gone.map_or_else(Err, |_| Err(false)));
        }
    }
    history
}

/// Watches, at another server when one is gone, from the revision that was seen last.
async fn look(clients: Arc<Vec<Client>>, me: usize, mut from: u64, env: Env) -> Vec<Seen> {
    let mut history: Vec<Seen> = Vec::new();
    let mut at = me;
    loop {
        let options = Options { resource_version: from.to_string(), ..ours() };
        let maps = maps(&clients[at % SERVERS]);
        let stream = tokio::time::timeout(PATIENCE, maps.watch("default", options)).await;
        let Ok(Ok(mut stream)) = stream else {
            at += 1;
            env.sleep(Duration::from_millis(50)).await;
            continue;
        };
        while let Some(event) = stream.next().await {
            let (object, deleted) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
                WatchEvent::Deleted(object) => (object, true),
                WatchEvent::Bookmark { .. } => continue,
                WatchEvent::Error(status) => {
                    assert_ne!(status.code, 410, "watch {me}: a gap at server {}: {status}", at % SERVERS);
                    break;
                }
            };
            from = meta::resource_version(&object).expect("a revision");
            let name = meta::name(&object).to_string();
            if name == LAST {
                return history;
            }
            history.push(Seen { revision: from, value: value(&object), name, deleted });
        }
        at += 1;
    }
}

async fn everything(client: &Client) -> Final {
    let list = maps(client).list("default", ours()).await.expect("a list");
    let entry = |object: &Object| {
        (meta::name(object).to_string(), (meta::resource_version(object).expect("a revision"), value(object)))
    };
    list.items.iter().map(entry).filter(|(name, _)| name != LAST).collect()
}

/// Kills one process after the other, of both kinds, until the time is over.
async fn disturb(mut servers: Servers, seconds: u64, env: Env) -> Servers {
    let end = env.instant() + Duration::from_secs(seconds);
    let mut victim = 0;
    while env.instant() < end {
        env.sleep(Duration::from_millis(700)).await;
        let of_etcd = victim % 2 == 0;
        let n = (victim / 2) % SERVERS;
        victim += 1;
        if of_etcd {
            servers.etcd.kill(n)
        } else {
            servers.kill(n)
        }
        env.sleep(Duration::from_millis(700)).await;
        let back = env.spawn_blocking(move || {
            if of_etcd {
                servers.etcd.restart(n)
            } else {
                servers.restart(n)
            }
            servers
        });
        servers = back.await.expect("restarted");
        // A member needs a moment to be one of the majority again.
        env.sleep(Duration::from_millis(1500)).await;
    }
    servers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whoever_dies() {
    let seconds = std::env::var("MINKE_ROBUSTNESS_SECONDS").ok().and_then(|text| text.parse().ok());
    let env = Env::system();
    let servers = env.spawn_blocking(|| Servers::start(3, SERVERS)).await.expect("started");
    let clients: Arc<Vec<Client>> = Arc::new((0..SERVERS).map(|n| servers.client(&env, n)).collect());
    let start = maps(&clients[0]).list("default", ours()).await.expect("a list").resource_version;
    let watches: Vec<_> =
        (0..SERVERS).map(|n| env.spawn(look(clients.clone(), n, start, env.clone()))).collect();
    let (stop, stopped) = watch::channel(false);
    let writers: Vec<_> =
        (0..WRITERS).map(|n| env.spawn(write(clients.clone(), n, stopped.clone(), env.clone()))).collect();

    let _servers = disturb(servers, seconds.unwrap_or(18), env.clone()).await;
    stop.send_replace(true);
    let mut writes = Vec::new();
    for writer in writers {
        writes.extend(writer.await.expect("a writer"));
    }
    while told(maps(&clients[0]).create("default", object(LAST, 0))).await == Err(false) {
        env.sleep(Duration::from_millis(50)).await;
    }
    let mut seen = Vec::new();
    for watch in watches {
        let ended = tokio::time::timeout(Duration::from_secs(60), watch).await;
        seen.push(ended.expect("the watch comes to the end").expect("a watch"));
    }
    let mut finals = Vec::new();
    for client in clients.iter() {
        finals.push(everything(client).await);
    }
    let acknowledged = writes.iter().filter(|write| write.revision.is_some()).count();
    println!("{} writes, {acknowledged} acknowledged, {} events", writes.len(), seen[0].len());
    check(&writes, &seen, &finals).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(acknowledged > 100, "it went on all the time: {acknowledged}");
}
