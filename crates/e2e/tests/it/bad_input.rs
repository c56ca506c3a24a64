//! Bad input gets one clear sentence and an exit code that is not 0.

use std::fs;

use testkit::Cluster;

#[test]
fn directories_that_are_taken_newer_or_none() {
    let cluster = Cluster::start("taken", &["--api-only"]);
    let second = cluster.up();
    assert_ne!(second.code, 0);
    assert!(second.stderr.contains("a cluster is already running on"), "{}", second.stderr);
    assert_eq!(cluster.minke(&["down"]).code, 0);
    fs::write(cluster.dir().join("format"), "99\n").expect("writable");
    let newer = cluster.up();
    assert_ne!(newer.code, 0);
    assert!(newer.stderr.contains("was written by a newer minke"), "{}", newer.stderr);
    fs::write(cluster.dir().join("format"), "1\n").expect("writable");
}

#[test]
fn broken_manifests_are_refused_whole() {
    let cluster = Cluster::start("manifests", &["--api-only"]);
    let apply = |text: &str| {
        let path = cluster.dir().join("bad.yaml");
        fs::write(&path, text).expect("writable");
        cluster.kubectl(&["create", "--validate=false", "-f", path.to_str().expect("UTF-8")])
    };
    let missing = apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: nope}\n");
    assert!(missing.stderr.contains("namespaces \"nope\" not found"), "{}", missing.stderr);
    let name = apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_b}\n");
    assert!(name.stderr.contains("a lowercase RFC 1123 subdomain must consist of"), "{}", name.stderr);
    let kind = apply("apiVersion: v1\nkind: Nope\nmetadata: {name: a}\n");
    assert_ne!(kind.code, 0);
    // As in `minke get … | true`: the end of SIGPIPE, without a word.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let unread = cluster.minke_into(writer, &["get", "namespaces"]);
    assert_eq!((unread.code, unread.stderr.as_str()), (141, ""));
}
