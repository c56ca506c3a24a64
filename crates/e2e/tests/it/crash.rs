//! `kill -9` of the daemon in the middle of many writes, again and again: nothing that was
//! acknowledged or seen is lost, no revision is given twice, and containers never notice.
//! `MINKE_CRASH_ROUNDS` says how often (default 5).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use client::{Client, Https, Kubeconfig, Resource, WatchEvent};
use env::Env;
use futures_util::StreamExt;
use serde_json::{Value, json};
use testkit::{Cluster, wait_for};

use crate::toolbox_pod;

const WRITERS: usize = 4;
/// Acknowledged writes before the daemon is killed.
const WRITES_PER_ROUND: usize = 60;

/// What one client knows for certain after its connection broke.
#[derive(Default)]
struct Known {
    /// Revision of every object's last acknowledged write; `None` for an acknowledged deletion.
    objects: BTreeMap<String, Option<u64>>,
    /// The object of the write whose answer never came: it may have happened or not.
    uncertain: Option<String>,
    /// Every revision that an answer or a watch gave, and to which object.
    revisions: BTreeMap<u64, String>,
}

/// What outlives all rounds.
#[derive(Default)]
struct Ledger {
    objects: BTreeMap<String, Option<u64>>,
    revisions: BTreeMap<u64, String>,
    highest: u64,
    acknowledged: usize,
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a resource version")
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().expect("a name").to_string()
}

/// Runs async work of a client on a thread inside the cluster's network.
fn with_client<R: Send>(cluster: &Cluster, work: impl AsyncFnOnce(Resource) -> R + Send) -> R {
    let kubeconfig = Kubeconfig::read(&cluster.dir().join("admin.kubeconfig"), None).expect("a kubeconfig");
    cluster.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let https = Https::new(&Env::system(), &kubeconfig).expect("a client");
            work(Client::new(Arc::new(https), "crash-test").resource("", "v1", "configmaps")).await
        })
    })
}

/// Creates, updates and deletes until the connection breaks.
async fn write(maps: Resource, prefix: String, acknowledged: &AtomicUsize) -> Known {
    let mut known = Known::default();
    for number in 0.. {
        let target = format!("{prefix}-{}", number - number % 3);
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": target}, "data": {"n": number.to_string()}});
        let deletes = number % 9 == 8;
        let outcome = match number % 3 {
            0 => maps.create("default", object).await,
            _ if deletes => maps.delete("default", &target, client::Options::default()).await,
            _ => maps.update("default", &target, "", object).await,
        };
        match outcome {
            Ok(_) if deletes => drop(known.objects.insert(target, None)),
            Ok(object) => {
                let revision = version(&object);
                let other = known.revisions.insert(revision, target.clone());
                assert_eq!(other, None, "revision {revision} was given twice");
                known.objects.insert(target, Some(revision));
            }
            Err(status) => {
                assert!(!matches!(status.code, 400..=499), "a write was refused: {status:?}");
                known.uncertain = Some(target);
                return known;
            }
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    known
}

/// Revisions a watch shows until the connection breaks.
async fn observe(maps: Resource, watching: &AtomicBool) -> BTreeMap<u64, String> {
    let mut seen = BTreeMap::new();
    let mut events = maps.watch("default", client::Options::default()).await.expect("a watch");
    watching.store(true, Ordering::Release);
    while let Some(event) = events.next().await {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
                seen.insert(version(&object), name(&object));
            }
            _ => {}
        }
    }
    seen
}

/// One round: write, kill in the middle, start again, compare.
fn round(cluster: &Cluster, number: usize, ledger: &mut Ledger) {
    let (acknowledged, watching) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (known, seen) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| with_client(cluster, async |maps| observe(maps, &watching).await));
        wait_for("the watch is open", || watching.load(Ordering::Acquire).then_some(()));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (prefix, acknowledged) = (format!("r{number}-w{writer}"), &acknowledged);
                scope
                    .spawn(move || with_client(cluster, async |maps| write(maps, prefix, acknowledged).await))
            })
            .collect();
        wait_for("writes are acknowledged", || {
            (acknowledged.load(Ordering::Relaxed) >= WRITES_PER_ROUND).then_some(())
        });
        cluster.kill_daemon();
        let known: Vec<Known> = writers.into_iter().map(|writer| writer.join().expect("a writer")).collect();
        (known, watcher.join().expect("the watcher"))
    });
    log_goes_on(cluster);
    let output = cluster.up();
    assert_eq!(output.code, 0, "round {number}: {}", output.stderr);
    ledger.acknowledged += acknowledged.load(Ordering::Relaxed);
    ledger.compare(cluster, number, known, &seen);
}

