//! The same server over HTTPS: TLS, formats, status codes, streams.

use super::*;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Sender = hyper::client::conn::http2::SendRequest<Full<bytes::Bytes>>;

pub struct Https {
    address: SocketAddr,
    tls: TlsConnector,
    /// One connection for all requests; without it each has its own.
    kept: Option<Sender>,
}

/// A TLS client; with a user, it shows that user's certificate.
fn tls_config(handle: &Handle, user: Option<(&str, &[&str])>, alpn: &[u8]) -> rustls::ClientConfig {
    config_for(handle, user.map(|(name, groups)| (handle, name, groups)), alpn)
}

/// Trusts one cluster; the certificate it shows may come from another one.
fn config_for(handle: &Handle, user: Option<(&Handle, &str, &[&str])>, alpn: &[u8]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut handle.ca_pem().as_bytes()) {
        roots.add(certificate.expect("certificate")).expect("root");
    }
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
    let mut config = match user {
        None => builder.with_no_client_auth(),
        Some((issuer, name, groups)) => {
            let identity = issuer.pki().issue_client(name, groups).expect("identity");
            let mut pem = identity.certificate.as_bytes();
            let certificates = rustls_pemfile::certs(&mut pem).map(|c| c.expect("pem"));
            let key = rcgen::KeyPair::from_pem(&identity.key).expect("key").serialize_der();
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
            builder.with_client_auth_cert(certificates.collect(), key).expect("client certificate")
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

pub async fn connect(handle: &Handle, user: Option<(&str, &[&str])>, alpn: &[u8]) -> TlsStream<TcpStream> {
    let address = handle.local_addr().expect("it listens");
    let connector = TlsConnector::from(Arc::new(tls_config(handle, user, alpn)));
    let stream = TcpStream::connect(address).await.expect("connect");
    connector.connect(ServerName::try_from("localhost").expect("name"), stream).await.expect("TLS")
}

impl Https {
    pub fn new(handle: &Handle, user: Option<(&str, &[&str])>) -> Https {
        let tls = TlsConnector::from(Arc::new(tls_config(handle, user, b"h2")));
        Https { address: handle.local_addr().expect("it listens"), tls, kept: None }
    }

    /// The same over one connection.
    pub async fn keeping_its_connection(self) -> Https {
        Https { kept: Some(self.sender().await), ..self }
    }

    async fn sender(&self) -> Sender {
        if let Some(kept) = &self.kept {
            return kept.clone();
        }
        let stream = TcpStream::connect(self.address).await.expect("connect");
        let name = ServerName::try_from("localhost").expect("name");
        let stream = self.tls.connect(name, stream).await.expect("TLS");
        let (sender, driver) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("h2");
        env::Env::system().spawn(driver);
        sender
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Response<hyper::body::Incoming> {
        let mut sender = self.sender().await;
        let mut request = Request::builder().method(method).uri(format!("https://localhost{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        sender.send_request(request.body(Full::new(body.into())).expect("request")).await.expect("answer")
    }

    pub async fn json(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> (u16, HeaderMap, Value) {
        let response = self.send(method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("body").to_bytes();
        (parts.status.as_u16(), parts.headers, serde_json::from_slice(&bytes).unwrap_or_default())
    }
}

async fn cluster() -> Cluster {
    let token = apiserver::StaticToken { token: "secret".into(), user: UserInfo::new("tokened", &["g"]) };
    Cluster::with(Config { tokens: vec![token], ..Config::default() }).await
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn users_come_from_certificates_and_tokens() {
    let cluster = cluster().await;
    let whoami = async |https: &Https, headers: &[(&str, &str)]| {
        let body = r#"{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}"#;
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let (code, _, value) = https.json(Method::POST, path, headers, body).await;
        (code, value["status"]["userInfo"]["username"].as_str().unwrap_or_default().to_owned())
    };
    let admin = Https::new(&cluster.handle, Some(("admin", &["system:masters"])));
    assert_eq!(whoami(&admin, &[]).await, (201, "admin".into()));
    assert_eq!(whoami(&admin, &[("impersonate-user", "bob")]).await, (201, "bob".into()));
    let stranger = Https::new(&cluster.handle, None);
    assert_eq!(whoami(&stranger, &[("authorization", "Bearer secret")]).await, (201, "tokened".into()));
    assert_eq!(whoami(&stranger, &[("authorization", "Bearer wrong")]).await.0, 401);
    assert_eq!(whoami(&stranger, &[]).await.0, 403);
    let other = Cluster::with(Config::default()).await;
    let foreign = Https {
        address: cluster.handle.local_addr().expect("it listens"),
        tls: TlsConnector::from(Arc::new(config_for(
            &cluster.handle,
            Some((&other.handle, "admin", &["system:masters"])),
            b"h2",
        ))),
        kept: None,
    };
    assert_eq!(whoami(&foreign, &[]).await.0, 401, "a certificate of another authority");
    assert_eq!(whoami(&foreign, &[("authorization", "Bearer secret")]).await, (201, "tokened".into()));
    let bob = Https::new(&cluster.handle, Some(("bob", &[])));
    assert_eq!(whoami(&bob, &[("impersonate-user", "admin")]).await.0, 403);
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        assert_eq!(stranger.json(Method::GET, path, &[], "").await.0, 200, "{path}");
    }
    assert_eq!(stranger.json(Method::GET, "/metrics", &[], "").await.0, 403);
}

#[tokio::test]
async fn configurations_are_applied_as_yaml() {
    let cluster = cluster().await;
    let admin = Https::new(&cluster.handle, Some(("admin", &["system:masters"])));
    let send = async |query: &str, media: &str, body: &str| {
        let headers = [("content-type", media), ("user-agent", "curl/8")];
        admin.json(Method::PATCH, &format!("{MAPS}/a?{query}"), &headers, body.to_owned()).await
    };
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n";
    let (apply, manager) = ("application/apply-patch+yaml", "fieldManager=m");
    let (code, _, made) = send(manager, apply, yaml).await;
    assert_eq!((code, made["metadata"]["managedFields"][0]["manager"].as_str()), (201, Some("m")));
    let json = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"2"}}"#;
    assert_eq!(send("fieldManager=n", apply, json).await.0, 409);
    assert_eq!(
        send("fieldManager=n&force=true", "application/apply-patch+yaml; charset=utf-8", json).await.0,
        200
    );
    let (code, _, status) = send("", apply, json).await;
    assert_eq!((code, status["details"]["causes"][0]["reason"].as_str()), (422, Some("FieldValueRequired")));
    assert_eq!(send(manager, "application/apply-patch", json).await.0, 415);
    let (code, _, status) = send(manager, apply, "a: [").await;
    assert_eq!(code, 400);
    assert!(status["message"].as_str().is_some_and(|text| text.starts_with("error decoding YAML: ")));
    assert_eq!(send(manager, apply, "").await.0, 400);
    let twice =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"2"},"data":{"x":"2"}}"#;
    let (code, headers, _) = send("fieldManager=n", apply, twice).await;
    assert_eq!(
        (code, headers.get("warning").cloned()),
        (200, Some(http::HeaderValue::from_static(r#"299 - "duplicate field \"data\"""#)))
    );
    assert_eq!(send("fieldManager=n&fieldValidation=Strict", apply, twice).await.0, 400);
    // Without a name of its own a client is known by its program.
    let (_, _, patched) = send("", "application/merge-patch+json", r#"{"data":{"y":"1"}}"#).await;
    let entries = patched["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    assert!(entries.iter().any(|e| e["manager"] == "curl" && e["operation"] == "Update"), "{patched}");
}

#[tokio::test]
async fn bodies_in_every_format() {
    let cluster = cluster().await;
    let admin = Https::new(&cluster.handle, Some(("admin", &["system:masters"])));
    let json = [("content-type", "application/json")];
    let (code, _, made) = admin.json(Method::POST, MAPS, &json, config_map("json").to_string()).await;
    assert_eq!((code, made["kind"].as_str()), (201, Some("ConfigMap")));
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\n";
    assert_eq!(admin.json(Method::POST, MAPS, &[("content-type", "application/yaml")], yaml).await.0, 201);
    let ty = schema::table().kind("", "v1", "ConfigMap").expect("the kind");
    let bytes = schema::encode_protobuf(ty, &config_map("protobuf"));
    let protobuf = [
        ("content-type", "application/vnd.kubernetes.protobuf"),
        ("accept", "application/vnd.kubernetes.protobuf,application/json"),
    ];
    let (code, headers, made) = admin.json(Method::POST, MAPS, &protobuf, bytes).await;
    assert_eq!((code, made["data"]["x"].as_str()), (201, Some("1")));
    assert_eq!(headers["content-type"], "application/json");
    let (code, _, status) = admin.json(Method::POST, MAPS, &[("content-type", "text/plain")], "x").await;
    assert_eq!((code, status["reason"].as_str()), (415, Some("UnsupportedMediaType")));
    let unknown = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"u"},"bogus":1}"#;
    let (code, headers, _) = admin.json(Method::POST, MAPS, &json, unknown).await;
    assert_eq!(
        (code, &headers["warning"]),
        (201, &http::HeaderValue::from_static(r#"299 - "unknown field \"bogus\"""#))
    );
    let strict = format!("{MAPS}?fieldValidation=Strict");
    assert_eq!(admin.json(Method::POST, &strict, &json, unknown).await.0, 400);
    let large = vec![b' '; apiserver::limits::MAX_BODY + 1];
    assert_eq!(admin.json(Method::POST, MAPS, &json, large).await.0, 413);
}

#[tokio::test]
async fn answers_in_every_shape() {
    let cluster = cluster().await;
    let admin = Https::new(&cluster.handle, Some(("admin", &["system:masters"])));
    cluster.config_maps().create("default", config_map("a")).await.expect("create");
    let ask = async |accept: &str| admin.json(Method::GET, MAPS, &[("accept", accept)], "").await;
    let (_, _, table) = ask("application/json;as=Table;v=v1;g=meta.k8s.io,application/json").await;
    assert_eq!((&table["kind"], &table["rows"][0]["cells"][0]), (&json!("Table"), &json!("a")));
    let (_, _, partial) = ask("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").await;
    assert_eq!(partial["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(partial["items"][0].get("data"), None);
    assert_eq!(ask("text/html").await.0, 406);
    let (_, _, empty) = admin.json(Method::GET, "/api/v1/namespaces/kube-public/pods", &[], "").await;
    assert_eq!(empty["items"], json!([]));
    for (path, code) in [("/nothing", 404), ("/apis/none/v1/x", 404), ("/api/v1/nothings", 404)] {
        assert_eq!(admin.json(Method::GET, path, &[], "").await.0, code, "{path}");
    }
    assert_eq!(admin.json(Method::PUT, MAPS, &[], "{}").await.0, 405);
}

#[tokio::test]
async fn discovery_in_its_three_forms() {
    let cluster = cluster().await;
    let admin = Https::new(&cluster.handle, Some(("admin", &["system:masters"])));
    let (_, _, plain) = admin.json(Method::GET, "/api/v1", &[], "").await;
    let pods =
        plain["resources"].as_array().expect("list").iter().find(|r| r["name"] == "pods").expect("pods");
    assert_eq!((&pods["namespaced"], &pods["shortNames"]), (&json!(true), &json!(["po"])));
    for version in ["v2", "v2beta1"] {
        let accept = format!(
            "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList,application/json"
        );
        let (_, headers, list) = admin.json(Method::GET, "/apis", &[("accept", &accept)], "").await;
        assert_eq!(list["apiVersion"], format!("apidiscovery.k8s.io/{version}"));
        assert!(
            headers["content-type"]
                .to_str()
                .expect("text")
                .ends_with(&format!("v={version};as=APIGroupDiscoveryList"))
        );
        let tag = headers["etag"].to_str().expect("text").to_owned();
        let again =
            admin.json(Method::GET, "/apis", &[("accept", &accept), ("if-none-match", &tag)], "").await;
        assert_eq!(again.0, 304);
    }
    let (_, _, v3) = admin.json(Method::GET, "/openapi/v3", &[], "").await;
    let url = v3["paths"]["api/v1"]["serverRelativeURL"].as_str().expect("url").to_owned();
    let (code, headers, document) = admin.json(Method::GET, &url, &[], "").await;
    assert_eq!(
        (code, &headers["cache-control"]),
        (200, &http::HeaderValue::from_static("public, immutable"))
    );
    assert!(document["components"]["schemas"]["io.k8s.api.core.v1.Pod"].is_object());
    let old = [("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")];
    let (_, headers, _) = admin.json(Method::GET, "/openapi/v2", &old, "").await;
    assert_eq!(headers["content-type"], "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
}

#[tokio::test]
async fn a_watch_streams_lines() {
    let cluster = cluster().await;
    let admin = Https::new(&cluster.handle, Some(("admin", &["system:masters"])));
    let maps = cluster.config_maps();
    maps.create("default", config_map("a")).await.expect("create");
    let response = admin.send(Method::GET, &format!("{MAPS}?watch=true"), &[], "").await;
    let mut body = response.into_body();
    let mut line = async || {
        let frame = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
        let event: Value = serde_json::from_slice(&frame).expect("one event per frame");
        format!(
            "{} {}",
            event["type"].as_str().expect("type"),
            event["object"]["metadata"]["name"].as_str().expect("name")
        )
    };
    assert_eq!(line().await, "ADDED a");
    maps.create("default", config_map("b")).await.expect("create");
    assert_eq!(line().await, "ADDED b");
    maps.delete("default", "a", Options::default()).await.expect("delete");
    assert_eq!(line().await, "DELETED a");
}

#[tokio::test]
async fn a_watch_over_a_websocket_sends_text_frames() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let cluster = cluster().await;
    cluster.config_maps().create("default", config_map("a")).await.expect("create");
    let mut stream = connect(&cluster.handle, Some(("admin", &["system:masters"])), b"http/1.1").await;
    let request = format!(
        "GET {MAPS}?watch=1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut seen = Vec::new();
    while !seen.windows(8).any(|w| w == b"\"ADDED\",") {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.expect("read");
        assert!(count > 0, "closed early: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&seen).to_lowercase();
    assert!(text.starts_with("http/1.1 101") && text.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{text}");
}
