//! Which protocol an upgrade request asks for, and the answer that accepts it.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper_util::rt::TokioIo;

/// The upgraded connection.
pub type Upgrade = TokioIo<hyper::upgrade::Upgraded>;

/// The answer to a request that cannot be upgraded.
pub type Refusal = Box<Response<String>>;

/// What both sides will speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Negotiated {
    WebSocket { protocol: String },
    Spdy { protocol: String },
}

/// Subprotocols of exec and attach, best first.
const COMMAND_WEBSOCKET: [&str; 5] = [
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
];
const COMMAND_SPDY: [&str; 5] =
    ["v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
/// Subprotocols of port-forward.
const FORWARD_WEBSOCKET: [&str; 5] = [
    "SPDY/3.1+portforward.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "portforward.k8s.io",
    "channel.k8s.io",
];
const FORWARD_SPDY: [&str; 1] = ["portforward.k8s.io"];

const SPDY_PROTOCOL: &str = "x-stream-protocol-version";

/// For exec and attach: the answer to send, and what is spoken after it.
///
/// # Errors
/// The refusal to send (400 or 403), as upstream words it.
pub fn negotiate_command(
    method: &Method,
    headers: &HeaderMap,
) -> Result<(Response<()>, Negotiated), Refusal> {
    negotiate(method, headers, &COMMAND_WEBSOCKET, &COMMAND_SPDY)
}

/// The same for port-forward.
///
/// # Errors
/// As [`negotiate_command`].
pub fn negotiate_port_forward(
    method: &Method,
    headers: &HeaderMap,
) -> Result<(Response<()>, Negotiated), Refusal> {
    negotiate(method, headers, &FORWARD_WEBSOCKET, &FORWARD_SPDY)
}

fn negotiate(
    method: &Method,
    headers: &HeaderMap,
    websocket: &[&str],
    spdy: &[&str],
) -> Result<(Response<()>, Negotiated), Refusal> {
    let text =
        |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let upgrade = text("upgrade");
    if method == Method::GET && upgrade.contains("websocket") {
        return accept_websocket(headers, websocket);
    }
    if upgrade.contains("spdy/3.1") {
        return accept_spdy(headers, spdy);
    }
    let message = format!("unable to upgrade: missing upgrade headers in request: {:?}", upgrade);
    Err(refuse(StatusCode::BAD_REQUEST, message))
}

fn refuse(code: StatusCode, message: String) -> Refusal {
    let mut response = Response::new(message);
    *response.status_mut() = code;
    Box::new(response)
}

/// All values of a header, comma-separated ones too.
fn offered(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).map(|v| v.trim().to_string()).filter(|v| !v.is_empty()).collect()
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

fn accept_websocket(headers: &HeaderMap, known: &[&str]) -> Result<(Response<()>, Negotiated), Refusal> {
    let Some(key) = headers.get("sec-websocket-key") else {
        return Err(refuse(StatusCode::BAD_REQUEST, "missing Sec-WebSocket-Key".into()));
    };
    let offered = offered(headers, "sec-websocket-protocol");
    // Without an offer the oldest protocol is meant.
    let oldest = offered.is_empty().then_some("channel.k8s.io");
    let Some(protocol) = known.iter().find(|k| offered.iter().any(|o| o == *k)).copied().or(oldest) else {
        let message =
            format!("unable to upgrade websocket connection: no protocol of {offered:?} is supported");
        return Err(refuse(StatusCode::FORBIDDEN, message));
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    let head = response.headers_mut();
    head.insert("upgrade", value("websocket"));
    head.insert("connection", value("Upgrade"));
    head.insert("sec-websocket-accept", value(&accept));
    if oldest.is_none() {
        head.insert("sec-websocket-protocol", value(protocol));
    }
    Ok((response, Negotiated::WebSocket { protocol: protocol.into() }))
}

fn accept_spdy(headers: &HeaderMap, known: &[&str]) -> Result<(Response<()>, Negotiated), Refusal> {
    let offered = offered(headers, SPDY_PROTOCOL);
    // A client that offers nothing speaks the oldest.
    let oldest = offered.is_empty().then(|| known[known.len() - 1]);
    // The client's order counts.
    let chosen = offered.iter().find_map(|o| known.iter().find(|k| *k == o)).copied().or(oldest);
    let Some(protocol) = chosen else {
        let mut response = refuse(
            StatusCode::FORBIDDEN,
            format!(
                "unable to upgrade: unable to negotiate protocol: client supports {offered:?}, server accepts {known:?}"
            ),
        );
        for known in known {
            response.headers_mut().append("x-accepted-stream-protocol-versions", value(known));
        }
        return Err(response);
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let head = response.headers_mut();
    head.insert("upgrade", value("SPDY/3.1"));
    head.insert("connection", value("Upgrade"));
    head.insert(SPDY_PROTOCOL, value(protocol));
    Ok((response, Negotiated::Spdy { protocol: protocol.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn the_best_common_protocol_is_chosen() {
        let python = headers(&[
            ("upgrade", "websocket"),
            ("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw=="),
            ("sec-websocket-protocol", "v5.channel.k8s.io,v4.channel.k8s.io"),
        ]);
        let (response, negotiated) = negotiate_command(&Method::GET, &python).expect("known");
        assert_eq!(negotiated, Negotiated::WebSocket { protocol: "v5.channel.k8s.io".into() });
        assert_eq!(response.headers()["sec-websocket-accept"], "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
        let old = headers(&[
            ("upgrade", "SPDY/3.1"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
            ("x-stream-protocol-version", "v3.channel.k8s.io"),
        ]);
        let (_, negotiated) = negotiate_command(&Method::POST, &old).expect("known");
        assert_eq!(negotiated, Negotiated::Spdy { protocol: "v4.channel.k8s.io".into() });
        assert_eq!(negotiate_command(&Method::POST, &headers(&[])).expect_err("no upgrade").status(), 400);
        let foreign = headers(&[("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v9")]);
        assert_eq!(negotiate_command(&Method::POST, &foreign).expect_err("unknown").status(), 403);
    }
}
