//! One file per kind with rules of its own, and the list that finds it. Kinds without a file of their
//! own are described by one line of the table in `plain`.

mod access;
mod admission_policies;
mod api_service;
mod apps;
mod autoscaling;
mod batch;
mod certificates;
mod checks;
mod config_map;
mod custom_resource_definition;
mod devices;
mod endpoints;
mod event;
mod expressions;
mod flow_control;
mod lease;
mod namespace;
mod networking;
mod node;
mod persistent_volume;
mod plain;
pub mod pod;
mod policy;
mod quota;
mod secret;
mod service;
mod service_account;
mod stateful_set;
mod storage;
mod table;
mod volume_claim;
mod webhooks;

use crate::Strategy;
pub use custom_resource_definition::STRING_FORMATS;
pub use expressions::{Expression, Use, expressions};

/// The strategy of a resource; [`crate::Generic`] where nothing is known about it.
pub fn strategy(group: &str, resource: &str) -> &'static dyn Strategy {
    match (group, resource) {
        ("", "configmaps") => &config_map::ConfigMap,
        ("", "events") => &event::CORE,
        ("events.k8s.io", "events") => &event::NEW,
        ("", "namespaces") => &namespace::Namespace,
        ("", "nodes") => &node::Node,
        ("", "pods") => &pod::Pod,
        ("", "secrets") => &secret::Secret,
        ("", "serviceaccounts") => &service_account::ServiceAccount,
        ("", "services") => &service::Service,
        ("certificates.k8s.io", "certificatesigningrequests") => &certificates::CertificateSigningRequest,
        ("coordination.k8s.io", "leases") => &lease::Lease,
        _ => table::find(group, resource),
    }
}

#[cfg(test)]
mod tests;
