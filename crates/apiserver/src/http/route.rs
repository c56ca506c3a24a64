//! Paths: what a URL and a method ask for. Paths are regular, so a few lines of matching are the router.

use super::query::percent_decode;
use apimachinery::GroupVersionResource;
use http::Method;

/// A path of the resource API.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub gvr: GroupVersionResource,
    pub namespace: String,
    pub name: String,
    pub subresource: String,
    /// What follows the subresource (for proxies), without a leading slash.
    pub rest: String,
    /// The old form `/api/v1/watch/…`.
    pub watch: bool,
}

/// Reads `/api/v1/…` and `/apis/<group>/<version>/…`; `None` for everything else.
pub(crate) fn resource_path(path: &str) -> Option<ResourcePath> {
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (root, rest) = (parts.next()?, parts.next().unwrap_or_default());
    let (group, rest) = match root {
        "api" => ("", rest),
        "apis" => rest.split_once('/')?,
        _ => return None,
    };
    let (version, rest) = rest.split_once('/')?;
    let mut segments: Vec<&str> = rest.split('/').collect();
    let mut found = ResourcePath::default();
    if segments.first() == Some(&"watch") && segments.len() > 1 {
        segments.remove(0);
        found.watch = true;
    }
    // A trailing slash means nothing.
    if segments.len() > 1 && segments.last() == Some(&"") && segments.len() <= 3 {
        segments.pop();
    }
    let of_namespace = |word: &str| matches!(word, "status" | "finalize");
    if segments.first() == Some(&"namespaces") && segments.len() > 2 && !of_namespace(segments[2]) {
        found.namespace = percent_decode(segments[1]);
        segments.drain(..2);
    }
    let resource = segments.first().copied().filter(|resource| !resource.is_empty())?;
    found.gvr = GroupVersionResource::new(group, version, resource);
    found.name = segments.get(1).map(|name| percent_decode(name)).unwrap_or_default();
    found.subresource = segments.get(2).map(ToString::to_string).unwrap_or_default();
    found.rest = segments.get(3..).map(|rest| rest.join("/")).unwrap_or_default();
    Some(found)
}

/// The verb of a request for a path, as RBAC knows it for paths that are no resources.
pub(crate) fn path_verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::HEAD => "head",
        Method::OPTIONS => "options",
        _ => "get",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read() {
        let read = |path: &str| {
            let r = resource_path(path)?;
            Some(format!(
                "{} {} {} {} {} {}",
                r.gvr.api_version(),
                r.gvr.resource,
                r.namespace,
                r.name,
                r.subresource,
                r.rest
            ))
        };
        for (path, want) in [
            ("/api/v1/pods", Some("v1 pods    ")),
            ("/api/v1/namespaces", Some("v1 namespaces    ")),
            ("/api/v1/namespaces/a", Some("v1 namespaces  a  ")),
            ("/api/v1/namespaces/a/finalize", Some("v1 namespaces  a finalize ")),
            ("/api/v1/namespaces/a/pods/p/log", Some("v1 pods a p log ")),
            ("/api/v1/nodes/n/proxy/a/b", Some("v1 nodes  n proxy a/b")),
            ("/apis/apps/v1/namespaces/a/deployments", Some("apps/v1 deployments a   ")),
            ("/api/v1/watch/namespaces/a/pods", Some("v1 pods a   ")),
            ("/api/v1", None),
            ("/apis/apps/v1", None),
            ("/healthz", None),
        ] {
            assert_eq!(read(path).as_deref(), want, "{path}");
        }
    }
}
