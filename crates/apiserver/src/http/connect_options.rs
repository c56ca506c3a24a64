//! The options of a connection as the object that admission sees, and back. Query parameters on the wire.

use super::query::{Query, percent_encode};
use super::route::ResourcePath;
use crate::resources::Target;
use serde_json::{Map, Value};

/// Options that are true or false; those of the second list are true whatever the query says, as
/// upstream's defaults have them.
const FLAGS: [(&str, bool); 4] = [("stdin", false), ("stdout", true), ("stderr", true), ("tty", false)];

pub(super) fn of_query(target: &Target, path: &ResourcePath, query: &Query) -> Value {
    let mut map = Map::new();
    if let Some(subresource) = target.info.subresource(&path.subresource) {
        map.insert("kind".into(), subresource.kind.kind.clone().into());
        map.insert("apiVersion".into(), subresource.kind.api_version().into());
    }
    match path.subresource.as_str() {
        "exec" | "attach" => {
            for (name, always) in FLAGS {
                if always || query.flag(name).unwrap_or(false) {
                    map.insert(name.into(), true.into());
                }
            }
            if let Some(container) = query.get("container").filter(|name| !name.is_empty()) {
                map.insert("container".into(), container.into());
            }
            if path.subresource == "exec" {
                map.insert("command".into(), query.all("command").collect::<Vec<_>>().into());
            }
        }
        "portforward" => {
            let ports: Vec<i64> = query
                .all("ports")
                .flat_map(|ports| ports.split(','))
                .filter_map(|port| port.parse().ok())
                .collect();
            if !ports.is_empty() {
                map.insert("ports".into(), ports.into());
            }
        }
        _ => {
            if !path.rest.is_empty() {
                map.insert("path".into(), path.rest.clone().into());
            }
        }
    }
    map.into()
}

/// The query that means the same as changed options.
pub(super) fn to_query(options: &Value) -> Query {
    let mut pairs = Vec::new();
    for (name, value) in options.as_object().into_iter().flatten() {
        let values = match value {
            Value::Array(items) => items.iter().collect(),
            one => vec![one],
        };
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            pairs.push(format!("{}={}", percent_encode(name), percent_encode(&text)));
        }
    }
    Query::parse(&pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::gvk::GroupVersionResource;
    use serde_json::json;

    #[test]
    fn options_go_there_and_back() {
        let target = Target::core("pods");
        let path = ResourcePath {
            gvr: GroupVersionResource::new("", "v1", "pods"),
            subresource: "exec".into(),
            ..ResourcePath::default()
        };
        let options = of_query(&target, &path, &Query::parse("command=ls&command=-l&stdin=1&container=c"));
        let want = json!({"kind": "PodExecOptions", "apiVersion": "v1", "stdin": true, "stdout": true,
            "stderr": true, "container": "c", "command": ["ls", "-l"]});
        assert_eq!(options, want);
        let back = to_query(&options);
        assert_eq!(back.all("command").collect::<Vec<_>>(), ["ls", "-l"]);
        assert_eq!(
            (back.get("container"), back.flag("stdin"), back.flag("tty")),
            (Some("c"), Some(true), None)
        );
    }
}
