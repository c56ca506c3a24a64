//! TokenRequest: a signed, expiring token for a service account.

use crate::codec;
use crate::context::{Answer, Body, Call, Result};
use crate::registry::Place;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{FieldError, GroupKind, Path, Status, Time, meta};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;

const DEFAULT_SECONDS: i64 = 3600;
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;

pub(super) async fn request(server: &Server, call: &mut Call, target: &Target) -> Result<Answer> {
    let mut request = call.take_body()?;
    let place = Place::new(target, &call.request.namespace, &call.request.name);
    crate::admission::admit_action(server, call, target, &place.name, &mut request).await?;
    let entry = server.current(&place).await?;
    let account = codec::tree(&entry);
    let audiences = match request.pointer("/spec/audiences").and_then(Value::as_array) {
        Some(audiences) if !audiences.is_empty() => audiences.clone(),
        _ => vec![server.config.issuer.clone().into()],
    };
    let seconds =
        request.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(DEFAULT_SECONDS);
    check_seconds(seconds)?;
    let reference = request.pointer("/spec/boundObjectRef").filter(|r| !r.is_null()).cloned();
    let bound = match &reference {
        Some(reference) => Some(bound(server, &place, &account, reference)?),
        None => None,
    };
    let issued = call.now.truncated();
    let expires = Time(issued.0.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(issued.0));
    let claims = claims(server, &account, &audiences, issued, expires, bound.as_ref());
    let token = server.authn.signer.sign(&claims).map_err(|error| Box::new(Status::internal(error)))?;
    let spec = &mut request["spec"];
    spec["audiences"] = audiences.into();
    spec["expirationSeconds"] = seconds.into();
    spec["boundObjectRef"] = reference.unwrap_or(Value::Null);
    meta::set_gvk(
        &mut request,
        &apimachinery::GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest"),
    );
    meta::set_name(&mut request, &place.name);
    meta::set_namespace(&mut request, &place.namespace);
    meta::set_creation_timestamp(&mut request, issued);
    request["status"] = json!({"token": token, "expirationTimestamp": expires.to_string()});
    Ok(Answer::created(Body::object(request)))
}

fn check_seconds(seconds: i64) -> Result<()> {
    let path = Path::new("spec").child("expirationSeconds");
    let text = match seconds {
        s if s < MIN_SECONDS => "may not specify a duration less than 10 minutes",
        s if s > MAX_SECONDS => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let kind = GroupKind::new("authentication.k8s.io", "TokenRequest");
    Err(Box::new(Status::invalid(&kind, "", &[FieldError::invalid(&path, seconds, text)])))
}

/// What the token lives and dies with: the claim's name, its object, and the Pod's node.
struct Bound {
    claim: &'static str,
    object: Arc<Value>,
    node: Option<Arc<Value>>,
}

fn bound(server: &Server, place: &Place, account: &Value, reference: &Value) -> Result<Bound> {
    let name = reference["name"].as_str().unwrap_or_default();
    let (claim, resource, namespace) = match reference["kind"].as_str() {
        Some("Pod") => ("pod", "pods", place.namespace.as_str()),
        Some("Secret") => ("secret", "secrets", place.namespace.as_str()),
        Some("Node") => ("node", "nodes", ""),
        kind => {
            let text = format!(
                "cannot bind token for serviceaccount {} to object of kind {}",
                apimachinery::go::quote(&place.name),
                kind.unwrap_or_default()
            );
            return Err(Box::new(Status::bad_request(text)));
        }
    };
    let target = Target::core(resource);
    let entry = server.store.get(&target.key(namespace, name));
    let entry = entry.ok_or_else(|| Box::new(Status::not_found(&target.group_resource(), name)))?;
    let object = codec::tree(&entry);
    if let Some(uid) = reference["uid"].as_str().filter(|uid| !uid.is_empty() && *uid != meta::uid(&object)) {
        let text = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Box::new(Status::conflict(&target.group_resource(), name, text)));
    }
    let mut node = None;
    if claim == "pod" {
        let runs_as = object.pointer("/spec/serviceAccountName").and_then(Value::as_str).unwrap_or_default();
        if runs_as != meta::name(account) {
            let text = format!(
                "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
                apimachinery::go::quote(&place.name)
            );
            return Err(Box::new(Status::bad_request(text)));
        }
        let node_name = object.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
        node = server.store.get(&Target::core("nodes").key("", node_name)).map(|entry| codec::tree(&entry));
    }
    Ok(Bound { claim, object, node })
}

fn claims(
    server: &Server,
    account: &Value,
    audiences: &[Value],
    issued: Time,
    expires: Time,
    bound: Option<&Bound>,
) -> Value {
    let reference = |object: &Value| json!({"name": meta::name(object), "uid": meta::uid(object)});
    let (namespace, name) = (meta::namespace(account), meta::name(account));
    let mut private = json!({"namespace": namespace, "serviceaccount": reference(account)});
    if let Some(bound) = bound {
        private[bound.claim] = reference(&bound.object);
        if let Some(node) = &bound.node {
            private["node"] = reference(node);
        }
    }
    json!({
        "iss": server.config.issuer,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "aud": audiences,
        "iat": issued.0.as_second(), "nbf": issued.0.as_second(), "exp": expires.0.as_second(),
        "jti": server.env.uuid(),
        "kubernetes.io": private,
    })
}
