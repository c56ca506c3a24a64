//! Durable puts per second at 1 and 64 writers, 1 KiB values. Usage: `bench [directory] [seconds]`.

use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Clock, Embedded, Store};

#[allow(clippy::disallowed_methods, reason = "a bench measures the real clock")]
#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let parent = args.next().unwrap_or_else(|| ".".into());
    let seconds = args.next().and_then(|n| n.parse().ok()).unwrap_or(3);
    for writers in [1, 4, 16, 64, 256] {
        let dir = std::path::Path::new(&parent).join(format!("store-bench-{}", std::process::id()));
        let clock: Clock = Arc::new(|| 0);
        let fatal = Arc::new(|error: &store::Error| panic!("fatal: {error}"));
        let config = store::embedded::Config::new(&dir, clock.clone(), fatal);
        let store = Store::new(Embedded::open(config).expect("open"), clock).expect("connect");
        store.register("/registry/pods/");
        let until = Instant::now() + Duration::from_secs(seconds);
        let tasks: Vec<_> = (0..writers).map(|n| tokio::spawn(write(store.clone(), n, until))).collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.expect("writer"));
        }
        times.sort_unstable();
        println!(
            "{writers:4} writers: {:7} puts/s, p50 {:?}, p99 {:?}",
            times.len() as u64 / seconds,
            times[times.len() / 2],
            times[times.len() * 99 / 100]
        );
        drop(store);
        std::fs::remove_dir_all(&dir).expect("clean up");
    }
}

#[allow(clippy::disallowed_methods, reason = "a bench measures the real clock")]
/// Creates 1,000 keys per writer, then updates them in turn.
async fn write(store: Arc<Store>, writer: usize, until: Instant) -> Vec<Duration> {
    let value = Bytes::from(vec![b'x'; 1024]);
    let mut keys: Vec<(String, u64)> =
        (0..1000).map(|n| (format!("/registry/pods/ns{writer}/{n}"), 0)).collect();
    let mut times = Vec::new();
    loop {
        for (key, revision) in &mut keys {
            let start = Instant::now();
            if start >= until {
                return times;
            }
            let entry = match *revision {
                0 => store.create(key, value.clone(), None).await,
                at => store.update(key, value.clone(), at, None).await,
            };
            *revision = entry.expect("put").mod_revision;
            times.push(start.elapsed());
        }
    }
}
