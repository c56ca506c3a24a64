//! Pulling: what comes, and what is said when it does not.

use std::fs;

use image::{Credentials, Digest, Error, Image, Progress, Reference, Registries, Store, pull};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::server::{Registry, Reply, Scripted, Seen};
use crate::support::{Dir, TestImage, names, read};

async fn get(store: &Store, name: &str, credentials: Option<(&str, &str)>) -> Result<Arc<Image>, Error> {
    get_from(store, &Registries::default(), name, credentials).await
}

async fn get_from(
    store: &Store,
    registries: &Registries,
    name: &str,
    credentials: Option<(&str, &str)>,
) -> Result<Arc<Image>, Error> {
    let reference = Reference::parse(name).expect("a good name");
    let credentials = credentials
        .map(|(username, password)| Credentials { username: username.into(), password: password.into() });
    pull(store, registries, &reference, credentials.as_ref(), &Progress::default()).await
}

fn open(dir: &Dir) -> Store {
    Store::open(&dir.path().join("store")).expect("a store")
}

fn partials(dir: &Dir) -> Vec<String> {
    names(&dir.path().join("store/partial"))
}

#[tokio::test]
async fn by_tag_and_by_digest() {
    let (registry, dir) = (Registry::start(false), Dir::new());
    let image = TestImage::new("one");
    registry.add("team/app", "1", &image);
    let store = open(&dir);
    let name = format!("{}/team/app", registry.host);
    let progress = Progress::default();
    let reference = Reference::parse(&format!("{name}:1")).expect("a good name");
    let pulled = pull(&store, &Registries::default(), &reference, None, &progress).await.expect("pulled");
    assert_eq!(pulled.id, image.id());
    assert_eq!(pulled.config.env, ["MARK=one"]);
    assert_eq!(pulled.names.iter().collect::<Vec<_>>(), [&format!("{name}:1")]);
    let index = Digest::of(&image.index());
    assert_eq!(pulled.digests.iter().collect::<Vec<_>>(), [&format!("{name}@{index}")]);
    assert_eq!(
        (read(&pulled, "etc/base"), read(&pulled, "etc/mark")),
        (Some("base".into()), Some("one".into()))
    );
    let bytes: usize = image.blobs.iter().map(Vec::len).sum();
    assert_eq!(pulled.size, bytes as u64);
    assert_eq!(progress.done_bytes.load(Ordering::Relaxed), bytes as u64);
    assert_eq!(progress.total_bytes.load(Ordering::Relaxed), bytes as u64);
    assert!(partials(&dir).is_empty());

    let by_digest = get(&store, &format!("{name}@{}", image.digest()), None).await.expect("pulled");
    assert_eq!(by_digest.id, image.id());
    assert!(store.resolve(&format!("{name}@{}", image.digest())).is_some());
    assert!(open(&dir).resolve(&format!("{name}:1")).is_some(), "another process sees it");
}

#[tokio::test]
async fn a_tag_moves_with_the_registry() {
    let (registry, dir) = (Registry::start(false), Dir::new());
    let store = open(&dir);
    let name = format!("{}/app:latest", registry.host);
    registry.add("app", "latest", &TestImage::new("old"));
    let old = get(&store, &name, None).await.expect("pulled");
    registry.add("app", "latest", &TestImage::new("new"));
    let new = get(&store, &name, None).await.expect("pulled again");
    assert_eq!(read(&new, "etc/mark").as_deref(), Some("new"));
    assert_eq!(store.resolve(&name).expect("there").id, new.id);
    assert!(store.resolve(&old.id).expect("kept until collected").names.is_empty());
}

