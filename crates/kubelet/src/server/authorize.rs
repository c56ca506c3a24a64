//! Who calls the node service, and whether it may.

use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use client::UserInfo;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Server;
use super::route::Route;

/// The user of a verified client certificate: common name, organizations as groups.
pub fn user_of(certificates: Option<&[CertificateDer<'_>]>) -> UserInfo {
    let Some(certificate) = certificates.and_then(|chain| chain.first()) else { return UserInfo::default() };
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return UserInfo::default() };
    let subject = certificate.subject();
    let name = subject.iter_common_name().find_map(|a| a.as_str().ok()).unwrap_or_default();
    let groups: Vec<&str> = subject.iter_organization().filter_map(|a| a.as_str().ok()).collect();
    UserInfo::new(name, &groups)
}

impl Server {
    /// Upstream's mapping: logs are nodes/log, metrics nodes/metrics, the rest nodes/proxy.
    pub async fn authorize(&self, user: &UserInfo, route: &Route) -> Result<(), Box<Status>> {
        if user.groups.iter().any(|group| group == "system:masters") {
            return Ok(());
        }
        let (verb, subresource) = match route {
            Route::Healthz | Route::Pods => ("get", "proxy"),
            Route::Metrics => ("get", "metrics"),
            Route::Logs(..) => ("get", "log"),
            Route::Exec(..) | Route::Attach(..) | Route::PortForward(..) => ("create", "proxy"),
        };
        let node = &self.shared.config.node_name;
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user.name,
                "groups": user.groups,
                "resourceAttributes": {"verb": verb, "resource": "nodes", "subresource": subresource, "name": node},
            },
        });
        let reviews = self.shared.client.resource("authorization.k8s.io", "v1", "subjectaccessreviews");
        let answer = reviews.create("", review).await?;
        if answer["status"]["allowed"] == true {
            return Ok(());
        }
        let message = format!(
            "User {:?} cannot {verb} resource \"nodes/{subresource}\" in API group \"\" at the cluster scope",
            user.name
        );
        Err(Box::new(Status::forbidden(&GroupResource::new("", "nodes"), node, message)))
    }
}
