//! Who owns which field: the field management of [`schema::apply`] for requests. Here is which type and
//! version a write speaks, which manager it comes from, and how a refused apply looks to the client.

use crate::context::{Call, Result};
use crate::convert;
use crate::custom::Custom;
use crate::resources::Target;
use api::{ResetFields, ResourceInfo};
use apimachinery::field::{FieldError, Path};
use apimachinery::gvk::parse_api_version;
use apimachinery::status::Cause;
use apimachinery::{GroupVersionKind, Reason, Status, meta};
use client::{Patch, Verb};
use custom::Version;
use schema::apply::{self, ApplyError, Conflict, Replicas, Reset, Type, Versions, Writer};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// The kind of the Scale subresource of every kind that has one.
const SCALE: (&str, &str, &str) = ("autoscaling", "v1", "Scale");
/// The manager of what the server writes for itself.
pub(crate) const SERVER: &str = "kube-apiserver";

fn definition(info: &ResourceInfo) -> Option<Type<'static>> {
    schema::table().kind(info.group, info.version, info.kind).map(Type::Definition)
}

/// The type of a resource's objects.
fn type_of(target: &Target) -> Option<Type<'_>> {
    match &target.custom {
        Some(custom) => Some(Type::Structural(custom.version.apply_type())),
        None => definition(&target.info),
    }
}

/// The type of a kind that is a body of a resource: of the resource itself or of a subresource.
pub(crate) fn type_as<'t>(target: &'t Target, kind: &GroupVersionKind) -> Option<Type<'t>> {
    if *kind == target.info.gvk() {
        return type_of(target);
    }
    schema::table().kind(&kind.group, &kind.version, &kind.kind).map(Type::Definition)
}

/// The versions of a resource.
struct Served(Target);

impl Served {
    fn custom(&self, api_version: &str) -> Option<(&Custom, &Version)> {
        let custom = self.0.custom.as_deref()?;
        let mut served = custom.definition.served();
        let version = served.find(|version| version.info.api_version() == api_version)?;
        Some((custom, version))
    }

    fn find(&self, api_version: &str) -> Option<&'static ResourceInfo> {
        let (group, version) = parse_api_version(api_version)?;
        let info = api::find(group, version, self.0.info.resource)?;
        (info.storage_prefix == self.0.info.storage_prefix).then_some(info)
    }
}

impl Versions for Served {
    fn type_at(&self, api_version: &str) -> Option<Type<'_>> {
        match self.custom(api_version) {
            Some((_, version)) => Some(Type::Structural(version.apply_type())),
            None => definition(self.find(api_version)?),
        }
    }

    fn convert(&self, object: &Value, api_version: &str) -> Option<Value> {
        if let Some((custom, version)) = self.custom(api_version) {
            let mut object = object.clone();
            custom.to_version(&mut object, version);
            let _dropped = custom::fill::prune(&mut object, &version.schema);
            return Some(object);
        }
        let from = self.find(meta::api_version(object))?;
        let mut object = object.clone();
        convert::convert(&mut object, from, self.find(api_version)?);
        Some(object)
    }
}

/// The only version of a Scale.
struct OneVersion;

impl Versions for OneVersion {
    fn type_at(&self, _api_version: &str) -> Option<Type<'_>> {
        None
    }
    fn convert(&self, _object: &Value, _api_version: &str) -> Option<Value> {
        None
    }
}

/// What the endpoint leaves alone.
fn reset(target: &Target, subresource: &str) -> Reset<'static> {
    if let Some(custom) = &target.custom {
        return match subresource {
            "status" => Reset::Fields(&["metadata", "spec"]),
            _ if custom.version.has_status => Reset::Fields(&["status"]),
            _ => Reset::None,
        };
    }
    match api::reset_fields(target.info.group, target.info.resource, subresource) {
        ResetFields::None => Reset::None,
        ResetFields::Fields(paths) => Reset::Fields(paths),
        ResetFields::AllBut(paths) => Reset::AllBut(paths),
    }
}

/// The manager of a request: the one it names, else its client.
fn manager(call: &Call) -> String {
    match call.options().field_manager.as_str() {
        "" => apply::manager_of_user_agent(&call.request.user_agent),
        named => named.to_owned(),
    }
}

fn is_apply(call: &Call) -> bool {
    call.verb() == Verb::Patch(Patch::Apply)
}

/// Credits a new object to whoever makes it. Strategies and admission come after this: what they fill in
/// is nobody's, as upstream.
pub(crate) fn track_create(call: &Call, target: &Target, object: &mut Value) {
    if is_apply(call) {
        return;
    }
    let nothing = type_of(target).map_or(Value::Null, Type::zero);
    track(target, "", &manager(call), call, &nothing, object);
}

/// Credits a change of `old` to whoever makes it. What an apply or a scale did is settled before.
pub(crate) fn track_update(call: &Call, target: &Target, subresource: &str, new: &mut Value, old: &Value) {
    if !is_apply(call) && subresource != "scale" {
        track(target, subresource, &manager(call), call, old, new);
    }
}

