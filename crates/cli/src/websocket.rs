//! A WebSocket to the API server with the client's certificate, for exec and port-forward.

use std::sync::Arc;

use client::https::encode;
use http::HeaderValue;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self};

use crate::session::Session;

pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Opens `path` with these subprotocols.
pub async fn open(session: &Session, path: &str, protocols: &str) -> Result<Socket, String> {
    let authority = session.config.server.strip_prefix("https://").unwrap_or_default();
    let authority = authority.split('/').next().unwrap_or_default();
    let address = if authority.contains(':') { authority.to_string() } else { format!("{authority}:443") };
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    let numeric =
        if host == "localhost" { address.replacen("localhost", "127.0.0.1", 1) } else { address.clone() };
    let target: std::net::SocketAddr = numeric.parse().map_err(|_| format!("{address:?} is no address"))?;
    let stream = TcpStream::connect(target).await.map_err(|error| format!("{address}: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let tls = TlsConnector::from(Arc::new(session.config.tls(&[b"http/1.1"])?));
    let name = ServerName::try_from(host.to_string()).map_err(|error| error.to_string())?;
    let stream = tls.connect(name, stream).await.map_err(|error| format!("{address}: {error}"))?;
    let mut request =
        format!("wss://{address}{path}").into_client_request().map_err(|error| error.to_string())?;
    let protocols = HeaderValue::from_str(protocols).map_err(|error| error.to_string())?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocols);
    if let Some(token) = &session.config.token {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| error.to_string())?;
        request.headers_mut().insert("Authorization", value);
    }
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(answer)) => Err(refusal(answer.body().as_deref().unwrap_or_default())),
        Err(error) => Err(error.to_string()),
    }
}

/// The message of a Status, or the text as it is.
fn refusal(body: &[u8]) -> String {
    let status: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match (status["reason"].as_str(), status["message"].as_str()) {
        (Some(reason), Some(message)) => format!("Error from server ({reason}): {message}"),
        (None, Some(message)) => format!("Error from server: {message}"),
        _ => String::from_utf8_lossy(body).trim().to_string(),
    }
}

/// `/api/v1/namespaces/NS/pods/POD/SUB?QUERY`.
pub fn pod_path(session: &Session, pod: &str, subresource: &str, query: &[(&str, String)]) -> String {
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let (namespace, pod) = (encode(&session.namespace), encode(pod));
    format!("/api/v1/namespaces/{namespace}/pods/{pod}/{subresource}?{}", query.join("&"))
}