impl Ledger {
    fn compare(&mut self, cluster: &Cluster, number: usize, known: Vec<Known>, seen: &BTreeMap<u64, String>) {
        let mut uncertain = BTreeSet::new();
        for client in known {
            for (revision, object) in client.revisions {
                let other = self.revisions.insert(revision, object.clone());
                assert_eq!(other, None, "round {number}: revision {revision} of {object} was given before");
                assert!(revision > self.highest, "round {number}: revisions went back to {revision}");
            }
            self.objects.extend(client.objects);
            uncertain.extend(client.uncertain);
        }
        let (list, next) = with_client(cluster, async |maps| {
            let list = maps.list("default", client::Options::default()).await.expect("a list");
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("r{number}-after")}});
            (list, maps.create("default", object).await.expect("created"))
        });
        let found: BTreeMap<String, u64> =
            list.items.iter().map(|object| (name(object), version(object))).collect();
        let newest =
            self.revisions.keys().chain(seen.keys()).chain(found.values()).max().copied().unwrap_or_default();
        for (object, revision) in self.objects.iter().filter(|(object, _)| !uncertain.contains(*object)) {
            assert_eq!(
                found.get(object),
                revision.as_ref(),
                "round {number}: {object} as it was acknowledged"
            );
        }
        for (revision, object) in seen {
            let now = found.get(object);
            let held = now >= Some(revision) || now.is_none();
            assert!(held, "round {number}: {object} was seen at {revision}, is at {now:?}");
        }
        // What the crash left open is known now.
        for object in uncertain {
            self.objects.insert(object.clone(), found.get(&object).copied());
        }
        self.highest = version(&next);
        assert!(self.highest > newest, "round {number}: {} follows {newest}", self.highest);
        self.objects.insert(name(&next), Some(self.highest));
        self.revisions.insert(self.highest, name(&next));
    }
}

/// The supervisor writes the container's log while there is no daemon.
fn log_goes_on(cluster: &Cluster) {
    let pods = fs::read_dir(cluster.dir().join("log/pods")).expect("logs");
    let path = pods.flatten().next().expect("one Pod").path().join("app/0.log");
    let length = || fs::metadata(&path).expect("a log").len();
    let before = length();
    wait_for("the log grows without the daemon", || (length() > before).then_some(()));
}

#[test]
fn nothing_acknowledged_is_lost_and_containers_never_notice() {
    let rounds =
        std::env::var("MINKE_CRASH_ROUNDS").map_or(5, |text| text.parse().expect("a number of rounds"));
    let cluster = Cluster::start("crash", &[]);
    cluster.apply(&toolbox_pod("ticker", "[tick, '20']", "restartPolicy: Always"));
    cluster.wait_field("pod", "ticker", ".status.phase", "Running");
    let id = cluster.field("pod", "ticker", ".status.containerStatuses[0].containerID");
    let mut ledger = Ledger::default();
    for number in 0..rounds {
        round(&cluster, number, &mut ledger);
        let output = cluster.kubectl(&["exec", "ticker", "--", "/toolbox", "echo", "adopted"]);
        assert_eq!(output.stdout, "adopted\n", "round {number}: {}", output.stderr);
    }
    assert_eq!(cluster.field("pod", "ticker", ".status.containerStatuses[0].containerID"), id);
    assert_eq!(cluster.field("pod", "ticker", ".status.containerStatuses[0].restartCount"), "0");
    let log = cluster.kubectl_ok(&["logs", "ticker"]);
    let numbers: Vec<u64> = log.lines().map(|line| line.parse().expect("a number")).collect();
    let whole: Vec<u64> = (0..numbers.len() as u64).collect();
    assert_eq!(numbers, whole, "no line is missing or doubled");
    println!(
        "{rounds} rounds: {} acknowledged writes, {} revisions, {} log lines, nothing lost",
        ledger.acknowledged,
        ledger.revisions.len(),
        numbers.len()
    );
}

/// The program that the node's supervisor runs.
fn supervisor_program(cluster: &Cluster) -> PathBuf {
    let dir = cluster.dir().to_string_lossy().into_owned();
    let found = fs::read_dir("/proc").expect("/proc").flatten().find(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        command.contains(" supervisor ") && command.contains(&dir)
    });
    fs::read_link(found.expect("the supervisor runs").path().join("exe")).expect("a program")
}

#[test]
fn a_new_program_takes_over_from_the_old_one() {
    let mut cluster = Cluster::start("upgrade", &[]);
    cluster.apply(&toolbox_pod("ticker", "[tick, '20']", "restartPolicy: Always"));
    cluster.wait_field("pod", "ticker", ".status.phase", "Running");
    let id = cluster.field("pod", "ticker", ".status.containerStatuses[0].containerID");
    let old = supervisor_program(&cluster);
    cluster.stop_daemon();
    log_goes_on(&cluster);
    cluster.upgrade_program();
    let output = cluster.up();
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_ne!(supervisor_program(&cluster), old, "the supervisor runs the new program as well");
    assert_eq!(cluster.kubectl_ok(&["exec", "ticker", "--", "/toolbox", "echo", "adopted"]), "adopted\n");
    log_goes_on(&cluster);
    assert_eq!(cluster.field("pod", "ticker", ".status.containerStatuses[0].containerID"), id);
    assert_eq!(cluster.field("pod", "ticker", ".status.containerStatuses[0].restartCount"), "0");
    let log = cluster.kubectl_ok(&["logs", "ticker"]);
    let numbers: Vec<u64> = log.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "no line is missing or doubled");
    cluster.kubectl_ok(&["delete", "pod", "ticker", "--now"]);
}
