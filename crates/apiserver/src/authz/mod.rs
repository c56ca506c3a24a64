//! Authorization: administrators, then nodes, then RBAC; whoever allows first decides.

pub(crate) mod node;
pub(crate) mod rbac;

use crate::context::{Call, Result};
use crate::server::Server;
use apimachinery::{GroupResource, Status, go};
use client::UserInfo;

/// What is asked for: a resource or a path.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a> {
    pub user: &'a UserInfo,
    pub verb: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub field_selector: &'a str,
    /// Set, and all of the above but user and verb empty, for requests that name no resource.
    pub path: &'a str,
}

impl<'a> Attributes<'a> {
    pub fn of(call: &'a Call) -> Attributes<'a> {
        let request = &call.request;
        Attributes {
            user: &call.user,
            verb: request.verb.as_str(),
            group: &request.resource.group,
            resource: &request.resource.resource,
            subresource: &request.subresource,
            namespace: &request.namespace,
            name: if request.name.is_empty() {
                selected_name(&request.options.field_selector)
            } else {
                &request.name
            },
            field_selector: &request.options.field_selector,
            path: "",
        }
    }

    pub fn of_path(user: &'a UserInfo, verb: &'a str, path: &'a str) -> Attributes<'a> {
        Attributes {
            user,
            verb,
            group: "",
            resource: "",
            subresource: "",
            namespace: "",
            name: "",
            field_selector: "",
            path,
        }
    }

    /// `pods` or `pods/exec`.
    pub fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// The only name that a field selector allows: a list of one is authorized like a get by name.
fn selected_name(selector: &str) -> &str {
    selector
        .split(',')
        .find_map(|term| term.strip_prefix("metadata.name="))
        .map_or("", |name| name.trim_start_matches('='))
}

/// An answer, and what to tell about it.
pub(crate) struct Decision {
    pub allowed: bool,
    pub reason: String,
}

pub(crate) struct Authorizer {
    pub rbac: rbac::Rbac,
}

impl Authorizer {
    /// # Errors
    /// 403 in upstream's words.
    pub fn authorize(&self, server: &Server, attributes: &Attributes<'_>) -> Result<()> {
        let decision = self.decide(server, attributes);
        if decision.allowed { Ok(()) } else { Err(forbidden(attributes, &decision.reason)) }
    }

    pub fn decide(&self, server: &Server, attributes: &Attributes<'_>) -> Decision {
        let user = attributes.user;
        if user.groups.iter().any(|group| group == "system:masters") {
            return Decision { allowed: true, reason: String::new() };
        }
        let mut reason = String::new();
        if let Some(node) = node::node_name(user) {
            match node::decide(server, node, attributes) {
                Ok(()) => return Decision { allowed: true, reason: String::new() },
                Err(text) => reason = text,
            }
        }
        match self.rbac.decide(&server.store, attributes) {
            Some(reason) => Decision { allowed: true, reason },
            None => Decision { allowed: false, reason },
        }
    }
}

fn forbidden(attributes: &Attributes<'_>, reason: &str) -> Box<Status> {
    let user = go::quote(&attributes.user.name);
    let mut text = if attributes.path.is_empty() {
        let scope = if attributes.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {}", go::quote(attributes.namespace))
        };
        format!(
            "User {user} cannot {} resource {} in API group {} {scope}",
            attributes.verb,
            go::quote(&attributes.full_resource()),
            go::quote(attributes.group),
        )
    } else {
        format!("User {user} cannot {} path {}", attributes.verb, go::quote(attributes.path))
    };
    if !reason.is_empty() {
        text.push_str(": ");
        text.push_str(reason);
    }
    let resource = GroupResource::new(attributes.group, attributes.resource);
    Box::new(Status::forbidden(&resource, attributes.name, text))
}
