//! The Pod network of one node: addresses, routed veth pairs, routes.
