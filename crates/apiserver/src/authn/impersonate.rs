//! Impersonation: acting as somebody else, if RBAC allows the verb `impersonate` on every part.

use crate::authz::Attributes;
use crate::context::Result;
use crate::server::Server;
use apimachinery::Status;
use client::UserInfo;
use http::HeaderMap;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).filter(|v| !v.is_empty()).collect()
}

/// The user the request acts as: the caller, or whom the caller impersonates.
pub(crate) fn apply(server: &Server, headers: &HeaderMap, caller: UserInfo) -> Result<UserInfo> {
    let name = values(headers, USER).first().map(|name| (*name).to_owned());
    let groups: Vec<String> = values(headers, GROUP).into_iter().map(str::to_owned).collect();
    let uid = values(headers, UID).first().map(|uid| (*uid).to_owned());
    let extra: Vec<(String, Vec<String>)> = headers
        .keys()
        .filter_map(|key| Some((key.as_str().strip_prefix(EXTRA)?.to_owned(), key)))
        .map(|(field, key)| {
            (decode(&field), values(headers, key.as_str()).into_iter().map(str::to_owned).collect())
        })
        .collect();
    let Some(name) = name else {
        if groups.is_empty() && uid.is_none() && extra.is_empty() {
            return Ok(caller);
        }
        let text = "requested [{Group ...}] without impersonating a user";
        return Err(Box::new(Status::internal(text)));
    };
    let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, account)) => check(server, &caller, "", "serviceaccounts", "", namespace, account)?,
        None => check(server, &caller, "", "users", "", "", &name)?,
    }
    for group in &groups {
        check(server, &caller, "", "groups", "", "", group)?;
    }
    let authentication = "authentication.k8s.io";
    if let Some(uid) = &uid {
        check(server, &caller, authentication, "uids", "", "", uid)?;
    }
    for (field, texts) in &extra {
        for text in texts {
            check(server, &caller, authentication, "userextras", field, "", text)?;
        }
    }
    let mut user = UserInfo {
        name: name.clone(),
        uid: uid.unwrap_or_default(),
        groups,
        extra: extra.into_iter().collect(),
    };
    if let Some((namespace, _)) = account
        && user.groups.is_empty()
    {
        user.groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
    }
    if user.name == "system:anonymous" {
        add(&mut user.groups, "system:unauthenticated");
    } else {
        add(&mut user.groups, "system:authenticated");
    }
    Ok(user)
}

fn add(groups: &mut Vec<String>, group: &str) {
    if !groups.iter().any(|g| g == group) {
        groups.push(group.into());
    }
}

fn check(
    server: &Server,
    caller: &UserInfo,
    group: &str,
    resource: &str,
    subresource: &str,
    namespace: &str,
    name: &str,
) -> Result<()> {
    let attributes = Attributes {
        group,
        resource,
        subresource,
        namespace,
        name,
        ..Attributes::of_path(caller, "impersonate", "")
    };
    server.authz.authorize(server, &attributes)
}

/// Header names are lower case and percent-encode what they cannot carry.
fn decode(field: &str) -> String {
    crate::http::query::percent_decode(field).to_lowercase()
}