#[tokio::test]
async fn credentials_of_one_pull_serve_no_other() {
    let (registry, dir) = (Registry::start(true), Dir::new());
    registry.add("app", "1", &TestImage::new("private"));
    let store = open(&dir);
    let name = format!("{}/app:1", registry.host);
    let denied = |error: Error| {
        assert!(!error.is_unreachable());
        let text = error.to_string();
        assert!(
            text.starts_with(&format!(
                "failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": pull access denied, repository does not exist or may require authorization: "
            )),
            "{text}"
        );
        assert!(text.contains("authorization failed") && !text.contains("guess"), "{text}");
    };
    denied(get(&store, &name, None).await.expect_err("no credentials"));
    denied(get(&store, &name, Some(("alice", "guess"))).await.expect_err("a wrong password"));
    get(&store, &name, Some(("alice", "secret"))).await.expect("alice may");
    denied(get(&store, &name, None).await.expect_err("still no credentials"));
    denied(get(&store, &name, Some(("bob", "guess"))).await.expect_err("bob guesses"));
    get(&store, &name, Some(("bob", "hidden"))).await.expect("bob may");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (registry, dir) = (Registry::start(false), Dir::new());
    registry.add("app", "1", &TestImage::new("x"));
    let store = open(&dir);
    for name in ["app:2", "nothing:1"] {
        let name = format!("{}/{name}", registry.host);
        let error = get(&store, &name, None).await.expect_err("no such image");
        assert!(!error.is_unreachable());
        assert_eq!(
            error.to_string(),
            format!(
                "failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": {name}: not found"
            )
        );
    }
}

#[tokio::test]
async fn an_absent_registry_is_unreachable() {
    let dir = Dir::new();
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let name = format!("{closed}/app:1");
    let error = get(&open(&dir), &name, None).await.expect_err("nobody listens");
    assert!(error.is_unreachable());
    assert_eq!(
        error.to_string(),
        format!(
            "failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": failed to do request: Get \"http://{closed}/v2/app/manifests/1\": dial tcp {closed}: connect: connection refused"
        )
    );
}

#[tokio::test]
async fn damaged_blobs_are_refused_and_leave_nothing() {
    let (registry, dir) = (Registry::start(false), Dir::new());
    let image = TestImage::new("damaged");
    registry.add("app", "1", &image);
    let mut bytes = image.blobs[1].clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(registry.blob(&image.blobs[1]), bytes).expect("a file");
    let store = open(&dir);
    let error = get(&store, &format!("{}/app:1", registry.host), None).await.expect_err("damaged");
    assert!(
        error.to_string().contains(&format!("layer {} is damaged", Digest::of(&image.blobs[1]))),
        "{error}"
    );
    assert!(store.images().is_empty());
    // The other layer may still be unpacked, on a thread of its own.
    let cleared = async {
        while !partials(&dir).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), cleared).await.expect("nothing is left behind");
}

#[tokio::test]
async fn mirrors_come_first_and_see_no_credentials() {
    let (registry, dir) = (Registry::start(true), Dir::new());
    registry.add("library/app", "1", &TestImage::new("origin"));
    let mirror = Scripted::start(|_, _| Reply::json(404, &json!({})));
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mut registries = Registries::default();
    let mirrors = vec![gone.to_string(), format!("http://{}/cache", mirror.address)];
    registries.mirrors.insert(registry.host.clone(), mirrors);
    let name = format!("{}/library/app:1", registry.host);
    get_from(&open(&dir), &registries, &name, Some(("alice", "secret")))
        .await
        .expect("from the registry itself");
    let seen = mirror.seen();
    let ns = registry.host.replace(':', "%3A");
    assert_eq!(seen[0].target, format!("/cache/v2/library/app/manifests/1?ns={ns}"));
    assert!(seen.iter().all(|request| request.authorization.is_none()));
}

#[tokio::test]
async fn a_mirror_is_enough() {
    let (mirror, dir) = (Registry::start(false), Dir::new());
    mirror.add("library/app", "1", &TestImage::new("mirrored"));
    let mut registries = Registries::default();
    registries.mirrors.insert("docker.io".into(), vec![format!("http://{}", mirror.host)]);
    let image = get_from(&open(&dir), &registries, "app:1", None).await.expect("from the mirror");
    assert_eq!(image.names.iter().collect::<Vec<_>>(), ["docker.io/library/app:1"]);
}

