//! What a request is about: the REST facts of the resource, its strategy, and how its served version
//! relates to the stored one. Built-in resources are always there; those of custom resource definitions
//! come and go, so what is known about them is shared and counted.

use crate::convert;
use crate::custom::Custom;
use crate::server::Server;
use api::{ResourceInfo, Strategy};
use apimachinery::gvk::{GroupKind, GroupResource, GroupVersionResource};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use store::Entry;

/// Something that lives as long as the program, or as long as somebody holds it.
pub(crate) enum Shared<T: ?Sized + 'static> {
    Static(&'static T),
    Counted(Arc<T>),
}

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Self {
        match self {
            Shared::Static(here) => Shared::Static(here),
            Shared::Counted(here) => Shared::Counted(here.clone()),
        }
    }
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Shared::Static(here) => here,
            Shared::Counted(here) => here,
        }
    }
}

/// A served resource. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Target {
    pub info: Shared<ResourceInfo>,
    /// The version whose bytes are stored.
    pub stored: Shared<ResourceInfo>,
    pub strategy: Shared<dyn Strategy>,
    /// What else is known about a custom resource.
    pub custom: Option<Arc<Custom>>,
}

impl Target {
    /// A resource by name; `None` if it does not exist or is not served.
    pub fn find(server: &Server, gvr: &GroupVersionResource) -> Option<Target> {
        let built_in = api::find(&gvr.group, &gvr.version, &gvr.resource);
        match built_in.filter(|info| info.served_by_default) {
            Some(info) => Some(Target::of(info)),
            None => server.custom.find(gvr),
        }
    }

    pub fn of(info: &'static ResourceInfo) -> Target {
        let (group, version) = convert::stored_version(info);
        let stored = api::find(group, version, info.resource).unwrap_or(info);
        let strategy = api::strategy(info.group, info.resource);
        Target {
            info: Shared::Static(info),
            stored: Shared::Static(stored),
            strategy: Shared::Static(strategy),
            custom: None,
        }
    }

    /// A core resource; panics only for a name that is not in the table.
    pub fn core(resource: &str) -> Target {
        Target::of(api::find("", "v1", resource).expect("a core resource of the table"))
    }

    pub fn group_resource(&self) -> GroupResource {
        self.info.group_resource()
    }

    pub fn group_kind(&self) -> GroupKind {
        self.info.group_kind()
    }

    pub fn key(&self, namespace: &str, name: &str) -> String {
        self.info.storage_key(namespace, name)
    }

    /// The prefix of a collection, ending in `/`.
    pub fn prefix(&self, namespace: &str) -> String {
        self.info.storage_key(namespace, "")
    }

    fn is_stored_version(&self) -> bool {
        std::ptr::eq(&raw const *self.info, &raw const *self.stored)
    }

    /// Whether the bytes of an entry can be answered as they are.
    pub fn shows(&self, entry: &Entry) -> bool {
        match &self.custom {
            Some(custom) => custom.shows(entry),
            None => self.is_stored_version(),
        }
    }

    /// The object in the served version.
    pub fn tree(&self, entry: &Entry) -> Arc<Value> {
        if let Some(custom) = &self.custom {
            return custom.tree(entry);
        }
        let tree = crate::codec::tree(entry);
        if self.is_stored_version() {
            return tree;
        }
        let mut object = (*tree).clone();
        convert::convert(&mut object, &self.stored, &self.info);
        Arc::new(object)
    }

    /// Appends the object's JSON in the served version, with `revision` as its resourceVersion.
    pub fn write_json(&self, entry: &Entry, revision: u64, out: &mut Vec<u8>) {
        if self.shows(entry) {
            crate::codec::splice(&entry.value, revision, out);
            return;
        }
        let mut object = (*self.tree(entry)).clone();
        apimachinery::meta::set_resource_version(&mut object, Some(revision));
        out.extend_from_slice(&crate::codec::to_json(&object));
    }

    /// The object in the stored version.
    pub fn to_stored<'a>(&self, object: &'a Value) -> Cow<'a, Value> {
        if let Some(custom) = &self.custom {
            return custom.to_stored(object);
        }
        if self.is_stored_version() {
            return Cow::Borrowed(object);
        }
        let mut object = object.clone();
        convert::convert(&mut object, &self.info, &self.stored);
        Cow::Owned(object)
    }
}

/// Every stored prefix of the served resources.
pub(crate) fn prefixes() -> impl Iterator<Item = String> {
    let stored = api::resources().iter().filter(|info| info.storage_prefix.is_some());
    stored.map(|info| info.storage_key("", ""))
}
