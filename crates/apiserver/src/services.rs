//! What a Service gets from the server: cluster addresses and node ports. Each is claimed by creating a
//! key that nobody else can create; a claim whose Service does not exist (a crash in between) is taken over.

use crate::codec;
use crate::config::Range;
use crate::context::{Call, Result};
use crate::registry::{Place, Updated, refuse, store_status};
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{FieldError, Path, Time, meta};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A claim this old whose Service is not there was left behind by a crash.
const STALE_CLAIM_SECONDS: i64 = 60;
/// Random addresses tried before the range is searched in order.
const RANDOM_TRIES: usize = 32;
/// Addresses looked at in order.
const MAX_SEARCH: u128 = 1 << 16;

fn is_service(target: &Target) -> bool {
    target.info.group.is_empty() && target.info.resource == "services"
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The address at an offset of a range.
fn nth(range: Range, offset: u128) -> IpAddr {
    let number = number(range.base) + offset;
    match range.base {
        IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}

fn size(range: Range) -> u128 {
    let width = if range.base.is_ipv4() { 32 } else { 128 };
    1u128 << (width - u32::from(range.bits)).min(64)
}

fn contains(range: Range, address: IpAddr) -> bool {
    address.is_ipv4() == range.base.is_ipv4()
        && (number(range.base)..number(range.base) + size(range)).contains(&number(address))
}

/// The address of the `kubernetes` Service.
pub(crate) fn first_address(range: Range) -> IpAddr {
    nth(range, 1)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn wants_address(service: &Value) -> bool {
    text(service, "/spec/type") != "ExternalName" && text(service, "/spec/clusterIP") != "None"
}

fn wants_node_ports(service: &Value) -> bool {
    match text(service, "/spec/type") {
        "NodePort" => true,
        "LoadBalancer" => service.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false)),
        _ => false,
    }
}

/// The node ports a Service has, the health check port included.
fn node_ports(service: &Value) -> BTreeSet<u16> {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let ports = ports.filter_map(|port| port["nodePort"].as_u64());
    let health = service.pointer("/spec/healthCheckNodePort").and_then(Value::as_u64);
    ports.chain(health).filter_map(|port| u16::try_from(port).ok()).filter(|port| *port > 0).collect()
}

fn cluster_ips(service: &Value) -> BTreeSet<IpAddr> {
    let list = service.pointer("/spec/clusterIPs").and_then(Value::as_array).into_iter().flatten();
    let first = service.pointer("/spec/clusterIP");
    list.chain(first).filter_map(|ip| ip.as_str()?.parse().ok()).collect()
}

/// An update that leaves out what was allocated keeps it.
pub(crate) fn prepare_update(target: &Target, subresource: &str, new: &mut Value, old: &Value) {
    if !is_service(target)
        || !subresource.is_empty()
        || !wants_address(old) && text(old, "/spec/clusterIP") != "None"
    {
        return;
    }
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if spec.get("type").and_then(Value::as_str) == Some("ExternalName") {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if spec.get(field) == old.pointer(&format!("/spec/{field}")) {
                spec.remove(field);
            }
        }
        return;
    }
    let unset = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().is_empty();
    let fields: &[&str] = if unset {
        &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]
    } else {
        &["clusterIPs", "ipFamilies", "ipFamilyPolicy"]
    };
    for field in fields {
        let missing =
            spec.get(*field).is_none_or(|value| value.is_null() || *value == json!([]) || value == "");
        if let (true, Some(value)) = (missing, old.pointer(&format!("/spec/{field}"))) {
            spec.insert((*field).into(), value.clone());
        }
    }
    keep_node_ports(new, old);
}

/// Ports keep their node port by port and protocol.
fn keep_node_ports(new: &mut Value, old: &Value) {
    if !wants_node_ports(new) {
        return;
    }
    let key = |port: &Value| (port["port"].clone(), port["protocol"].clone());
    let had: Vec<Value> = old.pointer("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut used = node_ports(new);
    for port in new.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if port["nodePort"].as_u64().unwrap_or(0) == 0
            && let Some(before) = had.iter().find(|before| key(before) == key(port))
            && let Some(number) = before["nodePort"].as_u64().and_then(|n| u16::try_from(n).ok())
            && used.insert(number)
        {
            port["nodePort"] = number.into();
        }
    }
}

