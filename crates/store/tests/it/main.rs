//! The suite on every authority, a model, and crashes.

mod crash;
mod model;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use store::{Clock, Embedded, Memory, Store};

/// A directory that goes with its owner.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = NEXT.fetch_add(1, Ordering::SeqCst);
        Dir(std::env::temp_dir().join(format!("store-it-{name}-{}-{id}", std::process::id())))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

pub fn manual_clock() -> (Clock, Arc<AtomicI64>) {
    let time = Arc::new(AtomicI64::new(1_000_000));
    let shown = time.clone();
    (Arc::new(move || shown.load(Ordering::SeqCst)), time)
}

pub fn embedded(dir: &Dir, clock: Clock) -> Arc<Store> {
    let fatal = Arc::new(|error: &store::Error| panic!("fatal: {error}"));
    let config = store::embedded::Config::new(&dir.0, clock.clone(), fatal);
    Store::new(Embedded::open(config).expect("open"), clock).expect("connect")
}

fn memory(clock: Clock) -> Arc<Store> {
    Store::new(Memory::new(clock.clone()), clock).expect("connect")
}

#[tokio::test]
async fn memory_passes_the_suite() {
    store::suite::run(async || (memory(manual_clock().0), ())).await;
}

#[tokio::test]
async fn embedded_passes_the_suite() {
    store::suite::run(async || {
        let dir = Dir::new("suite");
        (embedded(&dir, manual_clock().0), dir)
    })
    .await;
}

#[tokio::test]
async fn keys_expire_in_memory_and_durably() {
    let (clock, time) = manual_clock();
    let advance = |by: std::time::Duration| {
        time.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    };
    store::suite::expiry(memory(clock.clone()), advance).await;
    let dir = Dir::new("expiry");
    store::suite::expiry(embedded(&dir, clock.clone()), advance).await;
    assert_eq!(embedded(&dir, clock).dump("/e/").1.len(), 1, "the expiry was logged");
}
