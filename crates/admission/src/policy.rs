//! Policies and their bindings, compiled once for all requests.

use crate::activation::Inputs;
use crate::conditions::Conditions;
use crate::env::Known;
use crate::expression::{Expression, Scope, Wanted};
use crate::matching::Criteria;
use api::read::{at, has, list, opt_text, text, texts};
use apimachinery::gvk::{GroupVersion, GroupVersionKind};
use apimachinery::labels::Selector;
use apimachinery::{Reason, meta};
use serde_json::Value;

#[derive(Debug)]
pub struct Policy {
    pub name: String,
    /// What the parameters are. The error: it is not readable.
    pub params: Option<GroupVersionKind>,
    pub criteria: Criteria,
    /// Whether a failure to decide counts as consent.
    pub ignores_failure: bool,
    /// Whether it is applied again when something changed after it.
    pub reinvoked: bool,
    pub mutations: Vec<Mutation>,
    pub(crate) conditions: Conditions,
    pub(crate) variables: Vec<(String, Expression)>,
    pub(crate) validations: Vec<Validation>,
    /// Keys and values of audit annotations.
    pub(crate) notes: Vec<(String, Expression)>,
}

#[derive(Debug)]
pub(crate) struct Validation {
    pub expression: Expression,
    pub message: String,
    pub message_expression: Option<Expression>,
    pub reason: Option<Reason>,
}

/// One change that a policy makes.
#[derive(Debug)]
pub struct Mutation {
    pub(crate) expression: Expression,
    pub(crate) apply: bool,
}

impl Mutation {
    /// Whether unknown fields in what comes out are a mistake.
    pub fn is_strict(&self) -> bool {
        !self.apply
    }
}

impl Policy {
    /// A validating or a mutating one.
    pub fn compile(policy: &Value) -> Policy {
        let spec = at(policy, "spec");
        let params = has(spec, "paramKind").then(|| {
            let kind = at(spec, "paramKind");
            let version = GroupVersion::parse(text(kind, "apiVersion")).unwrap_or_default();
            version.with_kind(text(kind, "kind"))
        });
        let mut scope = Scope::new(params.is_some(), true, Known::default());
        let variables: Vec<(String, Expression)> = list(spec, "variables")
            .iter()
            .map(|one| {
                let name = text(one, "name");
                (name.to_owned(), scope.declare(name, text(one, "expression")))
            })
            .collect();
        let ignores_failure = opt_text(spec, "failurePolicy") == Some("Ignore");
        let (env, plain, patches) = (scope.env(true, false), scope.env(false, false), scope.env(true, true));
        let validation = |one: &Value| Validation {
            expression: Expression::new(&env, text(one, "expression"), Wanted::Bool),
            message: text(one, "message").to_owned(),
            message_expression: Some(text(one, "messageExpression"))
                .filter(|source| !source.is_empty())
                .map(|source| Expression::new(&plain, source, Wanted::Text)),
            reason: opt_text(one, "reason").and_then(Reason::parse),
        };
        let note = |one: &Value| {
            let value = Expression::new(&env, text(one, "valueExpression"), Wanted::TextOrNull);
            (text(one, "key").to_owned(), value)
        };
        let mutation = |one: &Value| {
            let apply = text(one, "patchType") == "ApplyConfiguration";
            let (field, wanted) =
                if apply { ("applyConfiguration", Wanted::Object) } else { ("jsonPatch", Wanted::JsonPatch) };
            Mutation {
                expression: Expression::new(&patches, text(at(one, field), "expression"), wanted),
                apply,
            }
        };
        Policy {
            name: meta::name(policy).to_owned(),
            criteria: Criteria::of_policy(at(spec, "matchConstraints")),
            ignores_failure,
            reinvoked: opt_text(spec, "reinvocationPolicy") == Some("IfNeeded"),
            conditions: Conditions::parse(spec, &scope, ignores_failure),
            validations: list(spec, "validations").iter().map(validation).collect(),
            notes: list(spec, "auditAnnotations").iter().map(note).collect(),
            mutations: list(spec, "mutations").iter().map(mutation).collect(),
            variables,
            params,
        }
    }

    /// Whether its match conditions hold.
    ///
    /// # Errors
    /// What is wrong with them, if that is not to be ignored.
    pub fn conditions_hold(&self, inputs: &Inputs<'_>) -> Result<bool, String> {
        self.conditions.hold(inputs, &self.variables)
    }
}

/// What a binding does about a request that a policy finds invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Deny,
    Warn,
    Audit,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Deny => "Deny",
            Action::Warn => "Warn",
            Action::Audit => "Audit",
        }
    }
}

/// Which objects are parameters.
#[derive(Debug, Clone)]
pub struct ParamRef {
    pub namespace: String,
    /// Empty: by selector.
    pub name: String,
    pub selector: Option<Result<Selector, String>>,
    /// Whether it is an error that there are none.
    pub required: bool,
}

#[derive(Debug)]
pub struct Binding {
    pub name: String,
    pub policy: String,
    pub params: Option<ParamRef>,
    /// `None`: whatever concerns the policy.
    pub criteria: Option<Criteria>,
    pub actions: Vec<Action>,
}

impl Binding {
    pub fn parse(binding: &Value) -> Binding {
        let spec = at(binding, "spec");
        let action = |text: &str| match text {
            "Deny" => Some(Action::Deny),
            "Warn" => Some(Action::Warn),
            "Audit" => Some(Action::Audit),
            _ => None,
        };
        let params = |reference: &Value| ParamRef {
            namespace: text(reference, "namespace").to_owned(),
            name: text(reference, "name").to_owned(),
            selector: has(reference, "selector")
                .then(|| Selector::from_label_selector(Some(at(reference, "selector")))),
            required: opt_text(reference, "parameterNotFoundAction") == Some("Deny"),
        };
        Binding {
            name: meta::name(binding).to_owned(),
            policy: text(spec, "policyName").to_owned(),
            params: has(spec, "paramRef").then(|| params(at(spec, "paramRef"))),
            criteria: has(spec, "matchResources").then(|| Criteria::of_policy(at(spec, "matchResources"))),
            actions: texts(spec, "validationActions").filter_map(action).collect(),
        }
    }
}
