//! Watches as clients see them.

use super::*;
use apimachinery::meta;
use client::{Patch, WatchEvent, WatchStream};
use futures_util::StreamExt;
use std::time::Duration;

async fn next(stream: &mut WatchStream) -> String {
    let event = tokio::time::timeout(Duration::from_secs(5), stream.next()).await.expect("an event in time");
    let show = |kind: &str, object: &Value| {
        format!("{kind} {} {}", meta::name(object), object["data"]["x"].as_str().unwrap_or("-"))
    };
    match event.expect("an event") {
        WatchEvent::Added(object) => show("added", &object),
        WatchEvent::Modified(object) => show("modified", &object),
        WatchEvent::Deleted(object) => show("deleted", &object),
        WatchEvent::Bookmark { initial_end, .. } => format!("bookmark {initial_end}"),
        WatchEvent::Error(status) => format!("error {} {}", status.code, status.message),
    }
}

#[tokio::test]
async fn changes_come_in_order_and_through_selectors() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    let from = maps.create("default", config_map("a")).await.expect("create");
    let since = meta::resource_version_str(&from).to_owned();
    let mut all =
        maps.watch("default", options(|o| o.resource_version.clone_from(&since))).await.expect("watch");
    let selected = options(|o| {
        o.resource_version.clone_from(&since);
        o.label_selector = "l=1".into();
    });
    let mut some = maps.watch("default", selected).await.expect("watch");
    let label = |value: Value| json!({"metadata": {"labels": {"l": value}}});
    maps.patch(Patch::Merge, "default", "a", "", label(json!("1"))).await.expect("patch");
    maps.patch(Patch::Merge, "default", "a", "", json!({"data": {"x": "2"}})).await.expect("patch");
    maps.patch(Patch::Merge, "default", "a", "", label(json!(null))).await.expect("patch");
    maps.delete("default", "a", Options::default()).await.expect("delete");
    for want in ["modified a 1", "modified a 2", "modified a 2", "deleted a 2"] {
        assert_eq!(next(&mut all).await, want);
    }
    for want in ["added a 1", "modified a 2", "deleted a 2"] {
        assert_eq!(next(&mut some).await, want);
    }
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    for name in ["a", "b"] {
        maps.create("default", config_map(name)).await.expect("create");
    }
    let initial = options(|o| {
        o.send_initial_events = Some(true);
        o.resource_version_match = "NotOlderThan".into();
        o.allow_watch_bookmarks = true;
    });
    let mut stream = maps.watch("default", initial).await.expect("watch");
    for want in ["added a 1", "added b 1", "bookmark true"] {
        assert_eq!(next(&mut stream).await, want);
    }
    maps.create("default", config_map("c")).await.expect("create");
    assert_eq!(next(&mut stream).await, "added c 1");
    let mut plain = maps.watch("default", Options::default()).await.expect("watch");
    assert_eq!(next(&mut plain).await, "added a 1");
    let bad = options(|o| o.send_initial_events = Some(true));
    assert_eq!(failure(maps.watch("default", bad).await.map(|_| ())).0, 422);
}

#[tokio::test]
async fn a_watch_ends_at_its_timeout_with_a_bookmark_before() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    tokio::time::pause();
    let short = options(|o| {
        o.timeout_seconds = Some(10);
        o.allow_watch_bookmarks = true;
    });
    let mut stream = maps.watch("kube-public", short).await.expect("watch");
    assert!(matches!(stream.next().await, Some(WatchEvent::Bookmark { initial_end: false, .. })));
    assert!(stream.next().await.is_none());
}
