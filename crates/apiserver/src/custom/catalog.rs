//! Which custom resources there are. Nobody tells: whoever asks looks whether definitions have changed in the
//! store's cache since the last time, so that what a client has seen of a definition is always served.

use super::convert::Converter;
use super::resource::Custom;
use crate::resources::Target;
use apimachinery::gvk::GroupVersionResource;
use custom::{Conversion, Definition, Version};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Entry, Store, Watcher};
use tokio::sync::watch;

/// Where definitions are stored.
pub(crate) fn definitions_prefix() -> String {
    definitions().prefix("")
}

/// The resource of definitions.
pub(crate) fn definitions() -> Target {
    let info = api::find("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    Target::of(info.expect("definitions are in the table"))
}

/// The custom resources at one moment.
#[derive(Default)]
pub(crate) struct Served {
    /// Another one for every change that clients can see.
    pub number: u64,
    definitions: BTreeMap<String, Arc<Known>>,
}

/// A definition that was read.
struct Known {
    definition: Arc<Definition>,
    /// The revision of the entry.
    revision: u64,
    /// The revision since which objects are stored as the definition says now.
    since: u64,
    spec: Value,
    converter: Option<Arc<Converter>>,
    /// Lives as long as the definition says the same.
    life: Arc<watch::Sender<()>>,
    /// One for each version that is served.
    targets: Vec<Target>,
}

impl Served {
    fn known(&self) -> impl Iterator<Item = &Arc<Known>> {
        self.definitions.values().filter(|known| known.definition.accepted)
    }

    pub fn find(&self, gvr: &GroupVersionResource) -> Option<Target> {
        let name = format!("{}.{}", gvr.resource, gvr.group);
        let known = self.definitions.get(&name).filter(|known| known.definition.accepted)?;
        known.targets.iter().find(|target| target.info.version == gvr.version).cloned()
    }

    pub fn has_group_version(&self, group: &str, version: &str) -> bool {
        self.established().any(|target| target.info.group == group && target.info.version == version)
    }

    /// What discovery shows: every served version of every established resource, preferred versions first.
    pub fn established(&self) -> impl Iterator<Item = &Target> {
        self.known().filter(|known| known.definition.established).flat_map(|known| &known.targets)
    }

    /// The stored version of a defined resource, served or not.
    pub fn stored(&self, name: &str) -> Option<Target> {
        let known = self.definitions.get(name)?;
        let definition = &known.definition;
        let (converter, life) = (known.converter.clone(), known.life.subscribe());
        let version = definition.stored().clone();
        Some(Custom::target(definition.clone(), version, converter, life, known.since))
    }
}

struct State {
    watcher: Option<Watcher>,
    served: Arc<Served>,
}

pub(crate) struct Catalog {
    store: Arc<Store>,
    state: Mutex<State>,
}

impl Catalog {
    pub fn new(store: Arc<Store>) -> Catalog {
        Catalog { store, state: Mutex::new(State { watcher: None, served: Arc::default() }) }
    }

    /// A custom resource that is served.
    pub fn find(&self, gvr: &GroupVersionResource) -> Option<Target> {
        if !gvr.group.contains('.') {
            return None;
        }
        self.served().find(gvr)
    }

    /// The custom resources as of every event that anybody can have seen.
    pub fn served(&self) -> Arc<Served> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let news =
            state.watcher.as_mut().map(|watcher| watcher.ready().map(|batch| !batch.events.is_empty()));
        if !matches!(news, Some(Ok(false))) {
            self.reload(&mut state);
        }
        state.served.clone()
    }

    fn reload(&self, state: &mut State) {
        let prefix = definitions_prefix();
        let snapshot = self.store.list(&prefix);
        let mut definitions = BTreeMap::new();
        for entry in snapshot.iter() {
            let before = entry.key.strip_prefix(&prefix).and_then(|name| state.served.definitions.get(name));
            if let Some(known) = self.read(entry, before) {
                definitions.insert(known.definition.name.clone(), known);
            }
        }
        if state.watcher.is_none() || matches!(state.watcher.as_mut().map(Watcher::ready), Some(Err(_))) {
            // What happens between the snapshot and the watch is seen the next time.
            state.watcher = self.store.watch(&prefix, snapshot.revision).ok();
        }
        let number = state.served.number + 1;
        state.served = Arc::new(Served { number, definitions });
    }

    fn read(&self, entry: &Entry, before: Option<&Arc<Known>>) -> Option<Arc<Known>> {
        if let Some(known) = before.filter(|known| known.revision == entry.mod_revision) {
            return Some(known.clone());
        }
        let object = crate::codec::tree(entry);
        let definition = Arc::new(Definition::read(&object)?);
        let same =
            before.filter(|known| known.spec == object["spec"] && known.definition.uid == definition.uid);
        let since = same.map_or(entry.mod_revision, |known| known.since);
        self.store.register(&format!("/registry/{}/", definition.stored().info.storage_prefix?));
        let converter = match (same, &definition.conversion) {
            (Some(known), _) => known.converter.clone(),
            (None, Conversion::None) => None,
            (None, Conversion::Webhook { client, reviews }) => {
                Some(Arc::new(Converter::new(client, reviews)))
            }
        };
        let life = same.map_or_else(|| Arc::new(watch::Sender::new(())), |known| known.life.clone());
        let target = |version: &Arc<Version>| {
            let converter = converter.clone();
            Custom::target(definition.clone(), version.clone(), converter, life.subscribe(), since)
        };
        Some(Arc::new(Known {
            targets: definition.served().map(target).collect(),
            life,
            revision: entry.mod_revision,
            since,
            spec: object["spec"].clone(),
            converter,
            definition,
        }))
    }
}
