//! Scale: the replica count of a workload as autoscaling/v1 Scale.

use crate::context::{Answer, Body, Call, Result};
use crate::decode::CUSTOM_PATCHES;
use crate::fields::ScaleFields;
use crate::handlers::create::name_mismatch;
use crate::registry::{Place, refuse};
use crate::resources::Target;
use crate::server::Server;
use apimachinery::labels::Selector;
use apimachinery::{FieldError, Path, Status, meta};
use client::{Patch, Verb};
use serde_json::{Value, json};

pub(super) async fn serve(server: &Server, call: &mut Call, target: &Target) -> Result<Answer> {
    let place = Place::new(target, &call.request.namespace, &call.request.name);
    match call.verb() {
        Verb::Get => {
            let entry = server.current(&place).await?;
            let object = target.tree(&entry);
            missing_replicas(target, &object)?;
            Ok(Answer::ok(Body::object(scale_of(target, &object)?)))
        }
        Verb::Update => {
            let scale = call.take_body()?;
            write(server, call, &place, move |call, fields, old| {
                let mut new = scale.clone();
                fields.track(call, &mut new, old);
                Ok(new)
            })
            .await
        }
        Verb::Patch(Patch::Strategic) if target.custom.is_some() => {
            Err(Box::new(Status::unsupported_media_type(&CUSTOM_PATCHES)))
        }
        Verb::Patch(kind) => {
            let patch = call.take_body()?;
            write(server, call, &place, move |call, fields, old| match kind {
                Patch::Apply => {
                    let mut new = fields.applied(call, old, &patch)?;
                    unpin(&mut new, &patch);
                    Ok(new)
                }
                _ => {
                    let mut new = patched(kind, old, &patch)?;
                    fields.track(call, &mut new, old);
                    Ok(new)
                }
            })
            .await
        }
        _ => Err(Box::new(Status::method_not_allowed())),
    }
}

fn patched(kind: Patch, old: &Value, patch: &Value) -> Result<Value> {
    let mut new = old.clone();
    match kind {
        Patch::Json => {
            let body = patch.to_string();
            new = apimachinery::patch::json_patch(old, body.as_bytes())
                .map_err(|_| Box::new(Status::unprocessable()))?;
        }
        // A Scale has no lists, so both merges are the same.
        Patch::Merge | Patch::Strategic => apimachinery::patch::merge_patch(&mut new, patch),
        Patch::Apply => return Err(Box::new(Status::unsupported_patch_type())),
    }
    if kind != Patch::Json {
        unpin(&mut new, patch);
    }
    Ok(new)
}

/// Only a patch that names a revision asks for it.
fn unpin(new: &mut Value, patch: &Value) {
    if patch.pointer("/metadata/resourceVersion").is_none() {
        meta::set_resource_version(new, None);
    }
}

async fn write(
    server: &Server,
    call: &mut Call,
    place: &Place,
    scale: impl Fn(&Call, &ScaleFields, &Value) -> Result<Value> + Send + Sync,
) -> Result<Answer> {
    let target = &place.target;
    let updated = server
        .modify(call, place, "scale", |call, old| {
            let fields = ScaleFields::of(target);
            let mut before = scale_of(target, old)?;
            fields.lend(old, &mut before)?;
            let asked = scale(call, &fields, &before)?;
            check(place, &asked)?;
            let mut new = (**old).clone();
            fields.take_back(&asked, &mut new)?;
            let replicas = asked.pointer("/spec/replicas").cloned().unwrap_or_else(|| json!(0));
            set_replicas(target, &mut new, replicas)?;
            let pinned = meta::resource_version(&asked);
            meta::set_resource_version(&mut new, pinned);
            Ok(new)
        })
        .await?;
    let object = updated.body(target).tree();
    Ok(Answer::ok(Body::object(scale_of(target, &object)?)))
}

fn check(place: &Place, scale: &Value) -> Result<()> {
    if meta::name(scale) != place.name && !meta::name(scale).is_empty() {
        return Err(name_mismatch(meta::name(scale), &place.name));
    }
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    if replicas < 0 {
        let path = Path::new("spec").child("replicas");
        let error = FieldError::invalid(&path, replicas, "must be greater than or equal to 0");
        let kind = apimachinery::GroupKind::new("autoscaling", "Scale");
        return Err(Box::new(Status::invalid(&kind, &place.name, &[error])));
    }
    refuse(&place.target, &place.name, &[])
}

/// Where a custom resource keeps what a Scale shows.
fn custom_scale(target: &Target) -> Option<&custom::Scale> {
    target.custom.as_ref()?.version.scale.as_ref()
}

/// A custom resource has a Scale only once it says how many replicas it wants.
fn missing_replicas(target: &Target, object: &Value) -> Result<()> {
    let Some(scale) = custom_scale(target) else { return Ok(()) };
    if !matches!(custom::count_at(object, &scale.spec_replicas), Ok(None)) {
        return Ok(());
    }
    let path = apimachinery::go::quote(&format!(".{}", scale.spec_replicas));
    Err(Box::new(Status::internal(format!("the spec replicas field {path} does not exist"))))
}

/// Writes what a Scale wants.
pub(crate) fn set_replicas(target: &Target, object: &mut Value, replicas: Value) -> Result<()> {
    let path = custom_scale(target).map_or("spec.replicas", |scale| scale.spec_replicas.as_str());
    let mut at = object;
    for name in path.split('.') {
        if at.is_null() {
            *at = json!({});
        }
        let Some(map) = at.as_object_mut() else {
            let text = format!("value cannot be set because .{path} is not a map[string]interface{{}}");
            return Err(Box::new(Status::internal(text)));
        };
        at = map.entry(name).or_insert(Value::Null);
    }
    *at = replicas;
    Ok(())
}

/// Number of replicas wanted, number there are, and the selector.
fn parts(target: &Target, object: &Value) -> Result<(i64, i64, String)> {
    let Some(scale) = custom_scale(target) else {
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
        let selector = &object["spec"]["selector"];
        // A ReplicationController's selector is a plain map.
        let selector = if target.info.resource == "replicationcontrollers" {
            selector.as_object().map(Selector::from_map).unwrap_or_default()
        } else {
            Selector::from_label_selector(Some(selector)).unwrap_or_default()
        };
        return Ok((number("/spec/replicas"), number("/status/replicas"), selector.to_string()));
    };
    let count = |path: &str| custom::count_at(object, path).map(|count| count.unwrap_or(0));
    let selector = scale.selector.as_deref().map_or(Ok(""), |path| custom::text_at(object, path));
    let bad = |why: String| Box::new(Status::internal(why));
    let wanted = count(&scale.spec_replicas).map_err(bad)?;
    Ok((wanted, count(&scale.status_replicas).map_err(bad)?, selector.map_err(bad)?.to_owned()))
}

/// The Scale of an object.
pub(crate) fn scale_of(target: &Target, object: &Value) -> Result<Value> {
    let (wanted, there, selector) = parts(target, object)?;
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {},
        "spec": {"replicas": wanted},
        "status": {"replicas": there, "selector": selector},
    });
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            scale["metadata"][field] = value.clone();
        }
    }
    if wanted == 0 {
        scale["spec"] = json!({});
    }
    if target.custom.is_some() && selector.is_empty() {
        meta::object_at(meta::as_object_mut(&mut scale), "status").remove("selector");
    }
    Ok(scale)
}
