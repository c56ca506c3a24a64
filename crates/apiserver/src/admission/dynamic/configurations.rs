//! The webhooks and policies there are, compiled once for each change of their configurations. Up to
//! date with every acknowledged write; next to nothing where there are none.

use crate::callout::Callee;
use crate::codec;
use admission::{Binding, Endpoint, Hook, Policy};
use apimachinery::meta;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Entry, Store};
use tokio::sync::watch;

const GROUP: &str = "admissionregistration.k8s.io";
const RESOURCES: [&str; 6] = [
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
];

/// A webhook with its connections.
pub(super) struct Caller {
    pub hook: Hook,
    pub callee: Callee,
}

/// A policy with what binds it.
pub(super) struct Bound {
    pub policy: Arc<Policy>,
    pub bindings: Vec<Arc<Binding>>,
}

/// Everything there is at one moment, in the order of names.
#[derive(Default)]
pub(super) struct Current {
    pub mutating_policies: Vec<Bound>,
    pub mutating_hooks: Vec<Arc<Caller>>,
    pub validating_policies: Vec<Bound>,
    pub validating_hooks: Vec<Arc<Caller>>,
}

impl Current {
    pub fn mutates(&self) -> bool {
        !(self.mutating_policies.is_empty() && self.mutating_hooks.is_empty())
    }

    pub fn validates(&self) -> bool {
        !(self.validating_policies.is_empty() && self.validating_hooks.is_empty())
    }
}

/// What an object of a configuration was compiled to.
#[derive(Clone)]
enum Compiled {
    Hooks(Vec<Arc<Caller>>),
    Policy(Arc<Policy>),
    Binding(Arc<Binding>),
}

/// Dynamic admission's configurations.
pub(crate) struct Dynamic(Mutex<State>);

struct State {
    changed: Vec<watch::Receiver<u64>>,
    current: Arc<Current>,
    /// By key, with the revision that was compiled.
    compiled: HashMap<String, (u64, Compiled)>,
}

fn prefix(resource: &str) -> String {
    let info = api::preferred(GROUP, resource).expect("admission's configurations are in the table");
    info.storage_key("", "")
}

impl Dynamic {
    pub fn new(store: &Store) -> Dynamic {
        let mut changed: Vec<_> = RESOURCES.iter().map(|resource| store.changes(&prefix(resource))).collect();
        changed.iter_mut().for_each(watch::Receiver::mark_changed);
        Dynamic(Mutex::new(State { changed, current: Arc::default(), compiled: HashMap::new() }))
    }

    pub(super) fn current(&self, store: &Store) -> Arc<Current> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.changed.iter().any(|receiver| receiver.has_changed().unwrap_or(false)) {
            state.changed.iter_mut().for_each(|receiver| {
                receiver.borrow_and_update();
            });
            state.load(store);
        }
        state.current.clone()
    }
}

impl State {
    fn load(&mut self, store: &Store) {
        let before = std::mem::take(&mut self.compiled);
        let mut load = |resource: &str| -> Vec<Compiled> {
            let entries = store.list(&prefix(resource));
            let compile = |entry: &Arc<Entry>| {
                let known = before.get(&*entry.key).filter(|(revision, _)| *revision == entry.mod_revision);
                let compiled =
                    known.map_or_else(|| compile(resource, &codec::tree(entry)), |(_, known)| known.clone());
                self.compiled.insert(entry.key.to_string(), (entry.mod_revision, compiled.clone()));
                compiled
            };
            entries.iter().map(compile).collect()
        };
        self.current = Arc::new(Current {
            mutating_policies: bind(load(RESOURCES[0]), load(RESOURCES[1])),
            mutating_hooks: all_hooks(load(RESOURCES[2])),
            validating_policies: bind(load(RESOURCES[3]), load(RESOURCES[4])),
            validating_hooks: all_hooks(load(RESOURCES[5])),
        });
    }
}

fn compile(resource: &str, object: &Value) -> Compiled {
    tracing::debug!(resource, name = meta::name(object), "admission is configured anew");
    if resource.ends_with("configurations") {
        return Compiled::Hooks(admission::hooks(object).into_iter().map(caller).collect());
    }
    if resource.ends_with("bindings") {
        return Compiled::Binding(Arc::new(Binding::parse(object)));
    }
    Compiled::Policy(Arc::new(Policy::compile(object)))
}

fn caller(hook: Hook) -> Arc<Caller> {
    let callee = match &hook.endpoint {
        Endpoint::Url(url) => Callee::url(url, &hook.ca_bundle),
        Endpoint::Service { namespace, name, path, port } => {
            Callee::service(namespace, name, *port, path, &hook.ca_bundle)
        }
    };
    Arc::new(Caller { hook, callee })
}

fn all_hooks(of: Vec<Compiled>) -> Vec<Arc<Caller>> {
    let hooks =
        of.into_iter().filter_map(|one| if let Compiled::Hooks(hooks) = one { Some(hooks) } else { None });
    hooks.flatten().collect()
}

/// The policies that something binds.
fn bind(policies: Vec<Compiled>, bindings: Vec<Compiled>) -> Vec<Bound> {
    let mut by_policy: HashMap<String, Vec<Arc<Binding>>> = HashMap::new();
    for one in bindings {
        if let Compiled::Binding(binding) = one {
            by_policy.entry(binding.policy.clone()).or_default().push(binding);
        }
    }
    let bound = |one| match one {
        Compiled::Policy(policy) => {
            let bindings = by_policy.remove(&policy.name)?;
            Some(Bound { policy, bindings })
        }
        _ => None,
    };
    policies.into_iter().filter_map(bound).collect()
}
