//! Connections to hosts: names looked up without the C library (it is not in a static program), and
//! failures in the words of Go's dialer.

use hickory_resolver::TokioResolver;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::TcpStream;

/// Tries the addresses of a host in turn.
pub(super) async fn host(host: &str, port: u16) -> Result<TcpStream, String> {
    let mut last = format!("dial tcp: lookup {host}: no such host");
    for ip in addresses(host).await? {
        match address(SocketAddr::new(ip, port)).await {
            Ok(stream) => return Ok(stream),
            Err(text) => last = text,
        }
    }
    Err(last)
}

pub(super) async fn address(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| refused(address, &error))
}

pub(super) fn refused(address: SocketAddr, error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        _ => error.to_string(),
    };
    format!("dial tcp {address}: connect: {text}")
}

async fn addresses(host: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let failed = |text: String| format!("dial tcp: lookup {host}: {text}");
    // Made each time: connections are kept, and the host's configuration may change.
    let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    let resolver = resolver.map_err(|error| failed(error.to_string()))?;
    match resolver.lookup_ip(host).await {
        Ok(found) => Ok(found.iter().collect()),
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
            Err(failed("no such host".into()))
        }
        Err(error) => Err(failed(error.to_string())),
    }
}
