//! Certificate signing requests carry who made them, whatever the request says, and keep what they ask for.

use super::is;
use crate::context::Call;
use crate::resources::Target;
use apimachinery::meta;
use serde_json::{Value, json};

/// Writes the user into a new request.
pub(super) fn stamp(call: &Call, target: &Target, object: &mut Value) {
    if !is(target, "certificates.k8s.io", "certificatesigningrequests") {
        return;
    }
    let spec = meta::object_at(meta::as_object_mut(object), "spec");
    spec.insert("username".into(), call.user.name.clone().into());
    spec.insert("groups".into(), call.user.groups.clone().into());
    for (field, value) in [("uid", json!(call.user.uid)), ("extra", json!(call.user.extra))] {
        if value == "" || value == json!({}) {
            spec.remove(field);
        } else {
            spec.insert(field.into(), value);
        }
    }
}

/// The spec of a request never changes.
pub(super) fn keep(target: &Target, new: &mut Value, old: &Value) {
    if is(target, "certificates.k8s.io", "certificatesigningrequests") {
        new["spec"] = old["spec"].clone();
    }
}
