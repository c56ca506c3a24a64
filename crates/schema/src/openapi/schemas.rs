//! Definitions (v2) or component schemas (v3) of everything the paths refer to.

use super::OpenApiResource;
use crate::descriptions::Descriptions;
use crate::table::{FieldRef, Item, ListType, MapType, Scalar, Shape, TypeRef, table};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Which version of OpenAPI is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    V2,
    V3,
}

impl Dialect {
    fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "#/definitions/",
            Self::V3 => "#/components/schemas/",
        }
    }

    pub fn reference(self, name: &str) -> Value {
        json!({"$ref": format!("{}{name}", self.prefix())})
    }
}

/// The schemas asked for so far, and those they need.
pub struct Schemas {
    pub dialect: Dialect,
    done: Map<String, Value>,
    queue: Vec<TypeRef>,
    seen: BTreeSet<TypeRef>,
    texts: Descriptions,
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

impl Schemas {
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            done: Map::new(),
            queue: Vec::new(),
            seen: BTreeSet::new(),
            texts: Descriptions::load(),
        }
    }

    /// All schemas, with everything they refer to.
    pub fn finish(mut self) -> Map<String, Value> {
        while let Some(ty) = self.queue.pop() {
            let schema = self.definition(ty);
            self.done.insert(ty.name().to_owned(), schema);
        }
        self.done
    }

    /// A reference to a definition of the table.
    pub fn refer(&mut self, ty: TypeRef) -> Value {
        if self.seen.insert(ty) {
            self.queue.push(ty);
        }
        self.dialect.reference(ty.name())
    }

    /// A reference to a definition by name; nothing known gives a schema that allows anything.
    pub fn refer_name(&mut self, name: &str) -> Value {
        match table().definition(name) {
            Some(ty) => self.refer(ty),
            None => json!({}),
        }
    }

    /// A reference to the object of a patch body.
    pub fn patch(&mut self) -> Value {
        let name = format!("{META}.Patch");
        self.done.insert(
            name.clone(),
            json!({"type": "object", "description": "A patch in one of the accepted formats."}),
        );
        self.dialect.reference(&name)
    }

    /// References to the kind of a resource and to its list.
    pub fn resource(&mut self, resource: &OpenApiResource) -> (Value, Value) {
        match &resource.schema {
            Some(schema) => self.custom(resource, schema),
            None => (
                self.kind(&resource.group, &resource.version, &resource.kind),
                self.kind(&resource.group, &resource.version, &format!("{}List", resource.kind)),
            ),
        }
    }

    pub fn kind(&mut self, group: &str, version: &str, kind: &str) -> Value {
        match table().kind(group, version, kind) {
            Some(ty) => self.refer(ty),
            None => json!({}),
        }
    }

    /// Definitions of a custom resource and its list. The schema is published as it is, with the
    /// standard metadata.
    fn custom(&mut self, resource: &OpenApiResource, schema: &Value) -> (Value, Value) {
        let reversed: Vec<&str> = resource.group.rsplit('.').collect();
        let name = format!("{}.{}.{}", reversed.join("."), resource.version, resource.kind);
        let list_name = format!("{name}List");
        let gvk =
            |kind: String| json!([{"group": resource.group, "version": resource.version, "kind": kind}]);
        let mut definition = schema.clone();
        if self.dialect == Dialect::V2 {
            downgrade(&mut definition);
        }
        let metadata = self.refer_name(OBJECT_META);
        let map = apimachinery::meta::as_object_mut(&mut definition);
        map.insert("type".into(), "object".into());
        map.insert("x-kubernetes-group-version-kind".into(), gvk(resource.kind.clone()));
        let preserves = map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
            && !map.contains_key("properties");
        if !preserves {
            let properties = apimachinery::meta::object_at(map, "properties");
            properties.insert("apiVersion".into(), json!({"type": "string"}));
            properties.insert("kind".into(), json!({"type": "string"}));
            properties.insert("metadata".into(), metadata);
        }
        let list = json!({
            "type": "object", "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": self.refer_name(LIST_META),
                "items": {"type": "array", "items": self.dialect.reference(&name)},
            },
            "x-kubernetes-group-version-kind": gvk(format!("{}List", resource.kind)),
        });
        self.done.insert(name.clone(), definition);
        self.done.insert(list_name.clone(), list);
        (self.dialect.reference(&name), self.dialect.reference(&list_name))
    }

    fn definition(&mut self, ty: TypeRef) -> Value {
        let mut schema = Map::new();
        describe(&mut schema, self.texts.of_type(ty));
        schema.insert("type".into(), "object".into());
        let mut properties = Map::new();
        for field in ty.fields() {
            properties.insert(field.name().to_owned(), self.property(ty, field));
        }
        if !properties.is_empty() {
            schema.insert("properties".into(), properties.into());
        }
        let required: Vec<&str> = ty.fields().filter(|f| f.is_required()).map(FieldRef::name).collect();
        if !required.is_empty() {
            schema.insert("required".into(), required.into());
        }
        if ty.is_atomic() {
            schema.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
        let kinds: Vec<Value> = ty
            .kinds()
            .map(|(group, version, kind)| json!({"group": group, "version": version, "kind": kind}))
            .collect();
        if !kinds.is_empty() {
            schema.insert("x-kubernetes-group-version-kind".into(), kinds.into());
        }
        schema.into()
    }

    fn property(&mut self, ty: TypeRef, field: FieldRef) -> Value {
        let item = self.item(field);
        let mut schema = match field.shape() {
            Shape::One => item,
            Shape::List | Shape::WrappedList => json!({"type": "array", "items": item}),
            Shape::Map => json!({"type": "object", "additionalProperties": item}),
            Shape::MapOfWrappedLists => {
                json!({"type": "object", "additionalProperties": {"type": "array", "items": item}})
            }
        };
        let mut extra = extensions(field);
        describe(&mut extra, self.texts.of_field(ty, field));
        if let (Dialect::V3, Some(default)) = (self.dialect, field.default_json()) {
            extra.insert("default".into(), serde_json::from_str(default).unwrap_or(Value::Null));
        }
        if extra.is_empty() {
            return schema;
        }
        // OpenAPI 3.0 ignores what stands beside a reference.
        if self.dialect == Dialect::V3 && schema.get("$ref").is_some() {
            schema = json!({"allOf": [schema]});
        }
        apimachinery::meta::as_object_mut(&mut schema).extend(extra);
        schema
    }

    fn item(&mut self, field: FieldRef) -> Value {
        match field.item() {
            Item::Object(target) => self.refer(target),
            Item::Scalar(scalar) => self.scalar(scalar),
        }
    }

    fn scalar(&mut self, scalar: Scalar) -> Value {
        let v3 = self.dialect == Dialect::V3;
        let (name, schema) = match scalar {
            Scalar::String => return json!({"type": "string"}),
            Scalar::Int32 => return json!({"type": "integer", "format": "int32"}),
            Scalar::Int64 => return json!({"type": "integer", "format": "int64"}),
            Scalar::Bool => return json!({"type": "boolean"}),
            Scalar::Double => return json!({"type": "number", "format": "double"}),
            Scalar::Bytes => return json!({"type": "string", "format": "byte"}),
            Scalar::Any => return json!({}),
            Scalar::Quantity if v3 => (
                "io.k8s.apimachinery.pkg.api.resource.Quantity",
                json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            ),
            Scalar::Quantity => ("io.k8s.apimachinery.pkg.api.resource.Quantity", json!({"type": "string"})),
            Scalar::Time => (
                "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
                json!({"type": "string", "format": "date-time"}),
            ),
            Scalar::MicroTime => (
                "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
                json!({"type": "string", "format": "date-time"}),
            ),
            Scalar::Duration => ("io.k8s.apimachinery.pkg.apis.meta.v1.Duration", json!({"type": "string"})),
            Scalar::IntOrString if v3 => (
                "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
                json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
            ),
            Scalar::IntOrString => (
                "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
                json!({"type": "string", "format": "int-or-string"}),
            ),
            Scalar::Raw => ("io.k8s.apimachinery.pkg.runtime.RawExtension", json!({"type": "object"})),
            Scalar::Fields => ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", json!({"type": "object"})),
            Scalar::Json => ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", json!({})),
            Scalar::PropsOrBool => {
                ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool", json!({}))
            }
            Scalar::PropsOrArray => {
                ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray", json!({}))
            }
            Scalar::PropsOrStrings => (
                "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
                json!({}),
            ),
        };
        self.done.entry(name).or_insert(schema);
        self.dialect.reference(name)
    }
}

