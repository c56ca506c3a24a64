//! A webhook for tests: HTTPS with a certificate of its own, answers by a function, and a record of what
//! it was asked.

use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a webhook does about a review: the fields of its response, or something else altogether.
pub enum Reply {
    Response(Value),
    Raw(u16, &'static str),
    Never,
}

pub fn allow() -> Reply {
    Reply::Response(json!({"allowed": true}))
}

pub fn deny(message: &str) -> Reply {
    Reply::Response(json!({"allowed": false, "status": {"message": message, "code": 403}}))
}

pub fn patch(operations: Value) -> Reply {
    let patch = base64::engine::general_purpose::STANDARD.encode(operations.to_string());
    Reply::Response(json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}))
}

type Handler = Arc<dyn Fn(&Value) -> Reply + Send + Sync>;

pub struct Webhook {
    pub address: SocketAddr,
    pub ca: String,
    asked: Arc<Mutex<Vec<Value>>>,
    connections: Arc<Mutex<usize>>,
}

/// A TLS server with a certificate of its own, and that certificate (PEM).
pub fn tls(names: &[&str]) -> (TlsAcceptor, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("key");
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

impl Webhook {
    pub async fn start(handler: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Webhook {
        Webhook::named(&["localhost", "hook.default.svc"], handler).await
    }

    pub async fn named(names: &[&str], handler: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Webhook {
        let (acceptor, ca) = tls(names);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let (asked, connections): (Arc<Mutex<Vec<Value>>>, Arc<Mutex<usize>>) = Default::default();
        let (record, count) = (asked.clone(), connections.clone());
        let handler: Handler = Arc::new(handler);
        env::Env::system().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, handler, record) = (acceptor.clone(), handler.clone(), record.clone());
                *count.lock().expect("count") += 1;
                env::Env::system().spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(|request| answer(request, handler.clone(), record.clone()));
                    let _ends_with_the_client = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Webhook { address, ca, asked, connections }
    }

    /// The requests of the reviews so far.
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().expect("record").clone()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock().expect("count")
    }

    /// A `clientConfig` for it.
    pub fn client(&self) -> Value {
        let bundle = base64::engine::general_purpose::STANDARD.encode(&self.ca);
        json!({"url": format!("https://localhost:{}/review", self.address.port()), "caBundle": bundle})
    }
}

async fn answer(
    request: Request<Incoming>,
    handler: Handler,
    record: Arc<Mutex<Vec<Value>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let uri = request.uri().to_string();
    let body = request.into_body().collect().await.expect("body").to_bytes();
    let review: Value = serde_json::from_slice(&body).expect("review");
    let mut asked = review["request"].clone();
    let reply = handler(&asked);
    asked["uri"] = uri.into();
    record.lock().expect("record").push(asked);
    let (code, body) = match reply {
        Reply::Never => std::future::pending().await,
        Reply::Raw(code, body) => (code, body.to_owned()),
        Reply::Response(mut response) => {
            response["uid"] = review["request"]["uid"].clone();
            let answer =
                json!({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response});
            (200, answer.to_string())
        }
    };
    Ok(Response::builder().status(code).body(Full::new(Bytes::from(body))).expect("response"))
}
