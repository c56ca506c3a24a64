//! Parameters of policies: the objects that a binding refers to.

use crate::resources::Target;
use crate::server::Server;
use admission::{ParamRef, Policy};
use apimachinery::gvk::GroupVersionKind;
use serde_json::Value;
use std::sync::Arc;

/// The resource of a policy's parameters.
///
/// # Errors
/// There is none of this kind.
pub(super) fn resource(server: &Server, policy: &Policy) -> Result<Option<Target>, String> {
    let Some(kind) = &policy.params else { return Ok(None) };
    find(server, kind).map(Some).ok_or_else(|| {
        let GroupVersionKind { group, version, kind } = kind;
        format!("failed to find resource referenced by paramKind: '{group}/{version}, Kind={kind}'")
    })
}

fn find(server: &Server, kind: &GroupVersionKind) -> Option<Target> {
    if let Some(info) = api::find_kind(&kind.group, &kind.version, &kind.kind) {
        return (info.served_by_default && info.storage_prefix.is_some()).then(|| Target::of(info));
    }
    server.custom.served().established().find(|target| target.info.gvk() == *kind).cloned()
}

/// The parameters of one evaluation each; null where there are none to be had.
///
/// # Errors
/// The binding cannot be used for a request of this namespace.
pub(super) async fn collect(
    server: &Server,
    resource: Option<&Target>,
    reference: Option<&ParamRef>,
    namespace: &str,
) -> Result<Vec<Arc<Value>>, String> {
    let (Some(target), Some(reference)) = (resource, reference) else {
        return Ok(vec![Arc::new(Value::Null)]);
    };
    let namespace = match (target.info.namespaced, reference.namespace.as_str()) {
        (false, "") => "",
        (false, _) => {
            return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".into());
        }
        (true, "") if namespace.is_empty() => {
            let text =
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources";
            return Err(text.into());
        }
        (true, "") => namespace,
        (true, named) => named,
    };
    let (entries, selector) = match &reference.selector {
        Some(_) if !reference.name.is_empty() => {
            return Err("paramRef.name and paramRef.selector are mutually exclusive".into());
        }
        Some(selector) => {
            let all = server.store.list(&target.prefix(namespace));
            (all.iter().cloned().collect(), Some(selector.as_ref().map_err(Clone::clone)?))
        }
        None if reference.name.is_empty() => return Err("one of name or selector must be provided".into()),
        None => {
            let entry = server.store.get(&target.key(namespace, &reference.name));
            (entry.into_iter().collect::<Vec<_>>(), None)
        }
    };
    let shown = server.present(target, entries).await.map_err(|status| status.message)?;
    let trees = shown.iter().map(|entry| target.tree(entry));
    let found: Vec<Arc<Value>> =
        trees.filter(|object| selector.is_none_or(|selector| selector.matches_object(object))).collect();
    if found.is_empty() && reference.required {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".into());
    }
    Ok(found)
}