pub(crate) async fn allocate_create(
    server: &Server,
    call: &Call,
    target: &Target,
    object: &mut Value,
) -> Result<()> {
    if !is_service(target) {
        return Ok(());
    }
    allocate(server, call, target, object, &Value::Null).await
}

pub(crate) async fn allocate_update(
    server: &Server,
    call: &Call,
    target: &Target,
    object: &mut Value,
    old: &Value,
) -> Result<()> {
    if !is_service(target) || !call.request.subresource.is_empty() {
        return Ok(());
    }
    allocate(server, call, target, object, old).await
}

async fn allocate(
    server: &Server,
    call: &Call,
    target: &Target,
    service: &mut Value,
    old: &Value,
) -> Result<()> {
    let (had_ips, had_ports) = (cluster_ips(old), node_ports(old));
    let result = match addresses(server, call, target, service, &had_ips).await {
        Ok(()) => ports(server, call, target, service, &had_ports).await,
        error => error,
    };
    if result.is_err() {
        give_back(server, call.dry_run(), service, &had_ips, &had_ports).await;
    }
    result
}

async fn addresses(
    server: &Server,
    call: &Call,
    target: &Target,
    service: &mut Value,
    had: &BTreeSet<IpAddr>,
) -> Result<()> {
    if text(service, "/spec/type") == "ExternalName" {
        return Ok(());
    }
    let range = server.config.service_range;
    let family = if range.base.is_ipv4() { "IPv4" } else { "IPv6" };
    if wants_address(service) {
        let asked: Vec<IpAddr> = cluster_ips(service).into_iter().collect();
        if asked.is_empty() {
            let address = free_address(server, call, target, service).await?;
            service["spec"]["clusterIP"] = address.to_string().into();
        }
        for address in asked {
            if !had.contains(&address) {
                claim_asked(server, call, target, service, address).await?;
            }
        }
    }
    let ip = service["spec"]["clusterIP"].clone();
    let Some(spec) = service["spec"].as_object_mut() else { return Ok(()) };
    let empty =
        |value: Option<&Value>| value.is_none_or(|v| v.is_null() || v.as_array().is_some_and(Vec::is_empty));
    if empty(spec.get("clusterIPs")) {
        spec.insert("clusterIPs".into(), json!([ip]));
    }
    let selectorless_headless = ip == "None" && spec.get("selector").is_none_or(Value::is_null);
    if spec.get("ipFamilyPolicy").is_none_or(Value::is_null) {
        let policy = if selectorless_headless { "RequireDualStack" } else { "SingleStack" };
        spec.insert("ipFamilyPolicy".into(), policy.into());
    }
    if empty(spec.get("ipFamilies")) {
        let other = if family == "IPv4" { "IPv6" } else { "IPv4" };
        let families = if selectorless_headless { json!([family, other]) } else { json!([family]) };
        spec.insert("ipFamilies".into(), families);
    }
    if spec.get("ipFamilyPolicy").and_then(Value::as_str) == Some("RequireDualStack") && ip != "None" {
        let path = Path::new("spec").child("ipFamilyPolicy");
        let text = "this cluster is not configured for dual-stack services";
        return refuse(target, meta::name(service), &[FieldError::invalid(&path, "RequireDualStack", text)]);
    }
    Ok(())
}

fn place_of(target: &Target, service: &Value) -> Place {
    Place::new(target, meta::namespace(service), meta::name(service))
}

fn address_target() -> Target {
    Target::of(api::find("networking.k8s.io", "v1", "ipaddresses").expect("ipaddresses are in the table"))
}