/// A registry in the manner of Docker Hub: bearer tokens, blobs elsewhere.
fn hub(
    image: &TestImage,
    store: std::net::SocketAddr,
) -> impl Fn(std::net::SocketAddr, &Seen) -> Reply + Send + Sync + 'static {
    let (manifest, config) = (image.manifest.clone(), image.config.clone());
    move |own, request| {
        if request.target.starts_with("/token?") {
            let scope = "service=hub&scope=repository%3Ateam%2Fapp%3Apull";
            let ok = request.authorization.as_deref() == Some("Basic YWxpY2U6c2VjcmV0")
                && request.target.ends_with(scope);
            return if ok { Reply::json(200, &json!({"token": "T1"})) } else { Reply::json(401, &json!({})) };
        }
        if request.authorization.as_deref() != Some("Bearer T1") {
            let challenge = format!(
                "Bearer realm=\"http://{own}/token\",service=\"hub\",scope=\"repository:team/app:pull\""
            );
            return Reply::json(401, &json!({})).header("www-authenticate", challenge);
        }
        if request.target == "/v2/team/app/manifests/1" {
            return Reply::new(200, manifest.clone());
        }
        if request.target.ends_with(&Digest::of(&config)) {
            return Reply::new(200, config.clone());
        }
        let digest = request.target.rsplit('/').next().unwrap_or_default();
        Reply::new(307, "").header("location", format!("http://{store}/{digest}?signature=S"))
    }
}

#[tokio::test]
async fn tokens_are_fetched_and_kept_from_other_hosts() {
    let dir = Dir::new();
    let image = TestImage::new("token");
    let blobs = image.blobs.clone();
    let store = Scripted::start(move |_, request| {
        match blobs.iter().find(|blob| request.target.starts_with(&format!("/{}", Digest::of(blob)))) {
            Some(blob) => Reply::new(200, blob.clone()),
            None => Reply::new(404, ""),
        }
    });
    let registry = Scripted::start(hub(&image, store.address));
    let name = format!("{}/team/app:1", registry.address);
    let images = open(&dir);
    let error = get(&images, &name, None).await.expect_err("no anonymous tokens");
    assert!(
        error.to_string().ends_with(
            "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"
        ),
        "{error}"
    );
    get(&images, &name, Some(("alice", "secret"))).await.expect("pulled");
    assert!(store.seen().len() == 2 && store.seen().iter().all(|request| request.authorization.is_none()));
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    let dir = Dir::new();
    let image = TestImage::new("flaky");
    let parts: Vec<Vec<u8>> = image.blobs.iter().chain([&image.config]).cloned().collect();
    let manifest = image.manifest.clone();
    let failed = std::sync::atomic::AtomicU32::new(0);
    let first = Digest::of(&image.blobs[0]);
    let registry = Scripted::start(move |_, request| {
        if request.target.contains("/manifests/") {
            return Reply::new(200, manifest.clone());
        }
        let blob =
            parts.iter().find(|part| request.target.ends_with(&Digest::of(part))).expect("a known blob");
        if request.target.ends_with(&first) && failed.fetch_add(1, Ordering::Relaxed) < 2 {
            return Reply::new(200, &blob[..10]).header("content-length", blob.len().to_string());
        }
        Reply::new(200, blob.clone())
    });
    let reference = Reference::parse(&format!("{}/app:1", registry.address)).expect("a good name");
    let progress = Progress::default();
    let store = open(&dir);
    pull(&store, &Registries::default(), &reference, None, &progress).await.expect("the third attempt");
    assert_eq!(progress.done_bytes.load(Ordering::Relaxed), progress.total_bytes.load(Ordering::Relaxed));
    assert!(partials(&dir).is_empty());
}

