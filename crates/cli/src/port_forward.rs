//! `port-forward`: local ports that lead into a Pod. One WebSocket per connection.

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::Target;
use crate::session::Session;
use crate::websocket::{Socket, open, pod_path};

const DATA: u8 = 0;
const ERROR: u8 = 1;

#[derive(Args)]
pub struct PortForward {
    /// Name of the Pod (or pod/NAME)
    pod: String,
    /// LOCAL:REMOTE, or one number for both; :REMOTE takes any local port
    #[arg(required = true)]
    ports: Vec<String>,
    /// Address to listen on
    #[arg(long, default_value = "localhost", value_name = "ADDRESS")]
    address: String,
    #[command(flatten)]
    pub target: Target,
}

pub async fn run(session: &Session, forward: PortForward) -> Result<(), String> {
    let pod = forward.pod.trim_start_matches("pods/").trim_start_matches("pod/").to_string();
    let mut listeners = Vec::new();
    for pair in &forward.ports {
        let (local, remote) = ports(pair)?;
        let addresses: &[&str] = match forward.address.as_str() {
            "localhost" => &["127.0.0.1", "::1"],
            other => &[other],
        };
        let mut port = local;
        let mut bound = 0;
        for address in addresses {
            let ip: std::net::IpAddr = address.parse().map_err(|_| format!("{address:?} is no address"))?;
            match TcpListener::bind((ip, port)).await {
                Ok(listener) => {
                    let at = listener.local_addr().map_err(|error| error.to_string())?;
                    port = at.port();
                    println!("Forwarding from {at} -> {remote}");
                    listeners.push((listener, port, remote));
                    bound += 1;
                }
                Err(error) if bound == 0 && address == addresses.last().unwrap_or(address) => {
                    return Err(format!("unable to listen on port {local}: {error}"));
                }
                Err(_) => {}
            }
        }
    }
    let mut accepting = futures_util::stream::FuturesUnordered::new();
    let wait = |(listener, local, remote): (TcpListener, u16, u16)| async move {
        let accepted = listener.accept().await;
        (accepted, listener, local, remote)
    };
    accepting.extend(listeners.into_iter().map(wait));
    let mut open_connections = futures_util::stream::FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some((accepted, listener, local, remote)) = accepting.next() => {
                accepting.push(wait((listener, local, remote)));
                if let Ok((stream, _)) = accepted {
                    println!("Handling connection for {local}");
                    open_connections.push(connection(session, pod.clone(), remote, stream));
                }
            }
            Some(result) = open_connections.next() => {
                if let Err(error) = result {
                    eprintln!("an error occurred forwarding: {error}");
                }
            }
        }
    }
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    let bad = || format!("{text:?} is no pair of ports such as 8080:80");
    let (local, remote) = text.split_once(':').unwrap_or((text, text));
    let local = if local.is_empty() { 0 } else { local.parse().map_err(|_| bad())? };
    Ok((local, remote.parse().map_err(|_| bad())?))
}

async fn connection(session: &Session, pod: String, port: u16, stream: TcpStream) -> Result<(), String> {
    let path = pod_path(session, &pod, "portforward", &[("ports", port.to_string())]);
    let socket = open(session, &path, "v4.channel.k8s.io").await?;
    pump(socket, stream).await
}

async fn pump(socket: Socket, stream: TcpStream) -> Result<(), String> {
    let (mut sink, mut incoming) = socket.split();
    let (mut read, mut write) = stream.into_split();
    let mut buffer = vec![0; 32 << 10];
    // The first message of each channel repeats the port.
    let mut introduced = [false; 2];
    let mut reading = true;
    loop {
        tokio::select! {
            biased;
            message = incoming.next() => match message {
                Some(Ok(Message::Binary(data))) => {
                    let Some((channel, data)) = data.split_first() else { continue };
                    let seen = introduced.get_mut(usize::from(*channel)).map(|seen| std::mem::replace(seen, true));
                    match (*channel, seen) {
                        (_, Some(false)) => {}
                        (DATA, _) if write.write_all(data).await.is_err() => return Ok(()),
                        (ERROR, _) => return Err(String::from_utf8_lossy(data).into_owned()),
                        _ => {}
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => {}
            },
            got = read.read(&mut buffer), if reading => match got {
                Ok(got) if got > 0 => {
                    let message = [&[DATA], &buffer[..got]].concat();
                    if sink.send(Message::Binary(message.into())).await.is_err() {
                        return Ok(());
                    }
                }
                // The local side is done; what the Pod still sends is delivered.
                _ => reading = false,
            }
        }
    }
}
