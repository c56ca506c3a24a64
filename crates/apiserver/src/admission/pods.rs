//! Small admission plugins for Pods and Nodes: Priority, RuntimeClass, DefaultTolerationSeconds,
//! TaintNodesByCondition.

use crate::codec;
use crate::context::Result;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Status, meta};
use serde_json::{Value, json};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const TOLERATION_SECONDS: u64 = 300;

fn forbidden(target: &Target, object: &Value, text: String) -> Box<Status> {
    Box::new(Status::forbidden(&target.group_resource(), meta::name(object), text))
}

/// The number behind a priority class name.
pub(super) fn priority(server: &Server, target: &Target, pod: &mut Value) -> Result<()> {
    let classes =
        Target::of(api::find("scheduling.k8s.io", "v1", "priorityclasses").expect("it is in the table"));
    let name = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let class = if name.is_empty() {
        let all = server.store.list(&classes.prefix(""));
        let defaults = all.iter().map(|entry| codec::tree(entry)).filter(|c| c["globalDefault"] == true);
        defaults.min_by_key(|class| class["value"].as_i64())
    } else {
        let Some(entry) = server.store.get(&classes.key("", &name)) else {
            return Err(forbidden(target, pod, format!("no PriorityClass with name {name} was found")));
        };
        Some(codec::tree(&entry))
    };
    let value = class.as_ref().and_then(|class| class["value"].as_i64()).unwrap_or(0);
    let policy =
        class.as_ref().and_then(|class| class["preemptionPolicy"].as_str()).unwrap_or("PreemptLowerPriority");
    let spec = meta::as_object_mut(&mut pod["spec"]);
    let asked = spec.get("priority").and_then(Value::as_i64);
    let asked_policy = spec.get("preemptionPolicy").and_then(Value::as_str).map(str::to_owned);
    if let Some(class) = &class {
        spec.insert("priorityClassName".into(), meta::name(class).into());
    }
    spec.insert("priority".into(), value.into());
    spec.insert("preemptionPolicy".into(), policy.into());
    if let Some(asked) = asked.filter(|asked| *asked != value) {
        return Err(forbidden(
            target,
            pod,
            format!(
                "the integer value of priority ({asked}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
            ),
        ));
    }
    if let Some(asked) = asked_policy.filter(|asked| asked != policy) {
        return Err(forbidden(
            target,
            pod,
            format!(
                "the string value of PreemptionPolicy ({asked}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
            ),
        ));
    }
    Ok(())
}

/// Overhead and scheduling of the Pod's runtime class.
pub(super) fn runtime_class(server: &Server, target: &Target, pod: &mut Value) -> Result<()> {
    let Some(name) = pod["spec"]["runtimeClassName"].as_str().map(str::to_owned) else {
        if pod["spec"].get("overhead").is_some_and(|o| o.as_object().is_some_and(|o| !o.is_empty())) {
            return Err(forbidden(
                target,
                pod,
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".into(),
            ));
        }
        return Ok(());
    };
    let classes = Target::of(api::find("node.k8s.io", "v1", "runtimeclasses").expect("it is in the table"));
    let Some(entry) = server.store.get(&classes.key("", &name)) else {
        let quoted = apimachinery::go::quote(&name);
        return Err(forbidden(target, pod, format!("pod rejected: RuntimeClass {quoted} not found")));
    };
    let class = codec::tree(&entry);
    if let Some(overhead) = class.pointer("/overhead/podFixed") {
        let asked = pod["spec"].get("overhead").filter(|o| !o.is_null());
        if asked.is_some_and(|asked| asked != overhead) {
            return Err(forbidden(
                target,
                pod,
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".into(),
            ));
        }
        pod["spec"]["overhead"] = overhead.clone();
    }
    if let Some(Value::Object(selector)) = class.pointer("/scheduling/nodeSelector") {
        let own = meta::object_at(meta::as_object_mut(&mut pod["spec"]), "nodeSelector");
        let clash = selector.iter().any(|(key, value)| own.get(key).is_some_and(|have| have != value));
        own.extend(selector.clone());
        if clash {
            return Err(forbidden(
                target,
                pod,
                "conflict: runtimeClass.scheduling.nodeSelector and pod.spec.nodeSelector".into(),
            ));
        }
    }
    if let Some(Value::Array(tolerations)) = class.pointer("/scheduling/tolerations") {
        let mut all = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
        let new: Vec<Value> = tolerations.iter().filter(|t| !all.contains(t)).cloned().collect();
        all.extend(new);
        pod["spec"]["tolerations"] = all.into();
    }
    Ok(())
}

/// Pods stay five minutes on a node that is not ready or unreachable, unless they say otherwise.
pub(super) fn default_tolerations(pod: &mut Value) {
    let have = pod.pointer("/spec/tolerations").and_then(Value::as_array).cloned().unwrap_or_default();
    let tolerates = |key: &str| {
        have.iter().any(|t| {
            let this = t["key"].as_str().unwrap_or_default();
            let effect = t["effect"].as_str().unwrap_or_default();
            (this.is_empty() || this == key) && (effect.is_empty() || effect == "NoExecute")
        })
    };
    let missing: Vec<Value> = [NOT_READY, UNREACHABLE]
        .into_iter()
        .filter(|key| !tolerates(key))
        .map(|key| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS}))
        .collect();
    if !missing.is_empty() {
        pod["spec"]["tolerations"] = have.into_iter().chain(missing).collect();
    }
}

/// A node takes no Pods before the node controller has seen it ready.
pub(super) fn taint_new_node(node: &mut Value) {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
    if taints.iter().any(|taint| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule") {
        return;
    }
    let spec = meta::object_at(meta::as_object_mut(node), "spec");
    let mut taints = taints;
    taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    spec.insert("taints".into(), taints.into());
}
