//! Custom resources: which there are ([`Catalog`]), how their objects are read and written ([`Custom`]), what
//! becomes of their definitions (`keeper`), and how versions become each other (`convert`).

mod catalog;
mod convert;
pub(crate) mod keeper;
pub(crate) mod resource;

pub(crate) use catalog::{Catalog, Served};
pub(crate) use resource::Custom;

use crate::context::{Call, Result};
use crate::resources::Target;
use apimachinery::{FieldError, Status};
use serde_json::Value;

/// What clients of a custom resource are told first, and what is refused while its definition goes.
pub(crate) fn greet(call: &mut Call, target: &Target) {
    if let Some(text) = target.custom.as_ref().and_then(|custom| custom.version.deprecated.clone()) {
        call.warn(text);
    }
}

/// Nothing new is made of what is about to go.
pub(crate) fn check_create(target: &Target, name: &str) -> Result<()> {
    if target.custom.as_ref().is_some_and(|custom| custom.definition.terminating) {
        let text = "create not allowed while custom resource definition is terminating";
        return Err(Box::new(Status::forbidden(&target.group_resource(), name, text)));
    }
    Ok(())
}

/// The expressions of a definition that has no other errors.
pub(crate) fn check_definition(
    target: &Target,
    subresource: &str,
    new: &Value,
    old: Option<&Value>,
    errors: &mut Vec<FieldError>,
) {
    if is_definition(target) && subresource.is_empty() && errors.is_empty() {
        errors.extend(custom::rules::definition(new, old));
    }
}

pub(crate) fn is_definition(target: &Target) -> bool {
    target.info.group == "apiextensions.k8s.io" && target.info.resource == "customresourcedefinitions"
}
