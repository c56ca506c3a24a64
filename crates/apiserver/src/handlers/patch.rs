//! PATCH: JSON, merge and strategic merge patches, applied to the newest object until the write wins.
//! Server-side apply is `apply`.

use super::create::{check_kind, name_mismatch};
use crate::context::{Answer, Call, Result};
use crate::decode;
use crate::registry::Place;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Status, meta};
use client::{Patch, Verb};
use serde_json::Value;

pub(crate) async fn patch(server: &Server, call: &mut Call, target: &Target) -> Result<Answer> {
    let Verb::Patch(kind) = call.verb() else {
        return Err(Box::new(Status::method_not_allowed()));
    };
    if kind == Patch::Apply {
        return super::apply::apply(server, call, target).await;
    }
    if kind == Patch::Strategic && target.custom.is_some() {
        return Err(Box::new(Status::unsupported_media_type(&decode::CUSTOM_PATCHES)));
    }
    let patch = call.take_body()?;
    let subresource = call.request.subresource.clone();
    let place = Place::new(target, &call.request.namespace, &call.request.name);
    let updated = server
        .modify(call, &place, &subresource, |call, old| {
            let mut new = apply(target, kind, old, &patch)?;
            let validation = call.options().field_validation.clone();
            check_kind(target, &new)?;
            for warning in decode::check(target, &target.info.gvk(), &mut new, &validation)? {
                call.warn(warning);
            }
            if meta::name(&new) != place.name {
                return Err(name_mismatch(meta::name(&new), &place.name));
            }
            if meta::resource_version_str(&new) == meta::resource_version_str(old)
                && !names_revision(kind, &patch)
            {
                meta::set_resource_version(&mut new, None);
            }
            Ok(new)
        })
        .await?;
    Ok(Answer::ok(updated.body(target)))
}

/// Whether the patch itself pins the resourceVersion; then a conflict is the client's to solve.
fn names_revision(kind: Patch, patch: &Value) -> bool {
    match kind {
        Patch::Json => patch.as_array().is_some_and(|operations| {
            operations.iter().any(|operation| operation["path"] == "/metadata/resourceVersion")
        }),
        _ => patch.pointer("/metadata/resourceVersion").is_some_and(|value| !value.is_null()),
    }
}

fn apply(target: &Target, kind: Patch, old: &Value, patch: &Value) -> Result<Value> {
    match kind {
        Patch::Json => {
            let body = patch.to_string();
            apimachinery::patch::json_patch(old, body.as_bytes()).map_err(decode::patch_status)
        }
        Patch::Merge => {
            let mut new = old.clone();
            apimachinery::patch::merge_patch(&mut new, patch);
            Ok(new)
        }
        Patch::Strategic => decode::strategic_merge(target, old, patch),
        Patch::Apply => Err(Box::new(Status::unsupported_patch_type())),
    }
}
