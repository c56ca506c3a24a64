//! One prefix at one revision: what lists and their pages read.

use crate::Entry;
use imbl::OrdMap;
use std::ops::Bound;
use std::sync::Arc;

pub(crate) type Map = OrdMap<Arc<str>, Arc<Entry>>;

/// An immutable view of the keys below a prefix. Cheap to take and to keep.
#[derive(Clone)]
pub struct Snapshot {
    /// The revision this view shows.
    pub revision: u64,
    prefix: Arc<str>,
    map: Map,
}

impl Snapshot {
    pub(crate) fn new(revision: u64, prefix: Arc<str>, map: Map) -> Snapshot {
        Snapshot { revision, prefix, map }
    }

    pub(crate) fn map(&self) -> &Map {
        &self.map
    }

    /// Entries in key order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.from(Bound::Included(self.prefix.clone()))
    }

    /// Entries in key order whose key is not less than `key` (which is absolute, like every key).
    pub fn starting_at(&self, key: &str) -> impl Iterator<Item = &Arc<Entry>> {
        let start: Arc<str> = if key < &*self.prefix { self.prefix.clone() } else { key.into() };
        self.from(Bound::Included(start))
    }

    pub fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.map.get(key)
    }

    fn from(&self, start: Bound<Arc<str>>) -> impl Iterator<Item = &Arc<Entry>> {
        self.map
            .range::<_, Arc<str>>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&*self.prefix))
            .map(|(_, entry)| entry)
    }
}
