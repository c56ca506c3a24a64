//! Calls to a cluster of several members: one connection at a time, the next member when one fails,
//! credentials, and repeating what may be repeated.

use std::sync::Arc;

use bytes::Bytes;
use env::Env;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::grpc::{self, Connection, Failure, UNAUTHENTICATED, UNAVAILABLE};
use crate::messages::{self, AUTHENTICATE};
use crate::wire::Writer;
use crate::{TlsFiles, limits};

/// Where one member is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
}

impl Endpoint {
    pub fn parse(url: &str) -> Result<Endpoint, String> {
        let bad = || format!("{url:?} is no endpoint: wanted https://HOST:PORT or http://HOST:PORT");
        let (tls, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(bad()),
        };
        let authority = rest.trim_end_matches('/');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (authority, 2379),
        };
        let host = host.trim_matches(['[', ']']).to_string();
        if host.is_empty() || host.contains('/') { Err(bad()) } else { Ok(Endpoint { tls, host, port }) }
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{}://{host}:{}", if self.tls { "https" } else { "http" }, self.port)
    }
}

/// Finds the addresses of a host that is named: the program links no name service of its own.
pub type Resolve = Arc<
    dyn Fn(String) -> futures_util::future::BoxFuture<'static, Result<Vec<std::net::IpAddr>, String>>
        + Send
        + Sync,
>;

struct State {
    /// The member that is used, as an index.
    member: usize,
    connection: Option<Connection>,
    token: Option<Arc<str>>,
}

pub struct Channel {
    env: Env,
    endpoints: Vec<Endpoint>,
    tls: Option<TlsConnector>,
    credentials: Option<(String, String)>,
    resolve: Option<Resolve>,
    state: Mutex<State>,
}

/// Whether a call may be carried out twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    Freely,
    /// Only when it certainly did not happen.
    IfUndone,
}

