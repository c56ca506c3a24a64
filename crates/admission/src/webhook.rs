//! Webhooks as their configurations say: whom to call, about what, and what to make of a failure.

use crate::activation::Inputs;
use crate::conditions::Conditions;
use crate::env::Known;
use crate::expression::Scope;
use crate::matching::Criteria;
use api::read::{at, int, list, opt_text, text, texts};
use apimachinery::meta;
use base64::Engine;
use serde_json::Value;
use std::collections::HashMap;

/// Who is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Url(String),
    Service { namespace: String, name: String, path: String, port: u16 },
}

#[derive(Debug)]
pub struct Hook {
    /// Unique among all.
    pub uid: String,
    pub configuration: String,
    pub name: String,
    pub endpoint: Endpoint,
    /// Certificates (PEM) that vouch for the webhook; empty: those of the host.
    pub ca_bundle: Vec<u8>,
    /// Whether a failed call counts as consent.
    pub ignores_failure: bool,
    pub timeout_seconds: Option<u64>,
    pub review_versions: Vec<String>,
    pub side_effects: Option<String>,
    /// Whether it is called again when something changed after it.
    pub reinvoked: bool,
    pub criteria: Criteria,
    conditions: Conditions,
}

const HTTPS: i64 = 443;

/// The webhooks of one configuration, in their order.
pub fn hooks(configuration: &Value) -> Vec<Hook> {
    let mut names: HashMap<&str, usize> = HashMap::new();
    let name = meta::name(configuration);
    let one = |hook| {
        let own = text(hook, "name");
        let count = names.entry(own).or_default();
        let uid = format!("{name}/{own}/{count}");
        *count += 1;
        parse(hook, uid, name)
    };
    list(configuration, "webhooks").iter().map(one).collect()
}

fn parse(hook: &Value, uid: String, configuration: &str) -> Hook {
    let (client, service) = (at(hook, "clientConfig"), at(at(hook, "clientConfig"), "service"));
    let endpoint = match opt_text(client, "url") {
        Some(url) if service.is_null() => Endpoint::Url(url.to_owned()),
        _ => Endpoint::Service {
            namespace: text(service, "namespace").to_owned(),
            name: text(service, "name").to_owned(),
            path: text(service, "path").to_owned(),
            port: u16::try_from(int(service, "port").unwrap_or(HTTPS)).unwrap_or(0),
        },
    };
    let ignores_failure = opt_text(hook, "failurePolicy") == Some("Ignore");
    let scope = Scope::new(false, false, Known::default());
    let bundle = text(client, "caBundle");
    Hook {
        uid,
        configuration: configuration.to_owned(),
        name: text(hook, "name").to_owned(),
        endpoint,
        ca_bundle: base64::engine::general_purpose::STANDARD.decode(bundle).unwrap_or_default(),
        ignores_failure,
        timeout_seconds: int(hook, "timeoutSeconds").and_then(|seconds| u64::try_from(seconds).ok()),
        review_versions: texts(hook, "admissionReviewVersions").map(str::to_owned).collect(),
        side_effects: opt_text(hook, "sideEffects").map(str::to_owned),
        reinvoked: opt_text(hook, "reinvocationPolicy") == Some("IfNeeded"),
        criteria: Criteria::of_webhook(hook),
        conditions: Conditions::parse(hook, &scope, ignores_failure),
    }
}

impl Hook {
    /// Whether expressions have to be evaluated to know if it is called.
    pub fn has_conditions(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// # Errors
    /// What is wrong with its match conditions.
    pub fn conditions_hold(&self, inputs: &Inputs<'_>) -> Result<bool, String> {
        self.conditions.hold(inputs, &[])
    }

    /// Whether it may be called for a dry run. `None`: it does not say.
    pub fn bears_dry_run(&self) -> Option<bool> {
        let effects = self.side_effects.as_deref()?;
        Some(matches!(effects, "None" | "NoneOnDryRun"))
    }
}
