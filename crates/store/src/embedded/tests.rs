//! Recovery of every damage and crash, full disks and failing syncs.

use super::*;
use crate::{Condition, Op};
use bytes::Bytes;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

fn temporary(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("store-{name}-{}", std::process::id()));
    let _may_not_exist = std::fs::remove_dir_all(&dir);
    dir
}

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

fn config(dir: &Path) -> Config {
    Config::new(dir, Arc::new(|| 0), Arc::new(|error| panic!("fatal: {error}")))
}

fn put(n: u32, size: usize) -> Write {
    let value = Bytes::from(vec![n as u8; size]);
    Write { key: format!("/k/{n}").into(), condition: Condition::Absent, op: Op::Put { value, ttl: None } }
}

fn write(store: &Embedded, write: Write) -> Result<Arc<Event>, Error> {
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(store.write(write))
}

fn count(store: &Embedded) -> usize {
    store.published().ledger.entries.len()
}

#[test]
fn survives_reopening_with_history() {
    let dir = Dir(temporary("reopen"));
    let store = Embedded::open(config(&dir.0)).expect("open");
    for n in 0..50 {
        write(&store, put(n, 100)).expect("put");
    }
    write(&store, Write { key: "/k/7".into(), condition: Condition::Exists, op: Op::Delete })
        .expect("delete");
    drop(store);
    let store = Embedded::open(config(&dir.0)).expect("reopen");
    assert_eq!((count(&store), store.published().ledger.revision), (49, 52));
    let cache = crate::cache::Cache::new();
    store.connect(cache.clone()).expect("connect");
    assert_eq!(cache.since("", 1).expect("history of the log").events.len(), 51);
}

#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let dir = Dir(temporary("torn"));
    let store = Embedded::open(config(&dir.0)).expect("open");
    for n in 0..3 {
        write(&store, put(n, 40)).expect("put");
    }
    drop(store);
    let log = dir.0.join("store").join(log::segment_name(2));
    let whole = std::fs::read(&log).expect("read");
    let bytes = Bytes::from(whole.clone());
    // Where each batch ends, without its padding.
    let (mut ends, mut at) = (Vec::new(), format::SEGMENT_HEADER);
    while let Some((_, next)) = format::read_batch(&bytes, at) {
        ends.push(at + 16 + format::u32_at(&bytes, at + 4).expect("length") as usize);
        at = next;
    }
    assert_eq!(ends.len(), 3);
    for cut in (0..ends[2]).step_by(3) {
        std::fs::write(&log, &whole[..cut]).expect("cut");
        let store = Embedded::open(config(&dir.0)).expect("open");
        let intact = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(count(&store), intact, "cut at {cut}");
        write(&store, put(9, 40)).expect("goes on");
        drop(store);
        let store = Embedded::open(config(&dir.0)).expect("open again");
        assert_eq!(count(&store), intact + 1, "cut at {cut}");
    }
}

#[test]
fn damage_in_the_middle_is_refused() {
    let dir = Dir(temporary("damage"));
    let store = Embedded::open(config(&dir.0)).expect("open");
    for n in 0..3 {
        write(&store, put(n, 40)).expect("put");
    }
    drop(store);
    let log = dir.0.join("store").join(log::segment_name(2));
    let whole = std::fs::read(&log).expect("read");
    for at in [0, 9, format::SEGMENT_HEADER, format::SEGMENT_HEADER + 5, format::SEGMENT_HEADER + 70] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&log, &damaged).expect("damage");
        let error = Embedded::open(config(&dir.0)).err().expect("refused");
        assert!(error.to_string().contains("is damaged at byte"), "{error}");
    }
    std::fs::write(&log, &whole).expect("mend");
    assert_eq!(count(&Embedded::open(config(&dir.0)).expect("open")), 3);
}

#[test]
fn one_opener_and_no_newer_version() {
    let dir = Dir(temporary("lock"));
    let first = Embedded::open(config(&dir.0)).expect("open");
    let error = Embedded::open(config(&dir.0)).err().expect("locked");
    assert!(error.to_string().ends_with(&format!("is in use by process {}", std::process::id())), "{error}");
    drop(first);
    std::fs::write(dir.0.join("store/FORMAT"), "minke-store 2\n").expect("write");
    let error = Embedded::open(config(&dir.0)).err().expect("newer");
    assert!(error.to_string().contains("was written by a newer version of Minke"), "{error}");
}

