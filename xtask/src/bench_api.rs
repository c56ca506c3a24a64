//! `cargo xtask bench api PROGRAM`: the API server alone under a bounded load, as a client meets it over HTTPS:
//! CPU of the server for each GET, POST and watch event, latency of a POST, a LIST of 5,000 Pods, memory for each
//! stored Pod. The Pods name a scheduler that does not exist, so that nobody else writes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Https, Kubeconfig, Options, Patch, Resource, WatchEvent};
use env::Env;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bench::{Bed, cpu_seconds, pss_kib, report};

const ONE_BY_ONE: usize = 300;
const PODS: usize = 5_000;
const GETS: usize = 20_000;
const AT_ONCE: usize = 32;
const LISTS: usize = 10;
const WATCHERS: usize = 1_000;
/// A server allows so many requests at once on one connection.
const WATCHERS_OF_ONE_CONNECTION: usize = 90;
const EVENTS: usize = 100;

pub fn run(program: &Path) -> Result<(), String> {
    let bed = Bed::new(program, "api");
    bed.minke(&["up", "--api-only", "--detach", "--data-dir", bed.dir()])?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let pid = bed.pid()?;
    runtime.block_on(measure(&bed.dir_path().join("admin.kubeconfig"), &pid))
}

fn connect(env: &Env, config: &Kubeconfig) -> Result<Client, String> {
    Ok(Client::new(Arc::new(Https::new(env, config)?), "bench"))
}

async fn measure(kubeconfig: &Path, pid: &str) -> Result<(), String> {
    let env = Env::system();
    let config = Kubeconfig::read(kubeconfig, None)?;
    let client = connect(&env, &config)?;
    let pods = client.pods();
    for i in 0..20 {
        create(&pods, &format!("warm-{i}")).await?;
    }
    let memory = pss_kib(pid)?;
    let (mut latencies, before) = (Vec::new(), cpu_seconds(pid)?);
    for i in 0..ONE_BY_ONE {
        let start = env.instant();
        create(&pods, &format!("one-{i}")).await?;
        latencies.push(start.elapsed().as_secs_f64() * 1e3);
    }
    report("POST of a Pod, one client", &mut latencies);
    each("POST, one client", before, pid, ONE_BY_ONE)?;

    let (start, before) = (env.instant(), cpu_seconds(pid)?);
    let work = futures_util::stream::iter(0..PODS).map(|i| {
        let pods = pods.clone();
        async move { create(&pods, &format!("many-{i}")).await }
    });
    let failed =
        work.buffer_unordered(AT_ONCE).filter_map(|done| async { done.err() }).collect::<Vec<_>>().await;
    if let Some(error) = failed.first() {
        return Err(error.clone());
    }
    println!("POST, {AT_ONCE} at once: {:.0}/s", PODS as f64 / start.elapsed().as_secs_f64());
    each("POST, many at once", before, pid, PODS)?;
    let stored = PODS + ONE_BY_ONE;
    println!("memory for each stored Pod: {:.1} KB", (pss_kib(pid)? as f64 - memory as f64) / stored as f64);

    let before = cpu_seconds(pid)?;
    let work = futures_util::stream::iter(0..GETS).map(|i| {
        let pods = pods.clone();
        async move {
            pods.get("default", &format!("many-{}", i % PODS)).await.map_err(|status| status.to_string())
        }
    });
    let failed =
        work.buffer_unordered(AT_ONCE).filter_map(|done| async { done.err() }).collect::<Vec<_>>().await;
    if let Some(error) = failed.first() {
        return Err(error.clone());
    }
    each("GET of a Pod", before, pid, GETS)?;
    lists(&env, &config, pid).await?;
    watches(&env, &config, &pods, pid).await
}

fn each(what: &str, before: f64, pid: &str, count: usize) -> Result<(), String> {
    println!("{what}: {:.1} us of server CPU each", (cpu_seconds(pid)? - before) * 1e6 / count as f64);
    Ok(())
}

async fn create(pods: &Resource, name: &str) -> Result<(), String> {
    pods.create("default", pod(name)).await.map(|_| ()).map_err(|status| status.to_string())
}

/// A Pod as a Deployment makes them.
fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench", "tier": "backend"}},
        "spec": {"schedulerName": "nobody", "containers": [{
            "name": "app", "image": "registry.example/app:1.0",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "ports": [{"containerPort": 8080, "name": "http"}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
        }]},
    })
}

/// Whole bodies by a connection of their own, so that reading JSON is not measured.
async fn lists(env: &Env, config: &Kubeconfig, pid: &str) -> Result<(), String> {
    let authority = config.server.trim_start_matches("https://").to_string();
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config.tls(&[b"http/1.1"])?));
    let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host).to_string();
    let (mut times, mut bytes, before) = (Vec::new(), 0, cpu_seconds(pid)?);
    for _ in 0..LISTS {
        let name = host.clone().try_into().map_err(|_| "the server has no usable name".to_string())?;
        let stream = tokio::net::TcpStream::connect(&authority).await.map_err(|error| error.to_string())?;
        let mut stream = tls.connect(name, stream).await.map_err(|error| error.to_string())?;
        let start = env.instant();
        let request = format!(
            "GET /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut body = Vec::with_capacity(64 << 20);
        // The end of a connection that nobody announced is the end of the body.
        let _ = stream.read_to_end(&mut body).await;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        bytes = body.len();
    }
    println!("LIST of {} Pods: {:.1} MB", PODS + ONE_BY_ONE, bytes as f64 / 1e6);
    report("LIST", &mut times);
    each("LIST", before, pid, LISTS)
}

async fn watches(env: &Env, config: &Kubeconfig, pods: &Resource, pid: &str) -> Result<(), String> {
    let now =
        pods.list("default", Options { limit: 1, ..Options::default() }).await.map_err(|s| s.to_string())?;
    let options = Options { resource_version: now.resource_version.to_string(), ..Options::default() };
    let mut tasks = Vec::new();
    let mut client = connect(env, config)?;
    for i in 0..WATCHERS {
        if i % WATCHERS_OF_ONE_CONNECTION == 0 {
            client = connect(env, config)?;
        }
        let stream =
            client.pods().watch("default", options.clone()).await.map_err(|status| status.to_string())?;
        tasks.push(env.spawn(async move {
            let events = stream.filter(|event| std::future::ready(matches!(event, WatchEvent::Modified(_))));
            events.take(EVENTS).count().await
        }));
    }
    let (start, before) = (env.instant(), cpu_seconds(pid)?);
    for i in 0..EVENTS {
        let body = json!({"metadata": {"labels": {"round": i.to_string()}}});
        let name = format!("many-{i}");
        pods.patch(Patch::Merge, "default", &name, "", body).await.map_err(|status| status.to_string())?;
    }
    for task in tasks {
        let seen = tokio::time::timeout(Duration::from_secs(60), task).await.map_err(|_| "a watch hangs")?;
        if seen.map_err(|error| error.to_string())? != EVENTS {
            return Err("a watch ended early".into());
        }
    }
    println!("{EVENTS} events to {WATCHERS} watchers: {:.2} s", start.elapsed().as_secs_f64());
    each("watch event", before, pid, EVENTS * WATCHERS)
}
