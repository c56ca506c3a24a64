//! The environment of a container: envFrom, env with all its sources, service variables, and
//! the `$(VAR)` expansion of command and args. What it needs from the API is named by
//! [`references`], fetched by the caller and handed in as [`Sources`].

use std::collections::BTreeMap;
use std::sync::Arc;

use api::qos::quantity;
use apimachinery::quantity::Quantity;
use base64::Engine;
use serde_json::Value;

use crate::expansion::expand;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    ConfigMap,
    Secret,
}

impl Kind {
    pub fn resource(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmaps",
            Kind::Secret => "secrets",
        }
    }

    /// As messages name it: `configmap "x" not found`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmap",
            Kind::Secret => "secret",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Kind::ConfigMap => "ConfigMap",
            Kind::Secret => "Secret",
        }
    }
}

/// Everything outside the Pod that its environment may ask for.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub objects: BTreeMap<(Kind, String), Arc<Value>>,
    /// Services of the Pod's namespace and of `default`.
    pub services: Vec<Arc<Value>>,
    pub pod_ips: Vec<String>,
    pub host_ips: Vec<String>,
    /// `status.allocatable` of the node: the default of absent limits.
    pub node_allocatable: Value,
}

/// The ConfigMaps and Secrets that a container's environment names, in order, once each.
pub fn references(container: &Value) -> Vec<(Kind, String)> {
    let mut all = Vec::new();
    let mut add = |kind: Kind, name: &Value| {
        let reference = (kind, name.as_str().unwrap_or_default().to_string());
        if !all.contains(&reference) {
            all.push(reference);
        }
    };
    for from in items(&container["envFrom"]) {
        if from.get("configMapRef").is_some() {
            add(Kind::ConfigMap, &from["configMapRef"]["name"]);
        }
        if from.get("secretRef").is_some() {
            add(Kind::Secret, &from["secretRef"]["name"]);
        }
    }
    for env in items(&container["env"]) {
        let from = &env["valueFrom"];
        if from.get("configMapKeyRef").is_some() {
            add(Kind::ConfigMap, &from["configMapKeyRef"]["name"]);
        }
        if from.get("secretKeyRef").is_some() {
            add(Kind::Secret, &from["secretKeyRef"]["name"]);
        }
    }
    all
}

/// The variables in order of declaration, service variables last. The error is the message of
/// `CreateContainerConfigError`.
pub fn environment(
    pod: &Value,
    container: &Value,
    sources: &Sources,
) -> Result<Vec<(String, String)>, String> {
    let services = service_variables(pod, &sources.services);
    let mut vars = Variables::default();
    for from in items(&container["envFrom"]) {
        env_from(&mut vars, from, sources)?;
    }
    for env in items(&container["env"]) {
        let name = env["name"].as_str().unwrap_or_default();
        let text = env["value"].as_str().unwrap_or_default();
        let value = if !text.is_empty() {
            Some(expand(text, |var| vars.get(var).or_else(|| services.get(var).cloned())))
        } else if env["valueFrom"].is_object() {
            value_from(pod, container, &env["valueFrom"], sources)?
        } else {
            Some(String::new())
        };
        if let Some(value) = value {
            vars.set(name, value);
        }
    }
    for (name, value) in services {
        if vars.get(&name).is_none() {
            vars.set(&name, value);
        }
    }
    Ok(vars.list)
}

/// Command and args with references to the environment replaced.
pub fn expand_words(words: &Value, env: &[(String, String)]) -> Vec<String> {
    let lookup = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    items(words).filter_map(Value::as_str).map(|word| expand(word, lookup)).collect()
}

#[derive(Default)]
struct Variables {
    list: Vec<(String, String)>,
}

