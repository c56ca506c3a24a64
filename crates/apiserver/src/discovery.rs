//! Discovery: which groups, versions and resources there are, in the three forms that clients ask for
//! (plain per group version, and the aggregated v2 and v2beta1 of KEP-3352).

use crate::context::Result;
use crate::http::respond::{self, ResponseBody};
use crate::http::service::Asked;
use crate::http::{Encoding, Shape, negotiate};
use crate::resources::Shared;
use crate::server::Server;
use api::{ResourceInfo, SubresourceInfo};
use apimachinery::Status;
use apimachinery::gvk::compare_versions;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A group with its served versions, preferred first, and their resources.
pub(crate) struct Group {
    pub name: &'static str,
    pub versions: Vec<(&'static str, Vec<Listed>)>,
}

/// A resource, and the version in which it is stored.
pub(crate) struct Listed {
    info: Shared<ResourceInfo>,
    stored: Shared<ResourceInfo>,
    /// Its definition is being deleted.
    ending: bool,
}

impl Listed {
    fn verbs(&self) -> &[&'static str] {
        if self.ending { &custom::VERBS_WHILE_ENDING } else { &self.info.verbs }
    }
}

impl Group {
    fn api_version(&self, version: &str) -> String {
        apimachinery::gvk::join_api_version(self.name, version)
    }
}

/// The served groups in discovery order, the core group first, those of custom resources last.
pub(crate) fn groups(server: &Server) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for info in api::resources().iter().filter(|info| info.served_by_default) {
        add(&mut groups, Listed { info: Shared::Static(info), stored: Shared::Static(info), ending: false });
    }
    let served = server.custom.served();
    let mut custom: Vec<Group> = Vec::new();
    for target in served.established() {
        let known = groups.iter().any(|group| group.name == target.info.group);
        let ending = target.custom.as_ref().is_some_and(|custom| custom.definition.terminating);
        let listed = Listed { info: target.info.clone(), stored: target.stored.clone(), ending };
        add(if known { &mut groups } else { &mut custom }, listed);
    }
    for group in &mut custom {
        group.versions.sort_by(|(a, _), (b, _)| compare_versions(b, a));
    }
    custom.sort_by_key(|group| group.name);
    groups.extend(custom);
    groups
}

fn add(groups: &mut Vec<Group>, listed: Listed) {
    let (group, version) = (listed.info.group, listed.info.version);
    let at = groups.iter().position(|known| known.name == group).unwrap_or_else(|| {
        groups.push(Group { name: group, versions: Vec::new() });
        groups.len() - 1
    });
    let versions = &mut groups[at].versions;
    match versions.iter_mut().find(|(name, _)| *name == version) {
        Some((_, resources)) => resources.push(listed),
        None => versions.push((version, vec![listed])),
    }
}

/// `None` for paths that are not discovery's.
pub(crate) fn respond(server: &Server, incoming: &Asked) -> Option<Result<Response<ResponseBody>>> {
    let path = incoming.path.trim_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    let groups = groups(server);
    let named = |name: &str| groups.iter().find(|group| group.name == name && !name.is_empty());
    let plain = match segments.as_slice() {
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{
                "clientCIDR": "0.0.0.0/0",
                "serverAddress": server.config.advertise.to_string(),
            }],
        }),
        ["apis"] => json!({
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": groups.iter().filter(|group| !group.name.is_empty()).map(api_group).collect::<Vec<_>>(),
        }),
        ["api", "v1"] => resource_list(groups.iter().find(|group| group.name.is_empty())?, "v1")?,
        ["apis", group] => {
            let mut value = api_group(named(group)?);
            value["kind"] = "APIGroup".into();
            value["apiVersion"] = "v1".into();
            value
        }
        ["apis", group, version] => resource_list(named(group)?, version)?,
        _ => return None,
    };
    if !matches!(incoming.method, Method::GET | Method::HEAD) {
        return Some(Err(Box::new(Status::method_not_allowed())));
    }
    let aggregates = segments.len() == 1;
    let form = negotiate::negotiate(&incoming.headers, &incoming.query, |encoding, shape| match shape {
        Shape::Plain => encoding != Encoding::Protobuf,
        Shape::Discovery(version) => {
            aggregates && encoding == Encoding::Json && matches!(version.as_str(), "v2" | "v2beta1")
        }
        _ => false,
    });
    Some(form.map(|form| match &form.shape {
        Shape::Discovery(version) => {
            let core = segments[0] == "api";
            aggregated(&groups, core, version, incoming)
        }
        _ => respond::value(200, plain, &form),
    }))
}

