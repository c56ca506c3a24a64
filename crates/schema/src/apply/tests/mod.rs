//! Tables and scripts: what the walks find, and what one write after the other makes of the managers.

mod managers;
mod walks;

use super::*;
use apimachinery::GroupVersionKind;
use serde_json::{Value, json};

/// The only version of an object.
pub struct OneVersion;

impl Versions for OneVersion {
    fn type_at(&self, _api_version: &str) -> Option<Type<'_>> {
        None
    }
    fn convert(&self, _object: &Value, _api_version: &str) -> Option<Value> {
        None
    }
}

pub fn built_in(group: &str, version: &str, kind: &str) -> Type<'static> {
    Type::Definition(crate::table().kind(group, version, kind).unwrap())
}

pub fn deployments() -> Type<'static> {
    built_in("apps", "v1", "Deployment")
}

/// A custom resource with lists of every kind.
pub fn custom() -> Structural {
    let item = |extra: Value| {
        let mut schema = json!({"type": "object", "properties": {"name": {"type": "string"},
            "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"},
            "value": {"type": "integer"}, "inner": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}}});
        schema.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        schema
    };
    Structural::of_resource(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "scalar": {"type": "string"},
            "number": {"type": "number"},
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": item(json!({}))},
            "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"], "items": item(json!({}))},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "atomicList": {"type": "array", "items": {"type": "string"}},
            "atomicMap": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "struct": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "any": {"x-kubernetes-int-or-string": true}}}}}),
        false,
    )
}

pub fn target<'t>(ty: Type<'t>, api_version: &'t str) -> Target<'t> {
    Target { api_version, ty, reset: Reset::None, versions: &OneVersion }
}

/// An object with its managers, and what clients do to it.
pub struct Lab<'t> {
    pub target: Target<'t>,
    pub kind: GroupVersionKind,
    pub object: Value,
    clock: u32,
}

impl<'t> Lab<'t> {
    pub fn new(ty: Type<'t>, group: &str, version: &str, kind: &str) -> Lab<'t> {
        let kind = GroupVersionKind::new(group, version, kind);
        let api_version: &'t str = Box::leak(kind.api_version().into_boxed_str());
        Lab { target: target(ty, api_version), kind, object: ty.zero(), clock: 0 }
    }

    fn now(&mut self) -> String {
        self.clock += 1;
        format!("2026-11-20T10:00:{:02}Z", self.clock)
    }

    fn dress(&self, mut body: Value) -> Value {
        apimachinery::meta::set_gvk(&mut body, &self.kind);
        body
    }

    fn store(&mut self, mut object: Value) {
        apimachinery::meta::set_uid(&mut object, "u");
        self.object = object;
    }

    pub fn apply_as(&mut self, manager: &str, force: bool, config: Value) -> Result<(), ApplyError> {
        let (config, now) = (self.dress(config), self.now());
        let writer = Writer { manager, subresource: "", now: &now };
        let object = self.target.apply_config(&self.kind, &self.object, &config, writer, force)?;
        self.store(without_nulls(object));
        Ok(())
    }

    pub fn apply(&mut self, manager: &str, config: Value) {
        self.apply_as(manager, false, config).unwrap();
    }

    pub fn force(&mut self, manager: &str, config: Value) {
        self.apply_as(manager, true, config).unwrap();
    }

    /// The conflicts of an apply, as `manager path`.
    pub fn conflicts(&mut self, manager: &str, config: Value) -> Vec<String> {
        match self.apply_as(manager, false, config) {
            Err(ApplyError::Conflicts(found)) => {
                found.iter().map(|c| format!("{} {}", c.manager.shown(), shown_path(&c.path))).collect()
            }
            other => panic!("conflicts expected: {other:?}"),
        }
    }

    /// Replaces the object, keeping its managed fields.
    pub fn update(&mut self, manager: &str, body: Value) {
        let mut body = self.dress(body);
        if let Some(entries) = self.object.pointer("/metadata/managedFields") {
            apimachinery::meta::metadata_mut(&mut body).insert("managedFields".into(), entries.clone());
        }
        self.put(manager, "", body);
    }

    pub fn put(&mut self, manager: &str, subresource: &str, body: Value) {
        let (mut body, now) = (self.dress(body), self.now());
        let writer = Writer { manager, subresource, now: &now };
        let failed = self.target.track(&self.object, &mut body, writer);
        assert_eq!(failed, None);
        self.store(body);
    }

    pub fn managed(&self) -> Managed {
        Managed::decode(self.object.pointer("/metadata/managedFields").unwrap_or(&Value::Null)).unwrap()
    }

    /// Each manager with the paths it owns.
    pub fn owners(&self) -> Vec<(String, String)> {
        let shown = |e: Entry| (e.id.shown(), e.set.to_string().replace('\n', " "));
        self.managed().0.into_iter().map(shown).collect()
    }

    pub fn owned_by(&self, manager: &str) -> String {
        let own = self.owners().into_iter().filter(|(name, _)| name.starts_with(&format!("{manager:?}")));
        own.map(|(_, set)| set).collect::<Vec<_>>().join(" | ")
    }

    pub fn spec(&self) -> &Value {
        &self.object["spec"]
    }
}

/// What decoding does to what pruning leaves.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        other => other,
    }
}
