//! What dynamic admission is asked about: the request as webhooks and expressions see it, its objects in
//! the version that a rule names, and what a changed object must be before it goes on.

use crate::context::{Call, Result};
use crate::convert;
use crate::resources::Target;
use crate::reviews::user_value;
use crate::server::Server;
use admission::{Asked, Matched, Operation, Request};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::{Status, meta};
use client::Options;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;

pub(crate) struct Subject<'a> {
    pub target: &'a Target,
    pub request: Request,
    /// The same resource under other groups and versions, and each as a target.
    equivalents: Vec<Matched>,
    targets: Vec<Target>,
}

impl<'a> Subject<'a> {
    /// `name` and `namespace` are those of the request; the kind is the body's.
    pub fn new(
        server: &Server,
        call: &Call,
        target: &'a Target,
        operation: Operation,
        subresource: &str,
        (namespace, name): (&str, &str),
    ) -> Subject<'a> {
        let kind = target.info.subresource(subresource).map_or_else(|| target.info.gvk(), |s| s.kind.clone());
        let about_namespace = target.info.group.is_empty() && target.info.resource == "namespaces";
        let request = Request {
            operation,
            kind,
            resource: target.info.gvr(),
            subresource: subresource.to_owned(),
            name: name.to_owned(),
            namespace: if about_namespace { name } else { namespace }.to_owned(),
            user: user_value(&call.user),
            dry_run: call.dry_run(),
            options: options(operation, call.options()),
        };
        let targets = equivalents(server, target);
        let equivalents = targets.iter().map(|other| matched(other, subresource, &request.kind)).collect();
        Subject { target, request, equivalents, targets }
    }

    /// Whether a hook or policy with these criteria concerns it, and as what.
    pub fn concerned(
        &self,
        server: &Server,
        criteria: &admission::Criteria,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<Option<Matched>> {
        let namespace = |name: &str| self::namespace(server, name);
        criteria.matches(&Asked {
            request: &self.request,
            object,
            old,
            equivalents: &self.equivalents,
            namespace: &namespace,
        })
    }

    /// The resource in the version that a rule named.
    pub fn target_of(&self, matched: &Matched) -> &Target {
        self.conversion(matched).unwrap_or(self.target)
    }

    /// The object in the version that a rule named.
    ///
    /// # Errors
    /// A conversion webhook fails.
    pub async fn versioned<'v>(
        &self,
        server: &Server,
        object: &'v Value,
        matched: &Matched,
    ) -> Result<Cow<'v, Value>> {
        Ok(match self.conversion(matched) {
            None => Cow::Borrowed(object),
            Some(to) => Cow::Owned(converted(server, self.target, to, object.clone()).await?),
        })
    }

    /// The same for both objects of a request.
    pub async fn both_versioned<'v>(
        &self,
        server: &Server,
        (object, old): (Option<&'v Value>, Option<&'v Value>),
        matched: &Matched,
    ) -> Result<(Option<Cow<'v, Value>>, Option<Cow<'v, Value>>)> {
        let object = match object {
            Some(object) => Some(self.versioned(server, object, matched).await?),
            None => None,
        };
        let old = match old {
            Some(old) => Some(self.versioned(server, old, matched).await?),
            None => None,
        };
        Ok((object, old))
    }

    fn conversion(&self, matched: &Matched) -> Option<&Target> {
        if matched.resource == self.request.resource || matched.kind == self.request.kind {
            return None;
        }
        self.targets.iter().find(|target| target.info.gvr() == matched.resource)
    }

    /// A changed object, given in the version that a rule named: decoded, in the version of the request,
    /// and with defaults again.
    ///
    /// # Errors
    /// It is no such object, or, if that is strictly asked for, has unknown fields.
    pub async fn settle(
        &self,
        server: &Server,
        object: Value,
        matched: &Matched,
        strict: bool,
    ) -> Result<Value> {
        let from = self.target_of(matched);
        let decoded = decoded(from, object, &matched.kind, strict);
        let mut object = decoded.map_err(|text| Box::new(Status::internal(text)))?;
        if !std::ptr::eq(from, self.target) {
            object = converted(server, from, self.target, object).await?;
        }
        if self.request.kind == self.target.info.gvk() {
            self.target.strategy.default(&mut object);
        }
        Ok(object)
    }

    /// How refusals name what they are about.
    pub fn forbidden(&self, object: Option<&Value>, text: &str) -> Status {
        let name = self.request.shown_name(object);
        Status::forbidden(&self.target.group_resource(), name, text)
    }
}

