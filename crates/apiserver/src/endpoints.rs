//! Where the API servers are reached: the `kubernetes` Endpoints and EndpointSlice. With a store that
//! several servers share each keeps a short-lived key (upstream's master leases), and all write what
//! these keys say.

use crate::context::Result;
use crate::registry::{Place, store_status};
use crate::resources::Target;
use crate::server::Server;
use crate::{bootstrap, codec, limits};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

const PREFIX: &str = "/registry/masterleases/";

/// Addresses by port.
type Servers = BTreeMap<u64, BTreeSet<IpAddr>>;

/// Whether others can reach an address: what is local to one machine or link is no endpoint, and rules of
/// endpoints refuse it.
fn is_reachable(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || link_local)
}

/// Brings the endpoints up to date; this server is among them.
pub(crate) async fn reconcile(server: &Arc<Server>, port: u16) -> Result<()> {
    let address = server.config.advertise;
    if !is_reachable(address) {
        return Ok(());
    }
    if !server.store.shared() {
        return write(server, &Servers::from([(port.into(), BTreeSet::from([address]))])).await;
    }
    sign_in(server, address, port).await.map_err(|error| failed(&error))?;
    publish(server).await
}

/// Goes on with it, forever; only where servers come and go.
pub(crate) async fn keep(server: Arc<Server>, port: u16) {
    loop {
        server.env.sleep(limits::ENDPOINTS_INTERVAL).await;
        if let Err(status) = reconcile(&server, port).await {
            tracing::warn!("the endpoints of the API servers were not written: {status}");
        }
    }
}

/// Takes this server out: it stops.
pub(crate) async fn leave(server: &Arc<Server>) -> Result<()> {
    let address = server.config.advertise;
    if !server.store.shared() || !is_reachable(address) {
        return Ok(());
    }
    match server.store.delete(&key(address), None).await {
        Ok(_) | Err(store::Error::NotFound(_)) => {}
        Err(error) => return Err(failed(&error)),
    }
    publish(server).await
}

fn key(address: IpAddr) -> String {
    format!("{PREFIX}{address}")
}

fn failed(error: &store::Error) -> Box<apimachinery::Status> {
    store_status(&Place::new(&Target::core("endpoints"), "default", "kubernetes"), error)
}

async fn sign_in(server: &Arc<Server>, address: IpAddr, port: u16) -> std::result::Result<(), store::Error> {
    let (key, ttl) = (key(address), Some(limits::ENDPOINT_TTL));
    let object = json!({"kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": address.to_string()},
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]});
    let value = codec::encode(&object);
    server.store.consistent().await?;
    let written = match server.store.get(&key) {
        Some(entry) => server.store.update(&key, value.clone(), entry.mod_revision, ttl).await,
        None => server.store.create(&key, value.clone(), ttl).await,
    };
    match written {
        // It ran out in this moment.
        Err(store::Error::NotFound(_)) => server.store.create(&key, value, ttl).await.map(|_| ()),
        written => written.map(|_| ()),
    }
}

fn servers(leases: impl Iterator<Item = Arc<Value>>) -> Servers {
    let mut servers = Servers::new();
    for lease in leases {
        let subset = &lease["subsets"][0];
        let address = subset["addresses"][0]["ip"].as_str().and_then(|ip| ip.parse().ok());
        if let (Some(address), Some(port)) = (address, subset["ports"][0]["port"].as_u64()) {
            servers.entry(port).or_default().insert(address);
        }
    }
    servers
}

async fn publish(server: &Arc<Server>) -> Result<()> {
    server.store.consistent().await.map_err(|error| failed(&error))?;
    let leases = server.store.list(PREFIX);
    let servers = servers(leases.iter().map(|entry| codec::tree(entry)));
    // The last one that leaves leaves the endpoints as they are: there must be some.
    if servers.is_empty() { Ok(()) } else { write(server, &servers).await }
}

async fn write(server: &Arc<Server>, servers: &Servers) -> Result<()> {
    let metadata = |label: Value| json!({"name": "kubernetes", "namespace": "default", "labels": label});
    let port = |port: u64| json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let subset = |(number, addresses): (&u64, &BTreeSet<IpAddr>)| {
        let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        json!({"addresses": addresses, "ports": port(*number)})
    };
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints",
        "metadata": metadata(json!({"endpointslice.kubernetes.io/skip-mirror": "true"})),
        "subsets": servers.iter().map(subset).collect::<Vec<_>>()});
    bootstrap::replace(server, "", "endpoints", endpoints).await?;
    // A slice has one port; servers of one cluster have the same, and if not, all write the same slice.
    let Some((number, addresses)) = servers.first_key_value() else { return Ok(()) };
    let v4 = addresses.first().is_none_or(IpAddr::is_ipv4);
    let endpoints: Vec<Value> = addresses
        .iter()
        .filter(|ip| ip.is_ipv4() == v4)
        .map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}}))
        .collect();
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": metadata(json!({"kubernetes.io/service-name": "kubernetes"})),
        "addressType": if v4 { "IPv4" } else { "IPv6" },
        "endpoints": endpoints, "ports": port(*number)});
    bootstrap::replace(server, "discovery.k8s.io", "endpointslices", slice).await
}