impl Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.list.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    }

    fn set(&mut self, name: &str, value: String) {
        match self.list.iter_mut().find(|(n, _)| n == name) {
            Some(entry) => entry.1 = value,
            None => self.list.push((name.to_string(), value)),
        }
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn namespace(pod: &Value) -> &str {
    pod["metadata"]["namespace"].as_str().unwrap_or_default()
}

/// The object, `Ok(None)` if it may be missing, or the message that it is.
fn object<'a>(sources: &'a Sources, kind: Kind, reference: &Value) -> Result<Option<&'a Value>, String> {
    let name = reference["name"].as_str().unwrap_or_default();
    match sources.objects.get(&(kind, name.to_string())) {
        Some(object) => Ok(Some(object)),
        None if reference["optional"].as_bool().unwrap_or(false) => Ok(None),
        None => Err(format!("{} {name:?} not found", kind.word())),
    }
}

/// One key of `data`; Secret values are base64 in the API.
fn data_value(kind: Kind, value: &Value) -> Option<String> {
    let text = value.as_str()?;
    match kind {
        Kind::ConfigMap => Some(text.to_string()),
        Kind::Secret => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

fn env_from(vars: &mut Variables, from: &Value, sources: &Sources) -> Result<(), String> {
    let prefix = from["prefix"].as_str().unwrap_or_default();
    for (kind, field) in [(Kind::ConfigMap, "configMapRef"), (Kind::Secret, "secretRef")] {
        let Some(reference) = from.get(field) else { continue };
        let Some(object) = object(sources, kind, reference)? else { continue };
        for (key, value) in object["data"].as_object().into_iter().flatten() {
            if let Some(value) = data_value(kind, value) {
                vars.set(&format!("{prefix}{key}"), value);
            }
        }
    }
    Ok(())
}

/// `Ok(None)`: an optional source is absent and so is the variable.
fn value_from(
    pod: &Value,
    container: &Value,
    from: &Value,
    sources: &Sources,
) -> Result<Option<String>, String> {
    if let Some(field) = from.get("fieldRef") {
        return field_value(pod, field["fieldPath"].as_str().unwrap_or_default(), sources).map(Some);
    }
    if let Some(reference) = from.get("resourceFieldRef") {
        return resource_value(pod, container, reference, &sources.node_allocatable).map(Some);
    }
    for (kind, field) in [(Kind::ConfigMap, "configMapKeyRef"), (Kind::Secret, "secretKeyRef")] {
        let Some(reference) = from.get(field) else { continue };
        let Some(object) = object(sources, kind, reference)? else { return Ok(None) };
        let key = reference["key"].as_str().unwrap_or_default();
        return match data_value(kind, &object["data"][key]) {
            Some(value) => Ok(Some(value)),
            None if reference["optional"].as_bool().unwrap_or(false) => Ok(None),
            None => Err(format!(
                "couldn't find key {key} in {} {}/{}",
                kind.title(),
                namespace(pod),
                reference["name"].as_str().unwrap_or_default()
            )),
        };
    }
    Err("env valueFrom names no source that this node knows".into())
}

/// A downward API field, for env and for downwardAPI volumes.
pub fn field_value(pod: &Value, path: &str, sources: &Sources) -> Result<String, String> {
    let metadata = &pod["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        return match map {
            "metadata.labels" => Ok(text(&metadata["labels"][key])),
            "metadata.annotations" => Ok(text(&metadata["annotations"][key])),
            _ => Err(format!("invalid fieldPath {path:?}: subscript is not supported")),
        };
    }
    match path {
        "metadata.name" => Ok(text(&metadata["name"])),
        "metadata.namespace" => Ok(text(&metadata["namespace"])),
        "metadata.uid" => Ok(text(&metadata["uid"])),
        "metadata.labels" => Ok(format_map(&metadata["labels"])),
        "metadata.annotations" => Ok(format_map(&metadata["annotations"])),
        "spec.nodeName" => Ok(text(&pod["spec"]["nodeName"])),
        "spec.serviceAccountName" => Ok(text(&pod["spec"]["serviceAccountName"])),
        "status.hostIP" => Ok(sources.host_ips.first().cloned().unwrap_or_default()),
        "status.hostIPs" => Ok(sources.host_ips.join(",")),
        "status.podIP" => Ok(sources.pod_ips.first().cloned().unwrap_or_default()),
        "status.podIPs" => Ok(sources.pod_ips.join(",")),
        _ => Err(format!("unsupported fieldPath: {path}")),
    }
}

/// `key="value"` lines, sorted, values quoted as Go's %q.
fn format_map(map: &Value) -> String {
    let lines: Vec<_> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={:?}", value.as_str().unwrap_or_default()))
        .collect();
    lines.join("\n")
}

/// A downward API resource: a request or limit divided by the divisor, rounded up. An absent
/// limit is the node's allocatable amount.
pub fn resource_value(
    pod: &Value,
    container: &Value,
    reference: &Value,
    allocatable: &Value,
) -> Result<String, String> {
    let name = reference["containerName"].as_str().unwrap_or_default();
    let container = match name {
        "" => container,
        name => api::qos::all_containers(&pod["spec"])
            .find(|c| c["name"] == name)
            .ok_or_else(|| format!("container {name} not found"))?,
    };
    let resource = reference["resource"].as_str().unwrap_or_default();
    let (list, key) =
        resource.split_once('.').ok_or_else(|| format!("unsupported container resource : {resource}"))?;
    if !matches!(list, "limits" | "requests") {
        return Err(format!("unsupported container resource : {resource}"));
    }
    let resources = &container["resources"];
    let amount = quantity(&resources[list], key)
        .or_else(|| if list == "limits" { quantity(allocatable, key) } else { None })
        .unwrap_or_default();
    let divisor = quantity(reference, "divisor").filter(|d| !d.is_zero());
    let milli = |q: &Quantity| i128::from(q.milli_value());
    let value = match (key, divisor) {
        ("cpu", divisor) => {
            let divisor = divisor.map_or(1000, |d| milli(&d));
            div_up(milli(&amount), divisor)
        }
        (_, divisor) => {
            let divisor = divisor.map_or(1, |d| i128::from(d.value()));
            div_up(i128::from(amount.value()), divisor)
        }
    };
    Ok(value.to_string())
}

fn div_up(a: i128, b: i128) -> i128 {
    if b <= 0 { 0 } else { (a + b - 1) / b }
}

/// Docker-links style variables of the namespace's services; `kubernetes` of `default` always.
fn service_variables(pod: &Value, services: &[Arc<Value>]) -> BTreeMap<String, String> {
    let links = pod["spec"]["enableServiceLinks"].as_bool().unwrap_or(true);
    let mut vars = BTreeMap::new();
    for service in services {
        let metadata = &service["metadata"];
        let master = metadata["namespace"] == "default" && metadata["name"] == "kubernetes";
        let same_namespace = metadata["namespace"].as_str() == Some(namespace(pod));
        let ip = service["spec"]["clusterIP"].as_str().unwrap_or_default();
        if (master || (links && same_namespace)) && !ip.is_empty() && ip != "None" {
            service_links(&mut vars, service, ip);
        }
    }
    vars
}

fn service_links(vars: &mut BTreeMap<String, String>, service: &Value, ip: &str) {
    let upper = |text: &str| text.to_uppercase().replace(['-', '.'], "_");
    let name = upper(service["metadata"]["name"].as_str().unwrap_or_default());
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_string() };
    vars.insert(format!("{name}_SERVICE_HOST"), ip.to_string());
    for (i, port) in items(&service["spec"]["ports"]).enumerate() {
        let number = port["port"].as_i64().unwrap_or(0);
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let url = format!("{}://{host}:{number}", protocol.to_lowercase());
        if i == 0 {
            vars.insert(format!("{name}_SERVICE_PORT"), number.to_string());
            vars.insert(format!("{name}_PORT"), url.clone());
        }
        if let Some(port_name) = port["name"].as_str().filter(|n| !n.is_empty()) {
            vars.insert(format!("{name}_SERVICE_PORT_{}", upper(port_name)), number.to_string());
        }
        let prefix = format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
        vars.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
        vars.insert(format!("{prefix}_PORT"), number.to_string());
        vars.insert(format!("{prefix}_ADDR"), ip.to_string());
        vars.insert(prefix, url);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(container: &Value) -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "default", "uid": "u", "labels": {"a": "1"}},
            "spec": {"nodeName": "n1", "containers": [container]},
        })
    }

    fn run(container: Value, sources: &Sources) -> Result<Vec<(String, String)>, String> {
        environment(&pod(&container), &container, sources)
    }

    #[test]
    fn later_wins_and_references_see_earlier_variables() {
        let mut sources = Sources::default();
        sources
            .objects
            .insert((Kind::ConfigMap, "cm".into()), Arc::new(json!({"data": {"A": "cm", "B": "b"}})));
        let container = json!({"name": "c",
            "envFrom": [{"configMapRef": {"name": "cm"}}, {"prefix": "P_", "configMapRef": {"name": "cm"}}],
            "env": [{"name": "A", "value": "env"}, {"name": "C", "value": "$(A)-$(B)-$(LATER)"}, {"name": "LATER", "value": "x"}]});
        let env = run(container, &sources).expect("all sources exist");
        let get = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!((get("A"), get("P_A"), get("C")), (Some("env"), Some("cm"), Some("env-b-$(LATER)")));
    }

    #[test]
    fn missing_sources_are_named_as_upstream_does() {
        let key = |optional: bool| json!({"name": "c", "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "db-secret", "key": "password", "optional": optional}}}]});
        let mut sources = Sources::default();
        assert_eq!(run(key(false), &sources).unwrap_err(), "secret \"db-secret\" not found");
        assert_eq!(run(key(true), &sources), Ok(vec![]));
        sources
            .objects
            .insert((Kind::Secret, "db-secret".into()), Arc::new(json!({"data": {"other": "eA=="}})));
        assert_eq!(
            run(key(false), &sources).unwrap_err(),
            "couldn't find key password in Secret default/db-secret"
        );
        sources
            .objects
            .insert((Kind::Secret, "db-secret".into()), Arc::new(json!({"data": {"password": "czNjcmV0"}})));
        assert_eq!(run(key(false), &sources), Ok(vec![("X".into(), "s3cret".into())]));
    }

    #[test]
    fn the_downward_api() {
        let sources = Sources { pod_ips: vec!["10.0.0.2".into()], ..Sources::default() };
        let container = json!({"name": "c", "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}}});
        let pod = pod(&container);
        assert_eq!(field_value(&pod, "metadata.labels['a']", &sources), Ok("1".into()));
        assert_eq!(field_value(&pod, "status.podIP", &sources), Ok("10.0.0.2".into()));
        let value = |reference: Value| resource_value(&pod, &container, &reference, &json!({"cpu": "4"}));
        assert_eq!(value(json!({"resource": "limits.cpu"})), Ok("2".into()));
        assert_eq!(value(json!({"resource": "limits.cpu", "divisor": "1m"})), Ok("1500".into()));
        assert_eq!(value(json!({"resource": "limits.memory", "divisor": "1Mi"})), Ok("64".into()));
    }

    #[test]
    fn service_links_of_the_namespace_and_the_master() {
        let service = |ns: &str, name: &str| {
            Arc::new(json!({"metadata": {"namespace": ns, "name": name},
                "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]}}))
        };
        let sources = Sources {
            services: vec![
                service("default", "kubernetes"),
                service("default", "my-web"),
                service("other", "x"),
            ],
            ..Sources::default()
        };
        let env = run(json!({"name": "c"}), &sources).expect("no references");
        let get = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(get("MY_WEB_SERVICE_PORT_HTTPS"), Some("443"));
        assert_eq!(get("KUBERNETES_PORT_443_TCP_ADDR"), Some("10.96.0.1"));
        assert_eq!(get("X_SERVICE_HOST"), None);
    }
}