fn decoded(
    target: &Target,
    mut object: Value,
    kind: &GroupVersionKind,
    strict: bool,
) -> std::result::Result<Value, String> {
    if let Some(custom) = target.custom.as_ref().filter(|_| *kind == target.info.gvk()) {
        // Unknown fields are dropped, as they would be on the way to the store.
        custom.version.settle(&mut object).map_err(|error| error.to_string())?;
        return Ok(object);
    }
    let Some(ty) = schema::table().kind(&kind.group, &kind.version, &kind.kind) else { return Ok(object) };
    let decoded = schema::decode_value(ty, object).map_err(|error| error.to_string())?;
    if strict && !decoded.problems.is_empty() {
        return Err(schema::strict_message(&decoded.problems));
    }
    let mut object = decoded.object;
    meta::set_gvk(&mut object, kind);
    Ok(object)
}

/// An object in another version of its resource.
async fn converted(server: &Server, from: &Target, to: &Target, mut object: Value) -> Result<Value> {
    if to.custom.is_some() {
        return server.in_version(to, object).await;
    }
    convert::convert(&mut object, &from.info, &to.info);
    Ok(object)
}

/// The same resource under all groups and versions that are served.
fn equivalents(server: &Server, target: &Target) -> Vec<Target> {
    let info = &target.info;
    if let Some(custom) = &target.custom {
        let versions = custom.definition.served();
        return versions.filter_map(|version| server.custom.find(&version.info.gvr())).collect();
    }
    let same = |other: &&'static api::ResourceInfo| {
        other.served_by_default
            && other.resource == info.resource
            && other.storage_prefix.is_some()
            && other.storage_prefix == info.storage_prefix
    };
    api::resources().iter().filter(same).map(Target::of).collect()
}

fn matched(target: &Target, subresource: &str, kind: &GroupVersionKind) -> Matched {
    let info = &target.info;
    Matched {
        resource: info.gvr(),
        kind: match info.subresource(subresource) {
            Some(found) => found.kind.clone(),
            None if subresource.is_empty() => info.gvk(),
            None => kind.clone(),
        },
    }
}

/// A namespace as it is stored now.
pub(super) fn namespace(server: &Server, name: &str) -> Result<Arc<Value>> {
    let target = Target::core("namespaces");
    let entry = server.store.get(&target.key("", name));
    let entry = entry.ok_or_else(|| Box::new(Status::not_found(&target.group_resource(), name)))?;
    Ok(target.tree(&entry))
}

/// The options of the operation as an object; empty ones are left out.
fn options(operation: Operation, options: &Options) -> Value {
    let kind = match operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => return Value::Null,
    };
    let mut map = Map::new();
    map.insert("kind".into(), kind.into());
    map.insert("apiVersion".into(), "meta.k8s.io/v1".into());
    if !options.dry_run.is_empty() {
        map.insert("dryRun".into(), json!(options.dry_run));
    }
    if operation == Operation::Delete {
        let preconditions: Map<String, Value> =
            [("uid", &options.precondition_uid), ("resourceVersion", &options.precondition_resource_version)]
                .into_iter()
                .filter_map(|(field, value)| Some((field.to_owned(), value.as_deref()?.into())))
                .collect();
        for (field, value) in [
            ("gracePeriodSeconds", json!(options.grace_period_seconds)),
            ("propagationPolicy", json!(options.propagation_policy)),
            ("orphanDependents", json!(options.orphan_dependents)),
        ] {
            if !value.is_null() {
                map.insert(field.into(), value);
            }
        }
        if !preconditions.is_empty() {
            map.insert("preconditions".into(), preconditions.into());
        }
        return map.into();
    }
    for (field, text) in
        [("fieldManager", &options.field_manager), ("fieldValidation", &options.field_validation)]
    {
        if !text.is_empty() {
            map.insert(field.into(), text.as_str().into());
        }
    }
    map.into()
}
