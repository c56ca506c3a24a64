//! Binding: the scheduler's decision, written once.

use crate::context::{Answer, Body, Call, Result};
use crate::registry::{Place, store_status};
use crate::resources::Target;
use crate::server::Server;
use crate::{admission, codec, limits};
use apimachinery::{FieldError, Path, Status, meta};
use serde_json::{Value, json};

/// POST of pods/{name}/binding, and of the older /bindings, where the body names the Pod.
pub(crate) async fn bind(server: &Server, call: &mut Call) -> Result<Answer> {
    let mut binding = call.take_body()?;
    let pods = Target::core("pods");
    let name = match (call.request.name.as_str(), meta::name(&binding)) {
        ("", name) => name.to_owned(),
        (url, "") => url.to_owned(),
        (url, name) if url == name => url.to_owned(),
        (url, name) => return Err(crate::handlers::create::name_mismatch(name, url)),
    };
    let asked = Target::find(server, &call.request.resource).unwrap_or_else(|| pods.clone());
    admission::admit_action(server, call, &asked, &name, &mut binding).await?;
    validate(&binding, &name)?;
    let place = Place::new(&pods, &call.request.namespace, &name);
    for _ in 0..limits::MAX_CONFLICT_TRIES {
        let entry = server.current(&place).await?;
        let old = codec::tree(&entry);
        let mut new = assign(&place, &old, &binding, call)?;
        copy_topology(server, &mut new);
        if call.dry_run() {
            return Ok(success(201));
        }
        match server.store.update(&place.key(), codec::encode(&new), entry.mod_revision, None).await {
            Ok(_) => return Ok(success(201)),
            Err(store::Error::Conflict(_)) => {}
            Err(error) => return Err(store_status(&place, &error)),
        }
    }
    Err(Box::new(Status::modified(&pods.group_resource(), &name)))
}

fn success(code: u16) -> Answer {
    Answer {
        code,
        body: Body::object(json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code,
        })),
    }
}

fn validate(binding: &Value, name: &str) -> Result<()> {
    let path = Path::new("target");
    let mut errors = Vec::new();
    let kind = binding["target"]["kind"].as_str().unwrap_or_default();
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError::not_supported(&path.child("kind"), kind, &["Node", "<empty>"]));
    }
    if binding["target"]["name"].as_str().unwrap_or_default().is_empty() {
        errors.push(FieldError::required(&path.child("name"), ""));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let kind = apimachinery::GroupKind::new("", "Binding");
    Err(Box::new(Status::invalid(&kind, name, &errors)))
}

/// The Pod with its node, if it may have one.
fn assign(place: &Place, pod: &Value, binding: &Value, call: &Call) -> Result<Value> {
    let conflict = |text: String| {
        Err(Box::new(Status::conflict(
            &apimachinery::GroupResource::new("", "pods/binding"),
            &place.name,
            text,
        )))
    };
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let uid = meta::uid(binding);
    if !uid.is_empty() && uid != meta::uid(pod) {
        return conflict(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta::uid(pod)
        ));
    }
    let version = meta::resource_version_str(binding);
    if !version.is_empty() && version != meta::resource_version_str(pod) {
        return conflict(format!(
            "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {}",
            meta::resource_version_str(pod)
        ));
    }
    let name = &place.name;
    if meta::is_deleting(pod) {
        return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    if !text("/spec/nodeName").is_empty() {
        let node = apimachinery::go::quote(text("/spec/nodeName"));
        return conflict(format!("pod {name} is already assigned to node {node}"));
    }
    if pod.pointer("/spec/schedulingGates").and_then(Value::as_array).is_some_and(|gates| !gates.is_empty()) {
        return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut new = pod.clone();
    new["spec"]["nodeName"] = binding["target"]["name"].clone();
    for field in ["labels", "annotations"] {
        if let Some(Value::Object(extra)) = binding["metadata"].get(field) {
            meta::object_at(meta::metadata_mut(&mut new), field).extend(extra.clone());
        }
    }
    set_scheduled(&mut new, call);
    Ok(new)
}

/// A Pod carries the zone and region of its node (KEP-4742).
fn copy_topology(server: &Server, pod: &mut Value) {
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    let Some(entry) = server.store.get(&Target::core("nodes").key("", node)) else { return };
    for label in ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"] {
        if let Some(value) = meta::label(&codec::tree(&entry), label) {
            meta::set_label(pod, label, value);
        }
    }
}

/// The condition PodScheduled=True; it has no message.
fn set_scheduled(pod: &mut Value, call: &Call) {
    let generation = meta::generation(pod);
    let status = meta::object_at(meta::as_object_mut(pod), "status");
    let mut condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": call.now.truncated().to_string(),
    });
    if generation > 0 {
        condition["observedGeneration"] = generation.into();
    }
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else { return };
    match conditions.iter_mut().find(|condition| condition["type"] == "PodScheduled") {
        Some(there) if there["status"] == "True" => {}
        Some(there) => *there = condition,
        None => conditions.push(condition),
    }
}
