//! What only a cluster of several writers does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use store::{Error, Event, Store, Watcher};
use testkit::etcd::{Etcd as Cluster, free_port};
use tokio::sync::watch;

use super::{config, open, until};

fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Events until one says that it is the last.
async fn until_last(mut watcher: Watcher) -> Vec<Arc<Event>> {
    let mut seen: Vec<Arc<Event>> = Vec::new();
    while seen.last().is_none_or(|event| !event.entry.key.ends_with("/last")) {
        seen.extend(watcher.next().await.expect("no gap").events);
    }
    seen
}

/// Every event's predecessor is what the events before made of its key.
fn check_chain(events: &[Arc<Event>]) {
    assert!(events.windows(2).all(|pair| pair[0].revision <= pair[1].revision), "in order");
    let mut state = std::collections::HashMap::new();
    for event in events {
        let key = event.entry.key.clone();
        let prev = event.prev.as_ref().map(|prev| prev.mod_revision);
        assert_eq!(state.get(&key).copied(), prev, "a gap before revision {} of {key}", event.revision);
        if event.deleted {
            state.remove(&key)
        } else {
            state.insert(key, event.entry.mod_revision)
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_acknowledged_the_other_reads() {
    let cluster = Cluster::start(1, false);
    let (a, b) = (open(config(&cluster)).await, open(config(&cluster)).await);
    for n in 0..200 {
        let (writer, reader) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let key = format!("/x/{n}");
        let entry = writer.create(&key, value("1"), None).await.expect("create");
        assert_eq!(writer.get(&key).expect("own write").mod_revision, entry.mod_revision);
        assert!(reader.consistent().await.expect("consistent") >= entry.mod_revision);
        assert_eq!(reader.get(&key).expect("seen").mod_revision, entry.mod_revision);
        let born = entry.mod_revision;
        let entry = reader.update(&key, value("2"), born, None).await.expect("update");
        assert_eq!(entry.create_revision, born);
        writer.consistent().await.expect("consistent");
        writer.delete(&key, Some(entry.mod_revision)).await.expect("delete");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_beside_our_keys_hold_no_read_up() {
    let cluster = Cluster::start(1, false);
    let mut ours = config(&cluster);
    ours.root = "/registry/".into();
    let store = open(ours).await;
    let stranger = open(config(&cluster)).await;
    let refused = store.create("/other/1", value("1"), None).await;
    assert!(matches!(refused, Err(Error::Io(text)) if text.contains("not below /registry/")));
    for n in 0..10 {
        let beside = stranger.create(&format!("/other/{n}"), value("1"), None).await.expect("create");
        let reached = store.consistent().await.expect("a sign of progress");
        assert!(reached >= beside.mod_revision);
    }
    let future = store.revision() + 1000;
    assert!(matches!(store.wait_for(future).await, Err(Error::Future { .. })), "that is no reason to write");
    assert!(store.revision() < future);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_when_members_die() {
    let mut cluster = Cluster::start(3, true);
    let (a, b) = (open(config(&cluster)).await, open(config(&cluster)).await);
    let watches = [&a, &b].map(|store| store.watch("/w/", store.revision()).expect("watch"));
    let (stop, stopped) = watch::channel(false);
    let write = async {
        let (mut n, mut acknowledged) = (0u32, Vec::new());
        while !*stopped.borrow() {
            n += 1;
            let store = if n % 2 == 0 { &a } else { &b };
            match store.create(&format!("/w/{n}"), value("1"), None).await {
                Ok(entry) => acknowledged.push((entry.key.clone(), entry.mod_revision)),
                Err(Error::Unknown(_) | Error::Io(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        until("a last write", async || {
            matches!(a.create("/w/last", value("1"), None).await, Ok(_) | Err(Error::Exists(_)))
        })
        .await;
        acknowledged
    };
    let kill = async {
        for member in 0..3 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            cluster.kill(member);
            tokio::time::sleep(Duration::from_millis(700)).await;
            cluster.restart(member);
            // A majority must be there before the next one goes.
            let probe = format!("/probe/{member}");
            until("the cluster takes writes", async || {
                matches!(a.create(&probe, value("1"), None).await, Ok(_) | Err(Error::Exists(_)))
            })
            .await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        stop.send_replace(true);
    };
    let [first, second] = watches;
    let (acknowledged, (), first, second) = tokio::join!(write, kill, until_last(first), until_last(second));
    let revisions = |events: &[Arc<Event>]| events.iter().map(|event| event.revision).collect::<Vec<_>>();
    check_chain(&first);
    assert_eq!(revisions(&first), revisions(&second), "both see the same");
    for (key, revision) in &acknowledged {
        let found = first.iter().filter(|event| event.entry.key == *key && event.revision == *revision);
        assert_eq!(found.count(), 1, "{key} was acknowledged");
    }
    assert!(acknowledged.len() > 100, "it went on: {}", acknowledged.len());
}

/// A connection that can be cut: forwards to a member while it is open.
async fn gate(to: SocketAddr, open: watch::Receiver<bool>) -> String {
    let port = free_port();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("bind");
    let forward = async move {
        let mut forwards = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let mut open = open.clone();
            if !*open.borrow() {
                continue;
            }
            forwards.spawn(async move {
                let mut far = tokio::net::TcpStream::connect(to).await?;
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => Ok(()),
                    _ = open.wait_for(|open| !*open) => std::io::Result::Ok(()),
                }
            });
        }
    };
    env::Env::system().spawn(forward);
    format!("http://127.0.0.1:{port}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_away_too_long_starts_over() {
    let cluster = Cluster::start(1, false);
    let direct = cluster.endpoints().remove(0);
    let (door, opened) = watch::channel(true);
    let mut far = config(&cluster);
    far.endpoints = vec![gate(direct.trim_start_matches("http://").parse().expect("address"), opened).await];
    far.compact_interval = None;
    let mut near = config(&cluster);
    near.compact_interval = Some(Duration::from_millis(150));
    let (away, here) = (open(far).await, open(near).await);
    away.register("/x/");
    let kept = here.create("/x/kept", value("1"), None).await.expect("create");
    let gone = here.create("/x/gone", value("1"), None).await.expect("create");
    away.wait_for(gone.mod_revision).await.expect("seen");
    let mut watcher = away.watch("/x/", gone.mod_revision).expect("watch");

    door.send_replace(false);
    here.delete("/x/gone", None).await.expect("delete");
    let new = here.create("/x/new", value("1"), None).await.expect("create");
    // Two rounds later everything before is given up.
    let rounds = here.revision() + 4;
    here.wait_for(rounds).await.expect("compaction goes on");
    door.send_replace(true);

    assert!(matches!(watcher.next().await, Err(Error::Compacted { .. })), "clients are told (410)");
    until("the state is whole", async || away.consistent().await.is_ok()).await;
    let keys: Vec<_> = away.list("/x/").iter().map(|e| (e.key.to_string(), e.mod_revision)).collect();
    assert_eq!(keys, [("/x/kept".into(), kept.mod_revision), ("/x/new".into(), new.mod_revision)]);
    let mut watcher = away.watch("/x/", away.revision()).expect("watch");
    let next = here.update("/x/new", value("2"), new.mod_revision, None).await.expect("update");
    let events = watcher.next().await.expect("it goes on").events;
    assert_eq!((events[0].revision, events.len()), (next.mod_revision, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_one_lease_go_together_and_all_are_seen() {
    let cluster = Cluster::start(1, false);
    let store: Arc<Store> = open(config(&cluster)).await;
    let mut watcher = store.watch("/t/", store.revision()).expect("watch");
    for n in 0..40 {
        store.create(&format!("/t/{n}"), value("1"), Some(Duration::from_millis(900))).await.expect("create");
    }
    let mut deleted = std::collections::BTreeSet::new();
    while deleted.len() < 40 {
        let events = watcher.next().await.expect("no gap").events;
        deleted.extend(events.iter().filter(|e| e.deleted).map(|event| event.entry.key.clone()));
    }
    assert_eq!(store.list("/t/").iter().count(), 0);
}

/// etcd's JSON gateway: enough to switch authentication on.
fn post(endpoint: &str, path: &str, body: &str) -> String {
    let address = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("etcd listens");
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_and_password_where_etcd_wants_them() {
    let cluster = Cluster::start(1, false);
    let before = open(config(&cluster)).await;
    let endpoint = &cluster.endpoints()[0];
    for (path, body) in [
        ("/v3/auth/user/add", r#"{"name":"root","password":"secret"}"#),
        ("/v3/auth/role/add", r#"{"name":"root"}"#),
        ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("/v3/auth/enable", "{}"),
    ] {
        let answer = post(endpoint, path, body);
        assert!(answer.starts_with("HTTP/1.0 200"), "{path}: {answer}");
    }
    assert!(matches!(before.create("/x", value("1"), None).await, Err(Error::Io(_))), "nothing was written");
    let env = env::Env::system();
    let mut wrong = config(&cluster);
    wrong.credentials = Some(("root".into(), "guess".into()));
    assert!(matches!(etcd::Etcd::open(&env, wrong).await, Err(Error::Open(text)) if text.contains("auth")));
    let mut right = config(&cluster);
    right.credentials = Some(("root".into(), "secret".into()));
    let store = open(right).await;
    let mut watcher = store.watch("/", store.revision()).expect("watch");
    store.create("/x", value("1"), None).await.expect("create");
    assert_eq!(watcher.next().await.expect("next").events.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_refused_in_words() {
    let cluster = Cluster::start(1, true);
    let store = open(config(&cluster)).await;
    store.create("/foreign", Bytes::from_static(b"k8s\0\x0a"), None).await.expect("create");
    let env = env::Env::system();
    let words = async |config| match etcd::Etcd::open(&env, config).await {
        Err(Error::Open(text)) => text,
        _ => panic!("it must be refused"),
    };
    assert!(words(config(&cluster)).await.contains("kube-apiserver (/foreign)"));
    let mut no_ca = config(&cluster);
    no_ca.tls.ca = None;
    assert!(words(no_ca).await.contains("certificate authority"));
    let mut half = config(&cluster);
    half.tls.key = None;
    assert!(words(half).await.contains("together"));
}
