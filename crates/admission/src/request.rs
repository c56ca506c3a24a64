//! What a request is about, as webhooks and expressions are told.

use crate::Matched;
use apimachinery::gvk::{GroupVersionKind, GroupVersionResource};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// Everything but the objects.
#[derive(Debug, Clone)]
pub struct Request {
    pub operation: Operation,
    /// The kind of the body, which for subresources may be another one than the resource's.
    pub kind: GroupVersionKind,
    pub resource: GroupVersionResource,
    pub subresource: String,
    /// Empty if the name is still to be generated, and for each object of a deleted collection.
    pub name: String,
    /// The namespace's own name where the request is about a namespace.
    pub namespace: String,
    /// `username`, `uid`, `groups`, `extra`.
    pub user: Value,
    pub dry_run: bool,
    /// CreateOptions and the like; null where there are none.
    pub options: Value,
}

impl Request {
    /// The fields of an `AdmissionRequest` but uid and objects; `matched` is what the rule named.
    pub fn to_map(&self, matched: &Matched) -> Map<String, Value> {
        let kind = |k: &GroupVersionKind| json!({"group": k.group, "version": k.version, "kind": k.kind});
        let resource = |r: &GroupVersionResource| json!({"group": r.group, "version": r.version, "resource": r.resource});
        let mut map = Map::new();
        map.insert("kind".into(), kind(&matched.kind));
        map.insert("resource".into(), resource(&matched.resource));
        map.insert("requestKind".into(), kind(&self.kind));
        map.insert("requestResource".into(), resource(&self.resource));
        for (field, text) in [
            ("subResource", &self.subresource),
            ("requestSubResource", &self.subresource),
            ("name", &self.name),
            ("namespace", &self.namespace),
        ] {
            if !text.is_empty() {
                map.insert(field.into(), text.as_str().into());
            }
        }
        map.insert("operation".into(), self.operation.as_str().into());
        map.insert("userInfo".into(), self.user.clone());
        map.insert("dryRun".into(), self.dry_run.into());
        map.insert("options".into(), self.options.clone());
        map
    }

    /// Whether the request is about webhook configurations or policies, which never judge themselves.
    pub fn configures_admission(&self) -> bool {
        const KINDS: [&str; 6] = [
            "ValidatingWebhookConfiguration",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
        ];
        self.kind.group == "admissionregistration.k8s.io" && KINDS.contains(&self.kind.kind.as_str())
    }

    /// Whether policies leave the request alone: reviews, without which nothing works.
    pub fn is_review(&self) -> bool {
        let names: &[&str] = match self.resource.group.as_str() {
            "authentication.k8s.io" => &["selfsubjectreviews", "tokenreviews"],
            "authorization.k8s.io" => &[
                "localsubjectaccessreviews",
                "selfsubjectaccessreviews",
                "selfsubjectrulesreviews",
                "subjectaccessreviews",
            ],
            _ => &[],
        };
        names.contains(&self.resource.resource.as_str())
    }

    pub(crate) fn is_namespace(&self) -> bool {
        self.resource.group.is_empty() && self.resource.resource == "namespaces"
    }

    /// How a refusal names the object.
    pub fn shown_name<'a>(&'a self, object: Option<&'a Value>) -> &'a str {
        if !self.name.is_empty() {
            return &self.name;
        }
        let Some(object) = object else { return "Unknown" };
        if object.get("metadata").is_none() {
            return "Unknown/errorGettingName";
        }
        match (apimachinery::meta::name(object), apimachinery::meta::generate_name(object)) {
            ("", "") => "Unknown",
            ("", generate) => generate,
            (name, _) => name,
        }
    }
}
