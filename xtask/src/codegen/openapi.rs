//! Merges the OpenAPI definitions (list types, keys, patch strategies, required, formats, kinds)
//! with what only Go knows (order, numbers, presence) into the facts.

use super::facts::{Definition, Facts, Field, GoFields, SCALARS};
use serde_json::Value;
use std::collections::BTreeSet;

/// Definitions that OpenAPI leaves out but requests or answers carry, with their kinds.
const EXTRA: &[(&str, &str)] = &[
    ("io.k8s.api.admission.v1.AdmissionReview", "admission.k8s.io/v1/AdmissionReview"),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ConversionReview",
        "apiextensions.k8s.io/v1/ConversionReview",
    ),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.CreateOptions", "meta.k8s.io/v1/CreateOptions"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.GetOptions", "meta.k8s.io/v1/GetOptions"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.List", "/v1/List"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ListOptions", "meta.k8s.io/v1/ListOptions"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata", "meta.k8s.io/v1/PartialObjectMetadata"),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadataList",
        "meta.k8s.io/v1/PartialObjectMetadataList",
    ),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.PatchOptions", "meta.k8s.io/v1/PatchOptions"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Table", "meta.k8s.io/v1/Table"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.UpdateOptions", "meta.k8s.io/v1/UpdateOptions"),
];

/// Definitions that are scalars in the table.
const OPAQUE: &[&str] = &[
    "Duration",
    "FieldsV1",
    "IntOrString",
    "JSON",
    "JSONSchemaPropsOrArray",
    "JSONSchemaPropsOrBool",
    "JSONSchemaPropsOrStringArray",
    "MicroTime",
    "Patch",
    "Quantity",
    "RawExtension",
    "Time",
];

/// Defaults the API documents per field; OpenAPI v2 has none. Only list keys need them so far.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("io.k8s.api.core.v1.ContainerPort", "protocol", "\"TCP\""),
    ("io.k8s.api.core.v1.ServicePort", "protocol", "\"TCP\""),
];

pub fn merge(definitions: &Value, go: &GoFields) -> Result<Facts, String> {
    let definitions = definitions.as_object().ok_or("definitions are no object")?;
    let mut facts = Facts::default();
    let mut queue: Vec<String> =
        definitions.keys().cloned().chain(EXTRA.iter().map(|(n, _)| (*n).to_owned())).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = queue.pop() {
        let short = name.rsplit('.').next().unwrap_or_default();
        let opaque = OPAQUE.contains(&short) && !name.starts_with("io.k8s.api.");
        if opaque || !seen.insert(name.clone()) {
            continue;
        }
        let fields =
            go.0.get(&name)
                .ok_or_else(|| format!("{name}: order and protobuf numbers unknown; pass --go-fields"))?;
        let definition = one(&name, definitions.get(&name), fields)?;
        queue.extend(
            definition
                .fields
                .iter()
                .map(|f| f.kind.trim_start_matches(['[', ']', '{', '}', '*']).to_owned())
                .filter(|t| !SCALARS.contains(&t.as_str())),
        );
        facts.0.insert(name, definition);
    }
    Ok(facts)
}

fn one(name: &str, openapi: Option<&Value>, go: &[Field]) -> Result<Definition, String> {
    let mut attributes = Vec::new();
    let kinds: Vec<String> = match EXTRA.iter().find(|(n, _)| *n == name) {
        Some((_, kind)) => vec![(*kind).to_owned()],
        None => openapi.map(kinds).unwrap_or_default(),
    };
    if !kinds.is_empty() {
        attributes.push(format!("gvk={}", kinds.join(",")));
    }
    let Some(openapi) = openapi else {
        return Ok(Definition {
            attributes,
            fields: go.iter().map(|f| Field { attributes: Vec::new(), ..f.clone() }).collect(),
        });
    };
    if let Some(map) = openapi["x-kubernetes-map-type"].as_str() {
        attributes.push(format!("map={map}"));
    }
    let mut missing: BTreeSet<&String> =
        openapi["properties"].as_object().map(|p| p.keys().collect()).unwrap_or_default();
    let required: BTreeSet<&str> =
        openapi["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut fields = Vec::new();
    for field in go {
        missing.remove(&field.name);
        let property = &openapi["properties"][&field.name];
        // A field that Go has and OpenAPI of this level has not is younger than the level.
        if property.is_null() && !matches!(field.name.as_str(), "kind" | "apiVersion") {
            continue;
        }
        fields.push(Field {
            attributes: field_attributes(name, &field.name, property, &required),
            ..field.clone()
        });
    }
    match missing.first() {
        Some(field) => Err(format!("{name}.{field}: protobuf number unknown; pass --go-fields")),
        None => Ok(Definition { attributes, fields }),
    }
}

fn kinds(definition: &Value) -> Vec<String> {
    let list = definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
    let text = |k: &Value, key: &str| k[key].as_str().unwrap_or_default().to_owned();
    let mut kinds: Vec<String> =
        list.map(|k| format!("{}/{}/{}", text(k, "group"), text(k, "version"), text(k, "kind"))).collect();
    kinds.sort();
    kinds
}

fn field_attributes(
    definition: &str,
    name: &str,
    property: &Value,
    required: &BTreeSet<&str>,
) -> Vec<String> {
    let mut attributes = Vec::new();
    if required.contains(name) {
        attributes.push("required".to_owned());
    }
    let extensions = [
        ("list", "x-kubernetes-list-type"),
        ("map", "x-kubernetes-map-type"),
        ("patch", "x-kubernetes-patch-strategy"),
        ("mergekey", "x-kubernetes-patch-merge-key"),
    ];
    for (short, long) in extensions {
        if let Some(value) = property[long].as_str() {
            attributes.push(format!("{short}={value}"));
        }
    }
    if let Some(keys) = property["x-kubernetes-list-map-keys"].as_array() {
        let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
        attributes.push(format!("keys={}", keys.join(",")));
    }
    if let Some((.., value)) = DEFAULTS.iter().find(|(d, f, _)| (*d, *f) == (definition, name)) {
        attributes.push(format!("default={value}"));
    }
    let values: Vec<&str> =
        property["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !values.is_empty() && !matches!(name, "kind" | "apiVersion") {
        attributes.push(format!("enum={}", values.join(",")));
    }
    attributes
}
