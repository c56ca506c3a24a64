//! Paths and operations: one entry per verb and scope, made from the list of resources.

use super::schemas::{Dialect, Schemas};
use super::{OpenApiResource, OpenApiSubresource};
use serde_json::{Map, Value, json};

const JSON: &str = "application/json";
const PRODUCES: [&str; 3] = [JSON, "application/yaml", "application/vnd.kubernetes.protobuf"];
const STREAMS: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// A query parameter: name, type, what it does.
type Parameter = (&'static str, &'static str, &'static str);

const DRY_RUN: Parameter = ("dryRun", "string", "All: do everything but store the result.");
const FIELD_MANAGER: Parameter = ("fieldManager", "string", "Who makes the change; required for apply.");
const FIELD_VALIDATION: Parameter =
    ("fieldValidation", "string", "What to do about unknown and repeated fields: Ignore, Warn or Strict.");
const FORCE: Parameter = ("force", "boolean", "Take conflicting fields over; only for apply.");
const PRETTY: Parameter = ("pretty", "string", "true: indent the answer.");
const DELETE: [Parameter; 5] = [
    DRY_RUN,
    ("gracePeriodSeconds", "integer", "Seconds until the object goes; 0 means at once."),
    (
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "boolean",
        "Delete even if the stored object cannot be read.",
    ),
    ("orphanDependents", "boolean", "Deprecated form of propagationPolicy."),
    ("propagationPolicy", "string", "What happens to dependents: Orphan, Background or Foreground."),
];
const LIST: [Parameter; 10] = [
    ("allowWatchBookmarks", "boolean", "Send bookmark events while watching."),
    ("continue", "string", "Token of the next page."),
    ("fieldSelector", "string", "Only objects whose fields match."),
    ("labelSelector", "string", "Only objects whose labels match."),
    ("limit", "integer", "Most objects of one page."),
    ("resourceVersion", "string", "The version to read at or to watch from."),
    ("resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan."),
    ("sendInitialEvents", "boolean", "Start a watch with the present state."),
    ("timeoutSeconds", "integer", "Longest duration of the call."),
    ("watch", "boolean", "Stream changes instead of listing."),
];

/// What is said in an operation about the kind it speaks.
struct Speaks<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    object: Value,
    list: Value,
    custom: bool,
}

/// All paths of all resources.
pub fn all(resources: &[OpenApiResource], schemas: &mut Schemas) -> Map<String, Value> {
    let mut paths = Map::new();
    for resource in resources {
        let (object, list) = schemas.resource(resource);
        let custom = resource.schema.is_some();
        let speaks = Speaks {
            group: &resource.group,
            version: &resource.version,
            kind: &resource.kind,
            object,
            list,
            custom,
        };
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{}{scope}/{}", resource.base(), resource.resource);
        let item = format!("{collection}/{{name}}");
        let has = |verb: &str| resource.verbs.iter().any(|v| v == verb);
        let name = operation_suffix(resource, "");
        let mut paths_of = Builder { schemas, paths: &mut paths, resource };
        paths_of.add(
            &collection,
            false,
            &speaks,
            &name,
            &[
                ("get", "list", has("list")),
                ("post", "create", has("create")),
                ("delete", "deletecollection", has("deletecollection")),
            ],
        );
        let verbs = [
            ("get", "get", has("get")),
            ("put", "put", has("update")),
            ("patch", "patch", has("patch")),
            ("delete", "delete", has("delete")),
        ];
        paths_of.add(&item, true, &speaks, &name, &verbs);
        if resource.namespaced && has("list") {
            let everywhere = format!("{}/{}", resource.base(), resource.resource);
            let name =
                format!("{}{}ForAllNamespaces", group_id(&resource.group, &resource.version), resource.kind);
            paths_of.add(&everywhere, false, &speaks, &name, &[("get", "list", true)]);
        }
        for sub in &resource.subresources {
            subresource(&mut paths_of, &item, sub);
        }
    }
    paths
}