impl Channel {
    pub fn new(
        env: &Env,
        endpoints: &[String],
        tls: &TlsFiles,
        credentials: Option<(String, String)>,
        resolve: Option<Resolve>,
    ) -> Result<Channel, String> {
        let endpoints: Vec<Endpoint> =
            endpoints.iter().map(|url| Endpoint::parse(url)).collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err("no etcd endpoint is given".into());
        }
        let tls = if endpoints.iter().any(|endpoint| endpoint.tls) {
            Some(TlsConnector::from(Arc::new(tls.config()?)))
        } else {
            None
        };
        // Several API servers spread over the members.
        let member = env.random_below(endpoints.len() as u64) as usize;
        let state = Mutex::new(State { member, connection: None, token: None });
        Ok(Channel { env: env.clone(), endpoints, tls, credentials, resolve, state })
    }

    /// A call with an answer, repeated at other members as far as it may.
    pub async fn call(&self, path: &str, message: Writer, repeat: Repeat) -> Result<Bytes, Failure> {
        let message = grpc::bytes(message);
        let deadline = self.env.instant() + limits::CALL_DEADLINE;
        let timeout = match repeat {
            Repeat::Freely => limits::READ_TIMEOUT,
            Repeat::IfUndone => limits::WRITE_TIMEOUT,
        };
        loop {
            let failure = match self.connection().await {
                Ok((connection, token)) => {
                    match connection.unary(path, &message, token.as_deref(), timeout).await {
                        Ok(answer) => return Ok(answer),
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            self.note(&failure).await;
            let passing = failure.broken || failure.code == UNAVAILABLE;
            let again = failure.undone || repeat == Repeat::Freely && passing;
            if !again || self.env.instant() >= deadline {
                return Err(failure);
            }
            self.env.sleep(limits::RETRY_PAUSE).await;
        }
    }

    /// Goes to the next member after a failure that is this one's, and to a new token after one that
    /// the old one caused.
    pub async fn note(&self, failure: &Failure) {
        let mut state = self.state.lock().await;
        if failure.code == UNAUTHENTICATED || failure.message == "etcdserver: invalid auth token" {
            state.token = None;
        } else if (failure.broken || failure.code == UNAVAILABLE) && state.connection.take().is_some() {
            state.member = (state.member + 1) % self.endpoints.len();
        }
    }

    /// The connection calls use, made if there is none: each member is tried once.
    async fn connection(&self) -> Result<(Connection, Option<Arc<str>>), Failure> {
        let mut state = self.state.lock().await;
        if state.connection.as_ref().is_some_and(Connection::is_closed) {
            state.connection = None;
        }
        if state.connection.is_none() {
            let (member, connection) = self.dial(state.member).await?;
            state.member = member;
            state.connection = Some(connection);
        }
        let connection = state.connection.clone().ok_or_else(|| Failure::unreachable("no connection"))?;
        if let (None, Some((name, password))) = (&state.token, &self.credentials) {
            let message = grpc::bytes(messages::authenticate(name, password));
            let answer = connection.unary(AUTHENTICATE, &message, None, limits::READ_TIMEOUT).await?;
            let token = messages::field(answer, 2)?.map(crate::wire::Value::bytes).unwrap_or_default();
            state.token = Some(String::from_utf8_lossy(&token).into());
        }
        Ok((connection, state.token.clone()))
    }

    /// A connection of its own for a stream, to the member after those that failed before.
    pub async fn own_connection(&self, first: usize) -> Result<(Connection, Option<Arc<str>>), Failure> {
        let token = self.connection().await?.1;
        let start = self.state.lock().await.member;
        Ok((self.dial(start + first).await?.1, token))
    }

    async fn dial(&self, first: usize) -> Result<(usize, Connection), Failure> {
        let mut last = Failure::unreachable("no endpoint");
        for offset in 0..self.endpoints.len() {
            let member = (first + offset) % self.endpoints.len();
            let endpoint = &self.endpoints[member];
            let connect = tokio::time::timeout(limits::CONNECT_TIMEOUT, self.connect(endpoint));
            match connect.await.unwrap_or_else(|_| Err(Failure::unreachable("it does not answer"))) {
                Ok(connection) => return Ok((member, connection)),
                Err(failure) => {
                    last = Failure::unreachable(format!("{}: {failure}", endpoint.authority()));
                    tracing::debug!("etcd: {last}");
                }
            }
        }
        Err(last)
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, Failure> {
        let stream = self.open(endpoint).await?;
        stream.set_nodelay(true).map_err(Failure::unreachable)?;
        let authority = endpoint.authority();
        match &self.tls {
            Some(tls) if endpoint.tls => {
                let name = ServerName::try_from(endpoint.host.clone()).map_err(Failure::unreachable)?;
                let stream = tls.connect(name, stream).await.map_err(Failure::unreachable)?;
                Connection::handshake(&self.env, stream, authority).await
            }
            _ => Connection::handshake(&self.env, stream, authority).await,
        }
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<TcpStream, Failure> {
        let addresses = match (endpoint.host.parse(), &self.resolve) {
            (Ok(address), _) => vec![address],
            (Err(_), None) if endpoint.host == "localhost" => vec![std::net::Ipv4Addr::LOCALHOST.into()],
            (Err(_), None) => return Err(Failure::unreachable("an IP address is needed")),
            (Err(_), Some(resolve)) => resolve(endpoint.host.clone()).await.map_err(Failure::unreachable)?,
        };
        let mut last = Failure::unreachable("the name has no address");
        for address in addresses {
            match TcpStream::connect((address, endpoint.port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Failure::unreachable(error),
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls() {
        let parsed = |url| Endpoint::parse(url).map(|endpoint| endpoint.authority());
        assert_eq!(parsed("https://10.0.0.1:2379"), Ok("https://10.0.0.1:2379".into()));
        assert_eq!(parsed("http://[::1]:12379/"), Ok("http://[::1]:12379".into()));
        assert_eq!(parsed("https://etcd.example"), Ok("https://etcd.example:2379".into()));
        for bad in ["10.0.0.1:2379", "ftp://x", "https://", "http://x:y", "https://x/path:1"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