fn address_claim(server: &Server, service: &Value, address: IpAddr) -> (String, Bytes) {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let object = json!({
        "kind": "IPAddress", "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": address.to_string(), "uid": server.env.uuid(),
            "creationTimestamp": server.now().truncated().to_string(), "generation": 1,
            "labels": {
                "ipaddress.kubernetes.io/ip-family": family,
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {"parentRef": {"resource": "services", "namespace": meta::namespace(service), "name": meta::name(service)}},
    });
    (address_target().key("", &address.to_string()), codec::encode(&object))
}

/// Claims a key for a Service; `false` if somebody else has it.
async fn claim(
    server: &Server,
    key: &str,
    value: Bytes,
    owner_at: &str,
) -> std::result::Result<bool, store::Error> {
    match server.store.create(key, value.clone(), None).await {
        Ok(_) => Ok(true),
        Err(store::Error::Exists(entry)) => {
            let tree = codec::tree(&entry);
            let (namespace, name) = match tree.pointer(owner_at) {
                Some(owner) => (text(owner, "/namespace").to_owned(), text(owner, "/name").to_owned()),
                None => return Ok(false),
            };
            let owned = server.store.get(&Target::core("services").key(&namespace, &name)).is_some();
            let born = meta::creation_timestamp(&tree).unwrap_or(Time(server.env.now()));
            if owned || server.now().since(born).as_secs() < STALE_CLAIM_SECONDS {
                return Ok(false);
            }
            Ok(server.store.update(key, value, entry.mod_revision, None).await.is_ok())
        }
        Err(error) => Err(error),
    }
}

async fn free_address(server: &Server, call: &Call, target: &Target, service: &Value) -> Result<IpAddr> {
    let range = server.config.service_range;
    let last = size(range) - 1;
    // The first addresses are left to those who ask for one by number (KEP-3070), as upstream does.
    let offset = (size(range) / 16).clamp(16, 256).min(last / 2);
    let random = (0..RANDOM_TRIES).map(|_| {
        offset + u128::from(server.env.random_below(u64::try_from(last - offset).unwrap_or(u64::MAX)))
    });
    for candidate in random.chain(offset..last.min(offset + MAX_SEARCH)).chain(2..offset) {
        let address = nth(range, candidate);
        let (key, value) = address_claim(server, service, address);
        if call.dry_run() {
            if server.store.get(&key).is_none() {
                return Ok(address);
            }
        } else if claim(server, &key, value, "/spec/parentRef")
            .await
            .map_err(|e| store_status(&place_of(target, service), &e))?
        {
            return Ok(address);
        }
    }
    Err(Box::new(apimachinery::Status::internal("failed to allocate a serviceIP: range is full")))
}

async fn claim_asked(
    server: &Server,
    call: &Call,
    target: &Target,
    service: &Value,
    address: IpAddr,
) -> Result<()> {
    let path = Path::new("spec").child("clusterIPs");
    let asked = service["spec"].get("clusterIPs").cloned().unwrap_or_else(|| json!([address.to_string()]));
    let refused = |text: String| {
        refuse(target, meta::name(service), &[FieldError::invalid(&path, asked.clone(), text)])
    };
    let range = server.config.service_range;
    if !contains(range, address) {
        return refused(format!(
            "failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. The range of valid IPs is {}/{}",
            range.base, range.bits
        ));
    }
    let (key, value) = address_claim(server, service, address);
    let free = if call.dry_run() {
        server.store.get(&key).is_none()
    } else {
        claim(server, &key, value, "/spec/parentRef")
            .await
            .map_err(|e| store_status(&place_of(target, service), &e))?
    };
    if free {
        Ok(())
    } else {
        refused(format!("failed to allocate IP {address}: provided IP is already allocated"))
    }
}

fn port_key(port: u16) -> String {
    format!("/registry/ranges/servicenodeports/{port}")
}

async fn claim_port(
    server: &Server,
    call: &Call,
    target: &Target,
    service: &Value,
    port: u16,
) -> Result<bool> {
    let key = port_key(port);
    if call.dry_run() {
        return Ok(server.store.get(&key).is_none());
    }
    let value = json!({
        "metadata": {"creationTimestamp": server.now().truncated().to_string()},
        "owner": {"namespace": meta::namespace(service), "name": meta::name(service)},
    });
    let claimed = claim(server, &key, codec::encode(&value), "/owner").await;
    claimed.map_err(|error| store_status(&place_of(target, service), &error))
}

async fn ports(
    server: &Server,
    call: &Call,
    target: &Target,
    service: &mut Value,
    had: &BTreeSet<u16>,
) -> Result<()> {
    if !wants_node_ports(service) {
        for port in service.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(port) = port.as_object_mut()
                && port
                    .get("nodePort")
                    .and_then(Value::as_u64)
                    .is_some_and(|p| had.contains(&(p as u16)) || p == 0)
            {
                port.remove("nodePort");
            }
        }
        return Ok(());
    }
    let count = service.pointer("/spec/ports").and_then(Value::as_array).map_or(0, Vec::len);
    let mut ours = BTreeSet::new();
    for index in 0..count {
        let path = Path::new("spec").child("ports").index(index).child("nodePort");
        let asked = service["spec"]["ports"][index]["nodePort"].as_u64().unwrap_or(0);
        if asked != 0 {
            let port = u16::try_from(asked).unwrap_or(0);
            if had.contains(&port) || !ours.insert(port) {
                continue;
            }
            let (first, last) = server.config.node_ports;
            let refused = |text: String| {
                refuse(target, meta::name(service), &[FieldError::invalid(&path, asked, text)])
            };
            if !(first..=last).contains(&port) {
                refused(format!(
                    "provided port is not in the valid range. The range of valid ports is {first}-{last}"
                ))?;
            }
            if !claim_port(server, call, target, service, port).await? {
                refused("provided port is already allocated".into())?;
            }
        } else {
            let port = free_port(server, call, target, service).await?;
            ours.insert(port);
            service["spec"]["ports"][index]["nodePort"] = port.into();
        }
    }
    let needs_health = text(service, "/spec/type") == "LoadBalancer"
        && text(service, "/spec/externalTrafficPolicy") == "Local";
    if needs_health && service.pointer("/spec/healthCheckNodePort").and_then(Value::as_u64).unwrap_or(0) == 0
    {
        service["spec"]["healthCheckNodePort"] = free_port(server, call, target, service).await?.into();
    }
    Ok(())
}

