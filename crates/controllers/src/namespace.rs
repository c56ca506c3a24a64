//! Namespace lifecycle: a namespace that is being deleted loses its Pods, then everything else,
//! then its finalizer (ordered deletion, KEP-5080).

use apimachinery::meta;
use serde_json::Value;

/// The finalizer in `spec.finalizers` that this controller owns.
pub const FINALIZER: &str = "kubernetes";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Say `Terminating`.
    SetTerminating,
    /// Delete all Pods of the namespace.
    DeletePods,
    /// Delete all objects of these resources (`group/version/resource`).
    DeleteContent(Vec<String>),
    /// Nothing is left: take the finalizer away.
    Finalize,
    /// Objects are going away by themselves: look again soon.
    Wait,
}

/// What a namespace still contains: (resource, number of objects), Pods under `v1/pods`.
pub type Content = Vec<(String, usize)>;

/// The next steps for one namespace.
pub fn plan(namespace: &Value, content: &Content) -> Vec<Action> {
    if !meta::is_deleting(namespace) {
        return Vec::new();
    }
    let mut actions = Vec::new();
    if namespace["status"]["phase"] != "Terminating" {
        actions.push(Action::SetTerminating);
    }
    let ours = namespace["spec"]["finalizers"].as_array().into_iter().flatten().any(|f| f == FINALIZER);
    if !ours {
        return actions;
    }
    let pods = content.iter().any(|(resource, count)| resource == "v1/pods" && *count > 0);
    let others: Vec<String> =
        content.iter().filter(|(r, count)| r != "v1/pods" && *count > 0).map(|(r, _)| r.clone()).collect();
    if pods {
        actions.extend([Action::DeletePods, Action::Wait]);
    } else if !others.is_empty() {
        actions.extend([Action::DeleteContent(others), Action::Wait]);
    } else {
        actions.push(Action::Finalize);
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_first_then_the_rest_then_the_finalizer() {
        let namespace = json!({"metadata": {"name": "n", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Terminating"}});
        let content =
            |pods: usize, secrets: usize| vec![("v1/pods".into(), pods), ("v1/secrets".into(), secrets)];
        assert_eq!(plan(&namespace, &content(1, 1)), [Action::DeletePods, Action::Wait]);
        assert_eq!(
            plan(&namespace, &content(0, 1)),
            [Action::DeleteContent(vec!["v1/secrets".into()]), Action::Wait]
        );
        assert_eq!(plan(&namespace, &content(0, 0)), [Action::Finalize]);
        assert!(
            plan(&json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}}), &vec![])
                .is_empty()
        );
    }
}
