//! Logs and exec go on to the Pod's kubelet, and an upgrade joins both connections.

use super::https::connect;
use super::*;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A kubelet that answers logs with the path it was asked for, and echoes after an upgrade.
async fn kubelet(cluster: &Cluster) -> u16 {
    let names = ["127.0.0.1".to_owned()];
    let identity =
        cluster.handle.pki().issue_server("system:node:n1", &["system:nodes"], &names).expect("identity");
    let mut pem = identity.certificate.as_bytes();
    let certificates = rustls_pemfile::certs(&mut pem).map(|c| c.expect("pem"));
    let key = rcgen::KeyPair::from_pem(&identity.key).expect("key").serialize_der();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(certificates.collect(), PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))
            .expect("certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    env::Env::system().spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            let mut stream = BufReader::new(acceptor.accept(stream).await.expect("TLS"));
            let (mut first, mut upgrade) = (String::new(), false);
            stream.read_line(&mut first).await.expect("request line");
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.expect("header");
                upgrade |= line.to_ascii_lowercase().starts_with("upgrade: spdy/3.1");
                assert!(!line.to_ascii_lowercase().starts_with("authorization"), "credentials do not go on");
                if line == "\r\n" {
                    break;
                }
            }
            let path = first.split(' ').nth(1).expect("path").to_owned();
            if upgrade {
                let head = format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Path: {path}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.expect("answer");
                let mut word = [0; 5];
                stream.read_exact(&mut word).await.expect("bytes after the upgrade");
                word.reverse();
                stream.write_all(&word).await.expect("echo");
            } else {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{path}", path.len());
                stream.write_all(head.as_bytes()).await.expect("answer");
            }
            stream.flush().await.expect("flush");
        }
    });
    port
}

async fn with_pod() -> Cluster {
    let cluster = Cluster::with(Config::default()).await;
    let port = kubelet(&cluster).await;
    with_service_account(&cluster).await;
    let admin = cluster.admin();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    admin.nodes().create("", node.clone()).await.expect("node");
    let mut status = node;
    status["status"] = json!({"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}});
    admin.nodes().update("", "n1", "status", status).await.expect("status");
    let mut object = pod("p");
    object["spec"]["nodeName"] = "n1".into();
    object["spec"]["containers"] = json!([{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]);
    admin.pods().create("default", object).await.expect("pod");
    cluster
}

const ADMIN: Option<(&str, &[&str])> = Some(("admin", &["system:masters"]));

async fn get(cluster: &Cluster, path: &str) -> String {
    let mut stream = connect(&cluster.handle, ADMIN, b"http/1.1").await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    answer
}

#[tokio::test]
async fn logs_come_from_the_kubelet() {
    let cluster = with_pod().await;
    let base = "/api/v1/namespaces/default/pods/p/log";
    let answer = get(&cluster, &format!("{base}?container=b&tailLines=5&follow=true&bogus=1")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("/containerLogs/default/p/b?follow=true&tailLines=5"), "{answer}");
    let answer = get(&cluster, base).await;
    assert!(
        answer.contains("a container name must be specified for pod p, choose one of: [a b]"),
        "{answer}"
    );
    let answer = get(&cluster, &format!("{base}?container=c")).await;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("container c is not valid for pod p"),
        "{answer}"
    );
}

#[tokio::test]
async fn exec_joins_both_connections() {
    let cluster = with_pod().await;
    let mut stream = connect(&cluster.handle, ADMIN, b"http/1.1").await;
    let path =
        "/api/v1/namespaces/default/pods/p/exec?container=a&command=sh&command=-c&stdin=true&stdout=true";
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).await.expect("head");
    }
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("/exec/default/p/a?input=1&output=1&command=sh&command=-c"), "{head}");
    stream.write_all(b"hello").await.expect("write");
    stream.flush().await.expect("flush");
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.expect("echo");
    assert_eq!(&back, b"olleh");
}

#[tokio::test]
async fn strangers_do_not_exec() {
    let cluster = with_pod().await;
    let mut stream = connect(&cluster.handle, Some(("bob", &[])), b"http/1.1").await;
    let request = "GET /api/v1/namespaces/default/pods/p/exec?command=sh HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("cannot create resource \\\"pods/exec\\\""),
        "{answer}"
    );
}