#[test]
fn checkpoints_replace_the_log() {
    let dir = Dir(temporary("checkpoint"));
    let mut small = config(&dir.0);
    small.checkpoint_log_bytes = 4096;
    let store = Embedded::open(small).expect("open");
    for round in 0..40 {
        for n in 0..4 {
            let mut next = put(n, 500);
            next.condition = if round == 0 { Condition::Absent } else { Condition::Exists };
            write(&store, next).expect("put");
        }
    }
    drop(store);
    let names = checkpoint::list(&dir.0.join("store")).expect("list");
    assert_eq!(names.iter().filter(|n| n.starts_with("checkpoint-")).count(), 1, "{names:?}");
    assert!(names.iter().filter(|n| n.starts_with("log-")).count() <= 2, "{names:?}");
    let store = Embedded::open(config(&dir.0)).expect("reopen");
    assert_eq!((count(&store), store.published().ledger.revision), (4, 161));
}

/// A disk with a budget of bytes beyond which it is full, and a switch that makes syncs fail.
struct Faulty {
    file: Box<dyn LogFile>,
    budget: Arc<AtomicI64>,
    broken: Arc<AtomicBool>,
}

impl LogFile for Faulty {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.budget.fetch_sub(bytes.len() as i64, Ordering::SeqCst) < bytes.len() as i64 {
            self.file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        self.file.sync_data()
    }
}

fn faulty(dir: &Path) -> (Config, Arc<AtomicI64>, Arc<AtomicBool>) {
    let (budget, broken) = (Arc::new(AtomicI64::new(i64::MAX)), Arc::new(AtomicBool::new(false)));
    let mut config = config(dir);
    let (b, f) = (budget.clone(), broken.clone());
    config.open_log = Arc::new(move |path| {
        let file = log::open_file(path)?;
        Ok(Box::new(Faulty { file, budget: b.clone(), broken: f.clone() }) as Box<dyn LogFile>)
    });
    (config, budget, broken)
}

#[test]
fn a_full_disk_fails_the_write_and_nothing_else() {
    let dir = Dir(temporary("full"));
    let (config, budget, _) = faulty(&dir.0);
    let store = Embedded::open(config).expect("open");
    write(&store, put(1, 100)).expect("put");
    for (n, room) in [(2, 0), (3, 50), (4, 1000)] {
        budget.store(room, Ordering::SeqCst);
        let error = write(&store, put(n, crate::limits::MAX_VALUE - n as usize)).err();
        // The zero-filled part still takes small batches; a large one needs room.
        assert!(matches!(error, Some(Error::NoSpace(_))) || room == 0 && error.is_none(), "{error:?}");
    }
    budget.store(i64::MAX, Ordering::SeqCst);
    let before = count(&store);
    write(&store, put(5, 100)).expect("there is space again");
    let revision = store.published().ledger.revision;
    drop(store);
    let store = Embedded::open(self::config(&dir.0)).expect("reopen");
    assert_eq!((count(&store), store.published().ledger.revision), (before + 1, revision));
}

#[test]
fn a_failed_sync_is_fatal_and_shows_nothing() {
    let dir = Dir(temporary("sync"));
    let (mut config, _, broken) = faulty(&dir.0);
    let told = Arc::new(AtomicBool::new(false));
    let hook = told.clone();
    config.on_fatal = Arc::new(move |_| hook.store(true, Ordering::SeqCst));
    let store = Embedded::open(config).expect("open");
    write(&store, put(1, 10)).expect("put");
    broken.store(true, Ordering::SeqCst);
    assert!(matches!(write(&store, put(2, 10)), Err(Error::Stopped(_))));
    assert!(told.load(Ordering::SeqCst) && count(&store) == 1);
    broken.store(false, Ordering::SeqCst);
    assert!(matches!(write(&store, put(3, 10)), Err(Error::Stopped(_))), "it stays stopped");
}
