//! `apply`: declarative desired state, the client-side way: what was applied last stands in an
//! annotation, and a three-way strategic merge patch brings the live object to the manifest.

use std::path::PathBuf;

use apimachinery::meta;
use clap::Args;
use client::Patch;
use schema::TypeRef;
use serde_json::{Map, Value, json};

use crate::Target;
use crate::manifest::{self, Document};
use crate::resource::object_name;
use crate::session::{Session, server_error};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[derive(Args)]
pub struct Apply {
    /// Manifests: files, directories, or - for standard input
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    pub target: Target,
}

pub async fn run(session: &Session, apply: Apply) -> Result<(), String> {
    for document in manifest::read(&apply.files)? {
        let name = object_name(document.info, meta::name(&document.object));
        let outcome = one(session, document).await?;
        println!("{name} {outcome}");
    }
    Ok(())
}

async fn one(session: &Session, document: Document) -> Result<&'static str, String> {
    let Document { info, object } = document;
    let namespace = match (info.namespaced, meta::namespace(&object)) {
        (false, _) => String::new(),
        (true, "") => session.namespace.clone(),
        (true, own) => own.to_string(),
    };
    let name = meta::name(&object).to_string();
    if name.is_empty() {
        return Err("resource name may not be empty: apply needs metadata.name".into());
    }
    let resource = session.client.resource(info.group, info.version, info.resource).strict();
    let mut wanted = object;
    if info.namespaced {
        meta::set_namespace(&mut wanted, &namespace);
    }
    let plain = String::from_utf8_lossy(&schema::encode_any(&wanted)).into_owned() + "\n";
    meta::set_annotation(&mut wanted, LAST_APPLIED, &plain);
    let Some(live) = resource.get_opt(&namespace, &name).await.map_err(server_error)? else {
        resource.create(&namespace, wanted).await.map_err(server_error)?;
        return Ok("created");
    };
    let last: Value = meta::annotation(&live, LAST_APPLIED)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(json!({}));
    let ty = schema::table().kind(info.group, info.version, info.kind);
    let mut patch = wanted.clone();
    add_deletions(ty, &last, &wanted, &mut patch);
    let patched =
        resource.patch(Patch::Strategic, &namespace, &name, "", patch).await.map_err(server_error)?;
    let same = meta::resource_version(&patched) == meta::resource_version(&live);
    Ok(if same { "unchanged" } else { "configured" })
}

/// What the last manifest had and this one has not, as deletions in the patch: `null` for fields,
/// `$patch: delete` for items of lists that are merged by key.
fn add_deletions(ty: Option<TypeRef>, last: &Value, wanted: &Value, patch: &mut Value) {
    let (Some(last), Some(wanted), Some(patch)) =
        (last.as_object(), wanted.as_object(), patch.as_object_mut())
    else {
        return;
    };
    for (field, before) in last {
        if field == "kind" || field == "apiVersion" {
            continue;
        }
        let known = ty.and_then(|ty| ty.field(field));
        match (wanted.get(field), before) {
            (None, _) => {
                patch.insert(field.clone(), Value::Null);
            }
            (Some(now @ Value::Object(_)), Value::Object(_)) => {
                if let Some(inner) = patch.get_mut(field) {
                    add_deletions(known.and_then(|f| f.target()), before, now, inner);
                }
            }
            (Some(Value::Array(now)), Value::Array(before)) => {
                let key = known.and_then(|f| f.merge_key());
                if let (Some(key), Some(Value::Array(items))) = (key, patch.get_mut(field)) {
                    list_deletions(known.and_then(|f| f.target()), key, before, now, items);
                }
            }
            _ => {}
        }
    }
}

fn list_deletions(ty: Option<TypeRef>, key: &str, before: &[Value], now: &[Value], items: &mut Vec<Value>) {
    for old in before {
        match now.iter().position(|item| item.get(key) == old.get(key)) {
            Some(at) => {
                if let Some(item) = items.get_mut(at) {
                    add_deletions(ty, old, &now[at], item);
                }
            }
            None => {
                let mut gone = Map::new();
                gone.insert("$patch".into(), "delete".into());
                gone.insert(key.into(), old.get(key).cloned().unwrap_or_default());
                items.push(gone.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_wanted_is_taken_away() {
        let ty = schema::table().kind("", "v1", "Pod");
        let last = json!({"metadata": {"labels": {"a": "1", "b": "2"}},
            "spec": {"containers": [{"name": "x", "env": [{"name": "E"}]}, {"name": "y"}]}});
        let wanted = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "x"}]}});
        let mut patch = wanted.clone();
        add_deletions(ty, &last, &wanted, &mut patch);
        assert_eq!(
            patch,
            json!({"metadata": {"labels": {"a": "1", "b": null}},
                "spec": {"containers": [{"name": "x", "env": null}, {"$patch": "delete", "name": "y"}]}})
        );
    }
}