/// Credits a change of a status that the server makes itself, on the way to something else.
pub(crate) fn track_own(call: &Call, target: &Target, new: &mut Value, old: &Value) {
    track(target, "status", SERVER, call, old, new);
}

fn track(target: &Target, subresource: &str, manager: &str, call: &Call, old: &Value, new: &mut Value) {
    let Some(ty) = type_of(target) else { return };
    let (api_version, now) = (target.info.api_version(), call.now.truncated().to_string());
    let fields = apply::Target {
        api_version: &api_version,
        ty,
        reset: reset(target, subresource),
        versions: &Served(target.clone()),
    };
    if let Some(error) = fields.track(old, new, Writer { manager, subresource, now: &now }) {
        let (kind, name) = (target.info.kind, meta::name(new));
        tracing::error!(kind, name, "managed fields could not be updated: {error}");
    }
}

/// What an applied configuration makes of an object; of nothing, if `old` is none.
pub(crate) fn applied(
    call: &Call,
    target: &Target,
    subresource: &str,
    old: Option<&Value>,
    config: &Value,
) -> Result<Value> {
    let Some(ty) = type_of(target) else {
        return Err(Box::new(Status::unsupported_patch_type()));
    };
    let (kind, api_version) = (target.info.gvk(), target.info.api_version());
    let fields = apply::Target {
        api_version: &api_version,
        ty,
        reset: reset(target, subresource),
        versions: &Served(target.clone()),
    };
    let nothing = || {
        let mut zero = ty.zero();
        meta::set_gvk(&mut zero, &kind);
        Cow::Owned(zero)
    };
    let old = old.map_or_else(nothing, Cow::Borrowed);
    let mut object = apply_to(call, &fields, &kind, subresource, &old, config)?;
    let Some(custom) = &target.custom else { return normalized(&kind, object) };
    let settled = custom.version.settle(&mut object);
    let _unknown = settled.map_err(|error| Box::new(Status::bad_request(error.to_string())))?;
    Ok(object)
}

fn apply_to(
    call: &Call,
    fields: &apply::Target<'_>,
    kind: &GroupVersionKind,
    subresource: &str,
    old: &Value,
    config: &Value,
) -> Result<Value> {
    let (manager, now) = (manager(call), call.now.truncated().to_string());
    let writer = Writer { manager: &manager, subresource, now: &now };
    let force = call.options().force.unwrap_or(false);
    fields.apply_config(kind, old, config, writer, force).map_err(refused)
}

/// The object as the API has it: canonical values, no nulls.
fn normalized(kind: &GroupVersionKind, object: Value) -> Result<Value> {
    let Some(ty) = schema::table().kind(&kind.group, &kind.version, &kind.kind) else { return Ok(object) };
    let place = format!(
        "{}/{}; {}/{}, Kind={}",
        meta::namespace(&object),
        meta::name(&object),
        kind.group,
        kind.version,
        kind.kind
    );
    let decoded = schema::decode_value(ty, object).map_err(|error| {
        let text = format!("failed to convert new object ({place}) to proper version: {error}");
        Box::new(Status::new(Reason::Unknown, text))
    })?;
    let mut object = decoded.object;
    meta::set_gvk(&mut object, kind);
    Ok(object)
}

fn refused(error: ApplyError) -> Box<Status> {
    Box::new(match error {
        ApplyError::Bad(text) => Status::bad_request(text),
        ApplyError::Internal(text) => Status::new(Reason::Unknown, text),
        ApplyError::Conflicts(conflicts) => conflict_status(conflicts),
    })
}

fn conflict_status(mut conflicts: Vec<Conflict>) -> Status {
    conflicts.sort_by_key(|conflict| conflict.manager.shown());
    let cause = |conflict: &Conflict| Cause {
        reason: "FieldManagerConflict".into(),
        message: format!("conflict with {}", conflict.manager.shown()),
        field: apply::shown_path(&conflict.path),
    };
    let causes: Vec<Cause> = conflicts.iter().map(cause).collect();
    let message = match causes.as_slice() {
        [only] => format!("Apply failed with 1 conflict: {}: {}", only.message, only.field),
        all => {
            let mut lines = Vec::new();
            let mut last = None;
            for (conflict, cause) in conflicts.iter().zip(all) {
                if last.replace(&conflict.manager) != Some(&conflict.manager) {
                    lines.push(format!("conflicts with {}:", conflict.manager.shown()));
                }
                lines.push(format!("- {}", cause.field));
            }
            format!("Apply failed with {} conflicts: {}", all.len(), lines.join("\n"))
        }
    };
    Status::apply_conflict(message, causes)
}

/// The field management of an object's Scale: entries go to it and come back from it.
pub(crate) struct ScaleFields {
    api_version: String,
    /// Where each version keeps its replicas.
    paths: Vec<(String, String)>,
}