fn api_group(group: &Group) -> Value {
    let version = |version: &str| json!({"groupVersion": group.api_version(version), "version": version});
    let versions: Vec<Value> = group.versions.iter().map(|(name, _)| version(name)).collect();
    json!({"name": group.name, "versions": versions, "preferredVersion": versions.first()})
}

fn resource_list(group: &Group, version: &str) -> Option<Value> {
    let (_, resources) = group.versions.iter().find(|(name, _)| *name == version)?;
    let mut list = Vec::new();
    for listed in resources {
        let Listed { info, stored, .. } = listed;
        let mut resource = json!({
            "name": info.resource, "singularName": info.singular, "namespaced": info.namespaced,
            "kind": info.kind, "verbs": listed.verbs(),
        });
        if !info.short_names.is_empty() {
            resource["shortNames"] = json!(info.short_names);
        }
        if !info.categories.is_empty() {
            resource["categories"] = json!(info.categories);
        }
        if info.storage_prefix.is_some() {
            resource["storageVersionHash"] = storage_hash(stored).into();
        }
        list.push(resource);
        list.extend(info.subresources.iter().map(|subresource| plain_subresource(info, subresource)));
    }
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": group.api_version(version), "resources": list,
    }))
}

fn plain_subresource(info: &ResourceInfo, subresource: &SubresourceInfo) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", info.resource, subresource.name), "singularName": "",
        "namespaced": info.namespaced, "kind": subresource.kind.kind, "verbs": subresource.verbs,
    });
    if (subresource.kind.group.as_str(), subresource.kind.version.as_str()) != (info.group, info.version) {
        value["group"] = subresource.kind.group.clone().into();
        value["version"] = subresource.kind.version.clone().into();
    }
    value
}

/// As upstream: the first bytes of the hash of the storage version's name.
fn storage_hash(info: &ResourceInfo) -> String {
    use base64::Engine;
    let name = format!("{}/{}/{}", info.group, info.version, info.kind);
    base64::engine::general_purpose::STANDARD.encode(&Sha256::digest(name)[..8])
}

fn aggregated(groups: &[Group], core: bool, version: &str, incoming: &Asked) -> Response<ResponseBody> {
    let items: Vec<Value> =
        groups.iter().filter(|group| group.name.is_empty() == core).map(aggregated_group).collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {}, "items": items,
    })
    .to_string();
    let hash: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02X}")).collect();
    let tag = format!("\"{hash}\"");
    let matches = incoming.headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let content_type = match version {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    let mut response =
        respond::plain(StatusCode::OK, content_type, if matches { String::new() } else { body });
    if matches {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(CONTENT_TYPE);
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response.headers_mut().insert("cache-control", HeaderValue::from_static("public"));
    response
}

fn aggregated_group(group: &Group) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|(version, resources)| {
            let resources: Vec<Value> = resources.iter().map(aggregated_resource).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    json!({"metadata": {"name": group.name}, "versions": versions})
}

fn aggregated_resource(listed: &Listed) -> Value {
    let info = &listed.info;
    let kind =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut value = json!({
        "resource": info.resource,
        "responseKind": kind(info.group, info.version, info.kind),
        "scope": if info.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": info.singular,
        "verbs": listed.verbs(),
    });
    if !info.short_names.is_empty() {
        value["shortNames"] = json!(info.short_names);
    }
    if !info.categories.is_empty() {
        value["categories"] = json!(info.categories);
    }
    if !info.subresources.is_empty() {
        let subresources = info.subresources.iter().map(|sub| {
            json!({
                "subresource": sub.name,
                "responseKind": kind(&sub.kind.group, &sub.kind.version, &sub.kind.kind),
                "verbs": sub.verbs,
            })
        });
        value["subresources"] = subresources.collect();
    }
    value
}
