//! Resources that are never stored: a POST is a question, the answer is in its status. Access reviews,
//! token reviews, and the older way of binding.

use crate::authz::{Attributes, rbac::Rule};
use crate::context::{Answer, Body, Call, Result};
use crate::resources::Target;
use crate::server::Server;
use crate::{authn, subresources};
use apimachinery::{Status, meta};
use client::{UserInfo, Verb};
use serde_json::{Value, json};

pub(crate) async fn serve(server: &Server, call: &mut Call, target: &Target) -> Result<Answer> {
    if call.verb() != Verb::Create {
        return Err(Box::new(Status::method_not_allowed()));
    }
    if target.info.resource == "bindings" {
        return subresources::bind(server, call).await;
    }
    let mut review = call.take_body()?;
    crate::handlers::create::check_kind(target, &review)?;
    let name = meta::name(&review).to_owned();
    crate::admission::admit_action(server, call, target, &name, &mut review).await?;
    let status = match target.info.resource {
        "selfsubjectreviews" => json!({"userInfo": user_value(&call.user)}),
        "tokenreviews" => token_review(server, &review),
        "selfsubjectaccessreviews" => access(server, &call.user.clone(), &review)?,
        "selfsubjectrulesreviews" => {
            let namespace = review.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or_default();
            if namespace.is_empty() {
                return Err(Box::new(Status::bad_request("no namespace on request")));
            }
            rules_review(&server.authz.rbac.rules(&server.store, &call.user, namespace))
        }
        "subjectaccessreviews" => access(server, &subject(&review), &review)?,
        "localsubjectaccessreviews" => {
            let asked = review.pointer("/spec/resourceAttributes/namespace").and_then(Value::as_str);
            if asked != Some(&call.request.namespace) {
                let text = format!(
                    "spec.resourceAttributes.namespace must match namespace: {}",
                    call.request.namespace
                );
                return Err(Box::new(Status::bad_request(text)));
            }
            access(server, &subject(&review), &review)?
        }
        _ => return Err(Box::new(Status::resource_not_found())),
    };
    if target.info.resource == "selfsubjectreviews" {
        meta::set_creation_timestamp(&mut review, call.now.truncated());
    }
    review["status"] = status;
    Ok(Answer::created(Body::object(review)))
}

pub(crate) fn user_value(user: &UserInfo) -> Value {
    let mut value = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        value["uid"] = user.uid.clone().into();
    }
    if !user.extra.is_empty() {
        value["extra"] = json!(user.extra);
    }
    value
}

fn token_review(server: &Server, review: &Value) -> Value {
    let token = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
    let audiences: Vec<String> = review
        .pointer("/spec/audiences")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|audience| audience.as_str().map(str::to_owned))
        .collect();
    let Some(user) = authn::token_user(server, token, &audiences) else {
        return json!({"user": {}, "error": "[invalid bearer token]"});
    };
    let mut user = user;
    if !user.groups.iter().any(|group| group == "system:authenticated") {
        user.groups.push("system:authenticated".into());
    }
    let audiences = if audiences.is_empty() { vec![server.config.issuer.clone()] } else { audiences };
    json!({"authenticated": true, "user": user_value(&user), "audiences": audiences})
}

/// The user that a SubjectAccessReview asks about.
fn subject(review: &Value) -> UserInfo {
    let spec = &review["spec"];
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let extra = spec["extra"].as_object().into_iter().flatten();
    UserInfo {
        name: spec["user"].as_str().unwrap_or_default().into(),
        uid: spec["uid"].as_str().unwrap_or_default().into(),
        groups: strings(&spec["groups"]),
        extra: extra.map(|(key, value)| (key.clone(), strings(value))).collect(),
    }
}

fn access(server: &Server, user: &UserInfo, review: &Value) -> Result<Value> {
    let (resource, path) = (&review["spec"]["resourceAttributes"], &review["spec"]["nonResourceAttributes"]);
    if resource.is_null() == path.is_null() {
        let text = "spec.resourceAttributes: exactly one of nonResourceAttributes or resourceAttributes must be specified";
        return Err(Box::new(Status::bad_request(text)));
    }
    fn text<'a>(value: &'a Value, field: &str) -> &'a str {
        value[field].as_str().unwrap_or_default()
    }
    let selector = field_selector(resource);
    let attributes = if path.is_null() {
        Attributes {
            user,
            verb: text(resource, "verb"),
            group: text(resource, "group"),
            resource: text(resource, "resource"),
            subresource: text(resource, "subresource"),
            namespace: text(resource, "namespace"),
            name: text(resource, "name"),
            field_selector: &selector,
            path: "",
        }
    } else {
        Attributes::of_path(user, text(path, "verb"), text(path, "path"))
    };
    let decision = server.authz.decide(server, &attributes);
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.into();
    }
    Ok(status)
}

/// The field selector of the attributes, from its raw form or its requirements.
fn field_selector(resource: &Value) -> String {
    let selector = &resource["fieldSelector"];
    if let Some(raw) = selector["rawSelector"].as_str() {
        return raw.to_owned();
    }
    let requirements = selector["requirements"].as_array().into_iter().flatten();
    let terms =
        requirements.filter_map(|r| Some(format!("{}={}", r["key"].as_str()?, r["values"][0].as_str()?)));
    terms.collect::<Vec<_>>().join(",")
}

fn rules_review(rules: &[Rule]) -> Value {
    let (paths, resources): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| !rule.urls.is_empty());
    let values = |rules: Vec<&Rule>| rules.into_iter().map(Rule::to_value).collect::<Vec<_>>();
    json!({"resourceRules": values(resources), "nonResourceRules": values(paths), "incomplete": false})
}
