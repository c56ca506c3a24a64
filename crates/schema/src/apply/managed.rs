//! Who owns what: the entries of `metadata.managedFields`, read and written.

use super::set::Set;
use serde_json::{Map, Value};

/// Longest name of a subresource in an entry, bytes.
pub const MAX_SUBRESOURCE: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// What makes an entry one manager's. Somebody who applies has one entry whatever the version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    pub manager: String,
    pub operation: Operation,
    /// Empty for those who apply.
    pub api_version: String,
    pub subresource: String,
}

impl Id {
    pub fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Id {
        let api_version = if operation == Operation::Apply { "" } else { api_version };
        Id {
            manager: manager.into(),
            operation,
            api_version: api_version.into(),
            subresource: subresource.into(),
        }
    }

    /// The manager as conflict messages name it.
    pub fn shown(&self) -> String {
        let mut text = apimachinery::go::quote(&self.manager);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {}", apimachinery::go::quote(&self.subresource));
        }
        if self.operation == Operation::Update {
            text += &format!(" using {}", self.api_version);
        }
        text
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub id: Id,
    /// The version whose fields the set names.
    pub api_version: String,
    /// RFC 3339, in UTC; entries that a scale wrote have none.
    pub time: Option<String>,
    pub set: Set,
}

/// All entries of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Managed(pub Vec<Entry>);

impl Managed {
    /// Reads entries.
    ///
    /// # Errors
    /// One of them is no entry.
    pub fn decode(entries: &Value) -> Result<Managed, String> {
        Managed::read(entries.clone(), false)
    }

    /// Reads entries that this server wrote, whose sets are known to be canonical.
    pub(super) fn decode_own(entries: Value) -> Result<Managed, String> {
        Managed::read(entries, true)
    }

    /// Sets that are canonical are taken as they are.
    fn read(entries: Value, canonical: bool) -> Result<Managed, String> {
        let entries = match entries {
            Value::Array(entries) => entries,
            Value::Null => Vec::new(),
            _ => return Err("managed fields are no list".into()),
        };
        let mut managed = Managed::default();
        for (index, entry) in entries.into_iter().enumerate() {
            let Value::Object(entry) = entry else { return Err(format!("entry {index} is no object")) };
            let (mut entry, fields) = head(index, entry)?;
            entry.set = match fields {
                Value::Object(map) if canonical => Set(map),
                fields => Set::decode(&fields).map_err(|error| format!("error decoding set: {error}"))?,
            };
            match managed.position(&entry.id) {
                Some(at) => managed.0[at] = entry,
                None => managed.0.push(entry),
            }
        }
        Ok(managed)
    }

    /// Writes the entries in the order in which the API lists them; null where there are none.
    pub fn encode(mut self) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        self.0.sort_by(|a, b| {
            let order = |e: &Entry| (e.id.operation, e.time.clone().unwrap_or_default());
            order(a)
                .cmp(&order(b))
                .then_with(|| a.id.manager.cmp(&b.id.manager))
                .then_with(|| a.api_version.cmp(&b.api_version))
                .then_with(|| a.id.subresource.cmp(&b.id.subresource))
        });
        Value::Array(self.0.into_iter().map(Entry::encode).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn position(&self, id: &Id) -> Option<usize> {
        self.0.iter().position(|entry| entry.id == *id)
    }

    pub fn get(&self, id: &Id) -> Option<&Entry> {
        self.position(id).map(|at| &self.0[at])
    }

    /// Puts an entry in the place of the one of its id.
    pub fn set(&mut self, entry: Entry) {
        match self.position(&entry.id) {
            Some(at) => self.0[at] = entry,
            None => self.0.push(entry),
        }
    }

    pub fn remove(&mut self, id: &Id) -> Option<Entry> {
        self.position(id).map(|at| self.0.remove(at))
    }
}

/// An entry without its set, and the set as written.
fn head(index: usize, mut entry: Map<String, Value>) -> Result<(Entry, Value), String> {
    let mut text = |name: &str| match entry.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let operation = match text("operation").as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err("operation must be `Apply` or `Update`".into()),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err("apiVersion must not be empty".into());
    }
    match text("fieldsType").as_str() {
        "FieldsV1" => {}
        "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
        other => {
            let other = apimachinery::go::quote(other);
            return Err(format!("invalid fieldsType {other} in managed fields entry {index}"));
        }
    }
    let (manager, subresource, time) = (text("manager"), text("subresource"), text("time"));
    let time = Some(time).filter(|time| !time.is_empty());
    let id = match operation {
        Operation::Apply => Id { manager, operation, api_version: String::new(), subresource },
        Operation::Update => Id { manager, operation, api_version: api_version.clone(), subresource },
    };
    let fields = entry.remove("fieldsV1").unwrap_or(Value::Null);
    Ok((Entry { id, api_version, time, set: Set::default() }, fields))
}

impl Entry {
    fn encode(self) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, text: String| {
            if !text.is_empty() {
                out.insert(name.into(), Value::String(text));
            }
        };
        put("manager", self.id.manager);
        put("operation", self.id.operation.as_str().into());
        put("apiVersion", self.api_version);
        put("time", self.time.unwrap_or_default());
        put("fieldsType", "FieldsV1".into());
        put("subresource", self.id.subresource);
        out.insert("fieldsV1".into(), self.set.into_value());
        Value::Object(out)
    }
}

/// Whether a client wants its object's managed fields forgotten: an empty list, or one empty entry.
pub fn is_reset(entries: &Value) -> bool {
    match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(only)]) => only.is_empty(),
        _ => false,
    }
}

/// Whether two lists of entries say the same but for the times.
pub fn same_but_times(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_array(), b.as_array()) else { return false };
    let equal = |a: &Value, b: &Value| {
        let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return false };
        let rest = |map| Map::iter(map).filter(|(name, _)| *name != "time");
        rest(a).eq(rest(b))
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
}
