//! Recording Events about objects: the same event again raises the count of the stored one
//! (client-go's EventCorrelator), many similar ones become one, and a source that floods an
//! object is silenced. Recording never blocks and never fails the caller.

use std::collections::HashMap;
use std::time::Duration;

use apimachinery::time::Time;
use env::Env;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::{Client, Resource};
use crate::seam::Patch;

/// Events that may wait to be written; more are dropped, as client-go's broadcaster does.
const WAITING_MAX: usize = 1000;
/// Events remembered for counting; the oldest are forgotten.
const REMEMBERED_MAX: usize = 4096;
/// Burst of events per source and object, refilled one per five minutes (the spam filter).
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
/// More different messages than this within [`SIMILAR_WINDOW`] are combined into one event.
const SIMILAR_MAX: usize = 10;
const SIMILAR_WINDOW: Duration = Duration::from_secs(600);

/// What an event is about.
#[derive(Clone, Debug, Default)]
pub struct ObjectRef {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub resource_version: String,
    /// `spec.containers{app}` for one container of a Pod.
    pub field_path: String,
}

impl ObjectRef {
    pub fn of(object: &Value) -> ObjectRef {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        ObjectRef {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            resource_version: text(&metadata["resourceVersion"]),
            field_path: String::new(),
        }
    }

    /// One container of a Pod.
    pub fn container(pod: &Value, container: &str) -> ObjectRef {
        ObjectRef { field_path: format!("spec.containers{{{container}}}"), ..ObjectRef::of(pod) }
    }

