//! The one suite every authority must pass; run by the tests of each implementation.

use crate::{Error, Store};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Runs every case, each on a fresh store from `make`; the second half of the pair is kept alive.
pub async fn run<G>(make: impl AsyncFn() -> (Arc<Store>, G)) {
    conditions(&make().await.0).await;
    revisions(&make().await.0).await;
    watches(&make().await.0).await;
    snapshots(&make().await.0).await;
    prefixes(&make().await.0).await;
    limits_hold(&make().await.0).await;
    races(&make().await.0).await;
    late_registration(&make().await.0).await;
}

async fn conditions(store: &Store) {
    store.register("/a/");
    let first = store.create("/a/x", value("1"), None).await.expect("create");
    assert!(matches!(store.create("/a/x", value("2"), None).await, Err(Error::Exists(e)) if e.value == "1"));
    assert!(matches!(store.update("/a/y", value("2"), 2, None).await, Err(Error::NotFound(_))));
    let second = store.update("/a/x", value("2"), first.mod_revision, None).await.expect("update");
    assert_eq!(second.create_revision, first.create_revision);
    let stale = store.update("/a/x", value("3"), first.mod_revision, None).await;
    assert!(matches!(stale, Err(Error::Conflict(e)) if e.mod_revision == second.mod_revision));
    assert!(matches!(store.delete("/a/x", Some(first.mod_revision)).await, Err(Error::Conflict(_))));
    let gone = store.delete("/a/x", Some(second.mod_revision)).await.expect("delete");
    assert!(gone.deleted && gone.entry.value == "2" && gone.revision > second.mod_revision);
    assert!(matches!(store.delete("/a/x", None).await, Err(Error::NotFound(_))));
    let again = store.create("/a/x", value("4"), None).await.expect("create again");
    assert_eq!(again.create_revision, again.mod_revision);
}

async fn revisions(store: &Store) {
    assert_eq!(store.revision(), 1);
    let mut last = 1;
    for n in 0..20 {
        let entry = store.create(&format!("/r/{n}"), value("v"), None).await.expect("create");
        assert_eq!(entry.mod_revision, last + 1, "one counter, no gaps, no reuse");
        last = entry.mod_revision;
        assert!(store.create(&format!("/r/{n}"), value("v"), None).await.is_err());
        assert_eq!(store.consistent().await.expect("consistent"), last, "a refused write has no revision");
    }
}

async fn watches(store: &Store) {
    store.register("/w/");
    let start = store.revision();
    let mut all = store.watch("/w/", start).expect("watch");
    let mut part = store.watch("/w/b/", start).expect("watch");
    let a = store.create("/w/a/1", value("1"), None).await.expect("create");
    let b = store.create("/w/b/1", value("1"), None).await.expect("create");
    store.create("/other/1", value("1"), None).await.expect("create");
    let a2 = store.update("/w/a/1", value("2"), a.mod_revision, None).await.expect("update");
    store.delete("/w/b/1", None).await.expect("delete");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.extend(all.next().await.expect("next").events);
    }
    let kinds: Vec<_> = seen.iter().map(|e| (&*e.entry.key, e.created(), e.deleted)).collect();
    assert_eq!(
        kinds,
        [("/w/a/1", true, false), ("/w/b/1", true, false), ("/w/a/1", false, false), ("/w/b/1", false, true)]
    );
    assert!(seen.windows(2).all(|pair| pair[0].revision < pair[1].revision));
    assert_eq!(seen[2].prev.as_ref().map(|p| p.value.clone()), Some(value("1")));
    let mut own = Vec::new();
    while own.len() < 2 {
        own.extend(part.next().await.expect("next").events);
    }
    assert_eq!(own[0].revision, b.mod_revision);
    let idle = part.ready().expect("ready");
    assert!(idle.events.is_empty() && idle.revision == store.revision(), "progress without events");
    let mut later = store.watch("/w/", a2.mod_revision).expect("watch from the middle");
    assert_eq!(later.next().await.expect("next").events.len(), 1);
    assert!(matches!(store.watch("/w/", 0), Err(Error::Compacted { .. })));
}

