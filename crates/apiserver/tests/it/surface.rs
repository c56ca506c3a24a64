//! The whole surface: whatever discovery lists answers every method as it says, in every form, with the status,
//! reason and details that clients look at.

use super::https::Https;
use super::*;
use hyper::{HeaderMap, Method};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const MERGE: &str = "application/merge-patch+json";

/// One line of discovery.
struct Listed {
    group: String,
    /// `/api/v1` or `/apis/apps/v1`.
    root: String,
    resource: String,
    subresource: String,
    kind: String,
    namespaced: bool,
    verbs: Vec<String>,
}

impl Listed {
    fn has(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    fn collection(&self) -> String {
        let scope = if self.namespaced { "/namespaces/default" } else { "" };
        format!("{}{scope}/{}", self.root, self.resource)
    }

    fn object(&self) -> String {
        let name = format!("{}/missing", self.collection());
        if self.subresource.is_empty() { name } else { format!("{name}/{}", self.subresource) }
    }

    fn group_resource(&self) -> String {
        if self.group.is_empty() {
            self.resource.clone()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }
}

async fn discovered(https: &Https) -> Vec<Listed> {
    let mut roots = vec![(String::new(), "/api/v1".to_string())];
    let (_, _, groups) = https.json(Method::GET, "/apis", &[], "").await;
    for group in groups["groups"].as_array().expect("groups") {
        for version in group["versions"].as_array().expect("versions") {
            let root = format!("/apis/{}", version["groupVersion"].as_str().expect("version"));
            roots.push((group["name"].as_str().expect("name").to_string(), root));
        }
    }
    let mut found = Vec::new();
    for (group, root) in roots {
        let (code, _, list) = https.json(Method::GET, &root, &[], "").await;
        assert_eq!((code, list["kind"].as_str()), (200, Some("APIResourceList")), "{root}");
        for line in list["resources"].as_array().expect("resources") {
            let name = line["name"].as_str().expect("name");
            let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
            found.push(Listed {
                group: group.clone(),
                root: root.clone(),
                resource: resource.into(),
                subresource: subresource.into(),
                kind: line["kind"].as_str().expect("kind").into(),
                namespaced: line["namespaced"].as_bool().expect("namespaced"),
                verbs: line["verbs"]
                    .as_array()
                    .expect("verbs")
                    .iter()
                    .filter_map(|v| v.as_str())
                    .map(Into::into)
                    .collect(),
            });
        }
    }
    found
}

/// What went wrong, gathered: one look shows all of it.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, good: bool, what: impl FnOnce() -> String) {
        if !good {
            self.0.push(what());
        }
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn everything_discovered_answers_as_discovery_says() {
    let cluster = Cluster::with(Config::default()).await;
    let https =
        Https::new(&cluster.handle, Some(("admin", &["system:masters"]))).keeping_its_connection().await;
    let listed = discovered(&https).await;
    assert!(listed.len() > 100, "{} resources and subresources", listed.len());
    let mut wrong = Wrong::default();
    for line in &listed {
        if line.subresource.is_empty() {
            reading(&https, line, &mut wrong).await;
            writing(&https, line, &mut wrong).await;
        }
        methods(&https, line, &mut wrong).await;
    }
    assert!(wrong.0.is_empty(), "{} of them:\n{}", wrong.0.len(), wrong.0.join("\n"));
}

async fn reading(https: &Https, line: &Listed, wrong: &mut Wrong) {
    let path = line.collection();
    if line.has("list") {
        let (code, headers, list) = https.json(Method::GET, &path, &[], "").await;
        let kind = format!("{}List", line.kind);
        wrong.unless(code == 200 && list["kind"] == kind.as_str() && list["items"].is_array(), || {
            format!("list {path}: {code} {}", list["kind"])
        });
        wrong.unless(list["metadata"]["resourceVersion"].is_string(), || {
            format!("list {path}: no resourceVersion")
        });
        let shown = (header(&headers, "content-type"), header(&headers, "cache-control"));
        wrong
            .unless(shown == ("application/json", "no-cache, private"), || format!("list {path}: {shown:?}"));
        wrong.unless(!header(&headers, "audit-id").is_empty(), || format!("list {path}: no Audit-Id"));
        let (code, headers, table) = https.json(Method::GET, &path, &[("accept", TABLE)], "").await;
        let columns = table["columnDefinitions"].as_array().map_or(0, Vec::len);
        wrong.unless(code == 200 && table["kind"] == "Table" && columns > 0, || {
            format!("table {path}: {code} {columns} columns")
        });
        wrong.unless(header(&headers, "content-type") == "application/json", || {
            format!("table {path}: content type")
        });
        let (code, _, partial) = https.json(Method::GET, &path, &[("accept", PARTIAL)], "").await;
        wrong.unless(code == 200 && partial["kind"] == "PartialObjectMetadataList", || {
            format!("partial {path}: {code}")
        });
        let yaml = https.send(Method::GET, &path, &[("accept", "application/yaml")], "").await;
        let kind = header(yaml.headers(), "content-type").to_string();
        wrong.unless(yaml.status() == 200 && kind == "application/yaml", || format!("yaml {path}: {kind}"));
    }
    if line.has("watch") {
        let watch = https.send(Method::GET, &format!("{path}?watch=1&timeoutSeconds=1"), &[], "").await;
        wrong.unless(watch.status() == 200, || format!("watch {path}: {}", watch.status()));
    }
    if line.has("get") {
        let (code, _, status) = https.json(Method::GET, &line.object(), &[], "").await;
        missing("get", line, code, &status, wrong);
    }
}

fn missing(verb: &str, line: &Listed, code: u16, status: &Value, wrong: &mut Wrong) {
    let message = format!("{} \"missing\" not found", line.group_resource());
    let mut details = json!({"name": "missing", "kind": line.resource});
    if !line.group.is_empty() {
        details["group"] = line.group.clone().into();
    }
    let same = code == 404
        && status["reason"] == "NotFound"
        && status["message"] == message.as_str()
        && status["details"] == details;
    wrong.unless(same, || format!("{verb} {}: {code} {status}", line.object()));
}

async fn writing(https: &Https, line: &Listed, wrong: &mut Wrong) {
    if line.has("create") {
        let path = line.collection();
        let (code, _, status) =
            https.json(Method::POST, &path, &[], r#"{"apiVersion":"v1","kind":"Binary"}"#).await;
        let text = status["message"].as_str().unwrap_or_default();
        let refused = code == 400 && status["reason"] == "BadRequest" && !text.is_empty();
        wrong.unless(refused, || format!("create another kind at {path}: {code} {status}"));
        let (code, _, status) = https.json(Method::POST, &path, &[("content-type", "text/csv")], "a,b").await;
        wrong.unless(code == 415 && status["reason"] == "UnsupportedMediaType", || {
            format!("create from csv at {path}: {code} {status}")
        });
    }
    if line.has("delete") {
        let (code, _, status) = https.json(Method::DELETE, &line.object(), &[], "").await;
        missing("delete", line, code, &status, wrong);
    }
    if line.has("patch") {
        let (code, _, status) =
            https.json(Method::PATCH, &line.object(), &[("content-type", MERGE)], "{}").await;
        missing("patch", line, code, &status, wrong);
    }
    if line.has("deletecollection") {
        let path = format!("{}?dryRun=All", line.collection());
        let (code, _, list) = https.json(Method::DELETE, &path, &[], "").await;
        wrong.unless(code == 200, || format!("deletecollection {path}: {code} {list}"));
    }
}

/// Methods without a verb in discovery are not allowed; those with one are.
async fn methods(https: &Https, line: &Listed, wrong: &mut Wrong) {
    // Connections take any method; who they reach decides.
    if matches!(line.subresource.as_str(), "exec" | "attach" | "portforward" | "proxy" | "log") {
        return;
    }
    let object = line.object();
    let mut tried = vec![
        ("get", Method::GET, object.clone(), ""),
        ("update", Method::PUT, object.clone(), "{}"),
        ("patch", Method::PATCH, object.clone(), "{}"),
    ];
    if line.subresource.is_empty() {
        tried.push(("delete", Method::DELETE, object, ""));
        tried.push(("list", Method::GET, line.collection(), ""));
        tried.push(("create", Method::POST, line.collection(), "{}"));
        tried.push(("deletecollection", Method::DELETE, format!("{}?dryRun=All", line.collection()), ""));
    } else {
        tried.push(("create", Method::POST, object, "{}"));
    }
    for (verb, method, path, body) in tried {
        let kind = if verb == "patch" { MERGE } else { "application/json" };
        let (code, _, status) = https.json(method.clone(), &path, &[("content-type", kind)], body).await;
        let refused = code == 405 && status["reason"] == "MethodNotAllowed";
        wrong.unless(refused != line.has(verb), || {
            format!("{method} {path}: {code} {}, discovery says {:?}", status["message"], line.verbs)
        });
        wrong.unless(code < 500, || format!("{method} {path}: {code} {status}"));
    }
}
