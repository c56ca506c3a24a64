//! kill -9 under load: nothing acknowledged is lost, no revision is used twice.
//!
//! The child is this test binary again, told by the environment to write and to print each
//! acknowledgement. `STORE_CRASH_ROUNDS` sets the number of rounds.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

const CHILD: &str = "STORE_CRASH_CHILD";

#[allow(clippy::disallowed_methods, reason = "the store knows no env")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(work)
}

/// Not a test of its own: what the child does.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let dir = std::mem::ManuallyDrop::new(super::Dir(dir.into()));
    let clock: store::Clock = Arc::new(|| 0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    runtime.expect("runtime").block_on(async {
        let fatal = Arc::new(|error: &store::Error| panic!("fatal: {error}"));
        let mut config = store::embedded::Config::new(&dir.0, clock.clone(), fatal);
        config.checkpoint_log_bytes = 64 * 1024;
        let store = store::Store::new(store::Embedded::open(config).expect("open"), clock).expect("connect");
        let round = store.revision();
        let writer = |n: u32| {
            let store = store.clone();
            async move {
                for i in 0.. {
                    let key = format!("/c/{round}/{n}/{i}");
                    let entry = store.create(&key, vec![7; 200].into(), None).await.expect("create");
                    writeln!(std::io::stdout().lock(), "ack {key} {}", entry.mod_revision).expect("print");
                }
            }
        };
        let writers: Vec<_> = (0..8).map(|n| spawn(writer(n))).collect();
        futures_util::future::join_all(writers).await;
    });
}

#[test]
fn kill_under_load_loses_nothing() {
    let rounds = std::env::var("STORE_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let dir = super::Dir::new("crash");
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    let mut revisions = std::collections::HashSet::new();
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
            .env(CHILD, &dir.0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("child");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            let mut words = line.split(' ').skip_while(|word| *word != "ack").skip(1);
            let (Some(key), Some(Ok(revision))) = (words.next(), words.next().map(str::parse::<u64>)) else {
                continue;
            };
            assert!(revisions.insert(revision), "revision {revision} was used twice");
            acknowledged.insert(key.into(), revision);
            seen += 1;
            if seen == 400 + round * 37 {
                child.kill().expect("kill -9");
            }
        }
        child.wait().expect("reaped");
        let store = super::embedded(&dir, super::manual_clock().0);
        for (key, revision) in &acknowledged {
            let entry = store.get(key).unwrap_or_else(|| panic!("{key} was acknowledged and is lost"));
            assert_eq!(entry.mod_revision, *revision);
        }
        assert!(revisions.iter().max() <= Some(&store.revision()));
    }
}