fn subresource(builder: &mut Builder<'_>, item: &str, sub: &OpenApiSubresource) {
    let own = sub.kind == builder.resource.kind;
    let object = if own {
        builder.schemas.resource(builder.resource).0
    } else {
        builder.schemas.kind(&sub.group, &sub.version, &sub.kind)
    };
    let custom = own && builder.resource.schema.is_some();
    let speaks = Speaks {
        group: &sub.group,
        version: &sub.version,
        kind: &sub.kind,
        object: object.clone(),
        list: object,
        custom,
    };
    let has = |verb: &str| sub.verbs.iter().any(|v| v == verb);
    let verbs = [
        ("get", "get", has("get")),
        ("post", "create", has("create")),
        ("put", "put", has("update")),
        ("patch", "patch", has("patch")),
        ("delete", "delete", has("delete")),
    ];
    let name = operation_suffix(builder.resource, &sub.name);
    builder.add(&format!("{item}/{}", sub.name), true, &speaks, &name, &verbs);
}

struct Builder<'a> {
    schemas: &'a mut Schemas,
    paths: &'a mut Map<String, Value>,
    resource: &'a OpenApiResource,
}

impl Builder<'_> {
    /// Adds a path with the operations whose third part is true: method, action, offered.
    fn add(
        &mut self,
        path: &str,
        named: bool,
        speaks: &Speaks<'_>,
        name: &str,
        operations: &[(&str, &str, bool)],
    ) {
        let mut entry = Map::new();
        for (method, action, _) in operations.iter().filter(|(.., offered)| *offered) {
            entry.insert((*method).to_owned(), self.operation(speaks, name, action));
        }
        if entry.is_empty() {
            return;
        }
        let mut parameters = Vec::new();
        if named {
            parameters.push(self.path_parameter("name", &format!("name of the {}", self.resource.kind)));
        }
        if path.contains("{namespace}") {
            parameters.push(self.path_parameter("namespace", "namespace of the object"));
        }
        parameters.push(self.query(&PRETTY));
        entry.insert("parameters".into(), parameters.into());
        self.paths.insert(path.to_owned(), entry.into());
    }

    fn operation(&mut self, speaks: &Speaks<'_>, name: &str, action: &str) -> Value {
        let (verb, queries): (&str, Vec<Parameter>) = match action {
            "list" => ("list", LIST.to_vec()),
            "get" => ("read", Vec::new()),
            "create" => ("create", vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION]),
            "put" => ("replace", vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION]),
            "patch" => ("patch", vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE]),
            "deletecollection" => ("delete", DELETE.iter().chain(&LIST[1..9]).copied().collect()),
            _ => ("delete", DELETE.to_vec()),
        };
        let collection = if action == "deletecollection" { "Collection" } else { "" };
        let (group, rest) = name.split_at(group_id(&self.resource.group, &self.resource.version).len());
        let answer = match action {
            "list" => speaks.list.clone(),
            "delete" | "deletecollection" => {
                self.schemas.refer_name("io.k8s.apimachinery.pkg.apis.meta.v1.Status")
            }
            _ => speaks.object.clone(),
        };
        let body = match action {
            "create" | "put" => Some((speaks.object.clone(), vec!["*/*"])),
            "patch" => Some((
                self.schemas.patch(),
                PATCHES.iter().copied().filter(|p| !speaks.custom || !p.contains("strategic")).collect(),
            )),
            "delete" | "deletecollection" => Some((
                self.schemas.refer_name("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"),
                vec!["*/*"],
            )),
            _ => None,
        };
        let parameters: Vec<Value> = queries.iter().map(|q| self.query(q)).collect();
        let mut operation = json!({
            "operationId": format!("{verb}{group}{collection}{rest}"),
            "parameters": parameters,
            "tags": [tag(&self.resource.group, &self.resource.version)],
            "x-kubernetes-action": if action == "create" { "post" } else { action },
            "x-kubernetes-group-version-kind": {"group": speaks.group, "version": speaks.version, "kind": speaks.kind},
        });
        self.bodies(&mut operation, action, &answer, body);
        operation
    }

    /// Request and answers, which the two versions of OpenAPI put in different places.
    fn bodies(&self, operation: &mut Value, action: &str, answer: &Value, body: Option<(Value, Vec<&str>)>) {
        let codes: &[(&str, &str)] = match action {
            "create" => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
            "put" | "patch" => &[("200", "OK"), ("201", "Created")],
            "delete" => &[("200", "OK"), ("202", "Accepted")],
            _ => &[("200", "OK")],
        };
        let produces: Vec<&str> =
            PRODUCES.iter().chain(if action == "list" { &STREAMS[..] } else { &[] }).copied().collect();
        let optional = matches!(action, "delete" | "deletecollection");
        let content = |types: &[&str], schema: &Value| {
            types.iter().map(|t| ((*t).to_owned(), json!({"schema": schema}))).collect::<Map<String, Value>>()
        };
        let mut responses: Map<String, Value> = codes
            .iter()
            .map(|(code, text)| {
                let response = match self.schemas.dialect {
                    Dialect::V2 => json!({"description": text, "schema": answer}),
                    Dialect::V3 => json!({"description": text, "content": content(&produces, answer)}),
                };
                ((*code).to_owned(), response)
            })
            .collect();
        responses.insert("401".into(), json!({"description": "Unauthorized"}));
        operation["responses"] = responses.into();
        match self.schemas.dialect {
            Dialect::V2 => {
                operation["produces"] = produces.into();
                operation["schemes"] = json!(["https"]);
                operation["consumes"] = json!(["*/*"]);
                if let Some((schema, types)) = body {
                    operation["consumes"] = types.into();
                    let mut parameter = json!({"name": "body", "in": "body", "schema": schema});
                    if !optional {
                        parameter["required"] = true.into();
                    }
                    if let Some(parameters) = operation["parameters"].as_array_mut() {
                        parameters.insert(0, parameter);
                    }
                }
            }
            Dialect::V3 => {
                if let Some((schema, types)) = body {
                    operation["requestBody"] = json!({"content": content(&types, &schema)});
                    if !optional {
                        operation["requestBody"]["required"] = true.into();
                    }
                }
            }
        }
    }

    fn query(&self, (name, kind, text): &Parameter) -> Value {
        self.parameter(name, "query", kind, text)
    }

    fn path_parameter(&self, name: &str, text: &str) -> Value {
        let mut parameter = self.parameter(name, "path", "string", text);
        parameter["required"] = true.into();
        parameter
    }

    fn parameter(&self, name: &str, place: &str, kind: &str, text: &str) -> Value {
        let mut parameter = json!({"name": name, "in": place, "description": text});
        match self.schemas.dialect {
            Dialect::V2 => {
                parameter["type"] = kind.into();
                parameter["uniqueItems"] = true.into();
            }
            Dialect::V3 => parameter["schema"] = json!({"type": kind, "uniqueItems": true}),
        }
        parameter
    }
}

/// `CoreV1`, `AppsV1`, `RbacAuthorizationV1`: the version as operation ids name it.
fn group_id(group: &str, version: &str) -> String {
    let group = if group.is_empty() { "core" } else { group.strip_suffix(".k8s.io").unwrap_or(group) };
    group.split(['.', '-']).chain([version]).map(capital).collect()
}

fn operation_suffix(resource: &OpenApiResource, sub: &str) -> String {
    let scope = if resource.namespaced { "Namespaced" } else { "" };
    format!("{}{scope}{}{}", group_id(&resource.group, &resource.version), resource.kind, capital(sub))
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// `core_v1`, `rbacAuthorization_v1`.
fn tag(group: &str, version: &str) -> String {
    let id = group_id(group, "");
    let mut chars = id.chars();
    let group: String = chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default();
    format!("{group}_{version}")
}