impl ScaleFields {
    pub fn of(target: &Target) -> ScaleFields {
        let api_version = target.info.api_version();
        let paths = match &target.custom {
            Some(custom) => {
                let path = |version: &Arc<Version>| {
                    Some((version.info.api_version(), version.scale.as_ref()?.spec_replicas.clone()))
                };
                custom.definition.served().filter_map(path).collect()
            }
            // Built-in kinds that scale are served in one version.
            None => vec![(api_version.clone(), "spec.replicas".to_owned())],
        };
        ScaleFields { api_version, paths }
    }

    fn with_replicas<T>(&self, go: impl FnOnce(Replicas<'_>) -> T) -> T {
        let paths: Vec<(&str, &str)> =
            self.paths.iter().map(|(version, path)| (version.as_str(), path.as_str())).collect();
        go(Replicas { api_version: &self.api_version, paths: &paths })
    }

    /// Gives the Scale of an object the entries that are about its replicas.
    pub fn lend(&self, parent: &Value, scale: &mut Value) -> Result<()> {
        let entries = parent.pointer("/metadata/managedFields").unwrap_or(&Value::Null);
        let lent = self
            .with_replicas(|replicas| replicas.to_scale(entries))
            .map_err(|error| Box::new(Status::internal(error)))?;
        set_entries(scale, lent);
        Ok(())
    }

    /// Credits a change of the Scale.
    pub fn track(&self, call: &Call, new: &mut Value, old: &Value) {
        let Some(fields) = scale_target() else { return };
        let (manager, now) = (manager(call), call.now.truncated().to_string());
        let writer = Writer { manager: &manager, subresource: "scale", now: &now };
        if let Some(error) = fields.track(old, new, writer) {
            tracing::error!(name = meta::name(new), "managed fields could not be updated: {error}");
        }
    }

    /// Applies a configuration to the Scale.
    pub fn applied(&self, call: &Call, old: &Value, config: &Value) -> Result<Value> {
        let kind = GroupVersionKind::new(SCALE.0, SCALE.1, SCALE.2);
        let Some(fields) = scale_target() else { return Err(Box::new(Status::unsupported_patch_type())) };
        normalized(&kind, apply_to(call, &fields, &kind, "scale", old, config)?)
    }

    /// Gives the object the entries that its Scale has now.
    pub fn take_back(&self, scale: &Value, parent: &mut Value) -> Result<()> {
        let entries =
            |object: &Value| object.pointer("/metadata/managedFields").cloned().unwrap_or(Value::Null);
        let merged = self.with_replicas(|replicas| replicas.to_parent(&entries(parent), &entries(scale)));
        set_entries(parent, merged.map_err(|error| Box::new(Status::internal(error)))?);
        Ok(())
    }
}

fn scale_target() -> Option<apply::Target<'static>> {
    let ty = schema::table().kind(SCALE.0, SCALE.1, SCALE.2).map(Type::Definition)?;
    Some(apply::Target { api_version: "autoscaling/v1", ty, reset: Reset::None, versions: &OneVersion })
}

/// Replaces the entries; null removes them.
pub(crate) fn set_entries(object: &mut Value, entries: Value) {
    let map = meta::metadata_mut(object);
    match entries {
        Value::Null => map.remove("managedFields"),
        entries => map.insert("managedFields".into(), entries),
    };
}

/// Takes the entries out of an object.
pub(crate) fn take_entries(object: &mut Value) -> Value {
    meta::metadata_mut(object).remove("managedFields").unwrap_or(Value::Null)
}

/// Errors in the entries of an object, which a client may have written.
pub(crate) fn validate(object: &Value, at: &Path) -> Vec<FieldError> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let at = at.child("managedFields");
    let mut errors = Vec::new();
    for (index, entry) in entries.into_iter().flatten().enumerate() {
        let at = at.index(index);
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        if !matches!(text("operation"), "Apply" | "Update") {
            let detail = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(&at.child("operation"), text("operation"), detail));
        }
        if !matches!(text("fieldsType"), "" | "FieldsV1") {
            let detail = "must be `FieldsV1`";
            errors.push(FieldError::invalid(&at.child("fieldsType"), text("fieldsType"), detail));
        }
        errors.extend(validate_manager(text("manager"), &at.child("manager")));
        if text("subresource").len() > apply::MAX_SUBRESOURCE {
            errors.push(FieldError::too_long(&at.child("subresource"), apply::MAX_SUBRESOURCE));
        }
    }
    errors
}

/// Errors in the name of a manager.
pub(crate) fn validate_manager(manager: &str, at: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if manager.len() > apply::MAX_MANAGER {
        errors.push(FieldError::too_long(at, apply::MAX_MANAGER));
    }
    for (place, c) in manager.char_indices().filter(|(_, c)| !apply::is_printable(*c)) {
        let text = format!("invalid character U+{:04X} (at position {place})", u32::from(c));
        errors.push(FieldError::invalid(at, manager, text));
    }
    errors
}
