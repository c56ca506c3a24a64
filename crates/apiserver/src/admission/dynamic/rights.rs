//! `authorizer` in expressions: asks for the user of the request, or for a service account.

use crate::authz::Attributes;
use crate::context::Call;
use crate::server::Server;
use admission::Request;
use cel::{Authorize, Authorizer, Decision};
use client::UserInfo;
use std::sync::{Arc, Weak};

struct Rights {
    server: Weak<Server>,
    user: UserInfo,
}

/// For the user, and about what the request is about.
pub(super) fn authorizers(server: &Server, call: &Call, request: &Request) -> (Authorizer, Authorizer) {
    let rights = Rights { server: server.me.clone(), user: call.user.clone() };
    let all = Authorizer::new(Arc::new(rights));
    let resource = all.for_resource(cel::Attributes {
        group: request.resource.group.clone(),
        resource: request.resource.resource.clone(),
        subresource: request.subresource.clone(),
        namespace: request.namespace.clone(),
        name: request.name.clone(),
        ..cel::Attributes::default()
    });
    (all, resource)
}

impl Authorize for Rights {
    fn authorize(&self, asked: &cel::Attributes) -> Decision {
        let Some(server) = self.server.upgrade() else {
            let error = Some("the API server is stopping".to_owned());
            return Decision { allowed: false, reason: String::new(), error };
        };
        let account = asked.service_account.as_ref().map(|(namespace, name)| {
            let group = format!("system:serviceaccounts:{namespace}");
            UserInfo::new(
                &format!("system:serviceaccount:{namespace}:{name}"),
                &["system:serviceaccounts", &group],
            )
        });
        let user = account.as_ref().unwrap_or(&self.user);
        let attributes = match &asked.path {
            Some(path) => Attributes::of_path(user, &asked.verb, path),
            None => Attributes {
                group: &asked.group,
                resource: &asked.resource,
                subresource: &asked.subresource,
                namespace: &asked.namespace,
                name: &asked.name,
                field_selector: &asked.field_selector,
                ..Attributes::of_path(user, &asked.verb, "")
            },
        };
        let decision = server.authz.decide(&server, &attributes);
        Decision { allowed: decision.allowed, reason: decision.reason, error: None }
    }
}
