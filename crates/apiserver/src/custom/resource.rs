//! Objects of a custom resource, between what is stored and what a version shows.

use super::convert::Converter;
use crate::resources::{Shared, Target};
use apimachinery::meta;
use custom::{Definition, Version};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use store::Entry;
use tokio::sync::watch;

/// A version of a custom resource that is served.
pub(crate) struct Custom {
    pub definition: Arc<Definition>,
    pub version: Arc<Version>,
    /// Who converts, if more than a name differs between versions.
    pub converter: Option<Arc<Converter>>,
    /// Ends when the definition is another one, or gone: what was shown by it must be shown anew.
    pub life: watch::Receiver<()>,
    /// Objects that were written after this revision are as the definition wants them.
    since: u64,
}

impl Custom {
    pub fn target(
        definition: Arc<Definition>,
        version: Arc<Version>,
        converter: Option<Arc<Converter>>,
        life: watch::Receiver<()>,
        since: u64,
    ) -> Target {
        Target {
            info: Shared::Counted(version.info.clone()),
            stored: Shared::Counted(definition.stored().info.clone()),
            strategy: Shared::Counted(version.clone()),
            custom: Some(Arc::new(Custom { definition, version, converter, life, since })),
        }
    }

    /// Whether the stored bytes are what the version shows.
    pub fn shows(&self, entry: &Entry) -> bool {
        self.definition.has_one_version() && entry.mod_revision > self.since
    }

    /// The object as the version shows it.
    pub fn tree(&self, entry: &Entry) -> Arc<Value> {
        let tree = crate::codec::tree(entry);
        if self.shows(entry) {
            return tree;
        }
        let mut object = (*tree).clone();
        self.to_version(&mut object, &self.version);
        self.version.settle_stored(&mut object);
        Arc::new(object)
    }

    /// The object in the stored version.
    pub fn to_stored<'a>(&self, object: &'a Value) -> Cow<'a, Value> {
        if meta::api_version(object) == self.definition.stored().info.api_version() {
            return Cow::Borrowed(object);
        }
        let mut object = object.clone();
        self.to_version(&mut object, self.definition.stored());
        Cow::Owned(object)
    }

    /// Names another version; what else differs between versions is a webhook's to change, before.
    pub fn to_version(&self, object: &mut Value, version: &Version) {
        let map = meta::as_object_mut(object);
        map.insert("apiVersion".into(), version.info.api_version().into());
    }
}
