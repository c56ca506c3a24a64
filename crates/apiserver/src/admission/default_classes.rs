//! DefaultStorageClass and DefaultIngressClass: claims and ingresses that name no class get the default
//! one, if there is one.

use super::is;
use crate::codec;
use crate::context::Result;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Status, Time, meta};
use serde_json::Value;

const STORAGE: &str = "storageclass.kubernetes.io/is-default-class";
const INGRESS: &str = "ingressclass.kubernetes.io/is-default-class";

pub(super) fn admit(server: &Server, target: &Target, object: &mut Value) -> Result<()> {
    let unset = |object: &Value, field: &str| object["spec"].get(field).is_none_or(Value::is_null);
    if is(target, "", "persistentvolumeclaims") && unset(object, "storageClassName") {
        // Several defaults are no error: the newest one counts.
        if let Some(class) = defaults(server, "storage.k8s.io", "storageclasses", STORAGE).pop() {
            object["spec"]["storageClassName"] = class.into();
        }
    }
    let annotated = meta::annotation(object, "kubernetes.io/ingress.class").is_some();
    if is(target, "networking.k8s.io", "ingresses") && unset(object, "ingressClassName") && !annotated {
        let classes = defaults(server, "networking.k8s.io", "ingressclasses", INGRESS);
        if classes.len() > 1 {
            let text = format!("{} default IngressClasses were found, only 1 allowed", classes.len());
            return Err(Box::new(Status::forbidden(&target.group_resource(), meta::name(object), text)));
        }
        if let Some(class) = classes.into_iter().next() {
            object["spec"]["ingressClassName"] = class.into();
        }
    }
    Ok(())
}

/// Names of the classes marked as default, oldest first.
fn defaults(server: &Server, group: &str, resource: &str, mark: &str) -> Vec<String> {
    let Some(info) = api::find(group, "v1", resource) else { return Vec::new() };
    let classes = server.store.list(&Target::of(info).prefix(""));
    let trees = classes.iter().map(|entry| codec::tree(entry));
    let marked = trees.filter(|class| meta::annotation(class, mark) == Some("true"));
    let mut found: Vec<(Option<Time>, std::cmp::Reverse<String>)> = marked
        .map(|class| (meta::creation_timestamp(&class), std::cmp::Reverse(meta::name(&class).to_owned())))
        .collect();
    found.sort();
    found.into_iter().map(|(_, name)| name.0).collect()
}