    fn to_value(&self) -> Value {
        let mut out = json!({});
        let fields = [
            ("apiVersion", &self.api_version),
            ("kind", &self.kind),
            ("namespace", &self.namespace),
            ("name", &self.name),
            ("uid", &self.uid),
            ("resourceVersion", &self.resource_version),
            ("fieldPath", &self.field_path),
        ];
        for (key, value) in fields {
            if !value.is_empty() {
                out[key] = json!(value);
            }
        }
        out
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

struct Record {
    object: ObjectRef,
    kind: EventType,
    reason: String,
    message: String,
    at: Timestamp,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    env: Env,
    records: mpsc::Sender<Record>,
}

impl Recorder {
    /// Starts the writer. `component` is `kubelet`, `default-scheduler`, …; `host` the node, if any.
    pub fn start(env: &Env, client: &Client, component: &str, host: &str) -> Recorder {
        let (records, incoming) = mpsc::channel(WAITING_MAX);
        let writer = Writer {
            events: client.resource("", "v1", "events"),
            component: component.into(),
            host: host.into(),
            known: HashMap::new(),
            similar: HashMap::new(),
            budgets: HashMap::new(),
            latest: 0,
        };
        env.spawn(writer.run(incoming));
        Recorder { env: env.clone(), records }
    }

    pub fn event(&self, object: ObjectRef, kind: EventType, reason: &str, message: impl Into<String>) {
        let record =
            Record { object, kind, reason: reason.into(), message: message.into(), at: self.env.now() };
        if self.records.try_send(record).is_err() {
            tracing::warn!(reason, "event dropped: too many are waiting");
        }
    }

    pub fn normal(&self, object: ObjectRef, reason: &str, message: impl Into<String>) {
        self.event(object, EventType::Normal, reason, message);
    }

    pub fn warning(&self, object: ObjectRef, reason: &str, message: impl Into<String>) {
        self.event(object, EventType::Warning, reason, message);
    }
}

/// The object, type and reason: what makes events similar.
type Similar = (String, String, String, EventType, String);

struct Known {
    name: String,
    namespace: String,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

struct Writer {
    events: Resource,
    component: String,
    host: String,
    known: HashMap<(Similar, String), Known>,
    similar: HashMap<Similar, (Vec<String>, Timestamp)>,
    /// Tokens left by object, and when they were counted.
    budgets: HashMap<(String, String), (f64, Timestamp)>,
    /// What the last event was named by.
    latest: i128,
}

impl Writer {
    async fn run(mut self, mut incoming: mpsc::Receiver<Record>) {
        while let Some(record) = incoming.recv().await {
            self.write(record).await;
        }
    }

    async fn write(&mut self, mut record: Record) {
        self.forget_old();
        let object = &record.object;
        let similar: Similar = (
            object.uid.clone(),
            object.name.clone(),
            object.field_path.clone(),
            record.kind,
            record.reason.clone(),
        );
        record.message = self.combined(&similar, record.message, record.at);
        if !self.within_budget((object.uid.clone(), object.name.clone()), record.at) {
            return;
        }
        let key = (similar, record.message.clone());
        if self.known.contains_key(&key) && self.count_up(&key, record.at).await {
            return;
        }
        if let Some(known) = self.create(&record).await {
            self.known.insert(key, known);
        }
    }

    /// The message to store: its own, or the common one where too many differ.
    fn combined(&mut self, similar: &Similar, message: String, at: Timestamp) -> String {
        let (messages, since) = self.similar.entry(similar.clone()).or_insert_with(|| (Vec::new(), at));
        if seconds(*since, at) > SIMILAR_WINDOW.as_secs_f64() {
            messages.clear();
        }
        *since = at;
        if !messages.contains(&message) && messages.len() < SIMILAR_MAX {
            messages.push(message.clone());
        }
        if messages.len() < SIMILAR_MAX {
            message
        } else {
            format!("(combined from similar events): {message}")
        }
    }

    fn within_budget(&mut self, object: (String, String), at: Timestamp) -> bool {
        let (tokens, counted) = self.budgets.entry(object).or_insert((BURST, at));
        *tokens = (*tokens + seconds(*counted, at) / REFILL.as_secs_f64()).min(BURST);
        *counted = at;
        let allowed = *tokens >= 1.0;
        if allowed {
            *tokens -= 1.0;
        }
        allowed
    }

    fn forget_old(&mut self) {
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        if self.similar.len() >= REMEMBERED_MAX {
            self.similar.clear();
        }
        if self.budgets.len() >= REMEMBERED_MAX {
            self.budgets.clear();
        }
    }

    async fn count_up(&mut self, key: &(Similar, String), at: Timestamp) -> bool {
        let Some(known) = self.known.get_mut(key) else { return false };
        known.count += 1;
        known.last = at;
        let patch = json!({"count": known.count, "lastTimestamp": Time(at).to_string(), "message": key.1});
        match self.events.patch(Patch::Strategic, &known.namespace, &known.name, "", patch).await {
            Ok(_) => true,
            Err(status) => {
                tracing::debug!(%status, first = %known.first, "event could not be counted up");
                self.known.remove(key);
                false
            }
        }
    }

    /// Nanoseconds since 1970 of `at`, but never the same twice.
    fn stamp(&mut self, at: Timestamp) -> i128 {
        self.latest = at.as_nanosecond().max(self.latest + 1);
        self.latest
    }

    async fn create(&mut self, record: &Record) -> Option<Known> {
        // Events about cluster-scoped objects live in `default`, as client-go puts them.
        let namespace =
            if record.object.namespace.is_empty() { "default" } else { record.object.namespace.as_str() };
        // Named by the moment, as client-go does: sorted by name, events are in the order they came.
        let name = format!("{}.{:x}", record.object.name, self.stamp(record.at));
        let time = Time(record.at).to_string();
        let mut source = json!({"component": self.component});
        if !self.host.is_empty() {
            source["host"] = json!(self.host);
        }
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": record.object.to_value(),
            "reason": record.reason,
            "message": record.message,
            "type": record.kind.as_str(),
            "source": source,
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
            "reportingComponent": self.component,
            "reportingInstance": self.host,
        });
        match self.events.create(namespace, event).await {
            Ok(_) => {
                Some(Known { name, namespace: namespace.into(), count: 1, first: record.at, last: record.at })
            }
            Err(status) => {
                tracing::debug!(%status, reason = record.reason, "event not recorded");
                None
            }
        }
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}