async fn free_port(server: &Server, call: &Call, target: &Target, service: &Value) -> Result<u16> {
    let (first, last) = server.config.node_ports;
    let count = u64::from(last - first) + 1;
    let start = server.env.random_below(count);
    for step in 0..count {
        let port = first + ((start + step) % count) as u16;
        if claim_port(server, call, target, service, port).await? {
            return Ok(port);
        }
    }
    Err(Box::new(apimachinery::Status::internal("failed to allocate a nodePort: range is full")))
}

/// Gives back what a Service claimed and nobody will use.
pub(crate) async fn release(server: &Server, target: &Target, object: &Value) {
    if is_service(target) {
        // The Service that won under this name keeps its own claims.
        let key = target.key(meta::namespace(object), meta::name(object));
        let winner = server.store.get(&key).map(|entry| codec::tree(&entry));
        let (ips, ports) = winner.map_or_else(Default::default, |w| (cluster_ips(&w), node_ports(&w)));
        give_back(server, false, object, &ips, &ports).await;
    }
}

async fn give_back(
    server: &Server,
    dry_run: bool,
    service: &Value,
    keep_ips: &BTreeSet<IpAddr>,
    keep_ports: &BTreeSet<u16>,
) {
    if dry_run {
        return;
    }
    let (namespace, name) = (meta::namespace(service), meta::name(service));
    let ips = cluster_ips(service).into_iter().filter(|ip| !keep_ips.contains(ip));
    for key in ips.map(|ip| address_target().key("", &ip.to_string())) {
        release_key(server, &key, "/spec/parentRef", namespace, name).await;
    }
    for port in node_ports(service).difference(keep_ports) {
        release_key(server, &port_key(*port), "/owner", namespace, name).await;
    }
}

async fn release_key(server: &Server, key: &str, owner_at: &str, namespace: &str, name: &str) {
    let Some(entry) = server.store.get(key) else { return };
    let tree = codec::tree(&entry);
    let own = tree
        .pointer(owner_at)
        .is_some_and(|o| text(o, "/namespace") == namespace && text(o, "/name") == name);
    if own {
        // Lost races leave a stale claim, which is taken over later.
        let _released = server.store.delete(key, Some(entry.mod_revision)).await;
    }
}

/// Gives back what an update or a deletion no longer needs.
pub(crate) async fn after_update(server: &Server, target: &Target, old: &Value, updated: &Updated) {
    if !is_service(target) {
        return;
    }
    match updated {
        Updated::Deleted(_) => give_back(server, false, old, &BTreeSet::new(), &BTreeSet::new()).await,
        Updated::Written(entry) => {
            let new = codec::tree(entry);
            give_back(server, false, old, &cluster_ips(&new), &node_ports(&new)).await;
        }
        Updated::Same(_) | Updated::Would(_) => {}
    }
}