fn describe(schema: &mut Map<String, Value>, text: Option<String>) {
    if let Some(text) = text {
        schema.insert("description".into(), text.into());
    }
}

fn extensions(field: FieldRef) -> Map<String, Value> {
    let mut extra = Map::new();
    if let Some(list) = field.list_type() {
        let name = match list {
            ListType::Atomic => "atomic",
            ListType::Set => "set",
            ListType::Map => "map",
        };
        extra.insert("x-kubernetes-list-type".into(), name.into());
    }
    let keys: Vec<&str> = field.map_keys().collect();
    if !keys.is_empty() {
        extra.insert("x-kubernetes-list-map-keys".into(), keys.into());
    }
    if let Some(said) = field.map_type() {
        let name = if said == MapType::Atomic { "atomic" } else { "granular" };
        extra.insert("x-kubernetes-map-type".into(), name.into());
    }
    let strategies = [
        (field.patch_merges(), "merge"),
        (field.patch_replaces(), "replace"),
        (field.patch_retains_keys(), "retainKeys"),
    ];
    let strategies: Vec<&str> = strategies.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    if !strategies.is_empty() {
        extra.insert("x-kubernetes-patch-strategy".into(), strategies.join(",").into());
    }
    if let Some(key) = field.merge_key() {
        extra.insert("x-kubernetes-patch-merge-key".into(), key.into());
    }
    extra
}

/// Takes out of a custom resource's schema what OpenAPI v2 cannot say.
fn downgrade(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let open = map.get("nullable") == Some(&Value::Bool(true))
                || map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
            for key in ["oneOf", "anyOf", "not", "nullable"] {
                // Names of properties may be the same as keywords.
                if map.get(key).is_some_and(|v| v.is_boolean() || v.is_array() || key == "not")
                    && !map.contains_key("$ref")
                {
                    map.remove(key);
                }
            }
            if open {
                map.remove("type");
            }
            map.values_mut().for_each(downgrade);
        }
        Value::Array(list) => list.iter_mut().for_each(downgrade),
        _ => {}
    }
}