#[tokio::test]
async fn pulls_at_once_fetch_each_layer_once() {
    let dir = Dir::new();
    let image = TestImage::new("shared");
    let parts: Vec<Vec<u8>> = image.blobs.iter().chain([&image.config]).cloned().collect();
    let manifest = image.manifest.clone();
    let registry = Scripted::start(move |_, request| match request.target.contains("/manifests/") {
        true => Reply::new(200, manifest.clone()),
        false => Reply::new(
            200,
            parts
                .iter()
                .find(|part| request.target.ends_with(&Digest::of(part)))
                .expect("a known blob")
                .clone(),
        ),
    });
    let store = open(&dir);
    let names: Vec<String> = (0..5).map(|tag| format!("{}/app:{tag}", registry.address)).collect();
    let pulls = names.iter().map(|name| get(&store, name, None));
    for result in futures_util::future::join_all(pulls).await {
        assert_eq!(result.expect("pulled").id, image.id());
    }
    assert_eq!(store.images().len(), 1);
    assert_eq!(store.images()[0].names.len(), 5);
    for blob in &image.blobs {
        let asked =
            registry.seen().iter().filter(|request| request.target.ends_with(&Digest::of(blob))).count();
        assert_eq!(asked, 1);
    }
}

#[tokio::test]
async fn a_second_pull_asks_only_what_the_tag_stands_for() {
    for has_head in [true, false] {
        let dir = Dir::new();
        let image = TestImage::new("again");
        let parts: Vec<Vec<u8>> = image.blobs.iter().chain([&image.config]).cloned().collect();
        let (manifest, digest) = (image.manifest.clone(), image.digest());
        let registry = Scripted::start(move |_, request| {
            if request.method == "HEAD" && !has_head {
                return Reply::new(405, "");
            }
            match parts.iter().find(|part| request.target.ends_with(&Digest::of(part))) {
                Some(part) => Reply::new(200, part.clone()),
                None => Reply::new(200, manifest.clone()).header("docker-content-digest", digest.clone()),
            }
        });
        let store = open(&dir);
        let name = format!("{}/app:1", registry.address);
        get(&store, &name, None).await.expect("pulled");
        let first = registry.seen().len();
        get(&store, &name, None).await.expect("pulled again");
        let methods: Vec<String> =
            registry.seen()[first..].iter().map(|request| request.method.clone()).collect();
        // Without HEAD the manifest and the config are fetched; the layers are here in any case.
        let want: &[&str] = if has_head { &["HEAD"] } else { &["HEAD", "GET", "GET"] };
        assert_eq!(methods, want);
    }
}

#[tokio::test]
async fn a_host_without_tls_is_reached_but_not_trusted() {
    let dir = Dir::new();
    let server = Scripted::start(|_, _| Reply::json(200, &json!({})));
    let mut registries = Registries::default();
    registries.mirrors.insert("r.invalid".into(), vec![format!("https://{}", server.address)]);
    // The registry itself cannot be reached: its refusal is the one that is told.
    let error =
        get_from(&open(&dir), &registries, "r.invalid/app:1", None).await.expect_err("nothing to pull");
    assert!(error.is_unreachable(), "{error}");
    assert!(error.to_string().contains("dial tcp: lookup r.invalid: "), "{error}");
    assert!(server.seen().is_empty(), "nothing was said in plain text");
}

#[tokio::test]
async fn answers_that_are_no_image_are_refused() {
    let dir = Dir::new();
    let store = open(&dir);
    let cases = [
        (json!({"schemaVersion": 1, "fsLayers": []}), "schema 1 is not supported"),
        (json!({"schemaVersion": 2, "manifests": []}), "no match for platform in manifest"),
        (
            json!({"schemaVersion": 2, "manifests": [{"platform": {"os": "linux", "architecture": "vax"}}]}),
            "no match for platform",
        ),
        (json!({"schemaVersion": 2, "config": {"digest": "../../../etc/passwd"}}), "not found"),
    ];
    for (manifest, want) in cases {
        let registry = Scripted::start(move |_, request| match request.target.as_str() {
            "/v2/app/manifests/1" => Reply::json(200, &manifest),
            _ => Reply::new(404, ""),
        });
        let error = get(&store, &format!("{}/app:1", registry.address), None).await.expect_err("no image");
        assert!(error.to_string().contains(want), "{error}");
    }
    let limited = Scripted::start(|_, _| {
        Reply::json(429, &json!({"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}))
    });
    let error = get(&store, &format!("{}/app:1", limited.address), None).await.expect_err("limited");
    assert!(
        error.to_string().ends_with("429 Too Many Requests - Server message: toomanyrequests: slow down"),
        "{error}"
    );
}
