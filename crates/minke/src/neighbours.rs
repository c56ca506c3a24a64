//! Other nodes of a cluster whose store is shared. Nodes take their Pod addresses from their data directories, so two
//! of them may take the same: that is refused, until clusters of several nodes are supported.

use apimachinery::meta;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// # Errors
/// The node that has Pod addresses of `cidr`, and what to do.
pub fn check(nodes: &[Arc<Value>], name: &str, cidr: &str) -> Result<(), String> {
    let takes = |node: &&Arc<Value>| {
        meta::name(node) != name && node["spec"]["podCIDR"].as_str().is_some_and(|other| overlap(other, cidr))
    };
    match nodes.iter().find(takes) {
        None => Ok(()),
        Some(node) => Err(format!(
            "node {:?} of this cluster has Pod addresses of {cidr} already, and clusters of several nodes are not \
             supported yet: start this server without a node (minke server), or delete that Node if it is gone",
            meta::name(node)
        )),
    }
}

fn overlap(a: &str, b: &str) -> bool {
    let parse = |text: &str| {
        let (base, bits) = text.split_once('/')?;
        Some((
            u32::from(base.parse::<Ipv4Addr>().ok()?),
            bits.parse::<u32>().ok().filter(|bits| *bits <= 32)?,
        ))
    };
    let (Some((a, a_bits)), Some((b, b_bits))) = (parse(a), parse(b)) else { return false };
    let mask = u32::MAX.checked_shl(32 - a_bits.min(b_bits)).unwrap_or(0);
    a & mask == b & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_pod_addresses_are_not_given_twice() {
        let node =
            |name: &str, cidr: &str| Arc::new(json!({"metadata": {"name": name}, "spec": {"podCIDR": cidr}}));
        let nodes = [node("a", "10.244.0.0/24"), node("b", "10.244.1.0/24")];
        assert_eq!(check(&nodes, "a", "10.244.0.0/24"), Ok(()), "its own, from before");
        assert_eq!(check(&nodes, "c", "10.244.2.0/24"), Ok(()));
        for cidr in ["10.244.1.0/24", "10.244.0.0/22", "10.244.1.128/25"] {
            assert!(
                check(&nodes, "c", cidr).unwrap_err().contains("several nodes are not supported"),
                "{cidr}"
            );
        }
        assert!(check(&nodes, "a", "10.244.1.0/24").unwrap_err().starts_with("node \"b\" "));
    }
}
