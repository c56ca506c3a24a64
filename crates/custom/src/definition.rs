//! A custom resource definition as what it defines: the versions of a resource, which of them is stored, and
//! how they become each other.

use crate::version::{Column, Scale, Version};
use api::{ResourceInfo, SubresourceInfo, intern};
use apimachinery::GroupVersionKind;
use apimachinery::gvk::compare_versions;
use serde_json::Value;
use std::sync::Arc;

/// As upstream lists them.
const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
/// What discovery shows while a definition is being deleted.
pub const VERBS_WHILE_ENDING: [&str; 5] = ["delete", "deletecollection", "get", "list", "watch"];

/// How versions become each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Conversion {
    /// Only `apiVersion` differs.
    None,
    /// A webhook converts: its `clientConfig` and the review versions it knows.
    Webhook { client: Value, reviews: Vec<String> },
}

/// What a definition defines.
#[derive(Debug)]
pub struct Definition {
    pub name: String,
    pub uid: String,
    /// Preferred first.
    pub versions: Vec<Arc<Version>>,
    /// Index of the version that is stored.
    pub storage: usize,
    pub conversion: Conversion,
    pub established: bool,
    /// Whether requests are served.
    pub accepted: bool,
    pub terminating: bool,
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn texts<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v str> {
    value.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a condition is there and true.
pub fn is_true(definition: &Value, condition: &str) -> bool {
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|found| found["type"] == condition && found["status"] == "True")
}

impl Definition {
    /// Reads a stored definition; `None` for one that has no storage version, or whose names are too many.
    pub fn read(object: &Value) -> Option<Definition> {
        let names = &object["status"]["acceptedNames"];
        let group = text(object, "/spec/group");
        let listed = object.pointer("/spec/versions")?.as_array()?;
        let storage = listed.iter().find(|version| version["storage"] == true)?;
        let storage_name = text(storage, "/name").to_owned();
        let mut versions: Vec<Version> = Vec::new();
        for version in listed {
            versions.push(read_version(object, group, names, version)?);
        }
        versions.sort_by(|a, b| compare_versions(b.info.version, a.info.version));
        let storage = versions.iter().position(|version| version.info.version == storage_name)?;
        Some(Definition {
            name: apimachinery::meta::name(object).to_owned(),
            uid: apimachinery::meta::uid(object).to_owned(),
            versions: versions.into_iter().map(Arc::new).collect(),
            storage,
            conversion: conversion(object),
            established: is_true(object, "Established"),
            accepted: is_true(object, "NamesAccepted") || is_true(object, "Established"),
            terminating: is_true(object, "Terminating"),
        })
    }

    pub fn stored(&self) -> &Arc<Version> {
        &self.versions[self.storage]
    }

    pub fn version(&self, name: &str) -> Option<&Arc<Version>> {
        self.versions.iter().find(|version| version.info.version == name)
    }

    pub fn served(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.versions.iter().filter(|version| version.served)
    }

    /// Whether all objects look as they are stored: there is only one version.
    pub fn has_one_version(&self) -> bool {
        self.versions.len() == 1
    }
}

fn conversion(object: &Value) -> Conversion {
    let conversion = &object["spec"]["conversion"];
    if conversion["strategy"] != "Webhook" {
        return Conversion::None;
    }
    Conversion::Webhook {
        client: conversion["webhook"]["clientConfig"].clone(),
        reviews: texts(&conversion["webhook"], "conversionReviewVersions").map(str::to_owned).collect(),
    }
}

fn read_version(object: &Value, group: &str, names: &Value, version: &Value) -> Option<Version> {
    let spec_names = &object["spec"]["names"];
    let group = intern(group)?;
    let name = intern(text(version, "/name"))?;
    let plural = intern(text(spec_names, "/plural"))?;
    let kind = intern(text(spec_names, "/kind"))?;
    let (has_status, scale) = (!version["subresources"]["status"].is_null(), scale(version));
    let mut subresources = Vec::new();
    let verbs = vec!["get", "patch", "update"];
    if has_status {
        let kind = GroupVersionKind::new(group, name, kind);
        subresources.push(SubresourceInfo { name: "status", kind, verbs: verbs.clone() });
    }
    if scale.is_some() {
        let kind = GroupVersionKind::new("autoscaling", "v1", "Scale");
        subresources.push(SubresourceInfo { name: "scale", kind, verbs });
    }
    let info = ResourceInfo {
        group,
        version: name,
        resource: plural,
        singular: text(names, "/singular").to_owned(),
        kind,
        namespaced: object["spec"]["scope"] == "Namespaced",
        verbs: VERBS.to_vec(),
        short_names: texts(names, "shortNames").map(intern).collect::<Option<_>>()?,
        categories: texts(names, "categories").map(intern).collect::<Option<_>>()?,
        storage_prefix: Some(intern(&format!("{group}/{plural}"))?),
        subresources,
        served_by_default: true,
    };
    let deprecated = (version["deprecated"] == true).then(|| {
        let own = version["deprecationWarning"].as_str().map(str::to_owned);
        own.unwrap_or_else(|| format!("{group}/{name} {kind} is deprecated"))
    });
    let mut json = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
    if object["spec"]["preserveUnknownFields"] == true {
        json["x-kubernetes-preserve-unknown-fields"] = true.into();
    }
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    let selectable = selectable.map(|field| intern(text(field, "/jsonPath").trim_start_matches('.')));
    let selectable = selectable.collect::<Option<_>>()?;
    Some(Version {
        columns: columns(version),
        scale,
        has_status,
        served: version["served"] == true,
        deprecated,
        selectable,
        ..Version::new(info, json)
    })
}

fn scale(version: &Value) -> Option<Scale> {
    let scale = version.pointer("/subresources/scale").filter(|scale| !scale.is_null())?;
    let path = |field: &str| text(scale, &format!("/{field}")).trim_start_matches('.').to_owned();
    Some(Scale {
        spec_replicas: path("specReplicasPath"),
        status_replicas: path("statusReplicasPath"),
        selector: Some(path("labelSelectorPath")).filter(|path| !path.is_empty()),
    })
}

fn columns(version: &Value) -> Vec<Column> {
    let listed = version["additionalPrinterColumns"].as_array().map(Vec::as_slice).unwrap_or_default();
    let column = |column: &Value| {
        let path = text(column, "/jsonPath");
        let described = || format!("Custom resource definition column (in JSONPath format): {path}");
        Column {
            name: text(column, "/name").into(),
            kind: text(column, "/type").into(),
            format: text(column, "/format").into(),
            description: Some(text(column, "/description").to_owned())
                .filter(|text| !text.is_empty())
                .unwrap_or_else(described),
            priority: column["priority"].as_i64().unwrap_or(0),
            path: path.into(),
        }
    };
    if listed.is_empty() {
        // Upstream's default.
        return vec![Column {
            name: "Age".into(),
            kind: "date".into(),
            format: String::new(),
            description: api::columns::AGE.into(),
            priority: 0,
            path: ".metadata.creationTimestamp".into(),
        }];
    }
    listed.iter().map(column).collect()
}