async fn snapshots(store: &Store) {
    store.register("/s/");
    let mut expected = Vec::new();
    for n in 0..10 {
        store.create(&format!("/s/{n}"), value("old"), None).await.expect("create");
        expected.push((store.revision(), n + 1));
    }
    for n in 0..10 {
        store.delete(&format!("/s/{n}"), None).await.expect("delete");
        expected.push((store.revision(), 9 - n));
    }
    for (revision, count) in expected {
        let then = store.list_at("/s/", revision).expect("snapshot");
        assert_eq!((then.revision, then.iter().count()), (revision, count));
    }
    let future = store.revision() + 5;
    assert!(matches!(store.list_at("/s/", future), Err(Error::Future { .. })));
}

async fn prefixes(store: &Store) {
    store.register("/p/");
    for key in ["/p/a/1", "/p/a/2", "/p/ab/1", "/p/b/1"] {
        store.create(key, value("v"), None).await.expect("create");
    }
    let keys = |prefix: &str| {
        let snapshot = store.list(prefix);
        snapshot.iter().map(|e| e.key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(keys("/p/a/"), ["/p/a/1", "/p/a/2"]);
    assert_eq!(keys("/p/").len(), 4);
    let page: Vec<_> = store.list("/p/").starting_at("/p/a/2").map(|e| e.key.to_string()).collect();
    assert_eq!(page, ["/p/a/2", "/p/ab/1", "/p/b/1"]);
    assert_eq!(store.dump("/p/a").1.len(), 3);
}

async fn limits_hold(store: &Store) {
    let big = Bytes::from(vec![0; crate::limits::MAX_VALUE + 1]);
    assert!(matches!(store.create("/l/big", big, None).await, Err(Error::TooLarge { .. })));
    let fits = Bytes::from(vec![0; crate::limits::MAX_VALUE]);
    store.create("/l/fits", fits, None).await.expect("a value of the limit fits");
}

/// Many writers increment one counter by compare-and-swap: no update is lost.
async fn races(store: &Store) {
    store.create("/c/n", value("0"), None).await.expect("create");
    let one = || async {
        for _ in 0..20 {
            loop {
                let now = store.get("/c/n").expect("there");
                let n: u32 = std::str::from_utf8(&now.value).expect("text").parse().expect("number");
                let next = value(&(n + 1).to_string());
                if store.update("/c/n", next, now.mod_revision, None).await.is_ok() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    futures_util::future::join_all((0..8).map(|_| one())).await;
    assert_eq!(store.get("/c/n").expect("there").value, "160");
}

async fn late_registration(store: &Store) {
    let before = store.create("/late/x/1", value("1"), None).await.expect("create");
    store.create("/late/y/1", value("1"), None).await.expect("create");
    store.register("/late/x/");
    assert_eq!(store.list("/late/x/").iter().count(), 1);
    assert_eq!(store.dump("/late/").1.len(), 2);
    let mut watch = store.watch("/late/x/", before.mod_revision - 1).expect("history moved along");
    assert_eq!(watch.next().await.expect("next").events[0].revision, before.mod_revision);
}

/// A key with a time to live goes by an ordinary delete; `advance` moves the clock that the store has.
pub async fn expiry(store: Arc<Store>, advance: impl Fn(Duration)) {
    let entry = store.create("/e/1", value("1"), Some(Duration::from_millis(20))).await.expect("create");
    store.create("/e/2", value("2"), None).await.expect("create");
    let mut watch = store.watch("/e/", store.revision()).expect("watch");
    advance(Duration::from_secs(1));
    let expire = store.clone().run_expiry();
    let batch = tokio::select! {
        biased;
        () = expire => unreachable!("it runs forever"),
        batch = watch.next() => batch.expect("next"),
    };
    assert!(
        batch.events[0].deleted && batch.events[0].prev.as_ref().unwrap().mod_revision == entry.mod_revision
    );
    assert!(store.get("/e/2").is_some());
}
