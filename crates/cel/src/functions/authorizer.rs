//! `authorizer`: asks the API server whether the user of the request may do something. Who answers is given by
//! whoever evaluates.

use super::{boolean, texts, this};
use crate::eval::no_overload;
use crate::table::Sig::{Bool, Opaque as Is, String as Text};
use crate::table::{Overload, member};
use crate::value::{Opaque, Value};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

pub(crate) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
const PATH: &str = "kubernetes.authorization.PathCheck";
const GROUP: &str = "kubernetes.authorization.GroupCheck";
const RESOURCE: &str = "kubernetes.authorization.ResourceCheck";
const DECISION: &str = "kubernetes.authorization.Decision";

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Namespace and name of a service account that asks instead of the user.
    pub service_account: Option<(String, String)>,
    pub path: Option<String>,
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub field_selector: String,
    pub label_selector: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub reason: String,
    pub error: Option<String>,
}

pub trait Authorize: Send + Sync {
    fn authorize(&self, attributes: &Attributes) -> Decision;
}

/// The value of `authorizer`, and of what is asked on the way.
#[derive(Clone)]
pub struct Authorizer {
    by: Arc<dyn Authorize>,
    attributes: Attributes,
    stage: &'static str,
}

impl Authorizer {
    pub fn new(by: Arc<dyn Authorize>) -> Authorizer {
        Authorizer { by, attributes: Attributes::default(), stage: AUTHORIZER }
    }

    /// `authorizer.requestResource`: a check about what the request is about.
    #[must_use]
    pub fn for_resource(&self, attributes: Attributes) -> Authorizer {
        Authorizer { by: self.by.clone(), attributes, stage: RESOURCE }
    }

    /// The type of `authorizer` for [`crate::Env::with_type`].
    pub fn ty() -> crate::Type {
        crate::Type::Opaque(AUTHORIZER)
    }

    /// The type of `authorizer.requestResource`.
    pub fn resource_ty() -> crate::Type {
        crate::Type::Opaque(RESOURCE)
    }

    fn then<'a>(&self, stage: &'static str, set: impl FnOnce(&mut Attributes)) -> crate::eval::Outcome<'a> {
        let mut next = Authorizer { stage, ..self.clone() };
        set(&mut next.attributes);
        Ok(Value::opaque(next))
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer")
            .field("attributes", &self.attributes)
            .field("stage", &self.stage)
            .finish()
    }
}

impl Opaque for Authorizer {
    fn type_name(&self) -> &'static str {
        self.stage
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.as_any().downcast_ref::<Authorizer>().is_some_and(|other| {
            self.stage == other.stage
                && self.attributes == other.attributes
                && Arc::ptr_eq(&self.by, &other.by)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

super::opaque!(Decision, DECISION);

/// A step that sets one attribute from the argument.
macro_rules! step {
    ($function:literal, $id:literal, $from:expr => $to:expr, $field:ident) => {
        member($function, $id, &[Is($from), Text], Is($to), |_, args| {
            let [value] = texts(&args[1..])?;
            this::<Authorizer>(args)?.then($to, |attributes| attributes.$field = value.to_string())
        })
    };
}

pub(super) static FUNCTIONS: &[Overload] = &[
    member("path", "authorizer_path", &[Is(AUTHORIZER), Text], Is(PATH), |_, args| {
        let [value] = texts(&args[1..])?;
        this::<Authorizer>(args)?.then(PATH, |attributes| attributes.path = Some(value.to_string()))
    }),
    member(
        "serviceAccount",
        "authorizer_serviceaccount",
        &[Is(AUTHORIZER), Text, Text],
        Is(AUTHORIZER),
        |_, args| {
            let [namespace, name] = texts(&args[1..])?;
            let account = Some((namespace.to_string(), name.to_string()));
            this::<Authorizer>(args)?.then(AUTHORIZER, |attributes| attributes.service_account = account)
        },
    ),
    step!("group", "authorizer_group", AUTHORIZER => GROUP, group),
    step!("resource", "groupcheck_resource", GROUP => RESOURCE, resource),
    step!("subresource", "resourcecheck_subresource", RESOURCE => RESOURCE, subresource),
    step!("namespace", "resourcecheck_namespace", RESOURCE => RESOURCE, namespace),
    step!("name", "resourcecheck_name", RESOURCE => RESOURCE, name),
    step!("fieldSelector", "authorizer_fieldselector", RESOURCE => RESOURCE, field_selector),
    step!("labelSelector", "authorizer_labelselector", RESOURCE => RESOURCE, label_selector),
    member("check", "pathcheck_check", &[Is(PATH), Text], Is(DECISION), check),
    member("check", "resourcecheck_check", &[Is(RESOURCE), Text], Is(DECISION), check),
    member("allowed", "decision_allowed", &[Is(DECISION)], Bool, |_, args| {
        boolean(this::<Decision>(args)?.allowed)
    }),
    member("reason", "decision_reason", &[Is(DECISION)], Text, |_, args| {
        Ok(Value::text(this::<Decision>(args)?.reason.as_str()))
    }),
    member("errored", "decision_errored", &[Is(DECISION)], Bool, |_, args| {
        boolean(this::<Decision>(args)?.error.is_some())
    }),
    member("error", "decision_error", &[Is(DECISION)], Text, |_, args| {
        Ok(Value::text(this::<Decision>(args)?.error.clone().unwrap_or_default()))
    }),
];

fn check<'a>(_: &crate::Program, args: &[Value<'a>]) -> crate::eval::Outcome<'a> {
    let Some(verb) = args[1].as_text() else { return no_overload() };
    let asked = this::<Authorizer>(args)?;
    let attributes = Attributes { verb: verb.to_string(), ..asked.attributes.clone() };
    Ok(Value::opaque(asked.by.authorize(&attributes)))
}
